//! `sweep`: lists, then deletes the secrets that no integration names any more. A crash between two writes leaves one.
//!
//! Deleted secrets can be restored for a week. If more than a few percent of all secrets would go, the table is more
//! likely wrong than the secrets (emptied, recreated, restored to an earlier time), so the stack's name must be typed.

use serde::Serialize;
use shared::error::Error;
use shared::store::operator::SecretInfo;

use crate::exit::{Exit, Failure};
use crate::format_time::{counted, date};
use crate::operator::Operator;
use crate::output::Output;
use crate::prompt::{self, Confirm, confirm};
use crate::secrets;
use crate::stack::{Stack, StackArgs};

/// The largest share of all secrets that is deleted without the stack's name, in percent.
const PLAUSIBLE_PERCENT: usize = 5;

#[derive(clap::Args, Debug)]
pub(crate) struct SweepArgs {
    /// List orphaned secrets without deleting them
    #[arg(long)]
    dry_run: bool,
    /// The stack's name, required if more than 5 percent of all secrets would be deleted
    #[arg(long, value_name = "NAME")]
    stack_name: Option<String>,
    #[command(flatten)]
    confirm: Confirm,
}

/// A secret that no record names.
#[derive(Serialize)]
struct OrphanedSecret {
    secret_id: String,
    created_at: i64,
    account_id: Option<String>,
    integration_id: Option<String>,
}

#[derive(Serialize)]
struct SweepTotals {
    outcome: &'static str,
    secrets: usize,
    orphaned: usize,
    deleted: usize,
    failed: usize,
    /// None if nothing was to be changed.
    #[serde(flatten)]
    operator: Option<Operator>,
}

pub(crate) async fn run(args: &SweepArgs, stack_args: &StackArgs, output: &mut Output) -> Result<Exit, Failure> {
    let stack = Stack::open(stack_args).await?;
    let all = secrets::all(&stack).await?;
    let mut orphans = Vec::new();
    for candidate in secrets::orphans(&stack, &all).await? {
        orphans.extend(verified(&stack, candidate).await?);
    }
    let now = stack.clock.now();
    for orphan in &orphans {
        output.result("orphaned_secret", orphan, || {
            let whose = match (&orphan.account_id, &orphan.integration_id) {
                (Some(account), Some(integration)) => format!("of {account} {integration}"),
                _ => "unreadable".to_owned(),
            };
            vec![format!("{} {whose}, created {}", orphan.secret_id, date(orphan.created_at, now))]
        })?;
    }
    let secrets = all.iter().filter(|secret| !secret.deleted).count();
    let mut totals =
        SweepTotals { outcome: "listed", secrets, orphaned: orphans.len(), deleted: 0, failed: 0, operator: None };
    if args.dry_run || orphans.is_empty() {
        show(&totals, output)?;
        return Ok(Exit::with_findings(orphans.len()));
    }
    totals.operator = Some(Operator::identify(&stack, output).await?);
    approve(args, &stack, &totals)?;
    for orphan in &orphans {
        match stack.store.discard_secret(&orphan.secret_id).await {
            Ok(()) => totals.deleted += 1,
            Err(_) => totals.failed += 1,
        }
    }
    totals.outcome = "deleted";
    show(&totals, output)?;
    Ok(Exit::with_findings(totals.failed))
}

/// Reads once more, strongly consistent, whether a record of the secret's account names it.
async fn verified(stack: &Stack, candidate: &SecretInfo) -> Result<Option<OrphanedSecret>, Failure> {
    let mut orphan = OrphanedSecret {
        secret_id: candidate.secret_id.clone(),
        created_at: candidate.created_at,
        account_id: None,
        integration_id: None,
    };
    match stack.store.current_tokens(&candidate.secret_id).await {
        Ok(None) => return Ok(None),
        Ok(Some(tokens)) => {
            let records = stack.store.all(&tokens.account_id).await?;
            let named = records.iter().filter_map(|record| record.pointer.as_ref());
            if named.into_iter().any(|pointer| pointer.secret_id == candidate.secret_id) {
                return Ok(None);
            }
            orphan.account_id = Some(tokens.account_id.to_string());
            orphan.integration_id = Some(tokens.integration_id.to_string());
        }
        // It holds no tokens that anything could use.
        Err(Error::Internal(_)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(Some(orphan))
}

/// Asks before anything is deleted; for an implausible share, for the stack's name.
fn approve(args: &SweepArgs, stack: &Stack, totals: &SweepTotals) -> Result<(), Failure> {
    let orphans = counted(totals.orphaned, "secret");
    if totals.orphaned * 100 <= totals.secrets * PLAUSIBLE_PERCENT {
        return confirm(&format!("Delete {orphans}? They can be restored for 7 days."), &args.confirm);
    }
    let name = &stack.settings.state.secret_prefix;
    let warning = format!(
        "{} of {} would be deleted, more than {PLAUSIBLE_PERCENT} percent: is the table {} complete, and that of this \
         stack?",
        totals.orphaned,
        counted(totals.secrets, "secret"),
        stack.settings.state.integrations_table
    );
    let typed = match &args.stack_name {
        Some(given) => given.clone(),
        None => prompt::line(
            &format!("{warning} To delete them all the same, type the stack's name: "),
            &format!("{warning} To delete them all the same, pass --stack-name NAME. Nothing was deleted"),
        )?,
    };
    if typed.trim() == name { Ok(()) } else { Err(Failure::usage("not the name of this stack. Nothing was deleted")) }
}

fn show(totals: &SweepTotals, output: &mut Output) -> Result<(), Failure> {
    output.result("sweep", totals, || {
        let found = format!("{} of {} orphaned", totals.orphaned, counted(totals.secrets, "secret"));
        let ended = match (totals.outcome, totals.failed) {
            ("deleted", 0) => format!(", {} deleted; they can be restored for 7 days.", totals.deleted),
            ("deleted", failed) => format!(", {} deleted, {failed} not: run the command again.", totals.deleted),
            _ => ".".to_owned(),
        };
        vec![format!("{found}{ended}")]
    })
}
