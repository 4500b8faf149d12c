//! The result pages: one constant page per outcome, without a script.

use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use shared::error::Error;
use shared::gateway::Response;

use crate::outcome::AuthorizationOutcome;

const STYLE: &str = ":root{color-scheme:light dark}\
body{margin:0;font:1.125rem/1.5 system-ui,sans-serif;color:#1f2933;background:#f7f8fa}\
main{box-sizing:border-box;max-width:36rem;margin:10vh auto;padding:1.5rem}\
h1{font-size:1.75rem;line-height:1.2}\
@media (prefers-color-scheme:dark){body{color:#e8ecf1;background:#15191e}}";

#[derive(Template)]
#[template(path = "result.html")]
struct Page {
    title: &'static str,
    happened: &'static str,
    next: &'static str,
    style: &'static str,
}

/// The page of an outcome: `GET /oauth/hubspot/result/{outcome}`.
pub(crate) fn result(outcome: AuthorizationOutcome) -> Result<Response, Error> {
    let (title, happened, next) = texts(outcome);
    let body = Page { title, happened, next, style: STYLE }.render().map_err(Error::internal)?;
    let hash = STANDARD.encode(ring::digest::digest(&ring::digest::SHA256, STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    Ok(Response::text(200, "text/html; charset=utf-8", body)
        .with("content-security-policy", &policy)
        .with("referrer-policy", "no-referrer")
        .with("x-content-type-options", "nosniff"))
}

/// Title, what happened, and what to do next.
fn texts(outcome: AuthorizationOutcome) -> (&'static str, &'static str, &'static str) {
    match outcome {
        AuthorizationOutcome::Connected => (
            "HubSpot is connected",
            "Your automations now use this connection.",
            "You can close this window and go back to your dashboard.",
        ),
        AuthorizationOutcome::Reconnected => (
            "HubSpot is reconnected",
            "The authorization was renewed, and your automations go on.",
            "You can close this window and go back to your dashboard.",
        ),
        AuthorizationOutcome::Declined => (
            "HubSpot was not connected",
            "The access was declined in HubSpot. Nothing was changed.",
            "Start again from your dashboard if you want to connect HubSpot.",
        ),
        AuthorizationOutcome::Expired => (
            "This connection attempt has ended",
            "It took longer than ten minutes, or it was already finished. Nothing was changed by opening this page.",
            "Start again from your dashboard.",
        ),
        AuthorizationOutcome::OtherBrowser => (
            "Please go on in the browser where you started",
            "This connection attempt was started in another browser or window. Nothing was changed.",
            "Finish it there, or start again from your dashboard in this browser.",
        ),
        AuthorizationOutcome::AlreadyConnected => (
            "HubSpot is already connected",
            "Your account was connected while this attempt was under way. Nothing was changed.",
            "Look at the connection in your dashboard; there you can renew it or connect a new one.",
        ),
        AuthorizationOutcome::MissingScopes => (
            "HubSpot did not grant everything",
            "Some of the permissions that are needed were not granted. Nothing was changed.",
            "Start again from your dashboard, with a HubSpot user who may grant all listed permissions.",
        ),
        AuthorizationOutcome::DifferentPortal => (
            "That is another HubSpot account",
            "A connection is renewed for the same HubSpot account that it belongs to. Nothing was changed.",
            "Start again and choose that account, or connect the other one as a new integration.",
        ),
        AuthorizationOutcome::Failed => (
            "HubSpot could not be connected",
            "Something went wrong between HubSpot and us. Nothing was changed.",
            "Start again from your dashboard in a few minutes.",
        ),
        AuthorizationOutcome::Misconfigured => (
            "HubSpot cannot be connected at the moment",
            "Our application is not set up correctly at HubSpot. Nothing was changed.",
            "This is on our side; please tell our support, and try again later.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_a_page_of_its_own_without_script() {
        let pages: Vec<String> =
            AuthorizationOutcome::ALL.into_iter().map(|outcome| result(outcome).unwrap().body).collect();

        for (at, page) in pages.iter().enumerate() {
            assert!(!page.contains("<script"), "{page}");
            assert!(page.contains("<html lang=\"en\">") && page.contains("<h1>"));
            assert!(!pages[..at].contains(page));
        }
    }
}
