//! The stack that a command works on: where it is, and the same clients of it that the functions have.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{Region, SdkConfig};
use aws_sdk_sts::config::{ProvideCredentials, SharedCredentialsProvider};
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
    #[arg(long, global = true, value_name = "FILE", help_heading = "Stack")]
    pub(crate) stack: Option<PathBuf>,
    /// The AWS profile; it takes precedence over credentials in the environment [default: AWS_PROFILE]
    #[arg(long, global = true, value_name = "NAME", help_heading = "Stack")]
    pub(crate) profile: Option<String>,
    /// The AWS region [default: AWS_REGION, or the profile's]
    #[arg(long, global = true, value_name = "NAME", help_heading = "Stack")]
    pub(crate) region: Option<String>,
}

/// The variables of the functions that the tool needs.
pub(crate) struct Settings {
    pub(crate) state: config::StateConfig,
    pub(crate) hubspot: config::HubSpotConfig,
    pub(crate) refresh: config::RefreshConfig,
    /// `HUBSPOT_SCOPES`, and `HUBSPOT_OPTIONAL_SCOPES`.
    pub(crate) scopes: AppScopes,
    /// `AUTHORIZATIONS_TABLE`; not every function has it.
    pub(crate) authorizations_table: Option<String>,
}

/// The scopes that the app asks for.
pub(crate) struct AppScopes {
    pub(crate) required: Vec<String>,
    pub(crate) optional: Vec<String>,
}

/// Clients of a stack.
pub(crate) struct Stack {
    pub(crate) settings: Settings,
    pub(crate) clock: Clock,
    pub(crate) aws: SdkConfig,
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
        let settings = Self {
            state: reader.state(),
            hubspot: reader.hubspot(),
            refresh: reader.refresh(),
            scopes: AppScopes {
                required: reader.list("HUBSPOT_SCOPES"),
                optional: reader.list("HUBSPOT_OPTIONAL_SCOPES"),
            },
            authorizations_table: reader.optional("AUTHORIZATIONS_TABLE"),
        };
        reader
            .finish(settings)
            .map_err(|invalid| Failure::usage(format!("{invalid}. `hubspotctl --help` explains where they come from")))
    }
}

impl Stack {
    /// Builds the clients and finds AWS credentials.
    pub(crate) async fn open(stack_args: &StackArgs) -> Result<Self, Failure> {
        let settings = Settings::read(stack_args)?;
        let clock = Clock::default();
        let aws = aws(stack_args).await?;
        let store = Store::new(&aws, settings.state.clone());
        let hubspot = HubSpot::new(Http::new(clock.clone())?, &settings.hubspot, store.clone());
        let access = Access::new(store.clone(), hubspot.clone(), clock.clone(), settings.refresh);
        Ok(Self { settings, clock, aws, store, hubspot, access })
    }

    /// The same, whose refreshes name the operator in their events.
    pub(crate) fn acting_as(self, acted_by: &str) -> Self {
        Self { access: self.access.acting_as(acted_by), ..self }
    }
}

async fn aws(stack_args: &StackArgs) -> Result<SdkConfig, Failure> {
    let mut loader = clients::aws()?;
    if let Some(profile) = &stack_args.profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = &stack_args.region {
        loader = loader.region(Region::new(region.clone()));
    }
    let mut aws = loader.load().await;
    if aws.region().is_none() {
        return Err(Failure::usage("no AWS region: set --region, AWS_REGION or the profile's region"));
    }
    if let Some(profile) = &stack_args.profile {
        // The SDK's default chain would prefer credentials in the environment to an explicit profile.
        let provider =
            ProviderConfig::without_region().with_region(aws.region().cloned()).with_http_client(clients::aws_http()?);
        let credentials = ProfileFileCredentialsProvider::builder().configure(&provider).profile_name(profile).build();
        aws = aws.into_builder().credentials_provider(SharedCredentialsProvider::new(credentials)).build();
    }
    let found = match aws.credentials_provider() {
        Some(provider) => provider.provide_credentials().await.is_ok(),
        None => false,
    };
    match (found, &stack_args.profile) {
        (true, _) => Ok(aws),
        (false, Some(profile)) => Err(Failure::usage(format!(
            "no AWS credentials in the profile {profile}: it does not exist, or its sign-in has expired. `aws configure \
             list-profiles` lists profiles; a profile with SSO needs `credential_process = aws configure \
             export-credentials --profile …`"
        ))),
        (false, None) => Err(Failure::usage(
            "no AWS credentials: sign in, pass --profile, or set AWS_PROFILE or AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY",
        )),
    }
}
