//! The HTTP front of the emulated AWS services (awsJson): it records calls, checks IAM policies, and lets calls fail,
//! wait or lose their answers as a test planned.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::faults::{Plan, RandomFaults};
use crate::iam::{self, Policies};
use crate::interrupt::{CallAction, Interruptions};
use crate::template::REGION;
use crate::wire::{self, At, Gate, Verdict};

/// A call that reached a service.
#[derive(Clone, Debug)]
pub struct AwsCall {
    /// `PutItem`, `GetSecretValue`…
    pub operation: String,
    /// The request.
    pub body: Value,
}

/// A fault of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AwsFault {
    /// A 500 before the call has any effect. The SDK tries again.
    Refused,
    /// The call takes effect and is answered by a 500. The SDK tries again.
    RefusedAfterEffect,
    /// A throttling answer before the call has any effect. The SDK tries again.
    Throttled,
    /// The role may not do it. The SDK does not try again.
    AccessDenied,
    /// `DecryptionFailure`: the key is disabled, or the role may not use it. The SDK does not try again.
    KeyDenied,
    /// The connection closes before the call has any effect. The SDK tries again.
    ConnectionDropped,
    /// The call takes effect, and the connection closes without an answer. The SDK tries again.
    AnswerLost,
}

/// The error format of a service, and the permissions of its calls.
#[derive(Debug)]
pub(crate) struct Service {
    /// The prefix of an error's name.
    pub(crate) namespace: &'static str,
    pub(crate) content_type: &'static str,
    pub(crate) internal: &'static str,
    pub(crate) throttled: &'static str,
    /// The actions and resources that a call needs.
    pub(crate) needed: fn(&str, &Value) -> Vec<(String, String)>,
}

/// A request for the service behind the front.
#[derive(Clone, Debug)]
pub(crate) struct AwsRequest {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The front of one service.
#[derive(Debug)]
pub struct AwsFront {
    service: Service,
    state: Mutex<FrontState>,
    /// Counts the calls.
    arrivals: watch::Sender<usize>,
    /// Counts the held calls that have come to their end.
    landings: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct FrontState {
    interruptions: Interruptions,
    policies: Policies,
    calls: Vec<AwsCall>,
    /// The headers of the requests that only opened a connection.
    openings: Vec<HeaderMap>,
    plan: Plan<Selector, AwsCall, AwsFault>,
}

/// The calls of an operation whose request has all of these texts.
#[derive(Debug)]
struct Selector {
    operation: String,
    naming: Vec<String>,
}

impl Selector {
    fn of(operation: &str) -> Self {
        Self { operation: operation.to_owned(), naming: Vec::new() }
    }

    fn naming(operation: &str, naming: &[&str]) -> Self {
        Self { operation: operation.to_owned(), naming: naming.iter().map(|text| (*text).to_owned()).collect() }
    }

    fn selects(&self, call: &AwsCall) -> bool {
        let names = || {
            let text = call.body.to_string();
            self.naming.iter().all(|part| text.contains(part.as_str()))
        };
        self.operation == call.operation && (self.naming.is_empty() || names())
    }
}

impl AwsCall {
    /// The secret as it names it, by name or ARN.
    #[must_use]
    pub fn secret(&self) -> Option<&str> {
        ["SecretId", "Name"].iter().find_map(|member| self.body[member].as_str())
    }

    /// The version of a secret that it writes or asks for.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        ["ClientRequestToken", "VersionId"].iter().find_map(|member| self.body[member].as_str())
    }
}

impl AwsRequest {
    /// The operation that the target header names.
    pub(crate) fn operation(&self) -> &str {
        self.header("x-amz-target").rsplit('.').next().unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn call(&self) -> AwsCall {
        let body = serde_json::from_slice(&self.body).unwrap_or_default();
        AwsCall { operation: self.operation().to_owned(), body }
    }
}

impl AwsFront {
    pub(crate) fn new(service: Service) -> Arc<Self> {
        let (arrivals, landings) = (watch::Sender::new(0), watch::Sender::new(0));
        Arc::new(Self { service, state: Mutex::default(), arrivals, landings })
    }

    /// Takes its interruptions from here.
    pub fn interrupted_by(&self, interruptions: &Interruptions) {
        self.state().interruptions = interruptions.clone();
    }

    /// Refuses what these policies do not allow.
    pub fn guarded_by(&self, policies: &Policies) {
        self.state().policies = policies.clone();
    }

    /// Every call so far, in order of arrival.
    #[must_use]
    pub fn calls(&self) -> Vec<AwsCall> {
        self.state().calls.clone()
    }

    /// The headers of the requests that only opened a connection (`GET /`), in order. They are no calls: nothing else
    /// counts them, and no fault or gate is for them.
    #[must_use]
    pub fn openings(&self) -> Vec<HeaderMap> {
        self.state().openings.clone()
    }

    /// How many calls of an operation came so far.
    #[must_use]
    pub fn count(&self, operation: &str) -> usize {
        self.state().calls.iter().filter(|call| call.operation == operation).count()
    }

    /// Fails the next calls of an operation. The SDK makes up to three attempts of a call, so `times` is 3 for a
    /// failure that its caller sees.
    pub fn fail_next(&self, operation: &str, fault: AwsFault, times: usize) {
        self.state().plan.fail_next(Selector::of(operation), std::iter::repeat_n(fault, times));
    }

    /// Lets calls meet random faults, counted by operation, until [`heal`](Self::heal).
    pub fn set_random_faults(&self, seed: u64, faults: RandomFaults<AwsCall, AwsFault>) {
        self.state().plan.set_random(seed, faults);
    }

    /// Forgets all faults that did not happen yet.
    pub fn heal(&self) {
        self.state().plan.clear();
    }

    /// Holds every call of an operation from now on, until the gate is opened.
    #[must_use]
    pub fn hold(&self, operation: &str, at: At) -> Gate {
        self.hold_from(operation, 1, at)
    }

    /// Holds the calls of an operation from the `nth` next one on (1 is the next), until the gate is opened.
    #[must_use]
    pub fn hold_from(&self, operation: &str, nth: usize, at: At) -> Gate {
        self.state().plan.hold(Selector::of(operation), nth, usize::MAX, at)
    }

    /// Holds every call of an operation whose request has all of these texts, until the gate is opened.
    #[must_use]
    pub fn hold_naming(&self, operation: &str, naming: &[&str], at: At) -> Gate {
        self.state().plan.hold(Selector::naming(operation, naming), 1, usize::MAX, at)
    }

    /// Holds only the next call of an operation whose request has all of these texts. If its caller goes away
    /// meanwhile, it is on its way all the same, and takes effect when the gate is opened.
    #[must_use]
    pub fn hold_one(&self, operation: &str, naming: &[&str], at: At) -> Gate {
        self.state().plan.hold(Selector::naming(operation, naming), 1, 1, at)
    }

    /// Opens the gate that holds one call, and waits until that has taken effect, even if its caller has gone.
    ///
    /// # Panics
    /// It does not within a minute.
    pub async fn land(&self, gate: Gate) {
        let mut landings = self.landings.subscribe();
        landings.borrow_and_update();
        gate.open();
        wire::patiently("the held call", async move { drop(landings.changed().await) }).await;
    }

    /// Waits until an operation was called `count` times since the start.
    ///
    /// # Panics
    /// They don't come within a minute.
    pub async fn wait_for_calls(&self, operation: &str, count: usize) {
        let mut arrivals = self.arrivals.subscribe();
        let all = async {
            while self.count(operation) < count {
                let _ = arrivals.changed().await;
            }
        };
        wire::patiently(&format!("{count} calls of {operation}"), all).await;
    }

    fn state(&self) -> MutexGuard<'_, FrontState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves calls; `effect` is the service itself.
    pub(crate) fn router<R>(
        self: &Arc<Self>,
        effect: impl Fn(AwsRequest) -> R + Clone + Send + Sync + 'static,
    ) -> Router
    where
        R: Future<Output = Response> + Send + 'static,
    {
        let front = self.clone();
        let answer = move |method: Method, headers: HeaderMap, body: Bytes| {
            let (front, effect) = (front.clone(), effect.clone());
            async move {
                if method == Method::GET {
                    front.state().openings.push(headers);
                    return "healthy".into_response();
                }
                front.answer(AwsRequest { headers, body }, effect).await.unwrap_or_else(|| lose_connection())
            }
        };
        Router::new().fallback(answer).layer(DefaultBodyLimit::disable())
    }

    /// The answer after what a test planned for the n-th call of all emulators; `None` closes the connection.
    async fn answer<R>(
        self: Arc<Self>,
        request: AwsRequest,
        effect: impl Fn(AwsRequest) -> R + Clone + Send + Sync + 'static,
    ) -> Option<Response>
    where
        R: Future<Output = Response> + Send + 'static,
    {
        let interruptions = self.state().interruptions.clone();
        let now = interruptions.next(request.operation());
        let perform = {
            let front = self.clone();
            move || front.clone().perform(request.clone(), effect.clone())
        };
        // A call that has arrived takes effect even if its caller goes away, hence the tasks.
        match now {
            CallAction::Nothing => tokio::spawn(perform()).await.ok().flatten(),
            CallAction::Refuse => Some(self.error(StatusCode::INTERNAL_SERVER_ERROR, self.service.internal)),
            CallAction::LoseAnswer => {
                let _ = tokio::spawn(perform()).await;
                None
            }
            CallAction::Twice => {
                let _ = tokio::spawn(perform()).await;
                tokio::spawn(perform()).await.ok().flatten()
            }
            CallAction::Hold(barrier) => {
                if barrier.at == At::Before && barrier.stand().await == Verdict::Lose {
                    return None;
                }
                let answer = tokio::spawn(perform()).await.ok().flatten();
                if barrier.at == At::After && barrier.stand().await == Verdict::Lose { None } else { answer }
            }
            CallAction::Late(barrier) => {
                tokio::spawn(async move {
                    if barrier.stand().await == Verdict::GoOn {
                        perform().await;
                    }
                });
                None
            }
        }
    }

    /// Records a call and performs it as planned; `None` closes the connection.
    async fn perform<R: Future<Output = Response>>(
        self: Arc<Self>,
        request: AwsRequest,
        effect: impl Fn(AwsRequest) -> R,
    ) -> Option<Response> {
        let call = request.call();
        let (fault, barriers, policies) = {
            let mut state = self.state();
            state.calls.push(call.clone());
            let fault = state.plan.fault(&call, &call.operation, |selector| selector.selects(&call));
            (fault, state.plan.barriers(|selector| selector.selects(&call)), state.policies.clone())
        };
        self.arrivals.send_modify(|count| *count += 1);
        let key = iam::key_of(request.header("authorization"));
        if policies.check(key, &(self.service.needed)(&call.operation, &call.body)).is_err() {
            return Some(self.error(StatusCode::BAD_REQUEST, "AccessDeniedException"));
        }
        let answer = async {
            if wire::stand(&barriers, At::Before).await == Verdict::Lose {
                return None;
            }
            if fault == Some(AwsFault::ConnectionDropped) {
                return None;
            }
            if let Some(error) = fault.and_then(|fault| self.error_without_effect(fault)) {
                return Some(error);
            }
            let answer = effect(request).await;
            if wire::stand(&barriers, At::After).await == Verdict::Lose || fault == Some(AwsFault::AnswerLost) {
                return None;
            }
            let refused = fault == Some(AwsFault::RefusedAfterEffect);
            Some(if refused { self.error(StatusCode::INTERNAL_SERVER_ERROR, self.service.internal) } else { answer })
        };
        let answer = answer.await;
        if !barriers.is_empty() {
            self.landings.send_modify(|count| *count += 1);
        }
        answer
    }

    /// The error that a fault answers with, if it keeps the call from having an effect.
    fn error_without_effect(&self, fault: AwsFault) -> Option<Response> {
        let (status, name) = match fault {
            AwsFault::Refused => (StatusCode::INTERNAL_SERVER_ERROR, self.service.internal),
            AwsFault::Throttled => (StatusCode::BAD_REQUEST, self.service.throttled),
            AwsFault::AccessDenied => (StatusCode::BAD_REQUEST, "AccessDeniedException"),
            AwsFault::KeyDenied => (StatusCode::BAD_REQUEST, "DecryptionFailure"),
            AwsFault::RefusedAfterEffect | AwsFault::ConnectionDropped | AwsFault::AnswerLost => return None,
        };
        Some(self.error(status, name))
    }

    fn error(&self, status: StatusCode, name: &str) -> Response {
        let body = json!({ "__type": format!("{}{name}", self.service.namespace), "message": "as a test asked for" });
        let headers = [("content-type", self.service.content_type), ("x-amzn-errortype", name)];
        (status, headers, body.to_string()).into_response()
    }
}

/// Sends a request on to the endpoint of an emulator.
///
/// Clients in this process have regions of their own (see `stack::aws::config`); behind the endpoint there is one.
pub(crate) async fn send_on(
    client: &reqwest::Client,
    endpoint: &str,
    request: AwsRequest,
) -> Option<(StatusCode, HeaderMap, Bytes)> {
    let AwsRequest { mut headers, body } = request;
    let signed_by = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut scope: Vec<&str> = signed_by.split('/').collect();
    if let Some(region) = scope.get_mut(2) {
        *region = REGION;
    }
    if let Ok(value) = scope.join("/").parse() {
        headers.insert("authorization", value);
    }
    for hop in ["host", "connection", "content-length"] {
        headers.remove(hop);
    }
    let response = client.post(endpoint).headers(headers).body(body).send().await.ok()?;
    let (status, mut headers) = (response.status(), response.headers().clone());
    for hop in ["connection", "transfer-encoding", "content-length"] {
        headers.remove(hop);
    }
    Some((status, headers, response.bytes().await.unwrap_or_default()))
}

/// Closes the connection without an answer: the server's task for it unwinds, silently.
fn lose_connection() -> ! {
    std::panic::resume_unwind(Box::new("an answer is lost on purpose"))
}
