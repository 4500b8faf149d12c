//! `status`: the health of accounts, one line each.

use serde::Serialize;
use shared::error::Error;
use shared::integration::{AccountId, Integration, IntegrationId, Status};
use shared::store::operator::PendingAuthorization;

use crate::accounts::{AccountScan, ScanItem, UnreadableRecord};
use crate::exit::{Exit, Failure, advice, cause};
use crate::format_time::{counted, date};
use crate::health::{self, HealthStatus, NextExecution};
use crate::output::Output;
use crate::select::{Position, account_id};
use crate::stack::{Stack, StackArgs};

#[derive(clap::Args, Debug)]
pub(crate) struct StatusArgs {
    /// The accounts [default: every account that needs attention]
    #[arg(value_name = "ACCOUNT")]
    accounts: Vec<String>,
    /// Show healthy accounts too
    #[arg(long, conflicts_with = "accounts")]
    all: bool,
}

/// The health of one account.
#[derive(Serialize)]
struct AccountStatus {
    account_id: String,
    health: HealthStatus,
    detail: String,
    newest: Option<NewestIntegration>,
    /// None if they were not looked up.
    pending_authorizations: Option<Vec<PendingAuthorization>>,
}

#[derive(Serialize)]
struct NewestIntegration {
    integration_id: IntegrationId,
    hub_id: Option<u64>,
    status: Status,
    older_instances: usize,
    token_expires_at: Option<i64>,
    refresh_at: Option<i64>,
    next_execution: NextExecution,
}

/// The last line of a scan.
#[derive(Default, Serialize)]
struct StatusTotals {
    accounts: usize,
    with_issues: usize,
}

pub(crate) async fn run(args: &StatusArgs, stack_args: &StackArgs, output: &mut Output) -> Result<Exit, Failure> {
    let accounts: Result<Vec<_>, _> = args.accounts.iter().map(|account| account_id(account)).collect();
    let accounts = accounts?;
    let stack = Stack::open(stack_args).await?;
    if accounts.is_empty() {
        return scan(args, &stack, output).await;
    }
    let mut findings = 0;
    for account_id in accounts {
        findings += inspect(&stack, account_id, output).await?;
        output.flush()?;
    }
    Ok(Exit::with_findings(findings))
}

async fn scan(args: &StatusArgs, stack: &Stack, output: &mut Output) -> Result<Exit, Failure> {
    let mut accounts = AccountScan::of(&stack.store);
    let mut totals = StatusTotals::default();
    while let Some(item) = accounts.next().await? {
        match item {
            ScanItem::Account(account_id, records) => {
                totals.accounts += 1;
                let status = AccountStatus::of(account_id, &records, stack);
                totals.with_issues += status.findings();
                if args.all || status.findings() > 0 {
                    status.show(stack.clock.now(), output)?;
                }
            }
            ScanItem::Unreadable(record) => {
                totals.with_issues += 1;
                record.show(output)?;
            }
        }
    }
    output.result("status_summary", &totals, || {
        vec![format!("{}, {} with issues", counted(totals.accounts, "account"), totals.with_issues)]
    })?;
    Ok(Exit::with_findings(totals.with_issues))
}

/// Shows one account, its tokens included; returns the number of findings.
async fn inspect(stack: &Stack, account_id: AccountId, output: &mut Output) -> Result<usize, Failure> {
    let records = match stack.store.all(&account_id).await {
        Ok(records) => records,
        Err(Error::Internal(cause)) => {
            UnreadableRecord::of(cause).show(output)?;
            return Ok(1);
        }
        Err(error) => return Err(error.into()),
    };
    let mut status = AccountStatus::of(account_id, &records, stack);
    if status.health == HealthStatus::Healthy
        && let Some(newest) = records.first()
        && let Some(inconsistency) = inconsistent_tokens(stack, newest).await?
    {
        (status.health, status.detail) = (HealthStatus::Corrupt, inconsistency);
    }
    status.pending_authorizations = pending_authorizations(stack, &status.account_id, output).await?;
    status.show(stack.clock.now(), output)?;
    Ok(status.findings())
}

/// The authorizations that were started and never came back. They explain an account that does not get connected, but
/// its status does not depend on them.
async fn pending_authorizations(
    stack: &Stack,
    account: &str,
    output: &Output,
) -> Result<Option<Vec<PendingAuthorization>>, Failure> {
    let Some(table) = &stack.settings.authorizations_table else { return Ok(None) };
    match stack.store.pending_authorizations(table, &account_id(account)?).await {
        Ok(pending) => Ok(Some(pending)),
        Err(error) => {
            output.warn(&format!("authorizations are not shown: {}. {}", cause(&error), advice(&error)));
            Ok(None)
        }
    }
}

/// The inconsistency of the tokens that a record points at, if any.
pub(crate) async fn inconsistent_tokens(stack: &Stack, record: &Integration) -> Result<Option<String>, Failure> {
    let Some(pointer) = &record.pointer else { return Ok(None) };
    let advice = "An admin of the account has to reconnect it";
    Ok(match stack.store.secret_version(pointer).await {
        Ok(Some(tokens)) if tokens.belong_to(record) => None,
        Ok(Some(_)) => Some(format!("its secret belongs to another account or integration. {advice}")),
        Ok(None) => Some(format!(
            "the secret version that it points at is not in Secrets Manager. If this is still so in a minute: {advice}"
        )),
        Err(Error::Internal(_)) => Some(format!("its secret does not parse. {advice}")),
        Err(error) => return Err(error.into()),
    })
}

impl AccountStatus {
    fn of(account_id: AccountId, records: &[Integration], stack: &Stack) -> Self {
        let (now, config) = (stack.clock.now(), &stack.settings.refresh);
        let account_id = account_id.to_string();
        let Some(newest) = records.first() else {
            let detail = "no integration. An admin of the account has to connect HubSpot".to_owned();
            let health = HealthStatus::NotConnected;
            return Self { account_id, health, detail, newest: None, pending_authorizations: None };
        };
        let (health, detail) = health::of(newest, now, config);
        let newest = NewestIntegration {
            integration_id: newest.integration_id.clone(),
            hub_id: newest.hub_id,
            status: newest.status,
            older_instances: records.len() - 1,
            token_expires_at: Some(newest.token_expires_at).filter(|at| *at > 0),
            refresh_at: newest.refresh_at,
            next_execution: health::next(newest, Position::Newest, now, config),
        };
        Self { account_id, health, detail, newest: Some(newest), pending_authorizations: None }
    }

    fn findings(&self) -> usize {
        usize::from(self.health != HealthStatus::Healthy)
    }

    fn show(&self, now: i64, output: &mut Output) -> Result<(), Failure> {
        output.result("account", self, || {
            let newest = self.newest.as_ref().map_or(String::new(), |newest| {
                let portal = newest.hub_id.map_or("-".to_owned(), |portal| portal.to_string());
                format!(" [{}, portal {portal}, {} older]", newest.integration_id, newest.older_instances)
            });
            let mut lines = vec![format!("{}: {}: {}{newest}", self.account_id, self.health.as_str(), self.detail)];
            lines.extend(self.pending_authorizations.iter().flatten().map(|pending| {
                let expiry = date(pending.expires_at, now);
                format!("  {} started by {} never came back: expires {expiry}", pending.kind, pending.user_id)
            }));
            lines
        })
    }
}
