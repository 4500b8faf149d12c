//! `decommission`: deletes permanently what `sam delete` leaves behind: the secrets that were created at run time,
//! those marked for deletion among them.

use serde::Serialize;
use shared::integration::Integration;

use crate::accounts::progress;
use crate::exit::{Exit, Failure};
use crate::format_time::{counted, span};
use crate::operator::Operator;
use crate::output::Output;
use crate::prompt;
use crate::secrets;
use crate::stack::{Stack, StackArgs};

/// A table written within this time may belong to a stack that still works, in seconds.
const RECENT: i64 = 3_600;
/// The lifetime of HubSpot's access tokens: an expiry tells when they were written, in seconds.
const TOKEN_LIFETIME: i64 = 1_800;

#[derive(clap::Args, Debug)]
pub(crate) struct DecommissionArgs {
    /// Count without deleting
    #[arg(long)]
    dry_run: bool,
    /// The stack's name, instead of typing it
    #[arg(long, value_name = "NAME")]
    stack_name: Option<String>,
}

#[derive(Serialize)]
struct DecommissionCounts<'a> {
    outcome: &'static str,
    stack: &'a str,
    secrets: usize,
    marked_for_deletion: usize,
    deleted: usize,
    failed: usize,
    /// None if nothing was to be changed.
    #[serde(flatten)]
    operator: Option<Operator>,
}

pub(crate) async fn run(args: &DecommissionArgs, stack_args: &StackArgs, output: &mut Output) -> Result<Exit, Failure> {
    let stack = Stack::open(stack_args).await?;
    let authorizations_table = stack.settings.authorizations_table.as_deref().ok_or_else(|| {
        Failure::usage(
            "AUTHORIZATIONS_TABLE is not set: without this table's name a stack that still exists is not recognized. \
             The variables of oauth-callback have it (`hubspotctl --help`), and CloudFormation's events of a deleted \
             stack. Nothing was deleted",
        )
    })?;
    let name = stack.settings.state.secret_prefix.clone();
    let secrets = secrets::all(&stack).await?;
    let marked_for_deletion = secrets.iter().filter(|secret| secret.deleted).count();
    let mut counts = DecommissionCounts {
        outcome: "counted",
        stack: &name,
        secrets: secrets.len(),
        marked_for_deletion,
        deleted: 0,
        failed: 0,
        operator: None,
    };
    show(&counts, output)?;
    if args.dry_run {
        return Ok(Exit::Success);
    }
    if let Some(sign) = sign_of_life(&stack, authorizations_table).await? {
        return Err(Failure::usage(format!("the stack {name} may still exist: {sign}. Nothing was deleted")));
    }
    counts.operator = Some(Operator::identify(&stack, output).await?);
    approve(args, &name)?;
    let bar = progress("secrets deleted");
    for secret in &secrets {
        match stack.store.delete_secret(&secret.secret_id).await {
            Ok(()) => counts.deleted += 1,
            Err(_) => counts.failed += 1,
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    counts.outcome = "deleted";
    show(&counts, output)?;
    Ok(Exit::with_findings(counts.failed))
}

/// Why the stack seems to exist still, if it does. `sam delete` deletes the app secret and the table of authorizations;
/// the table of integrations stays, and nothing writes it any more.
async fn sign_of_life(stack: &Stack, authorizations_table: &str) -> Result<Option<String>, Failure> {
    if stack.store.app_secret_key().await?.is_some() {
        return Ok(Some(format!("its secret {} is there; run `sam delete` first", stack.store.app_secret_id())));
    }
    if stack.store.table_exists(authorizations_table).await? {
        return Ok(Some(format!("its table {authorizations_table} is there; run `sam delete` first")));
    }
    if !stack.store.table_exists(&stack.settings.state.integrations_table).await? {
        return Ok(None);
    }
    let now = stack.clock.now();
    let mut after = None;
    loop {
        let page = stack.store.scan(after).await?;
        let latest = page.records.iter().flatten().map(|record| written_at(record, now)).max().unwrap_or(0);
        if latest > now - RECENT {
            let table = &stack.settings.state.integrations_table;
            let ago = span(now.saturating_sub(latest));
            return Ok(Some(format!(
                "its table {table} was written {ago} ago; run `sam delete` first, and this command an hour after the last write"
            )));
        }
        after = page.next;
        if after.is_none() {
            return Ok(None);
        }
    }
}

/// The latest time at which a record is known to have been written.
fn written_at(record: &Integration, now: i64) -> i64 {
    let connected = if record.sequence > 0 { record.created_at } else { 0 };
    let refreshed = record.token_expires_at.saturating_sub(TOKEN_LIFETIME);
    let times = [record.last_used_at, record.superseded_at, record.lease_until, record.cooldown_until];
    let noted = times.into_iter().flatten().max().unwrap_or(0).min(now);
    connected.max(refreshed).max(noted)
}

fn approve(args: &DecommissionArgs, name: &str) -> Result<(), Failure> {
    let typed = match &args.stack_name {
        Some(given) => given.clone(),
        None => prompt::line(
            "All secrets are deleted permanently: every customer would have to reconnect. Type the stack's name: ",
            "pass --stack-name NAME",
        )?,
    };
    if typed.trim() == name { Ok(()) } else { Err(Failure::usage("not the name of this stack. Nothing was deleted")) }
}

fn show(counts: &DecommissionCounts<'_>, output: &mut Output) -> Result<(), Failure> {
    output.result("decommission", counts, || {
        let (secrets, stack) = (counted(counts.secrets, "secret"), counts.stack);
        if counts.outcome == "counted" {
            let marked = counts.marked_for_deletion;
            return vec![format!(
                "{secrets} under {stack}/integrations/, {marked} of them already marked for deletion."
            )];
        }
        let failed = match counts.failed {
            0 => String::new(),
            failed => format!(" {failed} could not be deleted: run the command again."),
        };
        vec![format!(
            "{} deleted.{failed} The tables and the key remain: infra/DEPLOY.md, \"Removing\".",
            counted(counts.deleted, "secret")
        )]
    })?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_table_was_written_lately_whatever_else_its_records_hold() {
        for (changes, expected) in [
            (json!({}), 500),
            (json!({"token_expires_at": i64::MIN}), 500),
            (json!({"token_expires_at": i64::MAX}), i64::MAX - TOKEN_LIFETIME),
            (json!({"last_used_at": i64::MIN, "lease_until": i64::MAX}), 1_000),
        ] {
            let mut record = json!({
                "account_id": "a", "sequence": 1, "integration_id": "i", "created_at": 500, "status": "active",
            });
            record.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            let record = serde_json::from_value(record).unwrap();

            assert_eq!(written_at(&record, 1_000), expected, "{changes}");
        }
    }
}
