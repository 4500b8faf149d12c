//! Executes automation requests against HubSpot with the account's OAuth authorization.

mod answer;
mod app;
mod best_effort;
mod body_probe;
mod check;
mod execution;
mod forward;
mod idempotency;
mod newest;
mod portal;
mod reply;
mod retry;

use shared::error::{Error, RequestId};
use shared::gateway::{Event, Response};

pub use crate::app::{App, Config};
use crate::execution::Execution;

/// Answers one request; `event` is the JSON of API Gateway's. `deadline` is that of the function, in milliseconds since
/// the epoch.
pub async fn handle(app: &App, event: &str, deadline: i64) -> Response {
    let started_at = app.clock.now_millis();
    let id = uuid::Uuid::now_v7().to_string();
    let event = match Event::parse(event) {
        Ok(event) => event,
        Err(error) => return respond(app, started_at, RequestId::Request(&id), Err(error)),
    };
    match (event.method(), event.path()) {
        ("POST", "/v1/automation-requests") => {
            // Boxed, since futures nested this deep exceed the compiler's limit.
            Box::pin(Execution::new(app, id, started_at, deadline).respond(&event)).await
        }
        ("POST", "/v1/automation-checks") => {
            let checked = check::check(app, &event).await;
            respond(app, started_at, RequestId::Execution(&id), checked)
        }
        _ => respond(app, started_at, RequestId::Request(&id), Err(Error::NotFound)),
    }
}

/// Logs a request that executes nothing, and answers it.
fn respond(app: &App, started_at: i64, id: RequestId<'_>, checked: Result<Response, Error>) -> Response {
    let outcome = checked.as_ref().map_or_else(Error::code, |_| "checked");
    let response = checked.unwrap_or_else(|error| {
        error.log(id);
        Response::problem(&error, id)
    });
    let status = response.status_code;
    let duration_ms = app.clock.now_millis() - started_at;
    let (execution_id, request_id) = (id.execution(), id.request());
    tracing::info!(execution_id, request_id, outcome, status, duration_ms, "automation check");
    response
}
