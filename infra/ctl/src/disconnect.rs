//! `disconnect`: deletes an integration and its tokens, as the dashboard's route does.

use serde::Serialize;
use shared::error::Error;

use crate::exit::{Exit, Failure};
use crate::operator::Operator;
use crate::output::Output;
use crate::prompt::{Confirm, confirm};
use crate::select::{Position, SelectedIntegration, find};
use crate::stack::{Stack, StackArgs};

#[derive(clap::Args, Debug)]
pub(crate) struct DisconnectArgs {
    /// The account
    account: String,
    /// The integration's id
    integration: String,
    #[command(flatten)]
    confirm: Confirm,
}

#[derive(Serialize)]
struct DisconnectResult<'a> {
    account_id: &'a str,
    integration_id: &'a str,
    outcome: &'static str,
    /// Remaining cleanup and who does it.
    notes: Vec<String>,
    #[serde(flatten)]
    operator: Operator,
}

pub(crate) async fn run(args: &DisconnectArgs, stack_args: &StackArgs, output: &mut Output) -> Result<Exit, Failure> {
    let stack = Stack::open(stack_args).await?;
    let SelectedIntegration { record, position } = find(&stack, &args.account, Some(&args.integration)).await?;
    let operator = Operator::identify(&stack, output).await?;
    let effect = match position {
        Position::Newest => {
            "It is the newest and runs the account's automations; the previous one, if any, replaces it."
        }
        Position::Older => "It is an older instance and runs no automations.",
    };
    confirm(
        &format!("Disconnect {} of {}? {effect} Its tokens are deleted permanently.", args.integration, args.account),
        &args.confirm,
    )?;
    let left = stack.store.disconnect(&record, &operator.acted_by, stack.clock.now()).await?;
    let mut notes = Vec::new();
    match &left.secret {
        Some((secret_id, Error::Internal(_))) => notes.push(format!(
            "the secret {secret_id} was left: it is named for another integration. If none has it, \
             `hubspotctl sweep` deletes it after a day"
        )),
        Some((secret_id, _)) => notes
            .push(format!("the secret {secret_id} could not be deleted: `hubspotctl sweep` deletes it after a day")),
        None => {}
    }
    if left.previous.is_some() {
        notes.push("the previous integration will refresh on use".to_owned());
    }
    let result = DisconnectResult {
        account_id: record.account_id.as_str(),
        integration_id: record.integration_id.as_str(),
        outcome: "disconnected",
        notes,
        operator,
    };
    output.result("disconnect", &result, || {
        let notes: String = result.notes.iter().map(|note| format!("; {note}")).collect();
        vec![format!("{} {}: disconnected{notes}", result.account_id, result.integration_id)]
    })?;
    Ok(Exit::Success)
}
