//! `integrations show`.

use serde::Serialize;
use shared::integration::Integration;

use crate::exit::{Exit, Failure};
use crate::format_time::since;
use crate::health::{self, HealthStatus, NextExecution};
use crate::output::Output;
use crate::select::{IntegrationSelector, Position, SelectedIntegration};
use crate::stack::{Stack, StackArgs};
use crate::status::wrong_tokens;

/// All that is known, and no token.
#[derive(Serialize)]
struct IntegrationDetails<'a> {
    record: &'a Integration,
    is_newest: bool,
    matter: HealthStatus,
    detail: String,
    next_execution: NextExecution,
    versions: Vec<SecretVersionView>,
}

/// A version of the integration's secret.
#[derive(Serialize)]
struct SecretVersionView {
    id: String,
    labels: Vec<String>,
    created_at: i64,
    age_seconds: i64,
    /// Whether the record points at it: only that one is used.
    is_served: bool,
}

pub(super) async fn run(
    selector: &IntegrationSelector,
    stack_args: &StackArgs,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let stack = Stack::open(stack_args).await?;
    let SelectedIntegration { record, position } = selector.find(&stack).await?;
    let now = stack.clock.now();
    let (mut matter, mut detail) = health::of(&record, now);
    let mut next_execution = health::next(&record, position, now);
    if let Some(wrong) = wrong_tokens(&stack, &record).await? {
        (matter, detail) = (HealthStatus::Corrupt, wrong);
        if next_execution == NextExecution::Sends {
            next_execution = NextExecution::Internal;
        }
    }
    if position == Position::Older && matter != HealthStatus::Corrupt {
        (matter, detail) =
            (HealthStatus::Sound, "it is an older instance: only the newest runs automations".to_owned());
    }
    let shown = IntegrationDetails {
        versions: versions(&stack, &record, now).await?,
        record: &record,
        is_newest: position == Position::Newest,
        matter,
        detail,
        next_execution,
    };
    output.result(&shown, || text(&shown, now))?;
    Ok(Exit::with_findings(usize::from(matter != HealthStatus::Sound)))
}

async fn versions(stack: &Stack, record: &Integration, now: i64) -> Result<Vec<SecretVersionView>, Failure> {
    let Some(pointer) = &record.pointer else { return Ok(Vec::new()) };
    let seen = stack.store.versions(&pointer.secret_id).await?.unwrap_or_default();
    let version = |seen: shared::store::operator::SecretVersionInfo| SecretVersionView {
        is_served: seen.id == pointer.secret_version,
        age_seconds: now - seen.created_at,
        id: seen.id,
        labels: seen.labels,
        created_at: seen.created_at,
    };
    Ok(seen.into_iter().map(version).collect())
}

fn text(shown: &IntegrationDetails<'_>, now: i64) -> String {
    let record = shown.record;
    let at = |time: Option<i64>| time.map_or("-".to_owned(), |time| format!("{time} ({})", since(time, now)));
    let lease = match &record.lease_owner {
        Some(owner) => format!("{owner}, until {}", at(record.lease_until)),
        None => "-".to_owned(),
    };
    let secret = record.pointer.as_ref().map_or("-", |pointer| &pointer.secret_id);
    let mut lines = vec![
        format!("account           {}", record.account_id),
        format!(
            "integration       {} (sequence {}, {})",
            record.integration_id,
            record.sequence,
            if shown.is_newest { "newest" } else { "older" }
        ),
        format!("portal            {}", record.hub_id.map_or("-".to_owned(), |portal| portal.to_string())),
        format!(
            "connected         {} by {}",
            at(Some(record.created_at)),
            record.connected_by.as_deref().unwrap_or("-")
        ),
        format!("scopes            {}", record.scopes.join(" ")),
        format!("matter            {}: {}", shown.matter.as_str(), shown.detail),
        format!("next execution    {}", shown.next_execution.text()),
        format!("last used         {}", at(record.last_used_at)),
        format!("tokens expire     {}", at(Some(record.token_expires_at).filter(|time| *time > 0))),
        format!("next refresh      {}", at(record.refresh_at)),
        format!("not before        {} (failures {})", at(record.refresh_not_before), record.failures.unwrap_or(0)),
        format!("cool-down until   {}", at(record.cooldown_until)),
        format!("lease             {lease}"),
        format!("ambiguous until   {}", at(record.ambiguous_until)),
        format!("superseded        {}", at(record.superseded_at)),
        format!("secret            {secret}"),
    ];
    for version in &shown.versions {
        let served = if version.is_served { ", served" } else { "" };
        let labels = if version.labels.is_empty() { "-".to_owned() } else { version.labels.join(", ") };
        lines.push(format!("  {} {} [{labels}]{served}", version.id, since(version.created_at, now)));
    }
    lines.join("\n")
}
