//! Authorizations: one OAuth round trip each, keyed by the hash of its `state`.
//!
//! Invariant: of any number of callbacks with one `state`, one consumes the row. The row stays and keeps the outcome,
//! so that a repeated callback of the same browser gets the same outcome without a second exchange.

use aws_config::SdkConfig;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Item, n, s, unavailable};
use crate::error::Error;
use crate::integration::{AccountId, IntegrationId};

/// The purpose of an authorization.
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

/// One authorization. Neither `state` nor the browser's secret is stored, only their hashes.
#[derive(Clone, Serialize, Deserialize)]
pub struct Authorization {
    /// SHA-256 of `state`, in hex.
    pub state_hash: String,
    /// The account that connects.
    pub account_id: AccountId,
    /// The admin who started it.
    pub user_id: String,
    /// The integration to reconnect, or the id of the new one.
    pub integration_id: IntegrationId,
    /// The admin's request.
    pub kind: AuthorizationKind,
    /// SHA-256 of the secret in the cookie of the browser that started it, in hex.
    pub browser_hash: String,
    /// The PKCE verifier (RFC 7636); none if HubSpot makes the authorization request, and none once it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pkce_verifier: Option<String>,
    /// HubSpot's page to return to, if the installation began there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_url: Option<String>,
    /// When it expires, in epoch seconds; also the table's TTL.
    pub expires_at: i64,
    /// The callback that consumed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumed_by: Option<String>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

/// The result of an attempt to consume an authorization.
pub enum ConsumeResult {
    /// This attempt consumed it.
    Consumed(Authorization),
    /// An earlier callback of the same browser consumed it.
    Repeated(Authorization),
    /// Another browser started it, or this one did not send its cookie. It stays as it was.
    OtherBrowser(Authorization),
    /// It is too old, or it was consumed and another browser asks.
    Expired(Authorization),
    /// No authorization has this state.
    Unknown,
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

    /// Stores an authorization.
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

    /// Consumes an authorization by one conditional write: in time, not consumed, and of this browser.
    ///
    /// The SDK repeats a write whose response was lost; the row then names this attempt, which has consumed it.
    pub async fn consume(&self, state_hash: &str, browser_hash: &str, now: i64) -> Result<ConsumeResult, Error> {
        let attempt = Uuid::now_v7().to_string();
        let updated = self
            .dynamodb
            .update_item()
            .table_name(&self.table)
            .key("state_hash", s(state_hash))
            .update_expression("SET consumed_by = :attempt")
            .condition_expression("expires_at > :now AND browser_hash = :browser AND attribute_not_exists(consumed_by)")
            .expression_attribute_values(":attempt", s(&attempt))
            .expression_attribute_values(":now", n(now))
            .expression_attribute_values(":browser", s(browser_hash))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let item = match updated {
            Ok(answer) => answer.attributes,
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failed)) => failed.item.clone(),
                _ => return Err(unavailable("UpdateItem (authorization)", &error)),
            },
        };
        let Some(item) = item else { return Ok(ConsumeResult::Unknown) };
        Ok(consume_result(parse(item)?, browser_hash, &attempt, now))
    }

    /// Stores how a consumed authorization ended, and drops what only the exchange needed.
    pub async fn end(&self, state_hash: &str, outcome: &str) -> Result<(), Error> {
        let updated = self
            .dynamodb
            .update_item()
            .table_name(&self.table)
            .key("state_hash", s(state_hash))
            .update_expression("SET outcome = :outcome REMOVE pkce_verifier")
            // The table's TTL may have deleted it.
            .condition_expression("attribute_exists(state_hash)")
            .expression_attribute_values(":outcome", s(outcome))
            .send()
            .await;
        updated.map(drop).map_err(|error| unavailable("UpdateItem (authorization)", &error))
    }

    /// How a consumed authorization ended; none while it has not.
    pub async fn outcome(&self, state_hash: &str) -> Result<Option<String>, Error> {
        let found = self
            .dynamodb
            .get_item()
            .table_name(&self.table)
            .key("state_hash", s(state_hash))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| unavailable("GetItem (authorization)", &error))?;
        Ok(found.item.map(parse).transpose()?.and_then(|authorization| authorization.outcome))
    }
}

fn parse(item: Item) -> Result<Authorization, Error> {
    serde_dynamo::from_item(item).map_err(|_| Error::internal("an authorization does not parse"))
}

/// Judges the row as it stands after the attempt.
fn consume_result(authorization: Authorization, browser_hash: &str, attempt: &str, now: i64) -> ConsumeResult {
    let same_browser = authorization.browser_hash == browser_hash;
    match &authorization.consumed_by {
        Some(by) if by == attempt => ConsumeResult::Consumed(authorization),
        _ if authorization.expires_at <= now => ConsumeResult::Expired(authorization),
        Some(_) if same_browser => ConsumeResult::Repeated(authorization),
        Some(_) => ConsumeResult::Expired(authorization),
        None => ConsumeResult::OtherBrowser(authorization),
    }
}
