//! Every way in which an automation request can end, and the engine's answer.
//!
//! The expectations are written from the contract, not from the code.

mod ours;

use std::time::Duration;

use devstack::hubspot::{Fault, Match, PORTAL};
use devstack::wire::Answer as Sent;
use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::engine::judge::read_reply;
use crate::refresh::planted::plant;
use crate::world::{Answer, World};

/// The engine's answer: the status and the code, or HubSpot's status; the outcome; whether to send it again,
/// and when, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct EngineOutcome(u16, &'static str, &'static str, Again);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    Never,
    /// Whenever the caller likes.
    Any,
    /// After so many seconds.
    In(u64),
    /// After a time that the answer states and the test does not know.
    Told,
}
use Again::{Any, In, Never, Told};

fn assert_ends(answer: &Answer, end: EngineOutcome, context: &str) {
    let reply = read_reply(answer);
    let EngineOutcome(status, code, outcome, again) = end;
    let told = reply.code.as_deref().unwrap_or("-");
    assert_eq!((told, reply.outcome.as_str()), (code, outcome), "{context}: {}", answer.text);
    let seen = if code == "-" { reply.hubspot.unwrap() } else { u64::from(answer.status) };
    assert_eq!(seen, u64::from(status), "{context}: {}", answer.text);
    let expected = match again {
        Never => (false, None),
        Any => (true, None),
        In(seconds) => (true, Some(seconds)),
        Told => (true, Some(reply.retry_after.unwrap_or_else(|| panic!("{context}: {}", answer.text)).max(1))),
    };
    assert_eq!((reply.retryable, reply.retry_after), expected, "{context}: {}", answer.text);
}

const ANSWERED: &str = "answered";
const NOT_SENT: &str = "not_sent";
const UNKNOWN: &str = "unknown";

/// HubSpot's answer, handed on.
const fn handed_on(status: u16, outcome: &'static str, again: Again) -> EngineOutcome {
    EngineOutcome(status, "-", outcome, again)
}

/// HubSpot says the same every time that it is asked: what to answer to what may be repeated, and to a POST or PATCH.
fn hubspots_answers() -> Vec<(&'static str, Fault, EngineOutcome, EngineOutcome)> {
    let same = |name, fault: Fault, end: EngineOutcome| (name, fault, end, end);
    let plain = |status| Fault::Answer(Sent::new(status));
    let kind =
        |status, category: &str| Fault::Answer(Sent::json(status, &json!({"status": "error", "category": category})));
    let wait = |fault: Fault, seconds: &str| fault.header("retry-after", seconds);
    let done = |status| handed_on(status, ANSWERED, Never);
    // A server error: an answer to what may be repeated, and no news of what may not.
    let broken = |name, fault, status, again| {
        (name, fault, handed_on(status, ANSWERED, again), handed_on(status, UNKNOWN, Never))
    };
    let lost = |name, fault| {
        let code = "hubspot_unreachable";
        (name, fault, EngineOutcome(502, code, UNKNOWN, Any), EngineOutcome(502, code, UNKNOWN, Never))
    };
    let late = |name, fault| {
        let code = "hubspot_timeout";
        (name, fault, EngineOutcome(504, code, UNKNOWN, Any), EngineOutcome(504, code, UNKNOWN, Never))
    };
    vec![
        same("200", plain(200), done(200)),
        same("201", plain(201), done(201)),
        same("204", plain(204), done(204)),
        same("207", plain(207), done(207)),
        same("301", Fault::Answer(Sent::redirect(301, "/x")), done(301)),
        same("304", plain(304), done(304)),
        same("307", Fault::Answer(Sent::redirect(307, "https://evil.example/")), done(307)),
        same("400", Fault::status(400), done(400)),
        same("400 with a wait", wait(Fault::status(400), "5"), done(400)),
        same("401 of a young token", kind(401, "EXPIRED_AUTHENTICATION"), done(401)),
        same("401 of another kind", kind(401, "INVALID_AUTHENTICATION"), done(401)),
        same("401 without a body", plain(401), done(401)),
        same("403", kind(403, "FORBIDDEN"), done(403)),
        same("403 for scopes", kind(403, "MISSING_SCOPES"), done(403)),
        same("404 as HTML", Fault::Answer(Sent::html(404, "<h1>no</h1>")), done(404)),
        same("409", kind(409, "CONFLICT"), done(409)),
        same("415", plain(415), done(415)),
        same("422", plain(422), done(422)),
        same("423", Fault::status(423), handed_on(423, ANSWERED, In(2))),
        same("423 with a wait", wait(Fault::status(423), "9"), handed_on(423, ANSWERED, In(9))),
        same("429 of a second", Fault::rate_limited("SECONDLY"), handed_on(429, ANSWERED, In(1))),
        same("429 of ten", Fault::rate_limited("TEN_SECONDLY_ROLLING"), handed_on(429, ANSWERED, In(10))),
        same("429 of a day", Fault::rate_limited("DAILY"), handed_on(429, ANSWERED, In(900))),
        same("429 with a wait", wait(Fault::rate_limited("DAILY"), "40"), handed_on(429, ANSWERED, In(40))),
        same("429 of nobody", plain(429), handed_on(429, ANSWERED, In(10))),
        same("477", Fault::status(477), handed_on(477, ANSWERED, Any)),
        same("477 with a wait", wait(Fault::status(477), "86400"), handed_on(477, ANSWERED, In(86_400))),
        broken("500", Fault::status(500), 500, Any),
        broken("502", Fault::status(502), 502, Any),
        broken("503", Fault::status(503), 503, Any),
        broken("503 with a wait", wait(Fault::status(503), "30"), 503, In(30)),
        broken("504", Fault::status(504), 504, Any),
        broken("524", Fault::status(524), 524, Any),
        broken("a 500 after the effect", Fault::AnswerAfterEffect(Sent::new(500)), 500, Any),
        lost("closed", Fault::Close),
        lost("reset", Fault::Reset),
        lost("closed after the effect", Fault::CloseAfterEffect),
        lost("cut in its head", Fault::Cut(20)),
        lost("shorter than it says", Fault::WrongLength(9)),
        lost("no HTTP", Fault::Raw(b"no\r\n\r\n".to_vec())),
        late("no answer in time", Fault::StallAnswer(Duration::from_secs(9))),
        late("no end in time", Fault::Slow { piece: 1, pause: Duration::from_secs(9) }),
        same("too large", Fault::Answer(Sent::new(200).body(vec![b'x'; 6_100_000])), done(200)),
    ]
}

/// Requests that may be repeated, and those that may not: each on objects and an account of its own.
async fn requests(world: &World, mark: &str) -> Vec<(Value, bool)> {
    let hubspot = &world.stack.hubspot;
    let contact = || format!("/crm/v3/objects/contacts/{}", hubspot.create_object(PORTAL, "contacts", &[]));
    let company = hubspot.create_object(PORTAL, "companies", &[]);
    let contact_id = hubspot.create_object(PORTAL, "contacts", &[]);
    let link = format!("/crm/v4/objects/contacts/{contact_id}/associations/default/companies/{company}");
    let kinds = [
        ("GET", contact(), true),
        ("PUT", link, true),
        ("DELETE", contact(), true),
        ("POST", "/crm/v3/objects/contacts/search".to_owned(), true),
        ("POST", "/crm/v3/objects/contacts".to_owned(), false),
        ("PATCH", contact(), false),
    ];
    let mut requests = Vec::new();
    for (nth, (method, endpoint, idempotent)) in kinds.into_iter().enumerate() {
        let account = format!("{mark}{nth}");
        plant(world, &account, 1).await;
        let body = json!({"properties": {"mark": mark}});
        let mut request = json!({"method": method, "endpoint": endpoint, "body": body});
        if method == "GET" {
            request["query"] = json!({"mark": mark});
        }
        requests.push((json!({"account_id": account, "deadline_ms": 5000, "request": request}), idempotent));
    }
    requests
}

/// Returns true if a fault needs a body to spoil, where HubSpot's answer has none.
fn is_of_the_body(fault: &Fault, request: &Value) -> bool {
    request["request"]["method"] == "DELETE" && matches!(fault, Fault::WrongLength(_) | Fault::Slow { .. })
}

#[tokio::test]
async fn every_hubspot_answer_gets_its_outcome_and_retryability() {
    let world = World::start().await;
    world.stack.hubspot.set_rate_limit(None);
    let mut cases = Vec::new();
    for (nth, (name, fault, repeatable, once)) in hubspots_answers().into_iter().enumerate() {
        let mark = format!("row{nth}-");
        world.stack.hubspot.script_always(Match::api().body(&format!("\"{mark}\"")), fault.clone());
        // A GET's body is not sent.
        world.stack.hubspot.script_always(Match::api().method("GET").target(&format!("mark={mark}")), fault.clone());
        for (request, idempotent) in requests(&world, &mark).await {
            if !is_of_the_body(&fault, &request) {
                cases.push((name, request, if idempotent { repeatable } else { once }));
            }
        }
    }
    let scopes =
        ["read", "write"].map(|what| [format!("crm.objects.contacts.{what}"), format!("crm.objects.companies.{what}")]);
    let scopes: Vec<&str> = scopes.iter().flatten().map(String::as_str).collect();
    world.stack.hubspot.set_granted_scopes(PORTAL, &scopes);
    let execute = |(name, request, end)| {
        let world = &world;
        async move { (name, world.execute(&request).await, request, end) }
    };

    let ended: Vec<_> = futures_util::stream::iter(cases).map(execute).buffer_unordered(16).collect().await;

    let mut again = Vec::new();
    for (name, answer, request, end) in ended {
        assert_ends(&answer, end, &format!("{name} to {}", request["request"]));
        if end.3 != Never {
            again.push((name, request, handed_on(0, ANSWERED, Never)));
        }
    }
    // A request that is retried as its answer says succeeds once HubSpot has recovered.
    world.stack.hubspot.clear_scripts();
    world.pass(Duration::from_secs(86_401));
    let ended: Vec<_> = futures_util::stream::iter(again).map(execute).buffer_unordered(16).collect().await;
    assert!(ended.len() > 100, "{}", ended.len());
    for (name, answer, request, _) in ended {
        let reply = read_reply(&answer);
        let status = reply.hubspot.filter(|status| (200..300).contains(status));
        assert!(status.is_some() && !reply.retryable, "{name} to {}: {}", request["request"], answer.text);
    }
}
