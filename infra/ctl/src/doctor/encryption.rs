//! The checks of the key that encrypts table and secrets.

use super::Finding;
use super::checks::refused;
use crate::encryption::{is_same_key, missing_key};
use crate::exit::Failure;
use crate::format_time::counted;
use crate::secrets;
use crate::stack::Stack;

/// The key of table, app secret and `SECRETS_KMS_KEY`. A key that cannot be used shows in `reads` and `app secret` too.
pub(super) async fn key(stack: &Stack) -> Finding {
    let check = "key";
    let of_table = match stack.store.table().await {
        Ok(table) => table.and_then(|table| table.key),
        Err(error) => return refused(check, "dynamodb:DescribeTable", &error),
    };
    let (of_app, missing) = match (stack.store.app_secret_key().await, missing_key(stack).await) {
        (Ok(key), Ok(missing)) => (key.flatten(), missing),
        (Err(error), _) | (_, Err(error)) => {
            return refused(check, "secretsmanager:DescribeSecret of the app secret", &error);
        }
    };
    if let Some(key) = missing {
        return Finding::wrong(
            check,
            format!("SECRETS_KMS_KEY is not set, and the app secret has the key {key}: {}", take_variables()),
        );
    }
    let expected = stack.settings.state.secrets_kms_key.as_deref();
    match (expected, of_table.as_deref().or(of_app.as_deref())) {
        (None, None) => Finding::fine(check, "AWS's own keys"),
        (None, Some(_)) => Finding::fine(check, "a customer-managed key for the table, AWS's own for secrets"),
        (Some(_), None) => Finding::fine(check, "that of SECRETS_KMS_KEY; table and app secret do not name theirs"),
        (Some(expected), Some(used)) if is_same_key(expected, used) => {
            Finding::fine(check, "one key for table and secrets")
        }
        (Some(_), Some(_)) => Finding::wrong(
            check,
            format!("SECRETS_KMS_KEY is not the key of the table or the app secret: {}", take_variables()),
        ),
    }
}

/// Checks that all secrets of integrations have the stack's key.
pub(super) async fn secrets(stack: &Stack) -> Finding {
    let check = "secret keys";
    let expected = match &stack.settings.state.secrets_kms_key {
        Some(key) => Some(key.clone()),
        None => match stack.store.app_secret_key().await {
            Ok(key) => key.flatten(),
            Err(error) => return refused(check, "secretsmanager:DescribeSecret of the app secret", &error),
        },
    };
    let Some(expected) = expected else { return Finding::fine(check, "the stack has no key of its own") };
    let all = match secrets::all(stack).await {
        Ok(all) => all,
        Err(failure) => return unknown(check, &failure),
    };
    let is_wrong = |key: Option<&str>| key.is_none_or(|key| !is_same_key(key, &expected));
    let mut wrong = all.iter().filter(|secret| !secret.deleted && is_wrong(secret.key.as_deref()));
    let Some(example) = wrong.next() else {
        return Finding::fine(check, format!("{} with the stack's key", counted(all.len(), "secret")));
    };
    Finding::wrong(
        check,
        format!(
            "{} of {} with another key than the stack's, {} for one: `aws secretsmanager update-secret --secret-id … \
             --kms-key-id {expected}` for each; later versions then have the stack's key",
            wrong.count() + 1,
            counted(all.len(), "secret"),
            example.secret_id
        ),
    )
}

/// A check that could not be made.
pub(super) fn unknown(check: &'static str, failure: &Failure) -> Finding {
    Finding::wrong(check, format!("unknown: {failure}"))
}

fn take_variables() -> &'static str {
    "take the variables from a function of this stack"
}
