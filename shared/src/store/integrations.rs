//! The table `integrations`: reads that decide which integration is the newest, and conditional writes.
//!
//! Invariant: every write of an existing record names what it expects to find (the integration's id at least), so that
//! none resurrects a deleted record or touches another that has taken its key. A failed condition behind which one's
//! own values stand is success: the SDK repeats a write whose answer was lost.
//!
//! A write that may change what an integration is to its account says in `event` what that change is called. Nobody here
//! reads it: the table's stream does, compares the record before and after, and notifies (`infra/template.yaml`).

use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConditionCheck, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};

use super::write::Write;
use super::{Item, Store, WriteResult, n, s, unavailable};
use crate::error::Error;
use crate::integration::{AccountId, Integration, IntegrationId, Key, Pointer, TokenState, shard, why_not_newest};
use crate::lease::Lease;
use crate::refresh_policy::RefreshEnd;

/// An entry of the index of due integrations.
#[derive(Clone, Debug)]
pub struct Due {
    /// Which record.
    pub key: Key,
    /// Since when it is due.
    pub refresh_at: i64,
}

/// One page of due integrations, and where the next one begins.
pub struct DuePage {
    /// In the order in which they became due.
    pub due: Vec<Due>,
    /// Hand it in again to go on.
    pub next: Option<Cursor>,
}

/// A place in the index.
pub struct Cursor(pub(super) Item);

impl Store {
    /// The account's newest integration: one strongly consistent read, no clock, no index.
    pub async fn newest(&self, account_id: &AccountId) -> Result<Option<Integration>, Error> {
        let reading = Box::pin(self.query(account_id).limit(1).send());
        let found = reading.await.map_err(|error| unavailable("Query", &error))?;
        found.items.unwrap_or_default().into_iter().next().map(record).transpose()
    }

    /// All integrations of the account, newest first.
    pub async fn all(&self, account_id: &AccountId) -> Result<Vec<Integration>, Error> {
        let pages = self.query(account_id).into_paginator().items().send();
        let items: Result<Vec<Item>, _> = pages.collect().await;
        items.map_err(|error| unavailable("Query", &error))?.into_iter().map(record).collect()
    }

    /// Why an integration that is not the account's newest cannot be used: an older instance, or unknown.
    pub async fn why_not_newest(&self, account_id: &AccountId, id: &IntegrationId) -> Error {
        match self.all(account_id).await {
            Ok(all) => why_not_newest(all.iter().map(|known| &known.integration_id), id),
            Err(error) => error,
        }
    }

    fn query(&self, account_id: &AccountId) -> aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder {
        self.dynamodb
            .query()
            .table_name(&self.config.integrations_table)
            .key_condition_expression("account_id = :account")
            .expression_attribute_values(":account", s(account_id.as_str()))
            .scan_index_forward(false)
            .consistent_read(true)
    }

    /// One record, strongly consistent.
    pub async fn get(&self, key: &Key) -> Result<Option<Integration>, Error> {
        let found = self
            .dynamodb
            .get_item()
            .table_name(&self.config.integrations_table)
            .set_key(Some(item_key(key)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| unavailable("GetItem", &error))?;
        found.item.map(record).transpose()
    }

    /// The record as it is now; none if it is gone, or another integration has taken its key (sequences come again
    /// after a disconnect).
    pub async fn reread(&self, record: &Integration) -> Result<Option<Integration>, Error> {
        Ok(self.get(&record.key()).await?.filter(|now| now.integration_id == record.integration_id))
    }

    /// Puts a new record where none stands.
    pub async fn insert(&self, integration: &Integration) -> Result<WriteResult, Error> {
        let mut item: Item = serde_dynamo::to_item(integration).map_err(|_| Error::internal("a record is no item"))?;
        // An imported one (negative) was connected long ago.
        if integration.sequence > 0 {
            item.insert("event".to_owned(), s("IntegrationConnected"));
        }
        let put = self
            .dynamodb
            .put_item()
            .table_name(&self.config.integrations_table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(account_id)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match put {
            Ok(_) => Ok(WriteResult::Applied),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                    let mine = stands(failed.item.as_ref(), "integration_id", integration.integration_id.as_str());
                    Ok(if mine { WriteResult::Applied } else { WriteResult::ConditionFailed })
                }
                _ => Err(unavailable("PutItem", &error)),
            },
        }
    }

    /// Takes the lease of a refresh; none if somebody else has it. The record comes back as it is under the lease.
    pub async fn take_lease(
        &self,
        record: &Integration,
        lease: &Lease,
        now: i64,
    ) -> Result<Option<Integration>, Error> {
        let mut write = Write::of(record).set("lease_owner", s(&lease.owner)).set("lease_until", n(lease.until));
        if let Some(until) = lease.ambiguous_until {
            write = write.set("ambiguous_until", n(until));
        }
        // Should the holder die, the schedule looks after it soon: an idle integration would be looked at, or used, only
        // after hours, when a refresh token that was replaced meanwhile may be accepted no more.
        let lapsed = lease.until + Lease::SKEW + 1;
        if record.refresh_at.is_some_and(|at| at > lapsed) {
            write = write.set("refresh_at", n(lapsed));
        }
        write = match &record.lease_owner {
            None => write.if_absent("lease_owner"),
            Some(owner) => write.if_equal("lease_owner", s(owner)).if_less("lease_until", n(now - Lease::SKEW)),
        };
        match self.update(write).await? {
            UpdateResult::Applied(item) => self::record(item).map(Some),
            UpdateResult::ConditionFailed(Some(item)) if stands(Some(&item), "lease_owner", &lease.owner) => {
                self::record(item).map(Some)
            }
            UpdateResult::ConditionFailed(_) => Ok(None),
        }
    }

    /// Points the record at a version that a process wrote before it died, and keeps the lease.
    pub async fn roll_forward(
        &self,
        record: &Integration,
        from: &Pointer,
        to: &TokenState,
    ) -> Result<WriteResult, Error> {
        let write = Write::of(record)
            .fence(from)
            .set("secret_version", s(&to.pointer.secret_version))
            .set("token_expires_at", n(to.token_expires_at));
        self.written(write, "secret_version", &to.pointer.secret_version).await
    }

    /// Points the record at new tokens, declares it sound and releases the lease: the commit of a refresh.
    ///
    /// The fence is the pointer, not the lease: whoever comes late with tokens of an older pointer cannot commit.
    pub async fn commit(&self, record: &Integration, from: &Pointer, to: &TokenState) -> Result<WriteResult, Error> {
        let mut write = Write::of(record)
            .fence(from)
            .set("secret_version", s(&to.pointer.secret_version))
            .set("token_expires_at", n(to.token_expires_at))
            .set("status", s("active"))
            // Always: who comes late may not have seen the verdict that this overrules.
            .set("event", s("IntegrationRecovered"))
            .set("refresh_shard", n(shard(&record.account_id)))
            .set("refresh_at", n(to.refresh_at));
        if !to.scopes.is_empty() {
            write = write.set("scopes", list(&to.scopes));
        }
        if let (None, Some(hub_id)) = (record.hub_id, to.hub_id) {
            write = write.set("hub_id", n(hub_id));
        }
        for name in ["superseded_at", "failures", "refresh_not_before", "status_reason"] {
            write = write.remove(name);
        }
        write = match to.unverified_since {
            Some(at) => write.set("ambiguous_until", n(at)),
            None => write.remove("ambiguous_until"),
        };
        write = write.remove("lease_owner").remove("lease_until");
        self.written(write, "secret_version", &to.pointer.secret_version).await
    }

    /// Ends an attempt to refresh without new tokens, and releases the lease if it is still `owner`'s.
    ///
    /// A judgement is about the tokens that were tried, so it is fenced by their pointer; a mere release is not.
    pub async fn end_lease(
        &self,
        record: &Integration,
        owner: &str,
        fence: Option<&Pointer>,
        end: &RefreshEnd,
    ) -> Result<(), Error> {
        let mut write = Write::of(record).if_equal("lease_owner", s(owner));
        write = write.remove("lease_owner").remove("lease_until");
        if let Some(fence) = fence.filter(|_| *end != RefreshEnd::Released) {
            write = write.fence(fence);
        }
        match end {
            RefreshEnd::Released => {}
            RefreshEnd::Backoff { until, failures, ambiguous_until } => {
                write = write.set("refresh_not_before", n(*until)).set("failures", n(*failures));
                if let Some(until) = ambiguous_until {
                    write = write.set("ambiguous_until", n(*until));
                }
                if record.refresh_at.is_some() {
                    write = write.set("refresh_at", n(*until));
                }
            }
            RefreshEnd::Revoked { reason, failures, refresh_at } => {
                write = write.set("status", s("needs_reauthorization")).set("failures", n(*failures));
                write = write.set("event", s("IntegrationNeedsReauthorization"));
                write = write.remove("ambiguous_until").remove("refresh_not_before");
                if let Some(reason) = reason {
                    write = write.set("status_reason", s(*reason));
                }
                write = match refresh_at {
                    Some(at) => write.set("refresh_at", n(*at)).set("refresh_shard", n(shard(&record.account_id))),
                    None => write.remove("refresh_at").remove("refresh_shard"),
                };
            }
        }
        self.update(write).await.map(drop)
    }

    /// Gives the record the tokens of a new authorization. It wins over any refresh of the old one.
    pub async fn reconnect(&self, record: &Integration, to: &TokenState) -> Result<WriteResult, Error> {
        let mut write = Write::of(record)
            .set("secret_id", s(&to.pointer.secret_id))
            .set("secret_version", s(&to.pointer.secret_version))
            .set("token_expires_at", n(to.token_expires_at))
            .set("refresh_shard", n(shard(&record.account_id)))
            .set("refresh_at", n(to.refresh_at))
            .set("scopes", list(&to.scopes))
            .set("status", s("active"))
            .set("event", s("IntegrationRecovered"));
        if let Some(hub_id) = to.hub_id {
            write = write.set("hub_id", n(hub_id));
        }
        write = match &record.pointer {
            Some(pointer) => write.if_equal("secret_id", s(&pointer.secret_id)),
            None => write.if_absent("secret_id"),
        };
        for name in ["status_reason", "superseded_at", "cooldown_until", "failures", "refresh_not_before"] {
            write = write.remove(name);
        }
        write = write.remove("lease_owner").remove("lease_until").remove("ambiguous_until");
        self.written(write, "secret_id", &to.pointer.secret_id).await
    }

    /// Deletes the record; gives it back as it was, or none if it was not there any more.
    pub async fn delete(&self, record: &Integration) -> Result<Option<Integration>, Error> {
        let deleted = self
            .dynamodb
            .delete_item()
            .table_name(&self.config.integrations_table)
            .set_key(Some(item_key(&record.key())))
            .condition_expression("integration_id = :id")
            .expression_attribute_values(":id", s(record.integration_id.as_str()))
            .return_values(ReturnValue::AllOld)
            .send()
            .await;
        match deleted {
            Ok(answer) => answer.attributes.map(self::record).transpose(),
            Err(error) => match error.as_service_error() {
                Some(DeleteItemError::ConditionalCheckFailedException(_)) => Ok(None),
                _ => Err(unavailable("DeleteItem", &error)),
            },
        }
    }

    /// Notes that the integration executes something.
    pub async fn record_use(&self, record: &Integration, now: i64) -> Result<(), Error> {
        self.update(Write::of(record).set("last_used_at", n(now))).await.map(drop)
    }

    /// Notes for all functions until when HubSpot's rate limit of the portal is used up; never shortens it.
    pub async fn cool_down(&self, record: &Integration, until: i64) -> Result<(), Error> {
        let write = Write::of(record).if_less_or_absent("cooldown_until", n(until)).set("cooldown_until", n(until));
        self.update(write).await.map(drop)
    }

    /// Lets the schedule find out whether HubSpot still accepts an authorization.
    pub async fn mark_unverified(&self, record: &Integration, now: i64) -> Result<(), Error> {
        let write = Write::of(record).set("ambiguous_until", n(now)).set("refresh_at", n(now));
        self.update(write.set("refresh_shard", n(shard(&record.account_id)))).await.map(drop)
    }

    /// Makes the schedule look at the record at some time, whatever it said before.
    pub async fn make_due(&self, record: &Integration, at: i64) -> Result<(), Error> {
        let write = Write::of(record).set("refresh_at", n(at)).set("refresh_shard", n(shard(&record.account_id)));
        self.update(write).await.map(drop)
    }

    /// Notes that the schedule found the record superseded, and puts it off.
    pub async fn supersede(&self, record: &Integration, since: i64, refresh_at: i64) -> Result<(), Error> {
        let write = Write::of(record).set("superseded_at", n(since)).set("refresh_at", n(refresh_at));
        let write = write.set("event", s("IntegrationSuperseded"));
        self.update(write).await.map(drop)
    }

    /// Lets a record, which may not even parse, be due at another time, unless somebody has moved it already.
    pub async fn reschedule(&self, due: &Due, refresh_at: i64) -> Result<(), Error> {
        let write =
            Write::at(due.key.clone()).if_equal("refresh_at", n(due.refresh_at)).set("refresh_at", n(refresh_at));
        self.update(write).await.map(drop)
    }

    /// Lets a superseded record give up its tokens, provided that the newer one still exists.
    pub async fn drop_tokens(
        &self,
        record: &Integration,
        pointer: &Pointer,
        newer: &Key,
    ) -> Result<WriteResult, Error> {
        let write = Write::of(record)
            .fence(pointer)
            .set("status", s("needs_reauthorization"))
            .set("status_reason", s("superseded"))
            .set("token_expires_at", n(0))
            .remove("secret_id")
            .remove("secret_version")
            .remove("refresh_shard")
            .remove("refresh_at");
        let update = Update::builder()
            .table_name(&self.config.integrations_table)
            .set_key(Some(item_key(&write.key)))
            .update_expression(write.expression())
            .condition_expression(write.condition())
            .set_expression_attribute_names(Some(write.names()))
            .set_expression_attribute_values(Some(write.values()))
            .build()
            .map_err(|_| Error::internal("TransactWriteItems: update"))?;
        let check = ConditionCheck::builder()
            .table_name(&self.config.integrations_table)
            .set_key(Some(item_key(newer)))
            .condition_expression("attribute_exists(account_id)")
            .build()
            .map_err(|_| Error::internal("TransactWriteItems: check"))?;
        let written = self
            .dynamodb
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().update(update).build())
            .transact_items(TransactWriteItem::builder().condition_check(check).build())
            .send()
            .await;
        match written {
            Ok(_) => Ok(WriteResult::Applied),
            Err(error) => match error.as_service_error() {
                Some(service) if service.is_transaction_canceled_exception() => Ok(WriteResult::ConditionFailed),
                _ => Err(unavailable("TransactWriteItems", &error)),
            },
        }
    }

    /// One page of the integrations of a shard that are due.
    pub async fn due(&self, shard: u8, now: i64, after: Option<Cursor>) -> Result<DuePage, Error> {
        let page = self
            .dynamodb
            .query()
            .table_name(&self.config.integrations_table)
            .index_name("refresh-due")
            .key_condition_expression("refresh_shard = :shard AND refresh_at <= :now")
            .expression_attribute_values(":shard", n(shard))
            .expression_attribute_values(":now", n(now))
            .set_exclusive_start_key(after.map(|cursor| cursor.0))
            .limit(500)
            .send()
            .await
            .map_err(|error| unavailable("Query refresh-due", &error))?;
        let next = page.last_evaluated_key.filter(|key| !key.is_empty()).map(Cursor);
        let items = page.items.unwrap_or_default();
        let due: Vec<Due> = items.iter().filter_map(due_entry).collect();
        if due.len() < items.len() {
            tracing::error!(
                shard,
                entries = items.len() - due.len(),
                "entries of the index of due integrations do not parse"
            );
        }
        Ok(DuePage { due, next })
    }

    /// Performs a write; a failed condition behind which `attribute` already has `value` is success.
    async fn written(&self, write: Write, attribute: &str, value: &str) -> Result<WriteResult, Error> {
        Ok(match self.update(write).await? {
            UpdateResult::Applied(_) => WriteResult::Applied,
            UpdateResult::ConditionFailed(stored) if stands(stored.as_ref(), attribute, value) => WriteResult::Applied,
            UpdateResult::ConditionFailed(_) => WriteResult::ConditionFailed,
        })
    }

    pub(super) async fn update(&self, write: Write) -> Result<UpdateResult, Error> {
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
                _ => Err(unavailable("UpdateItem", &error)),
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

fn list(scopes: &[String]) -> AttributeValue {
    AttributeValue::L(scopes.iter().map(s).collect())
}

fn stands(item: Option<&Item>, attribute: &str, value: &str) -> bool {
    item.and_then(|item| item.get(attribute)).and_then(|stored| stored.as_s().ok()).is_some_and(|text| text == value)
}

/// Parses a record, or says in the log's words which one does not parse.
pub(super) fn record(item: Item) -> Result<Integration, Error> {
    let place = |name: &str| match item.get(name) {
        Some(AttributeValue::S(text)) => text.clone(),
        Some(AttributeValue::N(number)) => number.clone(),
        _ => "?".to_owned(),
    };
    let key = format!("account_id {} sequence {}", place("account_id"), place("sequence"));
    serde_dynamo::from_item(item).map_err(|error| Error::internal(format!("record {key} does not parse: {error}")))
}

fn due_entry(item: &Item) -> Option<Due> {
    let account_id = AccountId::try_from(item.get("account_id")?.as_s().ok()?.clone()).ok()?;
    let number = |name: &str| item.get(name)?.as_n().ok()?.parse().ok();
    Some(Due { key: Key { account_id, sequence: number("sequence")? }, refresh_at: number("refresh_at")? })
}
