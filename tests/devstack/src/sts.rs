//! STS on loopback: `GetCallerIdentity`, which tells the operator's tool whose credentials it uses.

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::post;

use crate::iam::key_of;
use crate::loopback::Server;
use crate::template::ACCOUNT;

/// Serves STS on a free port.
///
/// # Errors
/// No port can be had.
pub(crate) async fn start() -> std::io::Result<Server> {
    Server::start(Router::new().route("/", post(get_caller_identity))).await
}

/// A key whose id begins with `AKIA` belongs to a user, every other one to a role's session.
async fn get_caller_identity(headers: HeaderMap) -> ([(&'static str, &'static str); 1], String) {
    let authorization = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let key = key_of(authorization);
    let arn = match key.strip_prefix("AKIA") {
        Some(user) => format!("arn:aws:iam::{ACCOUNT}:user/{user}"),
        None => format!("arn:aws:sts::{ACCOUNT}:assumed-role/Operators/person@example.com"),
    };
    let body = format!(
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
         <Arn>{arn}</Arn><UserId>{key}</UserId><Account>{ACCOUNT}</Account></GetCallerIdentityResult>\
         <ResponseMetadata><RequestId>local</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
    );
    ([("content-type", "text/xml")], body)
}
