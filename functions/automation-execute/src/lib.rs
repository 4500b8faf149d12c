//! Executes automation requests against HubSpot with the account's OAuth authorization.

mod answer;
mod check;
mod execution;
mod forward;
mod idempotency;
mod note;
pub mod retry;
mod watched;

use aws_config::SdkConfig;
use shared::access::Access;
use shared::clients::Http;
use shared::clock::Clock;
use shared::config::{self, Invalid, Reader};
use shared::error::{Error, RequestId};
use shared::gateway::{Event, Response};
use shared::hubspot::HubSpot;
use shared::store::Store;
use shared::store::executions::Executions;

use crate::execution::Execution;
use guard::scopes::Asked;

/// What the function is told by its environment.
pub struct Config {
    state: config::StateConfig,
    executions_table: String,
    hubspot: config::HubSpotConfig,
    refresh: config::RefreshConfig,
    claims: config::Claims,
    engine_role_arn: Option<String>,
    scopes: Vec<String>,
    optional_scopes: Vec<String>,
}

impl Config {
    /// Reads it, and reports everything that is wrong with it at once.
    pub fn read<L: Fn(&str) -> Option<String>>(mut reader: Reader<L>) -> Result<Self, Invalid> {
        let config = Self {
            state: reader.state(),
            executions_table: reader.required("EXECUTIONS_TABLE"),
            hubspot: reader.hubspot(),
            refresh: reader.refresh(),
            claims: reader.claims(),
            engine_role_arn: reader.optional("ENGINE_ROLE_ARN"),
            // For the remedies that answers name; nothing else depends on them here.
            scopes: reader.list("HUBSPOT_SCOPES"),
            optional_scopes: reader.list("HUBSPOT_OPTIONAL_SCOPES"),
        };
        reader.finish(config)
    }

    /// The scopes that the app asks HubSpot for.
    fn asked(&self) -> Asked<'_> {
        Asked { required: &self.scopes, optional: &self.optional_scopes }
    }
}

/// Everything that outlives an invocation.
pub struct App {
    store: Store,
    executions: Executions,
    access: Access,
    http: Http,
    clock: Clock,
    config: Config,
}

impl App {
    /// Builds all clients, once.
    pub fn new(config: Config, aws: &SdkConfig, clock: Clock) -> Result<Self, Error> {
        let store = Store::new(aws, config.state.clone());
        let http = Http::new(clock.clone())?;
        let hubspot = HubSpot::new(http.clone(), &config.hubspot, store.clone());
        let access = Access::new(store.clone(), hubspot, clock.clone(), config.refresh);
        let executions = Executions::new(&store, config.executions_table.clone());
        Ok(Self { store, executions, access, http, clock, config })
    }
}

/// Answers one request; `event` is the JSON of API Gateway's. `deadline` is that of the function, in milliseconds since
/// the epoch.
pub async fn handle(app: &App, event: &str, deadline: i64) -> Response {
    let began = app.clock.now_millis();
    let id = uuid::Uuid::now_v7().to_string();
    match Event::parse(event) {
        Ok(event) if is(&event, "POST", "/v1/automation-requests") => {
            let mut execution = Execution::new(app, id, began, deadline);
            // Boxed, since futures nested this deep exceed the compiler's limit.
            let answered = Box::pin(execution.run(&event)).await;
            execution.log(&answered);
            answered.unwrap_or_else(|error| execution.problem(&error))
        }
        Ok(event) if is(&event, "POST", "/v1/automation-checks") => {
            answer(app, began, RequestId::Execution(&id), check::check(app, &event).await)
        }
        event => {
            let error = event.map_or_else(|error| error, |_| Error::NotFound);
            answer(app, began, RequestId::Request(&id), Err(error))
        }
    }
}

/// Logs a request that executes nothing, and answers it.
fn answer(app: &App, began: i64, id: RequestId<'_>, checked: Result<Response, Error>) -> Response {
    let outcome = checked.as_ref().map_or_else(Error::code, |_| "checked");
    let response = checked.unwrap_or_else(|error| {
        error.log(id);
        Response::problem(&error, id)
    });
    let (status, duration_ms) = (response.status_code, app.clock.now_millis() - began);
    let (execution_id, request_id) = (id.execution(), id.request());
    tracing::info!(execution_id, request_id, outcome, status, duration_ms, "automation check");
    response
}

fn is(event: &Event, method: &str, path: &str) -> bool {
    event.method() == method && event.path() == path
}
