//! Events as AWS publishes them: each is accepted, or refused with a clear error and without a trace in the log.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use devstack::hubspot::PORTAL;
use devstack::lambda::InvokeError;
use devstack::pipe;
use devstack::published::{differences, event};
use devstack::template::repository;
use serde_json::{Value, json};

use crate::connect::{begin, outcome};
use crate::execution::connected;
use crate::world::{ACCOUNT, ADMIN, World, request};

/// A published event of API Gateway for one of our routes.
fn to(name: &str, method: &str, path: &str) -> Value {
    let mut event = event(name);
    event["rawPath"] = json!(path);
    event["requestContext"]["http"]["method"] = json!(method);
    event["requestContext"]["http"]["path"] = json!(path);
    event
}

/// Status and code of an answer.
async fn answer(world: &World, binary: &str, event: Value) -> (u16, String) {
    let answer = world.function(binary, event).await;
    (answer.status, answer.code().to_owned())
}

#[tokio::test]
async fn an_iam_authorized_event_executes_for_the_engine_only() {
    let world = connected().await;
    let body = request(ACCOUNT, None).to_string();
    let mut event = to("apigw-v2-request-iam", "POST", "/v1/automation-requests");

    event["body"] = json!(body);
    assert_eq!(answer(&world, "automation-execute", event.clone()).await, (403, "forbidden".to_owned()));

    event["requestContext"]["authorizer"]["iam"]["userArn"] = json!(world.stack.engine.user_arn);
    assert_eq!(answer(&world, "automation-execute", event.clone()).await.0, 200);
    event["body"] = json!(STANDARD.encode(body));
    event["isBase64Encoded"] = json!(true);
    // The document describes a request before API Gateway encodes it.
    assert_eq!(world.unseen("automation-execute", event).await.status_code, 200);
    assert_eq!(world.stack.hubspot.api_requests().len(), 2);
}

#[tokio::test]
async fn a_jwt_authorized_event_lists_for_its_own_claims_only() {
    let world = connected().await;
    let mut event = to("apigw-v2-request-jwt-authorizer", "GET", "/v1/integrations");

    assert_eq!(answer(&world, "oauth-callback", event.clone()).await, (401, "unauthenticated".to_owned()));

    event["requestContext"]["authorizer"]["jwt"]["claims"] =
        json!({"account_id": ACCOUNT, "sub": ADMIN, "role": "member"});
    // API Gateway writes so where a token has no scopes.
    event["requestContext"]["authorizer"]["jwt"]["scopes"] = Value::Null;
    let listed = world.function("oauth-callback", event).await;
    assert_eq!((listed.status, listed.body["integrations"].as_array().map(Vec::len)), (200, Some(1)));
}

#[tokio::test]
async fn an_event_without_an_authorizer_completes_an_authorization() {
    let world = World::start().await;
    let begun = begin(&world, ACCOUNT, &json!({})).await;
    let mut event = to("apigw-v2-request-no-authorizer", "GET", "/oauth/hubspot/callback");
    event["rawQueryString"] = json!(begun.accept(&world, PORTAL));
    event["cookies"] = json!(["cookie1", begun.cookie, "cookie2"]);

    let answer = world.function("oauth-callback", event).await;

    assert_eq!(outcome(&world, &answer), "connected");
}

#[tokio::test]
async fn events_of_another_authorizer_are_unauthenticated() {
    let world = connected().await;

    for (published, binary, method, path) in [
        ("apigw-v2-request-lambda-authorizer", "automation-execute", "POST", "/v1/automation-requests"),
        ("apigw-v2-request-jwt-authorizer", "automation-execute", "POST", "/v1/automation-requests"),
        ("apigw-v2-request-no-authorizer", "automation-execute", "POST", "/v1/automation-requests"),
        ("apigw-v2-request-iam", "automation-execute", "POST", "/v1/automation-checks"),
        ("apigw-v2-request-lambda-authorizer", "oauth-callback", "GET", "/v1/integrations"),
        ("apigw-v2-request-iam", "oauth-callback", "POST", "/v1/authorizations"),
        ("apigw-v2-request-no-authorizer", "oauth-callback", "DELETE", "/v1/integrations/some"),
    ] {
        let answer = answer(&world, binary, to(published, method, path)).await;
        assert_eq!(answer, (401, "unauthenticated".to_owned()), "{published} {path}");
    }
    assert_eq!(world.stack.hubspot.api_requests().len(), 0);
}

/// Published events that none of the two HTTP functions is for.
const NOT_OF_AN_HTTP_API: [&str; 7] = [
    "apigw-request",
    "apigw-websocket-request",
    "alb-lambda-target-request-headers-only",
    "sqs-event-obj",
    "dynamodb-event",
    "eventbridge-schedule",
    "eventbridge-event-obj",
];

/// Published events that are not of a schedule.
const NOT_OF_A_SCHEDULE: [&str; 7] = [
    "apigw-request",
    "apigw-websocket-request",
    "alb-lambda-target-request-headers-only",
    "sqs-event-obj",
    "dynamodb-event",
    "apigw-v2-request-iam",
    "eventbridge-event-obj",
];

/// The texts of an event that identify something: shorter ones occur in any log.
fn texts(event: &Value) -> BTreeSet<String> {
    match event {
        Value::String(text) if text.len() > 9 => BTreeSet::from([text.clone()]),
        Value::Array(all) => all.iter().flat_map(texts).collect(),
        Value::Object(all) => all.values().flat_map(texts).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => BTreeSet::new(),
    }
}

/// Whatever the processes of a function have printed shows no text of these events, and none of them has ended.
fn leaves_no_trace(world: &World, binary: &str, events: &[&str]) {
    let lines = world.stack.lambda.logs().lines();
    for name in events {
        for text in texts(&event(name)) {
            let shown = lines.iter().find(|line| line.function == binary && line.text.contains(&text));
            assert!(shown.is_none(), "{text} of {name}: {shown:?}");
        }
    }
    assert_eq!(world.stack.lambda.spawned(binary), 1, "{binary}");
}

#[tokio::test]
async fn http_functions_refuse_events_of_other_sources_and_log_nothing_of_them() {
    let world = World::start().await;

    for binary in ["automation-execute", "oauth-callback"] {
        for name in NOT_OF_AN_HTTP_API {
            let answer = world.stack.lambda.invoke(binary, event(name)).await.unwrap();
            let problem: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
            assert_eq!((&answer["statusCode"], &problem["code"]), (&json!(400), &json!("invalid_request")), "{name}");
            assert_eq!(problem["detail"], "The event is not an HTTP API (v2) event.", "{name}");
        }
        leaves_no_trace(&world, binary, &NOT_OF_AN_HTTP_API);
    }
}

#[tokio::test]
async fn the_schedule_refuses_events_of_other_sources_and_logs_nothing_of_them() {
    let world = World::start().await;

    for name in NOT_OF_A_SCHEDULE {
        let failed = world.stack.run_schedule_once(Some(event(name))).await.unwrap_err();
        let InvokeError::Function { error_type, message } = failed else { panic!("{name}: {failed}") };
        assert_eq!(error_type, "InvalidEvent", "{name}");
        assert!(message.contains("shards"), "{name}: {message}");
    }
    leaves_no_trace(&world, "token-refresh", &NOT_OF_A_SCHEDULE);
}

/// A published stream record with the images of one of our integrations.
fn record(kind: &str, images: &[(&str, Value)]) -> Value {
    let mut record = event("dynamodb-event")["Records"][0].clone();
    record["eventName"] = json!(kind);
    record["dynamodb"].as_object_mut().unwrap().remove("NewImage");
    for (name, image) in images {
        record["dynamodb"][*name] = image.clone();
    }
    record
}

fn image(status: &str, event: &str) -> Value {
    json!({
        "account_id": {"S": ACCOUNT}, "sequence": {"N": "1"}, "integration_id": {"S": "id-1"}, "acted_by": {"S": ADMIN},
        "status": {"S": status}, "event": {"S": event}, "created_at": {"N": "1764153000"},
        "about": {"M": {
            "connected_by": {"S": ADMIN}, "hub_id": {"S": ""}, "status_reason": {"S": ""}, "status_since": {"S": ""},
        }},
    })
}

#[tokio::test]
async fn published_stream_records_become_events_of_the_published_envelope() {
    let world = World::start().await;
    let schema = std::fs::read_to_string(repository().join("infra/events.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema).unwrap()).unwrap();
    let pipes = &world.stack.deployment.pipes;
    let events = |record: &Value| pipes.iter().filter_map(|pipe| pipe::event(pipe, record)).collect::<Vec<_>>();
    let (active, lost) =
        (image("active", "IntegrationConnected"), image("needs_reauthorization", "IntegrationNeedsReauthorization"));

    for (record, expected) in [
        (record("INSERT", &[("NewImage", active.clone())]), Some("IntegrationConnected")),
        (record("MODIFY", &[("OldImage", active.clone()), ("NewImage", active.clone())]), None),
        (
            record("MODIFY", &[("OldImage", active.clone()), ("NewImage", lost.clone())]),
            Some("IntegrationNeedsReauthorization"),
        ),
        (record("REMOVE", &[("OldImage", active)]), Some("IntegrationDisconnected")),
    ] {
        let events = events(&record);

        assert_eq!(events.first().map(|event| event["detail-type"].as_str().unwrap()), expected, "{record}");
        assert_eq!(events.len(), usize::from(expected.is_some()), "{record}");
        for ours in events {
            // EventBridge delivers what the pipe puts within its envelope.
            let mut delivered = event("eventbridge-event-obj");
            assert!(!schema.is_valid(&delivered));
            for name in ["source", "detail-type", "detail"] {
                delivered[name] = ours[name].clone();
            }
            schema.validate(&delivered).unwrap_or_else(|error| panic!("{error}: {delivered}"));
            assert_eq!(delivered["detail"]["id"], record["eventID"]);
        }
    }
}

#[tokio::test]
async fn stream_records_have_the_shape_that_aws_publishes() {
    let world = connected().await;
    // The attributes are ours.
    let same_images = |mut record: Value| {
        for name in ["Keys", "NewImage"] {
            assert!(record["dynamodb"][name].is_object(), "{record}");
            record["dynamodb"][name] = json!({});
        }
        record
    };
    // The second one was not made by the service itself, which is what `userIdentity` says.
    let published = same_images(event("dynamodb-event")["Records"][1].clone());

    let records = world.stack.dynamo.stream(world.stack.table("INTEGRATIONS_TABLE")).await.unwrap();

    let differences = differences(&same_images(records[0].clone()), &published);
    // Only Lambda and pipes name the stream: DynamoDB's own answer to `GetRecords` does not.
    assert_eq!(differences, ["/eventSourceARN is missing"], "{}", records[0]);
}
