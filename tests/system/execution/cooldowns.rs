//! A rate limit, kept for all sandboxes of the one account that it belongs to.

use std::time::Duration;

use devstack::hubspot::{Fault, Match};
use devstack::wire::At;
use serde_json::{Value, json};

use super::{connected, to, with};
use crate::world::{ACCOUNT, ADMIN, World};

const FUNCTION: &str = "automation-execute";

fn list() -> Value {
    to("GET", "/crm/v3/objects/contacts")
}

fn create() -> Value {
    with(to("POST", "/crm/v3/objects/contacts"), &json!({"body": {"properties": {}}}))
}

/// Seconds of the cool-down on an account's record.
async fn cooldown(world: &World, account: &str) -> Option<i64> {
    let until = world.record(account, 1).await.unwrap().cooldown_until;
    until.map(|until| until - world.clock.now())
}

fn of_another_account(mut request: Value) -> Value {
    request["account_id"] = json!("acc_2");
    request
}

#[tokio::test]
async fn a_rate_limit_that_one_process_meets_holds_for_all_whatever_the_method() {
    let world = connected().await;
    let gate = world.stack.hubspot.hold(Match::api(), At::Before);
    let (first, second) = tokio::join!(
        async {
            tokio::join!(
                world.stack.post_automation(list().to_string()),
                world.stack.post_automation(list().to_string())
            )
        },
        async {
            gate.reached(2).await;
            gate.open();
        }
    )
    .0;
    assert_eq!((first.status, second.status, world.stack.lambda.processes(FUNCTION).len()), (200, 200, 2));
    world.stack.hubspot.forget_requests();
    world
        .stack
        .hubspot
        .script(Match::api(), [Fault::rate_limited("TEN_SECONDLY_ROLLING").header("retry-after", "100")]);

    let limited = world.stack.post_automation(list().to_string()).await;
    let (here, there) = tokio::join!(
        world.stack.post_automation(list().to_string()),
        world.stack.post_automation(create().to_string())
    );

    assert_eq!(limited.json()["hubspot"]["status"], 429);
    for answer in [here, there] {
        assert_eq!((answer.status, answer.code().as_deref()), (429, Some("rate_limited")), "{}", answer.text());
        assert_eq!(answer.json()["outcome"], "not_sent");
    }
    assert_eq!(world.stack.hubspot.count(&Match::api()), 1);
}

#[tokio::test]
async fn the_limits_are_distinguished_and_end_by_themselves() {
    for (policy, seconds) in [("TEN_SECONDLY_ROLLING", 10), ("DAILY", 900)] {
        let world = connected().await;
        world.stop_time();
        world.stack.hubspot.script(Match::api(), [Fault::rate_limited(policy)]);

        let limited = world.execute(&create()).await;
        let noted = cooldown(&world, ACCOUNT).await;
        world.pass(Duration::from_secs(seconds + 1));
        let later = world.execute(&create()).await;

        assert_eq!(limited.body["retry_after_seconds"], seconds, "{policy}: {}", limited.text);
        let seconds = i64::try_from(seconds).unwrap();
        // A note ends with a whole second.
        assert!(noted.is_some_and(|noted| (seconds..=seconds + 1).contains(&noted)), "{policy}: {noted:?}");
        assert_eq!(later.body["hubspot"]["status"], 201, "{policy}: {}", later.text);
    }
}

#[tokio::test]
async fn a_limit_belongs_to_one_account_even_in_the_same_process() {
    let world = connected().await;
    world.stack.connect("acc_2", ADMIN).await;
    world.stack.hubspot.script(Match::api(), [Fault::rate_limited("DAILY")]);

    let limited = world.execute(&list()).await;
    let other = world.execute(&of_another_account(list())).await;
    let same = world.execute(&list()).await;

    assert_eq!(limited.body["hubspot"]["status"], 429);
    assert_eq!(other.body["hubspot"]["status"], 200, "{}", other.text);
    assert_eq!((same.status, same.code()), (429, "rate_limited"));
    assert_eq!(cooldown(&world, "acc_2").await, None);
}

#[tokio::test]
async fn a_shorter_limit_that_comes_later_does_not_shorten_a_longer_one() {
    let world = connected().await;
    world.execute(&to("GET", "/crm/v3/owners")).await;
    let late = Match::api().target("late");
    let gate = world.stack.hubspot.hold(late.clone(), At::Before);
    world.stack.hubspot.script(late, [Fault::rate_limited("TEN_SECONDLY_ROLLING")]);
    world.stack.hubspot.script(Match::api(), [Fault::rate_limited("DAILY")]);

    let daily = async {
        gate.reached(1).await;
        let answer = world.execute(&list()).await;
        gate.open();
        answer
    };
    let request = to("GET", "/crm/v3/objects/contacts?late");
    let (short, long) = tokio::join!(world.execute(&request), daily);

    assert_eq!((&short.body["retry_after_seconds"], &long.body["retry_after_seconds"]), (&json!(10), &json!(900)));
    assert!(cooldown(&world, ACCOUNT).await.is_some_and(|seconds| seconds > 890));
}

#[tokio::test]
async fn only_a_429_and_a_477_limit_the_account() {
    let world = connected().await;

    for status in [423, 500, 502, 503, 504] {
        world.stack.hubspot.script(Match::api(), [Fault::status(status).header("retry-after", "60")]);
        let answer = world.execute(&create()).await;

        assert_eq!(answer.body["hubspot"]["status"], status, "{}", answer.text);
        assert_eq!(cooldown(&world, ACCOUNT).await, None, "{status}");
    }
    world.stack.hubspot.script(Match::api(), [Fault::status(477).header("retry-after", "60")]);
    world.execute(&create()).await;
    assert!(cooldown(&world, ACCOUNT).await.is_some_and(|noted| (58..=61).contains(&noted)));
}

#[tokio::test]
async fn a_limit_lasts_a_quarter_of_an_hour_at_most_whatever_hubspot_says() {
    let world = connected().await;

    for retry_after in ["86400", "999999999999", "18446744073709551615"] {
        world.stack.hubspot.script(Match::api(), [Fault::rate_limited("DAILY").header("retry-after", retry_after)]);
        let answer = world.execute(&list()).await;

        assert_eq!((&answer.body["hubspot"]["status"], &answer.body["retryable"]), (&json!(429), &json!(true)));
        assert!(cooldown(&world, ACCOUNT).await.is_some_and(|noted| (800..=900).contains(&noted)), "{retry_after}");
        world.pass(Duration::from_secs(901));
    }
    assert_eq!(world.execute(&list()).await.body["hubspot"]["status"], 200);
}
