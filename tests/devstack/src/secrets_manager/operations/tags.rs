//! Tags of secrets, which operators set.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::vault::Vault;
use super::{OperationResult, writes};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tag {
    secret_id: String,
    tags: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Untag {
    secret_id: String,
    tag_keys: Vec<String>,
}

pub(super) fn tag(vault: &mut Vault, input: Tag) -> OperationResult {
    change(vault, &input.secret_id, |tags| {
        tags.retain(|own| input.tags.iter().all(|new| new["Key"] != own["Key"]));
        tags.extend(input.tags);
    })
}

pub(super) fn untag(vault: &mut Vault, input: &Untag) -> OperationResult {
    change(vault, &input.secret_id, |tags| {
        tags.retain(|own| input.tag_keys.iter().all(|key| own["Key"] != **key));
    })
}

fn change(vault: &mut Vault, id: &str, change: impl FnOnce(&mut Vec<Value>)) -> OperationResult {
    let mut secret = writes::usable(vault, id)?;
    let mut tags = secret.tags.as_array().cloned().unwrap_or_default();
    change(&mut tags);
    secret.tags = Value::Array(tags);
    vault.write(&secret.name.clone(), Some(secret));
    Ok(json!({}))
}
