//! `refresh`: refreshes the tokens of one integration now, by the code of the functions.

use serde::Serialize;
use shared::access::TokenRequest;
use shared::integration::{AccountId, IntegrationId};
use shared::refresh_policy::Purpose;
use shared::token_error::{TokenError, TokenErrorKind};

use crate::exit::{Exit, Failure};
use crate::format_time::span;
use crate::operator::Operator;
use crate::output::Output;
use crate::select::{IntegrationSelector, Position, SelectedIntegration};
use crate::stack::{Stack, StackArgs};

/// Time for the command, in milliseconds: that of the schedule.
const TIME: i64 = 55_000;

#[derive(Serialize)]
struct RefreshResult {
    account_id: AccountId,
    integration_id: IntegrationId,
    outcome: &'static str,
    detail: String,
    token_expires_at: Option<i64>,
    #[serde(flatten)]
    operator: Operator,
}

/// How the refresh ended.
struct RefreshAnswer {
    outcome: &'static str,
    detail: String,
    token_expires_at: Option<i64>,
    exit: Exit,
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
    let operator = Operator::identify(&stack, output).await?;
    let stack = stack.acting_as(&operator.acted_by);
    let (account_id, integration_id) = (record.account_id.clone(), record.integration_id.clone());
    let now = stack.clock.now_millis();
    let current = record.pointer.as_ref().map(|pointer| pointer.secret_version.clone());
    // Treated as rejected by HubSpot, so that they are refreshed however long they remain valid.
    let need = TokenRequest {
        purpose: Purpose::Schedule,
        deadline: now + TIME,
        function_deadline: now + TIME,
        rejected: current.as_deref(),
    };
    let RefreshAnswer { outcome, detail, token_expires_at, exit } = match stack.access.usable(record, &need).await {
        Ok(granted) => {
            let at = granted.version.tokens.expires_at;
            let outcome = if granted.refreshed { "refreshed" } else { "already_fresh" };
            let detail = format!("the tokens are valid for {}", span(at.saturating_sub(stack.clock.now())));
            RefreshAnswer { outcome, detail, token_expires_at: Some(at), exit: Exit::Success }
        }
        Err(error) => refused(error)?,
    };
    let result = RefreshResult { account_id, integration_id, outcome, detail, token_expires_at, operator };
    output.result("refresh", &result, || {
        vec![format!("{} {}: {outcome}: {}", result.account_id, result.integration_id, result.detail)]
    })?;
    Ok(exit)
}

fn refused(error: TokenError) -> Result<RefreshAnswer, Failure> {
    let (outcome, detail) = match error.kind {
        TokenErrorKind::Revoked => (
            "needs_reauthorization",
            "HubSpot no longer accepts the authorization. An admin of the account has to reconnect it".to_owned(),
        ),
        TokenErrorKind::Gone => ("gone", "it has just been disconnected".to_owned()),
        TokenErrorKind::Corrupt => ("corrupt", error.cause),
        TokenErrorKind::InvalidClient | TokenErrorKind::Misconfigured => {
            return Err(Failure::Unreachable(format!(
                "{}. `hubspotctl doctor` says what to do; no integration is marked for it",
                error.cause
            )));
        }
        TokenErrorKind::Transient | TokenErrorKind::AnswerLost => {
            let wait = span(error.wait());
            return Err(Failure::Unreachable(format!("{}. Try again in {wait}", error.cause)));
        }
    };
    Ok(RefreshAnswer { outcome, detail, token_expires_at: None, exit: Exit::Findings })
}
