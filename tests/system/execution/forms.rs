//! Every form of answer that HubSpot, or the edge in front of it, is reported to give, for every kind of method.

use devstack::hubspot::{Fault, Match, REPORTED};
use devstack::wire::Answer;
use serde_json::{Value, json};

use super::{connected, tamper, to, with};
use crate::world::{ACCOUNT, World};

/// The attributes of a record by which an answer is known to all functions.
const ATTRIBUTES: [&str; 4] = ["cooldown_until", "search_cooldown_until", "hub", "proof_requested_at"];

/// The end of an execution: outcome, retryability, attempts.
type ExecutionEnd = (&'static str, bool, u64);

/// One form: the answer, its ends for idempotent requests and for others, the seconds after which one that may be sent
/// again should be, what is recorded of a search and of others.
struct Form {
    name: &'static str,
    answer: Answer,
    idempotent: ExecutionEnd,
    other: ExecutionEnd,
    wait: Option<u64>,
    recorded: [&'static [&'static str]; 2],
}

const ANSWERED: ExecutionEnd = ("answered", false, 1);

impl Form {
    /// A form that ends everything at once and is recorded nowhere.
    fn new(name: &'static str, answer: Answer) -> Self {
        Self { name, answer, idempotent: ANSWERED, other: ANSWERED, wait: None, recorded: [&[], &[]] }
    }

    fn ends(mut self, idempotent: ExecutionEnd, other: ExecutionEnd) -> Self {
        self.idempotent = idempotent;
        self.other = other;
        self
    }

    fn wait(mut self, seconds: u64) -> Self {
        self.wait = Some(seconds);
        self
    }

    fn records(mut self, search: &'static [&'static str], other: &'static [&'static str]) -> Self {
        self.recorded = [search, other];
        self
    }
}

fn error(status: u16, fields: &Value) -> Answer {
    let mut body = json!({"status": "error", "message": "As reported.", "correlationId": "c"});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    Answer::json(status, &body)
}

/// A page of the edge.
fn edge(status: u16) -> Answer {
    Answer::html(status, "<html><title>cloudflare</title></html>").header("cf-ray", "8a1b2c3d4e5f-FRA")
}

fn limited(policy: &str) -> Answer {
    error(429, &json!({"errorType": "RATE_LIMIT", "policyName": policy}))
}

/// Answers without a HubSpot rate limit or failure.
fn plain_forms() -> Vec<Form> {
    let proof: [&'static [&'static str]; 2] = [&["proof_requested_at"]; 2];
    vec![
        Form::new("invalid token", error(401, &json!({"category": "INVALID_AUTHENTICATION"})))
            .records(proof[0], proof[1]),
        Form::new("young token called expired", error(401, &json!({"category": "EXPIRED_AUTHENTICATION"})))
            .records(proof[0], proof[1]),
        Form::new("empty 401", Answer::new(401)),
        Form::new("401 for one path", error(401, &json!({"message": "credentials not found"}))),
        Form::new("ok", Answer::json(200, &json!({"results": []}))),
        Form::new("created instead of ok", Answer::json(201, &json!({}))),
        Form::new("accepted instead of ok", Answer::json(202, &json!({}))),
        Form::new("GraphQL with errors", Answer::json(200, &json!({"data": null, "errors": [{}]}))),
        Form::new("batch with failures", Answer::json(207, &json!({"numErrors": 1, "errors": [{}]}))),
        Form::new("JSON type without a body", Answer::new(204).header("content-type", "application/json")),
        Form::new("empty 400", Answer::new(400)),
        Form::new("400 that asks to wait", error(400, &json!({})).header("retry-after", "5")),
        Form::new("conflict", error(409, &json!({"category": "CONFLICT"}))),
        Form::new("another content type", Answer::new(415)),
        Form::new("not processable", Answer::new(422)),
        Form::new("missing scopes", error(403, &json!({"category": "MISSING_SCOPES"}))),
        Form::new(
            "missing scopes that name a retired one",
            error(
                403,
                &json!({"category": "MISSING_SCOPES", "errors": [{"context": {"requiredGranularScopes": ["contacts"]}}]}),
            ),
        ),
        Form::new("403 in HTML", Answer::html(403, "<html>Forbidden</html>")),
        Form::new("scope that is not public", error(403, &json!({"message": "scope is not available for public use"}))),
        Form::new("retired endpoint", error(404, &json!({}))),
        Form::new("length required", Answer::html(411, "<html>Length Required</html>")),
        Form::new("403 without a category", error(403, &json!({}))),
        Form::new("banned", error(403, &json!({"category": "BANNED"}))),
        Form::new(
            "edge without user agent",
            Answer::new(403).header("content-type", "text/plain").header("cf-ray", "8a-FRA").body("error code: 1010"),
        ),
        Form::new("edge refuses", edge(403)),
        Form::new("unknown route", Answer::html(404, "<html>Not Found</html>")),
        Form::new("long URL", Answer::html(414, "<html>")),
        Form::new(
            "a hub that is left again",
            error(488, &json!({"correctHublet": "eu1"})).header("x-hubspot-correct-hublet", "eu1"),
        )
        .ends(("answered", false, 2), ("answered", false, 2))
        .records(&["hub"], &["hub"]),
        Form::new("a hub in the body only", error(488, &json!({"correctHublet": "eu1"})))
            .ends(("answered", false, 2), ("answered", false, 2))
            .records(&["hub"], &["hub"]),
        Form::new(
            "unknown hub",
            error(488, &json!({"correctHublet": "xx9"})).header("x-hubspot-correct-hublet", "xx9"),
        ),
        Form::new("redirect", Answer::new(307).header("location", "https://example.com/")),
    ]
}

/// Answers that ask to wait.
fn waiting_forms() -> Vec<Form> {
    let portal: [&'static [&'static str]; 2] = [&["cooldown_until"]; 2];
    let retryable = |attempts| ("answered", true, attempts);
    let limit = |name, answer, attempts| {
        Form::new(name, answer).ends(retryable(attempts), retryable(attempts)).records(portal[0], portal[1])
    };
    let date = "Thu, 01 Jan 2015 00:00:00 GMT";
    vec![
        limit("limit per second", limited("SECONDLY"), 3).records(&["search_cooldown_until"], portal[1]).wait(1),
        limit("limit per ten seconds", limited("TEN_SECONDLY_ROLLING"), 1).wait(10),
        limit("limit per day", limited("DAILY"), 1).wait(900),
        limit("limit of nobody", Answer::new(429), 1).wait(10),
        limit("forty seconds", limited("DAILY").header("retry-after", "40"), 1).wait(40),
        limit("two seconds", limited("TEN_SECONDLY_ROLLING").header("retry-after", "2"), 2).wait(2),
        limit("no seconds", limited("TEN_SECONDLY_ROLLING").header("retry-after", "0"), 3).wait(1),
        limit("decimals", limited("TEN_SECONDLY_ROLLING").header("retry-after", "0.25"), 3).wait(1),
        limit("a date that has passed", limited("TEN_SECONDLY_ROLLING").header("retry-after", date), 3).wait(1),
        limit("a date to come", limited("DAILY").header("retry-after", "Fri, 31 Dec 2100 23:59:59 GMT"), 1)
            .wait(86_400),
        limit("an absurd number", limited("DAILY").header("retry-after", "18446744073709551615"), 1).wait(86_400),
        limit("portal moves", Answer::new(477).header("retry-after", "86400"), 1).wait(86_400),
        limit("portal moves, without a time", Answer::new(477), 1).wait(10),
        limit("limit per second with a time that does not parse", limited("SECONDLY").header("retry-after", "soon"), 3)
            .records(&["search_cooldown_until"], portal[1])
            .wait(1),
        Form::new("edge limits", edge(429)).ends(retryable(1), retryable(1)).wait(10),
        Form::new("locked", error(423, &json!({}))).ends(retryable(2), retryable(2)).wait(2),
        Form::new("locked for nine seconds", error(423, &json!({})).header("retry-after", "9"))
            .ends(retryable(1), retryable(1))
            .wait(9),
    ]
}

/// Failures of HubSpot and of the edge.
fn failing_forms() -> Vec<Form> {
    let ambiguous =
        |name, answer, attempts| Form::new(name, answer).ends(("answered", true, attempts), ("unknown", false, 1));
    let unreached = |name, answer| Form::new(name, answer).ends(("answered", true, 3), ("not_sent", true, 3));
    vec![
        ambiguous("500", error(500, &json!({})), 1),
        ambiguous("502", Answer::html(502, "<html>"), 3),
        ambiguous("503", Answer::new(503).header("retry-after", "1"), 3).wait(1),
        ambiguous("503 that asks to wait", Answer::new(503).header("retry-after", "30"), 1).wait(30),
        ambiguous("504", Answer::new(504), 3),
        ambiguous("edge: unknown error", edge(520), 3),
        ambiguous("edge: timed out", edge(522), 3),
        ambiguous("edge: no answer in 100 s", edge(524), 3),
        unreached("edge: refused", edge(521)),
        unreached("edge: unreachable", edge(523)),
        unreached("edge: handshake", edge(525)),
        unreached("edge: certificate", edge(526)),
        ambiguous("521 of HubSpot itself", error(521, &json!({})), 1),
    ]
}

/// The attributes that the record has; they are removed.
async fn take_recorded(world: &World) -> Vec<&'static str> {
    let record = world.stack.records(ACCOUNT).await.unwrap().remove(0);
    let mut recorded = Vec::new();
    for name in ATTRIBUTES.into_iter().filter(|name| record.contains_key(*name)) {
        tamper(world, ACCOUNT, 1, name, None).await;
        recorded.push(name);
    }
    recorded
}

#[tokio::test]
async fn every_reported_answer_ends_as_the_contract_says_for_every_method() {
    let world = connected().await;
    world.clock.skip_waits();
    let one = "/crm/v3/objects/contacts/1";
    let requests = [
        ("GET", one, true),
        ("PUT", "/crm/v4/objects/call/1/associations/default/deal/2", true),
        ("DELETE", one, true),
        ("POST", "/crm/v3/objects/contacts/search", true),
        ("POST", "/crm/v3/objects/contacts", false),
        ("PATCH", one, false),
    ];

    for form in plain_forms().into_iter().chain(waiting_forms()).chain(failing_forms()) {
        world.stack.hubspot.clear_scripts();
        world.stack.hubspot.script_always(Match::api(), Fault::Answer(form.answer.clone()));
        for (method, endpoint, idempotent) in requests {
            let answer = world.execute(&with(to(method, endpoint), &json!({"body": {}}))).await;

            let body = &answer.body;
            let (outcome, retryable, attempts) = if idempotent { form.idempotent } else { form.other };
            let place = format!("{} {method} {endpoint}: {}", form.name, answer.text);
            assert_eq!(answer.status, 200, "{place}");
            assert_eq!(body["outcome"], outcome, "{place}");
            assert_eq!(body["retryable"], retryable, "{place}");
            assert_eq!(body["attempts"], attempts, "{place}");
            let wait = if retryable { json!(form.wait) } else { Value::Null };
            assert_eq!(body["retry_after_seconds"], wait, "{place}");
            let search = endpoint.ends_with("/search");
            assert_eq!(take_recorded(&world).await, form.recorded[usize::from(!search)], "{place}");
        }
    }
}

#[test]
fn every_reported_answer_is_among_the_forms() {
    let forms: Vec<Form> = plain_forms().into_iter().chain(waiting_forms()).chain(failing_forms()).collect();
    for reported in REPORTED {
        let Fault::Answer(answer) = (reported.fault)() else { continue };
        // The binary one is a 200 whose body matters elsewhere, and the token endpoint's refusals have its own table.
        let is_token = ["unauthorized", "invalid-token", "expired-code"].contains(&reported.name);
        assert!(is_token || forms.iter().any(|form| form.answer.status == answer.status), "{}", reported.name);
    }
}

#[tokio::test]
async fn the_edges_id_is_returned_and_logged() {
    let world = connected().await;
    world.stack.hubspot.script(Match::api(), [Fault::Answer(edge(403))]);

    let answer = world.stack.post_automation(to("GET", "/crm/v3/objects/contacts").to_string()).await;

    assert_eq!(answer.json()["hubspot"]["headers"]["cf-ray"], "8a1b2c3d4e5f-FRA");
    world.stack.lambda.logs().wait_for(|line| line.text.contains(r#""cf_ray":"8a1b2c3d4e5f-FRA""#)).await;
}

#[tokio::test]
async fn a_limit_of_searches_stops_searches_only() {
    let world = connected().await;
    let search = with(to("POST", "/crm/v3/objects/contacts/search"), &json!({"body": {"limit": 1}}));
    world.stack.hubspot.script(Match::api(), [Fault::Answer(limited("SECONDLY").header("retry-after", "100"))]);

    let met = world.execute(&search).await;
    let later = world.execute(&search).await;
    let slash = world.execute(&with(search, &json!({"endpoint": "/crm/v3/objects/contacts/search/"}))).await;
    let list = world.execute(&to("GET", "/crm/v3/objects/contacts")).await;
    let create = world.execute(&with(to("POST", "/crm/v3/objects/search"), &json!({"body": {}}))).await;

    assert_eq!(met.body["hubspot"]["status"], 429);
    for later in [later, slash] {
        assert_eq!((later.status, later.code(), &later.body["outcome"]), (429, "rate_limited", &json!("not_sent")));
    }
    assert_eq!(list.body["hubspot"]["status"], 200, "{}", list.text);
    assert_eq!((create.status, &create.body["attempts"]), (200, &json!(1)), "{}", create.text);
}

#[tokio::test]
async fn a_proof_is_requested_at_most_every_ten_minutes() {
    let world = connected().await;
    let invalid = error(401, &json!({"category": "INVALID_AUTHENTICATION"}));
    world.stack.hubspot.script_always(Match::api(), Fault::Answer(invalid));
    let due = async || world.record(ACCOUNT, 1).await.unwrap().refresh_at.unwrap() <= world.clock.now();
    let list = to("GET", "/crm/v3/objects/contacts");

    world.pass(std::time::Duration::from_secs(1));
    world.execute(&list).await;
    assert!(due().await);
    let report = world.refresh(json!({})).await;
    assert_eq!(report["refreshed"], 1, "{report}");
    world.pass(std::time::Duration::from_secs(60));
    world.execute(&list).await;
    assert!(!due().await);
    world.pass(std::time::Duration::from_secs(600));
    world.execute(&list).await;
    assert!(due().await);
}
