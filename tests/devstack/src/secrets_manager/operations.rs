//! The operations, with the rules and the words of AWS.

mod reads;
mod tags;
mod writes;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::vault::{Secret, Vault, Version};

/// An error of AWS: its name and what it says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OperationError(pub(super) &'static str, pub(super) String);

type OperationResult = Result<Value, OperationError>;

fn refuse<T>(name: &'static str, message: &str) -> Result<T, OperationError> {
    Err(OperationError(name, message.to_owned()))
}

/// Performs one call on the vault.
pub(super) fn perform(vault: &mut Vault, operation: &str, body: &Value) -> OperationResult {
    check_names(body)?;
    match operation {
        "CreateSecret" => writes::create(vault, read(body)?),
        "PutSecretValue" => writes::put(vault, read(body)?),
        "UpdateSecret" => writes::update(vault, read(body)?),
        "UpdateSecretVersionStage" => writes::move_stage(vault, read(body)?),
        "DeleteSecret" => writes::delete(vault, read(body)?),
        "RestoreSecret" => writes::restore(vault, &read(body)?),
        "TagResource" => tags::tag(vault, read(body)?),
        "UntagResource" => tags::untag(vault, &read(body)?),
        "GetSecretValue" => reads::get(vault, &read(body)?),
        "DescribeSecret" => reads::describe(vault, &read(body)?),
        "ListSecretVersionIds" => reads::list_versions(vault, &read(body)?),
        "ListSecrets" => reads::list(vault, &read(body)?),
        _ => refuse("UnknownOperationException", "The requested operation is not emulated."),
    }
}

/// Every operation refuses a name of other characters, before it looks for the secret.
fn check_names(body: &Value) -> Result<(), OperationError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"/_+=.@-!".contains(&byte);
    for name in ["Name", "SecretId"].iter().filter_map(|member| body[member].as_str()) {
        let legal = (1..=512).contains(&name.len()) && name.bytes().all(allowed);
        if !legal && !name.starts_with("arn:") {
            let words = "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!";
            return refuse("ValidationException", words);
        }
    }
    Ok(())
}

fn read<T: DeserializeOwned>(body: &Value) -> Result<T, OperationError> {
    // serde's own text could quote the value.
    T::deserialize(body).or_else(|_| refuse("ValidationException", "A member is missing or has the wrong type."))
}

/// A call that only names a secret.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    secret_id: String,
}

fn no_secret() -> OperationError {
    OperationError("ResourceNotFoundException", "Secrets Manager can't find the specified secret.".to_owned())
}

fn marked_deleted<T>() -> Result<T, OperationError> {
    let words = "You can't perform this operation on the secret because it was marked for deletion.";
    refuse("InvalidRequestException", words)
}

fn written(secret: &Secret, version: Option<&Version>) -> Value {
    let mut answer = json!({ "ARN": secret.arn, "Name": secret.name });
    if let Some(version) = version {
        answer["VersionId"] = json!(version.id);
    }
    answer
}

fn with_stages(mut answer: Value, version: &Version) -> Value {
    answer["VersionStages"] = json!(version.labels);
    answer
}

#[expect(clippy::cast_precision_loss, reason = "AWS sends times as floating-point seconds")]
fn seconds(millis: i64) -> Value {
    json!(millis as f64 / 1000.0)
}
