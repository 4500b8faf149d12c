//! Connecting an account: the OAuth round trip, and what an admin's browser sees of it.

mod bounds;
mod crashes;
mod hostile;
mod installations;
mod pages;
mod reconnect;
mod refusals;

use std::time::Duration;

use devstack::hubspot::{Match, PORTAL};
use serde_json::{Value, json};
use shared::crypto;
use url::Url;

use crate::world::{ACCOUNT, ADMIN, Answer, World, request};

/// An authorization that a browser has started, with the handler in this process.
pub(crate) struct Begun {
    pub(crate) authorize_url: Url,
    /// The binding cookie, as the browser sends it back.
    pub(crate) cookie: String,
}

impl Begun {
    /// A parameter of the consent page's address.
    pub(crate) fn parameter(&self, name: &str) -> String {
        let found = self.authorize_url.query_pairs().find(|(own, _)| own == name);
        found.unwrap_or_else(|| panic!("{name} is not in {}", self.authorize_url)).1.into_owned()
    }

    pub(crate) fn state(&self) -> String {
        self.parameter("state")
    }

    /// Accepts on HubSpot's consent page, for one portal; the query that HubSpot sends the browser back with.
    pub(crate) fn accept(&self, world: &World, portal: u64) -> String {
        let callback = world.stack.hubspot.accept(self.authorize_url.as_str(), portal).unwrap();
        callback.split_once('?').unwrap().1.to_owned()
    }
}

/// A world in which an admin has started to connect [`ACCOUNT`].
pub(crate) async fn begun() -> (World, Begun) {
    let world = World::start().await;
    let begun = begin(&world, ACCOUNT, &json!({})).await;
    (world, begun)
}

/// Begins an authorization as an admin.
pub(crate) async fn begin(world: &World, account: &str, body: &Value) -> Begun {
    let answer = world.dashboard(account, "admin", "POST", "/v1/authorizations", body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let authorize_url = Url::parse(answer.body["authorize_url"].as_str().unwrap()).unwrap();
    Begun { authorize_url, cookie: answer.cookies[0].split(';').next().unwrap().to_owned() }
}

/// Accepts for the double's first portal and comes back with the right cookie; the outcome.
pub(crate) async fn finish(world: &World, begun: &Begun) -> String {
    outcome(world, &world.callback(&begun.accept(world, PORTAL), &[&begun.cookie]).await)
}

/// All of it; the id of the account's newest integration.
pub(crate) async fn connect(world: &World, account: &str, body: &Value) -> String {
    assert_eq!(finish(world, &begin(world, account, body).await).await, "connected");
    let listed = world.dashboard(account, "member", "GET", "/v1/integrations", &json!(null)).await;
    listed.body["integrations"][0]["integration_id"].as_str().unwrap().to_owned()
}

/// A world in which [`ACCOUNT`] is connected, and the id of its integration.
pub(crate) async fn connected_account() -> (World, String) {
    let world = World::start().await;
    let id = connect(&world, ACCOUNT, &json!({})).await;
    (world, id)
}

/// The outcome that a callback sends the browser to, which is all that it says.
pub(crate) fn outcome(world: &World, answer: &Answer) -> String {
    assert_eq!((answer.status, answer.text.as_str()), (303, ""));
    let place = format!("{}/oauth/hubspot/result/", world.stack.public_url());
    let location = &answer.headers["location"];
    let end = location.strip_prefix(&place).unwrap_or_else(|| panic!("the browser is sent to {location}"));
    // Only the page of another browser gets a reason.
    match end.split_once("?reason=") {
        Some((outcome @ "other-browser", "no-cookie" | "another-cookie")) => outcome.to_owned(),
        _ => end.to_owned(),
    }
}

/// Records and secrets that authorizations of [`ACCOUNT`] left behind.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Traces {
    pub(crate) exchanges: usize,
    pub(crate) records: usize,
    pub(crate) secrets: usize,
}

/// Nothing at all.
pub(crate) const NOTHING: Traces = Traces { exchanges: 0, records: 0, secrets: 0 };

pub(crate) async fn traces(world: &World) -> Traces {
    Traces {
        exchanges: world.stack.hubspot.count(&Match::exchange()),
        records: world.stack.records(ACCOUNT).await.unwrap().len(),
        secrets: secrets(world).len(),
    }
}

/// The names of all secrets of integrations.
pub(crate) fn secrets(world: &World) -> Vec<String> {
    let all = world.stack.secrets_manager.secrets().into_iter().map(|secret| secret.name);
    all.filter(|name| name.contains("/integrations/")).collect()
}

#[tokio::test]
async fn the_start_returns_the_consent_page_and_a_cookie_that_binds_the_browser() {
    let world = World::start().await;

    let answer = world.dashboard(ACCOUNT, "admin", "POST", "/v1/authorizations", &json!({})).await;

    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(answer.body.as_object().unwrap().len(), 2, "{}", answer.text);
    assert_eq!(answer.headers["cache-control"], "no-store");
    let ends_in = answer.body["expires_at"].as_i64().unwrap() - world.clock.now();
    assert!((1798..=1800).contains(&ends_in), "{ends_in}");
    let authorize_url = Url::parse(answer.body["authorize_url"].as_str().unwrap()).unwrap();
    let state = authorize_url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let [cookie] = &answer.cookies[..] else { panic!("{:?}", answer.cookies) };
    let name = format!("__Host-hubspot-{}=", &crypto::sha256_hex(&state)[..8]);
    let (value, attributes) = cookie.strip_prefix(&name).unwrap().split_once(';').unwrap();
    assert_eq!(attributes, " Path=/; Max-Age=1800; Secure; HttpOnly; SameSite=Lax");
    assert!(value.len() == 43 && value != state, "{value}");
}

#[tokio::test]
async fn the_consent_page_gets_client_redirect_uri_scopes_state_challenge_only() {
    let world = World::start().await;

    let begun = begin(&world, ACCOUNT, &json!({})).await;

    let names: Vec<_> = begun.authorize_url.query_pairs().map(|(name, _)| name.into_owned()).collect();
    let known = ["client_id", "redirect_uri", "scope", "optional_scope", "state", "code_challenge"];
    assert_eq!(names, [&known[..], &["code_challenge_method"]].concat());
    assert_eq!(begun.authorize_url.as_str().split('?').next().unwrap(), world.stack.hubspot.authorize_url());
    assert!(!begun.authorize_url.query().unwrap().contains('+'), "blanks are %20: {}", begun.authorize_url);
    let environment = world.stack.environment("oauth-callback");
    assert_eq!(begun.parameter("client_id"), world.stack.hubspot.client_id());
    assert_eq!(begun.parameter("redirect_uri"), format!("{}/oauth/hubspot/callback", world.stack.public_url()));
    assert_eq!(begun.parameter("scope"), environment["HUBSPOT_SCOPES"]);
    assert_eq!(begun.parameter("optional_scope"), environment["HUBSPOT_OPTIONAL_SCOPES"]);
    assert_eq!(begun.parameter("code_challenge_method"), "S256");
    assert_eq!((begun.state().len(), begun.parameter("code_challenge").len()), (43, 43));
}

#[tokio::test]
async fn the_consent_page_gets_no_optional_scopes_if_none_are_configured() {
    let environment = [("HUBSPOT_OPTIONAL_SCOPES".to_owned(), None)].into();
    let world = World::with(devstack::stack::Options { environment, ..Default::default() }).await;

    let begun = begin(&world, ACCOUNT, &json!({})).await;

    assert!(!begun.authorize_url.as_str().contains("optional_scope"), "{}", begun.authorize_url);
}

#[tokio::test]
async fn the_code_verifier_and_redirect_uri_are_sent_in_the_exchange_body() {
    let (world, begun) = begun().await;
    let query = begun.accept(&world, PORTAL);

    let answer = world.callback(&query, &[&begun.cookie]).await;

    assert_eq!(outcome(&world, &answer), "connected");
    assert!(answer.cookies.is_empty(), "a repeated callback needs the cookie");
    let requests = world.stack.hubspot.token_requests();
    let [exchange] = &requests[..] else { panic!("{} token requests", requests.len()) };
    assert_eq!((exchange.method.as_str(), exchange.target.as_str()), ("POST", "/oauth/2026-03/token"));
    assert_eq!(exchange.header("authorization"), None);
    let form: std::collections::BTreeMap<_, _> = exchange.form().into_iter().collect();
    assert_eq!(
        form.keys().map(String::as_str).collect::<Vec<_>>(),
        ["client_id", "client_secret", "code", "code_verifier", "grant_type", "redirect_uri"]
    );
    assert_eq!(form["grant_type"], "authorization_code");
    assert_eq!(form["redirect_uri"], begun.parameter("redirect_uri"));
    assert_eq!(crypto::pkce_challenge(&form["code_verifier"]), begun.parameter("code_challenge"));
    assert!(query.contains(&form["code"]), "{query}");
}

#[tokio::test]
async fn a_connected_account_has_one_record_that_points_at_one_secret_and_runs() {
    let (world, id) = connected_account().await;

    let answer = world.execute(&request(ACCOUNT, Some(&id))).await;

    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(traces(&world).await, Traces { exchanges: 1, records: 1, secrets: 1 });
    let record = world.record(ACCOUNT, 1).await.unwrap();
    assert_eq!(record.integration_id.as_str(), id);
    assert_eq!((record.connected_by.as_deref(), record.hub_id), (Some(ADMIN), Some(PORTAL)));
    let pointer = record.pointer.unwrap();
    let secret = world.stack.secrets_manager.secret(&pointer.secret_id).unwrap();
    let tokens = secret.version(&pointer.secret_version).unwrap().value.json();
    assert_eq!((&tokens["account_id"], &tokens["integration_id"]), (&json!(ACCOUNT), &json!(id)));
    assert_eq!(tokens["expires_at"], json!(record.token_expires_at));
    assert_eq!(tokens["replaces"], json!([]));
}

#[tokio::test]
async fn neither_state_nor_browser_secret_nor_code_is_ever_stored() {
    let (world, begun) = begun().await;
    let query = begun.accept(&world, PORTAL);
    let code = url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "code").unwrap().1.into_owned();

    let answer = world.callback(&query, &[&begun.cookie]).await;

    assert_eq!(outcome(&world, &answer), "connected");
    let calls = world.stack.dynamo.calls();
    let bodies: Vec<String> = calls.iter().map(|call| call.body.to_string()).collect();
    assert!(bodies.iter().any(|body| body.contains(&crypto::sha256_hex(begun.state()))), "the hash is the key");
    let browser = begun.cookie.split_once('=').unwrap().1;
    for secret in [begun.state().as_str(), browser, &code] {
        assert!(!bodies.iter().any(|body| body.contains(secret)), "{bodies:#?}");
    }
}

#[tokio::test]
async fn an_authorization_expires_after_thirty_minutes_although_its_row_exists() {
    for (seconds, expected) in [(1795, "connected"), (1800, "expired")] {
        let (world, begun) = begun().await;
        world.stop_time();
        world.pass(Duration::from_secs(seconds));

        assert_eq!(finish(&world, &begun).await, expected, "after {seconds} s");

        let connected = usize::from(expected == "connected");
        let left = Traces { exchanges: connected, records: connected, secrets: connected };
        assert_eq!(traces(&world).await, left, "after {seconds} s");
    }
}

#[tokio::test]
async fn two_tabs_of_one_browser_do_not_disturb_each_other() {
    let (world, _) = connected_account().await;
    let one = begin(&world, ACCOUNT, &json!({"new_instance": true})).await;
    let two = begin(&world, ACCOUNT, &json!({"new_instance": true})).await;
    let both = format!("{}; {}", one.cookie, two.cookie);

    let second = world.callback(&two.accept(&world, PORTAL), &[&both]).await;
    let first = world.callback(&one.accept(&world, PORTAL), &[&one.cookie, &two.cookie]).await;

    assert_eq!((outcome(&world, &first), outcome(&world, &second)), ("connected".into(), "connected".into()));
    assert_eq!(traces(&world).await, Traces { exchanges: 3, records: 3, secrets: 3 });
}
