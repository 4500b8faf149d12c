//! An execution that had to wait sends nothing for an integration that was superseded meanwhile.

use std::time::Duration;

use devstack::hubspot::{Fault, Match};
use devstack::wire::At;
use serde_json::json;

use super::{connected, to, with};
use crate::world::{ACCOUNT, ADMIN};

#[tokio::test]
async fn an_execution_superseded_while_it_waits_for_a_refresh_sends_nothing() {
    let world = connected().await;
    world.pass(Duration::from_secs(1_801));
    let gate = world.stack.hubspot.hold(Match::refresh(), At::Before);
    let create = with(to("POST", "/crm/v3/objects/contacts"), &json!({"body": {"properties": {}}}));

    let (refreshing, waiting, ()) = tokio::join!(world.execute(&create), world.execute(&create), async {
        gate.reached(1).await;
        world.stack.connect_new_instance(ACCOUNT, ADMIN).await;
        world.clock.advance(Duration::from_millis(1_100));
        gate.open();
    });

    for answer in [refreshing, waiting] {
        assert_eq!((answer.status, answer.code()), (409, "integration_superseded"), "{}", answer.text);
        assert_eq!(answer.body["outcome"], "not_sent");
    }
    assert_eq!(world.stack.hubspot.count(&Match::api()), 0);
}

#[tokio::test]
async fn an_execution_superseded_during_a_pause_of_two_seconds_sends_no_more() {
    let world = connected().await;
    let limited = Fault::rate_limited("TEN_SECONDLY_ROLLING").header("retry-after", "2");
    world.stack.hubspot.script(Match::api(), [limited]);
    let create = with(to("POST", "/crm/v3/objects/contacts"), &json!({"body": {"properties": {}}}));

    let (answer, ()) = tokio::join!(world.execute(&create), async {
        world.stack.hubspot.wait_for_requests(&Match::api(), 1).await;
        world.stack.connect_new_instance(ACCOUNT, ADMIN).await;
    });

    assert_eq!((answer.status, answer.code()), (409, "integration_superseded"), "{}", answer.text);
    assert_eq!(world.stack.hubspot.count(&Match::api()), 1);
}
