//! The rules, through reqwest and raw sockets.

mod answers;
mod crm;
mod faults;
mod oauth;
mod published;
mod recording;
mod rotation;

use std::time::Duration;

use reqwest::{Client, Response};
use serde_json::Value;

use super::*;

const READ: &str = "crm.objects.contacts.read";
const WRITE: &str = "crm.objects.contacts.write";
const BACK: &str = "https://api.example.com/oauth/hubspot/callback";

async fn start() -> (HubSpot, Client) {
    (HubSpot::start(HubSpotOptions::default()).await, loopback::client())
}

/// Posts a form to a token endpoint with the client's credentials.
async fn post(hubspot: &HubSpot, http: &Client, path: &str, parameters: &[(&str, &str)]) -> (u16, Value) {
    let (id, secret) = (hubspot.client_id(), hubspot.client_secret());
    let client = [("client_id", id.as_str()), ("client_secret", secret.as_str())];
    let form =
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(client).extend_pairs(parameters).finish();
    let call = http.post(format!("{}{path}", hubspot.url())).body(form);
    read(call.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap()).await
}

async fn refresh(hubspot: &HubSpot, http: &Client, token: &str) -> (u16, Value) {
    let parameters = [("grant_type", "refresh_token"), ("refresh_token", token)];
    post(hubspot, http, "/oauth/2026-03/token", &parameters).await
}

/// Calls the API with a token.
async fn call(
    hubspot: &HubSpot,
    http: &Client,
    method: &str,
    path: &str,
    token: &str,
    body: Option<Value>,
) -> (u16, Value) {
    let call = http.request(method.parse().unwrap(), format!("{}{path}", hubspot.url())).bearer_auth(token);
    let call = match body {
        Some(body) => call.header("content-type", "application/json").body(body.to_string()),
        None => call,
    };
    read(call.send().await.unwrap()).await
}

async fn read(answer: Response) -> (u16, Value) {
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}
