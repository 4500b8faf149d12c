//! The token that is used: the account's own and valid one, or no token.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use devstack::hubspot::{Fault, Match, PORTAL};
use devstack::wire::Answer;
use serde_json::{Value, json};

use super::{access_token, connected, tamper, to, with};
use crate::world::{ACCOUNT, World};

const OLD: Duration = Duration::from_secs(16 * 60);

fn create() -> Value {
    with(to("POST", "/crm/v3/objects/contacts"), &json!({"body": {"properties": {}}}))
}

fn list() -> Value {
    to("GET", "/crm/v3/objects/contacts")
}

/// The bearer tokens that the API got, in order.
fn bearers(world: &World) -> Vec<String> {
    world.stack.hubspot.api_requests().iter().map(|request| request.header("authorization").unwrap()).collect()
}

/// The newest record points at a version with this text, from any writer.
async fn point_at(world: &World, text: &str) {
    let secret_id = world.stack.newest_text(ACCOUNT, "secret_id").await.unwrap();
    let secrets = world.stack.secrets();
    let put = secrets.put_secret_value().secret_id(secret_id).secret_string(text).send().await.unwrap();
    tamper(world, ACCOUNT, 1, "secret_version", put.version_id.map(AttributeValue::S)).await;
}

async fn secret(world: &World) -> Value {
    let secret_id = world.stack.newest_text(ACCOUNT, "secret_id").await.unwrap();
    world.stack.secrets_manager.secret(&secret_id).unwrap().current().unwrap().value.json()
}

/// Nothing was sent, neither to the API nor for tokens, since HubSpot's requests were last forgotten.
fn assert_untouched(world: &World) {
    let requests = world.stack.hubspot.requests();
    assert!(requests.is_empty(), "{requests:?}");
}

#[tokio::test]
async fn an_old_token_that_hubspot_calls_expired_is_refreshed_and_replayed_once() {
    let world = connected().await;
    let old = access_token(&world).await;
    world.pass(OLD);
    world.stack.hubspot.expire_access_tokens();

    let answer = world.execute(&create()).await;

    assert_eq!(
        (&answer.body["hubspot"]["status"], &answer.body["attempts"]),
        (&json!(201), &json!(2)),
        "{}",
        answer.text
    );
    assert_eq!(bearers(&world), [format!("Bearer {old}"), format!("Bearer {}", access_token(&world).await)]);
    assert_ne!(old, access_token(&world).await);
    assert_eq!(world.stack.hubspot.count(&Match::refresh()), 1);
    assert_eq!(world.stack.hubspot.objects(PORTAL, "contacts").len(), 1);
}

#[tokio::test]
async fn a_token_replaced_during_the_execution_is_redacted_too() {
    let world = connected().await;
    let old = access_token(&world).await;
    world.pass(OLD);
    let expired = Answer::json(401, &json!({"status": "error", "category": "EXPIRED_AUTHENTICATION"}));
    let echo = Answer::json(200, &json!({"you": old})).header("x-hubspot-echo", &old);
    world.stack.hubspot.script(Match::api(), [Fault::Answer(expired), Fault::Answer(echo)]);

    let answer = world.execute(&list()).await;

    assert_eq!(answer.body["hubspot"]["body"], json!({"you": "[REDACTED]"}), "{}", answer.text);
    assert!(!answer.text.contains(&old), "{}", answer.text);
}

#[tokio::test]
async fn a_hubspot_that_calls_every_token_expired_gets_one_replay_and_no_loop() {
    let world = connected().await;
    world.pass(OLD);
    let expired = Answer::json(401, &json!({"status": "error", "category": "EXPIRED_AUTHENTICATION"}));
    world.stack.hubspot.script_always(Match::api(), Fault::Answer(expired));

    let first = world.execute(&list()).await;
    let second = world.execute(&list()).await;

    assert_eq!((&first.body["hubspot"]["status"], &first.body["attempts"]), (&json!(401), &json!(2)));
    assert_eq!((&second.body["hubspot"]["status"], &second.body["attempts"]), (&json!(401), &json!(1)));
    assert_eq!(world.stack.hubspot.count(&Match::refresh()), 1);
}

#[tokio::test]
async fn an_expired_token_is_refreshed_before_anything_is_sent() {
    let world = connected().await;
    let old = access_token(&world).await;
    world.pass(Duration::from_secs(1800));

    let answer = world.execute(&create()).await;

    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_ne!(old, access_token(&world).await);
    assert_eq!(bearers(&world), [format!("Bearer {}", access_token(&world).await)]);
}

#[tokio::test]
async fn a_secret_of_another_account_or_integration_is_internal_and_not_used() {
    let world = connected().await;
    let good = secret(&world).await;

    for expired in [false, true] {
        if expired {
            world.pass(Duration::from_secs(1800));
        }
        world.stack.hubspot.forget_requests();
        for (field, value) in [("account_id", "acc_2"), ("account_id", "ACC_1"), ("integration_id", "another")] {
            let mut other = good.clone();
            other[field] = json!(value);
            point_at(&world, &other.to_string()).await;
            let answer = world.execute(&list()).await;

            let case = format!("{field} {value}, expired: {expired}: {}", answer.text);
            assert_eq!((answer.status, answer.code()), (500, "internal"), "{case}");
            assert_eq!((&answer.body["outcome"], &answer.body["retryable"]), (&json!("not_sent"), &json!(false)));
            assert!(world.record(ACCOUNT, 1).await.unwrap().lease_owner.is_none(), "{case}");
            assert_untouched(&world);
        }
    }
}

#[tokio::test]
async fn a_secret_that_does_not_parse_is_internal() {
    let world = connected().await;
    let good = secret(&world).await;
    let without = |field: &str| {
        let mut secret = good.clone();
        secret.as_object_mut().unwrap().remove(field);
        secret.to_string()
    };
    let mut numeric = good.clone();
    numeric["access_token"] = json!(7);
    world.stack.hubspot.forget_requests();

    let texts = ["s3cret".to_owned(), "{}".to_owned(), "[]".to_owned(), numeric.to_string()];
    for text in texts.into_iter().chain(["account_id", "access_token", "refresh_token", "expires_at"].map(without)) {
        point_at(&world, &text).await;
        let answer = world.execute(&list()).await;

        assert_eq!((answer.status, answer.code()), (500, "internal"), "{}", answer.text);
        assert!(!answer.text.contains("s3cret") && !answer.text.contains("secret"), "{}", answer.text);
        assert_untouched(&world);
    }
}

#[tokio::test]
async fn a_record_that_does_not_parse_is_internal() {
    let text = |text: &str| Some(AttributeValue::S(text.to_owned()));
    let breaks = [
        ("status", text("bogus")),
        ("status", None),
        ("integration_id", text("a b")),
        ("integration_id", None),
        ("token_expires_at", text("soon")),
        ("scopes", text("oauth")),
        ("secret_id", None),
        ("secret_version", None),
        ("created_at", Some(AttributeValue::Bool(true))),
        ("lease_until", text("x")),
    ];

    let world = connected().await;
    let [good] = world.stack.records(ACCOUNT).await.unwrap().try_into().unwrap();
    world.stack.hubspot.forget_requests();

    for (name, value) in breaks {
        tamper(&world, ACCOUNT, 1, name, value.clone()).await;
        let answer = world.execute(&list()).await;

        assert_eq!((answer.status, answer.code()), (500, "internal"), "{name} {value:?}: {}", answer.text);
        assert_eq!(answer.body["outcome"], "not_sent");
        tamper(&world, ACCOUNT, 1, name, good.get(name).cloned()).await;
    }
    assert_untouched(&world);
    assert_eq!(world.execute(&list()).await.status, 200, "the record was good otherwise");
}

#[tokio::test]
async fn a_token_that_cannot_be_sent_is_internal_and_not_hubspots_fault() {
    let world = connected().await;
    let mut odd = secret(&world).await;
    odd["access_token"] = json!("s3cret\r\nX-Header: a");
    point_at(&world, &odd.to_string()).await;
    world.stack.hubspot.forget_requests();

    let answer = world.execute(&list()).await;

    assert_eq!((answer.status, answer.code()), (500, "internal"), "{}", answer.text);
    assert_untouched(&world);
}

#[tokio::test]
async fn a_corrupt_record_or_secret_is_named_in_the_log() {
    let world = connected().await;
    point_at(&world, "s3cret").await;
    let secret_id = world.stack.newest_text(ACCOUNT, "secret_id").await.unwrap();

    let secret = world.stack.post_automation(list().to_string()).await;
    tamper(&world, ACCOUNT, 1, "status", Some(AttributeValue::S("bogus".to_owned()))).await;
    let record = world.stack.post_automation(list().to_string()).await;

    assert_eq!((secret.code().as_deref(), record.code().as_deref()), (Some("internal"), Some("internal")));
    let logs = world.stack.lambda.logs();
    logs.wait_for(|line| line.text.contains(&secret_id) && line.text.contains("does not parse")).await;
    logs.wait_for(|line| line.text.contains("record account_id acc_1 sequence 1 does not parse")).await;
    assert!(logs.lines().iter().all(|line| !line.text.contains("s3cret")));
}

#[tokio::test]
async fn a_missing_app_secret_is_temporary_and_counts_as_soon_as_it_is_put() {
    let world = connected().await;
    let name = format!("{}/app", world.stack.table("SECRET_PREFIX"));
    let app = world.stack.secrets_manager.secret(&name).unwrap().current().unwrap().value.json();
    let secrets = world.stack.secrets();
    secrets.delete_secret().secret_id(&name).force_delete_without_recovery(true).send().await.unwrap();

    let alive = world.execute(&list()).await;
    world.pass(Duration::from_secs(1800));
    let expired = world.execute(&list()).await;
    let status = world.stack.newest_text(ACCOUNT, "status").await.unwrap();
    world.stack.put_app_secret(&app).await.unwrap();
    world.pass(Duration::from_secs(10));
    let again = world.execute(&list()).await;

    assert_eq!(alive.status, 200, "a token that is alive needs no app secret: {}", alive.text);
    assert_eq!((expired.status, expired.code()), (503, "temporarily_unavailable"), "{}", expired.text);
    assert_eq!((&expired.body["outcome"], &expired.body["retryable"]), (&json!("not_sent"), &json!(true)));
    assert!(expired.headers.contains_key("retry-after"));
    assert_eq!((status.as_str(), again.status), ("active", 200), "{}", again.text);
}
