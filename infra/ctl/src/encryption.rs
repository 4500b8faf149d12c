//! The key that new secrets are encrypted with.

use shared::error::Error;

use crate::stack::Stack;

/// The key of the app secret if it is customer-managed and `SECRETS_KMS_KEY` is not set: a secret created now would get
/// the AWS account's default key for good.
pub(crate) async fn missing_key(stack: &Stack) -> Result<Option<String>, Error> {
    if stack.settings.state.secrets_kms_key.is_some() {
        return Ok(None);
    }
    Ok(stack.store.app_secret_key().await?.flatten())
}

/// Compares the names of two keys: a key is named by its ARN or by its id.
pub(crate) fn is_same_key(one: &str, other: &str) -> bool {
    one.rsplit('/').next() == other.rsplit('/').next()
}
