//! HubSpot's error bodies.

use serde_json::{Value, json};

use super::store::iso;
use crate::wire::Answer;

/// An error of the API.
pub(super) fn problem(status: u16, category: &str, message: &str) -> Answer {
    Answer::json(status, &body(category, message))
}

pub(super) fn body(category: &str, message: &str) -> Value {
    json!({ "status": "error", "message": message, "correlationId": correlation_id(), "category": category })
}

/// The result of a batch; `errors` are those of the inputs that failed.
pub(super) fn batch(status: u16, now: i64, results: &[Value], errors: &[Value]) -> Answer {
    let at = iso(now);
    let mut body = json!({ "status": "COMPLETE", "results": results, "startedAt": at, "completedAt": at });
    if !errors.is_empty() {
        body["numErrors"] = json!(errors.len());
        body["errors"] = json!(errors);
    }
    Answer::json(status, &body)
}

/// An error of a part of a batch.
pub(super) fn partial_error(category: &str, message: &str, context: &Value) -> Value {
    json!({ "status": "error", "category": category, "message": message, "context": context, "errors": [], "links": {} })
}

pub(super) fn invalid(message: &str) -> Answer {
    problem(400, "VALIDATION_ERROR", message)
}

/// The first sign of an app that was uninstalled.
pub(super) fn invalid_authentication(message: &str) -> Answer {
    problem(401, "INVALID_AUTHENTICATION", message).header("x-hubspot-auth-failure", "401 Unauthorized")
}

pub(super) fn not_found() -> Answer {
    problem(404, "OBJECT_NOT_FOUND", "resource not found")
}

/// A route that does not exist is answered by the web server and not by the API.
pub(super) fn no_route() -> Answer {
    let page = "<html>\n<head>\n<meta http-equiv=\"Content-Type\" content=\"text/html;charset=utf-8\"/>\n<title>Error 404 \
        Not Found</title>\n</head>\n<body><h2>HTTP ERROR 404</h2>\n<p>Problem accessing the resource. Reason:\n<pre>    \
        Not Found</pre></p>\n</body>\n</html>\n";
    Answer::html(404, page)
}

pub(super) fn method_not_allowed() -> Answer {
    Answer::html(405, "<html>\n<head>\n<title>Error 405 Method Not Allowed</title>\n</head>\n<body></body>\n</html>\n")
}

pub(super) fn missing_scopes(required: &[&str]) -> Answer {
    let message = "This app hasn't been granted all required scopes to make this call. Read more about required scopes \
        here: https://developers.hubspot.com/scopes.";
    let mut body = body("MISSING_SCOPES", message);
    body["errors"] = json!([{ "message": "One or more of the following scopes are required.",
        "context": { "requiredGranularScopes": required } }]);
    body["links"] = json!({ "scopes": "https://developers.hubspot.com/scopes" });
    Answer::json(403, &body)
}

/// A limit is reached. The body has its own shape.
pub(super) fn rate_limited(policy: &str) -> Answer {
    let message = match policy {
        "SECONDLY" => "You have reached your secondly limit.",
        "DAILY" => "You have reached your daily limit.",
        _ => "You have reached your ten_secondly_rolling limit.",
    };
    let body = json!({ "status": "error", "message": message, "errorType": "RATE_LIMIT",
        "correlationId": correlation_id(), "policyName": policy, "requestId": correlation_id() });
    Answer::json(429, &body)
}

/// An error of the token endpoint.
pub(super) fn oauth(error: &str, status: &str, message: &str) -> Answer {
    let body = json!({ "error": error, "error_description": message, "status": status, "message": message });
    Answer::json(400, &body)
}

/// The portal lives in another hub.
pub(super) fn wrong_hub(hub: &str) -> Answer {
    let body = json!({ "status": "error", "message": "This account is served by another hublet.",
        "correlationId": correlation_id(), "correctHublet": hub });
    Answer::json(488, &body).header("X-Hubspot-Correct-Hublet", hub)
}

/// The portal is being migrated to another hub.
pub(super) fn migrating() -> Answer {
    let message = "This account is being migrated to another data center.";
    problem(477, "MIGRATION_IN_PROGRESS", message).header("retry-after", "86400")
}

/// A page of the edge in front of HubSpot.
pub(super) fn edge(status: u16, title: &str) -> Answer {
    let page = format!(
        "<!DOCTYPE html>\n<html lang=\"en-US\">\n<head><title>api.hubapi.com | {status}: {title}</title></head>\n\
         <body><h1>{title} <span>Error code {status}</span></h1></body>\n</html>\n"
    );
    Answer::html(status, &page).header("server", "cloudflare").header("cf-ray", "8a1b2c3d4e5f6071-FRA")
}

pub(super) fn correlation_id() -> String {
    uuid::Uuid::now_v7().to_string()
}
