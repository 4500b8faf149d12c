//! Roles against calls: the local stack refuses what a function's role does not allow, in every test. Here the other
//! way round: all that a role allows is used.

use std::collections::BTreeSet;
use std::time::Duration;

use devstack::hubspot::{Fault, Match, PORTAL};
use devstack::wire::Answer;
use serde_json::{Value, json};

use crate::connect::{begin, connect, finish, outcome};
use crate::refresh::planted::{HOUR, refused};
use crate::world::{ACCOUNT, World, request};

/// Permissions that a role has although its function never calls them itself, and why.
const NOT_CALLED: &[(&str, &str)] = &[
    ("logs:", "the runtime's environment writes what a function prints"),
    ("kms:", "DynamoDB, Secrets Manager and SQS use the key in the function's name"),
    ("sqs:SendMessage", "Lambda keeps a failed run in the function's name"),
];

fn keyed(key: &str, method: &str) -> Value {
    let mut request = request(ACCOUNT, None);
    request["idempotency_key"] = json!(key);
    request["request"]["method"] = json!(method);
    request
}

/// Every path of the three functions that calls AWS.
async fn live(world: &World) {
    let begun = begin(world, ACCOUNT, &json!({})).await;
    let (query, cookies) = (begun.accept(world, PORTAL), [begun.cookie.as_str()]);
    // A repeated callback looks for the outcome of the first one.
    let (one, two) = tokio::join!(world.callback(&query, &cookies), world.callback(&query, &cookies));
    assert_eq!((outcome(world, &one), outcome(world, &two)), ("connected".into(), "connected".into()));
    let id = world.record(ACCOUNT, 1).await.unwrap().integration_id;
    assert_eq!(world.execute(&keyed("key", "GET")).await.status, 200);
    // An answer that may be asked for again frees its key.
    let locked = || Fault::Answer(Answer::new(423));
    world.stack.hubspot.script(Match::path("/crm/v3/objects/contacts"), [locked(), locked(), locked()]);
    world.execute(&keyed("another key", "GET")).await;
    world.stack.hubspot.clear_scripts();
    world.pass(HOUR);
    assert_eq!(world.execute(&request(ACCOUNT, None)).await.status, 200);
    world.pass(HOUR);
    let revoked = || refused("invalid_grant", "BAD_REFRESH_TOKEN");
    world.stack.hubspot.script(Match::refresh(), [revoked(), revoked()]);
    assert_eq!(world.execute(&request(ACCOUNT, None)).await.code(), "temporarily_unavailable");
    world.refresh(json!({})).await;
    assert_eq!(world.execute(&request(ACCOUNT, None)).await.code(), "reauthorization_required");
    world.pass(2 * HOUR);
    world.refresh(json!({})).await;
    let begun = begin(world, ACCOUNT, &json!({ "integration_id": id })).await;
    assert_eq!(finish(world, &begun).await, "reconnected");
    connect(world, ACCOUNT, &json!({ "new_instance": true })).await;
    for pause in [3 * HOUR, Duration::from_secs(32 * 86_400)] {
        world.pass(pause);
        world.refresh(json!({})).await;
    }
    assert_eq!(world.execute(&request(ACCOUNT, Some(id.as_str()))).await.code(), "integration_superseded");
    let path = format!("/v1/integrations/{id}");
    assert_eq!(world.dashboard(ACCOUNT, "admin", "DELETE", &path, &json!(null)).await.status, 204);
}

#[tokio::test]
async fn a_function_may_do_nothing_that_it_never_does() {
    let world = World::start().await;

    live(&world).await;

    let (granted, used) = (world.stack.policies.granted(), world.stack.policies.used());
    let excused = |action: &str| NOT_CALLED.iter().any(|(prefix, _)| action.starts_with(prefix));
    let unused: Vec<_> = granted.difference(&used).filter(|grant| !excused(&grant.action)).collect();
    assert!(unused.is_empty(), "allowed and never called: {unused:#?}");
    let idle = NOT_CALLED.iter().filter(|(prefix, _)| !granted.iter().any(|grant| grant.action.starts_with(prefix)));
    assert_eq!(idle.count(), 0, "an exception that excuses nothing");
    assert_eq!(world.stack.policies.denied(), Vec::<String>::new());
    let functions: BTreeSet<&str> = used.iter().map(|grant| grant.binary.as_str()).collect();
    assert_eq!(functions.into_iter().collect::<Vec<_>>(), ["automation-execute", "oauth-callback", "token-refresh"]);
}
