//! The integrations of accounts: one query per account, or an import file.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use futures_util::{StreamExt, TryStreamExt, stream};
use shared::clock::Clock;
use shared::integration::{AccountId, Integration, Readiness};

use super::judge::KnownIntegration;
use crate::exit::Failure;
use crate::import::record::ImportRecord;
use crate::jsonl::JsonlReader;
use crate::stack::{Stack, StackArgs};

/// The most accounts that are remembered beside those of the current batch: memory stays flat.
const LARGEST_CACHE: usize = 20_000;
/// Queries at a time.
const CONCURRENT_QUERIES: usize = 32;

/// The integrations of accounts read so far.
pub(super) struct KnownAccounts {
    /// None if an import file replaces the table.
    stack: Option<Stack>,
    known: HashMap<AccountId, Vec<KnownIntegration>>,
}

impl KnownAccounts {
    pub(super) async fn open(import: Option<&Path>, stack_args: &StackArgs) -> Result<Self, Failure> {
        match import {
            Some(file) => Ok(Self { stack: None, known: read(file)? }),
            None => Ok(Self { stack: Some(Stack::open(stack_args).await?), known: HashMap::new() }),
        }
    }

    /// Reads the accounts that are not known yet.
    pub(super) async fn load<'a>(&mut self, accounts: impl Iterator<Item = &'a AccountId>) -> Result<(), Failure> {
        let Some(stack) = &self.stack else { return Ok(()) };
        if self.known.len() > LARGEST_CACHE {
            self.known.clear();
        }
        let missing: BTreeSet<&AccountId> = accounts.filter(|account| !self.known.contains_key(*account)).collect();
        let queries = missing.into_iter().map(|account| async move {
            let all = stack.store.all(account).await?;
            Ok::<_, Failure>((
                account.clone(),
                all.into_iter().map(|record| known(record, stack.clock.now())).collect(),
            ))
        });
        let loaded: Vec<(AccountId, Vec<KnownIntegration>)> =
            stream::iter(queries).buffer_unordered(CONCURRENT_QUERIES).try_collect().await?;
        self.known.extend(loaded);
        Ok(())
    }

    /// The integrations of an account, newest first.
    pub(super) fn of(&self, account: &AccountId) -> &[KnownIntegration] {
        self.known.get(account).map(Vec::as_slice).unwrap_or_default()
    }
}

fn known(record: Integration, now: i64) -> KnownIntegration {
    let readiness = record.readiness(now);
    KnownIntegration { integration_id: record.integration_id, readiness, scopes: Some(record.scopes) }
}

/// Reads an import file without keeping its tokens.
fn read(file: &Path) -> Result<HashMap<AccountId, Vec<KnownIntegration>>, Failure> {
    let (now, mut lines) = (Clock::default().now(), JsonlReader::open(file)?);
    let mut found: HashMap<AccountId, Vec<(i64, KnownIntegration)>> = HashMap::new();
    while let Some(line) = lines.next()? {
        let parsed = line.text.map_err(str::to_owned).and_then(|text| ImportRecord::parse(&text, now));
        let entry = parsed.map_err(|wrong| {
            let (file, number) = (file.display(), line.number);
            Failure::usage(format!("{file}: line {number}: {wrong}. `import --dry-run` lists all such lines"))
        })?;
        let known = KnownIntegration {
            integration_id: entry.integration_id,
            readiness: Readiness::Ready,
            scopes: entry.scopes,
        };
        found.entry(entry.account_id).or_default().push((entry.created_at, known));
    }
    let newest_first = |mut all: Vec<(i64, KnownIntegration)>| {
        // Of two created in the same second, the import puts the later line above.
        all.sort_by_key(|(created_at, _)| *created_at);
        all.into_iter().rev().map(|(_, known)| known).collect()
    };
    Ok(found.into_iter().map(|(account, all)| (account, newest_first(all))).collect())
}
