//! Read-only operations.

use serde::Deserialize;
use serde_json::{Value, json};

use super::super::vault::{Secret, SecretValue, Vault};
use super::{Named, OperationResult, marked_deleted, no_secret, refuse, seconds, with_stages, written};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Get {
    secret_id: String,
    version_id: Option<String>,
    version_stage: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListVersions {
    secret_id: String,
    include_deprecated: Option<bool>,
    max_results: Option<usize>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct List {
    max_results: Option<usize>,
    next_token: Option<String>,
    include_planned_deletion: Option<bool>,
    #[serde(default)]
    filters: Vec<ListFilter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListFilter {
    key: String,
    values: Vec<String>,
}

const FILTER_KEYS: [&str; 5] = ["all", "description", "name", "tag-key", "tag-value"];

impl ListFilter {
    /// A secret that begins with one of the values where the key says; values that begin with `!` exclude.
    fn selects(&self, secret: &Secret) -> bool {
        let tags = |member: &str| -> Vec<String> {
            let tags = secret.tags.as_array().into_iter().flatten();
            tags.filter_map(|tag| tag[member].as_str()).map(str::to_owned).collect()
        };
        let description = || secret.description.iter().flat_map(|text| text.split_whitespace()).map(str::to_owned);
        let texts = match self.key.as_str() {
            "name" => vec![secret.name.clone()],
            "description" => description().collect(),
            "tag-key" => tags("Key"),
            "tag-value" => tags("Value"),
            _ => [vec![secret.name.clone()], description().collect(), tags("Key"), tags("Value")].concat(),
        };
        // AWS distinguishes upper and lower case in names and tags only.
        let folds = ["all", "description"].contains(&self.key.as_str());
        let fold = |text: &str| if folds { text.to_lowercase() } else { text.to_owned() };
        let begins = |value: &str| texts.iter().any(|text| fold(text).starts_with(&fold(value)));
        self.values.iter().any(|value| value.strip_prefix('!').map_or_else(|| begins(value), |value| !begins(value)))
    }
}

pub(super) fn get(vault: &mut Vault, input: &Get) -> OperationResult {
    let secret = vault.visible(&vault.name(&input.secret_id)).ok_or_else(no_secret)?;
    if secret.deletion_at.is_some() {
        return marked_deleted();
    }
    let label = input.version_stage.as_deref();
    let found = match &input.version_id {
        Some(id) => secret.version(id),
        None => secret.labelled(label.unwrap_or("AWSCURRENT")),
    };
    let Some(version) = found else {
        let sought = match &input.version_id {
            Some(id) => format!("VersionId: {id}"),
            None => format!("staging label: {}", label.unwrap_or("AWSCURRENT")),
        };
        let words = format!("Secrets Manager can't find the specified secret value for {sought}");
        return refuse("ResourceNotFoundException", &words);
    };
    if label.is_some_and(|label| !version.labels.iter().any(|own| own == label)) {
        let words = "You provided a VersionStage that is not associated to the provided VersionId.";
        return refuse("InvalidRequestException", words);
    }
    let mut answer = with_stages(written(&secret, Some(version)), version);
    answer["CreatedDate"] = seconds(version.created_at);
    match &version.value {
        SecretValue::Text(text) => answer["SecretString"] = json!(text),
        SecretValue::Binary(text) => answer["SecretBinary"] = json!(text),
    }
    vault.note_access(&version.id);
    Ok(answer)
}

pub(super) fn describe(vault: &Vault, input: &Named) -> OperationResult {
    let secret = vault.visible(&vault.name(&input.secret_id)).ok_or_else(no_secret)?;
    Ok(entry(vault, &secret, "VersionIdsToStages"))
}

pub(super) fn list_versions(vault: &Vault, input: &ListVersions) -> OperationResult {
    let secret = vault.visible(&vault.name(&input.secret_id)).ok_or_else(no_secret)?;
    let deprecated = input.include_deprecated.unwrap_or(false);
    let listed = secret.versions.iter().filter(|version| deprecated || !version.labels.is_empty());
    let all = listed.map(|version| {
        let keys = [secret.kms_key_id.as_deref().unwrap_or("DefaultEncryptionKey")];
        let mut entry =
            json!({ "VersionId": version.id, "CreatedDate": seconds(version.created_at), "KmsKeyIds": keys });
        if !version.labels.is_empty() {
            entry["VersionStages"] = json!(version.labels);
        }
        if let Some(day) = vault.last_access(&version.id) {
            entry["LastAccessedDate"] = seconds(day);
        }
        entry
    });
    let mut answer = page("Versions", all.collect(), input.max_results, input.next_token.as_deref())?;
    answer["ARN"] = json!(secret.arn);
    answer["Name"] = json!(secret.name);
    Ok(answer)
}

pub(super) fn list(vault: &Vault, input: &List) -> OperationResult {
    if let Some(filter) = input.filters.iter().find(|filter| !FILTER_KEYS.contains(&filter.key.as_str())) {
        return refuse("InvalidParameterException", &format!("The filter key {} is not emulated.", filter.key));
    }
    let listed = |secret: &Secret| {
        let planned = input.include_planned_deletion.unwrap_or(false) || secret.deletion_at.is_none();
        planned && input.filters.iter().all(|filter| filter.selects(secret))
    };
    let visible = vault.all_visible();
    let all =
        visible.iter().filter(|secret| listed(secret)).map(|secret| entry(vault, secret, "SecretVersionsToStages"));
    page("SecretList", all.collect(), input.max_results, input.next_token.as_deref())
}

fn page(member: &str, all: Vec<Value>, most: Option<usize>, token: Option<&str>) -> OperationResult {
    let Ok(skip) = token.map_or(Ok(0), str::parse::<usize>) else {
        return refuse("InvalidNextTokenException", "The NextToken value is invalid.");
    };
    let most = most.unwrap_or(100);
    if !(1..=100).contains(&most) {
        return refuse("InvalidParameterException", "MaxResults must be between 1 and 100.");
    }
    let more = all.len() > skip + most;
    let mut answer = json!({ member: all.into_iter().skip(skip).take(most).collect::<Vec<_>>() });
    if more {
        answer["NextToken"] = json!((skip + most).to_string());
    }
    Ok(answer)
}

fn entry(vault: &Vault, secret: &Secret, stages: &str) -> Value {
    let changed = secret.versions.last().map_or(secret.created_at, |version| version.created_at);
    let mut entry = json!({ "ARN": secret.arn, "Name": secret.name, "CreatedDate": seconds(secret.created_at),
        "LastChangedDate": seconds(changed) });
    let accessed = secret.versions.iter().filter_map(|version| vault.last_access(&version.id)).max();
    let optional = [
        (stages, (!secret.versions.is_empty()).then(|| secret.stages())),
        ("LastAccessedDate", accessed.map(seconds)),
        ("KmsKeyId", secret.kms_key_id.as_ref().map(|key| json!(key))),
        ("Description", secret.description.as_ref().map(|text| json!(text))),
        ("DeletedDate", secret.deletion_at.map(seconds)),
        ("Tags", secret.tags.is_array().then(|| secret.tags.clone())),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            entry[name] = value;
        }
    }
    entry
}
