//! A refresh: one caller at a time, judged rightly, honoured by everybody.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use local::hubspot::{Fault, Match, PORTAL, Rotation};
use local::secrets_manager::FaultKind;
use local::stack::Options;
use local::wire::{Answer, At};
use serde_json::{Value, json};
use shared::access::{Access, Need, Unusable};
use shared::clients::Http;
use shared::hubspot::HubSpot;
use shared::integration::{AccountId, Integration, Pointer, Status, shard};
use shared::lease::Purpose;
use shared::store::{Store, Written};
use shared::tokens::Tokens;

use crate::world::{ACCOUNT, World, reader, request};

const MINUTE: Duration = Duration::from_secs(60);
/// Longer than access tokens live.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_executions_in_several_processes_that_meet_one_expired_token_ask_hubspot_once() {
    let world = World::with(Options { concurrency: 6, ..Options::default() }).await;
    let record = plant(&world, ACCOUNT, 1).await;
    world.stack.hubspot.expire_access_tokens();
    change(&world, &record, &[("token_expires_at", Some(world.clock.now() - 1))]).await;
    let gate = world.stack.hubspot.hold(Match::refresh(), At::Before);
    let reads = world.stack.dynamo.count("Query");
    let body = request(ACCOUNT, None).to_string();

    let all = join_all((0..300).map(|_| world.stack.post_automation(body.clone())));
    let (answers, processes) = tokio::join!(all, async {
        gate.reached(1).await;
        world.stack.dynamo.wait_for_calls("Query", reads + 6).await;
        let processes = world.stack.lambda.processes("automation-execute");
        gate.open();
        processes.iter().filter(|process| process.invocation.is_some()).count()
    });

    let failed = answers.iter().filter(|answer| answer.json()["hubspot"]["status"] != 200).map(|answer| answer.text());
    assert_eq!(failed.collect::<Vec<_>>(), Vec::<String>::new());
    assert_eq!((processes, world.stack.hubspot.count(&Match::refresh())), (6, 1));
}

#[tokio::test]
async fn fifty_executions_in_one_process_that_meet_one_expired_token_ask_hubspot_once() {
    let world = World::start().await;
    plant(&world, ACCOUNT, 1).await;
    world.pass(HOUR);
    let body = request(ACCOUNT, None);

    let answers = join_all((0..50).map(|_| world.execute(&body))).await;

    let failed = answers.iter().find(|answer| answer.body["hubspot"]["status"] != 200);
    assert!(failed.is_none(), "{failed:?}");
    assert_eq!(world.stack.hubspot.count(&Match::refresh()), 1);
}

#[tokio::test]
async fn who_waits_for_anothers_refresh_is_told_to_come_back_by_the_deadline() {
    let world = World::start().await;
    let record = plant(&world, ACCOUNT, 1).await;
    world.pass(HOUR);
    hold_lease(&world, &record).await;
    let mut body = request(ACCOUNT, None);
    body["deadline_ms"] = json!(1000);

    let began = Instant::now();
    let answer = world.execute(&body).await;

    assert_eq!((answer.status, answer.code()), (503, "temporarily_unavailable"), "{}", answer.text);
    assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
    assert_eq!(answer.body["outcome"], "not_sent");
    assert!(began.elapsed() <= Duration::from_millis(1100), "{:?}", began.elapsed());
    assert_eq!(world.stack.hubspot.requests().len(), 0);
}

#[tokio::test]
async fn who_waits_goes_on_as_soon_as_the_other_has_refreshed() {
    let world = World::start().await;
    plant(&world, ACCOUNT, 1).await;
    world.pass(HOUR);
    let gate = world.stack.hubspot.hold(Match::refresh(), At::After);
    let body = request(ACCOUNT, None);

    let (first, second, ()) = tokio::join!(world.execute(&body), world.execute(&body), async {
        gate.reached(1).await;
        let reads = world.stack.dynamo.count("GetItem");
        world.stack.dynamo.wait_for_calls("GetItem", reads + 2).await;
        gate.open();
    });

    assert_eq!((first.status, second.status), (200, 200), "{} {}", first.text, second.text);
    assert_eq!(world.stack.hubspot.count(&Match::refresh()), 1);
}

#[tokio::test]
async fn tokens_that_still_live_are_used_while_another_refreshes_them() {
    let world = World::start().await;
    let record = plant(&world, ACCOUNT, 1).await;
    world.pass(Duration::from_secs(1800 - 40));
    hold_lease(&world, &record).await;

    let answer = world.execute(&request(ACCOUNT, None)).await;

    assert_eq!(answer.body["hubspot"]["status"], 200, "{}", answer.text);
    assert_eq!(world.stack.hubspot.count(&Match::refresh()), 0);
}

#[tokio::test]
async fn tokens_inside_the_margin_are_refreshed_and_those_before_it_are_not() {
    let world = World::start().await;
    plant(&world, ACCOUNT, 1).await;

    world.pass(Duration::from_secs(1800 - 90));
    assert_eq!(world.execute(&request(ACCOUNT, None)).await.status, 200);
    let before = world.stack.hubspot.count(&Match::refresh());
    world.pass(Duration::from_secs(60));
    assert_eq!(world.execute(&request(ACCOUNT, None)).await.status, 200);

    assert_eq!((before, world.stack.hubspot.count(&Match::refresh())), (0, 1));
}

#[tokio::test]
async fn a_revoked_authorization_is_marked_once_and_not_asked_for_again() {
    let world = World::start().await;
    plant(&world, ACCOUNT, 1).await;
    world.stack.hubspot.revoke_refresh_tokens(PORTAL);
    world.pass(HOUR);

    let first = world.execute(&request(ACCOUNT, None)).await;
    let second = world.execute(&request(ACCOUNT, None)).await;

    assert_eq!((first.status, first.code()), (409, "reauthorization_required"), "{}", first.text);
    assert_eq!((second.status, second.code()), (409, "reauthorization_required"), "{}", second.text);
    assert_eq!(world.stack.hubspot.requests().len(), 1);
    let record = world.record(ACCOUNT, 1).await.unwrap();
    let reason = record.status_reason.as_deref();
    assert_eq!((record.status, reason, record.failures), (Status::NeedsReauthorization, Some("revoked"), Some(1)));
    let next = record.refresh_at.unwrap() - world.clock.now();
    assert!((2990..=3600).contains(&next) && record.lease_owner.is_none(), "{record:?}");
}

#[tokio::test]
async fn a_portal_that_is_gone_counts_as_revoked() {
    let world = World::start().await;
    plant(&world, ACCOUNT, 1).await;
    world.stack.hubspot.remove_portal(PORTAL);
    world.pass(HOUR);

    let answer = world.execute(&request(ACCOUNT, None)).await;

    assert_eq!(answer.code(), "reauthorization_required", "{}", answer.text);
    assert_eq!(world.record(ACCOUNT, 1).await.unwrap().status, Status::NeedsReauthorization);
}

#[tokio::test]
async fn an_authorization_that_is_marked_executes_nothing_even_while_its_token_lives() {
    let world = World::start().await;
    plant(&world, ACCOUNT, 1).await;
    world.stack.hubspot.revoke_refresh_tokens(PORTAL);
    world.pass(Duration::from_secs(1800 - 40));
    world.execute(&request(ACCOUNT, None)).await;
    let sent = world.stack.hubspot.api_requests().len();

    let answer = world.execute(&request(ACCOUNT, None)).await;

    assert_eq!(answer.code(), "reauthorization_required", "{}", answer.text);
    assert_eq!(world.stack.hubspot.api_requests().len(), sent);
}

#[tokio::test]
async fn a_marked_integration_is_healed_by_the_schedule() {
    let world = World::start().await;
    plant(&world, ACCOUNT, 1).await;
    world.stack.hubspot.script(Match::refresh(), [refused("invalid_grant", "BAD_REFRESH_TOKEN")]);
    world.pass(HOUR);
    assert_eq!(world.execute(&request(ACCOUNT, None)).await.code(), "reauthorization_required");

    world.pass(HOUR);
    let report = world.refresh(json!({})).await;

    assert_eq!((&report["due"], &report["refreshed"]), (&json!(1), &json!(1)), "{report}");
    let record = world.record(ACCOUNT, 1).await.unwrap();
    assert_eq!((record.status, record.status_reason, record.failures), (Status::Active, None, None));
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
async fn a_wrong_client_secret_marks_nobody_and_is_not_shown_again_before_the_pause_is_over() {
    let world = World::start().await;
    plant(&world, ACCOUNT, 1).await;
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
    let world = World::start().await;
    plant(&world, ACCOUNT, 1).await;
    world.pass(HOUR);
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
async fn the_previous_client_secret_works_while_hubspot_does_not_know_the_new_one_yet() {
    let world = World::start().await;
    plant(&world, ACCOUNT, 1).await;
    let (client_id, old) = (world.stack.hubspot.client_id(), world.stack.hubspot.client_secret());
    let rotating = json!({"client_id": client_id, "client_secret": "new", "previous_client_secret": old});
    world.stack.put_app_secret(&rotating).await.unwrap();
    world.pass(HOUR);

    let answer = world.execute(&request(ACCOUNT, None)).await;

    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test]
async fn an_app_secret_that_ops_have_not_put_yet_is_looked_for_again() {
    let world = World::with(Options { app_secret: false, ..Options::default() }).await;
    plant(&world, ACCOUNT, 1).await;
    world.pass(HOUR);
    let before = world.execute(&request(ACCOUNT, None)).await;
    let (client_id, client_secret) = (world.stack.hubspot.client_id(), world.stack.hubspot.client_secret());
    let credentials = json!({"client_id": client_id, "client_secret": client_secret});
    world.stack.put_app_secret(&credentials).await.unwrap();
    world.pass(MINUTE);

    let after = world.execute(&request(ACCOUNT, None)).await;

    assert_eq!((before.code(), after.status), ("temporarily_unavailable", 200), "{} {}", before.text, after.text);
}

/// What passes, and what nobody should believe.
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
async fn what_passes_and_what_is_not_believed_stores_nothing_and_leaves_the_old_token_in_use() {
    let environment = BTreeMap::from([("TOKEN_TIMEOUT_SECONDS".to_owned(), Some("1".to_owned()))]);
    let world = World::with(Options { environment, ..Options::default() }).await;
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
async fn when_the_old_token_has_expired_too_the_caller_is_told_when_to_come_back() {
    let world = World::start().await;
    plant(&world, ACCOUNT, 1).await;
    world.pass(HOUR);
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
    let world = World::start().await;
    plant(&world, ACCOUNT, 1).await;
    world.pass(HOUR);
    world.stack.hubspot.script(Match::refresh(), [Fault::status(503).header("retry-after", "86400")]);

    world.execute(&request(ACCOUNT, None)).await;

    let pause = world.record(ACCOUNT, 1).await.unwrap().refresh_not_before.unwrap() - world.clock.now();
    assert!((899..=900).contains(&pause), "{pause}");
}

#[tokio::test]
async fn a_new_refresh_token_takes_the_place_of_the_old_one() {
    let world = World::start().await;
    world.stack.hubspot.set_rotation(Rotation::Strict);
    plant(&world, ACCOUNT, 1).await;

    for _ in 0..3 {
        world.pass(HOUR);
        let answer = world.execute(&request(ACCOUNT, None)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }

    assert_eq!((world.stack.hubspot.refresh_token_reuses(), shown(&world).len()), (0, 3));
}

#[tokio::test]
async fn a_refresh_token_that_is_not_named_again_goes_on() {
    let world = World::start().await;
    world.stack.hubspot.set_rotation(Rotation::Unnamed);
    plant(&world, ACCOUNT, 1).await;

    for _ in 0..2 {
        world.pass(HOUR);
        let answer = world.execute(&request(ACCOUNT, None)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }

    let shown = shown(&world);
    assert!(shown.len() == 2 && shown[0] == shown[1], "{shown:?}");
}

#[tokio::test]
async fn an_answer_without_any_optional_field_is_good_and_keeps_what_was_known() {
    let world = World::start().await;
    let before = plant(&world, ACCOUNT, 1).await;
    world.stack.hubspot.set_terse(true);
    world.pass(HOUR);

    let answer = world.execute(&request(ACCOUNT, None)).await;

    assert_eq!(answer.status, 200, "{}", answer.text);
    let after = world.record(ACCOUNT, 1).await.unwrap();
    assert_eq!((after.scopes, after.hub_id), (before.scopes, before.hub_id));
}

#[tokio::test]
async fn scopes_that_hubspot_has_changed_are_noted() {
    let world = World::start().await;
    plant(&world, ACCOUNT, 1).await;
    let scopes = ["crm.objects.contacts.read", "crm.objects.deals.read"];
    world.stack.hubspot.set_granted_scopes(PORTAL, &scopes);
    world.pass(HOUR);

    world.execute(&request(ACCOUNT, None)).await;

    assert_eq!(world.record(ACCOUNT, 1).await.unwrap().scopes, scopes);
}

#[tokio::test]
async fn a_refresh_token_that_another_has_spent_meanwhile_marks_nobody() {
    let world = World::start().await;
    let record = plant(&world, ACCOUNT, 1).await;
    world.pass(HOUR);
    let gate = world.stack.hubspot.hold(Match::refresh(), At::Before);
    let body = request(ACCOUNT, None);

    let (answer, newer) = tokio::join!(world.execute(&body), async {
        gate.reached(1).await;
        world.stack.hubspot.revoke_refresh_tokens(PORTAL);
        let newer = another_has_refreshed(&world, &record).await;
        gate.open();
        newer
    });

    assert_eq!(answer.status, 200, "{}", answer.text);
    let after = world.record(ACCOUNT, 1).await.unwrap();
    assert_eq!((after.status, after.pointer), (Status::Active, Some(newer)));
    assert_eq!(world.stack.hubspot.count(&Match::refresh()), 1);
}

#[tokio::test]
async fn a_version_that_the_record_does_not_point_at_may_hold_the_refresh_token_that_still_works() {
    let world = World::start().await;
    let record = plant(&world, ACCOUNT, 1).await;
    world.stack.hubspot.revoke_refresh_tokens(PORTAL);
    let good = world.stack.hubspot.authorize(PORTAL, SCOPES);
    let stray = tokens(&world, &record, &good.access_token, &good.refresh_token, &["some-other-version"]);
    let stray_version = uuid::Uuid::now_v7().to_string();
    store(&world).put_secret(&pointer(&record).secret_id, &stray_version, &stray).await.unwrap();
    world.pass(HOUR);

    let answer = world.execute(&request(ACCOUNT, None)).await;

    assert_eq!(answer.status, 200, "{}", answer.text);
    let newest = world.stack.secrets_manager.secret(&pointer(&record).secret_id).unwrap();
    let replaces = newest.current().unwrap().value.json()["replaces"].clone();
    assert_eq!(replaces, json!([pointer(&record).secret_version, stray_version]));
    assert_eq!(world.record(ACCOUNT, 1).await.unwrap().status, Status::Active);
}

#[tokio::test]
async fn a_refresh_token_that_is_known_to_be_spent_is_never_shown_again() {
    let world = World::start().await;
    world.stack.hubspot.set_rotation(Rotation::Strict);
    plant(&world, ACCOUNT, 1).await;
    world.pass(HOUR);
    assert_eq!(world.execute(&request(ACCOUNT, None)).await.status, 200);
    world.stack.hubspot.script(Match::refresh(), [refused("invalid_grant", "BAD_REFRESH_TOKEN")]);
    world.pass(HOUR);

    let answer = world.execute(&request(ACCOUNT, None)).await;

    assert_eq!(answer.code(), "reauthorization_required", "{}", answer.text);
    assert_eq!((world.stack.hubspot.refresh_token_reuses(), shown(&world).len()), (0, 2));
}

#[tokio::test]
async fn a_version_that_is_not_visible_yet_is_waited_for_and_the_old_one_never_served() {
    let world = World::start().await;
    plant(&world, ACCOUNT, 1).await;
    world.pass(HOUR);
    world.stack.secrets_manager.set_lag(HOUR);
    assert_eq!(world.execute(&request(ACCOUNT, None)).await.status, 200);
    let record = world.record(ACCOUNT, 1).await.unwrap();
    let elsewhere = access(&world);

    let hidden = elsewhere.usable(record.clone(), &need(&world)).await;
    world.stack.secrets_manager.settle();
    let visible = elsewhere.usable(record.clone(), &need(&world)).await;

    assert!(matches!(hidden, Err(Unusable::Transient { .. })), "{hidden:?}");
    assert_eq!(visible.unwrap().version.pointer, pointer(&record));
    assert_eq!(world.stack.hubspot.count(&Match::refresh()), 1);
}

#[tokio::test]
async fn a_spent_refresh_token_that_a_lag_still_shows_is_not_used() {
    let world = World::start().await;
    world.stack.hubspot.set_rotation(Rotation::Strict);
    plant(&world, ACCOUNT, 1).await;
    world.pass(HOUR);
    world.stack.secrets_manager.set_lag(HOUR);
    assert_eq!(world.execute(&request(ACCOUNT, None)).await.status, 200);
    world.pass(HOUR);
    let record = world.record(ACCOUNT, 1).await.unwrap();

    let hidden = access(&world).usable(record, &need(&world)).await;

    assert!(matches!(hidden, Err(Unusable::Transient { .. })), "{hidden:?}");
    assert_eq!((world.stack.hubspot.refresh_token_reuses(), shown(&world).len()), (0, 1));
}

#[tokio::test]
async fn a_version_that_is_gone_is_given_up_for_the_current_one_only_when_it_is_more_than_a_day_past() {
    let world = World::start().await;
    let record = plant(&world, ACCOUNT, 1).await;
    let gone = AttributeValue::S("gone".to_owned());
    change_text(&world, &record, "secret_version", gone).await;
    world.pass(Duration::from_secs(1800 + 86_400 - 60));

    let early = world.execute(&request(ACCOUNT, None)).await;
    world.pass(Duration::from_secs(120));
    let late = world.execute(&request(ACCOUNT, None)).await;

    assert_eq!(early.code(), "temporarily_unavailable", "{}", early.text);
    assert_eq!(late.status, 200, "{}", late.text);
}

#[tokio::test]
async fn a_secret_of_another_account_or_integration_is_corruption_and_never_a_token() {
    for (name, expired) in [("account_id", false), ("account_id", true), ("integration_id", false)] {
        let world = World::start().await;
        let record = plant(&world, ACCOUNT, 1).await;
        let issued = world.stack.hubspot.authorize(PORTAL, SCOPES);
        let mut foreign = json!(tokens(&world, &record, &issued.access_token, &issued.refresh_token, &[]));
        foreign[name] = json!("somebody-else");
        let foreign = store(&world).create_secret(&serde_json::from_value(foreign).unwrap()).await.unwrap();
        change_text(&world, &record, "secret_id", AttributeValue::S(foreign.secret_id)).await;
        change_text(&world, &record, "secret_version", AttributeValue::S(foreign.secret_version)).await;
        if expired {
            world.pass(HOUR);
        }

        let answer = world.execute(&request(ACCOUNT, None)).await;

        assert_eq!((answer.status, answer.code()), (500, "internal"), "{name} {expired}: {}", answer.text);
        assert_eq!(world.stack.hubspot.requests().len(), 0, "{name} {expired}");
        assert!(world.record(ACCOUNT, 1).await.unwrap().lease_owner.is_none(), "{name} {expired}");
    }
}

#[tokio::test]
async fn who_read_the_record_before_anothers_failure_honours_the_pause_all_the_same() {
    let world = World::start().await;
    plant(&world, ACCOUNT, 1).await;
    world.pass(HOUR);
    let read_before = world.record(ACCOUNT, 1).await.unwrap();
    world.stack.hubspot.script_always(Match::refresh(), Fault::status(500));
    world.execute(&request(ACCOUNT, None)).await;

    let late = access(&world).usable(read_before, &need(&world)).await;

    assert!(matches!(late, Err(Unusable::Transient { .. })), "{late:?}");
    assert_eq!(world.stack.hubspot.count(&Match::refresh()), 1);
}

#[tokio::test]
async fn who_read_the_record_before_the_verdict_does_not_ask_again() {
    let world = World::start().await;
    plant(&world, ACCOUNT, 1).await;
    world.pass(HOUR);
    let read_before = world.record(ACCOUNT, 1).await.unwrap();
    world.stack.hubspot.revoke_refresh_tokens(PORTAL);
    world.execute(&request(ACCOUNT, None)).await;

    let late = access(&world).usable(read_before, &need(&world)).await;

    assert_eq!(late.err(), Some(Unusable::Revoked));
    assert_eq!(world.stack.hubspot.count(&Match::refresh()), 1);
}

#[tokio::test]
async fn who_read_the_record_before_anothers_refresh_uses_what_it_brought() {
    let world = World::start().await;
    plant(&world, ACCOUNT, 1).await;
    world.pass(HOUR);
    let read_before = world.record(ACCOUNT, 1).await.unwrap();
    world.execute(&request(ACCOUNT, None)).await;

    let late = access(&world).usable(read_before, &need(&world)).await.unwrap();

    let record = world.record(ACCOUNT, 1).await.unwrap();
    assert_eq!((late.version.pointer, late.refreshed), (pointer(&record), false));
    assert_eq!((world.stack.hubspot.count(&Match::refresh()), record.lease_owner), (1, None));
}

#[tokio::test]
async fn a_refresh_is_not_begun_when_the_function_has_no_time_to_end_it() {
    let world = World::start().await;
    plant(&world, ACCOUNT, 1).await;
    world.pass(HOUR);
    let record = world.record(ACCOUNT, 1).await.unwrap();
    let now = world.clock.now_millis();
    let short = Need { deadline: now + 11_000, function_deadline: now + 12_000, ..need(&world) };

    let late = access(&world).usable(record, &short).await;

    assert!(matches!(late, Err(Unusable::Transient { .. })), "{late:?}");
    assert_eq!(world.stack.hubspot.requests().len(), 0);
    assert!(world.record(ACCOUNT, 1).await.unwrap().lease_owner.is_none());
}

#[tokio::test]
async fn who_has_no_time_for_a_refresh_of_its_own_still_waits_for_anothers() {
    let world = World::start().await;
    plant(&world, ACCOUNT, 1).await;
    world.pass(HOUR);
    let (body, late) = (request(ACCOUNT, None), access(&world));
    let gate = world.stack.hubspot.hold(Match::refresh(), At::After);

    let (first, second) = tokio::join!(world.execute(&body), async {
        gate.reached(1).await;
        let (record, now) = (world.record(ACCOUNT, 1).await.unwrap(), world.clock.now_millis());
        let short = Need { deadline: now + 11_000, function_deadline: now + 12_000, ..need(&world) };
        let reads = world.stack.dynamo.count("GetItem");
        let mut second = pin!(late.usable(record, &short));
        tokio::select! {
            early = &mut second => early,
            () = world.stack.dynamo.wait_for_calls("GetItem", reads + 1) => {
                gate.open();
                second.await
            }
        }
    });

    assert_eq!(first.status, 200, "{}", first.text);
    assert!(second.is_ok(), "{second:?}");
}

#[tokio::test]
async fn a_refresh_that_has_begun_is_brought_to_its_end_past_the_callers_deadline() {
    let world = World::start().await;
    let before = plant(&world, ACCOUNT, 1).await;
    world.pass(HOUR);
    let mut body = request(ACCOUNT, None);
    body["deadline_ms"] = json!(1000);
    let gate = world.stack.hubspot.hold(Match::refresh(), At::After);

    let (_, ()) = tokio::join!(world.execute(&body), async {
        gate.reached(1).await;
        world.pass(Duration::from_secs(5));
        gate.open();
    });

    let after = world.record(ACCOUNT, 1).await.unwrap();
    assert!(after.pointer != before.pointer && after.lease_owner.is_none(), "{after:?}");
}

#[tokio::test]
async fn an_execution_during_whose_refresh_the_integration_is_reconnected_runs_with_the_new_tokens() {
    let world = World::start().await;
    let record = plant(&world, ACCOUNT, 1).await;
    world.pass(HOUR);
    let gate = world.stack.hubspot.hold(Match::refresh(), At::After);
    let body = request(ACCOUNT, None);

    let (answer, reconnected) = tokio::join!(world.execute(&body), async {
        gate.reached(1).await;
        let reconnected = reconnect(&world, &record).await;
        gate.open();
        reconnected
    });

    assert_eq!(answer.body["hubspot"]["status"], 200, "{}", answer.text);
    assert_eq!(world.record(ACCOUNT, 1).await.unwrap().pointer, Some(reconnected));
}

#[tokio::test]
async fn an_execution_during_whose_refresh_the_integration_is_disconnected_writes_nothing_and_says_so() {
    let world = World::start().await;
    let record = plant(&world, ACCOUNT, 1).await;
    world.pass(HOUR);
    let gate = world.stack.hubspot.hold(Match::refresh(), At::After);
    let body = request(ACCOUNT, None);

    let (answer, ()) = tokio::join!(world.execute(&body), async {
        gate.reached(1).await;
        store(&world).delete(&record).await.unwrap();
        store(&world).delete_secret(&pointer(&record).secret_id).await.unwrap();
        gate.open();
    });

    assert_eq!((answer.status, answer.code()), (503, "temporarily_unavailable"), "{}", answer.text);
    assert!(world.record(ACCOUNT, 1).await.is_none());
    assert!(world.stack.secrets_manager.secret(&pointer(&record).secret_id).is_none());
}

#[tokio::test]
async fn what_aws_does_not_do_for_the_moment_does_not_lose_hubspots_answer() {
    let world = World::start().await;
    world.stack.hubspot.set_rotation(Rotation::Strict);
    plant(&world, ACCOUNT, 1).await;
    world.pass(HOUR);
    world.stack.secrets_manager.fail_next("PutSecretValue", FaultKind::AccessDenied, 2);

    let answer = world.execute(&request(ACCOUNT, None)).await;

    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(world.stack.hubspot.count(&Match::refresh()), 1);
}

/// What planted integrations are granted.
pub(crate) const SCOPES: &[&str] = &["crm.objects.contacts.read"];

/// An integration with fresh tokens of the double, written as a connect writes it, without the steps of a browser.
pub(crate) async fn plant(world: &World, account: &str, sequence: i64) -> Integration {
    plant_due(world, account, sequence, 1800, 1350).await
}

/// The same with tokens that expire and a look of the schedule that comes in so many seconds.
pub(crate) async fn plant_due(world: &World, account: &str, sequence: i64, expires: i64, due: i64) -> Integration {
    let issued = world.stack.hubspot.authorize(PORTAL, SCOPES);
    let now = world.clock.now();
    let account_id = AccountId::try_from(account.to_owned()).unwrap();
    let mut record: Integration = serde_json::from_value(json!({
        "account_id": account, "sequence": sequence, "integration_id": format!("integration-{sequence}"),
        "created_at": now, "hub_id": PORTAL, "scopes": SCOPES, "status": "active",
        "token_expires_at": now + expires, "refresh_shard": shard(&account_id), "refresh_at": now + due, "schema": 1,
    }))
    .unwrap();
    let tokens = tokens(world, &record, &issued.access_token, &issued.refresh_token, &[]);
    record.pointer = Some(store(world).create_secret(&tokens).await.unwrap());
    assert_eq!(store(world).insert(&record).await.unwrap(), Written::Yes);
    record
}

/// Tokens of `record` that were obtained now.
fn tokens(world: &World, record: &Integration, access: &str, refresh: &str, replaces: &[&str]) -> Tokens {
    let now = world.clock.now();
    let tokens = json!({
        "account_id": record.account_id, "integration_id": record.integration_id, "access_token": access,
        "refresh_token": refresh, "token_type": "bearer", "obtained_at": now, "expires_at": now + 1800,
        "scopes": SCOPES, "hub_id": PORTAL, "replaces": replaces,
    });
    serde_json::from_value(tokens).unwrap()
}

/// A store of its own, as another process has one.
pub(crate) fn store(world: &World) -> Store {
    Store::new(world.stack.aws_config(), reader(&world.stack, "token-refresh").state())
}

/// What another process has: nothing in memory yet.
pub(crate) fn access(world: &World) -> Access {
    let mut reader = reader(&world.stack, "automation-execute");
    let http = Http::new(world.clock.clone()).unwrap();
    let hubspot = HubSpot::new(http, &reader.hubspot(), store(world));
    Access::new(store(world), hubspot, world.clock.clone(), reader.refresh())
}

/// What an execution needs that has just begun.
pub(crate) fn need(world: &World) -> Need<'static> {
    let now = world.clock.now_millis();
    let (deadline, function_deadline) = (now + 28_000, now + 29_000);
    Need { purpose: Purpose::Execution, deadline, function_deadline, rejected: None }
}

pub(crate) fn pointer(record: &Integration) -> Pointer {
    record.pointer.clone().unwrap()
}

/// Changes numbers of a record behind everybody's back; none removes one.
pub(crate) async fn change(world: &World, record: &Integration, numbers: &[(&str, Option<i64>)]) {
    for (name, number) in numbers {
        match number {
            Some(number) => change_text(world, record, name, AttributeValue::N(number.to_string())).await,
            None => write(world, record, "REMOVE #name", name, None).await,
        }
    }
}

/// Changes an attribute of a record behind everybody's back.
pub(crate) async fn change_text(world: &World, record: &Integration, name: &str, value: AttributeValue) {
    write(world, record, "SET #name = :value", name, Some(value)).await;
}

async fn write(world: &World, record: &Integration, expression: &str, name: &str, value: Option<AttributeValue>) {
    let update = world.stack.dynamodb().update_item().table_name(world.stack.table("INTEGRATIONS_TABLE"));
    let update = update.key("account_id", AttributeValue::S(record.account_id.to_string()));
    let update = update.key("sequence", AttributeValue::N(record.sequence.to_string()));
    let update = update.update_expression(expression).expression_attribute_names("#name", name);
    let values = value.map(|value| [(":value".to_owned(), value)].into());
    update.set_expression_attribute_values(values).send().await.unwrap();
}

/// Lets one integration's token expire, of several in a world.
pub(crate) async fn expire(world: &World, record: &Integration) {
    change(world, record, &[("token_expires_at", Some(world.clock.now() - 1))]).await;
}

/// Lets somebody else hold the lease, who does not come to an end.
async fn hold_lease(world: &World, record: &Integration) {
    change_text(world, record, "lease_owner", AttributeValue::S("somebody else".to_owned())).await;
    change(world, record, &[("lease_until", Some(world.clock.now() + 20))]).await;
}

/// Another process refreshes, with calls that no gate of a test holds: its version, then its pointer.
pub(crate) async fn another_has_refreshed(world: &World, record: &Integration) -> Pointer {
    let issued = world.stack.hubspot.authorize(PORTAL, SCOPES);
    let before = pointer(record);
    let tokens = tokens(world, record, &issued.access_token, &issued.refresh_token, &[&before.secret_version]);
    let secret_version = uuid::Uuid::now_v7().to_string();
    store(world).put_secret(&before.secret_id, &secret_version, &tokens).await.unwrap();
    let record = Integration {
        pointer: Some(Pointer { secret_version, ..before }),
        token_expires_at: world.clock.now() + 1800,
        lease_owner: None,
        lease_until: None,
        ..record.clone()
    };
    overwrite(world, &record).await;
    pointer(&record)
}

/// Puts a whole record in the place of what stands there.
pub(crate) async fn overwrite(world: &World, record: &Integration) {
    let Value::Object(members) = json!(record) else { panic!("a record is an object") };
    let put = world.stack.dynamodb().put_item().table_name(world.stack.table("INTEGRATIONS_TABLE"));
    let items = members.into_iter().map(|(name, value)| (name, attribute(value))).collect();
    put.set_item(Some(items)).send().await.unwrap();
}

fn attribute(value: Value) -> AttributeValue {
    match value {
        Value::Null => AttributeValue::Null(true),
        Value::Bool(flag) => AttributeValue::Bool(flag),
        Value::Number(number) => AttributeValue::N(number.to_string()),
        Value::String(text) => AttributeValue::S(text),
        Value::Array(list) => AttributeValue::L(list.into_iter().map(attribute).collect()),
        Value::Object(members) => AttributeValue::M(members.into_iter().map(|(k, v)| (k, attribute(v))).collect()),
    }
}

/// What a reconnect writes, in its order.
async fn reconnect(world: &World, record: &Integration) -> Pointer {
    let issued = world.stack.hubspot.authorize(PORTAL, SCOPES);
    let tokens = tokens(world, record, &issued.access_token, &issued.refresh_token, &[]);
    let new = store(world).create_secret(&tokens).await.unwrap();
    let settled = shared::lease::Settled {
        pointer: new.clone(),
        token_expires_at: tokens.expires_at,
        scopes: tokens.scopes.clone(),
        hub_id: tokens.hub_id,
        refresh_at: tokens.expires_at - 300,
    };
    assert_eq!(store(world).reconnect(record, &settled).await.unwrap(), Written::Yes);
    store(world).delete_secret(&pointer(record).secret_id).await.unwrap();
    new
}

/// The token endpoint's refusal in HubSpot's shape.
pub(crate) fn refused(error: &str, status: &str) -> Fault {
    let body = json!({"error": error, "error_description": "as a test asked for", "status": status, "message": "no"});
    Fault::Answer(Answer::json(400, &body))
}

/// The refresh tokens that HubSpot was shown, in order.
pub(crate) fn shown(world: &World) -> Vec<String> {
    let requests = world.stack.hubspot.requests_that(&Match::refresh());
    let token = |(name, value): (String, String)| (name == "refresh_token").then_some(value);
    requests.iter().filter_map(|request| request.form().into_iter().find_map(token)).collect()
}

/// How many versions the record's secret has.
pub(crate) fn versions(world: &World, record: &Integration) -> usize {
    world.stack.secrets_manager.secret(&pointer(record).secret_id).map_or(0, |secret| secret.versions.len())
}
