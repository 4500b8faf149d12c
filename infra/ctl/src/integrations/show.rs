//! `integrations show`.

use serde::Serialize;
use shared::integration::{Integration, Readiness};
use shared::store::operator::SecretVersionInfo;

use super::list::IntegrationRow;
use crate::exit::{Exit, Failure};
use crate::format_time::{date, since};
use crate::health::{self, HealthStatus, NextExecution};
use crate::output::Output;
use crate::select::{IntegrationSelector, Position, SelectedIntegration};
use crate::stack::{Stack, StackArgs};
use crate::status::inconsistent_tokens;

/// All that is known of an integration, without its tokens.
#[derive(Serialize)]
struct IntegrationDetails<'a> {
    #[serde(flatten)]
    row: IntegrationRow<'a>,
    connected_by: Option<&'a str>,
    scopes: &'a [String],
    refresh_not_before: Option<i64>,
    failures: u32,
    cooldown_until: Option<i64>,
    lease_owner: Option<&'a str>,
    lease_until: Option<i64>,
    ambiguous_until: Option<i64>,
    superseded_at: Option<i64>,
    secret_id: Option<&'a str>,
    secret_version: Option<&'a str>,
    health: HealthStatus,
    detail: String,
    next_execution: NextExecution,
    /// When a marked integration stops to execute, if it still does.
    runs_until: Option<i64>,
    versions: Vec<SecretVersionView>,
}

/// A version of the integration's secret.
#[derive(Serialize)]
struct SecretVersionView {
    id: String,
    labels: Vec<String>,
    created_at: i64,
    age_seconds: i64,
    /// True if the record points at it: only that version is used.
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
    let (mut health, mut detail) = health::of(&record, now, &stack.settings.refresh);
    let mut next_execution = health::next(&record, position, now, &stack.settings.refresh);
    if let Some(inconsistency) = inconsistent_tokens(&stack, &record).await? {
        (health, detail) = (HealthStatus::Corrupt, inconsistency);
        if next_execution == NextExecution::Sends {
            next_execution = NextExecution::Internal;
        }
    }
    if position == Position::Older && health != HealthStatus::Corrupt {
        (health, detail) = (HealthStatus::Healthy, "an older instance: only the newest runs automations".to_owned());
    }
    let pointer = record.pointer.as_ref();
    let details = IntegrationDetails {
        row: IntegrationRow::of(&record, position),
        connected_by: record.connected_by.as_deref(),
        scopes: &record.scopes,
        refresh_not_before: record.refresh_not_before,
        failures: record.failures.unwrap_or(0),
        cooldown_until: record.cooldown_until,
        lease_owner: record.lease_owner.as_deref(),
        lease_until: record.lease_until,
        ambiguous_until: record.ambiguous_until,
        superseded_at: record.superseded_at,
        secret_id: pointer.map(|pointer| pointer.secret_id.as_str()),
        secret_version: pointer.map(|pointer| pointer.secret_version.as_str()),
        health,
        detail,
        next_execution,
        runs_until: runs_until(&record, next_execution, now),
        versions: versions(&stack, &record, now).await?,
    };
    output.result("integration_details", &details, || lines(&details, &record, now))?;
    Ok(Exit::with_findings(usize::from(health != HealthStatus::Healthy)))
}

fn runs_until(record: &Integration, next: NextExecution, now: i64) -> Option<i64> {
    match (record.readiness(now), next) {
        (Readiness::ReadyUntil(at), NextExecution::Sends) => Some(at),
        _ => None,
    }
}

async fn versions(stack: &Stack, record: &Integration, now: i64) -> Result<Vec<SecretVersionView>, Failure> {
    let Some(pointer) = &record.pointer else { return Ok(Vec::new()) };
    let versions = stack.store.versions(&pointer.secret_id).await?.unwrap_or_default();
    let view = |version: SecretVersionInfo| SecretVersionView {
        is_served: version.id == pointer.secret_version,
        age_seconds: now.saturating_sub(version.created_at),
        id: version.id,
        labels: version.labels,
        created_at: version.created_at,
    };
    Ok(versions.into_iter().map(view).collect())
}

fn lines(details: &IntegrationDetails<'_>, record: &Integration, now: i64) -> Vec<String> {
    let at = |time: Option<i64>| time.map_or("-".to_owned(), |time| date(time, now));
    let lease = match details.lease_owner {
        Some(owner) => format!("{owner}, until {}", at(details.lease_until)),
        None => "-".to_owned(),
    };
    let place = if record.sequence > 0 { "connected here" } else { "imported" };
    let portal = record.hub_id.map_or("-".to_owned(), |portal| portal.to_string());
    let mut status = details.row.status_text();
    if let Some(at) = record.status_since {
        status += &format!(" since {}", date(at, now));
    }
    let mut lines: Vec<String> = [
        ("account", record.account_id.to_string()),
        ("integration", format!("{} (sequence {}, {place})", record.integration_id, record.sequence)),
        ("portal", portal),
        ("connected", format!("{} by {}", at(Some(record.created_at)), details.connected_by.unwrap_or("-"))),
        ("scopes", details.scopes.join(" ")),
        ("status", status),
        ("health", format!("{}: {}", details.health.as_str(), details.detail)),
        ("next execution", details.next_execution.text().to_owned()),
        ("runs until", at(details.runs_until)),
        ("last used", at(record.last_used_at)),
        ("tokens expire", at(Some(record.token_expires_at).filter(|time| *time > 0))),
        ("next refresh", at(record.refresh_at)),
        ("not before", format!("{} (failures {})", at(record.refresh_not_before), details.failures)),
        ("cool-down until", at(record.cooldown_until)),
        ("lease", lease),
        ("ambiguous until", at(details.ambiguous_until)),
        ("superseded", at(record.superseded_at)),
        ("secret", details.secret_id.unwrap_or("-").to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| format!("{name:<17} {value}"))
    .collect();
    for version in &details.versions {
        let served = if version.is_served { ", served" } else { "" };
        let labels = if version.labels.is_empty() { "-".to_owned() } else { version.labels.join(", ") };
        lines.push(format!("  {} {} [{labels}]{served}", version.id, since(version.created_at, now)));
    }
    lines
}
