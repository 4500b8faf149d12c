//! The end of an authorization: HubSpot sends the browser back with a code or a refusal.
//!
//! Nothing of the query is shown, stored or logged; the browser always gets one of the constant outcomes.

use std::time::Duration;

use shared::caller::logged_person;
use shared::crypto;
use shared::gateway::{Event, Response};
use shared::store::authorizations::{Authorization, ConsumeResult};
use url::Url;

use crate::app::App;
use crate::authorization;
use crate::grant;
use crate::install::ReturnUrl;
use crate::outcome::{AuthorizationOutcome, OtherBrowserReason};
use crate::query::{AuthorizationResponse, CallbackQuery, Consent};

/// How long a repeated callback waits for the outcome of the first one.
const LONGEST_WAIT_MILLIS: i64 = 20_000;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Finishes an authorization: `GET /oauth/hubspot/callback`.
pub(crate) async fn finish(app: &App, event: &Event) -> (Response, &'static str) {
    if is_prefetch(event) {
        // Browsers discard a prefetched response that is no success, and ask again when the person really goes there.
        return (Response::empty(425), "prefetch_refused");
    }
    let outcome = match CallbackQuery::parse(event.query()) {
        Ok(CallbackQuery::Ended(response)) => return finish_authorization(app, event, &response).await,
        Ok(CallbackQuery::InstallationStarted { return_url }) => {
            let return_url = return_url.and_then(|text| ReturnUrl::parse(&text, &app.config.authorize_url));
            if let (Some(install_url), Some(return_url)) = (&app.config.install_url, return_url) {
                tracing::info!(outcome = "installation_started", "installation began at HubSpot");
                return (see_other(install_url, "return_url", return_url.as_str()), "installation_started");
            }
            start_from_dashboard("no INSTALL_URL, or a return_url outside HubSpot")
        }
        Ok(CallbackQuery::InstallationWithoutState) => start_from_dashboard("no state"),
        Err(cause) => refuse(AuthorizationOutcome::Failed, None, cause),
    };
    (redirect(app, outcome, None), outcome.as_str())
}

/// Logs an installation that has to continue in the dashboard. Nothing is exchanged: a code without our state may
/// be anybody's.
fn start_from_dashboard(cause: &str) -> AuthorizationOutcome {
    let outcome = AuthorizationOutcome::StartFromDashboard;
    tracing::info!(outcome = outcome.as_str(), cause, "installation began at HubSpot");
    outcome
}

/// Completes an authorization. An installation that began at HubSpot and succeeded ends there; a failure never goes
/// back there, where it would start again.
async fn finish_authorization(app: &App, event: &Event, response: &AuthorizationResponse) -> (Response, &'static str) {
    let Completion { outcome, stored_return_url, reason } = complete_authorization(app, event, response).await;
    let sent = response.return_url.as_deref().and_then(|text| ReturnUrl::parse(text, &app.config.authorize_url));
    let connected = matches!(outcome, AuthorizationOutcome::Connected | AuthorizationOutcome::Reconnected);
    let response = match sent.filter(|sent| connected && stored_return_url.as_deref() == Some(sent.as_str())) {
        Some(return_url) => to(return_url.as_str()),
        None => redirect(app, outcome, reason),
    };
    (response, outcome.as_str())
}

/// Returns true if a browser or a scanner fetches the page ahead of a person who may never open it.
fn is_prefetch(event: &Event) -> bool {
    let names = ["sec-purpose", "purpose", "x-purpose", "x-moz"];
    let purposes = ["prefetch", "prerender", "preview"];
    names.iter().filter_map(|name| event.header(name)).any(|value| {
        value.split([';', ',']).any(|part| purposes.iter().any(|purpose| part.trim().eq_ignore_ascii_case(purpose)))
    })
}

/// The end of a callback with a state.
struct Completion {
    outcome: AuthorizationOutcome,
    /// The address that was stored for an installation that began at HubSpot.
    stored_return_url: Option<String>,
    /// The reason of [`AuthorizationOutcome::OtherBrowser`].
    reason: Option<OtherBrowserReason>,
}

/// Consumes the state and completes its authorization, or finds how it ended before.
async fn complete_authorization(app: &App, event: &Event, response: &AuthorizationResponse) -> Completion {
    let state_hash = crypto::sha256_hex(&response.state);
    let cookie = event.cookie(&authorization::cookie_name(&state_hash));
    // Without a cookie the hash is that of the empty text, which no authorization has.
    let browser_hash = crypto::sha256_hex(cookie.unwrap_or_default());
    let ended = |outcome, stored_return_url| Completion { outcome, stored_return_url, reason: None };
    let refused = match app.authorizations.consume(&state_hash, &browser_hash, app.clock.now()).await {
        Ok(ConsumeResult::Consumed(authorization)) => {
            return ended(end(app, &authorization, &response.consent).await, authorization.return_url);
        }
        Ok(ConsumeResult::Repeated(authorization)) => {
            return ended(earlier_outcome(app, &authorization).await, authorization.return_url);
        }
        Ok(ConsumeResult::OtherBrowser(authorization)) => {
            // One of another attempt says as much: this browser does not withhold our cookies.
            let (reason, cause) = if event.has_cookie_like(authorization::COOKIE_BEGINNING) {
                (OtherBrowserReason::AnotherCookie, "another browser's cookie")
            } else {
                (OtherBrowserReason::NoCookie, "no cookie")
            };
            let outcome = refuse(AuthorizationOutcome::OtherBrowser, Some(&authorization), cause);
            return Completion { outcome, stored_return_url: None, reason: Some(reason) };
        }
        Ok(ConsumeResult::Expired(authorization)) => {
            let cause = if authorization.consumed_by.is_some() { "used state" } else { "expired state" };
            refuse(AuthorizationOutcome::Expired, Some(&authorization), cause)
        }
        Ok(ConsumeResult::Unknown) => refuse(AuthorizationOutcome::Expired, None, "unknown state"),
        Err(error) => {
            tracing::error!(cause = %error, "failed to consume authorization");
            refuse(AuthorizationOutcome::Failed, None, "state not consumed")
        }
    };
    ended(refused, None)
}

/// Completes a consumed authorization and stores how it ended.
async fn end(app: &App, authorization: &Authorization, consent: &Consent) -> AuthorizationOutcome {
    let (outcome, cause) = match grant::complete(app, authorization, consent).await {
        Ok(outcome) => (outcome, None),
        Err(failure) => (failure.outcome, Some(failure.cause)),
    };
    // A crash before this write leaves a repeated callback without an outcome: it waits and ends as `failed`.
    if let Err(error) = app.authorizations.end(&authorization.state_hash, outcome.as_str()).await {
        tracing::warn!(account_id = %authorization.account_id, cause = %error, "failed to store authorization outcome");
    }
    log_end(authorization, outcome, cause.as_deref());
    outcome
}

/// The one line about a consumed authorization: a warning with its cause if it ended without a connection.
fn log_end(authorization: &Authorization, outcome: AuthorizationOutcome, cause: Option<&str>) {
    let account_id = authorization.account_id.as_str();
    let integration_id = authorization.integration_id.as_str();
    let acted_by = &*logged_person(&authorization.user_id);
    let outcome = outcome.as_str();
    let authorizations_ended = 1;
    match cause {
        None => {
            tracing::info!(account_id, integration_id, acted_by, outcome, authorizations_ended, "authorization ended");
        }
        Some(cause) => {
            tracing::warn!(
                account_id,
                integration_id,
                acted_by,
                outcome,
                authorizations_ended,
                cause,
                "authorization ended"
            );
        }
    }
}

/// The outcome that an earlier callback of this browser had, once it is there.
async fn earlier_outcome(app: &App, authorization: &Authorization) -> AuthorizationOutcome {
    let deadline = app.clock.now_millis() + LONGEST_WAIT_MILLIS;
    let mut pause = FIRST_PAUSE;
    let mut outcome = authorization.outcome.clone();
    while outcome.is_none() && app.clock.now_millis() < deadline {
        app.clock.sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        match app.authorizations.outcome(&authorization.state_hash).await {
            Ok(found) => outcome = found,
            Err(error) => {
                tracing::error!(cause = %error, "failed to read authorization outcome");
                return refuse(AuthorizationOutcome::Failed, Some(authorization), "outcome not read");
            }
        }
    }
    match outcome.as_deref().and_then(AuthorizationOutcome::parse) {
        Some(outcome) => outcome,
        None => refuse(AuthorizationOutcome::Failed, Some(authorization), "an earlier callback has not ended"),
    }
}

/// Logs why a callback consumed nothing, with the account where its state is known.
fn refuse(outcome: AuthorizationOutcome, authorization: Option<&Authorization>, cause: &str) -> AuthorizationOutcome {
    let account_id = authorization.map(|known| known.account_id.as_str());
    let integration_id = authorization.map(|known| known.integration_id.as_str());
    tracing::warn!(account_id, integration_id, outcome = outcome.as_str(), cause, "callback refused");
    outcome
}

/// Redirects the browser to the result page, which also gets the reason, or to the dashboard's configured address.
fn redirect(app: &App, outcome: AuthorizationOutcome, reason: Option<OtherBrowserReason>) -> Response {
    let config = &app.config;
    let install_url = config.install_url.as_ref().filter(|_| outcome == AuthorizationOutcome::StartFromDashboard);
    let dashboard = install_url.or(config.return_url.as_ref());
    match dashboard {
        Some(url) => see_other(url, "hubspot", outcome.as_str()),
        None => {
            let reason = reason.map(|reason| format!("?reason={}", reason.as_str())).unwrap_or_default();
            to(&format!("{}oauth/hubspot/result/{}{reason}", config.public_url, outcome.as_str()))
        }
    }
}

/// Redirects the browser to a configured address with one more parameter.
fn see_other(url: &Url, name: &str, value: &str) -> Response {
    let mut url = url.clone();
    url.query_pairs_mut().append_pair(name, value);
    to(url.as_str())
}

fn to(location: &str) -> Response {
    Response::empty(303).with("location", location).with("referrer-policy", "no-referrer")
}
