//! Reads that decide which integration is the newest.

use super::{item_key, parse_record};
use crate::error::Error;
use crate::integration::{AccountId, Integration, IntegrationId, Key, why_not_newest};
use crate::store::{Item, Store, s, unavailable};

impl Store {
    /// The account's newest integration: one strongly consistent read, no clock, no index.
    pub async fn newest(&self, account_id: &AccountId) -> Result<Option<Integration>, Error> {
        let reading = Box::pin(self.query(account_id).limit(1).send());
        let found = reading.await.map_err(|error| unavailable("Query", &error))?;
        found.items.unwrap_or_default().into_iter().next().map(parse_record).transpose()
    }

    /// All integrations of the account, newest first.
    pub async fn all(&self, account_id: &AccountId) -> Result<Vec<Integration>, Error> {
        let pages = self.query(account_id).into_paginator().items().send();
        let items: Result<Vec<Item>, _> = pages.collect().await;
        items.map_err(|error| unavailable("Query", &error))?.into_iter().map(parse_record).collect()
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
        found.item.map(parse_record).transpose()
    }

    /// The record as it is now; `None` if it is gone, or another integration has taken its key (sequence
    /// numbers are reused after a disconnect).
    pub async fn reread(&self, record: &Integration) -> Result<Option<Integration>, Error> {
        Ok(self.get(&record.key()).await?.filter(|now| now.integration_id == record.integration_id))
    }
}
