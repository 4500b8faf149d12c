//! Connects accounts to HubSpot: starts an authorization, receives HubSpot's callback, shows its outcome, lists and
//! disconnects integrations.

mod app;
mod authorization;
mod callback;
mod grant;
mod install;
mod integrations;
mod outcome;
mod page;
mod query;

use shared::error::{Error, RequestId};
use shared::gateway::{Event, Response};

pub use app::{App, Config};
pub use outcome::{AuthorizationOutcome, OtherBrowserReason};

/// The log's outcome of `POST /v1/authorizations`.
const STARTED: &str = "authorization_started";

/// Answers one request; `event` is API Gateway's JSON.
pub async fn handle(app: &App, event: &str) -> Response {
    let started_at = app.clock.now_millis();
    // Names this request in a problem document and in the log.
    let id = uuid::Uuid::now_v7().to_string();
    let answered = match Event::parse(event) {
        // Boxed, since futures nested this deep exceed the compiler's limit.
        Ok(event) => Box::pin(route(app, &event)).await,
        Err(error) => Err(error),
    };
    let (response, outcome) = match answered {
        Ok(answered) => answered,
        Err(error) => {
            error.log(RequestId::Request(&id));
            (Response::problem(&error, RequestId::Request(&id)), error.code())
        }
    };
    let status = response.status_code;
    let duration_ms = app.clock.now_millis() - started_at;
    let authorizations_started = (outcome == STARTED).then_some(1);
    tracing::info!(request_id = id, outcome, status, duration_ms, authorizations_started, "request answered");
    response
}

/// Routes a request; the text is the outcome in the log.
async fn route(app: &App, event: &Event) -> Result<(Response, &'static str), Error> {
    match (event.method(), event.path()) {
        ("POST", "/v1/authorizations") => Ok((authorization::start(app, event).await?, STARTED)),
        ("GET", "/oauth/hubspot/callback") => Ok(callback::finish(app, event).await),
        ("GET", "/v1/integrations") => Ok((integrations::list(app, event).await?, "listed")),
        ("GET", path) => {
            let outcome = path.strip_prefix("/oauth/hubspot/result/").and_then(AuthorizationOutcome::parse);
            let reason = OtherBrowserReason::of_query(event.query());
            Ok((page::result(&app.config, outcome.ok_or(Error::NotFound)?, reason)?, "result_shown"))
        }
        ("DELETE", path) => {
            let id = path.strip_prefix("/v1/integrations/").filter(|id| !id.is_empty()).ok_or(Error::NotFound)?;
            Ok((integrations::disconnect(app, event, id).await?, "disconnected"))
        }
        _ => Err(Error::NotFound),
    }
}
