//! Idempotency keys: an automation that is triggered twice writes once, and every delivery gets a true answer.

mod deaths;
mod keys;
mod reads;

use aws_sdk_dynamodb::types::AttributeValue;
use devstack::hubspot::PORTAL;
use serde_json::{Value, json};
use shared::crypto::sha256_hex;

use crate::execution::{to, with};
use crate::world::{ACCOUNT, World};

/// Where an owner stands when something happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum OwnerStep {
    Claimed,
    NewestRead,
    SendingAsked,
    SendingNoted,
    Sent,
    Acted,
    EndAsked,
    EndNoted,
}

pub(crate) const STEPS: [OwnerStep; 8] = [
    OwnerStep::Claimed,
    OwnerStep::NewestRead,
    OwnerStep::SendingAsked,
    OwnerStep::SendingNoted,
    OwnerStep::Sent,
    OwnerStep::Acted,
    OwnerStep::EndAsked,
    OwnerStep::EndNoted,
];

/// A request that creates a contact, under a key.
fn create(key: &str) -> Value {
    let request = to("POST", "/crm/v3/objects/contacts");
    keyed(with(request, &json!({"body": {"properties": {"email": format!("{key}@example.com")}}})), key)
}

pub(crate) fn keyed(mut request: Value, key: &str) -> Value {
    request["idempotency_key"] = json!(key);
    request
}

/// The text of an answer or of its replay, without the mark of the latter.
pub(crate) fn unmarked(text: &str) -> String {
    text.replace(",\"replayed\":true}", "}")
}

/// How many contacts HubSpot has.
fn contacts(world: &World) -> usize {
    world.stack.hubspot.objects(PORTAL, "contacts").len()
}

/// How many requests HubSpot's API has got.
fn sent(world: &World) -> usize {
    world.stack.hubspot.api_requests().len()
}

/// Each row's attributes of a key that are stored.
pub(crate) async fn row(world: &World, key: &str) -> Option<std::collections::HashMap<String, AttributeValue>> {
    let found = world
        .stack
        .dynamodb()
        .get_item()
        .table_name(world.stack.table("EXECUTIONS_TABLE"))
        .key("account_id", AttributeValue::S(ACCOUNT.to_owned()))
        .key("key_hash", AttributeValue::S(sha256_hex(key)))
        .send();
    found.await.unwrap().item
}

pub(crate) async fn state(world: &World, key: &str) -> Option<String> {
    Some(row(world, key).await?["state"].as_s().unwrap().clone())
}

/// Makes a key's owner look as if its last heartbeat was so many seconds earlier.
pub(crate) async fn age(world: &World, key: &str, seconds: i64) {
    let heartbeat_at: i64 = row(world, key).await.unwrap()["heartbeat_at"].as_n().unwrap().parse().unwrap();
    let update = world
        .stack
        .dynamodb()
        .update_item()
        .table_name(world.stack.table("EXECUTIONS_TABLE"))
        .key("account_id", AttributeValue::S(ACCOUNT.to_owned()))
        .key("key_hash", AttributeValue::S(sha256_hex(key)))
        .update_expression("SET heartbeat_at = :at")
        .expression_attribute_values(":at", AttributeValue::N((heartbeat_at - seconds).to_string()));
    update.send().await.unwrap();
}
