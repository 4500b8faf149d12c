//! One connection: read, act, answer, or do what a test planned instead.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::operations::{self, Refusal};
use super::{Call, FaultKind, Inner};
use crate::iam;
use crate::interrupt::Now;
use crate::wire::{Answer, At, Barrier, Head, Verdict, Wire};

pub(super) async fn connection(socket: TcpStream, shared: Arc<Inner>) {
    let mut wire = Wire::new(socket);
    while let Ok(head) = wire.head().await {
        let Ok((body, _)) = wire.body(&head).await else { return };
        let Some(answer) = shared.interrupted(&head, &body).await else { return };
        if wire.send(&answer.bytes(!head.keep_alive, true)).await.is_err() || !head.keep_alive {
            return;
        }
    }
}

impl Inner {
    /// The answer, or nothing when the connection is to be closed without one; or what a test planned for the n-th
    /// call of all stand-ins.
    async fn interrupted(self: &Arc<Self>, head: &Head, body: &[u8]) -> Option<Answer> {
        let Ok((operation, value)) = parse(head, body) else { return self.answer(head, body).await };
        let interruptions = self.state().interruptions.clone();
        match interruptions.next(&operation) {
            Now::Nothing => self.answer(head, body).await,
            Now::Refuse => Some(internal()),
            Now::LoseAnswer => {
                self.answer(head, body).await;
                None
            }
            Now::Twice => {
                self.answer(head, body).await;
                self.answer(head, body).await
            }
            Now::Hold(barrier) => {
                if barrier.at == At::Before && barrier.stand().await == Verdict::Lose {
                    return None;
                }
                let answer = self.answer(head, body).await;
                let lost = barrier.at == At::After && barrier.stand().await == Verdict::Lose;
                answer.filter(|_| !lost)
            }
            Now::Late(barrier) => {
                let shared = self.clone();
                tokio::spawn(async move {
                    if barrier.stand().await == Verdict::GoOn {
                        let _ = operations::perform(&mut shared.state().vault, &operation, &value);
                    }
                });
                None
            }
        }
    }

    /// The answer, or nothing when the connection is to be closed without one.
    async fn answer(&self, head: &Head, body: &[u8]) -> Option<Answer> {
        let (operation, body) = match parse(head, body) {
            Ok(call) => call,
            Err(refusal) => return Some(error(400, &refusal)),
        };
        let (fault, barriers) = self.record(&operation, &body);
        let policies = self.state().policies.clone();
        let needed = iam::needed_by_secrets_manager(&operation, &body);
        if let Err(refusal) = policies.check(iam::key_of(header(head, "authorization")), &needed) {
            return Some(error(400, &Refusal("AccessDeniedException", refusal)));
        }
        if stand(&barriers, At::Before).await == Verdict::Lose {
            return None;
        }
        match fault {
            Some(FaultKind::Error) => return Some(internal()),
            Some(FaultKind::Throttle) => return Some(planned("ThrottlingException")),
            Some(FaultKind::AccessDenied) => return Some(planned("AccessDeniedException")),
            Some(FaultKind::KeyDenied) => return Some(planned("DecryptionFailure")),
            Some(FaultKind::ConnectionDropped) => return None,
            Some(FaultKind::Stall(time)) => tokio::time::sleep(time).await,
            Some(FaultKind::ErrorAfterEffect | FaultKind::AnswerLost) | None => {}
        }
        let outcome = operations::perform(&mut self.state().vault, &operation, &body);
        if stand(&barriers, At::After).await == Verdict::Lose {
            return None;
        }
        match (fault, outcome) {
            (Some(FaultKind::ErrorAfterEffect), _) => Some(internal()),
            (Some(FaultKind::AnswerLost), _) => None,
            (_, Ok(value)) => Some(answer(200, &value)),
            (_, Err(refusal)) => Some(error(400, &refusal)),
        }
    }

    fn record(&self, operation: &str, body: &Value) -> (Option<FaultKind>, Vec<Barrier>) {
        let text = |members: &[&str]| members.iter().find_map(|member| body[member].as_str()).map(str::to_owned);
        let call = Call {
            operation: operation.to_owned(),
            secret: text(&["SecretId", "Name"]),
            version: text(&["ClientRequestToken", "VersionId"]),
            body: body.clone(),
        };
        let mut state = self.state();
        let nth = state.calls.len();
        state.calls.push(call);
        let fault = state.faults.iter().position(|(name, _)| name == operation);
        let fault = fault.map(|index| state.faults.remove(index).1);
        let fault = fault.or_else(|| state.weather.and_then(|(seed, weather)| weather(seed, operation, nth)));
        state.barriers.retain(|planned| !planned.barrier.is_open());
        let mut barriers = Vec::new();
        for planned in state.barriers.iter_mut().filter(|planned| planned.operation == operation) {
            if planned.pass == 0 {
                barriers.push(planned.barrier.clone());
            }
            planned.pass = planned.pass.saturating_sub(1);
        }
        drop(state);
        self.seen.send_modify(|count| *count += 1);
        (fault, barriers)
    }
}

async fn stand(barriers: &[Barrier], at: At) -> Verdict {
    for barrier in barriers.iter().filter(|barrier| barrier.at == at) {
        if barrier.stand().await == Verdict::Lose {
            return Verdict::Lose;
        }
    }
    Verdict::GoOn
}

fn parse(head: &Head, body: &[u8]) -> Result<(String, Value), Refusal> {
    let header = |wanted: &str| header(head, wanted);
    let refusal = |name, words: &str| Err(Refusal(name, words.to_owned()));
    let Some(operation) = header("x-amz-target").strip_prefix("secretsmanager.") else {
        return refusal("UnknownOperationException", "No operation of Secrets Manager is named.");
    };
    if head.method != "POST" || head.target != "/" || header("content-type") != "application/x-amz-json-1.1" {
        return refusal("UnknownOperationException", "This is no call in awsJson 1.1.");
    }
    if !header("authorization").starts_with("AWS4-HMAC-SHA256 ") {
        return refusal("MissingAuthenticationTokenException", "Missing Authentication Token");
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => Ok((operation.to_owned(), Value::Object(members))),
        _ => refusal("SerializationException", "The body is no JSON object."),
    }
}

fn header<'a>(head: &'a Head, wanted: &str) -> &'a str {
    let found = head.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
    found.map_or("", |(_, value)| std::str::from_utf8(value).unwrap_or_default())
}

fn answer(status: u16, body: &Value) -> Answer {
    let id = uuid::Uuid::now_v7().to_string();
    let answer = Answer::new(status).header("x-amzn-requestid", &id);
    answer.header("content-type", "application/x-amz-json-1.1").body(body.to_string())
}

fn error(status: u16, Refusal(name, message): &Refusal) -> Answer {
    answer(status, &json!({ "__type": name, "message": message })).header("x-amzn-errortype", name)
}

fn planned(name: &'static str) -> Answer {
    error(400, &Refusal(name, "As a test asked for.".to_owned()))
}

fn internal() -> Answer {
    error(500, &Refusal("InternalServiceError", "As a test asked for.".to_owned()))
}
