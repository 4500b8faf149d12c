//! Secrets Manager on loopback: awsJson 1.1 with the true rules of versions and labels.
//!
//! No emulator gets these right, and the order of the project's two writes depends on them. Signatures are asked for
//! and not checked.

mod operations;
#[cfg(test)]
mod recorded;
#[cfg(test)]
mod tests;
mod vault;

use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use shared::clock::Clock;

use crate::aws::{self, AwsFront, AwsRequest, Service};
use crate::iam;
use crate::loopback::{self, Server};
use operations::OperationError;
use vault::Vault;
pub use vault::{Secret, SecretValue, Version};

const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

const SERVICE: Service = Service {
    namespace: "",
    content_type: CONTENT_TYPE,
    internal: "InternalServiceError",
    throttled: "ThrottlingException",
    needed: iam::needed_by_secrets_manager,
};

/// Errors whose member is `Message`, as the service's model declares it; of all others it is `message`.
const MODELED_ERRORS: [&str; 6] = [
    "InvalidNextTokenException",
    "InvalidParameterException",
    "InvalidRequestException",
    "LimitExceededException",
    "ResourceExistsException",
    "ResourceNotFoundException",
];

/// Secrets Manager on loopback. Clones share it; it ends with the last of them. Its calls, faults and gates are those
/// of the front that it dereferences to.
#[derive(Clone, Debug)]
pub struct SecretsManager {
    server: Arc<Server>,
    front: Arc<AwsFront>,
    vault: Arc<Mutex<Vault>>,
}

impl Deref for SecretsManager {
    type Target = AwsFront;

    fn deref(&self) -> &AwsFront {
        &self.front
    }
}

impl SecretsManager {
    /// Starts an empty one.
    ///
    /// # Panics
    /// Loopback has no free port.
    pub async fn start() -> Self {
        Self::start_with(Clock::default()).await
    }

    /// Starts an empty one that dates its secrets by this clock.
    ///
    /// # Panics
    /// Loopback has no free port.
    pub async fn start_with(clock: Clock) -> Self {
        let (vault, front) = (Arc::new(Mutex::new(Vault::new(clock))), AwsFront::new(SERVICE));
        let served = vault.clone();
        let router = front.router(move |request| {
            let answer = answer(&mut locked(&served), &request);
            async move { answer }
        });
        Self::serve(router, front, vault).await
    }

    /// Starts in front of another emulator, which keeps the secrets.
    ///
    /// # Panics
    /// Loopback has no free port.
    pub async fn in_front_of(endpoint: &str) -> Self {
        let (vault, front) = (Arc::new(Mutex::new(Vault::new(Clock::default()))), AwsFront::new(SERVICE));
        let (client, endpoint) = (loopback::client(), endpoint.to_owned());
        let router = front.router(move |request| {
            let (client, endpoint) = (client.clone(), endpoint.clone());
            async move {
                let sent = aws::send_on(&client, &endpoint, request).await;
                sent.map_or_else(|| StatusCode::BAD_GATEWAY.into_response(), IntoResponse::into_response)
            }
        });
        Self::serve(router, front, vault).await
    }

    async fn serve(router: Router, front: Arc<AwsFront>, vault: Arc<Mutex<Vault>>) -> Self {
        let server = Server::start(router).await.expect("loopback has a free port");
        Self { server: Arc::new(server), front, vault }
    }

    /// Its endpoint.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// All secrets as they truly are, whatever a lag still hides, by name.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        locked(&self.vault).all()
    }

    /// One secret as it truly is.
    #[must_use]
    pub fn secret(&self, name: &str) -> Option<Secret> {
        self.secrets().into_iter().find(|secret| secret.name == name)
    }

    /// From now on, what a write changes is seen by reads only this much later. A new version is not found until
    /// then, not even by its id, and a deleted secret still is.
    pub fn set_lag(&self, lag: Duration) {
        locked(&self.vault).lag = lag;
    }

    /// Makes every write so far visible at once.
    pub fn settle(&self) {
        locked(&self.vault).settle();
    }
}

fn locked(vault: &Mutex<Vault>) -> MutexGuard<'_, Vault> {
    vault.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(vault: &mut Vault, request: &AwsRequest) -> Response {
    let (status, body) = match parse(request).and_then(|(operation, body)| operations::perform(vault, operation, &body))
    {
        Ok(body) => (StatusCode::OK, body),
        Err(OperationError(name, message)) => {
            let member = if MODELED_ERRORS.contains(&name) { "Message" } else { "message" };
            (StatusCode::BAD_REQUEST, json!({ "__type": name, member: message }))
        }
    };
    let id = uuid::Uuid::now_v7().to_string();
    (status, [("content-type", CONTENT_TYPE), ("x-amzn-requestid", &id)], body.to_string()).into_response()
}

/// The operation and its input, of a call in awsJson 1.1.
fn parse(request: &AwsRequest) -> Result<(&str, Value), OperationError> {
    let refusal = |name, words: &str| Err(OperationError(name, words.to_owned()));
    let Some(operation) = request.header("x-amz-target").strip_prefix("secretsmanager.") else {
        return refusal("UnknownOperationException", "No operation of Secrets Manager is named.");
    };
    if request.header("content-type") != CONTENT_TYPE {
        return refusal("UnknownOperationException", "The content type is not that of awsJson 1.1.");
    }
    if !request.header("authorization").starts_with("AWS4-HMAC-SHA256 ") {
        return refusal("MissingAuthenticationTokenException", "Missing Authentication Token");
    }
    match serde_json::from_slice(&request.body) {
        Ok(body @ Value::Object(_)) => Ok((operation, body)),
        _ => refusal("SerializationException", "The body is not a JSON object."),
    }
}
