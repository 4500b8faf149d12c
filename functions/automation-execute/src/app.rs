//! The configuration of the function, and everything that outlives an invocation.

use aws_config::SdkConfig;
use guard::scopes::RequestedScopes;
use shared::access::Access;
use shared::clients::{Aws, Http, open_connections};
use shared::clock::Clock;
use shared::config::{self, Invalid, Reader};
use shared::error::Error;
use shared::hubspot::HubSpot;
use shared::store::Store;
use shared::store::executions::Executions;
use tokio::time::timeout;

/// The configuration, from the environment.
pub struct Config {
    pub(crate) state: config::StateConfig,
    pub(crate) executions_table: String,
    pub(crate) hubspot: config::HubSpotConfig,
    pub(crate) refresh: config::RefreshConfig,
    pub(crate) claims: config::Claims,
    pub(crate) engine_role_arn: Option<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) optional_scopes: Vec<String>,
}

impl Config {
    /// Reads it; reports every problem at once.
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
    pub(crate) fn requested_scopes(&self) -> RequestedScopes<'_> {
        RequestedScopes { required: &self.scopes, optional: &self.optional_scopes }
    }
}

/// Everything that outlives an invocation.
pub struct App {
    pub(crate) store: Store,
    pub(crate) executions: Executions,
    pub(crate) access: Access,
    pub(crate) http: Http,
    pub(crate) clock: Clock,
    pub(crate) config: Config,
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

    /// Opens the connections that the first invocation needs.
    pub async fn open_connections(&self, aws: &Aws) {
        open_connections(aws, &self.http, &self.config.hubspot.api_url).await;
    }

    /// Runs a call that has to end before anything is sent, until `deadline` (milliseconds since the epoch).
    pub(crate) async fn in_time<T>(
        &self,
        deadline: i64,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let too_late = |_| Error::unavailable(1, "the deadline has passed before anything was sent");
        timeout(self.clock.remaining(deadline), call).await.map_err(too_late)?
    }
}
