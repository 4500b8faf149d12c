//! How long an execution may take: connecting, waiting, and what is left for the answer.

use std::time::{Duration, Instant};

use devstack::hubspot::{Fault, Match};
use futures_util::future::join_all;
use serde_json::{Value, json};
use shared::config::Reader;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::{connected, to, with};
use crate::world::World;

const HOUR: Duration = Duration::from_secs(3600);

fn create(deadline_ms: Option<u32>) -> Value {
    let mut request = with(to("POST", "/crm/v3/objects/contacts"), &json!({"body": {"properties": {}}}));
    if let Some(deadline_ms) = deadline_ms {
        request["deadline_ms"] = json!(deadline_ms);
    }
    request
}

#[tokio::test]
async fn an_execution_ends_at_its_deadline_a_second_before_the_functions_timeout() {
    let world = connected().await;
    world.execute(&to("GET", "/crm/v3/owners")).await;
    world.stack.hubspot.script_always(Match::api(), Fault::StallAnswer(HOUR));
    // What the caller gives, what the function has left, when the answer is due; in milliseconds.
    let table = [
        (Some(1000), 29_000, 1000),
        (Some(2500), 29_000, 2500),
        (Some(1000), 1800, 800),
        (Some(25_000), 3000, 2000),
        (None, 2500, 1500),
        (None, 3500, 2500),
    ];

    let ended = join_all(table.iter().map(|(deadline_ms, left, _)| {
        let (world, body) = (&world, create(*deadline_ms).to_string());
        async move {
            let began = Instant::now();
            let answer = world.execute_until(&body, world.clock.now_millis() + left).await;
            (answer, i64::try_from(began.elapsed().as_millis()).unwrap())
        }
    }))
    .await;

    for ((answer, took), row @ (_, left, due)) in ended.iter().zip(table) {
        assert_eq!((answer.status, answer.code()), (504, "hubspot_timeout"), "{row:?}: {}", answer.text);
        assert_eq!((&answer.body["outcome"], &answer.body["retryable"]), (&json!("unknown"), &json!(false)), "{row:?}");
        assert!((due - 50..due + 900).contains(took) && *took < left, "{row:?}: {took}");
    }
}

#[tokio::test]
async fn a_function_without_a_second_left_sends_nothing() {
    let world = connected().await;
    world.stack.hubspot.forget_requests();

    for left in [0, 500, 1000] {
        let answer = world.execute_until(&create(None).to_string(), world.clock.now_millis() + left).await;

        assert_eq!((answer.status, answer.code()), (503, "temporarily_unavailable"), "{left}: {}", answer.text);
        assert_eq!((&answer.body["outcome"], &answer.body["retryable"]), (&json!("not_sent"), &json!(true)));
    }
    assert!(world.stack.hubspot.requests().is_empty());
}

#[tokio::test]
async fn the_longest_deadline_fits_the_function_and_that_the_gateway() {
    let world = World::start().await;

    let timeout = world.stack.deployment.function("automation-execute").unwrap().timeout;

    assert!(timeout >= Duration::from_millis(25_000 + 1_000), "{timeout:?}");
    assert!(timeout < Duration::from_secs(30), "API Gateway waits no longer: {timeout:?}");
}

/// A listener that takes no connection any more: the system drops what exceeds its full queue, as a HubSpot does that
/// cannot be reached. The connections that fill it.
async fn unreachable() -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut filling = Vec::new();
    while let Ok(connected) = tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await {
        filling.push(connected.unwrap());
        assert!(filling.len() < 100, "the queue is never full");
    }
    (listener, filling)
}

#[tokio::test]
async fn failed_connections_to_hubspot_take_three_seconds_and_send_nothing() {
    let world = connected().await;
    let (listener, _filling) = unreachable().await;
    let environment = world.stack.environment("automation-execute");
    let lookup = |name: &str| match name {
        "HUBSPOT_API_URL" => Some(format!("http://{}", listener.local_addr().unwrap())),
        name => environment.get(name).cloned(),
    };
    let config = automation_execute::Config::read(Reader::new(lookup)).unwrap();
    let app = automation_execute::App::new(config, world.stack.aws_config(), world.clock.clone()).unwrap();
    // The deadline, and how long it takes: three attempts of 3 s and two pauses, or as many as fit.
    let table = [(None, 9_300), (Some(7000), 7000), (Some(2000), 2000)];

    let ended = join_all(table.iter().map(|(deadline_ms, _)| {
        let event = world.stack.automation_event(create(*deadline_ms).to_string());
        let (app, until) = (&app, world.clock.now_millis() + 29_000);
        async move {
            let began = Instant::now();
            let response = crate::world::execute_by(app, event, until).await;
            (response, i64::try_from(began.elapsed().as_millis()).unwrap())
        }
    }))
    .await;

    for ((response, took), row @ (_, due)) in ended.iter().zip(table) {
        let problem: Value = serde_json::from_str(&response.body).unwrap();
        assert_eq!((response.status_code, &problem["code"]), (504, &json!("hubspot_timeout")), "{row:?}: {problem}");
        assert_eq!((&problem["outcome"], &problem["retryable"]), (&json!("not_sent"), &json!(true)), "{row:?}");
        assert!((due - 50..due + 900).contains(took), "{row:?}: {took}");
    }
}
