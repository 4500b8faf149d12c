//! One connection: read, record, act, answer, or misbehave as planned.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpStream;

use super::fault::Fault;
use super::journal::RecordedRequest;
use super::{Inner, routes};
use crate::interrupt::{CallAction, TOKEN_ENDPOINT};
use crate::wire::{self, Answer, At, Framing, Head, ReadError, Verdict, Wire};

/// The end of the connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ConnectionState {
    Open,
    Close,
    Reset,
}

pub(super) async fn connection(socket: TcpStream, shared: Arc<Inner>) {
    let number = shared.connections.fetch_add(1, Ordering::SeqCst) as u64 + 1;
    let mut wire = Wire::new(socket);
    loop {
        match shared.serve(&mut wire, number).await {
            ConnectionState::Open => {}
            ConnectionState::Close => return,
            ConnectionState::Reset => return wire.reset(),
        }
    }
}

impl Inner {
    async fn serve(self: &Arc<Self>, wire: &mut Wire, number: u64) -> ConnectionState {
        let head = match wire.head().await {
            Ok(head) => head,
            Err(broken) => return self.broken(wire, broken, number).await,
        };
        let mut request = RecordedRequest {
            method: head.method.clone(),
            target: head.target.clone(),
            headers: head.headers.clone(),
            ..self.recorded(head.raw.clone(), number)
        };
        if request.is_opening() {
            self.state().openings.push(request);
            return send(wire, &head, &Answer::html(404, "<h1>Not Found</h1>"), &Fault::Pass).await;
        }
        let unread = self.state().plan.fault_if(
            |matching| matching.fits_head(&request),
            |matching, fault| matching.is_by_head() && fault.leaves_body_unread(),
        );
        if let Some(fault) = unread {
            self.record(request);
            if let Fault::AnswerUnread(answer) = fault {
                wire.send_last(&answer.bytes(true, true)).await;
            }
            return ConnectionState::Close;
        }
        match wire.body(&head).await {
            Ok((body, raw)) => {
                (request.body, request.raw, request.complete) = (body, raw, true);
            }
            Err(broken) => return self.broken(wire, broken, number).await,
        }
        let (fault, barriers) = {
            let plan = &mut self.state().plan;
            let kind = format!("{} {}", request.method, request.target);
            let fault = plan.fault(&request, &kind, |matching| matching.fits(&request)).unwrap_or(Fault::Pass);
            (fault, plan.barriers(|matching| matching.fits(&request)))
        };
        self.record(request.clone());
        let fault = match self.interrupted(&request).await {
            Some(Fault::Pass) => fault,
            Some(fault) => fault,
            None => return ConnectionState::Close,
        };
        if wire::stand(&barriers, At::Before).await == Verdict::Lose {
            return ConnectionState::Close;
        }
        let Some(answer) = self.act(&request, &fault).await else {
            return if fault == Fault::Reset { ConnectionState::Reset } else { ConnectionState::Close };
        };
        if wire::stand(&barriers, At::After).await == Verdict::Lose {
            return ConnectionState::Close;
        }
        send(wire, &head, &answer, &fault).await
    }

    /// The test's plan for the n-th call of all emulators; nothing when the connection closes at once.
    async fn interrupted(self: &Arc<Self>, request: &RecordedRequest) -> Option<Fault> {
        if request.path().starts_with("/oauth/authorize") {
            return Some(Fault::Pass);
        }
        let interruptions = self.state().interruptions.clone();
        match interruptions.next(if request.is_oauth() { TOKEN_ENDPOINT } else { "HubSpot's API" }) {
            // Nothing repeats a request to HubSpot unasked.
            CallAction::Nothing | CallAction::Twice => Some(Fault::Pass),
            CallAction::Refuse => Some(Fault::status(503)),
            CallAction::LoseAnswer => Some(Fault::CloseAfterEffect),
            CallAction::Hold(barrier) if barrier.at == At::Before => {
                (barrier.stand().await == Verdict::GoOn).then_some(Fault::Pass)
            }
            CallAction::Hold(barrier) => {
                let answer = routes::answer(&mut self.state().app, request);
                (barrier.stand().await == Verdict::GoOn).then_some(Fault::Answer(answer))
            }
            CallAction::Late(barrier) => {
                let (shared, request) = (self.clone(), request.clone());
                tokio::spawn(async move {
                    if barrier.stand().await == Verdict::GoOn {
                        routes::answer(&mut shared.state().app, &request);
                    }
                });
                None
            }
        }
    }

    /// The effect and its answer; nothing when there is to be neither.
    async fn act(&self, request: &RecordedRequest, fault: &Fault) -> Option<Answer> {
        match fault {
            Fault::Answer(answer) => return Some(answer.clone()),
            Fault::Echo => return Some(echo(request)),
            // Its bytes take the place of this one when it is sent.
            Fault::Raw(_) => return Some(Answer::new(200)),
            Fault::Close | Fault::Reset | Fault::CloseUnread | Fault::AnswerUnread(_) => return None,
            Fault::Stall(time) => tokio::time::sleep(*time).await,
            Fault::Pass
            | Fault::AnswerAfterEffect(_)
            | Fault::CloseAfterEffect
            | Fault::Cut(_)
            | Fault::CutBody(_)
            | Fault::StallBody(_)
            | Fault::StallAnswer(_)
            | Fault::Slow { .. }
            | Fault::Endless
            | Fault::Long(_)
            | Fault::WrongLength(_) => {}
        }
        let answer = {
            let mut state = self.state();
            let answer = routes::answer(&mut state.app, request);
            state.acted.push((request.clone(), answer.status));
            answer
        };
        if let Fault::StallAnswer(time) = fault {
            tokio::time::sleep(*time).await;
        }
        if let Fault::AnswerAfterEffect(other) = fault {
            return Some(other.clone());
        }
        (*fault != Fault::CloseAfterEffect).then_some(answer)
    }

    /// Bytes that are no whole request are recorded too.
    async fn broken(&self, wire: &mut Wire, broken: ReadError, number: u64) -> ConnectionState {
        if !broken.raw.is_empty() {
            self.record(self.recorded(broken.raw, number));
        }
        if broken.malformed {
            let _ = wire.send(&Answer::html(400, "<h1>Bad Request</h1>").bytes(true, true)).await;
        }
        ConnectionState::Close
    }

    /// Bytes of which it is not known what they say.
    fn recorded(&self, raw: Vec<u8>, connection: u64) -> RecordedRequest {
        let at = self.state().app.now();
        RecordedRequest { raw, at, connection, ..RecordedRequest::default() }
    }

    fn record(&self, request: RecordedRequest) {
        self.state().journal.push(request);
        self.seen.send_modify(|count| *count += 1);
    }
}

async fn send(wire: &mut Wire, head: &Head, answer: &Answer, fault: &Fault) -> ConnectionState {
    if let Some(bytes) = spoiled(answer, fault) {
        let _ = wire.send(&bytes).await;
        return ConnectionState::Close;
    }
    if let Fault::StallBody(after) = fault {
        // An answer without a body is whole: its connection must not be used again.
        let head = answer.head(&Framing::Length(answer.body.len()), true);
        let part = &answer.body[..answer.body.len().min(*after)];
        if wire.send(&[head.as_slice(), part].concat()).await.is_ok() {
            wire.until_gone().await;
        }
        return ConnectionState::Close;
    }
    if let Fault::Endless | Fault::Long(_) = fault {
        filled(wire, answer, fault).await;
        return ConnectionState::Close;
    }
    let close = !head.keep_alive;
    let sent = if let Fault::Slow { piece, pause } = fault {
        slow(wire, answer, *piece, *pause, close).await
    } else {
        wire.send(&answer.bytes(close, head.method != "HEAD")).await
    };
    if sent.is_err() || close { ConnectionState::Close } else { ConnectionState::Open }
}

/// Bytes after which the connection can only be closed.
fn spoiled(answer: &Answer, fault: &Fault) -> Option<Vec<u8>> {
    if let Fault::Raw(bytes) = fault {
        return Some(bytes.clone());
    }
    if let Fault::Cut(after) = fault {
        let mut bytes = answer.bytes(false, true);
        bytes.truncate(*after);
        return Some(bytes);
    }
    if let Fault::CutBody(after) = fault {
        let part = &answer.body[..answer.body.len().min(*after)];
        return Some([answer.head(&Framing::Length(answer.body.len()), false).as_slice(), part].concat());
    }
    let Fault::WrongLength(by) = fault else { return None };
    let length = i64::try_from(answer.body.len()).unwrap_or_default() + by;
    let length = Framing::Length(usize::try_from(length).unwrap_or_default());
    Some([answer.head(&length, true), answer.body.clone()].concat())
}

async fn slow(wire: &mut Wire, answer: &Answer, piece: usize, pause: Duration, close: bool) -> std::io::Result<()> {
    wire.send(&answer.head(&Framing::Length(answer.body.len()), close)).await?;
    for part in answer.body.chunks(piece.max(1)) {
        tokio::time::sleep(pause).await;
        wire.send(part).await?;
    }
    Ok(())
}

/// Sends as much as it takes, or until the client goes away.
async fn filled(wire: &mut Wire, answer: &Answer, fault: &Fault) {
    const PIECE: usize = 0x2000;
    let filler = [b'x'; PIECE];
    if let Fault::Long(length) = fault {
        let mut sent = wire.send(&answer.head(&Framing::Length(*length), true)).await;
        for at in (0..*length).step_by(PIECE) {
            if sent.is_err() {
                return;
            }
            sent = wire.send(&filler[..PIECE.min(length - at)]).await;
        }
        return;
    }
    let chunk = [b"2000\r\n".as_slice(), &filler, b"\r\n"].concat();
    if wire.send(&answer.head(&Framing::Chunked, true)).await.is_ok() {
        while wire.send(&chunk).await.is_ok() {}
    }
}

fn echo(request: &RecordedRequest) -> Answer {
    let header = |(name, value): &(String, Vec<u8>)| json!([name, String::from_utf8_lossy(value)]);
    let headers: Vec<Value> = request.headers.iter().map(header).collect();
    let body =
        json!({ "method": request.method, "target": request.target, "headers": headers, "body": request.text() });
    Answer::json(200, &body)
}
