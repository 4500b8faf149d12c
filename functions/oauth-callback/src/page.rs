//! The result pages: one constant page per outcome, without a script.

use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use shared::error::Error;
use shared::gateway::Response;
use url::Url;

use crate::app::Config;
use crate::outcome::{AuthorizationOutcome, OtherBrowserReason};

const STYLE: &str = ":root{color-scheme:light dark}\
body{margin:0;font:1.125rem/1.5 system-ui,sans-serif;color:#1f2933;background:#f7f8fa}\
main{box-sizing:border-box;max-width:36rem;margin:10vh auto;padding:1.5rem}\
h1{font-size:1.75rem;line-height:1.2}\
ul{padding-left:1.25rem}\
li{overflow-wrap:anywhere}\
code{font-size:.9375em}\
a{color:#0b5cad}\
@media (prefers-color-scheme:dark){body{color:#e8ecf1;background:#15191e}a{color:#8cc2ff}}";

#[derive(Template)]
#[template(path = "result.html")]
struct Page<'a> {
    text: Text,
    scopes: &'a [String],
    dashboard: Option<&'a Url>,
    style: &'static str,
}

/// The words of a page.
struct Text {
    title: &'static str,
    /// The event, in one sentence.
    happened: &'static str,
    /// The next step for the person.
    next: &'static str,
    /// Further advice, for one case each.
    advice: &'static [&'static str],
}

/// The page of an outcome: `GET /oauth/hubspot/result/{outcome}`, with the reason if it is another browser's. Everything
/// on it is a constant or configured.
pub(crate) fn result(
    config: &Config,
    outcome: AuthorizationOutcome,
    reason: Option<OtherBrowserReason>,
) -> Result<Response, Error> {
    let scopes: &[String] = if outcome == AuthorizationOutcome::MissingScopes { &config.scopes } else { &[] };
    let dashboard = config.return_url.as_ref().or(config.install_url.as_ref());
    let page = Page { text: text(outcome, reason), scopes, dashboard, style: STYLE };
    let body = page.render().map_err(Error::internal)?;
    let hash = STANDARD.encode(ring::digest::digest(&ring::digest::SHA256, STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    Ok(Response::text(200, "text/html; charset=utf-8", body)
        .with("content-security-policy", &policy)
        .with("referrer-policy", "no-referrer")
        .with("x-content-type-options", "nosniff"))
}

fn text(outcome: AuthorizationOutcome, reason: Option<OtherBrowserReason>) -> Text {
    let (title, happened, next) = sentences(outcome);
    let advice: &[&str] = match outcome {
        AuthorizationOutcome::OtherBrowser => return other_browser(reason),
        AuthorizationOutcome::DifferentPortal => &[
            "To renew the connection, start again and choose the HubSpot account that is already connected.",
            "To use the HubSpot account that you chose just now, connect it as a new integration.",
        ],
        AuthorizationOutcome::Connected
        | AuthorizationOutcome::Reconnected
        | AuthorizationOutcome::Declined
        | AuthorizationOutcome::Expired
        | AuthorizationOutcome::AlreadyConnected
        | AuthorizationOutcome::TooManyIntegrations
        | AuthorizationOutcome::MissingScopes
        | AuthorizationOutcome::StartFromDashboard
        | AuthorizationOutcome::Failed
        | AuthorizationOutcome::Misconfigured => &[],
    };
    Text { title, happened, next, advice }
}

/// The page of another browser, with the advice for its reason.
fn other_browser(reason: Option<OtherBrowserReason>) -> Text {
    let (title, happened, next) = sentences(AuthorizationOutcome::OtherBrowser);
    let text = Text {
        title,
        happened,
        next,
        advice: &[
            "If you started in another browser or window, continue there.",
            "If you started in this browser, it did not send our cookie back. Safari and the browsers inside other apps \
             can withhold cookies: open your CloudTalk dashboard in Chrome, Edge or Firefox, or allow cookies for this \
             site, and start again.",
        ],
    };
    match reason {
        Some(OtherBrowserReason::AnotherCookie) => Text {
            happened: "This browser keeps our cookies, but not the one of this connection attempt. Nothing was changed.",
            next: "Go back to the browser or window in which you started, or start again from your CloudTalk dashboard.",
            advice: &[],
            ..text
        },
        Some(OtherBrowserReason::NoCookie) => Text {
            happened: "This browser did not send the cookie of this connection attempt. Nothing was changed.",
            ..text
        },
        None => text,
    }
}

/// Title, what happened, and what to do next.
fn sentences(outcome: AuthorizationOutcome) -> (&'static str, &'static str, &'static str) {
    match outcome {
        AuthorizationOutcome::Connected => (
            "HubSpot is connected",
            "Automations of this connection run from now on.",
            "If you had connected HubSpot before, automations of the earlier connection no longer run: move them to this \
             one in CloudTalk. You can close this window.",
        ),
        AuthorizationOutcome::Reconnected => (
            "HubSpot is reconnected",
            "The authorization was renewed, and the automations of this connection keep running.",
            "You can close this window and go back to CloudTalk.",
        ),
        AuthorizationOutcome::Declined => (
            "HubSpot was not connected",
            "Access was declined. Nothing was changed.",
            "Start again from your CloudTalk dashboard if you want to connect HubSpot.",
        ),
        AuthorizationOutcome::Expired => (
            "This connection attempt is over",
            "An attempt can be finished once, within 30 minutes. Opening this page changed nothing.",
            "Check in your CloudTalk dashboard whether HubSpot is connected. Start again there if it is not.",
        ),
        AuthorizationOutcome::OtherBrowser => (
            "Continue in the browser you started in",
            "This browser could not prove that it started this connection attempt. Nothing was changed.",
            "There are two possible reasons:",
        ),
        AuthorizationOutcome::AlreadyConnected => (
            "HubSpot is already connected",
            "Your account was connected while this attempt was under way. This attempt changed nothing.",
            "Open the connection in your CloudTalk dashboard to renew it or to connect a new one.",
        ),
        AuthorizationOutcome::TooManyIntegrations => (
            "Your account has too many HubSpot connections",
            "An account can have ten connections. Nothing was changed.",
            "Disconnect one that you no longer need in your CloudTalk dashboard, and start again.",
        ),
        AuthorizationOutcome::MissingScopes => (
            "HubSpot did not grant all permissions",
            "Some of the permissions that CloudTalk needs were not granted. Nothing was changed.",
            "Start again from your CloudTalk dashboard as a HubSpot Super Admin, or as a user with App Marketplace access, \
             and grant all of these permissions:",
        ),
        AuthorizationOutcome::DifferentPortal => (
            "You chose a different HubSpot account",
            "A connection can only be renewed with the HubSpot account that it was made with. Nothing was changed.",
            "You can do one of two things in your CloudTalk dashboard:",
        ),
        AuthorizationOutcome::StartFromDashboard => (
            "Finish the installation in CloudTalk",
            "The installation began in HubSpot. HubSpot is not connected yet.",
            "Sign in to your CloudTalk dashboard as an admin and connect HubSpot there.",
        ),
        AuthorizationOutcome::Failed => (
            "HubSpot could not be connected",
            "Something went wrong at HubSpot or on our side.",
            "Check in your CloudTalk dashboard whether HubSpot is connected. If it is not, start again in a few minutes.",
        ),
        AuthorizationOutcome::Misconfigured => (
            "HubSpot cannot be connected at the moment",
            "Our app is not set up correctly at HubSpot. Nothing was changed.",
            "Please contact CloudTalk support, and try again later.",
        ),
    }
}
