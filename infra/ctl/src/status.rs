//! `status`: what is the matter with an account, in one line.

use serde::Serialize;
use shared::error::Error;
use shared::integration::{AccountId, Integration, IntegrationId, Status};

use crate::accounts::{Accounts, Met};
use crate::cli::Global;
use crate::end::{End, Failure};
use crate::health::{self, Matter, Next};
use crate::output::Output;
use crate::stack::Stack;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Which accounts; none: all of the table, of which only those are shown with which something is the matter
    #[arg(value_name = "ACCOUNT")]
    accounts: Vec<String>,
    /// Shows the sound ones of the whole table too
    #[arg(long, conflicts_with = "accounts")]
    all: bool,
}

/// One line.
#[derive(Serialize)]
struct Line {
    account_id: String,
    matter: Matter,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    newest: Option<Newest>,
}

#[derive(Serialize)]
struct Newest {
    integration_id: IntegrationId,
    hub_id: Option<u64>,
    status: Status,
    older_instances: usize,
    token_expires_at: i64,
    refresh_at: Option<i64>,
    next_execution: Next,
}

/// The last line of a walk through the table.
#[derive(Default, Serialize)]
struct Totals {
    accounts: usize,
    with_a_matter: usize,
}

pub(crate) async fn run(args: &Args, global: &Global, output: &mut Output) -> Result<End, Failure> {
    let accounts: Result<Vec<_>, _> = args.accounts.iter().map(|account| account_id(account)).collect();
    let (accounts, stack) = (accounts?, Stack::open(global).await?);
    if accounts.is_empty() {
        return walk(args.all, &stack, output).await;
    }
    let mut findings = false;
    for account_id in accounts {
        let line = look(&stack, account_id).await?;
        findings |= line.matter != Matter::Sound;
        show(&line, output)?;
        output.flush()?;
    }
    Ok(End::of(findings))
}

/// An account's id of the command line.
pub(crate) fn account_id(text: &str) -> Result<AccountId, Failure> {
    AccountId::try_from(text.to_owned()).map_err(|error| Failure::usage(error.to_string()))
}

async fn walk(all: bool, stack: &Stack, output: &mut Output) -> Result<End, Failure> {
    let (mut accounts, mut totals) = (Accounts::of(&stack.store), Totals::default());
    while let Some(met) = accounts.next().await? {
        let line = match met {
            Met::Account(account_id, records) => {
                totals.accounts += 1;
                judged(account_id, &records, stack.clock.now())
            }
            Met::Unreadable(detail) => {
                Line { account_id: String::new(), matter: Matter::Corrupt, detail, newest: None }
            }
        };
        let sound = line.matter == Matter::Sound;
        totals.with_a_matter += usize::from(!sound);
        if all || !sound {
            show(&line, output)?;
        }
    }
    output.result(&totals, || {
        format!("{} accounts, something is the matter with {}", totals.accounts, totals.with_a_matter)
    })?;
    Ok(End::of(totals.with_a_matter > 0))
}

/// One account, its tokens included.
async fn look(stack: &Stack, account_id: AccountId) -> Result<Line, Failure> {
    let corrupt = |account_id: &AccountId, detail: String| Line {
        account_id: account_id.to_string(),
        matter: Matter::Corrupt,
        detail,
        newest: None,
    };
    let records = match stack.store.all(&account_id).await {
        Ok(records) => records,
        Err(Error::Internal(cause)) => return Ok(corrupt(&account_id, cause)),
        Err(error) => return Err(error.into()),
    };
    let mut line = judged(account_id, &records, stack.clock.now());
    if line.matter == Matter::Sound
        && let Some(newest) = records.first()
        && let Some(wrong) = wrong_tokens(stack, newest).await?
    {
        (line.matter, line.detail) = (Matter::Corrupt, wrong);
    }
    Ok(line)
}

/// What is wrong with the tokens that a record points at, if anything.
pub(crate) async fn wrong_tokens(stack: &Stack, record: &Integration) -> Result<Option<String>, Failure> {
    let Some(pointer) = &record.pointer else { return Ok(None) };
    let advice = "An admin of the account has to reconnect it";
    Ok(match stack.store.secret_version(pointer).await {
        Ok(Some(tokens)) if tokens.belong_to(record) => None,
        Ok(Some(_)) => Some(format!("its secret belongs to another account or integration. {advice}")),
        Ok(None) => Some(format!(
            "the version that it points at is not in Secrets Manager. If that is so in a minute too: {advice}"
        )),
        Err(Error::Internal(_)) => Some(format!("its secret does not parse. {advice}")),
        Err(error) => return Err(error.into()),
    })
}

fn judged(account_id: AccountId, records: &[Integration], now: i64) -> Line {
    let account_id = account_id.to_string();
    let Some(newest) = records.first() else {
        let detail = "there is no integration. An admin of the account has to connect HubSpot".to_owned();
        return Line { account_id, matter: Matter::NotConnected, detail, newest: None };
    };
    let (matter, detail) = health::of(newest, now);
    let newest = Newest {
        integration_id: newest.integration_id.clone(),
        hub_id: newest.hub_id,
        status: newest.status,
        older_instances: records.len() - 1,
        token_expires_at: newest.token_expires_at,
        refresh_at: newest.refresh_at,
        next_execution: health::next(newest, true, now),
    };
    Line { account_id, matter, detail, newest: Some(newest) }
}

fn show(line: &Line, output: &mut Output) -> Result<(), Failure> {
    output.result(line, || {
        let which = line.newest.as_ref().map_or(String::new(), |newest| {
            let portal = newest.hub_id.map_or("-".to_owned(), |portal| portal.to_string());
            format!(" [{}, portal {portal}, {} older]", newest.integration_id, newest.older_instances)
        });
        let account = if line.account_id.is_empty() { "-" } else { &line.account_id };
        format!("{account}: {}: {}{which}", line.matter.word(), line.detail)
    })
}
