//! The rules, through reqwest and raw sockets.

mod api;
mod faults;
mod oauth;
mod published;
mod recording;
mod rotation;

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use super::*;

const READ: &str = "crm.objects.contacts.read";
const WRITE: &str = "crm.objects.contacts.write";
const CONTACTS: &str = "/crm/v3/objects/contacts";
const FORM: &str = "application/x-www-form-urlencoded";

/// HubSpot, and a caller with tokens of its first portal.
struct World {
    hubspot: HubSpot,
    http: Client,
    issued: Issued,
}

/// An answer; its body is a text if it is no JSON.
struct Reply {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl World {
    async fn start() -> Self {
        Self::with(&[READ, WRITE]).await
    }

    async fn with(scopes: &[&str]) -> Self {
        let hubspot = HubSpot::start(HubSpotOptions::default()).await;
        let issued = hubspot.authorize(PORTAL, scopes);
        Self { hubspot, http: loopback::client(), issued }
    }

    fn request(&self, method: &str, path: &str) -> RequestBuilder {
        self.http.request(method.parse().unwrap(), format!("{}{path}", self.hubspot.url()))
    }

    /// Calls the API with some token.
    async fn call_with(&self, token: &str, method: &str, path: &str, body: Option<Value>) -> Reply {
        let request = self.request(method, path).bearer_auth(token);
        reply(match body {
            Some(body) => request.header("content-type", "application/json").body(body.to_string()),
            None => request,
        })
        .await
    }

    /// Calls the API with the caller's token.
    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Reply {
        self.call_with(&self.issued.access_token, method, path, body).await
    }

    /// The status of a call with some token.
    async fn works(&self, token: &str) -> u16 {
        self.call_with(token, "GET", CONTACTS, None).await.status
    }

    /// Posts a form to a token endpoint with the client's credentials; status and body.
    async fn post(&self, path: &str, parameters: &[(&str, &str)]) -> (u16, Value) {
        let (id, secret) = (self.hubspot.client_id(), self.hubspot.client_secret());
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs([("client_id", &id), ("client_secret", &secret)]).extend_pairs(parameters);
        let reply = reply(self.request("POST", path).header("content-type", FORM).body(form.finish())).await;
        (reply.status, reply.body)
    }

    async fn refresh(&self, token: &str) -> (u16, Value) {
        self.post("/oauth/2026-03/token", &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    async fn introspect(&self, token: &str) -> Value {
        self.post("/oauth/2026-03/token/introspect", &[("token", token)]).await.1
    }
}

async fn reply(request: RequestBuilder) -> Reply {
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let text = answer.text().await.unwrap();
    Reply { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}
