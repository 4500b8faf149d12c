//! The secrets of integrations, and which of them no record names.

use std::collections::HashSet;

use shared::store::operator::SecretInfo;

use crate::exit::Failure;
use crate::stack::Stack;

/// A secret younger than this may belong to a connect or an import in progress, in seconds.
const GRACE: i64 = 86_400;

/// All secrets of the stack's integrations, those marked for deletion among them.
pub(crate) async fn all(stack: &Stack) -> Result<Vec<SecretInfo>, Failure> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let (page, next) = stack.store.all_secrets(after).await?;
        all.extend(page);
        after = next;
        if after.is_none() {
            return Ok(all);
        }
    }
}

/// The live secrets older than a day that no record of the table names.
pub(crate) async fn orphans<'a>(stack: &Stack, all: &'a [SecretInfo]) -> Result<Vec<&'a SecretInfo>, Failure> {
    let named = named_secrets(stack).await?;
    let old = stack.clock.now() - GRACE;
    let is_orphan =
        |secret: &&SecretInfo| !secret.deleted && secret.created_at < old && !named.contains(&secret.secret_id);
    Ok(all.iter().filter(is_orphan).collect())
}

/// The secrets that records name; an unreadable record may name any, so it is a failure.
async fn named_secrets(stack: &Stack) -> Result<HashSet<String>, Failure> {
    let mut named = HashSet::new();
    let mut after = None;
    loop {
        let page = stack.store.scan(after).await?;
        for record in page.records {
            let record = record.map_err(|error| {
                let advice = "Which secret it names is unknown: repair the record first (`hubspotctl status` lists it)";
                Failure::Unreachable(format!("{error}. {advice}"))
            })?;
            named.extend(record.pointer.map(|pointer| pointer.secret_id));
        }
        after = page.next;
        if after.is_none() {
            return Ok(named);
        }
    }
}
