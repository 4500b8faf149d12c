//! DynamoDB and Secrets Manager: the only folder that calls their operations.

pub mod authorizations;
pub mod disconnect;
pub mod executions;
pub mod integrations;
pub mod operator;
pub mod secrets;
mod write;

use std::collections::HashMap;
use std::sync::Arc;

use aws_config::SdkConfig;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::AttributeValue;

use self::write::SERVICE;
use crate::config;
use crate::error::Error;

/// Handles of the tables and of Secrets Manager.
#[derive(Clone)]
pub struct Store {
    dynamodb: aws_sdk_dynamodb::Client,
    secrets: aws_sdk_secretsmanager::Client,
    config: config::StateConfig,
    /// The `acted_by` of events about changes that name no other actor.
    acted_by: Arc<str>,
}

impl Store {
    /// Handles by an AWS configuration; nothing is called yet.
    pub fn new(aws: &SdkConfig, config: config::StateConfig) -> Self {
        let (dynamodb, secrets) = (aws_sdk_dynamodb::Client::new(aws), aws_sdk_secretsmanager::Client::new(aws));
        Self { dynamodb, secrets, config, acted_by: SERVICE.into() }
    }

    /// The same, whose changes are an operator's rather than the service's.
    #[must_use]
    pub fn acting_as(self, acted_by: &str) -> Self {
        Self { acted_by: acted_by.into(), ..self }
    }
}

/// The result of a conditional write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteResult {
    /// It did, or an earlier try of the very same write did.
    Applied,
    /// Its condition did not hold.
    ConditionFailed,
}

/// Why AWS did not write.
#[derive(Debug)]
pub enum WriteError {
    /// It passes: throttling, a failure of AWS, no answer.
    Passing(Error),
    /// The same write will be refused again, until somebody does something.
    Refused(Error),
}

impl WriteError {
    fn of<E: ProvideErrorMetadata>(operation: &str, error: &SdkError<E, HttpResponse>) -> Self {
        let unavailable = unavailable(operation, error);
        if passes(error) { Self::Passing(unavailable) } else { Self::Refused(unavailable) }
    }
}

impl From<WriteError> for Error {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Passing(error) | WriteError::Refused(error) => error,
        }
    }
}

type Item = HashMap<String, AttributeValue>;

/// A number as DynamoDB takes it.
fn n(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// A text as DynamoDB takes it.
fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// Maps a failure of AWS to a transient error with its code and message, never a body.
fn unavailable<E: ProvideErrorMetadata, R>(operation: &str, error: &SdkError<E, R>) -> Error {
    let unsent = if matches!(error, SdkError::DispatchFailure(_)) { "no connection" } else { "no answer in time" };
    let code = error.code().unwrap_or(unsent);
    // A complaint about a parameter may quote it.
    let quotes = matches!(code, "ValidationException" | "InvalidParameterException");
    let message = error.message().filter(|_| !quotes).unwrap_or("no message");
    if is_throttling(code) {
        tracing::warn!(aws_throttled = 1, operation, cause = code, "AWS throttled the request");
    }
    Error::unavailable(2, format!("{operation}: {code}: {message}"))
}

/// Returns true if the same call may succeed later without anybody doing anything.
fn passes<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    let Some(service) = error.as_service_error() else { return true };
    let code = service.code().unwrap_or_default();
    // A quota of a resource, such as the versions of a secret, is not a rate.
    let throttled = is_throttling(code) && code != "LimitExceededException";
    throttled || error.raw_response().is_none_or(|response| response.status().is_server_error())
}

/// Returns true if AWS refuses because it is asked too often. The SDK has tried again by then.
fn is_throttling(code: &str) -> bool {
    let codes = [
        "ThrottlingException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "LimitExceededException",
    ];
    codes.contains(&code)
}
