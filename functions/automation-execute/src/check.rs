//! Explains a request without sending it, for the person who sets an automation up.

use serde::Serialize;
use shared::caller::Member;
use shared::error::Error;
use shared::gateway::{Event, Response};
use shared::integration::{Readiness, Status};

use crate::app::App;
use guard::request::{Check, MAX_REQUEST_BYTES};
use guard::scopes::{Deprecation, Explanation, Remedy, Verdict};

#[derive(Serialize)]
struct Explained<'a> {
    would_run: WouldRun,
    method: &'a str,
    url: &'a str,
    ignored_credentials: &'a [String],
    integration_is_newest: bool,
    /// One that has to be authorized again runs until its access token expires.
    integration_status: Status,
    required_scopes: &'a [&'static str],
    any_of: &'a [&'static str],
    granted_scopes: &'a [String],
    verdict: Verdict,
    remedy: Option<Remedy>,
    docs: Option<&'static str>,
    developer_key: bool,
    deprecated: Option<Deprecation>,
    did_you_mean: Option<String>,
}

/// The answer for the person who sets an automation up; the other fields are its reasons.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum WouldRun {
    Yes,
    No,
    Unknown,
}

impl WouldRun {
    /// For an automation of the account's newest integration: those of older ones do not run.
    fn of_newest(readiness: Readiness, verdict: Verdict) -> Self {
        match (readiness, verdict) {
            (Readiness::NeedsReauthorization | Readiness::WithoutTokens, _) | (_, Verdict::Missing) => Self::No,
            (Readiness::Ready | Readiness::ReadyUntil(_), Verdict::Covered) => Self::Yes,
            (Readiness::Ready | Readiness::ReadyUntil(_), Verdict::Unknown) => Self::Unknown,
        }
    }
}

/// Explains: `POST /v1/automation-checks`. The account is the token's, never the body's.
pub(crate) async fn check(app: &App, event: &Event) -> Result<Response, Error> {
    let member = Member::of(event, &app.config.claims)?;
    let check = Check::parse(&event.body(MAX_REQUEST_BYTES)?, &app.config.hubspot.api_url)?;
    let all = app.store.all(&member.account_id).await?;
    let newest = all.first().ok_or(Error::NotConnected)?;
    let integration = match &check.integration_id {
        None => newest,
        Some(id) => all.iter().find(|known| known.integration_id == *id).ok_or(Error::IntegrationNotFound)?,
    };
    let target = check.call.target();
    let explanation = Explanation::of(target.method(), target.path());
    let verdict = explanation.verdict(&integration.scopes);
    let remedy = explanation.remedy(&integration.scopes, app.config.requested_scopes());
    let integration_is_newest = integration.sequence == newest.sequence;
    let required = explanation.required.as_ref();
    Ok(Response::json(
        200,
        &Explained {
            would_run: if integration_is_newest {
                WouldRun::of_newest(integration.readiness(app.clock.now()), verdict)
            } else {
                WouldRun::No
            },
            method: target.method().as_str(),
            url: target.url().as_str(),
            ignored_credentials: check.call.ignored(),
            integration_is_newest,
            integration_status: integration.status,
            required_scopes: required.map(|required| required.scopes.as_slice()).unwrap_or_default(),
            any_of: required.map(|required| required.any_of.as_slice()).unwrap_or_default(),
            granted_scopes: &integration.scopes,
            verdict,
            remedy,
            docs: required.and_then(|required| required.docs),
            developer_key: explanation.developer_key,
            deprecated: explanation.deprecated,
            did_you_mean: explanation.did_you_mean,
        },
    ))
}
