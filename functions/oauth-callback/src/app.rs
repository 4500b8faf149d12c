//! The function's configuration, and the clients that outlive an invocation.

use aws_config::SdkConfig;
use shared::clients::{Aws, Http, open_connections};
use shared::clock::Clock;
use shared::config::{self, Invalid, Reader};
use shared::error::Error;
use shared::hubspot::HubSpot;
use shared::store::Store;
use shared::store::authorizations::Authorizations;
use url::Url;

/// The function's environment.
pub struct Config {
    pub(crate) state: config::StateConfig,
    pub(crate) authorizations_table: String,
    pub(crate) hubspot: config::HubSpotConfig,
    pub(crate) claims: config::Claims,
    pub(crate) public_url: Url,
    pub(crate) return_url: Option<Url>,
    pub(crate) install_url: Option<Url>,
    pub(crate) authorize_url: Url,
    pub(crate) scopes: Vec<String>,
    pub(crate) optional_scopes: Vec<String>,
}

impl Config {
    /// Reads the environment and reports every problem at once.
    pub fn read<L: Fn(&str) -> Option<String>>(mut reader: Reader<L>) -> Result<Self, Invalid> {
        let config = Self {
            state: reader.state(),
            authorizations_table: reader.required("AUTHORIZATIONS_TABLE"),
            hubspot: reader.hubspot(),
            claims: reader.claims(),
            public_url: reader.origin("PUBLIC_URL", None),
            return_url: reader.optional("RETURN_URL").map(|_| reader.url("RETURN_URL", None)),
            install_url: reader.optional("INSTALL_URL").map(|_| reader.url("INSTALL_URL", None)),
            authorize_url: reader.url("HUBSPOT_AUTHORIZE_URL", Some("https://app.hubspot.com/oauth/authorize")),
            scopes: reader.required_list("HUBSPOT_SCOPES"),
            optional_scopes: reader.list("HUBSPOT_OPTIONAL_SCOPES"),
        };
        reader.finish(config)
    }

    /// HubSpot's redirect target; equal in both calls of an authorization.
    pub(crate) fn redirect_uri(&self) -> String {
        format!("{}oauth/hubspot/callback", self.public_url)
    }
}

/// Everything that outlives an invocation.
pub struct App {
    pub(crate) store: Store,
    pub(crate) authorizations: Authorizations,
    pub(crate) hubspot: HubSpot,
    http: Http,
    pub(crate) clock: Clock,
    pub(crate) config: Config,
}

impl App {
    /// Builds all clients, once.
    pub fn new(config: Config, aws: &SdkConfig, clock: Clock) -> Result<Self, Error> {
        let store = Store::new(aws, config.state.clone());
        let http = Http::new(clock.clone())?;
        let hubspot = HubSpot::new(http.clone(), &config.hubspot, store.clone());
        let authorizations = Authorizations::new(aws, config.authorizations_table.clone());
        Ok(Self { store, authorizations, hubspot, http, clock, config })
    }

    /// Opens the connections that the first invocation needs.
    pub async fn open_connections(&self, aws: &Aws) {
        open_connections(aws, &self.http, &self.config.hubspot.api_url).await;
    }
}
