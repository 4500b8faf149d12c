//! What is looked at, one thing after another. None of it changes anything.

use jiff::fmt::rfc2822::DateTimeParser;
use shared::clients::Http;
use shared::error::Error;
use shared::hubspot::Refusal;
use shared::integration::{AccountId, REFRESH_SHARDS};
use shared::lease::Lease;
use shared::tokens::AppCredentials;

use super::Finding;
use crate::health::OVERDUE;
use crate::stack::Stack;
use crate::times::span;

/// The index of due integrations.
const INDEX: &str = "refresh-due";
/// An account that nobody has.
const NOBODY: &str = "hubspotctl:doctor";

/// What AWS did not do, and what may help.
fn refused(check: &'static str, needs: &str, error: &Error) -> Finding {
    Finding::wrong(check, format!("{error}. Check credentials, region and network; the tool needs {needs}"))
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
            format!("the table {name} cannot be used now: it is being made, restored or deleted, or has lost its key"),
        ),
        Ok(Some(table)) if !table.indexes.iter().any(|index| index == INDEX) => Finding::wrong(
            check,
            format!("the table {name} has no index {INDEX}, so nothing is refreshed: deploy the template again"),
        ),
        Ok(Some(_)) => Finding::fine(check, format!("{name} can be used and has its index {INDEX}")),
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
    AccountId::try_from(NOBODY.to_owned())
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

/// The key that encrypts all of it. A key that cannot be used shows in `reads` and `app secret` too.
pub(super) async fn key(stack: &Stack) -> Finding {
    let check = "key";
    let of_table = match stack.store.table().await {
        Ok(table) => table.and_then(|table| table.key),
        Err(error) => return refused(check, "dynamodb:DescribeTable", &error),
    };
    let of_app = match stack.store.app_secret_key().await {
        Ok(key) => key.flatten(),
        Err(error) => return refused(check, "secretsmanager:DescribeSecret of the app secret", &error),
    };
    let expected = stack.settings.state.secrets_kms_key.as_deref();
    // A key is named by its ARN or by its id.
    let same = |one: &str, other: &str| one.rsplit('/').next() == other.rsplit('/').next();
    match (expected, of_table.as_deref().or(of_app.as_deref())) {
        (None, None) => Finding::fine(check, "AWS's own keys"),
        (None, Some(_)) => Finding::fine(
            check,
            "a key of ours. SECRETS_KMS_KEY is not set here: `import` needs it (the variables of oauth-callback have it)",
        ),
        (Some(_), None) => Finding::fine(check, "the one of SECRETS_KMS_KEY; table and app secret do not name theirs"),
        (Some(expected), Some(used)) if same(expected, used) => Finding::fine(check, "one key for table and secrets"),
        (Some(_), Some(_)) => Finding::wrong(
            check,
            "SECRETS_KMS_KEY is not the key of the table or the app secret: take the variables of one stack",
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
        Err(wrong) => Finding::wrong(check, format!("{name}: {wrong}. `hubspotctl app-secret set` puts it right")),
        Ok(app) if app.previous_client_secret.is_some() => Finding::fine(
            check,
            "its shape is right. A rotation is under way: `hubspotctl app-secret rotate --finish` ends it",
        ),
        Ok(_) => Finding::fine(check, "its shape is right"),
    }
}

pub(super) async fn hubspot(stack: &Stack) -> Finding {
    let check = "HubSpot";
    let Ok(Some(app)) = stack.store.app_credentials().await else {
        return Finding::wrong(check, "cannot be asked without the app secret");
    };
    match stack.hubspot.knows(&app.client_id, &app.client_secret).await {
        Ok(()) => Finding::fine(check, "is reachable and knows the app's credentials"),
        Err(Refusal::Misconfigured { .. }) => match &app.previous_client_secret {
            Some(previous) if stack.hubspot.knows(&app.client_id, previous).await.is_ok() => Finding::fine(
                check,
                "is reachable and still takes the previous client secret: make the new one the app's there",
            ),
            Some(_) | None => Finding::wrong(
                check,
                "refuses the app's credentials: compare client id and secret with those of the app at HubSpot, then \
                 `hubspotctl app-secret set`. No integration is marked for it",
            ),
        },
        Err(Refusal::Transient { cause, .. } | Refusal::Lost { cause }) => Finding::wrong(
            check,
            format!(
                "does not answer: {cause}. Look at status.hubspot.com; nothing has to be done, executions refresh on use"
            ),
        ),
        Err(Refusal::Revoked) => Finding::fine(check, "is reachable"),
    }
}

/// Whether this machine's clock agrees with HubSpot's: the tool takes leases as the functions do.
pub(super) async fn clock(stack: &Stack) -> Finding {
    let check = "clock";
    let Some(theirs) = their_time(stack).await else {
        return Finding::fine(check, "could not be compared: HubSpot does not tell the time");
    };
    // Their clock has whole seconds.
    let apart = (stack.clock.now() - theirs).abs();
    match apart > Lease::SKEW {
        false => Finding::fine(check, "agrees with HubSpot's"),
        true => Finding::wrong(
            check,
            format!(
                "is {} away from HubSpot's: set it (NTP) before `refresh` or `import`, which take leases by it",
                span(apart)
            ),
        ),
    }
}

async fn their_time(stack: &Stack) -> Option<i64> {
    let client = Http::new(stack.clock.clone()).ok()?.client().ok()?;
    let request = client.get(stack.settings.hubspot.api_url.clone()).timeout(stack.settings.hubspot.token_timeout);
    let response = request.send().await.ok()?;
    let date = response.headers().get("date")?.to_str().ok()?;
    Some(DateTimeParser::new().parse_timestamp(date).ok()?.as_second())
}

/// Whether the schedule comes round: how long the longest due integration has waited.
pub(super) async fn schedule(stack: &Stack) -> Finding {
    let (check, now) = ("schedule", stack.clock.now());
    let mut longest = None;
    for shard in 0..REFRESH_SHARDS {
        match stack.store.due(shard, now, None).await {
            Ok(page) => longest = longest.into_iter().chain(page.due.first().map(|due| now - due.refresh_at)).max(),
            Err(error) => return refused(check, "dynamodb:Query of the index refresh-due", &error),
        }
    }
    match longest {
        None => Finding::fine(check, "nothing is due"),
        Some(waited) if waited <= OVERDUE => {
            Finding::fine(check, format!("what is due waits for {} at most", span(waited)))
        }
        Some(waited) => Finding::wrong(
            check,
            format!(
                "what is due waits for {}: token-refresh does not run or does not end its work. Look at its log and at the \
                 runbooks schedule-did-not-run and refresh-lagging",
                span(waited)
            ),
        ),
    }
}
