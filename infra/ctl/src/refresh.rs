//! `refresh`: new tokens for one integration, now, by the code of the functions.

use serde::Serialize;
use shared::access::{TokenRequest, Unusable};
use shared::integration::{AccountId, IntegrationId};
use shared::lease::Purpose;

use crate::exit::{Exit, Failure};
use crate::format_time::span;
use crate::output::Output;
use crate::select::{IntegrationSelector, Position, SelectedIntegration};
use crate::stack::{Stack, StackArgs};

/// How long the command waits and works, in milliseconds: as the schedule.
const TIME: i64 = 55_000;

#[derive(Serialize)]
struct RefreshResult {
    account_id: AccountId,
    integration_id: IntegrationId,
    outcome: &'static str,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_expires_at: Option<i64>,
}

pub(crate) async fn run(
    selector: &IntegrationSelector,
    stack_args: &StackArgs,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let stack = Stack::open(stack_args).await?;
    let SelectedIntegration { record, position } = selector.find(&stack).await?;
    if position == Position::Older {
        return Err(Failure::usage("only the newest integration of an account is refreshed; this one is older"));
    }
    let (account_id, integration_id) = (record.account_id.clone(), record.integration_id.clone());
    let now = stack.clock.now_millis();
    let current = record.pointer.as_ref().map(|pointer| pointer.secret_version.clone());
    // As if HubSpot had rejected them: they are refreshed however good they are.
    let need = TokenRequest {
        purpose: Purpose::Schedule,
        deadline: now + TIME,
        function_deadline: now + TIME,
        rejected: current.as_deref(),
    };
    let (outcome, detail, token_expires_at, end) = match stack.access.usable(record, &need).await {
        Ok(granted) => {
            let at = granted.version.tokens.expires_at;
            let outcome = if granted.refreshed { "refreshed" } else { "already_fresh" };
            (outcome, format!("the tokens are good for {}", span(at - stack.clock.now())), Some(at), Exit::Success)
        }
        Err(Unusable::Revoked) => {
            let text = "HubSpot no longer accepts the authorization. An admin of the account has to reconnect it";
            ("needs_reauthorization", text.to_owned(), None, Exit::Findings)
        }
        Err(Unusable::Gone) => ("gone", "it was disconnected meanwhile".to_owned(), None, Exit::Findings),
        Err(Unusable::Corrupt(cause)) => ("corrupt", cause, None, Exit::Findings),
        Err(Unusable::Misconfigured { cause, .. }) => {
            return Err(Failure::Unreachable(format!(
                "{cause}. `hubspotctl doctor` says what to do; nobody is marked for it"
            )));
        }
        Err(Unusable::Transient { retry_after, cause }) => {
            return Err(Failure::Unreachable(format!("{cause}. Try again in {}", span(retry_after))));
        }
    };
    let refreshed = RefreshResult { account_id, integration_id, outcome, detail, token_expires_at };
    output.result(&refreshed, || {
        format!("{} {}: {outcome}: {}", refreshed.account_id, refreshed.integration_id, refreshed.detail)
    })?;
    Ok(end)
}
