//! Answers of HubSpot's token endpoint, and their meaning for the integration.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use devstack::hubspot::{Fault, Match, PORTAL};
use devstack::stack::Options;
use devstack::wire::Answer;
use futures_util::future::join_all;
use serde_json::{Value, json};
use shared::integration::Status;

use super::planted::{HOUR, change_text, expire, expired, plant, plant_due, planted, refused, versions};
use crate::world::{ACCOUNT, World, request};

#[tokio::test]
async fn a_revoked_authorization_is_marked_once_and_not_asked_for_again() {
    for portal_is_gone in [false, true] {
        let (world, _) = expired().await;
        if portal_is_gone {
            world.stack.hubspot.remove_portal(PORTAL);
        } else {
            world.stack.hubspot.revoke_refresh_tokens(PORTAL);
        }

        world.refresh(json!({})).await;
        let first = world.execute(&request(ACCOUNT, None)).await;
        let second = world.execute(&request(ACCOUNT, None)).await;

        for answer in [first, second] {
            assert_eq!((answer.status, answer.code()), (409, "reauthorization_required"), "{}", answer.text);
        }
        assert_eq!(world.stack.hubspot.requests().len(), 1, "the portal is gone: {portal_is_gone}");
        let record = world.record(ACCOUNT, 1).await.unwrap();
        let reason = record.status_reason.as_deref();
        assert_eq!((record.status, reason, record.failures), (Status::NeedsReauthorization, Some("revoked"), Some(1)));
        let next = record.refresh_at.unwrap() - world.clock.now();
        assert!((230..=300).contains(&next) && record.lease_owner.is_none(), "{record:?}");
    }
}

#[tokio::test]
async fn a_marked_integration_executes_while_its_token_lives_and_then_nothing() {
    let (world, _) = planted().await;
    world.stack.hubspot.revoke_refresh_tokens(PORTAL);
    world.pass(Duration::from_secs(1800 - 40));
    world.refresh(json!({})).await;
    assert_eq!(world.record(ACCOUNT, 1).await.unwrap().status, Status::NeedsReauthorization);

    let alive = world.execute(&request(ACCOUNT, None)).await;
    let sent = world.stack.hubspot.api_requests().len();
    world.pass(Duration::from_secs(41));
    let answer = world.execute(&request(ACCOUNT, None)).await;

    assert_eq!(alive.status, 200, "{}", alive.text);
    assert_eq!(answer.code(), "reauthorization_required", "{}", answer.text);
    assert_eq!(world.stack.hubspot.api_requests().len(), sent);
}

#[tokio::test]
async fn a_marked_integration_is_healed_by_the_schedule() {
    let (world, _) = planted().await;
    world.stack.hubspot.script(Match::refresh(), [refused("invalid_grant", "BAD_REFRESH_TOKEN")]);
    world.pass(HOUR);
    world.refresh(json!({})).await;
    assert_eq!(world.execute(&request(ACCOUNT, None)).await.code(), "reauthorization_required");

    world.pass(HOUR);
    let report = world.refresh(json!({})).await;

    assert_eq!((&report["due"], &report["refreshed"]), (&json!(1), &json!(1)), "{report}");
    let record = world.record(ACCOUNT, 1).await.unwrap();
    assert_eq!((record.status, record.status_reason, record.failures), (Status::Active, None, None));
    assert_eq!(record.status_since, None);
    assert_eq!(world.execute(&request(ACCOUNT, None)).await.status, 200);
}

#[tokio::test]
async fn a_marked_integration_is_tried_by_the_schedule_even_while_its_token_lives() {
    let world = World::start().await;
    let record = plant_due(&world, ACCOUNT, 1, 6 * 3600, -10).await;
    change_text(&world, &record, "status", AttributeValue::S("needs_reauthorization".to_owned())).await;

    let report = world.refresh(json!({})).await;

    assert_eq!((&report["due"], &report["refreshed"]), (&json!(1), &json!(1)), "{report}");
    assert_eq!(world.record(ACCOUNT, 1).await.unwrap().status, Status::Active);
}

#[tokio::test]
async fn a_wrong_client_secret_marks_nobody_and_waits_out_the_pause() {
    let (world, _) = planted().await;
    world.stack.hubspot.rotate_client_secret("another one");
    world.pass(HOUR);

    let first = world.execute(&request(ACCOUNT, None)).await;
    let asked = world.stack.hubspot.token_requests().len();
    let second = world.execute(&request(ACCOUNT, None)).await;

    assert_eq!((first.status, first.code()), (503, "temporarily_unavailable"), "{}", first.text);
    assert_eq!((second.status, second.code()), (503, "temporarily_unavailable"), "{}", second.text);
    assert_eq!((asked, world.stack.hubspot.token_requests().len()), (1, 1));
    let record = world.record(ACCOUNT, 1).await.unwrap();
    assert_eq!((record.status, record.status_reason.as_deref()), (Status::Active, None));
    assert!(record.refresh_not_before > Some(world.clock.now()), "{record:?}");
}

#[tokio::test]
async fn another_refusal_that_hubspot_does_not_explain_marks_nobody() {
    let world = World::start().await;
    for (number, fault) in [
        refused("invalid_request", "BAD_REQUEST"),
        refused("unauthorized_client", "BAD_CLIENT"),
        Fault::Answer(Answer::html(404, "<h1>Not found</h1>")),
        Fault::status(401),
        Fault::status(403),
    ]
    .into_iter()
    .enumerate()
    {
        let account = format!("acc_{number}");
        let record = plant(&world, &account, 1).await;
        expire(&world, &record).await;
        world.stack.hubspot.script(Match::refresh(), [fault.clone()]);

        let answer = world.execute(&request(&account, None)).await;

        assert_eq!(answer.code(), "temporarily_unavailable", "{fault:?}: {}", answer.text);
        let record = world.record(&account, 1).await.unwrap();
        assert_eq!(record.status, Status::Active, "{fault:?}");
        assert!(record.refresh_not_before.is_some(), "{fault:?}");
    }
}

#[tokio::test]
async fn a_new_client_secret_is_picked_up_by_a_warm_function() {
    let (world, _) = expired().await;
    assert_eq!(world.execute(&request(ACCOUNT, None)).await.status, 200);
    world.stack.hubspot.rotate_client_secret("rotated");
    let client_id = world.stack.hubspot.client_id();
    world.stack.put_app_secret(&json!({"client_id": client_id, "client_secret": "rotated"})).await.unwrap();
    world.pass(HOUR);

    let answer = world.execute(&request(ACCOUNT, None)).await;

    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(world.stack.hubspot.token_requests().len(), 3);
}

#[tokio::test]
async fn the_previous_client_secret_works_until_hubspot_knows_the_new_one() {
    let (world, _) = planted().await;
    let (client_id, old) = (world.stack.hubspot.client_id(), world.stack.hubspot.client_secret());
    let rotating = json!({"client_id": client_id, "client_secret": "new", "previous_client_secret": old});
    world.stack.put_app_secret(&rotating).await.unwrap();
    world.pass(HOUR);

    let answer = world.execute(&request(ACCOUNT, None)).await;

    assert_eq!(answer.status, 200, "{}", answer.text);
}

/// Transient failures, and answers that must not be believed.
fn nonsense() -> Vec<Fault> {
    let good = json!({"access_token": "new", "refresh_token": "new", "expires_in": 1800, "token_type": "bearer"});
    let but = |name: &str, value: Value| {
        let mut body = good.clone();
        body[name] = value;
        Fault::Answer(Answer::json(200, &body))
    };
    vec![
        Fault::status(500),
        Fault::status(503),
        Fault::status(429),
        Fault::status(408),
        Fault::status(477),
        Fault::Answer(Answer::html(502, "<h1>Bad gateway</h1>")),
        Fault::Answer(Answer::html(200, "<h1>Maintenance</h1>")),
        Fault::Answer(Answer::redirect(302, "https://evil.example/")),
        Fault::Answer(Answer::new(204)),
        Fault::Answer(Answer::declared_gzip(200, "no gzip")),
        Fault::Close,
        Fault::Reset,
        Fault::CloseAfterEffect,
        Fault::Cut(60),
        Fault::WrongLength(5),
        Fault::Endless,
        Fault::Raw(b"nonsense\r\n\r\n".to_vec()),
        Fault::Stall(HOUR),
        Fault::StallAnswer(HOUR),
        Fault::Answer(Answer::json(200, &json!({}))),
        Fault::Answer(Answer::json(200, &json!([]))),
        Fault::Answer(Answer::json(200, &Value::Null)),
        but("expires_in", json!("1800")),
        but("expires_in", json!(0)),
        but("expires_in", json!(-1800)),
        but("expires_in", json!("soon")),
        but("expires_in", json!(1_000_000_000_000_i64)),
        but("expires_in", json!(1.5)),
        but("expires_in", Value::Null),
        but("access_token", Value::Null),
        but("access_token", json!("")),
        but("access_token", json!("two words")),
        but("access_token", json!("line\r\nbreak")),
        but("access_token", json!("a".repeat(5000))),
        but("refresh_token", json!("two words")),
        but("token_type", json!("mac")),
        but("hub_id", json!(PORTAL + 1)),
        but("padding", json!("x".repeat(5 << 20))),
    ]
}

#[tokio::test]
async fn transient_and_malformed_answers_store_nothing() {
    let environment = BTreeMap::from([("TOKEN_TIMEOUT_SECONDS".to_owned(), Some("1".to_owned()))]);
    let world = World::with(Options { environment, ..Options::default() }).await;
    world.stop_time();
    let cases = nonsense();
    let planted = join_all((0..cases.len()).map(|number| {
        let world = &world;
        async move { plant(world, &format!("acc_{number}"), 1).await }
    }))
    .await;
    world.pass(Duration::from_secs(1800 - 40));

    for (before, fault) in planted.iter().zip(cases) {
        let case: String = format!("{fault:?}").chars().take(200).collect();
        let asked = world.stack.hubspot.token_requests().len();
        world.stack.hubspot.script(Match::refresh(), [fault]);
        let first = world.execute(&request(before.account_id.as_str(), None)).await;
        let second = world.execute(&request(before.account_id.as_str(), None)).await;

        assert_eq!(first.body["hubspot"]["status"], 200, "{case}: {}", first.text);
        assert_eq!(second.body["hubspot"]["status"], 200, "{case}: {}", second.text);
        assert_eq!(world.stack.hubspot.token_requests().len(), asked + 1, "{case}");
        let after = world.record(before.account_id.as_str(), 1).await.unwrap();
        assert_eq!((after.status, &after.pointer), (Status::Active, &before.pointer), "{case}");
        assert!(after.refresh_not_before > Some(world.clock.now()) && after.lease_owner.is_none(), "{case}: {after:?}");
        assert_eq!(versions(&world, before), 1, "{case}");
    }
}

#[tokio::test]
async fn scopes_come_as_a_text_or_a_list_and_odd_ones_cost_no_tokens() {
    let (world, planted) = planted().await;
    for (scopes, expected) in [
        (json!("oauth crm.objects.deals.read"), vec!["oauth".to_owned(), "crm.objects.deals.read".to_owned()]),
        (json!(["oauth", "tickets"]), vec!["oauth".to_owned(), "tickets".to_owned()]),
        (json!(7), vec!["oauth".to_owned(), "tickets".to_owned()]),
        (json!(["a b"]), vec!["oauth".to_owned(), "tickets".to_owned()]),
        (Value::Null, vec!["oauth".to_owned(), "tickets".to_owned()]),
    ] {
        // HubSpot's 401 to the made-up token asks for a proof, for which executions wait so long.
        world.pass(std::time::Duration::from_secs(120));
        let before = world.record(ACCOUNT, 1).await.unwrap();
        expire(&world, &before).await;
        let body = json!({"access_token": "new", "expires_in": 1800, "hub_id": PORTAL, "scopes": scopes});
        world.stack.hubspot.script(Match::refresh(), [Fault::AnswerAfterEffect(Answer::json(200, &body))]);

        let report = world.execute(&request(ACCOUNT, None)).await;

        let after = world.record(ACCOUNT, 1).await.unwrap();
        assert_eq!(after.scopes, expected, "{scopes}: {}", report.text);
        assert!(after.pointer != before.pointer && after.token_expires_at > world.clock.now(), "{scopes}");
    }
    assert_eq!(versions(&world, &planted), 6);
}

#[tokio::test]
async fn tokens_of_another_portal_are_never_adopted_and_reach_an_alarm() {
    let world = World::start().await;
    let before = plant_due(&world, ACCOUNT, 1, 300, -10).await;
    let body = json!({"access_token": "new", "refresh_token": "new", "expires_in": 1800, "hub_id": PORTAL + 1});
    world.stack.hubspot.script(Match::refresh(), [Fault::Answer(Answer::json(200, &body))]);

    let report = world.stack.run_schedule_once(None).await.unwrap();

    let line = world.stack.lambda.logs().wait_for(|line| line.text.contains("another portal")).await;
    assert!(line.text.contains(r#""level":"ERROR""#) && line.text.contains(ACCOUNT), "{}", line.text);
    assert_eq!((&report["due"], &report["misconfigured"]), (&json!(1), &json!(1)), "{report}");
    let after = world.record(ACCOUNT, 1).await.unwrap();
    assert_eq!((after.status, after.hub_id, &after.pointer), (Status::Active, Some(PORTAL), &before.pointer));
    assert_eq!(versions(&world, &before), 1);
}

#[tokio::test]
async fn a_caller_gets_retry_after_once_the_old_token_has_expired_too() {
    let (world, _) = expired().await;
    world.stack.hubspot.script(Match::refresh(), [Fault::status(429).header("retry-after", "120")]);

    let first = world.execute(&request(ACCOUNT, None)).await;
    world.pass(Duration::from_secs(100));
    let second = world.execute(&request(ACCOUNT, None)).await;
    world.pass(Duration::from_secs(21));
    let third = world.execute(&request(ACCOUNT, None)).await;

    let wait = |answer: &crate::world::Answer| answer.headers["retry-after"].parse::<i64>().unwrap();
    assert_eq!((first.code(), second.code()), ("temporarily_unavailable", "temporarily_unavailable"));
    assert!((119..=120).contains(&wait(&first)), "{first:?}");
    assert!((18..=20).contains(&wait(&second)), "{second:?}");
    assert_eq!((third.status, world.stack.hubspot.token_requests().len()), (200, 2), "{}", third.text);
}

#[tokio::test]
async fn retry_after_is_obeyed_for_fifteen_minutes_at_most() {
    let (world, _) = expired().await;
    world.stack.hubspot.script(Match::refresh(), [Fault::status(503).header("retry-after", "86400")]);

    world.execute(&request(ACCOUNT, None)).await;

    let pause = world.record(ACCOUNT, 1).await.unwrap().refresh_not_before.unwrap() - world.clock.now();
    assert!((899..=900).contains(&pause), "{pause}");
}
