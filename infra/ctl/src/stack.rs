//! The stack that a command works on: where it is, and the same handles to it that the functions have.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use aws_config::Region;
use shared::access::Access;
use shared::clients::{self, Http};
use shared::clock::Clock;
use shared::config::{self, Reader, environment};
use shared::hubspot::HubSpot;
use shared::store::Store;

use crate::exit::Failure;

/// Where the stack is.
#[derive(clap::Args, Debug)]
pub(crate) struct StackArgs {
    /// The functions' variables as a JSON object; missing ones are read from the environment
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) stack: Option<PathBuf>,
    /// The AWS profile [default: AWS_PROFILE]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// The AWS region [default: AWS_REGION, or the profile's]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) region: Option<String>,
}

/// The variables of the functions that the tool needs.
pub(crate) struct Settings {
    pub(crate) state: config::StateConfig,
    pub(crate) hubspot: config::HubSpotConfig,
    pub(crate) refresh: config::RefreshConfig,
}

/// Clients of a stack.
pub(crate) struct Stack {
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(crate) store: Store,
    pub(crate) hubspot: HubSpot,
    pub(crate) access: Access,
}

/// A reader of the stack's variables: from the file, else from the environment.
pub(crate) fn reader(stack_args: &StackArgs) -> Result<Reader<impl Fn(&str) -> Option<String> + use<>>, Failure> {
    let mut file = HashMap::new();
    if let Some(path) = &stack_args.stack {
        let invalid = |what: &str| Failure::usage(format!("--stack {}: {what}", path.display()));
        let text = fs::read_to_string(path).map_err(|error| invalid(&error.to_string()))?;
        file = serde_json::from_str::<HashMap<String, String>>(&text)
            .map_err(|_| invalid("expected a JSON object of strings; `hubspotctl --help` shows how to create it"))?;
    }
    Ok(Reader::new(move |name: &str| file.get(name).cloned().or_else(|| environment(name))))
}

impl Settings {
    pub(crate) fn read(stack_args: &StackArgs) -> Result<Self, Failure> {
        let mut reader = reader(stack_args)?;
        let settings = Self { state: reader.state(), hubspot: reader.hubspot(), refresh: reader.refresh() };
        reader
            .finish(settings)
            .map_err(|invalid| Failure::usage(format!("{invalid}. `hubspotctl --help` explains where they come from")))
    }
}

impl Stack {
    /// Builds the handles; nothing is called yet.
    pub(crate) async fn open(stack_args: &StackArgs) -> Result<Self, Failure> {
        let settings = Settings::read(stack_args)?;
        let clock = Clock::default();
        let mut loader = clients::aws()?;
        if let Some(profile) = &stack_args.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(region) = &stack_args.region {
            loader = loader.region(Region::new(region.clone()));
        }
        let aws = loader.load().await;
        if aws.region().is_none() {
            return Err(Failure::usage("no AWS region: set --region, AWS_REGION or the profile's region"));
        }
        let store = Store::new(&aws, settings.state.clone());
        let hubspot = HubSpot::new(Http::new(clock.clone())?, &settings.hubspot, store.clone());
        let access = Access::new(store.clone(), hubspot.clone(), clock.clone(), settings.refresh);
        Ok(Self { settings, clock, store, hubspot, access })
    }
}
