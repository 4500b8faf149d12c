//! `decommission`: deletes what `sam delete` leaves behind: the secrets that were made at run time, those that were
//! marked for deletion by the sweep among them.

use serde::Serialize;
use shared::store::operator::SecretInfo;

use crate::accounts::progress;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::prompt;
use crate::stack::{Stack, StackArgs};

#[derive(clap::Args, Debug)]
pub(crate) struct DecommissionArgs {
    /// Only counts
    #[arg(long)]
    dry_run: bool,
    /// The stack's name, where there is no terminal to ask for it
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
}

pub(crate) async fn run(args: &DecommissionArgs, stack_args: &StackArgs, output: &mut Output) -> Result<Exit, Failure> {
    let stack = Stack::open(stack_args).await?;
    let name = stack.settings.state.secret_prefix.clone();
    let secrets = all(&stack).await?;
    let marked_for_deletion = secrets.iter().filter(|secret| secret.deleted).count();
    let mut counts = DecommissionCounts {
        outcome: "counted",
        stack: &name,
        secrets: secrets.len(),
        marked_for_deletion,
        deleted: 0,
        failed: 0,
    };
    output.result(&counts, || {
        let total = counts.secrets;
        format!("{total} secrets of integrations under {name}/integrations/, {marked_for_deletion} of them marked for deletion already.")
    })?;
    output.flush()?;
    if args.dry_run {
        return Ok(Exit::Success);
    }
    if stack.store.app_secret_key().await?.is_some() {
        return Err(Failure::usage(format!("the stack {name} still exists: `sam delete` first. Nothing was deleted")));
    }
    let typed = match &args.stack_name {
        Some(given) => given.clone(),
        None => prompt::line(
            "They are deleted for good: every customer would have to reconnect. The stack's name: ",
            "pass --stack-name NAME",
        )?,
    };
    if typed.trim() != name {
        return Err(Failure::usage("that is not the name of this stack. Nothing was deleted"));
    }
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
    output.result(&counts, || {
        let failed = match counts.failed {
            0 => String::new(),
            failed => format!(" {failed} could not be deleted: start the command again."),
        };
        format!(
            "{} secrets deleted.{failed} The tables and the key are still there: infra/DEPLOY.md, \"Removing\".",
            counts.deleted
        )
    })?;
    Ok(Exit::with_findings(counts.failed))
}

async fn all(stack: &Stack) -> Result<Vec<SecretInfo>, Failure> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let (page, next) = stack.store.all_secrets(after).await?;
        all.extend(page);
        after = next;
        if after.is_none() {
            return Ok(all);
        }
    }
}
