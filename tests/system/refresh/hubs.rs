//! Tokens of portals that live in another hub than the one of the common host.

use std::time::Duration;

use devstack::hubspot::{Fault, Match, PORTAL, PortalLocation, RecordedRequest};
use serde_json::json;

use crate::connect::{begin, connect, connected_account, finish};
use crate::execution::hubs::moved;
use crate::world::{ACCOUNT, World, request};

/// How many of the requests came to the common host and how many to the hubs; they are forgotten.
fn take_counts(world: &World, matching: &Match) -> (usize, usize) {
    let hubspot = &world.stack.hubspot;
    let requests = hubspot.requests_that(matching);
    let at_hub = |request: &&RecordedRequest| hubspot.hub_url().ends_with(&request.header("host").unwrap());
    let hubs = requests.iter().filter(at_hub).count();
    (requests.len() - hubs, hubs)
}

async fn hub(world: &World) -> Option<String> {
    world.record(ACCOUNT, 1).await.unwrap().hub
}

#[tokio::test]
async fn a_refresh_keeps_the_hub_at_which_later_refreshes_begin() {
    let (world, _) = connected_account().await;
    world.stack.hubspot.set_location(PORTAL, PortalLocation::Hub("eu1"));

    for counts in [(1, 1), (0, 1)] {
        world.pass(Duration::from_secs(1_801));
        world.stack.hubspot.forget_requests();

        let answer = world.execute(&request(ACCOUNT, None)).await;

        assert_eq!((answer.status, &answer.body["hubspot"]["status"]), (200, &json!(200)), "{}", answer.text);
        assert_eq!(take_counts(&world, &Match::refresh()), counts);
        // The refresh has learned the hub, or an earlier one.
        assert_eq!((take_counts(&world, &Match::api()), &answer.body["attempts"]), ((0, 1), &json!(1)));
        assert_eq!(hub(&world).await.as_deref(), Some("eu1"));
    }
}

#[tokio::test]
async fn a_hub_found_by_the_schedule_is_called_by_the_next_execution_at_once() {
    let (world, _) = connected_account().await;
    world.stack.hubspot.set_location(PORTAL, PortalLocation::Hub("na2"));
    world.pass(Duration::from_secs(1_801));
    let report = world.refresh(json!({})).await;
    world.stack.hubspot.forget_requests();

    let answer = world.execute(&request(ACCOUNT, None)).await;

    assert_eq!((&report["refreshed"], &answer.body["attempts"]), (&json!(1), &json!(1)), "{report} {}", answer.text);
    assert_eq!(take_counts(&world, &Match::api()), (0, 1));
    assert_eq!(hub(&world).await.as_deref(), Some("na2"));
}

#[tokio::test]
async fn a_hub_that_names_another_hub_is_replaced_on_the_record() {
    let (world, _) = connected_account().await;
    world.stack.hubspot.set_location(PORTAL, PortalLocation::Hub("na2"));
    world.pass(Duration::from_secs(1_801));
    world.refresh(json!({})).await;
    world.pass(Duration::from_secs(1_801));
    world.stack.hubspot.script(Match::refresh(), [moved("ap1")]);

    let report = world.refresh(json!({})).await;

    assert_eq!((&report["refreshed"], hub(&world).await.as_deref()), (&json!(1), Some("ap1")), "{report}");
}

#[tokio::test]
async fn a_refusal_by_the_named_hub_keeps_no_hub() {
    let (world, _) = connected_account().await;
    world.pass(Duration::from_secs(1_801));
    world.stack.hubspot.script(Match::refresh(), [moved("eu1"), Fault::status(503)]);

    let report = world.refresh(json!({})).await;

    assert_eq!((&report["transient"], hub(&world).await), (&json!(1), None), "{report}");
}

#[tokio::test]
async fn a_connect_keeps_the_hub_and_a_reconnect_forgets_it() {
    let world = World::start().await;
    world.stack.hubspot.script(Match::exchange(), [moved("eu1")]);
    let id = connect(&world, ACCOUNT, &json!({})).await;

    assert_eq!(take_counts(&world, &Match::exchange()), (1, 1));
    assert_eq!(hub(&world).await.as_deref(), Some("eu1"));
    let reconnect = json!({"integration_id": id});
    assert_eq!(finish(&world, &begin(&world, ACCOUNT, &reconnect).await).await, "reconnected");
    assert_eq!(hub(&world).await, None);
    world.stack.hubspot.script(Match::exchange(), [moved("ap1")]);
    assert_eq!(finish(&world, &begin(&world, ACCOUNT, &reconnect).await).await, "reconnected");
    assert_eq!(hub(&world).await.as_deref(), Some("ap1"));
}
