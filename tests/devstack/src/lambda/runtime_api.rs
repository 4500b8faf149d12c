//! The Runtime API (version 2018-06-01) that a function's process polls.

use std::sync::Weak;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use shared::clock::Clock;
use uuid::Uuid;

use super::process::Process;
use super::{InvokeError, PAYLOAD_LIMIT};

pub(super) fn router(process: Weak<Process>) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
        .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
        .route("/2018-06-01/runtime/init/error", post(init_error))
        .layer(DefaultBodyLimit::max(64 * 1024 * 1024))
        .with_state(process)
}

async fn next(State(process): State<Weak<Process>>) -> Response {
    let Some(process) = process.upgrade() else { return StatusCode::GONE.into_response() };
    let delivery = process.next().await;
    let time_left = i64::try_from(delivery.time_left.as_millis()).unwrap_or(i64::MAX);
    let deadline = Clock::default().now_millis().saturating_add(time_left);
    let root = Uuid::now_v7().simple().to_string();
    let trace = format!("Root=1-{}-{};Parent={};Sampled=0", &root[..8], &root[8..], &root[16..]);
    let headers = [
        ("lambda-runtime-aws-request-id", delivery.id),
        ("lambda-runtime-deadline-ms", deadline.to_string()),
        ("lambda-runtime-invoked-function-arn", delivery.function_arn),
        ("lambda-runtime-trace-id", trace),
        ("content-type", "application/json".to_owned()),
    ];
    (headers, delivery.payload).into_response()
}

async fn response(State(process): State<Weak<Process>>, Path(id): Path<String>, body: Bytes) -> Response {
    if body.len() > PAYLOAD_LIMIT {
        let message = format!("Response payload size exceeded maximum allowed payload size ({PAYLOAD_LIMIT} bytes).");
        let error_type = "Function.ResponseSizeTooLarge".to_owned();
        let failure = InvokeError::Function { error_type: error_type.clone(), message: message.clone() };
        settle(&process, &id, Err(failure));
        let body = json!({ "errorType": error_type, "errorMessage": message });
        return (StatusCode::PAYLOAD_TOO_LARGE, body.to_string()).into_response();
    }
    let answer = serde_json::from_slice(&body).map_err(|_| InvokeError::Function {
        error_type: "Runtime.InvalidResponse".to_owned(),
        message: "the answer is no JSON".to_owned(),
    });
    settle(&process, &id, answer)
}

async fn error(State(process): State<Weak<Process>>, Path(id): Path<String>, body: Bytes) -> Response {
    settle(&process, &id, Err(reported(&body)))
}

async fn init_error(State(process): State<Weak<Process>>, body: Bytes) -> Response {
    if let Some(process) = process.upgrade() {
        process.init_failed(reported(&body).to_string());
    }
    accepted()
}

fn reported(body: &Bytes) -> InvokeError {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    InvokeError::Function { error_type: text("errorType"), message: text("errorMessage") }
}

fn settle(process: &Weak<Process>, id: &str, outcome: Result<Value, InvokeError>) -> Response {
    if process.upgrade().is_some_and(|process| process.answer(id, outcome)) {
        return accepted();
    }
    let body = json!({ "errorType": "InvalidRequestID", "errorMessage": "Invalid request ID" });
    (StatusCode::BAD_REQUEST, body.to_string()).into_response()
}

fn accepted() -> Response {
    (StatusCode::ACCEPTED, json!({ "status": "OK" }).to_string()).into_response()
}
