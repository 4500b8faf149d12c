//! The table `integrations`: reads that decide which integration is the newest, and conditional writes.
//!
//! Invariant: every write of an existing record names what it expects to find (the integration's id at least), so that
//! none resurrects a deleted record or touches another that has taken its key. A failed condition behind which one's
//! own values stand is success: the SDK repeats a write whose answer was lost.
//!
//! A write that may change what an integration is to its account says in `event` what that change is called. Nobody
//! here reads it: the table's stream does, compares the record before and after, and notifies (`infra/template.yaml`).

mod connect;
mod read;
mod refresh;
mod schedule;

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use guard::hubs::Hub;

pub use self::schedule::{Cursor, Due, DuePage};
use super::write::Write;
use super::{Item, Store, WriteError, WriteResult, n, s};
use crate::error::Error;
use crate::integration::{Integration, Key, shard};

/// The schedule is asked for a proof of a grant at most this often, in seconds.
const PROOF_REQUESTED_EVERY: i64 = 600;

impl Store {
    /// Notes that the integration executes something.
    pub async fn record_use(&self, record: &Integration, now: i64) -> Result<(), Error> {
        Ok(self.update(Write::of(record).set("last_used_at", n(now))).await.map(drop)?)
    }

    /// Notes for all functions until when HubSpot's rate limit of the portal is used up; never shortens it.
    pub async fn cool_down(&self, record: &Integration, until: i64) -> Result<(), Error> {
        let write = Write::of(record).if_less_or_absent("cooldown_until", n(until)).set("cooldown_until", n(until));
        Ok(self.update(write).await.map(drop)?)
    }

    /// Records for all functions until when HubSpot's limit of searches in the portal is used up; never shortens it.
    pub async fn cool_down_searches(&self, record: &Integration, until: i64) -> Result<(), Error> {
        let write = Write::of(record).if_less_or_absent("search_cooldown_until", n(until));
        Ok(self.update(write.set("search_cooldown_until", n(until))).await.map(drop)?)
    }

    /// Records the regional hub that HubSpot named for the portal.
    pub async fn record_hub(&self, record: &Integration, hub: Hub) -> Result<(), Error> {
        Ok(self.update(Write::of(record).set("hub", s(hub.as_str()))).await.map(drop)?)
    }

    /// Makes the record due, so that the schedule proves the grant with HubSpot; at most once in ten minutes.
    pub async fn request_proof(&self, record: &Integration, now: i64) -> Result<(), Error> {
        let write = Write::of(record)
            .if_less_or_absent("proof_requested_at", n(now - PROOF_REQUESTED_EVERY))
            .set("proof_requested_at", n(now))
            .set("refresh_at", n(now))
            .set("refresh_shard", n(shard(&record.account_id)));
        Ok(self.update(write).await.map(drop)?)
    }

    /// Performs a write; a failed condition behind which `attribute` already has `value` is success.
    async fn written(&self, write: Write, attribute: &str, value: &str) -> Result<WriteResult, WriteError> {
        Ok(match self.update(write).await? {
            UpdateResult::Applied(_) => WriteResult::Applied,
            UpdateResult::ConditionFailed(stored) if contains(stored.as_ref(), attribute, value) => {
                WriteResult::Applied
            }
            UpdateResult::ConditionFailed(_) => WriteResult::ConditionFailed,
        })
    }

    pub(super) async fn update(&self, write: Write) -> Result<UpdateResult, WriteError> {
        let updated = self
            .dynamodb
            .update_item()
            .table_name(&self.config.integrations_table)
            .set_key(Some(item_key(&write.key)))
            .update_expression(write.expression())
            .condition_expression(write.condition())
            .set_expression_attribute_names(Some(write.names()))
            .set_expression_attribute_values(Some(write.values()))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match updated {
            Ok(answer) => Ok(UpdateResult::Applied(answer.attributes.unwrap_or_default())),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                    Ok(UpdateResult::ConditionFailed(failed.item.clone()))
                }
                _ => Err(WriteError::of("UpdateItem", &error)),
            },
        }
    }
}

pub(super) enum UpdateResult {
    /// The record as it is now.
    Applied(Item),
    /// The record that did not fit the condition, if there is one.
    ConditionFailed(Option<Item>),
}

fn item_key(key: &Key) -> Item {
    Item::from([("account_id".to_owned(), s(key.account_id.as_str())), ("sequence".to_owned(), n(key.sequence))])
}

fn string_list(scopes: &[String]) -> AttributeValue {
    AttributeValue::L(scopes.iter().map(s).collect())
}

fn contains(item: Option<&Item>, attribute: &str, value: &str) -> bool {
    item.and_then(|item| item.get(attribute)).and_then(|stored| stored.as_s().ok()).is_some_and(|text| text == value)
}

/// Parses a record, or says in the log's words which one does not parse.
pub(super) fn parse_record(item: Item) -> Result<Integration, Error> {
    let place = |name: &str| match item.get(name) {
        Some(AttributeValue::S(text)) => text.clone(),
        Some(AttributeValue::N(number)) => number.clone(),
        _ => "?".to_owned(),
    };
    let key = format!("account_id {} sequence {}", place("account_id"), place("sequence"));
    // Not `from_item`, which puts all attributes into a second map first.
    let parsed = serde_dynamo::from_attribute_value(AttributeValue::M(item));
    parsed.map_err(|error| Error::internal(format!("record {key} does not parse: {error}")))
}
