//! `integrations list`.

use serde::Serialize;
use shared::error::Error;
use shared::integration::{Integration, Status};

use crate::accounts::{AccountScan, ScanItem, UnreadableRecord};
use crate::exit::{Exit, Failure};
use crate::format_time::since;
use crate::output::Output;
use crate::select::{Position, account_id};
use crate::stack::{Stack, StackArgs};

#[derive(clap::Args, Debug)]
pub(crate) struct ListArgs {
    /// Only newest integrations that an admin has to reconnect
    #[arg(long)]
    needs_reauthorization: bool,
    /// Only the integrations of this account
    #[arg(long)]
    account: Option<String>,
}

/// One integration, without its tokens.
#[derive(Serialize)]
pub(super) struct IntegrationRow<'a> {
    account_id: &'a str,
    integration_id: &'a str,
    sequence: i64,
    runs_automations: bool,
    status: Status,
    status_reason: Option<&'a str>,
    status_since: Option<i64>,
    hub_id: Option<u64>,
    created_at: i64,
    last_used_at: Option<i64>,
    token_expires_at: Option<i64>,
    refresh_at: Option<i64>,
}

impl<'a> IntegrationRow<'a> {
    pub(super) fn of(record: &'a Integration, position: Position) -> Self {
        Self {
            account_id: record.account_id.as_str(),
            integration_id: record.integration_id.as_str(),
            sequence: record.sequence,
            runs_automations: position == Position::Newest,
            status: record.status,
            status_reason: record.status_reason.as_deref(),
            status_since: record.status_since,
            hub_id: record.hub_id,
            created_at: record.created_at,
            last_used_at: record.last_used_at,
            token_expires_at: Some(record.token_expires_at).filter(|at| *at > 0),
            refresh_at: record.refresh_at,
        }
    }

    /// The status with its reason.
    pub(super) fn status_text(&self) -> String {
        match self.status {
            Status::Active => "active".to_owned(),
            Status::NeedsReauthorization => {
                format!("needs_reauthorization ({})", self.status_reason.unwrap_or("unknown"))
            }
        }
    }

    fn text(&self, now: i64) -> String {
        let place = if self.runs_automations { "newest" } else { "older " };
        let status = self.status_text();
        let portal = self.hub_id.map_or("-".to_owned(), |portal| portal.to_string());
        let used = self.last_used_at.map_or("never".to_owned(), |at| since(at, now));
        let created = since(self.created_at, now);
        format!(
            "{} {} {place} {status} portal {portal}, connected {created}, last used {used}",
            self.account_id, self.integration_id
        )
    }
}

pub(super) async fn run(args: &ListArgs, stack_args: &StackArgs, output: &mut Output) -> Result<Exit, Failure> {
    let account = args.account.as_deref().map(account_id).transpose()?;
    let stack = Stack::open(stack_args).await?;
    let mut unreadable_records = 0;
    match account {
        Some(account) => match stack.store.all(&account).await {
            Ok(records) if records.is_empty() => {
                return Err(Failure::usage(format!("account {account} has no integration")));
            }
            Ok(records) => show(args, &records, stack.clock.now(), output)?,
            Err(Error::Internal(cause)) => {
                unreadable_records += 1;
                UnreadableRecord::of(cause).show(output)?;
            }
            Err(error) => return Err(error.into()),
        },
        None => {
            let mut accounts = AccountScan::of(&stack.store);
            while let Some(item) = accounts.next().await? {
                match item {
                    ScanItem::Account(_, records) => show(args, &records, stack.clock.now(), output)?,
                    ScanItem::Unreadable(record) => {
                        unreadable_records += 1;
                        record.show(output)?;
                    }
                }
            }
        }
    }
    Ok(Exit::with_findings(unreadable_records))
}

fn show(args: &ListArgs, records: &[Integration], now: i64, output: &mut Output) -> Result<(), Failure> {
    for (index, record) in records.iter().enumerate() {
        // An older one that has given up its tokens is marked too, and needs no action.
        if args.needs_reauthorization && (index > 0 || record.status != Status::NeedsReauthorization) {
            continue;
        }
        let row = IntegrationRow::of(record, Position::at(index));
        output.result("integration", &row, || vec![row.text(now)])?;
    }
    Ok(())
}
