//! `refresh`: new tokens for one integration, now, by the code of the functions.

use serde::Serialize;
use shared::access::{TokenRequest, Unusable};
use shared::integration::{AccountId, IntegrationId};
use shared::refresh_policy::Purpose;

use crate::cli::Global;
use crate::end::{End, Failure};
use crate::integrations::{Found, Which};
use crate::output::Output;
use crate::stack::Stack;
use crate::times::span;

/// How long the command waits and works, in milliseconds: as the schedule.
const TIME: i64 = 55_000;

#[derive(Serialize)]
struct Refreshed {
    account_id: AccountId,
    integration_id: IntegrationId,
    outcome: &'static str,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_expires_at: Option<i64>,
}

pub(crate) async fn run(which: &Which, global: &Global, output: &mut Output) -> Result<End, Failure> {
    let stack = Stack::open(global).await?;
    let Found { record, is_newest } = which.find(&stack).await?;
    if !is_newest {
        return Err(Failure::usage("only the newest integration of an account is refreshed: this one is older"));
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
            (outcome, format!("the tokens are good for {}", span(at - stack.clock.now())), Some(at), End::Fine)
        }
        Err(Unusable::Revoked) => {
            let text = "HubSpot no longer accepts the authorization. An admin of the account has to reconnect it";
            ("needs_reauthorization", text.to_owned(), None, End::Findings)
        }
        Err(Unusable::Gone) => ("gone", "it was disconnected meanwhile".to_owned(), None, End::Findings),
        Err(Unusable::Corrupt(cause)) => ("corrupt", cause, None, End::Findings),
        Err(Unusable::Misconfigured { cause, .. }) => {
            return Err(Failure::Unreachable(format!(
                "{cause}. `hubspotctl doctor` says what to do; nobody is marked for it"
            )));
        }
        Err(Unusable::Transient { retry_after, cause }) => {
            return Err(Failure::Unreachable(format!("{cause}. Try again in {}", span(retry_after))));
        }
    };
    let refreshed = Refreshed { account_id, integration_id, outcome, detail, token_expires_at };
    output.result(&refreshed, || {
        format!("{} {}: {outcome}: {}", refreshed.account_id, refreshed.integration_id, refreshed.detail)
    })?;
    Ok(end)
}
