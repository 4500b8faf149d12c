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
use crate::clients::PlainHeaders;
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
        let mut dynamodb = aws_sdk_dynamodb::config::Builder::from(aws);
        dynamodb.push_interceptor(PlainHeaders::shared());
        let mut secrets = aws_sdk_secretsmanager::config::Builder::from(aws);
        secrets.push_interceptor(PlainHeaders::shared());
        Self {
            dynamodb: aws_sdk_dynamodb::Client::from_conf(dynamodb.build()),
            secrets: aws_sdk_secretsmanager::Client::from_conf(secrets.build()),
            config,
            acted_by: SERVICE.into(),
        }
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use aws_config::{BehaviorVersion, Region};
    use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};

    use super::*;
    use crate::clients::aws_http;
    use crate::config::Reader;

    #[tokio::test]
    async fn requests_to_aws_name_this_product_and_say_nothing_of_the_sdk() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            [(); 2].map(|()| {
                let (mut connection, _) = listener.accept().unwrap();
                let mut request = [0; 8192];
                let length = connection.read(&mut request).unwrap();
                let answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";
                connection.write_all(answer).unwrap();
                String::from_utf8_lossy(&request[..length]).to_lowercase()
            })
        });
        let aws = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new("id", "key", None, None, "test")))
            .endpoint_url(endpoint)
            .http_client(aws_http().unwrap())
            .build();
        let store = Store::new(&aws, Reader::new(|name: &str| Some(name.to_owned())).state());

        store.dynamodb.get_item().table_name("t").send().await.unwrap();
        store.secrets.get_secret_value().secret_id("s").send().await.unwrap();

        for request in server.join().unwrap() {
            assert!(request.contains("\r\nauthorization: aws4-hmac-sha256 "), "{request}");
            assert!(request.contains("\r\nuser-agent: hubspot-automations/"), "{request}");
            for header in ["x-amz-user-agent", "amz-sdk-invocation-id", "amz-sdk-request"] {
                assert!(!request.contains(header), "{request}");
            }
        }
    }
}
