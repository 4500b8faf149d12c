//! The checks of AWS and HubSpot. None of them changes anything.

use jiff::fmt::rfc2822::DateTimeParser;
use shared::clients::Http;
use shared::error::Error;
use shared::integration::{AccountId, REFRESH_SHARDS};
use shared::lease::Lease;
use shared::token_error::TokenErrorKind;
use shared::tokens::AppCredentials;

use super::Finding;
use crate::exit::{advice, cause};
use crate::format_time::span;
use crate::health::OVERDUE;
use crate::stack::Stack;

/// The index of due integrations.
const INDEX: &str = "refresh-due";
/// An account id that no customer has.
const NOBODY: &str = "hubspotctl:doctor";

/// An AWS failure with a remedy.
pub(super) fn refused(check: &'static str, needs: &str, error: &Error) -> Finding {
    Finding::wrong(check, format!("{}. {}; the tool needs {needs}", cause(error), advice(error)))
}

pub(super) async fn table(stack: &Stack) -> Finding {
    let check = "table";
    let name = &stack.settings.state.integrations_table;
    match stack.store.table().await {
        Err(error) => refused(check, "dynamodb:DescribeTable", &error),
        Ok(None) => Finding::wrong(
            check,
            format!("there is no table {name} in this account and region: check --profile, --region and --stack"),
        ),
        Ok(Some(table)) if !table.active => Finding::wrong(
            check,
            format!("the table {name} is not active: it is being created, restored or deleted, or has lost its key"),
        ),
        Ok(Some(table)) if !table.indexes.iter().any(|index| index == INDEX) => Finding::wrong(
            check,
            format!(
                "the table {name} has no index {INDEX}, so nothing is refreshed on schedule: deploy the template again"
            ),
        ),
        Ok(Some(_)) => Finding::fine(check, format!("{name} is active and has its index {INDEX}")),
    }
}

pub(super) async fn reads(stack: &Stack) -> Finding {
    match nobody() {
        Ok(account) => match stack.store.newest(&account).await {
            Ok(_) => Finding::fine("reads", "records can be read"),
            Err(error) => refused("reads", "dynamodb:Query, GetItem and Scan, and the use of the table's key", &error),
        },
        Err(error) => refused("reads", "nothing", &error),
    }
}

pub(super) async fn writes(stack: &Stack) -> Finding {
    match nobody() {
        Ok(account) => match stack.store.may_write(&account).await {
            Ok(()) => Finding::fine("writes", "records can be written"),
            Err(error) => refused("writes", "dynamodb:UpdateItem, PutItem and DeleteItem", &error),
        },
        Err(error) => refused("writes", "nothing", &error),
    }
}

fn nobody() -> Result<AccountId, Error> {
    Ok(AccountId::try_from(NOBODY.to_owned())?)
}

pub(super) async fn secrets(stack: &Stack) -> Finding {
    match stack.store.all_secrets(None).await {
        Ok(_) => Finding::fine("secrets", "secrets can be listed"),
        Err(error) => refused(
            "secrets",
            "secretsmanager:ListSecrets, and Get-, Put-, Describe- and DeleteSecret of the prefix",
            &error,
        ),
    }
}

pub(super) async fn app_secret(stack: &Stack) -> Finding {
    let (check, name) = ("app secret", stack.store.app_secret_id());
    let text = match stack.store.app_secret().await {
        Ok(Some(text)) => text,
        Ok(None) => return Finding::wrong(check, format!("{name} has no value: `hubspotctl app-secret set`")),
        Err(error) => return refused(check, "secretsmanager:GetSecretValue of it, and the use of its key", &error),
    };
    match AppCredentials::parse(&text) {
        Err(wrong) => Finding::wrong(check, format!("{name}: {wrong}. Correct it with `hubspotctl app-secret set`")),
        Ok(app) if app.previous_client_secret.is_some() => Finding::fine(
            check,
            "valid. A rotation is in progress: finish it with `hubspotctl app-secret rotate --finish`",
        ),
        Ok(_) => Finding::fine(check, "valid"),
    }
}

pub(super) async fn hubspot(stack: &Stack) -> Finding {
    let check = "HubSpot";
    let Ok(Some(app)) = stack.store.app_credentials().await else {
        return Finding::wrong(check, "cannot be checked without the app secret");
    };
    match stack.hubspot.verify_credentials(&app.client_id, &app.client_secret).await {
        Ok(()) => Finding::fine(check, "reachable, and accepts the app's credentials"),
        Err(error) if error.kind == TokenErrorKind::InvalidClient => match &app.previous_client_secret {
            Some(previous) if stack.hubspot.verify_credentials(&app.client_id, previous).await.is_ok() => {
                Finding::fine(
                    check,
                    "reachable, and still accepts the previous client secret: make the new one the app's at HubSpot",
                )
            }
            Some(_) | None => Finding::wrong(
                check,
                "rejects the app's credentials: compare client id and secret with those of the app at HubSpot, then run \
                 `hubspotctl app-secret set`. No integration is marked for it",
            ),
        },
        Err(error) => Finding::wrong(
            check,
            format!(
                "unavailable: {}. See status.hubspot.com; no action is needed, executions refresh on use",
                error.cause
            ),
        ),
    }
}

/// Compares this machine's clock with HubSpot's: the tool takes leases by it, as the functions do.
pub(super) async fn clock(stack: &Stack) -> Finding {
    let check = "clock";
    let Some(theirs) = their_time(stack).await else {
        return Finding::fine(check, "cannot be compared: HubSpot sends no date");
    };
    // HubSpot's date has whole seconds.
    let apart = stack.clock.now().saturating_sub(theirs).saturating_abs();
    if apart <= Lease::SKEW {
        return Finding::fine(check, "agrees with HubSpot's");
    }
    let advice = "set it (NTP) before `refresh` or `import`, which take leases by it";
    Finding::wrong(check, format!("{} away from HubSpot's clock: {advice}", span(apart)))
}

async fn their_time(stack: &Stack) -> Option<i64> {
    let client = Http::new(stack.clock.clone()).ok()?.client().ok()?;
    let request = client.get(stack.settings.hubspot.api_url.clone()).timeout(stack.settings.hubspot.token_timeout);
    let response = request.send().await.ok()?;
    let date = response.headers().get("date")?.to_str().ok()?;
    Some(DateTimeParser::new().parse_timestamp(date).ok()?.as_second())
}

/// Checks that the schedule keeps up: how long the longest due integration has waited.
pub(super) async fn schedule(stack: &Stack) -> Finding {
    let (check, now) = ("schedule", stack.clock.now());
    let mut longest = None;
    for shard in 0..REFRESH_SHARDS {
        match stack.store.due(shard, now, None).await {
            Ok(page) => {
                let waited = page.due.first().map(|due| now.saturating_sub(due.refresh_at));
                longest = longest.into_iter().chain(waited).max();
            }
            Err(error) => return refused(check, "dynamodb:Query of the index refresh-due", &error),
        }
    }
    match longest {
        None => Finding::fine(check, "nothing is due"),
        Some(waited) if waited <= OVERDUE => {
            Finding::fine(check, format!("due integrations wait for {} at most", span(waited)))
        }
        Some(waited) => Finding::wrong(
            check,
            format!(
                "due integrations wait for {}: token-refresh does not run or does not keep up. See its log and the runbooks \
                 schedule-did-not-run and refresh-lagging",
                span(waited)
            ),
        ),
    }
}
