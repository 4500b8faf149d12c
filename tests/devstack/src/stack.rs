//! The whole system, started as the template says.

pub(crate) mod aws;
mod binaries;
mod calls;
mod connect;
mod operator;
mod plant;
mod state;

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_config::SdkConfig;
use serde_json::{Value, json};

use crate::dynamodb::DynamoDb;
use crate::front_door::{AccessKey, Door, Issuer};
use crate::hubspot::{self, HubSpot};
use crate::iam::{self, Policies};
use crate::interrupt::Interruptions;
use crate::lambda::{InvokeError, Lambda, Spec};
use crate::loopback::{self, Server};
use crate::schedule::{Firing, Schedules};
use crate::secrets_manager::SecretsManager;
use crate::sts;
use crate::template::{ACCOUNT, Deployment, Template, Values};

pub use calls::{ApiResponse, Exchange, Witness};
pub use connect::{Connected, StartedAuthorization};
pub use plant::SCOPES;

/// The stack's name, the first part of every name that the template leaves open.
const NAME: &str = "local";
/// The issuer of the dashboard's tokens.
const ISSUER: &str = "https://dashboard.localhost";
/// Whom the dashboard's tokens are for.
const AUDIENCE: &str = "hubspot-automations";

/// The parameters that a deployment on one machine gives; a template that lacks one is an error.
pub const PARAMETERS: &[(&str, &str)] = &[
    ("JwtIssuer", ISSUER),
    ("JwtAudience", AUDIENCE),
    ("DashboardOrigin", "https://app.localhost"),
    ("EnginePrincipalArns", "arn:aws:iam::123456789012:root"),
    ("Environment", "test"),
];

/// How a stack is started.
#[derive(Debug)]
pub struct Options {
    /// How HubSpot behaves.
    pub hubspot: hubspot::HubSpotOptions,
    /// How many processes each function has at most.
    pub concurrency: usize,
    /// The port of the API. 0: one that the system chooses.
    pub port: u16,
    /// Parameters of the template, beside [`PARAMETERS`] or instead of them.
    pub parameters: BTreeMap<String, String>,
    /// Variables that every function gets beside the template's or instead of them; `None` takes one away.
    pub environment: BTreeMap<String, Option<String>>,
    /// True if ops have put the app's credentials, as they do after the first deployment.
    pub app_secret: bool,
    /// The endpoint of another emulator of AWS, which answers instead of this one.
    pub aws_endpoint: Option<String>,
    /// An observer of every API call and its answer.
    pub witness: Option<Witness>,
    /// An observer that sees the stack when it ends, with its processes' output.
    pub last_look: Option<fn(&Stack)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            hubspot: hubspot::HubSpotOptions::default(),
            concurrency: 4,
            port: 0,
            parameters: BTreeMap::new(),
            environment: BTreeMap::new(),
            app_secret: true,
            aws_endpoint: None,
            witness: None,
            last_look: None,
        }
    }
}

/// The whole system on loopback. It ends when it is dropped.
#[derive(Debug)]
pub struct Stack {
    /// HubSpot.
    pub hubspot: HubSpot,
    /// Secrets Manager.
    pub secrets_manager: SecretsManager,
    /// DynamoDB.
    pub dynamo: DynamoDb,
    /// Permissions of the functions' roles, and those that were used.
    pub policies: Policies,
    /// Interruption of the n-th call of the three.
    pub interruptions: Interruptions,
    /// The functions.
    pub lambda: Arc<Lambda>,
    /// The schedules of the template.
    pub schedules: Schedules,
    /// The key of the workflow engine, whose role the functions know.
    pub engine: AccessKey,
    /// The key of somebody in the same AWS account who is not the workflow engine.
    pub stranger: AccessKey,
    /// The resources of the template.
    pub deployment: Deployment,
    issuer: Issuer,
    client: reqwest::Client,
    witness: Option<Witness>,
    last_look: Option<fn(&Self)>,
    public_url: String,
    aws: SdkConfig,
    door: Arc<Door>,
    sts: Server,
    _front_door: Server,
}

impl Stack {
    /// Starts everything that the repository's template makes.
    ///
    /// # Errors
    /// Something is missing or does not start; the text says what and what to do.
    pub async fn start(options: Options) -> Result<Self, String> {
        let listener = loopback::listen_on(options.port).await?;
        let port = listener.local_addr().map_err(|error| error.to_string())?.port();
        // By its name: HubSpot takes plain http from `localhost` only, and browsers trust it with secure cookies.
        let public_url = format!("http://localhost:{port}");
        let redirect = format!("{public_url}/oauth/hubspot/callback");
        let secrets_manager = match &options.aws_endpoint {
            Some(endpoint) => SecretsManager::in_front_of(endpoint).await,
            None => SecretsManager::start_with(options.hubspot.clock.clone()).await,
        };
        let hubspot = start_hubspot(options.hubspot, redirect).await;
        let mut deployment = deploy(&public_url, &hubspot, options.parameters)?;
        for function in &mut deployment.functions {
            for (name, value) in &options.environment {
                match value {
                    Some(value) => function.environment.insert(name.clone(), value.clone()),
                    None => function.environment.remove(name),
                };
            }
            stays_on_this_machine(&function.binary, &function.environment)?;
        }
        let dynamo = match &options.aws_endpoint {
            Some(endpoint) => DynamoDb::in_front_of(endpoint, &deployment.tables).await?,
            None => DynamoDb::start(&deployment.tables).await?,
        };
        let interruptions = Interruptions::default();
        hubspot.interrupted_by(&interruptions);
        secrets_manager.interrupted_by(&interruptions);
        dynamo.interrupted_by(&interruptions);
        let policies = Policies::of(&deployment.functions);
        dynamo.guarded_by(&policies);
        secrets_manager.guarded_by(&policies);
        let aws = aws::config(aws::NO_FUNCTION, dynamo.url(), secrets_manager.url());
        let specs = deployment.functions.iter().map(|function| {
            let mut environment = function.environment.clone();
            let key = iam::access_key(&function.binary);
            environment.extend(aws::credentials(&key).map(|(name, value)| (name.to_owned(), value.to_owned())));
            environment.insert("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), dynamo.url());
            environment.insert("AWS_ENDPOINT_URL_SECRETS_MANAGER".to_owned(), secrets_manager.url());
            Ok(Spec {
                binary: function.binary.clone(),
                program: binaries::find(&function.binary)?,
                name: function.name.clone(),
                timeout: function.timeout,
                memory: function.memory,
                environment,
                concurrency: options.concurrency,
            })
        });
        let lambda = Arc::new(Lambda::new(specs.collect::<Result<_, String>>()?));
        let issuer = Issuer::new()?;
        let (engine, stranger) = (key("ENGINE", &engine_role(&deployment)), key("STRANGER", "somebody"));
        let door = Arc::new(Door {
            routes: deployment.routes.clone(),
            cors: deployment.cors.clone(),
            issuer: issuer.clone(),
            keys: vec![engine.clone(), stranger.clone()],
            lambda: lambda.clone(),
        });
        let stack = Self {
            schedules: Schedules::new(deployment.schedules.clone(), lambda.clone()),
            client: loopback::client(),
            witness: options.witness,
            last_look: options.last_look,
            sts: sts::start().await.map_err(|error| format!("no port: {error}"))?,
            _front_door: door.open(listener),
            door,
            hubspot,
            secrets_manager,
            dynamo,
            policies,
            interruptions,
            lambda,
            engine,
            stranger,
            deployment,
            issuer,
            public_url,
            aws,
        };
        if options.app_secret {
            stack
                .put_app_secret(&json!({
                    "client_id": stack.hubspot.client_id(),
                    "client_secret": stack.hubspot.client_secret(),
                }))
                .await?;
        }
        Ok(stack)
    }

    /// The API's address, without a slash at its end.
    #[must_use]
    pub fn public_url(&self) -> &str {
        &self.public_url
    }

    /// The function's environment by the template, for a handler that runs in this process.
    ///
    /// # Panics
    /// The template has no such function.
    #[must_use]
    pub fn environment(&self, binary: &str) -> BTreeMap<String, String> {
        let function = self.deployment.function(binary).unwrap_or_else(|| panic!("the template has no {binary}"));
        function.environment.clone()
    }

    /// The configuration of AWS clients in this process: they reach the emulators.
    #[must_use]
    pub const fn aws_config(&self) -> &SdkConfig {
        &self.aws
    }

    /// The configuration of AWS clients of a function whose handler runs in this process: its role counts.
    #[must_use]
    pub fn aws_config_of(&self, binary: &str) -> SdkConfig {
        aws::config(&iam::access_key(binary), self.dynamo.url(), self.secrets_manager.url())
    }

    /// A DynamoDB client. Its calls count in `dynamo` like everybody's.
    #[must_use]
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.aws)
    }

    /// A configuration of AWS clients that see DynamoDB as it truly is: their calls neither count nor go wrong.
    #[must_use]
    pub fn true_aws_config(&self) -> SdkConfig {
        aws::config(aws::NO_FUNCTION, self.dynamo.true_url(), self.secrets_manager.url())
    }

    /// A Secrets Manager client. Its calls count in `secrets_manager` like everybody's.
    #[must_use]
    pub fn secrets(&self) -> aws_sdk_secretsmanager::Client {
        aws_sdk_secretsmanager::Client::new(&self.aws)
    }

    /// The name of the table that a variable of some function names, like `INTEGRATIONS_TABLE`.
    ///
    /// # Panics
    /// No function has the variable.
    #[must_use]
    pub fn table(&self, variable: &str) -> &str {
        let named = self.deployment.functions.iter().find_map(|function| function.environment.get(variable));
        named.unwrap_or_else(|| panic!("the template gives no function {variable}"))
    }

    /// Puts the app's credentials, as ops do from a file.
    ///
    /// # Errors
    /// The template declares no secret of the name that the functions read, or the emulator refuses it.
    pub async fn put_app_secret(&self, credentials: &Value) -> Result<(), String> {
        let prefix = self.table("SECRET_PREFIX");
        let name = format!("{prefix}/app");
        if !self.deployment.secrets.contains(&name) {
            return Err(format!(
                "the functions read the secret {name}, the template declares {:?}",
                self.deployment.secrets
            ));
        }
        let text = credentials.to_string();
        let error = |error: aws_sdk_secretsmanager::Error| format!("{name}: {error}");
        match self.secrets_manager.secret(&name) {
            Some(_) => {
                let put = self.secrets().put_secret_value().secret_id(&name).secret_string(text).send().await;
                put.map(drop).map_err(|failed| error(failed.into()))
            }
            None => {
                let create = self.secrets().create_secret().name(&name).secret_string(text).send().await;
                create.map(drop).map_err(|failed| error(failed.into()))
            }
        }
    }

    /// Runs the schedule of `token-refresh` once, with an event or with its own.
    ///
    /// # Errors
    /// The function fails.
    pub async fn run_schedule_once(&self, event: Option<Value>) -> Result<Value, InvokeError> {
        self.schedules.run_once("token-refresh", event).await
    }

    /// Has the schedules fire as the template says, until this is dropped; `faster` divides their interval.
    #[must_use]
    pub fn fire_schedules(&self, faster: u32) -> Firing {
        self.schedules.fire(faster)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if let Some(look) = self.last_look.filter(|_| !std::thread::panicking()) {
            look(self);
        }
    }
}

async fn start_hubspot(options: hubspot::HubSpotOptions, redirect: String) -> HubSpot {
    let redirect_uris = options.redirect_uris.into_iter().chain([redirect]).collect();
    HubSpot::start(hubspot::HubSpotOptions { redirect_uris, ..options }).await
}

fn deploy(public_url: &str, hubspot: &HubSpot, parameters: BTreeMap<String, String>) -> Result<Deployment, String> {
    let mut all: BTreeMap<String, String> =
        PARAMETERS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    all.insert("HubSpotApiUrl".to_owned(), hubspot.url());
    all.insert("HubSpotHubApiUrl".to_owned(), hubspot.hub_url());
    all.insert("HubSpotAuthorizeUrl".to_owned(), hubspot.authorize_url());
    all.extend(parameters);
    let values = Values { stack_name: NAME.to_owned(), api_endpoint: public_url.to_owned(), parameters: all };
    Template::of_the_repository()?.deploy(&values)
}

/// Without the variable a function would call the real HubSpot: nothing here ever leaves the machine.
fn stays_on_this_machine(binary: &str, environment: &BTreeMap<String, String>) -> Result<(), String> {
    let is_ours = |name: &str| environment.get(name).is_some_and(|url| url.starts_with("http://"));
    match ["HUBSPOT_API_URL", "HUBSPOT_HUB_API_URL"].into_iter().find(|name| !is_ours(name)) {
        None => Ok(()),
        Some(name) => Err(format!("the template gives {binary} no {name} that the stack can choose")),
    }
}

/// The name of the role that the functions take for the workflow engine's.
fn engine_role(deployment: &Deployment) -> String {
    let role = deployment.functions.iter().find_map(|function| function.environment.get("ENGINE_ROLE_ARN"));
    role.and_then(|arn| arn.rsplit('/').next()).unwrap_or("engine").to_owned()
}

fn key(whose: &str, role: &str) -> AccessKey {
    AccessKey {
        id: format!("ASIALOCAL{whose}"),
        secret: format!("local-{}", whose.to_lowercase()),
        user_arn: format!("arn:aws:sts::{ACCOUNT}:assumed-role/{role}/session"),
    }
}

#[cfg(test)]
mod tests;
