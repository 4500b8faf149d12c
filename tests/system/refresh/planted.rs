//! Integrations that are there from the start of a test, and what happens to them behind everybody's back.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use devstack::hubspot::{Fault, Match, PORTAL};
pub(crate) use devstack::stack::SCOPES;
use devstack::wire::Answer;
use serde_json::{Value, json};
use shared::access::{Access, TokenRequest};
use shared::clients::Http;
use shared::hubspot::HubSpot;
use shared::integration::{Integration, Pointer};
use shared::refresh_policy::Purpose;
use shared::store::Store;

use crate::world::{ACCOUNT, World, reader};

/// Longer than access tokens live.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// An integration with fresh tokens of the double, written as a connect writes it, without the steps of a browser.
pub(crate) async fn plant(world: &World, account: &str, sequence: i64) -> Integration {
    plant_due(world, account, sequence, 1800, 1350).await
}

/// The same with tokens that expire and a look of the schedule that comes in so many seconds.
pub(crate) async fn plant_due(world: &World, account: &str, sequence: i64, expires: i64, due: i64) -> Integration {
    world.stack.plant(account, sequence, expires, due).await
}

/// A world with one integration, in which time has stopped.
pub(crate) async fn planted() -> (World, Integration) {
    let world = World::start().await;
    world.stop_time();
    let record = plant(&world, ACCOUNT, 1).await;
    (world, record)
}

/// A world with one integration, whose access token has expired.
pub(crate) async fn expired() -> (World, Integration) {
    let (world, record) = planted().await;
    world.pass(HOUR);
    (world, record)
}

/// A store of its own, as another process has one.
pub(crate) fn store(world: &World) -> Store {
    world.stack.store()
}

/// Another process: nothing in memory yet.
pub(crate) fn access(world: &World) -> Access {
    let mut reader = reader(&world.stack, "automation-execute");
    let http = Http::new(world.clock.clone()).unwrap();
    let hubspot = HubSpot::new(http, &reader.hubspot(), store(world));
    Access::new(store(world), hubspot, world.clock.clone(), reader.refresh())
}

/// The token request of an execution that has just started.
pub(crate) fn need(world: &World) -> TokenRequest<'static> {
    let now = world.clock.now_millis();
    let (deadline, function_deadline) = (now + 28_000, now + 29_000);
    TokenRequest { purpose: Purpose::Execution, deadline, function_deadline, rejected: None }
}

pub(crate) fn pointer(record: &Integration) -> Pointer {
    record.pointer.clone().unwrap()
}

/// Changes numbers of a record behind everybody's back; none removes one.
pub(crate) async fn change(world: &World, record: &Integration, numbers: &[(&str, Option<i64>)]) {
    for (name, number) in numbers {
        match number {
            Some(number) => change_text(world, record, name, AttributeValue::N(number.to_string())).await,
            None => write(world, record, "REMOVE #name", name, None).await,
        }
    }
}

/// Changes an attribute of a record behind everybody's back.
pub(crate) async fn change_text(world: &World, record: &Integration, name: &str, value: AttributeValue) {
    write(world, record, "SET #name = :value", name, Some(value)).await;
}

/// Lets a record point at the tokens of another one, as a corruption of the table does.
pub(crate) async fn point_at(world: &World, record: &Integration, other: &Integration) {
    let Pointer { secret_id, secret_version } = pointer(other);
    for (name, text) in [("secret_id", secret_id), ("secret_version", secret_version)] {
        change_text(world, record, name, AttributeValue::S(text)).await;
    }
}

async fn write(world: &World, record: &Integration, expression: &str, name: &str, value: Option<AttributeValue>) {
    let update = world.stack.dynamodb().update_item().table_name(world.stack.table("INTEGRATIONS_TABLE"));
    let update = update.key("account_id", AttributeValue::S(record.account_id.to_string()));
    let update = update.key("sequence", AttributeValue::N(record.sequence.to_string()));
    let update = update.update_expression(expression).expression_attribute_names("#name", name);
    let values = value.map(|value| [(":value".to_owned(), value)].into());
    update.set_expression_attribute_values(values).send().await.unwrap();
}

/// Lets one integration's token expire, of several in a world.
pub(crate) async fn expire(world: &World, record: &Integration) {
    change(world, record, &[("token_expires_at", Some(world.clock.now() - 1))]).await;
}

/// Lets somebody else hold the lease, who does not come to an end.
pub(crate) async fn hold_lease(world: &World, record: &Integration) {
    change_text(world, record, "lease_owner", AttributeValue::S("somebody else".to_owned())).await;
    change(world, record, &[("lease_until", Some(world.clock.now() + 20))]).await;
}

/// Another process refreshes, with calls that no gate of a test holds: its version, then its pointer.
pub(crate) async fn another_has_refreshed(world: &World, record: &Integration) -> Pointer {
    let issued = world.stack.hubspot.authorize(PORTAL, SCOPES);
    let before = pointer(record);
    let tokens = world.stack.tokens_of(record, &issued.access_token, &issued.refresh_token, &[&before.secret_version]);
    let secret_version = uuid::Uuid::now_v7().to_string();
    store(world).put_secret(&before.secret_id, &secret_version, &tokens).await.unwrap();
    let record = Integration {
        pointer: Some(Pointer { secret_version, ..before }),
        token_expires_at: world.clock.now() + 1800,
        lease_owner: None,
        lease_until: None,
        ..record.clone()
    };
    overwrite(world, &record).await;
    pointer(&record)
}

/// Replaces a whole record.
pub(crate) async fn overwrite(world: &World, record: &Integration) {
    let put = world.stack.dynamodb().put_item().table_name(world.stack.table("INTEGRATIONS_TABLE"));
    put.set_item(Some(item(record))).send().await.unwrap();
}

/// A record as DynamoDB has it.
pub(crate) fn item(record: &Integration) -> HashMap<String, AttributeValue> {
    let Value::Object(members) = json!(record) else { panic!("a record is an object") };
    members.into_iter().map(|(name, value)| (name, attribute(value))).collect()
}

fn attribute(value: Value) -> AttributeValue {
    match value {
        Value::Null => AttributeValue::Null(true),
        Value::Bool(flag) => AttributeValue::Bool(flag),
        Value::Number(number) => AttributeValue::N(number.to_string()),
        Value::String(text) => AttributeValue::S(text),
        Value::Array(list) => AttributeValue::L(list.into_iter().map(attribute).collect()),
        Value::Object(members) => AttributeValue::M(members.into_iter().map(|(k, v)| (k, attribute(v))).collect()),
    }
}

/// The token endpoint's refusal in HubSpot's shape.
pub(crate) fn refused(error: &str, status: &str) -> Fault {
    let body = json!({"error": error, "error_description": "as a test asked for", "status": status, "message": "no"});
    Fault::Answer(Answer::json(400, &body))
}

/// The refresh tokens that HubSpot was shown, in order.
pub(crate) fn shown(world: &World) -> Vec<String> {
    let requests = world.stack.hubspot.requests_that(&Match::refresh());
    let token = |(name, value): (String, String)| (name == "refresh_token").then_some(value);
    requests.iter().filter_map(|request| request.form().into_iter().find_map(token)).collect()
}

/// How many versions the record's secret has.
pub(crate) fn versions(world: &World, record: &Integration) -> usize {
    world.stack.secrets_manager.secret(&pointer(record).secret_id).map_or(0, |secret| secret.versions.len())
}
