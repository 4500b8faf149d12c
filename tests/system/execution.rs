//! An automation request: the request at HubSpot, and the engine's answer.

mod answers;
mod bodies;
mod cooldowns;
mod credentials;
mod forms;
mod headers;
pub(crate) mod hubs;
mod losses;
mod memory;
mod newest;
mod redirects;
mod refusals;
mod replays;
mod retries;
mod scopes;
mod timeouts;
mod tokens;
mod urls;
mod wire;

use aws_sdk_dynamodb::types::AttributeValue;
use devstack::hubspot::RecordedRequest;
use serde_json::{Value, json};

use crate::world::{ACCOUNT, ADMIN, World};

/// A world in which the account is connected.
pub(crate) async fn connected() -> World {
    let world = World::start().await;
    world.stack.connect(ACCOUNT, ADMIN).await;
    world
}

/// An automation request of the account, whose newest integration runs it.
pub(crate) fn to(method: &str, endpoint: &str) -> Value {
    json!({"account_id": ACCOUNT, "request": {"method": method, "endpoint": endpoint}})
}

/// The same with further fields beside method and endpoint.
pub(crate) fn with(mut request: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        request["request"][name] = value.clone();
    }
    request
}

/// The one request that HubSpot's API got.
pub(crate) fn only_request(world: &World) -> RecordedRequest {
    let [request] = world.stack.hubspot.api_requests().try_into().unwrap();
    request
}

/// The access token in the newest integration's secret.
pub(crate) async fn access_token(world: &World) -> String {
    let secret_id = world.stack.newest_text(ACCOUNT, "secret_id").await.unwrap();
    let secret = world.stack.secrets_manager.secret(&secret_id).unwrap();
    secret.current().unwrap().value.json()["access_token"].as_str().unwrap().to_owned()
}

/// Sets an attribute of a record behind everybody's back, or with `None` takes it away.
pub(crate) async fn tamper(world: &World, account: &str, sequence: i64, name: &str, value: Option<AttributeValue>) {
    let update = world
        .stack
        .dynamodb()
        .update_item()
        .table_name(world.stack.table("INTEGRATIONS_TABLE"))
        .key("account_id", AttributeValue::S(account.to_owned()))
        .key("sequence", AttributeValue::N(sequence.to_string()))
        .expression_attribute_names("#name", name);
    let update = match value {
        Some(value) => update.update_expression("SET #name = :value").expression_attribute_values(":value", value),
        None => update.update_expression("REMOVE #name"),
    };
    update.send().await.unwrap();
}

/// How many calls have written anything so far, in DynamoDB or Secrets Manager.
pub(crate) fn writes(world: &World) -> usize {
    let reads = ["Query", "GetItem", "Scan", "GetSecretValue", "DescribeSecret", "ListSecrets"];
    let records = world.stack.dynamo.calls().into_iter().map(|call| call.operation);
    let secrets = world.stack.secrets_manager.calls().into_iter().map(|call| call.operation);
    records.chain(secrets).filter(|operation| !reads.contains(&operation.as_str())).count()
}

#[tokio::test]
async fn a_request_reaches_hubspot_with_the_oauth_token_instead_of_credentials() {
    let world = World::start().await;
    let integration = world.stack.connect(ACCOUNT, ADMIN).await;

    let answer = world
        .execute_text(&format!(
            r#"{{"account_id": "acc_1", "integration_id": "{integration}", "automation_id": "wf_42",
            "request": {{ "method": "POST",
                "endpoint": "https://api.hubapi.com/crm/v3/objects/contacts/search?hapikey=old",
                "query": {{"archived": "false", "properties": ["email", "phone"]}},
                "headers": {{"Authorization": "Bearer pat-na1-old", "Content-Type": "application/json"}},
                "body": {{ "limit":1.0e0,"big": 123456789012345678901234567890, "limit" :1, "s":"\u00e9\/" }} }} }}"#
        ))
        .await;

    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.body["ignored_credentials"], json!(["header:authorization", "query:hapikey"]));
    let request = only_request(&world);
    assert_eq!(request.target, "/crm/v3/objects/contacts/search?archived=false&properties=email&properties=phone");
    assert_eq!(request.body, br#"{ "limit":1.0e0,"big": 123456789012345678901234567890, "limit" :1, "s":"\u00e9\/" }"#);
    let raw = String::from_utf8_lossy(&request.raw).to_lowercase();
    assert!(!raw.contains("pat-na1-old") && !raw.contains("hapikey") && !raw.contains("=old"), "{raw}");
    assert_eq!(request.header("authorization"), Some(format!("Bearer {}", access_token(&world).await)));
    assert_eq!(raw.matches("authorization:").count(), 1, "{raw}");
}

#[tokio::test]
async fn the_answer_has_the_fields_of_the_contract_and_hubspots_own_body() {
    let world = World::start().await;
    let integration = world.stack.connect(ACCOUNT, ADMIN).await;

    let answer = world.execute(&to("GET", "/crm/v3/objects/contacts?limit=1")).await;

    assert_eq!(answer.headers["content-type"], "application/json");
    let mut body = answer.body;
    let (id, duration) = (body["execution_id"].take(), body["duration_ms"].take());
    assert!(id.as_str().is_some_and(|id| id.len() == 36) && duration.is_u64(), "{id} {duration}");
    let headers = body["hubspot"]["headers"].take();
    assert_eq!(headers["content-type"], "application/json;charset=utf-8");
    assert_eq!(
        body,
        json!({
            "execution_id": null, "integration_id": integration, "outcome": "answered", "retryable": false,
            "attempts": 1, "duration_ms": null, "ignored_credentials": [],
            "hubspot": {"status": 200, "headers": null, "body": {"results": []}},
        })
    );
}
