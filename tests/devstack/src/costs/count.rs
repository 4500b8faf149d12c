//! Goes through one act of each kind and counts.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use shared::clock::Clock;
use uuid::Uuid;

use super::Counts;
use crate::hubspot::{PORTAL, Recorded};
use crate::pipe;
use crate::stack::{Answer, Stack};

const ADMIN: &str = "alice";
/// Who is found by their number: what HubSpot's answer holds, and a key's row with it.
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

/// What the acts took.
#[derive(Clone, Debug)]
pub struct Counted {
    /// Connecting an account, to the page that says so.
    pub connect: Counts,
    /// A run of the schedule with nothing to do.
    pub run: Counts,
    /// What an integration in use that is due adds to a run: its access token still lives.
    pub refresh: Counts,
    /// What an idle one adds: its access token has expired long ago.
    pub refresh_idle: Counts,
    /// An execution of a running process that has not these tokens yet, the integration's first in an hour.
    pub execution: Counts,
    /// One more.
    pub execution_in_memory: Counts,
    /// What an idempotency key adds to an execution.
    pub key: Counts,
    /// An execution for which a process is started.
    pub execution_cold: Counts,
    /// Metrics that have data when nothing happens.
    pub idle_metrics: usize,
    /// Metrics that have data when all of this happens.
    pub metrics: usize,
}

/// Counts on a stack that nobody else uses.
pub(super) async fn acts(stack: &Stack) -> Result<Counted, String> {
    stack.dynamo.measure_capacity();
    stack.hubspot.create_object(PORTAL, "contacts", &CALLER);
    // First what only the first ones do: start processes, read the app's credentials.
    connect(stack, "acc_before").await?;
    execute(stack, "acc_before", None).await?;
    refresh(stack, "acc_before", LEFT).await?;

    let mut counter = Counter::new(stack).await?;
    connect(stack, "acc_1").await?;
    let connect = counter.act(0).await?;
    run(stack).await?;
    let run_alone = counter.act(0).await?;
    let answer = execute(stack, "acc_1", None).await?;
    let execution = counter.act(answer).await?;
    let answer = execute(stack, "acc_1", None).await?;
    let execution_in_memory = counter.act(answer).await?;
    let answer = execute(stack, "acc_1", Some("key")).await?;
    let execution_with_key = counter.act(answer).await?;
    refresh(stack, "acc_1", LEFT).await?;
    let run_with_one = counter.act(0).await?;
    refresh(stack, "acc_1", -LEFT).await?;
    let run_with_idle = counter.act(0).await?;
    stack.lambda.kill_all("automation-execute").await;
    counter.skip().await?;
    let answer = execute(stack, "acc_1", None).await?;
    let execution_cold = counter.act(answer).await?;

    let lines = Lines::of(stack).await;
    let counted = |act: &Span| Counts { log_bytes: lines.bytes(act), ..act.counts.clone() };
    let (run, in_memory) = (counted(&run_alone), counted(&execution_in_memory));
    Ok(Counted {
        connect: counted(&connect),
        refresh: counted(&run_with_one).since(&run),
        refresh_idle: counted(&run_with_idle).since(&run),
        execution: counted(&execution),
        key: counted(&execution_with_key).since(&in_memory),
        execution_in_memory: in_memory,
        execution_cold: counted(&execution_cold),
        run,
        idle_metrics: lines.metrics(|id| run_alone.has(id)).len(),
        metrics: lines.metrics(|_| true).len(),
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
    async fn new(stack: &'a Stack) -> Result<Self, String> {
        Ok(Self { stack, before: seen(stack).await?, mark: Uuid::now_v7() })
    }

    /// What has come since the last act; `answer` bytes went to who called.
    async fn act(&mut self, answer: u64) -> Result<Span, String> {
        let (from, to) = (self.mark, Uuid::now_v7());
        let seen = seen(self.stack).await?;
        let mut counts = seen.since(&self.before);
        counts.internet_bytes += answer;
        (self.before, self.mark) = (seen, Uuid::now_v7());
        Ok(Span { from, to, counts })
    }

    /// Leaves out what has come since the last act.
    async fn skip(&mut self) -> Result<(), String> {
        self.act(0).await.map(drop)
    }
}

/// Everything so far, but for the log.
async fn seen(stack: &Stack) -> Result<Counts, String> {
    let invocations =
        |function: &str| stack.lambda.processes(function).iter().map(|process| process.invocations).sum::<usize>();
    let functions = ["oauth-callback", "automation-execute"];
    let capacity = stack.dynamo.capacity();
    let secret_calls =
        |wanted: &[&str]| wanted.iter().map(|operation| stack.secrets_manager.count(operation)).sum::<usize>() as u64;
    let (reads, writes) = (secret_calls(&["GetSecretValue"]), secret_calls(&["CreateSecret", "PutSecretValue"]));
    let requests: Vec<Recorded> = stack.hubspot.requests().into_iter().filter(by_us).collect();
    let stream = stack.dynamo.stream(stack.table("INTEGRATIONS_TABLE")).await?;
    let pipes = &stack.deployment.pipes;
    Ok(Counts {
        requests: functions.map(invocations).iter().sum::<usize>() as u64,
        scheduled: invocations("token-refresh") as u64,
        starts: stack.deployment.functions.iter().map(|function| stack.lambda.spawned(&function.binary) as u64).sum(),
        dynamodb_calls: stack.dynamo.calls().len() as u64,
        read_units: capacity.read,
        write_units: capacity.write,
        secret_reads: reads,
        secret_writes: writes,
        secret_others: stack.secrets_manager.calls().len() as u64 - reads - writes,
        hubspot_calls: requests.iter().filter(|request| !request.is_oauth()).count() as u64,
        token_calls: requests.iter().filter(|request| request.is_oauth()).count() as u64,
        internet_bytes: requests.iter().map(|request| request.raw.len() as u64).sum(),
        log_bytes: 0,
        events: stream
            .iter()
            .map(|record| pipes.iter().filter_map(|pipe| pipe::event(pipe, record)).count() as u64)
            .sum(),
        secrets: stack.secrets_manager.secrets().len() as u64,
    })
}

/// Whether a request to HubSpot is ours, and not the browser's at the consent page.
fn by_us(request: &Recorded) -> bool {
    !request.path().starts_with("/oauth/authorize")
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

/// Executes an ordinary automation: who is calling? The bytes of the answer.
async fn execute(stack: &Stack, account: &str, key: Option<&str>) -> Result<u64, String> {
    let filter =
        json!({ "propertyName": "hs_searchable_calculated_phone_number", "operator": "EQ", "value": "777123456" });
    let body =
        json!({ "filterGroups": [{ "filters": [filter] }], "properties": CALLER.map(|(name, _)| name), "limit": 1 });
    let request = json!({ "method": "POST", "endpoint": "/crm/v3/objects/contacts/search", "body": body });
    let automation =
        json!({ "account_id": account, "automation_id": "wf_42", "idempotency_key": key, "request": request });
    let answer = stack.post_automation(automation.to_string()).await;
    match answer.json()["hubspot"]["body"]["total"].as_u64() {
        Some(1) => Ok(size(&answer)),
        Some(_) | None => Err(format!("an execution ends with {} {}", answer.status, answer.text())),
    }
}

fn size(answer: &Answer) -> u64 {
    let headers = answer.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    (headers.sum::<usize>() + answer.body.len()) as u64
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

/// What the functions logged, each line with the id of its invocation.
struct Lines(Vec<(Uuid, usize, Value)>);

impl Lines {
    /// Ends the functions, since only then all lines have come.
    async fn of(stack: &Stack) -> Self {
        let lines = stack.lambda.stop().await.into_iter();
        let lines = lines.filter_map(|line| {
            let value: Value = serde_json::from_str(&line.text).ok()?;
            let id = Uuid::try_parse(value["function_request_id"].as_str()?).ok()?;
            Some((id, line.text.len(), value))
        });
        Self(lines.collect())
    }

    fn bytes(&self, act: &Span) -> u64 {
        self.0.iter().filter(|(id, ..)| act.has(*id)).map(|(_, bytes, _)| *bytes as u64).sum()
    }

    /// The metrics that lines make, with their dimensions.
    fn metrics(&self, wanted: impl Fn(Uuid) -> bool) -> BTreeSet<String> {
        let mut metrics = BTreeSet::new();
        for (_, _, line) in self.0.iter().filter(|(id, ..)| wanted(*id)) {
            for group in line["_aws"]["CloudWatchMetrics"].as_array().into_iter().flatten() {
                for dimensions in group["Dimensions"].as_array().into_iter().flatten() {
                    let names = dimensions.as_array().into_iter().flatten().filter_map(Value::as_str);
                    let values: Vec<String> = names.map(|name| line[name].to_string()).collect();
                    for metric in group["Metrics"].as_array().into_iter().flatten() {
                        metrics.insert(format!("{} {}", metric["Name"], values.join(" ")));
                    }
                }
            }
        }
        metrics
    }
}
