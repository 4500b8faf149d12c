//! Goes through one act of each kind and counts.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use shared::clock::Clock;
use uuid::Uuid;

use super::Counts;
use crate::hubspot::{PORTAL, RecordedRequest};
use crate::stack::Stack;

const ADMIN: &str = "alice";
/// Contacts per search: they decide the size of HubSpot's answer and of a key's row.
const CALLER: [(&str, &str); 6] = [
    ("firstname", "Jane"),
    ("lastname", "Doe"),
    ("phone", "+420777123456"),
    ("email", "jane.doe@example.com"),
    ("company", "Example Incorporated"),
    ("lifecyclestage", "salesqualifiedlead"),
];
/// How long an access token still lives when the schedule refreshes it, in seconds.
const LEFT: i64 = 300;

/// Resource use of the acts.
#[derive(Clone, Debug)]
pub struct OperationCounts {
    /// Connecting an account, to the page that says so.
    pub connect: Counts,
    /// A run of the schedule with nothing to do.
    pub run: Counts,
    /// Cost that a due integration in use adds to a run: its access token is still valid.
    pub refresh: Counts,
    /// Cost that an idle one adds: its access token expired long ago.
    pub refresh_idle: Counts,
    /// An execution of a running process that has not these tokens yet, the integration's first in an hour.
    pub execution: Counts,
    /// One more.
    pub execution_in_memory: Counts,
    /// Cost that an idempotency key adds to an execution.
    pub key: Counts,
    /// An execution for which a process is started.
    pub execution_cold: Counts,
}

impl OperationCounts {
    /// Counts on a stack that was started with [`super::options`] and not used yet.
    ///
    /// # Errors
    /// An operation fails.
    pub async fn on(stack: &Stack) -> Result<Self, String> {
        operations(stack).await
    }
}

async fn operations(stack: &Stack) -> Result<OperationCounts, String> {
    stack.dynamo.measure_capacity();
    stack.hubspot.create_object(PORTAL, "contacts", &CALLER);
    // First what only the first ones do: start processes, read the app's credentials.
    connect(stack, "acc_before").await?;
    execute(stack, "acc_before", None).await?;
    refresh(stack, "acc_before", LEFT).await?;

    let mut counter = Counter::new(stack);
    connect(stack, "acc_1").await?;
    let connect = counter.act();
    run(stack).await?;
    let run_alone = counter.act();
    execute(stack, "acc_1", None).await?;
    let execution = counter.act();
    execute(stack, "acc_1", None).await?;
    let execution_in_memory = counter.act();
    execute(stack, "acc_1", Some("key")).await?;
    let execution_with_key = counter.act();
    refresh(stack, "acc_1", LEFT).await?;
    let run_with_one = counter.act();
    refresh(stack, "acc_1", -LEFT).await?;
    let run_with_idle = counter.act();
    stack.lambda.kill_all("automation-execute").await;
    counter.skip();
    execute(stack, "acc_1", None).await?;
    let execution_cold = counter.act();

    let lines = Lines::of(stack).await;
    let counted = |act: &Span| Counts { log_bytes: lines.bytes(act), ..act.counts.clone() };
    let (run, in_memory) = (counted(&run_alone), counted(&execution_in_memory));
    Ok(OperationCounts {
        connect: counted(&connect),
        refresh: counted(&run_with_one).since(&run),
        refresh_idle: counted(&run_with_idle).since(&run),
        execution: counted(&execution),
        key: counted(&execution_with_key).since(&in_memory),
        execution_in_memory: in_memory,
        execution_cold: counted(&execution_cold),
        run,
    })
}

/// An act between two marks. Lambda's request ids are made by the same clock, so those of the act lie between them.
struct Span {
    from: Uuid,
    to: Uuid,
    counts: Counts,
}

impl Span {
    fn has(&self, id: Uuid) -> bool {
        self.from < id && id < self.to
    }
}

struct Counter<'a> {
    stack: &'a Stack,
    mark: Uuid,
    before: Counts,
}

impl<'a> Counter<'a> {
    fn new(stack: &'a Stack) -> Self {
        Self { stack, before: seen(stack), mark: Uuid::now_v7() }
    }

    /// Resource use since the last act.
    fn act(&mut self) -> Span {
        let (from, to) = (self.mark, Uuid::now_v7());
        let seen = seen(self.stack);
        let counts = seen.since(&self.before);
        (self.before, self.mark) = (seen, Uuid::now_v7());
        Span { from, to, counts }
    }

    /// Leaves out what has come since the last act.
    fn skip(&mut self) {
        (self.before, self.mark) = (seen(self.stack), Uuid::now_v7());
    }
}

/// Everything so far, but for the log.
fn seen(stack: &Stack) -> Counts {
    let invocations =
        |function: &str| stack.lambda.processes(function).iter().map(|process| process.invocations).sum::<usize>();
    let capacity = stack.dynamo.capacity();
    // Not the browser's requests at the consent page.
    let by_us = |request: &&RecordedRequest| !request.path().starts_with("/oauth/authorize");
    Counts {
        invocations: stack.deployment.functions.iter().map(|function| invocations(&function.binary)).sum(),
        dynamodb_calls: stack.dynamo.calls().len(),
        read_units: capacity.read,
        write_units: capacity.write,
        secret_calls: stack.secrets_manager.calls().len(),
        hubspot_calls: stack.hubspot.requests().iter().filter(by_us).count(),
        log_bytes: 0,
    }
}

async fn connect(stack: &Stack, account: &str) -> Result<(), String> {
    let authorization = stack.authorize(account, ADMIN, &json!({})).await?;
    let callback = stack.consent(&authorization).await?;
    let outcome = stack.finish(&callback, Some(&authorization.cookie)).await?;
    let page = stack.call("GET", &format!("/oauth/hubspot/result/{outcome}"), &[], "").await;
    match (outcome.as_str(), page.status) {
        ("connected", 200) => Ok(()),
        (outcome, status) => Err(format!("connecting ends as {outcome}, and its page with {status}")),
    }
}

/// Executes an ordinary automation: it looks up who is calling.
async fn execute(stack: &Stack, account: &str, key: Option<&str>) -> Result<(), String> {
    let filter = json!({ "propertyName": "phone", "operator": "EQ", "value": "+420777123456" });
    let body =
        json!({ "filterGroups": [{ "filters": [filter] }], "properties": CALLER.map(|(name, _)| name), "limit": 1 });
    let request = json!({ "method": "POST", "endpoint": "/crm/v3/objects/contacts/search", "body": body });
    let automation =
        json!({ "account_id": account, "automation_id": "wf_42", "idempotency_key": key, "request": request });
    let answer = stack.post_automation(automation.to_string()).await;
    match answer.json()["hubspot"]["body"]["total"].as_u64() {
        Some(1) => Ok(()),
        Some(_) | None => Err(format!("an execution ends with {} {}", answer.status, answer.text())),
    }
}

/// A run of the schedule in which one account's integration is due, whose access token lives so long.
async fn refresh(stack: &Stack, account: &str, left: i64) -> Result<(), String> {
    make_due(stack, account, left).await?;
    let report = run(stack).await?;
    if report["refreshed"] == 1 { Ok(()) } else { Err(format!("one integration was due, and the run says {report}")) }
}

async fn run(stack: &Stack) -> Result<Value, String> {
    stack.run_schedule_once(None).await.map_err(|error| error.to_string())
}

/// Has an account's integration due, without waiting for it.
async fn make_due(stack: &Stack, account: &str, left: i64) -> Result<(), String> {
    let now = Clock::default().now();
    let number = |number: i64| AttributeValue::N(number.to_string());
    let table = aws_sdk_dynamodb::Client::new(&stack.true_aws_config());
    let update = table.update_item().table_name(stack.table("INTEGRATIONS_TABLE"));
    let update = update.key("account_id", AttributeValue::S(account.to_owned())).key("sequence", number(1));
    let update = update.update_expression("SET refresh_at = :due, token_expires_at = :end");
    let update = update.expression_attribute_values(":due", number(now - 1));
    let done = update.expression_attribute_values(":end", number(now + left)).send().await;
    done.map(drop).map_err(|error| aws_sdk_dynamodb::Error::from(error).to_string())
}

/// The functions' log lines, each with the id of its invocation.
struct Lines(Vec<(Uuid, usize)>);

impl Lines {
    /// Ends the functions, since only then all lines have come.
    async fn of(stack: &Stack) -> Self {
        let lines = stack.lambda.stop().await.into_iter();
        let lines = lines.filter_map(|line| {
            let value: Value = serde_json::from_str(&line.text).ok()?;
            let id = Uuid::try_parse(value["function_request_id"].as_str()?).ok()?;
            Some((id, line.text.len()))
        });
        Self(lines.collect())
    }

    fn bytes(&self, act: &Span) -> usize {
        self.0.iter().filter(|(id, ..)| act.has(*id)).map(|(_, bytes)| *bytes).sum()
    }
}
