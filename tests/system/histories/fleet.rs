//! Several processes of each function in this process, with clocks that differ, against one stack.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;
use devstack::hubspot::{self, Fault, Match, RecordedRequest, Sharing};
use devstack::stack::{Options, Stack};
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::gateway::Response;
use shared::integration::{AccountId, Integration, shard};
use shared::store::Store;

use super::story::{Habits, TokenRefusal};
use crate::refresh::planted::{SCOPES, refused};
use crate::world::{ADMIN, dashboard, reader};

/// How far the clocks of the processes are off, in milliseconds: 5 s apart at most, as the design assumes.
const SKEWS: [i64; 3] = [0, 2_400, -2_400];

/// The processes and what they share.
pub(crate) struct Fleet {
    pub(crate) stack: Stack,
    /// The true time. HubSpot and AWS go by it.
    pub(crate) clock: Clock,
    aws: SdkConfig,
    /// Reads records as they truly are.
    truth: Store,
    /// The integrations whose authorizations another system obtained.
    pub(crate) imported: RefCell<HashMap<usize, String>>,
}

/// One process: it remembers what its functions remember, until it is killed.
pub(crate) struct Process {
    clock: Clock,
    store: Store,
    execute: automation_execute::App,
    callback: oauth_callback::App,
    refresh: token_refresh::App,
}

/// One customer of a history: the account, and its portal.
#[derive(Clone, Debug)]
pub(crate) struct Customer {
    pub(crate) account: String,
    pub(crate) hub_id: u64,
}

impl Fleet {
    pub(crate) async fn start() -> Rc<Self> {
        let clock = Clock::default();
        clock.skip_waits();
        let hubspot = hubspot::HubSpotOptions { clock: clock.clone(), ..hubspot::HubSpotOptions::default() };
        let stack = Stack::start(Options { hubspot, ..Options::default() }).await.unwrap();
        // As in AWS, only sooner.
        let retries = RetryConfig::standard().with_initial_backoff(Duration::from_millis(2));
        let aws = stack.aws_config().to_builder().retry_config(retries).build();
        let truth = stack.true_aws_config();
        let truth = Store::new(&truth, reader(&stack, "oauth-callback").state());
        Rc::new(Self { stack, clock, aws, truth, imported: RefCell::default() })
    }

    /// Lets HubSpot and AWS behave like this from now on.
    pub(crate) fn behave(&self, habits: Habits) {
        let stack = &self.stack;
        stack.hubspot.set_rotation(habits.rotation);
        stack.hubspot.set_sharing(if habits.shared { Sharing::Portal } else { Sharing::None });
        stack.secrets_manager.set_lag(Duration::from_millis(habits.secrets_lag));
        stack.dynamo.set_index_lag(habits.index_lag);
    }

    /// Lets HubSpot's token endpoint say this to the next refresh.
    pub(crate) fn say(&self, refusal: TokenRefusal) {
        let fault = match refusal {
            TokenRefusal::TooMany(None) => Fault::status(429),
            TokenRefusal::TooMany(Some(seconds)) => Fault::status(429).header("retry-after", &seconds.to_string()),
            TokenRefusal::InvalidGrant => refused("invalid_grant", "BAD_REFRESH_TOKEN"),
            TokenRefusal::InvalidClient => refused("invalid_client", "BAD_CLIENT_SECRET"),
        };
        self.stack.hubspot.script(Match::refresh(), [fault]);
    }

    /// A new customer, who has not connected yet.
    pub(crate) fn customer(&self, number: u64) -> Customer {
        let hub_id = 1_000_000 + number;
        self.stack.hubspot.add_portal(hub_id);
        Customer { account: format!("acc_{number}"), hub_id }
    }

    /// The `number`th process, as it is just after it has started.
    pub(crate) fn process(&self, number: usize) -> Process {
        let clock = self.clock.skewed(SKEWS[number % SKEWS.len()]);
        let (stack, aws) = (&self.stack, &self.aws);
        let execute = automation_execute::Config::read(reader(stack, "automation-execute")).unwrap();
        let callback = oauth_callback::Config::read(reader(stack, "oauth-callback")).unwrap();
        let refresh = token_refresh::Config::read(reader(stack, "token-refresh")).unwrap();
        Process {
            store: Store::new(aws, reader(stack, "oauth-callback").state()),
            execute: automation_execute::App::new(execute, aws, clock.clone()).unwrap(),
            callback: oauth_callback::App::new(callback, aws, clock.clone()).unwrap(),
            refresh: token_refresh::App::new(refresh, aws, clock.clone()).unwrap(),
            clock,
        }
    }

    /// The requests of one execution that HubSpot has received.
    pub(crate) fn requests(&self, mark: &str) -> Vec<RecordedRequest> {
        let mut requests = self.stack.hubspot.api_requests();
        requests.retain(|request| request.target.ends_with(&format!("mark={mark}")));
        requests
    }

    /// All records of a customer, newest first, as they truly are.
    pub(crate) async fn records(&self, customer: &Customer) -> Vec<Integration> {
        let account_id = AccountId::try_from(customer.account.clone()).unwrap();
        self.truth.all(&account_id).await.unwrap()
    }
}

impl Process {
    /// Connects, makes a new instance or reconnects; the outcome, or the code of the refusal.
    pub(crate) async fn connect(&self, fleet: &Fleet, customer: &Customer, body: &Value) -> String {
        let claims = json!({"account_id": customer.account, "sub": ADMIN, "role": "admin"});
        let event = dashboard("POST", "/v1/authorizations", "", &claims, &body.to_string());
        let begun = oauth_callback::handle(&self.callback, &event.to_string()).await;
        let answer: Value = serde_json::from_str(&begun.body).unwrap_or_default();
        let Some(authorize_url) = answer["authorize_url"].as_str() else {
            return answer["code"].as_str().unwrap_or("?").to_owned();
        };
        let cookie = begun.cookies[0].split(';').next().unwrap().to_owned();
        let back = match fleet.stack.hubspot.accept(authorize_url, customer.hub_id) {
            Ok(back) => back,
            Err(refusal) => return refusal,
        };
        let query = back.split_once('?').unwrap().1;
        let mut event = dashboard("GET", "/oauth/hubspot/callback", query, &Value::Null, "");
        event["cookies"] = json!([cookie]);
        let finished = oauth_callback::handle(&self.callback, &event.to_string()).await;
        finished.headers.get("location").and_then(|to| to.rsplit('/').next()).unwrap_or("?").to_owned()
    }

    /// Writes an older instance of another system as an import does: the secret first, then the record, due at once.
    pub(crate) async fn import(&self, fleet: &Fleet, customer: &Customer, number: usize) -> String {
        let issued = fleet.stack.hubspot.authorize(customer.hub_id, SCOPES);
        let (_, grant) = fleet.stack.hubspot.token(&issued.access_token).unwrap();
        let now = self.clock.now();
        let (account_id, integration_id) = (customer.account.clone(), format!("imported-{number}"));
        fleet.imported.borrow_mut().insert(grant, integration_id.clone());
        let tokens = json!({"account_id": account_id, "integration_id": integration_id, "access_token": "none",
            "refresh_token": issued.refresh_token, "token_type": "bearer", "obtained_at": 0, "expires_at": 0,
            "scopes": SCOPES, "replaces": []});
        let tokens = serde_json::from_value(tokens).unwrap();
        let pointer = match self.store.create_secret(&tokens).await {
            Ok(pointer) => pointer,
            Err(error) => return error.to_string(),
        };
        let account = AccountId::try_from(account_id.clone()).unwrap();
        let sequence = now - 10_000_000_000;
        let record = json!({"account_id": account_id, "sequence": sequence, "integration_id": integration_id,
            "created_at": now, "scopes": SCOPES, "status": "active", "secret_id": pointer.secret_id,
            "secret_version": pointer.secret_version, "token_expires_at": 0, "refresh_shard": shard(&account),
            "refresh_at": now, "schema": 1});
        format!("{:?}", self.store.insert(&serde_json::from_value(record).unwrap()).await)
    }

    /// Disconnects one integration; the status.
    pub(crate) async fn disconnect(&self, customer: &Customer, integration_id: &str) -> u16 {
        let claims = json!({"account_id": customer.account, "sub": ADMIN, "role": "admin"});
        let event = dashboard("DELETE", &format!("/v1/integrations/{integration_id}"), "", &claims, "");
        oauth_callback::handle(&self.callback, &event.to_string()).await.status_code
    }

    /// Executes a request that HubSpot's journal knows by `mark`.
    pub(crate) async fn execute(
        &self,
        fleet: &Fleet,
        customer: &Customer,
        integration_id: Option<&str>,
        mark: &str,
    ) -> Response {
        let body = json!({"account_id": customer.account, "integration_id": integration_id,
            "request": {"method": "GET", "endpoint": format!("/crm/v3/objects/contacts?limit=1&mark={mark}")}});
        let event = json!({
            "rawPath": "/v1/automation-requests", "body": body.to_string(),
            "requestContext": {"http": {"method": "POST"},
                "authorizer": {"iam": {"userArn": fleet.stack.engine.user_arn}}},
        });
        automation_execute::handle(&self.execute, &event.to_string(), self.clock.now_millis() + 29_000).await
    }

    /// One run of the schedule for the customer's shard.
    pub(crate) async fn schedule(&self, customer: &Customer) -> Value {
        let account_id = AccountId::try_from(customer.account.clone()).unwrap();
        let event = json!({"shards": [shard(&account_id)]});
        let report = token_refresh::handle(&self.refresh, event, self.clock.now_millis() + 55_000).await;
        report.map_or_else(|failed| json!(failed.to_string()), |report| serde_json::to_value(report).unwrap())
    }
}
