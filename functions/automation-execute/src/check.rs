//! Explains a request without sending it, for the person who sets an automation up.

use serde::Serialize;
use shared::caller::Member;
use shared::error::Error;
use shared::gateway::{Event, Response};
use shared::integration::Status;

use crate::app::App;
use guard::request::{Check, MAX_REQUEST_BYTES};
use guard::scopes::{self, Remedy, Verdict};

#[derive(Serialize)]
struct Explained<'a> {
    method: &'a str,
    url: &'a str,
    ignored_credentials: &'a [String],
    integration_is_newest: bool,
    /// One that has to be authorized again runs nothing, whatever its scopes.
    integration_status: Status,
    required_scopes: &'a [&'static str],
    granted_scopes: &'a [String],
    verdict: Verdict,
    remedy: Option<Remedy>,
    docs: Option<&'static str>,
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
    let required = scopes::required(target.method(), target.path());
    let missing = required.as_ref().map(|required| scopes::missing(required, &integration.scopes)).unwrap_or_default();
    let verdict = scopes::verdict(required.as_ref(), &integration.scopes);
    Ok(Response::json(
        200,
        &Explained {
            method: target.method().as_str(),
            url: target.url().as_str(),
            ignored_credentials: check.call.ignored(),
            integration_is_newest: integration.sequence == newest.sequence,
            integration_status: integration.status,
            required_scopes: required.as_ref().map(|required| required.scopes.as_slice()).unwrap_or_default(),
            granted_scopes: &integration.scopes,
            verdict,
            remedy: (verdict == Verdict::Missing).then(|| app.config.asked().remedy_for_all(&missing)).flatten(),
            docs: required.as_ref().map(|required| required.docs),
        },
    ))
}
