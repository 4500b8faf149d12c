//! `integrations list`.

use serde::Serialize;
use shared::error::Error;
use shared::integration::{Integration, Status};

use crate::accounts::{AccountScan, ScanItem};
use crate::exit::{Exit, Failure};
use crate::format_time::since;
use crate::output::Output;
use crate::select::account_id;
use crate::stack::{Stack, StackArgs};

#[derive(clap::Args, Debug)]
pub(crate) struct ListArgs {
    /// Only the newest of their accounts that an admin has to reconnect
    #[arg(long)]
    needs_reauthorization: bool,
    /// Only those of this account
    #[arg(long)]
    account: Option<String>,
}

#[derive(Serialize)]
struct IntegrationRow<'a> {
    account_id: &'a str,
    integration_id: &'a str,
    sequence: i64,
    runs_automations: bool,
    status: Status,
    status_reason: Option<&'a str>,
    hub_id: Option<u64>,
    created_at: i64,
    last_used_at: Option<i64>,
    token_expires_at: i64,
    refresh_at: Option<i64>,
}

pub(super) async fn run(args: &ListArgs, stack_args: &StackArgs, output: &mut Output) -> Result<Exit, Failure> {
    let account = args.account.as_deref().map(account_id).transpose()?;
    let stack = Stack::open(stack_args).await?;
    let mut unreadable_records = 0;
    match account {
        Some(account) => match stack.store.all(&account).await {
            Ok(records) => show(args, &records, stack.clock.now(), output)?,
            Err(Error::Internal(cause)) => unreadable_records += unreadable(&cause, output)?,
            Err(error) => return Err(error.into()),
        },
        None => {
            let mut accounts = AccountScan::of(&stack.store);
            while let Some(met) = accounts.next().await? {
                match met {
                    ScanItem::Account(_, records) => show(args, &records, stack.clock.now(), output)?,
                    ScanItem::Unreadable(cause) => unreadable_records += unreadable(&cause, output)?,
                }
            }
        }
    }
    Ok(Exit::with_findings(unreadable_records))
}

fn unreadable(cause: &str, output: &mut Output) -> Result<usize, Failure> {
    output.result(&serde_json::json!({ "error": cause }), || cause.to_owned())?;
    Ok(1)
}

fn show(args: &ListArgs, records: &[Integration], now: i64, output: &mut Output) -> Result<(), Failure> {
    for (at, record) in records.iter().enumerate() {
        // An older one that has given up its tokens is marked too, and nobody has to act on it.
        if args.needs_reauthorization && (at > 0 || record.status != Status::NeedsReauthorization) {
            continue;
        }
        let row = IntegrationRow {
            account_id: record.account_id.as_str(),
            integration_id: record.integration_id.as_str(),
            sequence: record.sequence,
            runs_automations: at == 0,
            status: record.status,
            status_reason: record.status_reason.as_deref(),
            hub_id: record.hub_id,
            created_at: record.created_at,
            last_used_at: record.last_used_at,
            token_expires_at: record.token_expires_at,
            refresh_at: record.refresh_at,
        };
        output.result(&row, || text(&row, now))?;
    }
    Ok(())
}

fn text(row: &IntegrationRow<'_>, now: i64) -> String {
    let place = if row.runs_automations { "newest" } else { "older " };
    let status = match (row.status, row.status_reason) {
        (Status::Active, _) => "active".to_owned(),
        (Status::NeedsReauthorization, reason) => format!("needs_reauthorization ({})", reason.unwrap_or("unknown")),
    };
    let portal = row.hub_id.map_or("-".to_owned(), |portal| portal.to_string());
    let used = row.last_used_at.map_or("never".to_owned(), |at| since(at, now));
    let created = since(row.created_at, now);
    format!(
        "{} {} {place} {status} portal {portal}, connected {created}, last used {used}",
        row.account_id, row.integration_id
    )
}
