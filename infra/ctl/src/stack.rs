//! The stack that a command works on: where it is, and the same handles to it that the functions have.

use std::collections::HashMap;
use std::fs;

use aws_config::Region;
use shared::access::Access;
use shared::clients::{self, Http};
use shared::clock::Clock;
use shared::config::{self, Reader, environment};
use shared::hubspot::HubSpot;
use shared::store::Store;

use crate::cli::Global;
use crate::end::Failure;

/// What the functions are told by their environment, as far as the tool needs it.
pub(crate) struct Settings {
    pub(crate) state: config::StateConfig,
    pub(crate) hubspot: config::HubSpotConfig,
    pub(crate) refresh: config::RefreshConfig,
}

/// Handles to a stack.
pub(crate) struct Stack {
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(crate) store: Store,
    pub(crate) hubspot: HubSpot,
    pub(crate) access: Access,
}

/// A reader of the stack's variables: those of the file that was named, and else those of the environment.
pub(crate) fn reader(global: &Global) -> Result<Reader<impl Fn(&str) -> Option<String> + use<>>, Failure> {
    let mut file = HashMap::new();
    if let Some(path) = &global.stack {
        let wrong = |what: &str| Failure::usage(format!("--stack {}: {what}", path.display()));
        let text = fs::read_to_string(path).map_err(|error| wrong(&error.to_string()))?;
        file = serde_json::from_str::<HashMap<String, String>>(&text)
            .map_err(|_| wrong("a JSON object of texts is expected, as `hubspotctl --help` says how to make it"))?;
    }
    Ok(Reader::new(move |name: &str| file.get(name).cloned().or_else(|| environment(name))))
}

impl Settings {
    pub(crate) fn read(global: &Global) -> Result<Self, Failure> {
        let mut reader = reader(global)?;
        let settings = Self { state: reader.state(), hubspot: reader.hubspot(), refresh: reader.refresh() };
        let told = reader.finish(settings);
        told.map_err(|invalid| Failure::usage(format!("{invalid}. `hubspotctl --help` says where they come from")))
    }
}

impl Stack {
    /// Builds the handles; nothing is called yet.
    pub(crate) async fn open(global: &Global) -> Result<Self, Failure> {
        let settings = Settings::read(global)?;
        let clock = Clock::default();
        let mut loader = clients::aws()?;
        if let Some(profile) = &global.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(region) = &global.region {
            loader = loader.region(Region::new(region.clone()));
        }
        let aws = loader.load().await;
        if aws.region().is_none() {
            return Err(Failure::usage("no AWS region: give --region, AWS_REGION, or one in the profile"));
        }
        let store = Store::new(&aws, settings.state.clone());
        let hubspot = HubSpot::new(Http::new(clock.clone())?, &settings.hubspot, store.clone());
        let access = Access::new(store.clone(), hubspot.clone(), clock.clone(), settings.refresh);
        Ok(Self { settings, clock, store, hubspot, access })
    }
}
