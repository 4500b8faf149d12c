//! `status`: what is the matter with an account, in one line.

use serde::Serialize;
use shared::error::Error;
use shared::integration::{AccountId, Integration, IntegrationId, Status};

use crate::accounts::{AccountScan, ScanItem};
use crate::exit::{Exit, Failure};
use crate::health::{self, HealthStatus, NextExecution};
use crate::output::Output;
use crate::select::{Position, account_id};
use crate::stack::{Stack, StackArgs};

#[derive(clap::Args, Debug)]
pub(crate) struct StatusArgs {
    /// Which accounts; none: all of the table, of which only those are shown with which something is the matter
    #[arg(value_name = "ACCOUNT")]
    accounts: Vec<String>,
    /// Shows the sound ones of the whole table too
    #[arg(long, conflicts_with = "accounts")]
    all: bool,
}

/// One line.
#[derive(Serialize)]
struct AccountStatus {
    account_id: String,
    matter: HealthStatus,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    newest: Option<NewestIntegration>,
}

#[derive(Serialize)]
struct NewestIntegration {
    integration_id: IntegrationId,
    hub_id: Option<u64>,
    status: Status,
    older_instances: usize,
    token_expires_at: i64,
    refresh_at: Option<i64>,
    next_execution: NextExecution,
}

/// The last line of a walk through the table.
#[derive(Default, Serialize)]
struct StatusTotals {
    accounts: usize,
    with_a_matter: usize,
}

pub(crate) async fn run(args: &StatusArgs, stack_args: &StackArgs, output: &mut Output) -> Result<Exit, Failure> {
    let accounts: Result<Vec<_>, _> = args.accounts.iter().map(|account| account_id(account)).collect();
    let (accounts, stack) = (accounts?, Stack::open(stack_args).await?);
    if accounts.is_empty() {
        return scan(args, &stack, output).await;
    }
    let mut findings = 0;
    for account_id in accounts {
        let line = inspect(&stack, account_id).await?;
        findings += usize::from(line.matter != HealthStatus::Sound);
        show(&line, output)?;
        output.flush()?;
    }
    Ok(Exit::with_findings(findings))
}

async fn scan(args: &StatusArgs, stack: &Stack, output: &mut Output) -> Result<Exit, Failure> {
    let (mut accounts, mut totals) = (AccountScan::of(&stack.store), StatusTotals::default());
    while let Some(met) = accounts.next().await? {
        let line = match met {
            ScanItem::Account(account_id, records) => {
                totals.accounts += 1;
                judged(account_id, &records, stack.clock.now())
            }
            ScanItem::Unreadable(detail) => {
                AccountStatus { account_id: String::new(), matter: HealthStatus::Corrupt, detail, newest: None }
            }
        };
        let sound = line.matter == HealthStatus::Sound;
        totals.with_a_matter += usize::from(!sound);
        if args.all || !sound {
            show(&line, output)?;
        }
    }
    output.result(&totals, || {
        format!("{} accounts, something is the matter with {}", totals.accounts, totals.with_a_matter)
    })?;
    Ok(Exit::with_findings(totals.with_a_matter))
}

/// One account, its tokens included.
async fn inspect(stack: &Stack, account_id: AccountId) -> Result<AccountStatus, Failure> {
    let corrupt = |account_id: &AccountId, detail: String| AccountStatus {
        account_id: account_id.to_string(),
        matter: HealthStatus::Corrupt,
        detail,
        newest: None,
    };
    let records = match stack.store.all(&account_id).await {
        Ok(records) => records,
        Err(Error::Internal(cause)) => return Ok(corrupt(&account_id, cause)),
        Err(error) => return Err(error.into()),
    };
    let mut line = judged(account_id, &records, stack.clock.now());
    if line.matter == HealthStatus::Sound
        && let Some(newest) = records.first()
        && let Some(wrong) = wrong_tokens(stack, newest).await?
    {
        (line.matter, line.detail) = (HealthStatus::Corrupt, wrong);
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

fn judged(account_id: AccountId, records: &[Integration], now: i64) -> AccountStatus {
    let account_id = account_id.to_string();
    let Some(newest) = records.first() else {
        let detail = "there is no integration. An admin of the account has to connect HubSpot".to_owned();
        return AccountStatus { account_id, matter: HealthStatus::NotConnected, detail, newest: None };
    };
    let (matter, detail) = health::of(newest, now);
    let newest = NewestIntegration {
        integration_id: newest.integration_id.clone(),
        hub_id: newest.hub_id,
        status: newest.status,
        older_instances: records.len() - 1,
        token_expires_at: newest.token_expires_at,
        refresh_at: newest.refresh_at,
        next_execution: health::next(newest, Position::Newest, now),
    };
    AccountStatus { account_id, matter, detail, newest: Some(newest) }
}

fn show(line: &AccountStatus, output: &mut Output) -> Result<(), Failure> {
    output.result(line, || {
        let which = line.newest.as_ref().map_or(String::new(), |newest| {
            let portal = newest.hub_id.map_or("-".to_owned(), |portal| portal.to_string());
            format!(" [{}, portal {portal}, {} older]", newest.integration_id, newest.older_instances)
        });
        let account = if line.account_id.is_empty() { "-" } else { &line.account_id };
        format!("{account}: {}: {}{which}", line.matter.as_str(), line.detail)
    })
}
