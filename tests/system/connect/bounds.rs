//! How many integrations an account can have.

use devstack::hubspot::PORTAL;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{begin, connect, finish, outcome, secrets};
use crate::refresh::planted::plant;
use crate::world::{ACCOUNT, World, request};

const MOST: usize = 10;

fn further() -> Value {
    json!({ "new_instance": true })
}

/// Connects so many integrations; their ids, oldest first.
async fn fill(world: &World, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(connect(world, ACCOUNT, &further()).await);
    }
    ids
}

#[tokio::test]
async fn an_eleventh_integration_is_refused_before_hubspot_is_visited() {
    let world = World::start().await;
    let ids = fill(&world, MOST).await;

    let answer = world.dashboard(ACCOUNT, "admin", "POST", "/v1/authorizations", &further()).await;

    assert_eq!((answer.status, answer.code()), (409, "too_many_integrations"), "{}", answer.text);
    let (newest, older) = ids.split_last().unwrap();
    let detail = answer.body["detail"].as_str().unwrap();
    assert!(older.iter().all(|id| detail.contains(id)) && !detail.contains(newest), "{detail}");
    assert_eq!((answer.body["retryable"].clone(), answer.cookies.len()), (json!(false), 0));
}

#[tokio::test]
async fn the_refusal_names_the_real_number_of_connected_integrations() {
    let world = World::start().await;
    for sequence in 1..=12 {
        plant(&world, ACCOUNT, sequence).await;
    }

    let answer = world.dashboard(ACCOUNT, "admin", "POST", "/v1/authorizations", &further()).await;

    let detail = answer.body["detail"].as_str().unwrap();
    assert!(detail.starts_with("The account has 12 connected integrations; it can have 10 at most."), "{detail}");
}

#[tokio::test]
async fn after_a_disconnect_another_integration_connects() {
    let world = World::start().await;
    let ids = fill(&world, MOST).await;
    let path = format!("/v1/integrations/{}", ids[0]);
    assert_eq!(world.dashboard(ACCOUNT, "admin", "DELETE", &path, &json!(null)).await.status, 204);

    let id = connect(&world, ACCOUNT, &further()).await;

    assert_eq!(world.execute(&request(ACCOUNT, Some(&id))).await.status, 200);
}

#[tokio::test]
async fn a_full_account_can_still_reconnect() {
    let world = World::start().await;
    let ids = fill(&world, MOST).await;

    let ended = finish(&world, &begin(&world, ACCOUNT, &json!({ "integration_id": ids[MOST - 1] })).await).await;

    assert_eq!(ended, "reconnected");
}

#[tokio::test]
async fn the_bound_holds_when_many_callbacks_come_at_once() {
    let world = World::start().await;
    fill(&world, MOST - 2).await;
    let mut all = Vec::new();
    for _ in 0..6 {
        let begun = begin(&world, ACCOUNT, &further()).await;
        all.push((begun.accept(&world, PORTAL), begun.cookie));
    }

    let answers = join_all(all.iter().map(|(query, cookie)| async {
        let cookies = [cookie.as_str()];
        world.callback(query, &cookies).await
    }))
    .await;

    let mut outcomes: Vec<String> = answers.iter().map(|answer| outcome(&world, answer)).collect();
    outcomes.sort();
    let refused = ["too-many-integrations"; 4];
    assert_eq!(outcomes, [&["connected"; 2][..], &refused[..]].concat());
    assert_eq!((world.stack.records(ACCOUNT).await.unwrap().len(), secrets(&world).len()), (MOST, MOST));
}
