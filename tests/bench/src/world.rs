//! The measured variants, and the emulators that they run against.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::body::Bytes;
use devstack::hubspot::PORTAL;
use devstack::stack::{Options, Stack};
use serde_json::json;

use crate::front::{Certificates, Front, TrafficCounts};
use crate::process::{Process, Program};
use crate::variant::{CORE, Variant};

/// The account of all executions.
const ACCOUNT: &str = "acc_bench";

/// The request of every variant: a page of contacts.
const SEARCH: &str = "/crm/v3/objects/contacts/search";

/// The emulators with TLS in front of them.
pub(crate) struct World {
    /// Everything behind the fronts.
    pub(crate) stack: Stack,
    integration_id: String,
    root: PathBuf,
    dynamodb: Front,
    secrets_manager: Front,
    hubspot: Front,
}

/// The traffic through the fronts.
#[derive(Clone, Debug)]
pub(crate) struct Traffic {
    pub(crate) aws: TrafficCounts,
    pub(crate) hubspot: TrafficCounts,
}

impl Traffic {
    /// The difference from `before`.
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self { aws: self.aws.since(&before.aws), hubspot: self.hubspot.since(&before.hubspot) }
    }
}

impl World {
    /// One account with a fresh integration and a contact.
    pub(crate) async fn start(folder: &Path) -> Result<Self, String> {
        let certificates = Certificates::new().map_err(|error| format!("no certificates: {error}"))?;
        let root = folder.join("root.pem");
        std::fs::write(&root, &certificates.root).map_err(|error| format!("{}: {error}", root.display()))?;
        let stack = Stack::start(Options::default()).await?;
        let integration_id = stack.connect(ACCOUNT, "alice").await;
        stack.hubspot.create_object(PORTAL, "contacts", &[("email", "ada@example.com"), ("firstname", "Ada")]);
        let open =
            async |upstream: String| Front::open(&certificates, upstream).await.map_err(|error| error.to_string());
        let dynamodb = open(stack.dynamo.url()).await?;
        let secrets_manager = open(stack.secrets_manager.url()).await?;
        let hubspot = open(stack.hubspot.url()).await?;
        Ok(Self { stack, integration_id, root, dynamodb, secrets_manager, hubspot })
    }

    /// From now on the same request is answered alike, at no cost.
    fn keep_answers(&self) {
        [&self.dynamodb, &self.secrets_manager, &self.hubspot].into_iter().for_each(Front::keep_answers);
    }

    /// From now on, the answers of AWS and of HubSpot take these round trips longer, and their connections two of them.
    pub(crate) fn set_round_trips(&self, aws: Duration, hubspot: Duration) {
        self.dynamodb.set_round_trip(aws);
        self.secrets_manager.set_round_trip(aws);
        self.hubspot.set_round_trip(hubspot);
    }

    /// Our function after a first execution, which notes the use of the integration; from now on answers are kept.
    pub(crate) async fn settled(&self, function: &Path) -> Result<Variant, String> {
        let program = self.program("automation-execute", function.to_path_buf(), Vec::new());
        let variant = Variant { name: "ours", program, event: self.automation() };
        for _ in 0..2 {
            let mut process = Process::spawn(&variant.program, CORE).await?;
            answered(&process.first(variant.event.clone()).await?.body)?;
            process.end().await;
            self.keep_answers();
        }
        Ok(variant)
    }

    /// The traffic so far.
    pub(crate) fn traffic(&self) -> Traffic {
        let (dynamodb, secrets) = (self.dynamodb.seen(), self.secrets_manager.seen());
        let mut aws = dynamodb.clone();
        aws.calls.extend(secrets.calls);
        aws.connections += secrets.connections;
        aws.bytes += secrets.bytes;
        Traffic { aws, hubspot: self.hubspot.seen() }
    }

    /// An automation as customers have stored it, with old credentials.
    pub(crate) fn automation(&self) -> Bytes {
        let old = "66666666-7777-8888-9999-000000000000";
        self.event(ACCOUNT, Some(&self.integration_id), &format!("https://api.hubapi.com{SEARCH}?hapikey={old}"))
    }

    /// The same of another account, for its newest integration whichever that is.
    pub(crate) fn automation_of(&self, account: &str) -> Bytes {
        self.event(account, None, SEARCH)
    }

    /// The same call where nobody looks at what was stored: the baseline sends what it gets.
    pub(crate) fn bare_call(&self) -> Bytes {
        self.event(ACCOUNT, Some(&self.integration_id), SEARCH)
    }

    fn event(&self, account: &str, integration_id: Option<&str>, endpoint: &str) -> Bytes {
        let body = json!({
            "account_id": account,
            "integration_id": integration_id,
            "automation_id": "wf_42",
            "request": {
                "method": "POST",
                "endpoint": endpoint,
                "headers": {
                    "Authorization": "Bearer pat-na1-11111111-2222-3333-4444-555555555555",
                    "Content-Type": "application/json",
                },
                "body": { "limit": 1, "properties": ["email"], "filterGroups": [] },
            },
        });
        self.stack.automation_event(body.to_string()).to_string().into()
    }

    /// One of our functions, or one of the comparison, with the environment that the template gives `binary`.
    pub(crate) fn program(&self, binary: &str, path: PathBuf, arguments: Vec<String>) -> Program {
        let mut environment: BTreeMap<String, String> = self.stack.environment(binary);
        let root = self.root.display().to_string();
        for (name, value) in [
            ("AWS_LAMBDA_FUNCTION_NAME", binary.to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{binary}")),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "bench".to_owned()),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
            ("AWS_REGION", "eu-west-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", devstack::iam::access_key(binary)),
            ("AWS_SECRET_ACCESS_KEY", "local".to_owned()),
            ("AWS_SESSION_TOKEN", "local".to_owned()),
            ("AWS_ENDPOINT_URL_DYNAMODB", self.dynamodb.url()),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", self.secrets_manager.url()),
            ("HUBSPOT_API_URL", self.hubspot.url()),
            ("BENCH_ROOT_CERTIFICATE", root.clone()),
            ("NODE_EXTRA_CA_CERTS", root),
            // HubSpot's answers are kept: it sees no token any more.
            ("FLOOR_TOKEN", "CNvbh7cSEhBhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh".to_owned()),
        ] {
            environment.insert(name.to_owned(), value);
        }
        Program { path, arguments, environment: environment.into_iter().collect() }
    }
}

/// Checks that an execution was answered by HubSpot.
pub(crate) fn answered(body: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(body);
    // A page of contacts, within the JSON of an answer, within the JSON of the gateway's.
    if text.contains(r#"\"results\""#) { Ok(()) } else { Err(format!("HubSpot's answer is not in {text}")) }
}
