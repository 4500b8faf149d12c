//! Connects accounts to HubSpot: starts an authorization, receives HubSpot's callback, shows its outcome, lists and
//! disconnects integrations.

mod authorization;
mod callback;
mod integrations;
mod page;

use aws_config::SdkConfig;
use shared::clients::Http;
use shared::clock::Clock;
use shared::config::{self, Invalid, Reader};
use shared::error::Error;
use shared::gateway::{Event, Response};
use shared::hubspot::HubSpot;
use shared::store::Store;
use shared::store::authorizations::Authorizations;
use url::Url;

pub use callback::Outcome;

/// The log's word for an authorization that begins.
const STARTED: &str = "authorization_started";

/// What the function is told by its environment.
pub struct Config {
    state: config::State,
    authorizations_table: String,
    hubspot: config::HubSpot,
    refresh: config::Refresh,
    claims: config::Claims,
    public_url: Url,
    return_url: Option<Url>,
    authorize_url: Url,
    scopes: Vec<String>,
    optional_scopes: Vec<String>,
}

impl Config {
    /// Reads it, and reports everything that is wrong with it at once.
    pub fn read<L: Fn(&str) -> Option<String>>(mut reader: Reader<L>) -> Result<Self, Invalid> {
        reader.required("HUBSPOT_SCOPES");
        let config = Self {
            state: reader.state(),
            authorizations_table: reader.required("AUTHORIZATIONS_TABLE"),
            hubspot: reader.hubspot(),
            refresh: reader.refresh(),
            claims: reader.claims(),
            public_url: reader.origin("PUBLIC_URL", None),
            return_url: reader.optional("RETURN_URL").map(|_| reader.url("RETURN_URL", None)),
            authorize_url: reader.url("HUBSPOT_AUTHORIZE_URL", Some("https://app.hubspot.com/oauth/authorize")),
            scopes: reader.list("HUBSPOT_SCOPES"),
            optional_scopes: reader.list("HUBSPOT_OPTIONAL_SCOPES"),
        };
        reader.finish(config)
    }

    /// Where HubSpot sends the browser back to; equal in both calls of an authorization.
    fn redirect_uri(&self) -> String {
        format!("{}oauth/hubspot/callback", self.public_url)
    }
}

/// Everything that outlives an invocation.
pub struct App {
    store: Store,
    authorizations: Authorizations,
    hubspot: HubSpot,
    clock: Clock,
    config: Config,
}

impl App {
    /// Builds all clients, once.
    pub fn new(config: Config, aws: &SdkConfig, clock: Clock) -> Result<Self, Error> {
        let store = Store::new(aws, config.state.clone());
        let hubspot = HubSpot::new(Http::new(clock.clone())?, &config.hubspot, store.clone());
        let authorizations = Authorizations::new(aws, config.authorizations_table.clone());
        Ok(Self { store, authorizations, hubspot, clock, config })
    }
}

/// Answers one request; `event` is the JSON of API Gateway's.
pub async fn handle(app: &App, event: &str) -> Response {
    let began = app.clock.now_millis();
    // It names this request in a problem document and in the log.
    let id = uuid::Uuid::now_v7().to_string();
    let answered = match Event::parse(event) {
        // Boxed, since futures nested this deep exceed the compiler's limit.
        Ok(event) => Box::pin(route(app, &event)).await,
        Err(error) => Err(error),
    };
    let (response, outcome, cause) = match answered {
        Ok((response, outcome)) => (response, outcome, None),
        Err(error) => (Response::problem(&error, &id), error.code(), Some(error.to_string())),
    };
    let (status, duration_ms) = (response.status_code, app.clock.now_millis() - began);
    let cause = cause.filter(|_| status >= 500);
    let authorizations_started = (outcome == STARTED).then_some(1);
    if status >= 500 {
        tracing::error!(execution_id = id, outcome, status, duration_ms, cause, "request failed");
    } else {
        tracing::info!(execution_id = id, outcome, status, duration_ms, authorizations_started, "request answered");
    }
    response
}

/// The routes. Each answers with a word for the log.
async fn route(app: &App, event: &Event) -> Result<(Response, &'static str), Error> {
    match (event.method(), event.path()) {
        ("POST", "/v1/authorizations") => Ok((authorization::start(app, event).await?, STARTED)),
        ("GET", "/oauth/hubspot/callback") => {
            let (response, outcome) = callback::finish(app, event).await;
            Ok((response, outcome.as_str()))
        }
        ("GET", "/v1/integrations") => Ok((integrations::list(app, event).await?, "listed")),
        ("GET", path) => {
            let outcome = path.strip_prefix("/oauth/hubspot/result/").and_then(Outcome::parse);
            Ok((page::result(outcome.ok_or(Error::NotFound)?)?, "result_shown"))
        }
        ("DELETE", path) => {
            let id = path.strip_prefix("/v1/integrations/").filter(|id| !id.is_empty()).ok_or(Error::NotFound)?;
            Ok((integrations::disconnect(app, event, id).await?, "disconnected"))
        }
        _ => Err(Error::NotFound),
    }
}
