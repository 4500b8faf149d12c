//! Installations that begin in HubSpot's marketplace: with and without the step in which the admin signs in to us.

use std::collections::BTreeMap;

use devstack::hubspot::{Match, PORTAL};
use devstack::stack::Options;
use serde_json::json;
use url::form_urlencoded::Serializer;

use super::{Begun, NOTHING, Traces, begin, outcome, traces};
use crate::world::{ACCOUNT, ADMIN, Answer, World};

const INSTALL_URL: &str = "https://app.localhost/install";
const RETURN_URL: &str = "https://app-eu1.hubspot.com/integrations/install?app=7&step=2";

fn with_install_url() -> Options {
    Options { environment: [("INSTALL_URL".to_owned(), Some(INSTALL_URL.to_owned()))].into(), ..Default::default() }
}

fn query(pairs: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn location(answer: &Answer) -> &str {
    assert_eq!((answer.status, answer.text.as_str()), (303, ""));
    &answer.headers["location"]
}

/// Starts the authorization of an installation, as the dashboard's page does.
async fn begin_installation(world: &World) -> Begun {
    begin(world, ACCOUNT, &json!({ "return_url": RETURN_URL })).await
}

/// The code that HubSpot makes by an authorization request of its own, without a challenge.
fn code(world: &World) -> String {
    let environment = world.stack.environment("oauth-callback");
    let request = query(&[
        ("client_id", &world.stack.hubspot.client_id()),
        ("redirect_uri", &format!("{}/oauth/hubspot/callback", world.stack.public_url())),
        ("scope", &environment["HUBSPOT_SCOPES"]),
        ("state", "of-the-marketplace"),
    ]);
    let callback = world.stack.hubspot.accept(&format!("{}?{request}", world.stack.hubspot.authorize_url()), PORTAL);
    let callback = url::Url::parse(&callback.unwrap()).unwrap();
    callback.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned()
}

fn finalize(world: &World, begun: &Begun) -> String {
    query(&[("step", "finalize"), ("code", &code(world)), ("state", &begun.state()), ("returnUrl", RETURN_URL)])
}

#[tokio::test]
async fn an_installation_at_hubspot_continues_on_the_dashboards_page() {
    let world = World::with(with_install_url()).await;

    let answer = world.callback(&query(&[("step", "authorize"), ("returnUrl", RETURN_URL)]), &[]).await;

    let expected = format!("{INSTALL_URL}?{}", query(&[("return_url", RETURN_URL)]));
    assert_eq!(location(&answer), expected);
    assert!(answer.cookies.is_empty());
    assert_eq!(traces(&world).await, NOTHING);
}

#[tokio::test]
async fn an_installation_is_authorized_at_the_return_url_with_our_state() {
    let world = World::with(with_install_url()).await;

    let begun = begin_installation(&world).await;

    assert_eq!(begun.authorize_url.as_str(), format!("{RETURN_URL}&state={}", begun.state()));
    assert_eq!(begun.state().len(), 43);
}

#[tokio::test]
async fn an_installation_ends_connected_and_back_at_hubspot() {
    let world = World::with(with_install_url()).await;
    let begun = begin_installation(&world).await;

    let answer = world.callback(&finalize(&world, &begun), &[&begun.cookie]).await;

    assert_eq!(location(&answer), RETURN_URL);
    assert_eq!(traces(&world).await, Traces { exchanges: 1, records: 1, secrets: 1 });
    let exchange = world.stack.hubspot.requests_that(&Match::exchange());
    let form: BTreeMap<_, _> = exchange[0].form().into_iter().collect();
    assert!(!form.contains_key("code_verifier"), "HubSpot made the request, without a challenge");
}

#[tokio::test]
async fn a_repeated_finalize_goes_back_to_hubspot_without_an_exchange() {
    let world = World::with(with_install_url()).await;
    let begun = begin_installation(&world).await;
    let query = finalize(&world, &begun);
    world.callback(&query, &[&begun.cookie]).await;

    let again = world.callback(&query, &[&begun.cookie]).await;

    assert_eq!(location(&again), RETURN_URL);
    assert_eq!(traces(&world).await, Traces { exchanges: 1, records: 1, secrets: 1 });
}

#[tokio::test]
async fn an_installation_that_fails_ends_on_our_page_not_in_a_circle() {
    let world = World::with(with_install_url()).await;
    let refused = begin_installation(&world).await;
    let declined = begin_installation(&world).await;
    let elsewhere = begin_installation(&world).await;
    let finalized = |begun: &Begun, name: &str, value: &str| {
        query(&[("step", "finalize"), (name, value), ("state", &begun.state()), ("returnUrl", RETURN_URL)])
    };

    let refused = world.callback(&finalized(&refused, "code", "unknown"), &[&refused.cookie]).await;
    let declined = world.callback(&finalized(&declined, "error", "access_denied"), &[&declined.cookie]).await;
    let elsewhere = world.callback(&finalize(&world, &elsewhere), &[]).await;

    assert_eq!(outcome(&world, &refused), "failed");
    assert_eq!(outcome(&world, &declined), "declined");
    assert_eq!(outcome(&world, &elsewhere), "other-browser");
    assert_eq!(traces(&world).await, Traces { exchanges: 1, ..NOTHING });
}

#[tokio::test]
async fn a_code_without_our_state_is_exchanged_by_nobody() {
    let world = World::start().await;
    let code = code(&world);

    for query in [
        query(&[("code", &code)]),
        query(&[("code", &code), ("returnUrl", RETURN_URL)]),
        query(&[("step", "finalize"), ("code", &code), ("returnUrl", RETURN_URL)]),
        query(&[("step", "authorize"), ("returnUrl", RETURN_URL)]),
        query(&[("step", "authorize")]),
    ] {
        let answer = world.callback(&query, &[]).await;

        assert_eq!(outcome(&world, &answer), "start-from-dashboard", "{query}");
    }
    assert_eq!(world.stack.dynamo.count("UpdateItem"), 0);
    assert_eq!(traces(&world).await, NOTHING);
}

#[tokio::test]
async fn a_code_without_our_state_leads_to_the_dashboards_page() {
    let world = World::with(with_install_url()).await;

    let answer = world.callback(&query(&[("code", &code(&world)), ("returnUrl", RETURN_URL)]), &[]).await;

    assert_eq!(location(&answer), format!("{INSTALL_URL}?hubspot=start-from-dashboard"));
    assert_eq!(traces(&world).await, NOTHING);
}

#[tokio::test]
async fn a_return_url_outside_hubspot_is_followed_by_nobody() {
    let world = World::with(with_install_url()).await;

    for hostile in hostile_addresses() {
        let started = world.callback(&query(&[("step", "authorize"), ("returnUrl", hostile)]), &[]).await;
        let body = json!({ "return_url": hostile });
        let refused = world.dashboard(ACCOUNT, "admin", "POST", "/v1/authorizations", &body).await;

        assert_eq!(location(&started), format!("{INSTALL_URL}?hubspot=start-from-dashboard"), "{hostile}");
        assert_eq!((refused.status, refused.code()), (400, "invalid_request"), "{hostile}");
        assert!(!refused.text.contains("evil") && refused.cookies.is_empty(), "{}", refused.text);
    }
    assert_eq!(world.stack.dynamo.count("PutItem"), 0);
    assert_eq!(traces(&world).await, NOTHING);
}

#[tokio::test]
async fn a_return_url_that_was_not_stored_is_not_followed_after_success() {
    let world = World::with(with_install_url()).await;
    let other = "https://app.hubspot.com/another";

    for (sent, stored) in hostile_addresses().map(|hostile| (hostile, true)).chain([(other, true), (other, false)]) {
        let body = if stored {
            json!({ "return_url": RETURN_URL, "new_instance": true })
        } else {
            json!({ "new_instance": true })
        };
        let account = format!("acc_{}", uuid(sent, stored));
        let begun = begin(&world, &account, &body).await;
        let callback = match stored {
            true => {
                query(&[("step", "finalize"), ("code", &code(&world)), ("state", &begun.state()), ("returnUrl", sent)])
            }
            false => {
                format!("{}&{}", begun.accept(&world, PORTAL), query(&[("step", "finalize"), ("returnUrl", sent)]))
            }
        };

        let answer = world.callback(&callback, &[&begun.cookie]).await;

        assert_eq!(outcome(&world, &answer), "connected", "{sent}");
    }
}

#[tokio::test]
async fn hostile_finalizes_exchange_nothing_and_consume_nothing() {
    let world = World::with(with_install_url()).await;
    let begun = begin_installation(&world).await;
    let other = begin_installation(&world).await;
    let (code, state) = (code(&world), begun.state());
    let good = finalize(&world, &begun);
    let finalize = [("step", "finalize"), ("code", &code), ("state", &state), ("returnUrl", RETURN_URL)];
    let replaced = |name: &str, value: &str| {
        query(&finalize.map(|(own, held)| if own == name { (own, value) } else { (own, held) }))
    };

    for (hostile, cookies) in [
        (format!("{good}&step=finalize"), vec![begun.cookie.as_str()]),
        (format!("{good}&step=authorize"), vec![&begun.cookie]),
        (format!("{good}&state={state}"), vec![&begun.cookie]),
        (format!("{good}&code={code}"), vec![&begun.cookie]),
        (format!("{good}&returnUrl=https://app.hubspot.com/"), vec![&begun.cookie]),
        (format!("{good}&error=access_denied"), vec![&begun.cookie]),
        (replaced("step", "authorize"), vec![&begun.cookie]),
        (replaced("step", "FINALIZE"), vec![&begun.cookie]),
        (replaced("step", "finalize "), vec![&begun.cookie]),
        (replaced("step", ""), vec![&begun.cookie]),
        (replaced("step", "<script>"), vec![&begun.cookie]),
        (replaced("state", ""), vec![&begun.cookie]),
        (replaced("state", "of-the-marketplace"), vec![&begun.cookie]),
        (replaced("state", &shared_hash(&state)), vec![&begun.cookie]),
        (replaced("state", &format!("{state}\0")), vec![&begun.cookie]),
        (replaced("code", ""), vec![&begun.cookie]),
        (good.clone(), vec![]),
        (good.clone(), vec![&other.cookie]),
        (good.clone(), vec!["__Host-hubspot-00000000=x"]),
        (good.clone(), vec![&begun.cookie, &begun.cookie]),
        (replaced("state", &other.state()), vec![&begun.cookie]),
    ] {
        let answer = world.callback(&hostile, &cookies).await;

        let ended = outcome(&world, &answer);
        assert!(["failed", "expired", "other-browser"].contains(&ended.as_str()), "{ended}: {hostile}");
    }
    assert_eq!(traces(&world).await, NOTHING);
    assert_eq!(location(&world.callback(&good, &[&begun.cookie]).await), RETURN_URL);
}

#[tokio::test]
async fn a_browser_installs_from_the_marketplace_and_ends_there() {
    let world = World::with(with_install_url()).await;
    let stack = &world.stack;
    let callback_path = |address: &str| address.strip_prefix(stack.public_url()).unwrap().to_owned();

    // HubSpot → our callback → the dashboard, which knows the admin → HubSpot's consent → our callback → HubSpot.
    let started = stack.open(&stack.marketplace()).await.unwrap();
    let dashboard = stack.open(&started).await.unwrap();
    let dashboard = url::Url::parse(&dashboard).unwrap();
    let return_url = dashboard.query_pairs().find(|(name, _)| name == "return_url").unwrap().1.into_owned();
    let begun = stack.authorize(ACCOUNT, ADMIN, &json!({ "return_url": return_url })).await.unwrap();
    let finalize = stack.consent(&begun).await.unwrap();
    let headers = [("cookie", begun.cookie.as_str())];
    let ended = stack.call("GET", &callback_path(&finalize), &headers, "").await;
    let repeated = stack.call("GET", &callback_path(&finalize), &headers, "").await;
    let elsewhere = stack.call("GET", &callback_path(&finalize), &[], "").await;

    assert_eq!(dashboard.as_str().split('?').next(), Some(INSTALL_URL));
    assert_eq!((ended.status, ended.header("location")), (303, Some(return_url.as_str())));
    assert_eq!((repeated.status, repeated.header("location")), (303, Some(return_url.as_str())));
    assert!(elsewhere.header("location").unwrap().ends_with("/expired"));
    assert_eq!(traces(&world).await, Traces { exchanges: 1, records: 1, secrets: 1 });
}

#[tokio::test]
async fn a_browser_that_installs_without_sign_in_is_sent_to_the_dashboard() {
    let world = World::with(with_install_url()).await;
    let stack = &world.stack;

    let callback = stack.accept_at(&format!("{}&sign_in=none", stack.marketplace())).await.unwrap();
    let dashboard = stack.open(&callback).await.unwrap();

    assert_eq!(dashboard, format!("{INSTALL_URL}?hubspot=start-from-dashboard"));
    assert_eq!(traces(&world).await, NOTHING);
}

fn shared_hash(state: &str) -> String {
    shared::crypto::sha256_hex(state)
}

/// A name that is different for each case.
fn uuid(text: &str, stored: bool) -> String {
    shared::crypto::sha256_hex(format!("{text}{stored}"))[..16].to_owned()
}

/// Addresses that look like HubSpot's to a careless reader.
fn hostile_addresses() -> impl Iterator<Item = &'static str> {
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "javascript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "http://app.hubspot.com/",
        "https://app.hubspot.com@evil.example/",
        "https://app.hubspot.com:443@evil.example/",
        "https://app.hubspot.com.evil.example/",
        "https://app.hubspot.com%2eevil.example/",
        "https://app.hubspot.com\\.evil.example/",
        "https://app.hubspot.com\t.evil.example/",
        "https://app.hubspot.com\r\nLocation: https://evil.example/",
        "https://evil.example/?x=https://app.hubspot.com/",
        "https://evil.example/#https://app.hubspot.com/",
        "https://app-evil.hubspot.com/",
        "https://app.hubspot.com:8443/",
        "https://app.hubspot.com/?state=evil",
        "https://app.hubspot.com/#evil",
        "\u{ff48}ttps://app.hubspot.com/",
    ]
    .into_iter()
}
