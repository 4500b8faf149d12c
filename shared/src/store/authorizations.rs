//! Authorizations under way: one OAuth round trip each, keyed by the hash of its `state`.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};
use serde::{Deserialize, Serialize};

use super::{n, s, unavailable};
use crate::error::Error;
use crate::integration::{AccountId, IntegrationId};

/// What an authorization is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthorizationKind {
    /// The account's first integration.
    Connect,
    /// One more, which becomes the newest.
    NewInstance,
    /// New tokens for the newest.
    Reconnect,
}

/// One authorization under way. Neither `state` nor the browser's secret is kept, only their hashes.
#[derive(Clone, Serialize, Deserialize)]
pub struct Authorization {
    /// SHA-256 of `state`, in hex.
    pub state_hash: String,
    /// For whom.
    pub account_id: AccountId,
    /// Who started it.
    pub user_id: String,
    /// The integration that is to be reconnected, or the id of the new one.
    pub integration_id: IntegrationId,
    /// What for.
    pub kind: AuthorizationKind,
    /// SHA-256 of the secret in the cookie of the browser that started it, in hex.
    pub browser_hash: String,
    /// The verifier of PKCE (RFC 7636).
    pub pkce_verifier: String,
    /// When it is too late, in epoch seconds; also the table's TTL.
    pub expires_at: i64,
}

/// The end of an attempt to consume an authorization.
pub enum ConsumeResult {
    /// It was there, of this browser and in time; it is there no more.
    Consumed(Authorization),
    /// It is there and in time, but another browser started it: it is left as it was.
    OtherBrowser,
    /// Unknown, used or too old.
    Expired,
}

/// The table `authorizations`.
pub struct Authorizations {
    dynamodb: aws_sdk_dynamodb::Client,
    table: String,
}

impl Authorizations {
    /// A handle; nothing is called yet.
    pub fn new(aws: &SdkConfig, table: String) -> Self {
        Self { dynamodb: aws_sdk_dynamodb::Client::new(aws), table }
    }

    /// Remembers an authorization.
    pub async fn put(&self, authorization: &Authorization) -> Result<(), Error> {
        let item = serde_dynamo::to_item(authorization).map_err(|_| Error::internal("an authorization is no item"))?;
        self.dynamodb
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .send()
            .await
            .map(drop)
            .map_err(|error| unavailable("PutItem (authorization)", &error))
    }

    /// Consumes an authorization by one conditional delete, so that of any number of callbacks one goes on.
    ///
    /// If the answer of the delete is lost and the SDK repeats it, the authorization counts as used: nobody goes on,
    /// and the person starts again.
    pub async fn consume(&self, state_hash: &str, browser_hash: &str, now: i64) -> Result<ConsumeResult, Error> {
        let deleted = self
            .dynamodb
            .delete_item()
            .table_name(&self.table)
            .key("state_hash", s(state_hash))
            .condition_expression("expires_at > :now AND browser_hash = :browser")
            .expression_attribute_values(":now", n(now))
            .expression_attribute_values(":browser", s(browser_hash))
            .return_values(ReturnValue::AllOld)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let (item, consumed) = match deleted {
            Ok(answer) => (answer.attributes, true),
            Err(error) => match error.as_service_error() {
                Some(DeleteItemError::ConditionalCheckFailedException(failed)) => (failed.item.clone(), false),
                _ => return Err(unavailable("DeleteItem (authorization)", &error)),
            },
        };
        let Some(item) = item else { return Ok(ConsumeResult::Expired) };
        let authorization: Authorization =
            serde_dynamo::from_item(item).map_err(|_| Error::internal("an authorization does not parse"))?;
        Ok(match consumed {
            true => ConsumeResult::Consumed(authorization),
            false if authorization.expires_at <= now => ConsumeResult::Expired,
            false => ConsumeResult::OtherBrowser,
        })
    }
}
