//! A crowd of users of one expired token, in several processes: one asks HubSpot, the others wait in their time.

use devstack::hubspot::Match;
use devstack::stack::Options;
use devstack::wire::At;
use futures_util::future::join_all;
use serde_json::{Value, json};
use shared::gateway::Response;

use super::planted::{change, expired, plant};
use crate::histories::setting;
use crate::world::{ACCOUNT, World, execute_by, reader, request};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn executions_of_six_processes_with_one_expired_token_ask_hubspot_once() {
    let world = World::with(Options { concurrency: 6, ..Options::default() }).await;
    let record = plant(&world, ACCOUNT, 1).await;
    world.stack.hubspot.expire_access_tokens();
    change(&world, &record, &[("token_expires_at", Some(world.clock.now() - 1))]).await;
    let gate = world.stack.hubspot.hold(Match::refresh(), At::Before);
    let reads = world.stack.dynamo.count("Query");
    let body = request(ACCOUNT, None).to_string();

    let all = join_all((0..users()).map(|_| world.stack.post_automation(body.clone())));
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn executions_waiting_in_four_processes_use_the_refreshed_tokens() {
    let (world, _) = expired().await;
    let gate = world.stack.hubspot.hold(Match::refresh(), At::Before);
    let reads = world.stack.dynamo.count("Query");
    let users = users();

    let (answers, ()) = tokio::join!(crowd(&world, users, 25_000), async {
        world.stack.dynamo.wait_for_calls("Query", reads + users).await;
        gate.reached(1).await;
        gate.open();
    });

    let failed = answers.iter().filter(|answer| body(answer)["hubspot"]["status"] != 200);
    assert_eq!(failed.map(|answer| answer.body.clone()).collect::<Vec<_>>(), Vec::<String>::new());
    assert_eq!(world.stack.hubspot.count(&Match::refresh()), 1);
}

/// How many come at once. On a busy machine a thousand do not end in the time that the engine gives them.
fn users() -> usize {
    setting("LOAD").map_or(200, |_| 1000)
}

/// So many executions at once, in four functions of which none knows what another has in memory.
async fn crowd(world: &World, number: usize, deadline_ms: u64) -> Vec<Response> {
    let app = || {
        let config = automation_execute::Config::read(reader(&world.stack, "automation-execute")).unwrap();
        automation_execute::App::new(config, world.stack.aws_config(), world.clock.clone()).unwrap()
    };
    let apps = [app(), app(), app(), app()];
    let mut body = request(ACCOUNT, None);
    body["deadline_ms"] = json!(deadline_ms);
    let event = json!({
        "rawPath": "/v1/automation-requests",
        "body": body.to_string(),
        "requestContext": {"http": {"method": "POST"},
            "authorizer": {"iam": {"userArn": world.stack.engine.user_arn}}},
    });
    let deadline = world.clock.now_millis() + 29_000;
    let executions = (0..number).map(|number| {
        let (app, event) = (&apps[number % apps.len()], event.clone());
        execute_by(app, event, deadline)
    });
    join_all(executions).await
}

fn body(response: &Response) -> Value {
    serde_json::from_str(&response.body).unwrap()
}
