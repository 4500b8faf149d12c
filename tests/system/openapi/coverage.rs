//! Each answer that the document knows is one that a caller can get.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use devstack::aws::AwsFault;
use devstack::hubspot::{Fault, Match};
use devstack::stack::{Options, Stack};
use devstack::wire::At;
use serde_json::{Value, json};

use super::document::{By, Document, entries};
use super::{AnswerKind, KINDS, PROBLEMS, ProblemText, problem_text};
use crate::connect::connect;
use crate::execution::{tamper, to};
use crate::readme::refusals;
use crate::world::{ACCOUNT, ADMIN, World, request, stack};

const START: &str = "POST /v1/authorizations";
const CALLBACK: &str = "GET /oauth/hubspot/callback";
const RESULT: &str = "GET /oauth/hubspot/result/{outcome}";
const EXECUTE: &str = "POST /v1/automation-requests";

/// Answers that no test can provoke, and why; `*` is any operation.
const UNREACHABLE: [(&str, u16, &str, &str); 3] = [
    ("*", 429, "gateway", "the local front door does not throttle"),
    ("*", 503, "gateway", "a function ends itself before the gateway's 30 s"),
    (RESULT, 500, "internal", "a constant page is always rendered"),
];

/// All answers that the document knows, but for those that the functions do not give yet.
fn documented() -> BTreeSet<AnswerKind> {
    let document = Document::get();
    let all = document.operations.iter().flat_map(|operation| {
        operation.answers.iter().map(|(status, answers)| (operation.key.as_str(), *status, answers))
    });
    let mut kinds = BTreeSet::new();
    for (key, status, answers) in all.chain([("-", 404, &document.no_route)]) {
        let mut add = |code: &str| {
            kinds.insert((key.to_owned(), status, code.to_owned()));
        };
        if answers.content.is_empty() {
            add("-");
        }
        for content in answers.content.values() {
            match &content.by {
                By::Us => add("-"),
                By::Gateway => add("gateway"),
                By::UsWithCodes(codes) => codes.iter().for_each(|code| add(code)),
            }
        }
    }
    kinds
}

fn is_unreachable((key, status, code): &AnswerKind) -> bool {
    UNREACHABLE.iter().any(|(of, at, named, _)| ["*", key].contains(of) && at == status && named == code)
}

/// One call of each operation over HTTP, with a token, a signature or neither.
async fn call_each(stack: &Stack, body: &[u8], signed: bool) {
    let token = format!("Bearer {}", stack.jwt(ACCOUNT, ADMIN, "admin"));
    let headers = [("authorization", token.as_str())];
    for operation in &Document::get().operations {
        let (method, path) = operation.key.split_once(' ').unwrap();
        let path = path.replace("{outcome}", "connected").replace("{integration_id}", "some");
        if signed && operation.key == EXECUTE {
            stack.post_automation(body.to_vec()).await;
        } else {
            stack.call(method, &path, if signed { &headers } else { &[] }, body.to_vec()).await;
        }
    }
}

/// Answers of API Gateway itself.
async fn gateways() {
    let nameless = [("INTEGRATIONS_TABLE".to_owned(), None)].into();
    let broken = stack(Options { environment: nameless, ..Options::default() }).await;
    call_each(&broken, b"{}", true).await;
    call_each(&broken, b"{}", false).await;
    call_each(&broken, &vec![b' '; 11 * 1024 * 1024], false).await;
    broken.call("GET", "/v1/nothing", &[], "").await;
}

/// The routes that begin and end a connection.
async fn connecting() {
    let world = World::start().await;
    let start = async |account: &'static str, role: &'static str, body: Value| {
        world.dashboard(account, role, "POST", "/v1/authorizations", &body).await;
    };
    start(ACCOUNT, "admin", json!({"integration_id": "some"})).await;
    let id = world.stack.connect(ACCOUNT, ADMIN).await;
    start(ACCOUNT, "admin", json!({})).await;
    start(ACCOUNT, "admin", json!({"integration_id": "unknown"})).await;
    start(ACCOUNT, "admin", json!({"new_instance": 1})).await;
    start(ACCOUNT, "admin", json!({"integration_id": "a".repeat(5000)})).await;
    start(ACCOUNT, "member", json!({})).await;
    start("", "admin", json!({})).await;
    world.stack.connect_new_instance(ACCOUNT, ADMIN).await;
    start(ACCOUNT, "admin", json!({"integration_id": id})).await;
    for word in ["failed", "nothing"] {
        world.dashboard(ACCOUNT, "member", "GET", &format!("/oauth/hubspot/result/{word}"), &Value::Null).await;
    }
    world.dashboard(ACCOUNT, "member", "GET", "/v1/nothing", &Value::Null).await;
    for _ in 0..10 {
        connect(&world, "acc_full", &json!({"new_instance": true})).await;
    }
    start("acc_full", "admin", json!({"new_instance": true})).await;
    world.callback_with("code=a&state=b", &[], &[("sec-purpose", "prefetch")]).await;
}

/// Listing, disconnecting and checking.
async fn looking() {
    let world = World::start().await;
    let id = world.stack.connect(ACCOUNT, ADMIN).await;
    for (account, role, id) in [
        (ACCOUNT, "admin", "a b"),
        (ACCOUNT, "admin", "unknown"),
        (ACCOUNT, "member", id.as_str()),
        ("", "admin", id.as_str()),
        (ACCOUNT, "admin", id.as_str()),
    ] {
        world.dashboard(account, role, "GET", "/v1/integrations", &Value::Null).await;
        let path = format!("/v1/integrations/{id}");
        let get = |endpoint: &str| json!({"request": {"method": "GET", "endpoint": endpoint}});
        for body in [
            get("/crm/v3/owners"),
            get("crm"),
            get("/oauth/v1"),
            get(&format!("/{}", "a".repeat(40_000))),
            json!({"integration_id": "unknown", "request": {"method": "GET", "endpoint": "/crm"}}),
        ] {
            world.check(account, &body).await;
        }
        world.dashboard(account, role, "DELETE", &path, &Value::Null).await;
    }
    world.check(ACCOUNT, &json!({"request": {"method": "GET", "endpoint": "/crm/v3/owners"}})).await;
}

/// Failures of the routes that read the record.
async fn broken() {
    let world = World::start().await;
    world.stack.connect(ACCOUNT, ADMIN).await;
    tamper(&world, "acc_broken", 1, "status", Some(AttributeValue::S("odd".to_owned()))).await;
    for account in [ACCOUNT, "acc_broken"] {
        let away = if account == ACCOUNT { 100 } else { 0 };
        world.stack.dynamo.fail_next("Query", AwsFault::Refused, away);
        // At once, since the SDK tries again for a while.
        let (none, check, request) =
            (json!({}), json!({"request": {"method": "GET", "endpoint": "/crm"}}), request(account, None));
        tokio::join!(
            Box::pin(world.dashboard(account, "admin", "POST", "/v1/authorizations", &none)),
            Box::pin(world.dashboard(account, "admin", "GET", "/v1/integrations", &Value::Null)),
            Box::pin(world.dashboard(account, "admin", "DELETE", "/v1/integrations/some", &Value::Null)),
            Box::pin(world.check(account, &check)),
            Box::pin(world.execute(&request)),
        );
        world.stack.dynamo.heal();
    }
}

/// Automation requests.
async fn executing() {
    let world = World::start().await;
    world.execute(&request(ACCOUNT, None)).await;
    let id = world.stack.connect(ACCOUNT, ADMIN).await;
    let list = to("GET", "/crm/v3/objects/contacts");
    world.execute(&list).await;
    world.execute(&to("HEAD", "/crm")).await;
    world.execute(&to("GET", "/oauth/v1")).await;
    world.execute(&to("GET", "https://evil.example/")).await;
    let mut hurried = list.clone();
    hurried["deadline_ms"] = json!(1);
    world.execute(&hurried).await;
    world.execute(&to("GET", &format!("/{}", "a".repeat(40_000)))).await;
    world.execute(&request(ACCOUNT, Some("unknown"))).await;
    world.stack.post_automation_as(&world.stack.stranger, list.to_string()).await;
    let nobodys = json!({"rawPath": "/v1/automation-requests", "requestContext": {"http": {"method": "POST"}}});
    world.function("automation-execute", nobodys).await;

    Box::pin(refusals::another_of_its_key(&world)).await;
    Box::pin(refusals::second_of_two(&world)).await;
    world.stack.hubspot.script(Match::api(), [Fault::Close]);
    world.execute(&to("POST", "/crm/v3/objects/contacts")).await;
    let gate = world.stack.hubspot.hold(Match::api(), At::After);
    let mut late = list.clone();
    late["deadline_ms"] = json!(1000);
    world.execute(&late).await;
    drop(gate);
    let limited = Fault::rate_limited("TEN_SECONDLY_ROLLING").header("retry-after", "100");
    world.stack.hubspot.script(Match::api(), [limited]);
    world.execute(&list).await;
    world.execute(&list).await;

    let marked = AttributeValue::S("needs_reauthorization".to_owned());
    tamper(&world, ACCOUNT, 1, "cooldown_until", None).await;
    tamper(&world, ACCOUNT, 1, "status", Some(marked)).await;
    tamper(&world, ACCOUNT, 1, "token_expires_at", Some(AttributeValue::N("1".to_owned()))).await;
    world.execute(&list).await;
    world.stack.connect_new_instance(ACCOUNT, ADMIN).await;
    world.execute(&request(ACCOUNT, Some(&id))).await;
}

/// The document's problems have titles, details and waits that callers got.
fn assert_examples_are_given() {
    let seen = PROBLEMS.take();
    let mut wrong = Vec::new();
    for (name, example) in entries(&Document::get().root["components"]["examples"]) {
        let (code, title, wait, detail) = problem_text(&example["value"]).unwrap();
        let given: Vec<_> = seen.iter().filter(|problem| problem.0 == code).collect();
        let is_given = |problem: &&&ProblemText| problem.1 == title && problem.2.is_some() == wait.is_some();
        if !given.iter().filter(is_given).any(|problem| problem.3 == detail) {
            wrong.push((name, title, wait, detail, given));
        }
    }
    assert!(wrong.is_empty(), "examples that no caller gets, and the problems of their codes: {wrong:#?}");
}

#[tokio::test]
async fn each_documented_answer_is_given_or_cannot_be_had_here() {
    KINDS.take();
    PROBLEMS.take();

    Box::pin(gateways()).await;
    Box::pin(connecting()).await;
    Box::pin(looking()).await;
    Box::pin(broken()).await;
    Box::pin(executing()).await;

    assert_examples_are_given();
    let seen = KINDS.take();
    let (unreachable, expected): (BTreeSet<AnswerKind>, BTreeSet<AnswerKind>) =
        documented().into_iter().partition(is_unreachable);
    let missing: Vec<&AnswerKind> = expected.difference(&seen).collect();
    assert!(missing.is_empty(), "documented and never given: {missing:#?}");
    let reached: Vec<&AnswerKind> = unreachable.intersection(&seen).collect();
    assert!(reached.is_empty(), "reachable after all: {reached:#?}");
    let of = |key: &str| seen.iter().filter(|kind| kind.0 == key).count();
    let counts: BTreeMap<&str, usize> = [START, CALLBACK, RESULT, EXECUTE].map(|key| (key, of(key))).into();
    assert!(counts[EXECUTE] >= 18 && counts.values().all(|count| *count >= 3), "{counts:?}");
}
