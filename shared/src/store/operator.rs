//! AWS calls of the operator's tool only: the whole table, the versions of a secret, the deployed resources.

use aws_sdk_dynamodb::types::TableStatus;
use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::integrations::{Cursor, parse_record};
use super::secrets::is_gone;
use super::write::Write;
use super::{Store, WriteResult, n, s, unavailable};
use crate::error::Error;
use crate::integration::{AccountId, Integration, Key};

/// One page of the table; the records of an account stand together, in the order of their sequence.
pub struct RecordPage {
    /// Records, or which one does not parse.
    pub records: Vec<Result<Integration, Error>>,
    /// Hand it in again to go on.
    pub next: Option<Cursor>,
}

/// A version of a secret, without what it holds.
#[derive(Clone, Debug)]
pub struct SecretVersionInfo {
    /// Its id.
    pub id: String,
    /// Its staging labels.
    pub labels: Vec<String>,
    /// When it was written.
    pub created_at: i64,
}

/// A secret of some integration, whether it is marked for deletion or not.
#[derive(Clone, Debug)]
pub struct SecretInfo {
    /// Its name.
    pub secret_id: String,
    /// True if it is marked for deletion.
    pub deleted: bool,
    /// When it was created.
    pub created_at: i64,
    /// The customer-managed key that encrypts it; none for the AWS account's default key.
    pub key: Option<String>,
}

/// An authorization that was started and never came back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PendingAuthorization {
    /// Its purpose.
    pub kind: String,
    /// The user who started it.
    pub user_id: String,
    /// When it expires, or expired.
    pub expires_at: i64,
}

/// The table of integrations as it was deployed.
#[derive(Clone, Debug)]
pub struct TableInfo {
    /// True if it can be used.
    pub active: bool,
    /// The names of its indexes that can be used.
    pub indexes: Vec<String>,
    /// The ARN of the key that encrypts it, if it is a key of this stack.
    pub key: Option<String>,
}

impl Store {
    /// One page of all integrations.
    pub async fn scan(&self, after: Option<Cursor>) -> Result<RecordPage, Error> {
        let page = self
            .dynamodb
            .scan()
            .table_name(&self.config.integrations_table)
            .consistent_read(true)
            .set_exclusive_start_key(after.map(|cursor| cursor.0))
            .send()
            .await
            .map_err(|error| unavailable("Scan", &error))?;
        let next = page.last_evaluated_key.filter(|key| !key.is_empty()).map(Cursor);
        Ok(RecordPage { records: page.items.unwrap_or_default().into_iter().map(parse_record).collect(), next })
    }

    /// The versions of a secret, latest first; none if it is gone.
    pub async fn versions(&self, secret_id: &str) -> Result<Option<Vec<SecretVersionInfo>>, Error> {
        let (mut versions, mut token) = (Vec::new(), None);
        loop {
            let request = self.secrets.list_secret_version_ids().secret_id(secret_id).include_deprecated(true);
            let page = match request.max_results(100).set_next_token(token).send().await {
                Ok(page) => page,
                Err(error) if is_gone(error.code()) => return Ok(None),
                Err(error) => return Err(unavailable("ListSecretVersionIds", &error)),
            };
            versions.extend(page.versions.unwrap_or_default().into_iter().filter_map(|version| {
                let created_at = version.created_date?.secs();
                Some(SecretVersionInfo {
                    id: version.version_id?,
                    labels: version.version_stages.unwrap_or_default(),
                    created_at,
                })
            }));
            token = page.next_token;
            if token.is_none() {
                break;
            }
        }
        versions.sort_by_key(|version| std::cmp::Reverse(version.created_at));
        Ok(Some(versions))
    }

    /// One page of the integrations' secrets, those that are marked for deletion among them, and where to go on.
    pub async fn all_secrets(&self, after: Option<String>) -> Result<(Vec<SecretInfo>, Option<String>), Error> {
        let begins = format!("{}/integrations/", self.config.secret_prefix);
        let page = self.list(&begins).include_planned_deletion(true).set_next_token(after).send().await;
        let page = page.map_err(|error| unavailable("ListSecrets", &error))?;
        let seen = page.secret_list.unwrap_or_default().into_iter().filter_map(|entry| {
            let deleted = entry.deleted_date.is_some();
            // The filter is AWS's; what is deleted by it has to begin with exactly that.
            let secret_id = entry.name.filter(|name| name.starts_with(&begins))?;
            let created_at = entry.created_date.map_or(i64::MAX, |date| date.secs());
            Some(SecretInfo { secret_id, deleted, created_at, key: entry.kms_key_id.filter(|key| !is_default(key)) })
        });
        Ok((seen.collect(), page.next_token.filter(|token| !token.is_empty())))
    }

    /// Puts the app's secret. The condition is that the stack has declared it.
    pub async fn put_app_secret(&self, text: &SecretString) -> Result<WriteResult, Error> {
        let put = self.secrets.put_secret_value().secret_id(self.app_secret_id());
        let put = put.client_request_token(Uuid::now_v7().to_string()).secret_string(text.expose_secret());
        match put.send().await {
            Ok(_) => Ok(WriteResult::Applied),
            Err(error) if is_gone(error.code()) => Ok(WriteResult::ConditionFailed),
            Err(error) => Err(unavailable("PutSecretValue (app)", &error)),
        }
    }

    /// Returns true if a table exists, whatever its state.
    pub async fn table_exists(&self, name: &str) -> Result<bool, Error> {
        match self.dynamodb.describe_table().table_name(name).send().await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(false),
            Err(error) => Err(unavailable("DescribeTable", &error)),
        }
    }

    /// The authorizations of an account that were started and never came back, as long as the table's TTL leaves them.
    /// It scans the table, which holds only what was started lately.
    pub async fn pending_authorizations(
        &self,
        table: &str,
        account_id: &AccountId,
    ) -> Result<Vec<PendingAuthorization>, Error> {
        let pages = self
            .dynamodb
            .scan()
            .table_name(table)
            .filter_expression("account_id = :account AND attribute_not_exists(outcome)")
            .expression_attribute_values(":account", s(account_id.as_str()))
            .into_paginator()
            .items()
            .send();
        let items: Result<Vec<_>, _> = pages.collect().await;
        let items = items.map_err(|error| unavailable("Scan (authorizations)", &error))?;
        let parse =
            |item| serde_dynamo::from_item(item).map_err(|_| Error::internal("an authorization does not parse"));
        let mut pending: Vec<PendingAuthorization> = items.into_iter().map(parse).collect::<Result<_, _>>()?;
        pending.sort_by_key(|authorization| std::cmp::Reverse(authorization.expires_at));
        Ok(pending)
    }

    /// The key of the app's secret, none for the account's default key; none at all if there is no such secret.
    pub async fn app_secret_key(&self) -> Result<Option<Option<String>>, Error> {
        match self.secrets.describe_secret().secret_id(self.app_secret_id()).send().await {
            Ok(secret) if secret.deleted_date.is_some() => Ok(None),
            Ok(secret) => Ok(Some(secret.kms_key_id.filter(|key| !is_default(key)))),
            Err(error) if is_gone(error.code()) => Ok(None),
            Err(error) => Err(unavailable("DescribeSecret (app)", &error)),
        }
    }

    /// The table of integrations; none if there is no such table.
    pub async fn table(&self) -> Result<Option<TableInfo>, Error> {
        let described = self.dynamodb.describe_table().table_name(&self.config.integrations_table).send().await;
        let table = match described {
            Ok(answer) => answer.table,
            Err(error) if error.code() == Some("ResourceNotFoundException") => None,
            Err(error) => return Err(unavailable("DescribeTable", &error)),
        };
        Ok(table.map(|table| TableInfo {
            active: matches!(table.table_status, Some(TableStatus::Active | TableStatus::Updating)),
            indexes: table
                .global_secondary_indexes
                .unwrap_or_default()
                .into_iter()
                .filter_map(|it| it.index_name)
                .collect(),
            key: table.sse_description.and_then(|description| description.kms_master_key_arn),
        }))
    }

    /// Checks the permission to write records, with a write whose condition cannot hold.
    pub async fn may_write(&self, nobody: &AccountId) -> Result<(), Error> {
        let write = Write::at(Key { account_id: nobody.clone(), sequence: 0 });
        Ok(self.update(write.if_equal("refresh_at", n(-1)).set("refresh_at", n(-1))).await.map(drop)?)
    }
}

/// Returns true if a key is the AWS account's default one for Secrets Manager.
fn is_default(key: &str) -> bool {
    key.ends_with("alias/aws/secretsmanager")
}
