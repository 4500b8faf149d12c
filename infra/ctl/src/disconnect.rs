//! `disconnect`: deletes an integration and its tokens, as the dashboard's route does.

use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::prompt::{Confirm, confirm};
use crate::select::{Position, SelectedIntegration, find};
use crate::stack::{Stack, StackArgs};

#[derive(clap::Args, Debug)]
pub(crate) struct DisconnectArgs {
    /// Whose
    account: String,
    /// Its id
    integration: String,
    #[command(flatten)]
    yes: Confirm,
}

#[derive(Serialize)]
struct DisconnectResult<'a> {
    account_id: &'a str,
    integration_id: &'a str,
    outcome: &'static str,
    /// What is left behind, and by whom it is done.
    notes: Vec<String>,
}

pub(crate) async fn run(args: &DisconnectArgs, stack_args: &StackArgs, output: &mut Output) -> Result<Exit, Failure> {
    let stack = Stack::open(stack_args).await?;
    let SelectedIntegration { record, position } = find(&stack, &args.account, Some(&args.integration)).await?;
    let effect = match position {
        Position::Newest => {
            "It is the newest, which runs the account's automations; the one before it, if any, takes its place."
        }
        Position::Older => "It is an older instance and runs nothing.",
    };
    confirm(
        &format!("Disconnect {} of {}? {effect} Its tokens are deleted for good.", args.integration, args.account),
        &args.yes,
    )?;
    let left = stack.store.disconnect(&record, stack.clock.now()).await?;
    let mut notes = Vec::new();
    if let Some((secret_id, _)) = &left.secret {
        notes.push(format!("the secret {secret_id} could not be deleted: the schedule sweeps it within three days"));
    }
    if left.previous.is_some() {
        notes.push("the previous instance is refreshed on use".to_owned());
    }
    let done = DisconnectResult {
        account_id: record.account_id.as_str(),
        integration_id: record.integration_id.as_str(),
        outcome: "disconnected",
        notes,
    };
    output.result(&done, || {
        let notes: String = done.notes.iter().map(|note| format!("; {note}")).collect();
        format!("{} {}: disconnected{notes}", done.account_id, done.integration_id)
    })?;
    Ok(Exit::Success)
}
