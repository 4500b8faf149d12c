//! The function's configuration, and the clients that outlive an invocation.

use aws_config::SdkConfig;
use shared::access::Access;
use shared::clients::{Aws, Http, open_connections};
use shared::clock::Clock;
use shared::config::{self, Invalid, Reader};
use shared::error::Error;
use shared::hubspot::HubSpot;
use shared::store::Store;

/// The function's environment.
pub struct Config {
    pub(crate) state: config::StateConfig,
    pub(crate) hubspot: config::HubSpotConfig,
    pub(crate) refresh: config::RefreshConfig,
    pub(crate) concurrency: usize,
    pub(crate) superseded_keep: i64,
}

impl Config {
    /// Reads it, and reports everything that is wrong with it at once.
    pub fn read<L: Fn(&str) -> Option<String>>(mut reader: Reader<L>) -> Result<Self, Invalid> {
        let config = Self {
            state: reader.state(),
            hubspot: reader.hubspot(),
            refresh: reader.refresh(),
            concurrency: reader.number("REFRESH_CONCURRENCY", 32, 1..=256) as usize,
            superseded_keep: i64::from(reader.number("SUPERSEDED_KEEP_DAYS", 30, 1..=365)) * 86_400,
        };
        reader.finish(config)
    }
}

/// Everything that outlives an invocation.
pub struct App {
    pub(crate) store: Store,
    pub(crate) hubspot: HubSpot,
    http: Http,
    pub(crate) access: Access,
    pub(crate) clock: Clock,
    pub(crate) config: Config,
}

impl App {
    /// Builds all clients, once.
    pub fn new(config: Config, aws: &SdkConfig, clock: Clock) -> Result<Self, Error> {
        let store = Store::new(aws, config.state.clone());
        let http = Http::new(clock.clone())?;
        let hubspot = HubSpot::new(http.clone(), &config.hubspot, store.clone());
        let access = Access::new(store.clone(), hubspot.clone(), clock.clone(), config.refresh);
        Ok(Self { store, hubspot, http, access, clock, config })
    }

    /// Opens the connections that the first invocation needs.
    pub async fn open_connections(&self, aws: &Aws) {
        open_connections(aws, &self.http, &self.config.hubspot.api_url).await;
    }
}
