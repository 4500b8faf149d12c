//! Operations that change secrets.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::rand::{SecureRandom, SystemRandom};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::vault::{Secret, SecretValue, Vault, Version};
use super::{Named, OperationError, OperationResult, marked_deleted, no_secret, refuse, seconds, with_stages, written};

/// 64 KiB.
const LARGEST_VALUE: usize = 65_536;
const DAY: i64 = 24 * 3600 * 1000;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Create {
    name: String,
    client_request_token: Option<String>,
    description: Option<String>,
    kms_key_id: Option<String>,
    secret_string: Option<String>,
    secret_binary: Option<String>,
    #[serde(default)]
    tags: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Put {
    secret_id: String,
    client_request_token: Option<String>,
    secret_string: Option<String>,
    secret_binary: Option<String>,
    version_stages: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Update {
    secret_id: String,
    client_request_token: Option<String>,
    description: Option<String>,
    kms_key_id: Option<String>,
    secret_string: Option<String>,
    secret_binary: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct MoveStage {
    secret_id: String,
    version_stage: String,
    remove_from_version_id: Option<String>,
    move_to_version_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Delete {
    secret_id: String,
    recovery_window_in_days: Option<i64>,
    force_delete_without_recovery: Option<bool>,
}

pub(super) fn create(vault: &mut Vault, input: Create) -> OperationResult {
    let token = token(input.client_request_token)?;
    let value = value(input.secret_string, input.secret_binary)?;
    if let Some(existing) = vault.latest(&input.name) {
        return create_again(&existing, &token, value.as_ref());
    }
    let now = vault.clock.now_millis();
    let version = |value| Version { id: token.clone(), value, labels: vec!["AWSCURRENT".to_owned()], created_at: now };
    let secret = Secret {
        arn: arn(&input.name),
        name: input.name.clone(),
        kms_key_id: input.kms_key_id,
        description: input.description,
        tags: input.tags,
        created_at: now,
        deletion_at: None,
        versions: value.map(version).into_iter().collect(),
    };
    let answer = written(&secret, secret.current());
    vault.write(&input.name, Some(secret));
    Ok(answer)
}

/// A repeated CreateSecret is a success if it is the same one.
fn create_again(existing: &Secret, token: &str, value: Option<&SecretValue>) -> OperationResult {
    if existing.deletion_at.is_some() {
        let words = "You can't create this secret because a secret with this name is already scheduled for deletion.";
        return refuse("InvalidRequestException", words);
    }
    match existing.version(token) {
        Some(version) if value == Some(&version.value) => Ok(written(existing, Some(version))),
        _ => {
            let words = format!("The operation failed because the secret {} already exists.", existing.name);
            refuse("ResourceExistsException", &words)
        }
    }
}

pub(super) fn put(vault: &mut Vault, input: Put) -> OperationResult {
    let token = token(input.client_request_token)?;
    let Some(value) = value(input.secret_string, input.secret_binary)? else {
        return refuse("InvalidRequestException", "You must provide either SecretString or SecretBinary.");
    };
    let mut secret = usable(vault, &input.secret_id)?;
    if let Some(version) = secret.version(&token) {
        return if version.value == value {
            Ok(with_stages(written(&secret, Some(version)), version))
        } else {
            let words = format!(
                "You can't use ClientRequestToken {token} because that value is already in use for a version of secret {}.",
                secret.arn
            );
            refuse("ResourceExistsException", &words)
        };
    }
    let now = vault.clock.now_millis();
    if !secret.make_room(now) {
        return refuse("LimitExceededException", "The secret has too many versions, and none of them is old enough.");
    }
    let first = secret.versions.is_empty();
    secret.versions.push(Version { id: token.clone(), value, labels: Vec::new(), created_at: now });
    let by_default = input.version_stages.is_none();
    let mut stages = input.version_stages.unwrap_or_else(|| vec!["AWSCURRENT".to_owned()]);
    if first && !stages.iter().any(|stage| stage == "AWSCURRENT") {
        stages.push("AWSCURRENT".to_owned());
    }
    if by_default && let Some(former) = secret.current().map(|version| version.id.clone()) {
        secret.unlabel(&former, "AWSPENDING");
    }
    for stage in &stages {
        secret.label(&token, stage);
    }
    let answer = secret.version(&token).map(|version| with_stages(written(&secret, Some(version)), version));
    vault.write(&secret.name.clone(), Some(secret));
    Ok(answer.unwrap_or_default())
}

/// Changes what is given; a value becomes a new version, as by PutSecretValue.
pub(super) fn update(vault: &mut Vault, input: Update) -> OperationResult {
    let token = token(input.client_request_token)?;
    let mut secret = usable(vault, &input.secret_id)?;
    secret.description = input.description.or(secret.description);
    secret.kms_key_id = input.kms_key_id.or(secret.kms_key_id);
    let answer = written(&secret, None);
    vault.write(&secret.name.clone(), Some(secret));
    if input.secret_string.is_none() && input.secret_binary.is_none() {
        return Ok(answer);
    }
    let value = Put {
        secret_id: input.secret_id,
        client_request_token: Some(token),
        secret_string: input.secret_string,
        secret_binary: input.secret_binary,
        version_stages: None,
    };
    let mut answer = put(vault, value)?;
    if let Some(members) = answer.as_object_mut() {
        members.remove("VersionStages");
    }
    Ok(answer)
}

pub(super) fn move_stage(vault: &mut Vault, input: MoveStage) -> OperationResult {
    let mut secret = usable(vault, &input.secret_id)?;
    let holder = secret.labelled(&input.version_stage).map(|version| version.id.clone());
    if let Some(holder) = &holder
        && Some(holder) != input.remove_from_version_id.as_ref()
        && Some(holder) != input.move_to_version_id.as_ref()
    {
        let stage = &input.version_stage;
        let words = format!(
            "The parameter RemoveFromVersionId can't be empty. Staging label {stage} is currently attached to version \
             {holder}, so you must explicitly reference that version in RemoveFromVersionId."
        );
        return refuse("InvalidParameterException", &words);
    }
    match &input.move_to_version_id {
        Some(id) if secret.version(id).is_none() => {
            return refuse("ResourceNotFoundException", "Secrets Manager can't find the specified secret version.");
        }
        Some(id) => secret.label(&id.clone(), &input.version_stage),
        None if input.version_stage == "AWSCURRENT" => {
            return refuse(
                "InvalidParameterException",
                "You can only move staging label AWSCURRENT to another version.",
            );
        }
        None => {
            if let Some(holder) = holder {
                secret.unlabel(&holder, &input.version_stage);
            }
        }
    }
    let answer = json!({ "ARN": secret.arn, "Name": secret.name });
    vault.write(&secret.name.clone(), Some(secret));
    Ok(answer)
}

pub(super) fn delete(vault: &mut Vault, input: Delete) -> OperationResult {
    let force = input.force_delete_without_recovery.unwrap_or(false);
    let days = match (input.recovery_window_in_days, force) {
        (Some(_), true) => {
            let words = "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.";
            return refuse("InvalidParameterException", words);
        }
        (Some(days), false) if !(7..=30).contains(&days) => {
            let words = "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).";
            return refuse("InvalidParameterException", words);
        }
        (days, _) => days.unwrap_or(30),
    };
    let (now, name) = (vault.clock.now_millis(), vault.name(&input.secret_id));
    if force {
        // One that is not there is a success too, so that a repeated call is.
        let known = vault.latest(&name);
        let arn = known.as_ref().map_or_else(|| arn(&name), |secret| secret.arn.clone());
        if known.is_some() {
            vault.write(&name, None);
        }
        return Ok(json!({ "ARN": arn, "Name": name, "DeletionDate": seconds(now) }));
    }
    let mut secret = usable(vault, &input.secret_id)?;
    let at = now + days * DAY;
    secret.deletion_at = Some(at);
    let answer = json!({ "ARN": secret.arn, "Name": secret.name, "DeletionDate": seconds(at) });
    vault.write(&name, Some(secret));
    Ok(answer)
}

pub(super) fn restore(vault: &mut Vault, input: &Named) -> OperationResult {
    let name = vault.name(&input.secret_id);
    let mut secret = vault.latest(&name).map(|secret| Secret::clone(&secret)).ok_or_else(no_secret)?;
    secret.deletion_at = None;
    let answer = json!({ "ARN": secret.arn, "Name": secret.name });
    vault.write(&name, Some(secret));
    Ok(answer)
}

/// The secret as a write finds it.
pub(super) fn usable(vault: &Vault, id: &str) -> Result<Secret, OperationError> {
    let secret = vault.latest(&vault.name(id)).ok_or_else(no_secret)?;
    if secret.deletion_at.is_some() {
        return marked_deleted();
    }
    Ok(Secret::clone(&secret))
}

fn token(given: Option<String>) -> Result<String, OperationError> {
    match given {
        None => {
            let words = "You must provide a ClientRequestToken value. We recommend a UUID-type value.";
            refuse("InvalidRequestException", words)
        }
        Some(token) if (32..=64).contains(&token.chars().count()) => Ok(token),
        Some(_) => refuse("InvalidParameterException", "ClientRequestToken must be 32-64 characters long."),
    }
}

fn value(text: Option<String>, binary: Option<String>) -> Result<Option<SecretValue>, OperationError> {
    let (value, size) = match (text, binary) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            let words = "You can't specify both a binary secret value and a string secret value in the same secret.";
            return refuse("InvalidParameterException", words);
        }
        (Some(text), None) => {
            let size = text.len();
            (SecretValue::Text(text), size)
        }
        (None, Some(binary)) => match STANDARD.decode(&binary) {
            Ok(bytes) => (SecretValue::Binary(binary), bytes.len()),
            Err(_) => return refuse("SerializationException", "SecretBinary is not base64."),
        },
    };
    if !(1..=LARGEST_VALUE).contains(&size) {
        let words = "1 validation error detected: the secret value must have a length between 1 and 65536";
        return refuse("ValidationException", words);
    }
    Ok(Some(value))
}

fn arn(name: &str) -> String {
    let mut random = [0; 6];
    let _ = SystemRandom::new().fill(&mut random);
    let end: String = random.iter().map(|byte| char::from(b'a' + byte % 26)).collect();
    format!("arn:aws:secretsmanager:eu-central-1:000000000000:secret:{name}-{end}")
}
