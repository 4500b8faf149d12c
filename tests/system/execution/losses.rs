//! Lost, cut, wrong and late answers to every kind of request: how often HubSpot gets it, and the engine's answer.
//!
//! The expectations are written out here from the design and do not use the product's own rule.

use std::time::{Duration, Instant};

use devstack::hubspot::{Fault, Match, PORTAL};
use devstack::wire::Answer;
use futures_util::StreamExt;
use futures_util::stream;
use serde_json::{Value, json};

use super::{connected, to, with};
use crate::world::World;

/// Cases under way at once.
const AT_ONCE: usize = 16;
/// The deadline of what never ends by itself.
const PATIENCE: Duration = Duration::from_secs(4);

/// A kind of request.
#[derive(Clone, Debug)]
struct RequestKind {
    /// True if sending it twice does what sending it once does.
    harmless: bool,
    /// The status of HubSpot's own answer.
    status: u16,
    request: Value,
}

impl RequestKind {
    fn has_body(&self) -> bool {
        self.status != 204
    }
}

/// The seven kinds of request that the design tells apart, on objects that exist.
fn kinds(world: &World) -> [RequestKind; 7] {
    let kind = |harmless, status, request| RequestKind { harmless, status, request };
    let hubspot = &world.stack.hubspot;
    let [read, changed, gone] = [(); 3].map(|()| hubspot.create_object(PORTAL, "contacts", &[]));
    let call = hubspot.create_object(PORTAL, "calls", &[]);
    let contacts = "/crm/v3/objects/contacts";
    let properties = json!({"body": {"properties": {"firstname": "Jane"}}});
    let association = format!("/crm/v4/objects/calls/{call}/associations/default/contacts/{read}");
    [
        kind(true, 200, to("GET", &format!("{contacts}/{read}"))),
        kind(true, 200, with(to("POST", &format!("{contacts}/search")), &json!({"body": {"limit": 1}}))),
        kind(true, 200, with(to("POST", &format!("{contacts}/batch/read")), &json!({"body": {"inputs": []}}))),
        kind(false, 201, with(to("POST", contacts), &properties)),
        kind(false, 200, with(to("PATCH", &format!("{contacts}/{changed}")), &properties)),
        kind(true, 200, to("PUT", &association)),
        kind(true, 204, to("DELETE", &format!("{contacts}/{gone}"))),
    ]
}

/// How an attempt that meets a trouble ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// Without a whole answer.
    Lost,
    /// With an answer of this status.
    Answered(u16),
    /// With HubSpot's own answer, as far as can be seen.
    Whole,
    /// Without a whole answer if that has a body; what follows an answer without one is of no account.
    LostInBody,
}

/// The fault.
#[derive(Clone, Debug)]
struct Trouble {
    fault: Fault,
    ends: Ends,
    /// True if HubSpot acts on a request all the same.
    acts: bool,
    /// How many attempts the design allows, if all of them meet it: of a harmless request and of any other.
    attempts: (u32, u32),
}

/// A table row: the fault, how it ends, whether HubSpot acts, the attempts of a harmless request.
fn trouble(fault: Fault, ends: Ends, acts: bool, attempts: u32) -> Trouble {
    Trouble { fault, ends, acts, attempts: (attempts, 1) }
}

fn raw(bytes: &(impl AsRef<[u8]> + ?Sized)) -> Fault {
    Fault::Raw(bytes.as_ref().to_vec())
}

/// Connections that end, or answers that do before they are whole.
fn losses() -> Vec<Trouble> {
    let mut losses = vec![
        trouble(Fault::Close, Ends::Lost, false, 3),
        trouble(Fault::CloseUnread, Ends::Lost, false, 3),
        trouble(Fault::Reset, Ends::Lost, false, 3),
        trouble(Fault::CloseAfterEffect, Ends::Lost, true, 3),
        trouble(Fault::CutBody(0), Ends::LostInBody, true, 3),
        trouble(Fault::CutBody(11), Ends::LostInBody, true, 3),
        trouble(Fault::WrongLength(1), Ends::LostInBody, true, 3),
        trouble(Fault::WrongLength(9), Ends::LostInBody, true, 3),
        // Nobody can see that more bytes were meant.
        trouble(Fault::WrongLength(-9), Ends::Whole, true, 1),
        trouble(Fault::CutBody(usize::MAX), Ends::Whole, true, 1),
    ];
    // Nothing, one byte, in the status line, at its end, in the first header.
    losses.extend([0, 1, 9, 12, 17, 24].map(|after| trouble(Fault::Cut(after), Ends::Lost, true, 3)));
    losses
}

/// Answers that are not HTTP, or odd HTTP.
fn nonsense() -> Vec<Trouble> {
    let lost: [&[u8]; 12] = [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\0\0\0\0\0\0\0\0",
        b"\x15\x03\x01\x00\x02\x02\x28",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"<html><body>Bad gateway</body></html>\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}}",
        b"HTTP/1.1 200 OK\r\ncontent-length: two\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"a\"",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200",
    ];
    let answered: [&[u8]; 4] = [
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\n\r\n{}",
        b"HTTP/1.1 200\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    ];
    let lost = lost.map(|bytes| trouble(raw(bytes), Ends::Lost, false, 3));
    lost.into_iter().chain(answered.map(|bytes| trouble(raw(bytes), Ends::Answered(200), false, 1))).collect()
}

/// Answers that are no success, before and after the effect; and those that come before the body is read.
fn statuses() -> Vec<Trouble> {
    let mut statuses = Vec::new();
    let rows =
        [(500, None, 1), (501, None, 1), (502, None, 3), (503, None, 3), (503, Some("1"), 3), (503, Some("9"), 1)];
    for (status, retry_after, attempts) in rows.into_iter().chain([(504, None, 3), (524, None, 3)]) {
        let answer = retry_after
            .into_iter()
            .fold(Answer::html(status, "<h1>No</h1>"), |answer, seconds| answer.header("retry-after", seconds));
        let ends = Ends::Answered(status);
        statuses.push(trouble(Fault::Answer(answer.clone()), ends, false, attempts));
        statuses.push(trouble(Fault::AnswerUnread(answer.clone()), ends, false, attempts));
        statuses.push(trouble(Fault::AnswerAfterEffect(answer), ends, true, attempts));
    }
    // What pauses the portal, 429 and 477, would end the cases beside it: forms.rs has those.
    let others = [200, 304, 400, 408, 409, 413, 451];
    let answered = |status| trouble(Fault::Answer(Answer::html(status, "")), Ends::Answered(status), false, 1);
    statuses.extend(others.map(answered));
    statuses.push(trouble(Fault::AnswerUnread(Answer::html(413, "")), Ends::Answered(413), false, 1));
    statuses
}

/// Answers that never end by themselves: one attempt each, since it uses the whole deadline.
fn stalls() -> Vec<Trouble> {
    let hour = Duration::from_secs(3600);
    vec![
        trouble(Fault::Stall(hour), Ends::Lost, false, 1),
        trouble(Fault::StallAnswer(hour), Ends::Lost, true, 1),
        trouble(Fault::StallBody(0), Ends::LostInBody, true, 1),
        trouble(Fault::StallBody(11), Ends::LostInBody, true, 1),
        trouble(Fault::Slow { piece: 1, pause: Duration::from_millis(500) }, Ends::LostInBody, true, 1),
    ]
}

/// One request that meets one trouble, at first only or always.
#[derive(Clone, Debug)]
struct Case {
    number: usize,
    kind: RequestKind,
    trouble: Trouble,
    always: bool,
    stalls: bool,
}

/// How a case ends.
#[derive(Debug, PartialEq, Eq)]
struct CaseEnd {
    /// Requests that HubSpot got, and those it acted on.
    at_hubspot: (usize, usize),
    /// HubSpot's status, or our code.
    says: String,
    outcome: &'static str,
    retryable: bool,
    attempts: Option<u64>,
}

impl Case {
    /// Requests of this case only.
    fn own(&self) -> Match {
        Match::api().target(&format!("case={:05}", self.number))
    }

    fn ends(&self) -> Ends {
        match self.trouble.ends {
            Ends::LostInBody if self.kind.has_body() => Ends::Lost,
            Ends::LostInBody | Ends::Whole => Ends::Answered(self.kind.status),
            ends @ (Ends::Lost | Ends::Answered(_)) => ends,
        }
    }

    /// The rule of the design: what HubSpot may have acted on is sent again only if that is harmless; lost answers of
    /// such requests, and 502, 503, 504 and 524, up to three times; every other answer is the end.
    fn expected(&self) -> CaseEnd {
        let harmless = self.kind.harmless;
        let allowed = if harmless { self.trouble.attempts.0 } else { self.trouble.attempts.1 };
        let allowed = if matches!(self.ends(), Ends::Answered(..500)) { 1 } else { allowed };
        let (made, last) = match (self.always, allowed) {
            (_, 1) => (1, self.ends()),
            (true, all) => (all, self.ends()),
            (false, _) => (2, Ends::Answered(self.kind.status)),
        };
        let made = usize::try_from(made).unwrap();
        let passed = usize::from(!self.always && made == 2);
        let acted = if self.trouble.acts { made } else { passed };
        let may_be_unknown = |known| if harmless { known } else { "unknown" };
        let (says, outcome, retryable) = match last {
            Ends::Answered(status @ 500..) => (status.to_string(), may_be_unknown("answered"), harmless),
            Ends::Answered(status) => (status.to_string(), "answered", false),
            Ends::Lost | Ends::LostInBody | Ends::Whole if self.stalls => {
                ("hubspot_timeout".to_owned(), "unknown", harmless)
            }
            Ends::Lost | Ends::LostInBody | Ends::Whole => ("hubspot_unreachable".to_owned(), "unknown", harmless),
        };
        let attempts = matches!(last, Ends::Answered(_)).then_some(made as u64);
        CaseEnd { at_hubspot: (made, acted), says, outcome, retryable, attempts }
    }

    async fn run(&self, world: &World) -> CaseEnd {
        let hubspot = &world.stack.hubspot;
        if self.always {
            hubspot.script_always(self.own(), self.trouble.fault.clone());
        } else {
            hubspot.script(self.own(), [self.trouble.fault.clone(), Fault::Pass]);
        }
        let mut request = self.kind.request.clone();
        request["request"]["query"] = json!({"case": format!("{:05}", self.number)});
        if self.stalls {
            request["deadline_ms"] = json!(PATIENCE.as_millis());
        }
        let began = Instant::now();
        let answer = world.execute(&request).await;
        // A busy machine is slow, but nothing near the function's own deadline.
        assert!(began.elapsed() < Duration::from_secs(15), "{self:?}: {:?}", began.elapsed());
        let says = match answer.body["hubspot"]["status"].as_u64() {
            Some(status) => status.to_string(),
            None => answer.code().to_owned(),
        };
        let known = ["answered", "not_sent", "unknown"].into_iter().find(|known| answer.body["outcome"] == **known);
        CaseEnd {
            at_hubspot: (hubspot.count(&self.own()), hubspot.acted(&self.own())),
            says,
            outcome: known.unwrap_or("-"),
            retryable: answer.body["retryable"].as_bool().unwrap(),
            attempts: answer.body["attempts"].as_u64(),
        }
    }
}

/// Every kind of request with every trouble, once and always.
async fn assert_all(world: &World, troubles: Vec<Trouble>, stalls: bool) -> usize {
    let kinds = kinds(world);
    let contacts = world.stack.hubspot.objects(PORTAL, "contacts").len();
    // So that no case has to note the use.
    world.execute(&to("GET", "/crm/v3/owners")).await;
    let mut cases = Vec::new();
    for (trouble, kind) in troubles.iter().flat_map(|trouble| kinds.iter().map(move |kind| (trouble, kind))) {
        for always in [false, true] {
            let (kind, trouble) = (kind.clone(), trouble.clone());
            cases.push(Case { number: cases.len(), kind, trouble, always, stalls });
        }
    }
    let run = |case: Case| async move {
        let mut end = case.run(world).await;
        // The answer of an earlier case may have closed a connection that this one has just taken from the pool: its
        // request never arrives, which the function cannot know. HubSpot's journal does, so the case runs again.
        if end.at_hubspot.0 == 0 && case.expected().at_hubspot.0 > 0 && end.outcome == "unknown" {
            end = case.run(world).await;
        }
        (end, case)
    };
    let ended: Vec<(CaseEnd, Case)> = stream::iter(cases).map(run).buffer_unordered(AT_ONCE).collect().await;

    let wrong: Vec<String> = ended
        .iter()
        .filter(|(end, case)| *end != case.expected())
        .map(|(end, case)| format!("{case:?}\n  is      {end:?}\n  must be {:?}", case.expected()))
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), ended.len(), wrong.join("\n"));
    let created: usize =
        ended.iter().filter(|(_, case)| case.kind.status == 201).map(|(end, _)| end.at_hubspot.1).sum();
    // One contact is the one that is deleted, if at all.
    let now = world.stack.hubspot.objects(PORTAL, "contacts").len();
    assert!((contacts + created - 1..=contacts + created).contains(&now), "{contacts} and {created} make {now}");
    ended.len()
}

#[tokio::test]
async fn a_lost_or_wrong_answer_never_doubles_a_write_and_the_engine_learns_it() {
    let world = connected().await;
    let troubles: Vec<Trouble> = [losses(), nonsense(), statuses()].into_iter().flatten().collect();

    let cases = assert_all(&world, troubles, false).await;

    assert_eq!(cases, 896);
}

#[tokio::test]
async fn what_stalls_ends_at_the_deadline_and_is_not_sent_again() {
    let world = connected().await;

    let cases = assert_all(&world, stalls(), true).await;

    assert_eq!(cases, 70);
}

#[tokio::test]
async fn an_answer_that_comes_before_a_large_body_was_read_is_the_answer() {
    let world = connected().await;
    let large = json!({"body": {"properties": {"firstname": "x".repeat(900_000)}}});

    for (status, outcome) in [(413, "answered"), (401, "answered"), (503, "unknown"), (201, "answered")] {
        world.stack.hubspot.forget_requests();
        world.stack.hubspot.script(Match::api(), [Fault::AnswerUnread(Answer::html(status, "<h1>Early</h1>"))]);
        let answer = world.execute(&with(to("POST", "/crm/v3/objects/contacts"), &large)).await;

        assert_eq!((answer.status, &answer.body["hubspot"]["status"]), (200, &json!(status)), "{}", answer.text);
        assert_eq!((&answer.body["outcome"], &answer.body["retryable"]), (&json!(outcome), &json!(false)), "{status}");
        let hubspot = &world.stack.hubspot;
        assert_eq!((hubspot.count(&Match::api()), hubspot.acted(&Match::api())), (1, 0), "{status}");
    }
}
