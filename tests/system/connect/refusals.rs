//! Authorizations that HubSpot, AWS or the admin's choice end otherwise.

use devstack::aws::AwsFault;
use devstack::hubspot::{Fault, Issued, Match, PORTAL, TokenFields};
use devstack::stack::Options;
use devstack::wire::Answer as Wire;
use serde_json::{Value, json};

use super::{NOTHING, Traces, begin, begun, connect, finish, outcome, traces};
use crate::world::{ACCOUNT, ADMIN, World, request};

/// The required scopes of the template.
const REQUIRED: [&str; 3] = ["oauth", "crm.objects.contacts.read", "crm.objects.contacts.write"];
const INTROSPECT: &str = "/oauth/2026-03/token/introspect";

/// HubSpot's answer to an exchange, before a test changes it.
fn token_answer(issued: &Issued) -> Value {
    json!({
        "access_token": issued.access_token,
        "refresh_token": issued.refresh_token,
        "expires_in": issued.expires_in,
        "token_type": "bearer",
        "hub_id": issued.hub_id,
        "scopes": issued.scopes,
    })
}

/// The same without the fields that an introspection can say.
fn terse(mut answer: Value) -> Value {
    answer.as_object_mut().unwrap().retain(|name, _| name != "hub_id" && name != "scopes");
    answer
}

/// Connects while the exchange ends so; the outcome.
async fn exchanged(world: &World, answer: Fault) -> String {
    let begun = begin(world, ACCOUNT, &json!({})).await;
    world.stack.hubspot.script(Match::exchange(), [answer]);
    let outcome = finish(world, &begun).await;
    assert_eq!(world.stack.hubspot.faults_left(), 0);
    outcome
}

/// HubSpot's own answer to an exchange.
fn answers(body: &Value) -> Fault {
    Fault::Answer(Wire::json(200, body))
}

async fn assert_nothing_is_stored(world: &World) {
    let left = traces(world).await;
    assert_eq!((left.records, left.secrets), (0, 0));
}

#[tokio::test]
async fn a_declined_consent_ends_the_authorization() {
    let (world, begun) = begun().await;
    let callback = world.stack.hubspot.decline(begun.authorize_url.as_str()).unwrap();

    let declined = world.callback(callback.split_once('?').unwrap().1, &[&begun.cookie]).await;

    assert_eq!(outcome(&world, &declined), "declined");
    assert_eq!(traces(&world).await, NOTHING);
    assert_eq!(finish(&world, &begun).await, "declined", "its state is used");
}

#[tokio::test]
async fn any_other_error_of_hubspot_is_a_failure_that_ends_the_authorization() {
    let world = World::start().await;

    for error in ["server_error", "invalid_scope", "temporarily_unavailable", "ACCESS_DENIED", "access_denied "] {
        let begun = begin(&world, ACCOUNT, &json!({})).await;
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("error", error)
            .append_pair("state", &begun.state())
            .finish();
        let answer = world.callback(&query, &[&begun.cookie]).await;

        assert_eq!(outcome(&world, &answer), "failed", "{error}");
        assert_eq!(finish(&world, &begun).await, "failed", "{error}");
    }
    assert_eq!(traces(&world).await, NOTHING);
}

#[tokio::test]
async fn a_code_that_hubspot_does_not_know_is_a_failure() {
    let (world, begun) = begun().await;

    let answer = world.callback(&format!("code=unknown&state={}", begun.state()), &[&begun.cookie]).await;

    assert_eq!(outcome(&world, &answer), "failed");
    assert_eq!(traces(&world).await, Traces { exchanges: 1, ..NOTHING });
}

#[tokio::test]
async fn whatever_goes_wrong_at_the_token_endpoint_stores_nothing() {
    let world = World::start().await;
    let complete = token_answer(&world.stack.hubspot.authorize(PORTAL, &REQUIRED));
    let without = |name: &str| {
        let mut body = complete.clone();
        body.as_object_mut().unwrap().remove(name);
        answers(&body)
    };
    let with = |name: &str, value: Value| {
        let mut body = complete.clone();
        body[name] = value;
        answers(&body)
    };

    for fault in [
        Fault::status(500),
        Fault::status(503),
        Fault::status(429),
        Fault::status(404),
        Fault::Answer(Wire::json(400, &json!({"error": "invalid_grant", "status": "BAD_AUTH_CODE"}))),
        Fault::Answer(Wire::html(502, "<h1>Bad Gateway</h1>")),
        Fault::Answer(Wire::html(200, "<h1>Welcome</h1>")),
        Fault::Answer(Wire::redirect(302, "https://evil.example/")),
        answers(&json!([])),
        Fault::Close,
        Fault::CloseAfterEffect,
        Fault::Reset,
        Fault::Cut(300),
        without("access_token"),
        without("refresh_token"),
        without("expires_in"),
        with("token_type", json!("mac")),
        with("expires_in", json!(-1)),
        with("expires_in", json!("soon")),
        with("access_token", json!("two words")),
        with("refresh_token", json!("")),
        with("refresh_token", json!("two words")),
    ] {
        assert_eq!(exchanged(&world, fault.clone()).await, "failed", "{fault:?}");
    }
    assert_nothing_is_stored(&world).await;
}

#[tokio::test]
async fn the_edges_id_at_the_token_endpoint_is_logged() {
    let world = World::start().await;
    let begun = world.stack.authorize(ACCOUNT, ADMIN, &json!({})).await.unwrap();
    let callback = world.stack.consent(&begun).await.unwrap();
    let page = Wire::html(403, "<html>").header("cf-ray", "8a1b2c3d4e5f-FRA");
    world.stack.hubspot.script(Match::exchange(), [Fault::Answer(page)]);

    world.stack.finish(&callback, Some(&begun.cookie)).await.unwrap();

    world.stack.lambda.logs().wait_for(|line| line.text.contains(", cf-ray 8a1b2c3d4e5f-FRA")).await;
}

#[tokio::test]
async fn a_grant_without_a_required_scope_is_not_stored() {
    let world = World::start().await;
    let granted = token_answer(&world.stack.hubspot.authorize(PORTAL, &REQUIRED[..2]));

    assert_eq!(exchanged(&world, answers(&granted)).await, "missing-scopes");

    assert_eq!(traces(&world).await, Traces { exchanges: 1, ..NOTHING });
    assert_eq!(world.stack.hubspot.count(&Match::path("/oauth/2026-03/token/revoke")), 0);
}

#[tokio::test]
async fn a_scope_that_came_back_under_its_successors_names_only_is_granted() {
    let environment = [("HUBSPOT_SCOPES".to_owned(), Some("oauth hubdb tickets".to_owned()))].into();
    let world = World::with(Options { environment, ..Default::default() }).await;
    world.stack.hubspot.rename_scope("tickets", &["crm.objects.tickets.read", "brand.new"]);

    world.stack.hubspot.rename_scope("hubdb", &["database"]);
    let under_an_unknown_name = finish(&world, &begin(&world, ACCOUNT, &json!({})).await).await;
    world.stack.hubspot.rename_scope("hubdb", &["hubdb.rows.read", "hubdb.tables.read"]);
    connect(&world, ACCOUNT, &json!({})).await;

    assert_eq!(under_an_unknown_name, "missing-scopes");
    let granted = world.record(ACCOUNT, 1).await.unwrap().scopes;
    let renamed = ["oauth", "hubdb.rows.read", "hubdb.tables.read", "crm.objects.tickets.read", "brand.new"];
    assert!(granted.starts_with(&renamed.map(str::to_owned)), "{granted:?}");
}

#[tokio::test]
async fn a_portal_that_lacks_optional_scopes_connects_with_what_it_has() {
    let world = World::start().await;
    world.stack.hubspot.set_portal_scopes(PORTAL, Some(&REQUIRED));

    connect(&world, ACCOUNT, &json!({})).await;

    assert_eq!(world.record(ACCOUNT, 1).await.unwrap().scopes, REQUIRED);
    assert_eq!(world.stack.hubspot.count(&Match::path(INTROSPECT)), 0, "a complete answer needs no introspection");
}

#[tokio::test]
async fn a_token_answer_without_portal_or_scopes_is_completed_by_introspection() {
    let world = World::start().await;
    let terse = terse(token_answer(&world.stack.hubspot.authorize(PORTAL, &REQUIRED)));

    assert_eq!(exchanged(&world, answers(&terse)).await, "connected");

    let asked = world.stack.hubspot.requests_that(&Match::path(INTROSPECT));
    let [asked] = &asked[..] else { panic!("{} introspections", asked.len()) };
    assert!(asked.form().contains(&("token".to_owned(), terse["access_token"].as_str().unwrap().to_owned())));
    let record = world.record(ACCOUNT, 1).await.unwrap();
    assert_eq!((record.hub_id, record.scopes.as_slice()), (Some(PORTAL), &REQUIRED.map(str::to_owned)[..]));
}

#[tokio::test]
async fn scopes_that_cannot_be_read_are_asked_for() {
    let world = World::start().await;
    let mut odd = token_answer(&world.stack.hubspot.authorize(PORTAL, &REQUIRED));
    odd["scopes"] = json!(7);

    assert_eq!(exchanged(&world, answers(&odd)).await, "connected");

    assert_eq!(world.record(ACCOUNT, 1).await.unwrap().scopes, REQUIRED);
}

#[tokio::test]
async fn only_the_three_fields_that_hubspot_promises_are_needed() {
    let world = World::start().await;
    world.stack.hubspot.set_token_fields(TokenFields::Required);

    let id = connect(&world, ACCOUNT, &json!({})).await;

    assert_eq!(world.stack.hubspot.count(&Match::path(INTROSPECT)), 1);
    assert_eq!(world.record(ACCOUNT, 1).await.unwrap().hub_id, Some(PORTAL));
    assert_eq!(world.execute(&request(ACCOUNT, Some(&id))).await.status, 200);
}

#[tokio::test]
async fn tokens_of_which_nobody_says_the_portal_or_the_scopes_are_not_stored() {
    let world = World::start().await;
    let terse = terse(token_answer(&world.stack.hubspot.authorize(PORTAL, &REQUIRED)));

    for introspection in [
        answers(&json!({"active": false})),
        answers(&json!({"active": true, "hub_id": PORTAL})),
        answers(&json!({"active": true, "scopes": REQUIRED})),
        Fault::status(500),
        Fault::Close,
    ] {
        world.stack.hubspot.script(Match::path(INTROSPECT), [introspection.clone()]);

        assert_eq!(exchanged(&world, answers(&terse)).await, "failed", "{introspection:?}");
    }
    assert_nothing_is_stored(&world).await;
}

#[tokio::test]
async fn a_wrong_client_secret_is_our_misconfiguration() {
    let world = World::start().await;
    world.stack.hubspot.rotate_client_secret("another");

    let outcome = finish(&world, &begin(&world, ACCOUNT, &json!({})).await).await;

    assert_eq!(outcome, "misconfigured");
    assert_nothing_is_stored(&world).await;
}

#[tokio::test]
async fn a_client_secret_that_ops_have_replaced_is_read_again() {
    let (world, begun) = begun().await;
    world.stack.hubspot.rotate_client_secret("another");
    let credentials = json!({"client_id": world.stack.hubspot.client_id(), "client_secret": "another"});
    world.stack.put_app_secret(&credentials).await.unwrap();

    let outcome = finish(&world, &begun).await;

    assert_eq!(outcome, "connected");
}

#[tokio::test]
async fn during_a_rotation_the_previous_client_secret_still_connects() {
    let world = World::start().await;
    let (client_id, previous) = (world.stack.hubspot.client_id(), world.stack.hubspot.client_secret());
    let credentials =
        json!({"client_id": client_id, "client_secret": "not-yet-in-force", "previous_client_secret": previous});
    world.stack.put_app_secret(&credentials).await.unwrap();

    let outcome = finish(&world, &begin(&world, ACCOUNT, &json!({})).await).await;

    assert_eq!(outcome, "connected");
}

#[tokio::test]
async fn the_start_is_unavailable_until_the_app_secret_is_set() {
    let world = World::with(Options { app_secret: false, ..Default::default() }).await;

    let before = world.dashboard(ACCOUNT, "admin", "POST", "/v1/authorizations", &json!({})).await;
    let credentials =
        json!({"client_id": world.stack.hubspot.client_id(), "client_secret": world.stack.hubspot.client_secret()});
    world.stack.put_app_secret(&credentials).await.unwrap();
    let after = finish(&world, &begin(&world, ACCOUNT, &json!({})).await).await;

    assert_eq!((before.status, before.code()), (503, "temporarily_unavailable"), "{}", before.text);
    assert!(before.headers.contains_key("retry-after") && before.cookies.is_empty(), "{before:?}");
    assert_eq!(after, "connected");
}

#[tokio::test]
async fn a_malformed_app_secret_makes_the_start_unavailable_and_is_not_shown() {
    let world = World::start().await;
    world.stack.put_app_secret(&json!({"clientId": "planted-id", "clientSecret": "planted-secret"})).await.unwrap();

    let answer = world.dashboard(ACCOUNT, "admin", "POST", "/v1/authorizations", &json!({})).await;

    assert_eq!((answer.status, answer.code()), (503, "temporarily_unavailable"), "{}", answer.text);
    assert!(!answer.text.contains("planted"), "{}", answer.text);
}

#[tokio::test]
async fn an_unconsumable_state_exchanges_nothing_and_the_browser_can_come_back() {
    let (world, begun) = begun().await;
    let query = begun.accept(&world, PORTAL);
    world.stack.dynamo.fail_next("UpdateItem", AwsFault::Refused, 3);

    let answer = world.callback(&query, &[&begun.cookie]).await;

    assert_eq!(outcome(&world, &answer), "failed");
    assert_eq!(traces(&world).await, NOTHING);
    assert!(answer.cookies.is_empty(), "the cookie is still needed");
    assert_eq!(outcome(&world, &world.callback(&query, &[&begun.cookie]).await), "connected");
}

#[tokio::test]
async fn a_write_that_aws_refuses_once_or_does_not_answer_is_made_once() {
    for faults in [
        vec![("UpdateItem", AwsFault::AnswerLost)],
        vec![("CreateSecret", AwsFault::AnswerLost)],
        vec![("PutItem", AwsFault::AnswerLost)],
        vec![
            ("UpdateItem", AwsFault::Throttled),
            ("CreateSecret", AwsFault::Throttled),
            ("PutItem", AwsFault::Refused),
        ],
    ] {
        let world = World::start().await;
        for (count, body) in [(1, json!({})), (2, json!({"new_instance": true}))] {
            let begun = begin(&world, ACCOUNT, &body).await;
            for (operation, fault) in &faults {
                if *operation == "CreateSecret" {
                    world.stack.secrets_manager.fail_next(operation, *fault, 1);
                } else {
                    world.stack.dynamo.fail_next(operation, *fault, 1);
                }
            }

            assert_eq!(finish(&world, &begun).await, "connected", "{body} {faults:?}");

            let once = Traces { exchanges: count, records: count, secrets: count };
            assert_eq!(traces(&world).await, once, "{body} {faults:?}");
        }
    }
}

#[tokio::test]
async fn a_connect_fails_without_secrets_manager_or_dynamodb_and_works_later() {
    let world = World::start().await;
    let (one, two) = (begin(&world, ACCOUNT, &json!({})).await, begin(&world, ACCOUNT, &json!({})).await);

    world.stack.secrets_manager.fail_next("CreateSecret", AwsFault::Refused, 3);
    let without_secrets = finish(&world, &one).await;
    world.stack.dynamo.fail_next("PutItem", AwsFault::Refused, 3);
    let without_records = finish(&world, &two).await;
    let records = traces(&world).await.records;
    let later = finish(&world, &begin(&world, ACCOUNT, &json!({})).await).await;

    assert_eq!((without_secrets.as_str(), without_records.as_str(), records), ("failed", "failed", 0));
    assert_eq!(later, "connected");
}

#[tokio::test]
async fn an_authorization_that_cannot_be_stored_is_not_started() {
    let world = World::start().await;
    world.stack.dynamo.fail_next("PutItem", AwsFault::Refused, 3);

    let answer = world.dashboard(ACCOUNT, "admin", "POST", "/v1/authorizations", &json!({})).await;

    assert_eq!((answer.status, answer.code()), (503, "temporarily_unavailable"), "{}", answer.text);
    assert!(answer.cookies.is_empty());
}
