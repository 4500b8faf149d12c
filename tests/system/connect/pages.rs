//! The result pages in the browser.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use devstack::hubspot::PORTAL;
use devstack::stack::Options;
use oauth_callback::AuthorizationOutcome;
use serde_json::json;

use super::{Traces, begin, traces};
use crate::world::{ACCOUNT, World};

const RETURN_URL: &str = "https://app.localhost/settings/hubspot";

fn with_return_url() -> Options {
    Options { parameters: [("ReturnUrl".to_owned(), RETURN_URL.to_owned())].into(), ..Default::default() }
}

#[tokio::test]
async fn every_outcome_has_a_constant_page_without_scripts_that_is_not_cached() {
    let world = World::start().await;
    let mut pages = Vec::new();

    for outcome in AuthorizationOutcome::ALL {
        let path = format!("/oauth/hubspot/result/{}", outcome.as_str());
        let attack = format!("{path}?code=%3Cscript%3Ealert(1)%3C/script%3E&x=\"><script>alert(1)</script>");
        let page = world.stack.call("GET", &path, &[], "").await;
        let attacked =
            world.stack.call("GET", &attack, &[("cookie", "a=<b>"), ("accept-language", "<script>")], "").await;

        assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")), "{path}");
        assert_eq!(page.body, attacked.body, "{path}");
        assert!(!pages.contains(&page.body), "{path} has a page of its own");
        pages.push(page.body.clone());
        let text = page.text();
        let style = text.split_once("<style>").unwrap().1.split_once("</style>").unwrap().0;
        let hash = shared::crypto::sha256_hex(style);
        let hash: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&hash[2 * at..2 * at + 2], 16).unwrap()).collect();
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            STANDARD.encode(hash)
        );
        assert_eq!(page.header("content-security-policy"), Some(policy.as_str()), "{path}");
        assert_eq!(page.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"), "{path}");
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert!(page.header("set-cookie").is_none(), "{path}");
        for foreign in ["<script", "http:", "https:", "<form", "<img", "<iframe", "<link", "javascript:"] {
            assert!(!text.to_lowercase().contains(foreign), "{foreign} is in the page of {path}");
        }
        for needed in [
            "CloudTalk",
            "<html lang=\"en\">",
            "<title>",
            "<h1>",
            "<main>",
            "name=\"viewport\"",
            "prefers-color-scheme",
        ] {
            assert!(text.contains(needed), "{needed} is not in the page of {path}");
        }
    }
}

#[tokio::test]
async fn the_page_of_missing_scopes_lists_the_configured_ones() {
    let world = World::start().await;

    let page = world.dashboard(ACCOUNT, "", "GET", "/oauth/hubspot/result/missing-scopes", &json!(null)).await;
    let other = world.dashboard(ACCOUNT, "", "GET", "/oauth/hubspot/result/failed", &json!(null)).await;

    for scope in world.stack.environment("oauth-callback")["HUBSPOT_SCOPES"].split(' ') {
        assert!(page.text.contains(&format!("<code>{scope}</code>")), "{scope} is not in {}", page.text);
        assert!(!other.text.contains(scope));
    }
}

#[tokio::test]
async fn a_page_links_back_to_the_configured_dashboard_only() {
    let plain = World::start().await;
    let world = World::with(with_return_url()).await;
    let page = "/oauth/hubspot/result/expired";

    let without = plain.dashboard(ACCOUNT, "", "GET", page, &json!(null)).await;
    let with = world.dashboard(ACCOUNT, "", "GET", page, &json!(null)).await;

    assert!(!without.text.contains("<a "), "{}", without.text);
    assert!(with.text.contains(&format!("<a href=\"{RETURN_URL}\">")), "{}", with.text);
}

#[tokio::test]
async fn an_outcome_that_does_not_exist_has_no_page() {
    let world = World::start().await;

    for word in ["", "unknown", "Connected", "connected%00", "connected%20", "%3Cscript%3E", "connected%2F..", "%2e%2e"]
    {
        let answer = world.stack.call("GET", &format!("/oauth/hubspot/result/{word}"), &[], "").await;

        assert_eq!(answer.status, 404, "{word}: {}", answer.text());
        assert!(!answer.text().to_lowercase().contains("<script"), "{}", answer.text());
    }
}

#[tokio::test]
async fn the_callback_leaves_no_referrer_and_nothing_in_a_cache() {
    let world = World::start().await;

    let answer = world.callback("code=a&state=b", &[]).await;

    let names: Vec<&str> = answer.headers.keys().copied().collect();
    assert_eq!(names, ["cache-control", "location", "referrer-policy"]);
    assert_eq!((&*answer.headers["cache-control"], &*answer.headers["referrer-policy"]), ("no-store", "no-referrer"));
}

#[tokio::test]
async fn a_return_url_takes_the_browser_to_the_dashboard_with_the_outcome_only() {
    let world = World::with(with_return_url()).await;
    let begun = begin(&world, ACCOUNT, &json!({})).await;

    let connected = world.callback(&begun.accept(&world, PORTAL), &[&begun.cookie]).await;
    let expired = world.callback("code=<script>&state=b&return_url=https://evil.example&hubspot=connected", &[]).await;

    assert_eq!(connected.headers["location"], format!("{RETURN_URL}?hubspot=connected"));
    assert_eq!(expired.headers["location"], format!("{RETURN_URL}?hubspot=expired"));
    assert_eq!(traces(&world).await, Traces { exchanges: 1, records: 1, secrets: 1 });
}
