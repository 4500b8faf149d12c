//! The world of a test: the local stack, and the three handlers in this process with a clock that can be moved.

use std::collections::BTreeMap;
use std::time::Duration;

use devstack::stack::{Options, Stack};
use serde_json::{Value, json};
use shared::clock::Clock;
use shared::config::Reader;
use shared::gateway::Response;

use crate::histories::setting;
use crate::lines;
use crate::openapi::{self, ObservedCall};

/// The account of most tests.
pub(crate) const ACCOUNT: &str = "acc_1";
/// The admin of most tests.
pub(crate) const ADMIN: &str = "user_1";

/// Everything a test needs. The stack's processes are started only when a test goes over HTTP.
pub(crate) struct World {
    pub(crate) stack: Stack,
    pub(crate) clock: Clock,
    execute: automation_execute::App,
    callback: oauth_callback::App,
    refresh: token_refresh::App,
}

/// An answer of a handler in this process.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<&'static str, String>,
    pub(crate) cookies: Vec<String>,
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or("-")
    }
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self {
            status: response.status_code,
            headers: response.headers,
            cookies: response.cookies,
            body: serde_json::from_str(&response.body).unwrap_or_default(),
            text: response.body,
        }
    }
}

impl World {
    /// A world as the template makes it.
    pub(crate) async fn start() -> Self {
        Self::with(Options::default()).await
    }

    /// A world that differs from the template's.
    pub(crate) async fn with(options: Options) -> Self {
        let stack = stack(options).await;
        let clock = Clock::default();
        let aws = |binary: &str| stack.aws_config_of(binary);
        let execute = automation_execute::Config::read(reader(&stack, "automation-execute")).unwrap();
        let callback = oauth_callback::Config::read(reader(&stack, "oauth-callback")).unwrap();
        let refresh = token_refresh::Config::read(reader(&stack, "token-refresh")).unwrap();
        Self {
            execute: automation_execute::App::new(execute, &aws("automation-execute"), clock.clone()).unwrap(),
            callback: oauth_callback::App::new(callback, &aws("oauth-callback"), clock.clone()).unwrap(),
            refresh: token_refresh::App::new(refresh, &aws("token-refresh"), clock.clone()).unwrap(),
            clock,
            stack,
        }
    }

    /// Stops time, for our handlers in this process and for HubSpot, but for what is waited and [`World::pass`]: so no
    /// result depends on how busy the machine is. Not for tests that share times with real processes.
    pub(crate) fn stop_time(&self) {
        self.clock.stop();
        self.stack.hubspot.clock().stop();
    }

    /// Lets time pass, for our handlers in this process and for HubSpot.
    pub(crate) fn pass(&self, time: Duration) {
        self.clock.advance(time);
        self.stack.hubspot.advance(time);
    }

    /// Executes an automation request as the workflow engine, in this process.
    pub(crate) async fn execute(&self, body: &Value) -> Answer {
        self.execute_text(&body.to_string()).await
    }

    /// Executes an automation request whose bytes matter.
    pub(crate) async fn execute_text(&self, body: &str) -> Answer {
        self.execute_until(body, self.clock.now_millis() + 29_000).await
    }

    /// Executes an automation request in a function that has time until then, in milliseconds since the epoch.
    pub(crate) async fn execute_until(&self, body: &str, deadline: i64) -> Answer {
        let engine = json!({"iam": {"userArn": self.stack.engine.user_arn}});
        self.execute_by(&engine, body, deadline).await
    }

    /// Executes an automation request of somebody whom an authorizer knows, or of nobody.
    pub(crate) async fn execute_as(&self, authorizer: &Value, body: &str) -> Answer {
        self.execute_by(authorizer, body, self.clock.now_millis() + 29_000).await
    }

    async fn execute_by(&self, authorizer: &Value, body: &str, deadline: i64) -> Answer {
        slowed().await;
        let event = json!({
            "rawPath": "/v1/automation-requests",
            "body": body,
            "requestContext": {"http": {"method": "POST"}, "authorizer": authorizer},
        });
        execute_by(&self.execute, event, deadline).await.into()
    }

    /// Asks for the check as a member of the account, in this process.
    pub(crate) async fn check(&self, account: &str, body: &Value) -> Answer {
        let event = dashboard("POST", "/v1/automation-checks", "", &claims(account, "member"), &body.to_string());
        self.function("automation-execute", event).await
    }

    /// Calls a route of the dashboard as a person of some role, in this process.
    pub(crate) async fn dashboard(&self, account: &str, role: &str, method: &str, path: &str, body: &Value) -> Answer {
        let event = dashboard(method, path, "", &claims(account, role), &body.to_string());
        self.function("oauth-callback", event).await
    }

    /// The callback of some query, with the cookies of some browser, in this process.
    pub(crate) async fn callback(&self, query: &str, cookies: &[&str]) -> Answer {
        self.callback_with(query, cookies, &[]).await
    }

    /// The callback with headers of the browser's.
    pub(crate) async fn callback_with(&self, query: &str, cookies: &[&str], headers: &[(&str, &str)]) -> Answer {
        let mut event = dashboard("GET", "/oauth/hubspot/callback", query, &json!(null), "");
        event["cookies"] = json!(cookies);
        event["headers"] = headers.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        self.function("oauth-callback", event).await
    }

    /// Hands a function an event of API Gateway, in this process; the answer is validated with the document.
    pub(crate) async fn function(&self, binary: &str, event: Value) -> Answer {
        let response = self.unseen(binary, event.clone()).await;
        openapi::see(&seen(&event, &response));
        response.into()
    }

    /// The same for an event that API Gateway cannot make, so that the document does not know the answer.
    pub(crate) async fn unseen(&self, binary: &str, event: Value) -> Response {
        slowed().await;
        if binary == "oauth-callback" {
            return oauth_callback::handle(&self.callback, &event.to_string()).await;
        }
        let deadline = self.clock.now_millis() + 29_000;
        automation_execute::handle(&self.execute, &event.to_string(), deadline).await
    }

    /// Ends the stream of the integrations, which makes writing slow where there are many.
    pub(crate) async fn without_stream(self) -> Self {
        self.stack.dynamo.end_stream(self.stack.table("INTEGRATIONS_TABLE")).await.unwrap();
        self
    }

    /// One scheduled run, in this process.
    pub(crate) async fn refresh(&self, event: Value) -> Value {
        slowed().await;
        let deadline = self.clock.now_millis() + 55_000;
        let report = token_refresh::handle(&self.refresh, event, deadline).await.unwrap();
        serde_json::to_value(report).unwrap()
    }

    /// One scheduled run with an event and a deadline of one's own, in this process.
    pub(crate) async fn refresh_until(&self, event: Value, deadline: i64) -> Result<Value, token_refresh::Failed> {
        let report = token_refresh::handle(&self.refresh, event, deadline).await?;
        Ok(serde_json::to_value(report).unwrap())
    }

    /// The record of an integration, as it is stored.
    pub(crate) async fn record(&self, account: &str, sequence: i64) -> Option<shared::integration::Integration> {
        slowed().await;
        let mut reader = reader(&self.stack, "oauth-callback");
        let store = shared::store::Store::new(self.stack.aws_config(), reader.state());
        let account_id = shared::integration::AccountId::try_from(account.to_owned()).unwrap();
        store.get(&shared::integration::Key { account_id, sequence }).await.unwrap()
    }
}

/// Lets a step of a test come later, by so many milliseconds as `SLOW` says: so tests show that depend on their pace.
async fn slowed() {
    if let Some(millis) = setting("SLOW") {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}

/// A stack whose answers are validated with the document, and whose log lines with their schema. No test
/// starts one by other means.
pub(crate) async fn stack(options: Options) -> Stack {
    let options = Options { witness: Some(openapi::witness), last_look: Some(lines::look), ..options };
    Stack::start(options).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Hands an event to an `automation-execute` of a test's own, in this process.
pub(crate) async fn execute_by(app: &automation_execute::App, event: Value, deadline: i64) -> Response {
    let response = automation_execute::handle(app, &event.to_string(), deadline).await;
    openapi::see(&seen(&event, &response));
    response
}

/// An event and its answer, as the document is asked about them.
pub(crate) fn seen<'a>(event: &'a Value, response: &'a Response) -> ObservedCall<'a> {
    let headers = response.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    let cookies = response.cookies.iter().map(|line| ("set-cookie".to_owned(), line.clone()));
    ObservedCall {
        method: event["requestContext"]["http"]["method"].as_str().unwrap_or_default(),
        path: encoded(event["rawPath"].as_str().unwrap_or_default()),
        request: event["body"].as_str().unwrap_or_default().as_bytes(),
        status: response.status_code,
        headers: headers.chain(cookies).collect(),
        body: response.body.as_bytes(),
    }
}

/// The path that a browser sent for one that API Gateway has decoded: a slash in an id was `%2F`.
fn encoded(path: &str) -> String {
    let id = path.strip_prefix("/v1/integrations/");
    id.map_or_else(|| path.to_owned(), |id| format!("/v1/integrations/{}", id.replace('/', "%2F")))
}

/// An ordinary automation request.
pub(crate) fn request(account: &str, integration_id: Option<&str>) -> Value {
    json!({
        "account_id": account,
        "integration_id": integration_id,
        "automation_id": "wf_42",
        "request": {"method": "GET", "endpoint": "/crm/v3/objects/contacts?limit=1"},
    })
}

/// Reads what the template gives a function.
pub(crate) fn reader(stack: &Stack, binary: &str) -> Reader<impl Fn(&str) -> Option<String> + use<>> {
    let environment = stack.environment(binary);
    Reader::new(move |name| environment.get(name).cloned())
}

pub(crate) fn claims(account: &str, role: &str) -> Value {
    json!({"account_id": account, "sub": ADMIN, "role": role})
}

pub(crate) fn dashboard(method: &str, path: &str, query: &str, claims: &Value, body: &str) -> Value {
    let authorizer = if claims.is_null() { json!({}) } else { json!({"jwt": {"claims": claims}}) };
    json!({
        "rawPath": path,
        "rawQueryString": query,
        "body": body,
        "requestContext": {"http": {"method": method}, "authorizer": authorizer},
    })
}
