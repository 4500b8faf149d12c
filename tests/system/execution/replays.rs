//! Kinds of 401: those that are refreshed and replayed, and those that are HubSpot's answer.

use std::time::Duration;

use devstack::hubspot::{Fault, Match, PORTAL};
use devstack::wire::Answer;
use serde_json::{Value, json};

use super::{connected, to, with};
use crate::refresh::planted::refused;
use crate::world::World;

/// Old enough for HubSpot's word to be believed.
const OLD: Duration = Duration::from_secs(16 * 60);

fn create() -> Value {
    with(to("POST", "/crm/v3/objects/contacts"), &json!({"body": {"properties": {}}}))
}

fn expired() -> Answer {
    Answer::json(401, &json!({"status": "error", "category": "EXPIRED_AUTHENTICATION"}))
}

/// Requests of the API, those of them that took effect, and refreshes, since they were last forgotten.
fn counted(world: &World) -> (usize, usize, usize) {
    let hubspot = &world.stack.hubspot;
    (hubspot.count(&Match::api()), hubspot.acted(&Match::api()), hubspot.count(&Match::refresh()))
}

#[tokio::test]
async fn requests_of_any_method_are_replayed_once_after_the_token_expired() {
    let world = connected().await;
    let hubspot = &world.stack.hubspot;
    let [one, gone] = [(); 2].map(|()| hubspot.create_object(PORTAL, "contacts", &[]));
    let call = hubspot.create_object(PORTAL, "calls", &[]);
    let properties = json!({"body": {"properties": {}}});
    let requests = [
        (200, to("GET", "/crm/v3/objects/contacts")),
        (201, create()),
        (200, with(to("PATCH", &format!("/crm/v3/objects/contacts/{one}")), &properties)),
        (200, to("PUT", &format!("/crm/v4/objects/calls/{call}/associations/default/contacts/{one}"))),
        (204, to("DELETE", &format!("/crm/v3/objects/contacts/{gone}"))),
    ];

    for (status, request) in requests {
        world.pass(OLD);
        hubspot.forget_requests();
        hubspot.script(Match::api(), [Fault::Answer(expired()), Fault::Pass]);
        let answer = world.execute(&request).await;

        assert_eq!(answer.body["hubspot"]["status"], status, "{request}: {}", answer.text);
        let ends = [&answer.body["outcome"], &answer.body["retryable"], &answer.body["attempts"]];
        assert_eq!(ends, [&json!("answered"), &json!(false), &json!(2)], "{request}");
        assert_eq!(counted(&world), (2, 1, 1), "{request}");
    }
    assert_eq!(hubspot.objects(PORTAL, "contacts").len(), 2, "one stood, one went, one was created");
}

#[tokio::test]
async fn any_other_refusal_is_handed_on_without_a_refresh() {
    let world = connected().await;
    world.pass(OLD);
    let says = |status: u16, category: &str| Answer::json(status, &json!({"status": "error", "category": category}));
    let refusals = [
        says(401, "INVALID_AUTHENTICATION"),
        says(401, "expired_authentication"),
        says(401, "EXPIRED_AUTHENTICATION_"),
        says(400, "EXPIRED_AUTHENTICATION"),
        says(403, "EXPIRED_AUTHENTICATION"),
        Answer::new(401),
        Answer::html(401, "<h1>EXPIRED_AUTHENTICATION</h1>"),
        Answer::json(401, &json!(["EXPIRED_AUTHENTICATION"])),
        Answer::json(401, &json!({"message": "EXPIRED_AUTHENTICATION", "category": null})),
        Answer::json(401, &json!({"errors": [{"category": "EXPIRED_AUTHENTICATION"}]})),
        Answer::new(401).header("www-authenticate", "Bearer error=\"invalid_token\""),
        says(403, "BANNED"),
    ];

    for refusal in refusals {
        world.stack.hubspot.forget_requests();
        world.stack.hubspot.script(Match::api(), [Fault::Answer(refusal.clone())]);
        let answer = world.execute(&create()).await;

        assert_eq!((answer.status, &answer.body["hubspot"]["status"]), (200, &json!(refusal.status)), "{refusal:?}");
        let ends = [&answer.body["outcome"], &answer.body["retryable"], &answer.body["attempts"]];
        assert_eq!(ends, [&json!("answered"), &json!(false), &json!(1)], "{refusal:?}");
        assert_eq!(counted(&world), (1, 0, 0), "{refusal:?}");
    }
}

#[tokio::test]
async fn a_replay_that_is_lost_is_of_unknown_outcome_and_not_sent_again() {
    let world = connected().await;

    for (fault, acts) in [(Fault::CloseAfterEffect, 1), (Fault::Reset, 0), (Fault::Cut(20), 1)] {
        world.pass(OLD);
        world.stack.hubspot.forget_requests();
        world.stack.hubspot.script(Match::api(), [Fault::Answer(expired()), fault.clone()]);
        let answer = world.execute(&create()).await;

        assert_eq!((answer.status, answer.code()), (502, "hubspot_unreachable"), "{fault:?}: {}", answer.text);
        assert_eq!((&answer.body["outcome"], &answer.body["retryable"]), (&json!("unknown"), &json!(false)));
        assert_eq!(counted(&world), (2, acts, 1), "{fault:?}");
    }
}

#[tokio::test]
async fn a_401_is_handed_on_when_no_new_tokens_can_be_had() {
    for refresh in [Fault::status(503), refused("invalid_grant", "BAD_REFRESH_TOKEN")] {
        let world = connected().await;
        world.pass(OLD);
        world.stack.hubspot.forget_requests();
        world.stack.hubspot.script_always(Match::api(), Fault::Answer(expired()));
        world.stack.hubspot.script_always(Match::refresh(), refresh.clone());

        let answer = world.execute(&create()).await;

        assert_eq!((answer.status, &answer.body["hubspot"]["status"]), (200, &json!(401)), "{}", answer.text);
        assert_eq!((&answer.body["outcome"], &answer.body["attempts"]), (&json!("answered"), &json!(1)), "{refresh:?}");
        assert_eq!(counted(&world), (1, 0, 1), "{refresh:?}");
    }
}
