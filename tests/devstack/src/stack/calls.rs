//! Calls of the API, as the dashboard and the workflow engine make them.

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, Request};
use serde_json::{Value, json};
use shared::clock::Clock;

use super::Stack;
use crate::front_door::AccessKey;

/// The engine's route.
const EXECUTE: &str = "/v1/automation-requests";

/// An answer of the API.
#[derive(Clone, Debug)]
pub struct ApiResponse {
    /// HTTP status.
    pub status: u16,
    /// HTTP headers.
    pub headers: HeaderMap,
    /// The body, byte for byte.
    pub body: Bytes,
}

impl ApiResponse {
    /// The body as JSON; null if it is not JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The one value of a header, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// `code` of a problem document.
    #[must_use]
    pub fn code(&self) -> Option<String> {
        self.json()["code"].as_str().map(str::to_owned)
    }
}

/// A call of the API and its answer, for an observer.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// The request's method.
    pub method: &'a str,
    /// The request's path as it was sent, without its query.
    pub path: &'a str,
    /// The request's body, byte for byte.
    pub body: &'a [u8],
    /// Its result.
    pub answer: &'a ApiResponse,
}

/// Sees every exchange before the caller does; it may panic.
pub type Witness = fn(&Exchange<'_>);

impl Stack {
    /// A token of the dashboard for a person of an account, good for an hour.
    #[must_use]
    pub fn jwt(&self, account: &str, user: &str, role: &str) -> String {
        self.jwt_with(account, user, role, &json!({}))
    }

    /// A token of the dashboard with further claims, or other ones.
    #[must_use]
    pub fn jwt_with(&self, account: &str, user: &str, role: &str, claims: &Value) -> String {
        let now = Clock::default().now();
        let mut all =
            json!({ "iss": super::ISSUER, "aud": super::AUDIENCE, "sub": user, "iat": now, "exp": now + 3600 });
        all[self.claim("ACCOUNT_CLAIM", "account_id")] = json!(account);
        all[self.claim("ROLE_CLAIM", "role")] = json!(role);
        for (name, value) in claims.as_object().into_iter().flatten() {
            all[name] = value.clone();
        }
        self.issuer.issue(&all)
    }

    fn claim(&self, variable: &str, default: &str) -> String {
        let environment = self.deployment.function("oauth-callback").map(|function| &function.environment);
        environment.and_then(|all| all.get(variable)).cloned().unwrap_or_else(|| default.to_owned())
    }

    /// Calls the API with headers of one's own and nothing else.
    ///
    /// # Panics
    /// The front door does not answer.
    pub async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> ApiResponse {
        let body = body.into();
        let verb = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = self.client.request(verb, format!("{}{path}", self.public_url())).body(body.clone());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await.expect("the front door answers");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let sent = response.url().path().to_owned();
        let answer = ApiResponse { status, headers, body: response.bytes().await.expect("an answer is complete") };
        if let Some(witness) = self.witness {
            witness(&Exchange { method, path: &sent, body: &body, answer: &answer });
        }
        answer
    }

    /// Calls the API with a token of the dashboard; the body is JSON.
    pub async fn call_as(&self, token: &str, method: &str, path: &str, body: impl Into<Bytes>) -> ApiResponse {
        let authorization = format!("Bearer {token}");
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        self.call(method, path, &headers, body).await
    }

    /// Hands over an automation request as the workflow engine does.
    pub async fn post_automation(&self, body: impl Into<Bytes>) -> ApiResponse {
        self.post_automation_as(&self.engine, body).await
    }

    /// Hands over an automation request signed with some key.
    ///
    /// # Panics
    /// The front door does not answer.
    pub async fn post_automation_as(&self, key: &AccessKey, body: impl Into<Bytes>) -> ApiResponse {
        let body = body.into();
        let headers = self.signed(key, &body);
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.call("POST", EXECUTE, &headers, body).await
    }

    fn signed(&self, key: &AccessKey, body: &[u8]) -> Vec<(&'static str, String)> {
        let host = self.public_url().trim_start_matches("http://");
        let mut headers = key.sign("POST", host, EXECUTE, body, Clock::default().now());
        headers.push(("content-type", "application/json".to_owned()));
        headers
    }

    /// The event of [`Self::post_automation`], for a handler that runs in this process.
    ///
    /// # Panics
    /// The gateway refuses the request.
    #[must_use]
    pub fn automation_event(&self, body: impl Into<Bytes>) -> Value {
        let body = body.into();
        let headers = self.signed(&self.engine, &body);
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.event("POST", EXECUTE, &headers, body)
    }

    /// The event of [`Self::call`], for a handler that runs in this process.
    ///
    /// # Panics
    /// The gateway refuses the request.
    #[must_use]
    pub fn event(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Value {
        let host = self.public_url().trim_start_matches("http://");
        let mut request = Request::builder().method(method).uri(path).header("host", host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into()).expect("a request");
        self.door.event_of(request).unwrap_or_else(|status| panic!("the gateway answers {status} to {method} {path}"))
    }
}
