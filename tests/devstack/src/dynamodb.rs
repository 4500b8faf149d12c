//! DynamoDB: the embedded emulator behind a pass-through that counts calls, fails them and holds them on demand.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use dynoxide::Database;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::iam::{self, Policies};
use crate::interrupt::{Interruptions, Now};
use crate::loopback::{self, Server, Task};
use crate::template::Table;
use crate::wire::{self, At, Barrier, Gate, Verdict};
pub use capacity::Capacity;

/// A call that reached DynamoDB.
#[derive(Clone, Debug)]
pub struct Call {
    /// `PutItem`, `Query`…
    pub operation: String,
    /// The tables it names, in order.
    pub tables: Vec<String>,
    /// The request.
    pub body: Value,
}

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A 500 before the call has any effect. The SDK tries again.
    Refused,
    /// A throttling answer before the call has any effect. The SDK tries again.
    Throttled,
    /// The call takes effect, and its answer is lost. The SDK tries again.
    AnswerLost,
}

/// DynamoDB on loopback.
#[derive(Debug)]
pub struct DynamoDb {
    server: Server,
    proxy: Arc<Proxy>,
    _emulator: Task,
}

#[derive(Debug)]
struct Proxy {
    emulator: String,
    client: reqwest::Client,
    state: Mutex<Plan>,
    /// Counts the calls, for those who wait for some.
    seen: watch::Sender<usize>,
    /// Counts the held calls that have gone on to their end.
    landed: watch::Sender<usize>,
}

/// Whether a call goes wrong, by a seed, its operation, and how many calls of that operation came before it.
pub type Weather = fn(u64, &str, usize) -> Option<Fault>;

#[derive(Debug, Default)]
struct Plan {
    interruptions: Interruptions,
    policies: Policies,
    calls: Vec<Call>,
    faults: Vec<(String, Fault)>,
    weather: Option<(u64, Weather)>,
    holds: Vec<Hold>,
    /// How many calls of each operation came so far.
    counts: HashMap<String, usize>,
    /// How many answers an index is behind its table.
    index_lag: usize,
    /// The last answers of an index to a query of one shard, oldest first.
    index_answers: HashMap<String, VecDeque<Bytes>>,
    /// What the calls consumed, once somebody wants to know.
    capacity: Option<Capacity>,
}

#[derive(Debug)]
struct Hold {
    operation: String,
    /// Only a call whose request has all of these texts.
    naming: Vec<String>,
    /// How many calls of the operation pass before the first held one.
    pass: usize,
    /// How many calls are held.
    most: usize,
    barrier: Barrier,
}

impl Hold {
    fn is_meant(&self, operation: &str, text: &str) -> bool {
        self.operation == operation && self.naming.iter().all(|part| text.contains(part.as_str()))
    }
}

impl DynamoDb {
    /// Starts an empty database with these tables.
    ///
    /// # Errors
    /// The emulator does not start or refuses a table.
    pub async fn start(tables: &[Table]) -> Result<Self, String> {
        let text = |error: std::io::Error| format!("DynamoDB does not start: {error}");
        let database = Database::memory().map_err(|error| format!("DynamoDB does not start: {error}"))?;
        let listener = loopback::listen().await.map_err(text)?;
        let emulator = format!("http://{}/", listener.local_addr().map_err(text)?);
        let task = Task(tokio::spawn(async move {
            let _ = dynoxide::server::serve_with_shutdown(listener, database, std::future::pending()).await;
        }));
        let ((seen, _), (landed, _)) = (watch::channel(0), watch::channel(0));
        let proxy = Arc::new(Proxy { emulator, client: loopback::client(), state: Mutex::default(), seen, landed });
        for table in tables {
            proxy.create(table).await?;
        }
        let router = Router::new().fallback(answer).layer(DefaultBodyLimit::disable()).with_state(proxy.clone());
        let server = Server::start(router).await.map_err(text)?;
        Ok(Self { server, proxy, _emulator: task })
    }

    /// Its endpoint.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The endpoint behind it, at which calls are neither recorded nor go wrong: for tests that look at the truth.
    #[must_use]
    pub fn true_url(&self) -> String {
        self.proxy.emulator.clone()
    }

    /// Takes its interruptions from here.
    pub fn interrupted_by(&self, interruptions: &Interruptions) {
        self.proxy.plan().interruptions = interruptions.clone();
    }

    /// From now on, a query of an index is told what the same query (of the same shard, at whatever time) would have
    /// been told so many queries before; nothing while there were fewer.
    pub fn set_index_lag(&self, queries: usize) {
        let mut plan = self.proxy.plan();
        plan.index_lag = queries;
        plan.index_answers.clear();
    }

    /// Refuses what these policies do not allow.
    pub fn guarded_by(&self, policies: &Policies) {
        self.proxy.plan().policies = policies.clone();
    }

    /// Every call so far, in order of arrival.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.proxy.plan().calls.clone()
    }

    /// How many calls of an operation came so far.
    #[must_use]
    pub fn count(&self, operation: &str) -> usize {
        self.proxy.plan().calls.iter().filter(|call| call.operation == operation).count()
    }

    /// How many calls of an operation named a table so far.
    #[must_use]
    pub fn count_of(&self, operation: &str, table: &str) -> usize {
        let names = |call: &&Call| call.operation == operation && call.tables.iter().any(|name| name == table);
        self.proxy.plan().calls.iter().filter(names).count()
    }

    /// Fails the next calls of an operation. The SDK makes up to three attempts of a call, so `times` is 3 for a
    /// failure that its caller sees.
    pub fn fail_next(&self, operation: &str, fault: Fault, times: usize) {
        let faults = std::iter::repeat_n((operation.to_owned(), fault), times);
        self.proxy.plan().faults.extend(faults);
    }

    /// Lets calls go wrong as a function of the seed says, until [`heal`](Self::heal).
    pub fn set_weather(&self, seed: u64, weather: Weather) {
        self.proxy.plan().weather = Some((seed, weather));
    }

    /// Forgets all faults that did not happen yet.
    pub fn heal(&self) {
        let mut plan = self.proxy.plan();
        plan.faults.clear();
        plan.weather = None;
    }

    /// Holds every call of an operation from now on, until the gate is opened.
    #[must_use]
    pub fn hold(&self, operation: &str, at: At) -> Gate {
        self.hold_from(operation, 1, at)
    }

    /// Holds the calls of an operation from the `nth` next one on (1 is the next), until the gate is opened.
    #[must_use]
    pub fn hold_from(&self, operation: &str, nth: usize, at: At) -> Gate {
        self.gate(operation, &[], nth.saturating_sub(1), usize::MAX, at)
    }

    /// Holds only the next call of an operation whose request has all of these texts. If its caller goes away
    /// meanwhile, it is on its way all the same, and takes effect when the gate is opened.
    #[must_use]
    pub fn hold_one(&self, operation: &str, naming: &[&str], at: At) -> Gate {
        self.gate(operation, naming, 0, 1, at)
    }

    fn gate(&self, operation: &str, naming: &[&str], pass: usize, most: usize, at: At) -> Gate {
        let (barrier, gate) = Barrier::new(at);
        let naming = naming.iter().map(|text| (*text).to_owned()).collect();
        self.proxy.plan().holds.push(Hold { operation: operation.to_owned(), naming, pass, most, barrier });
        gate
    }

    /// Opens the gate at which one call stands, and waits until that has taken effect, whoever still waits for it.
    ///
    /// # Panics
    /// It does not within a minute.
    pub async fn land(&self, gate: Gate) {
        let mut landed = self.proxy.landed.subscribe();
        landed.borrow_and_update();
        gate.open();
        wire::patiently("the held call", async move { drop(landed.changed().await) }).await;
    }

    /// Waits until an operation was called `count` times since the start.
    ///
    /// # Panics
    /// They don't come within a minute.
    pub async fn wait_for_calls(&self, operation: &str, count: usize) {
        let mut seen = self.proxy.seen.subscribe();
        let all = async {
            while self.count(operation) < count {
                let _ = seen.changed().await;
            }
        };
        wire::patiently(&format!("{count} calls of {operation}"), all).await;
    }
}

impl Proxy {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn create(&self, table: &Table) -> Result<(), String> {
        self.command("CreateTable", &table.create).await?;
        if let Some(attribute) = &table.expires_by {
            let specification = json!({ "AttributeName": attribute, "Enabled": true });
            let body = json!({ "TableName": table.name, "TimeToLiveSpecification": specification });
            self.command("UpdateTimeToLive", &body).await?;
        }
        Ok(())
    }

    async fn command(&self, operation: &str, body: &Value) -> Result<Value, String> {
        self.ask("DynamoDB_20120810", operation, body).await
    }

    async fn stream_command(&self, operation: &str, body: &Value) -> Result<Value, String> {
        self.ask("DynamoDBStreams_20120810", operation, body).await
    }

    async fn ask(&self, service: &str, operation: &str, body: &Value) -> Result<Value, String> {
        let request = self
            .client
            .post(&self.emulator)
            .header("x-amz-target", format!("{service}.{operation}"))
            .header("content-type", "application/x-amz-json-1.0")
            .header("authorization", "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0")
            .header("x-amz-date", "20260101T000000Z")
            .body(body.to_string());
        let response = request.send().await.map_err(|error| format!("{operation}: {error}"))?;
        let status = response.status();
        let text = response.text().await.unwrap_or_default();
        if !status.is_success() {
            return Err(format!("{operation}: {status} {text}: {body}"));
        }
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    fn allows(&self, headers: &HeaderMap, body: &Bytes) -> bool {
        let authorization = headers.get("authorization").and_then(|header| header.to_str().ok()).unwrap_or_default();
        let body = serde_json::from_slice(body).unwrap_or_default();
        let policies = self.plan().policies.clone();
        policies.check(iam::key_of(authorization), &iam::needed_by_dynamodb(operation(headers), &body)).is_ok()
    }

    /// Records a call and says what is planned for it.
    fn record(&self, headers: &HeaderMap, body: &Bytes) -> (Option<Fault>, Option<Barrier>) {
        let operation = operation(headers).to_owned();
        let text = String::from_utf8_lossy(body);
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let mut plan = self.plan();
        let count = plan.counts.entry(operation.clone()).or_default();
        let nth = *count;
        *count += 1;
        let fault = plan.faults.iter().position(|(name, _)| *name == operation);
        let fault = fault.map(|index| plan.faults.remove(index).1);
        let fault = fault.or_else(|| plan.weather.and_then(|(seed, weather)| weather(seed, &operation, nth)));
        plan.holds.retain(|hold| !hold.barrier.is_open());
        let mut barrier = None;
        for hold in plan.holds.iter_mut().filter(|hold| hold.is_meant(&operation, &text)) {
            match hold.pass.checked_sub(1) {
                Some(pass) => hold.pass = pass,
                None if hold.most > 0 && barrier.is_none() => {
                    hold.most -= 1;
                    barrier = Some(hold.barrier.clone());
                }
                None => {}
            }
        }
        plan.calls.push(Call { operation, tables: tables(&body), body });
        drop(plan);
        self.seen.send_modify(|count| *count += 1);
        (fault, barrier)
    }

    /// What an index that lags says instead of `answer`.
    fn lagging(&self, request: &Bytes, answer: Bytes) -> Bytes {
        let mut plan = self.plan();
        let lag = plan.index_lag;
        let request: Value = if lag > 0 { serde_json::from_slice(request).unwrap_or_default() } else { Value::Null };
        if request["IndexName"].is_null() {
            return answer;
        }
        let shard = request["ExpressionAttributeValues"][":shard"].to_string();
        let answers = plan.index_answers.entry(shard).or_default();
        answers.push_back(answer);
        if answers.len() > lag {
            return answers.pop_front().unwrap_or_default();
        }
        Bytes::from_static(br#"{"Items":[],"Count":0,"ScannedCount":0}"#)
    }

    async fn forward(&self, mut headers: HeaderMap, body: Bytes) -> Response {
        if !self.allows(&headers, &body) {
            return error(StatusCode::BAD_REQUEST, "AccessDeniedException");
        }
        for hop in ["host", "connection", "content-length"] {
            headers.remove(hop);
        }
        let measured = self.asking_for_capacity(&body);
        let operation = operation(&headers).to_owned();
        let sent =
            self.client.post(&self.emulator).headers(headers).body(measured.unwrap_or(body.clone())).send().await;
        let Ok(response) = sent else { return StatusCode::BAD_GATEWAY.into_response() };
        let (status, mut headers) = (response.status(), response.headers().clone());
        // The checksum is of what the table says, not of a lagging index.
        for hop in ["connection", "transfer-encoding", "content-length", "x-amz-crc32"] {
            headers.remove(hop);
        }
        let answer = response.bytes().await.unwrap_or_default();
        self.note_capacity(&operation, &answer);
        let answer = self.lagging(&body, answer);
        (status, headers, answer).into_response()
    }
}

async fn answer(State(proxy): State<Arc<Proxy>>, headers: HeaderMap, body: Bytes) -> Response {
    let interruptions = proxy.plan().interruptions.clone();
    match interruptions.next(operation(&headers)) {
        Now::Nothing => answer_as_planned(proxy, headers, body).await,
        Now::Refuse => error(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError"),
        Now::LoseAnswer => {
            let _ = tokio::spawn(answer_as_planned(proxy, headers, body)).await;
            lose_connection();
        }
        Now::Twice => {
            let _ = answer_as_planned(proxy.clone(), headers.clone(), body.clone()).await;
            answer_as_planned(proxy, headers, body).await
        }
        Now::Hold(barrier) => hold(barrier, answer_as_planned(proxy, headers, body)).await,
        Now::Late(barrier) => {
            tokio::spawn(async move {
                if barrier.stand().await == Verdict::GoOn {
                    answer_as_planned(proxy, headers, body).await;
                }
            });
            lose_connection();
        }
    }
}

/// Holds a call before or after its effect, which it has even if its caller goes away.
async fn hold(barrier: Barrier, effect: impl Future<Output = Response> + Send + 'static) -> Response {
    if barrier.at == At::Before && barrier.stand().await == Verdict::Lose {
        lose_connection();
    }
    let response = tokio::spawn(effect).await.unwrap_or_else(|_| StatusCode::BAD_GATEWAY.into_response());
    if barrier.at == At::After && barrier.stand().await == Verdict::Lose {
        lose_connection();
    }
    response
}

fn operation(headers: &HeaderMap) -> &str {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    target.rsplit('.').next().unwrap_or_default()
}

async fn answer_as_planned(proxy: Arc<Proxy>, headers: HeaderMap, body: Bytes) -> Response {
    let (fault, barrier) = proxy.record(&headers, &body);
    match fault {
        Some(Fault::Refused) => return error(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError"),
        Some(Fault::Throttled) => return error(StatusCode::BAD_REQUEST, "ProvisionedThroughputExceededException"),
        Some(Fault::AnswerLost) => {
            // The call is on its way and takes effect even if the caller goes away.
            let _ = tokio::spawn(async move { proxy.forward(headers, body).await }).await;
            lose_connection();
        }
        None => {}
    }
    let Some(barrier) = barrier else { return proxy.forward(headers, body).await };
    // The server drops this when the caller goes away; the call itself is on its way.
    let held = tokio::spawn(async move {
        let response = held(&proxy, headers, body, &barrier).await;
        proxy.landed.send_modify(|count| *count += 1);
        response
    });
    match held.await {
        Ok(Some(response)) => response,
        Ok(None) | Err(_) => lose_connection(),
    }
}

/// A call that stands at a gate; none if its answer is lost.
async fn held(proxy: &Proxy, headers: HeaderMap, body: Bytes, barrier: &Barrier) -> Option<Response> {
    let response =
        if barrier.at == At::After { Some(proxy.forward(headers.clone(), body.clone()).await) } else { None };
    match (barrier.stand().await, response) {
        (Verdict::Lose, _) => None,
        (Verdict::GoOn, Some(response)) => Some(response),
        (Verdict::GoOn, None) => Some(proxy.forward(headers, body).await),
    }
}

fn error(status: StatusCode, name: &str) -> Response {
    let body =
        json!({ "__type": format!("com.amazonaws.dynamodb.v20120810#{name}"), "message": "as a test asked for" });
    (status, [("content-type", "application/x-amz-json-1.0")], body.to_string()).into_response()
}

/// Closes the connection without an answer: the server's task for it unwinds, silently.
fn lose_connection() -> ! {
    std::panic::resume_unwind(Box::new("an answer is lost on purpose"))
}

fn tables(body: &Value) -> Vec<String> {
    let text = |value: &Value| value["TableName"].as_str().map(str::to_owned);
    let own = text(body);
    let transaction = body["TransactItems"].as_array().into_iter().flatten();
    let steps =
        transaction.flat_map(|item| item.as_object().into_iter().flat_map(|step| step.values().filter_map(text)));
    let batch = body["RequestItems"].as_object().into_iter().flat_map(|map| map.keys().cloned());
    own.into_iter().chain(steps).chain(batch).collect()
}

mod capacity;
mod stream;
#[cfg(test)]
mod tests;
