//! The table `executions`: what became of the requests that carry an idempotency key.
//!
//! Invariant: every write of a row that exists is conditional on the owner and the state that it was read in. So of any
//! number of deliveries of one key one goes on at a time, and an owner that was taken over can no longer change the
//! row. A failed condition behind which one's own step stands is success: the SDK repeats a write whose answer was
//! lost.

use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use serde::{Deserialize, Serialize};

use super::{Store, n, s, unavailable};
use crate::error::{Error, RequestOutcome};
use crate::integration::AccountId;

/// How far the execution of a key has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExecutionState {
    /// Somebody owns it; nothing has been sent.
    Accepted,
    /// Its request may be on its way to HubSpot, or be there.
    Sending,
    /// It has ended for good, and its answer is kept.
    Answered,
}

/// Our own answer, as it is repeated.
#[derive(Clone, Serialize, Deserialize)]
pub struct StoredResponse {
    /// HTTP status.
    pub status: u16,
    /// The outcome of the request.
    pub outcome: RequestOutcome,
    /// The body of the response.
    pub body: String,
}

/// One idempotency key of an account. The key itself is not kept, only its hash.
#[derive(Clone, Serialize, Deserialize)]
pub struct ExecutionRecord {
    /// The account.
    pub account_id: AccountId,
    /// SHA-256 of the key, in hex.
    pub key_hash: String,
    /// How far it has come.
    pub state: ExecutionState,
    /// The execution that may go on with it.
    pub owner: String,
    /// Digest of the request that the key belongs to.
    pub digest: String,
    /// The owner's last heartbeat, in epoch seconds.
    pub heartbeat_at: i64,
    /// From when on the row counts as absent, in epoch seconds; also the table's TTL.
    pub expires_at: i64,
    /// True if HubSpot did not answer the last delivery in time and the caller was asked to repeat it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub timed_out: bool,
    /// The stored response; only in the state `answered`, and not of a read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<StoredResponse>,
}

/// The end of a write of a row.
pub enum ClaimWrite {
    /// The row stands as it was given.
    Applied,
    /// Another row exists; `None` if it is gone by now.
    Lost(Option<ExecutionRecord>),
}

/// The table `executions`.
pub struct Executions {
    dynamodb: aws_sdk_dynamodb::Client,
    table: String,
}

impl Executions {
    /// A handle that calls DynamoDB as `store` does; nothing is called yet.
    pub fn new(store: &Store, table: String) -> Self {
        Self { dynamodb: store.dynamodb.clone(), table }
    }

    /// Claims a key for the row's owner, unless it has a row already that has not expired.
    pub async fn claim(&self, row: &ExecutionRecord, now: i64) -> Result<ClaimWrite, Error> {
        let put = self
            .put(row)?
            .condition_expression("attribute_not_exists(account_id) OR expires_at <= :now")
            .expression_attribute_values(":now", n(now));
        perform(put, row).await
    }

    /// Replaces a row by its next step, or by another owner's, provided that its owner and state are those of `read`.
    pub async fn step(&self, row: &ExecutionRecord, read: &ExecutionRecord) -> Result<ClaimWrite, Error> {
        let state =
            serde_dynamo::to_attribute_value(read.state).map_err(|_| Error::internal("cannot serialise state"))?;
        let put = self
            .put(row)?
            .condition_expression("#owner = :owner AND #state = :state")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_names("#state", "state")
            .expression_attribute_values(":owner", s(&read.owner))
            .expression_attribute_values(":state", state);
        perform(put, row).await
    }

    /// Deletes a row, provided that its owner is the same; the key is then unused.
    pub async fn release(&self, row: &ExecutionRecord) -> Result<(), Error> {
        let deleted = self
            .dynamodb
            .delete_item()
            .table_name(&self.table)
            .key("account_id", s(row.account_id.as_str()))
            .key("key_hash", s(&row.key_hash))
            .condition_expression("#owner = :owner")
            .expression_attribute_names("#owner", "owner")
            .expression_attribute_values(":owner", s(&row.owner))
            .send()
            .await;
        match deleted {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(DeleteItemError::ConditionalCheckFailedException(_)) => Ok(()),
                _ => Err(unavailable("DeleteItem (execution)", &error)),
            },
        }
    }

    fn put(&self, row: &ExecutionRecord) -> Result<PutItemFluentBuilder, Error> {
        let item = serde_dynamo::to_item(row).map_err(|_| Error::internal("an execution is no item"))?;
        Ok(self
            .dynamodb
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld))
    }
}

async fn perform(put: PutItemFluentBuilder, row: &ExecutionRecord) -> Result<ClaimWrite, Error> {
    let Err(error) = put.send().await else { return Ok(ClaimWrite::Applied) };
    let stored = match error.as_service_error() {
        Some(PutItemError::ConditionalCheckFailedException(failed)) => failed.item.clone(),
        _ => return Err(unavailable("PutItem (execution)", &error)),
    };
    let Some(stored) = stored else { return Ok(ClaimWrite::Lost(None)) };
    let stored: ExecutionRecord = serde_dynamo::from_item(stored).map_err(|_| {
        Error::internal(format!("account {} key {}: its execution does not parse", row.account_id, row.key_hash))
    })?;
    let own = stored.owner == row.owner && stored.state == row.state;
    Ok(if own { ClaimWrite::Applied } else { ClaimWrite::Lost(Some(stored)) })
}
