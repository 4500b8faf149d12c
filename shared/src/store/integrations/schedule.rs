//! Due integrations, and the time at which the schedule looks at a record again.

use aws_sdk_dynamodb::types::{ConditionCheck, TransactWriteItem, Update};

use super::item_key;
use crate::error::Error;
use crate::integration::{AccountId, Integration, Key, Pointer, shard};
use crate::store::write::{About, SERVICE, Write};
use crate::store::{Item, Store, WriteResult, n, s, unavailable};

/// An entry of the index of due integrations.
#[derive(Clone, Debug)]
pub struct Due {
    /// The key of the record.
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
pub struct Cursor(pub(in crate::store) Item);

impl Store {
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

    /// Makes the schedule look at the record at some time, whatever it said before.
    pub async fn make_due(&self, record: &Integration, at: i64) -> Result<(), Error> {
        let write = Write::of(record).set("refresh_at", n(at)).set("refresh_shard", n(shard(&record.account_id)));
        Ok(self.update(write).await.map(drop)?)
    }

    /// Lets a record, which may not even parse, be due at another time, unless somebody has moved it already.
    pub async fn reschedule(&self, due: &Due, refresh_at: i64) -> Result<(), Error> {
        let write =
            Write::at(due.key.clone()).if_equal("refresh_at", n(due.refresh_at)).set("refresh_at", n(refresh_at));
        Ok(self.update(write).await.map(drop)?)
    }

    /// Notes that the schedule found the record superseded, and puts it off.
    pub async fn supersede(&self, record: &Integration, since: i64, refresh_at: i64) -> Result<(), Error> {
        let write = Write::of(record).set("superseded_at", n(since)).set("refresh_at", n(refresh_at));
        let write = write.event("IntegrationSuperseded", SERVICE, &About::of(record));
        Ok(self.update(write).await.map(drop)?)
    }

    /// Lets a superseded record give up its tokens, provided that the newer one still exists.
    pub async fn drop_tokens(
        &self,
        record: &Integration,
        pointer: &Pointer,
        newer: &Key,
        now: i64,
    ) -> Result<WriteResult, Error> {
        let write = Write::of(record)
            .fence(pointer)
            .set("status", s("needs_reauthorization"))
            .set("status_reason", s("superseded"))
            .set("status_since", n(record.status_since.unwrap_or(now)))
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
}

fn due_entry(item: &Item) -> Option<Due> {
    let account_id = AccountId::try_from(item.get("account_id")?.as_s().ok()?.clone()).ok()?;
    let number = |name: &str| item.get(name)?.as_n().ok()?.parse().ok();
    Some(Due { key: Key { account_id, sequence: number("sequence")? }, refresh_at: number("refresh_at")? })
}
