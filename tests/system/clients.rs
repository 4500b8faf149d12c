//! The sample clients of `infra/docs/clients`, run as programs: each problem code, and what only lies between them and us.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use devstack::aws::AwsFault;
use devstack::front_door::AccessKey;
use devstack::hubspot::{Fault, Match, PORTAL};
use devstack::stack::{Options, Stack};
use devstack::template::REGION;
use devstack::wire::{Answer as Sent, At};
use serde_json::{Value, json};
use shared::clock::Clock;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::execution::{tamper, to, with};
use crate::openapi;
use crate::refresh::planted::plant;
use crate::world::{ACCOUNT, ADMIN, World, stack};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/docs/clients");

/// The samples: the interpreter and the file.
const SAMPLES: [(&str, &str); 2] = [("python3", "engine.py"), ("node", "engine.mjs")];

/// How a sample ended.
#[derive(Debug)]
struct Ended {
    end: String,
    answer: Value,
    /// Status, code and outcome of each try.
    tries: Vec<String>,
}

impl Ended {
    /// The codes of its tries, repetitions aside.
    fn codes(&self) -> Vec<&str> {
        let mut codes: Vec<&str> = self.tries.iter().map(|line| line.split(' ').nth(1).unwrap()).collect();
        codes.dedup();
        codes
    }
}

/// A sample, with a server and the key that it signs with.
#[derive(Clone)]
struct Engine {
    sample: (&'static str, &'static str),
    url: String,
    key: AccessKey,
}

impl Engine {
    fn new(sample: (&'static str, &'static str), stack: &Stack) -> Self {
        Self { sample, url: stack.public_url().to_owned(), key: stack.engine.clone() }
    }

    async fn run(&self, request: &Value, key: &str) -> Ended {
        self.run_with(request, key, 10).await
    }

    async fn run_with(&self, request: &Value, key: &str, tries: usize) -> Ended {
        self.run_text(&request.to_string(), key, tries).await
    }

    async fn run_text(&self, request: &str, key: &str, tries: usize) -> Ended {
        let (interpreter, file) = self.sample;
        let mut child = Command::new(interpreter)
            .args([&format!("{FOLDER}/{file}"), key])
            .envs([
                ("API_URL", self.url.as_str()),
                ("AWS_REGION", REGION),
                ("AWS_ACCESS_KEY_ID", &self.key.id),
                ("AWS_SECRET_ACCESS_KEY", &self.key.secret),
                ("AWS_SESSION_TOKEN", "session"),
                ("TRIES", &tries.to_string()),
                ("PYTHONDONTWRITEBYTECODE", "1"),
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{interpreter} does not start: {error}"));
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(request.as_bytes()).await.unwrap();
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let (end, answer) = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{file}: {errors}"));
        Ended { end, answer, tries: errors.lines().map(str::to_owned).collect() }
    }
}

/// An account of its own whose integration may create notes.
async fn connected(world: &World, account: &str) {
    plant(world, account, 1).await;
    world.stack.hubspot.set_granted_scopes(PORTAL, &["crm.objects.contacts.read", "crm.objects.contacts.write"]);
}

fn write(account: &str) -> Value {
    let body = json!({"properties": {"hs_timestamp": "1700000000000", "hs_note_body": account}});
    of(account, with(to("POST", "/crm/v3/objects/notes"), &json!({"body": body})))
}

fn of(account: &str, mut request: Value) -> Value {
    request["account_id"] = json!(account);
    request
}

/// Requests that end at once, and how: the account, the request, the end and the code.
async fn refusals(world: &World) -> Vec<(Value, &'static str, &'static str)> {
    let older = world.stack.connect("acc_two", ADMIN).await;
    world.stack.connect_new_instance("acc_two", ADMIN).await;
    for account in ["acc_corrupt", "acc_gone"] {
        plant(world, account, 1).await;
    }
    tamper(world, "acc_corrupt", 1, "status", Some(AttributeValue::S("odd".to_owned()))).await;
    tamper(world, "acc_gone", 1, "status", Some(AttributeValue::S("needs_reauthorization".to_owned()))).await;
    tamper(world, "acc_gone", 1, "token_expires_at", Some(AttributeValue::N("1".to_owned()))).await;
    let named = |account: &str, id: &str| with_id(write(account), id);
    vec![
        (to("GET", "/crm/../x"), "failed", "invalid_request"),
        (to("POST", "/oauth/2026-03/token"), "failed", "endpoint_not_allowed"),
        (named(ACCOUNT, "nobodys"), "failed", "integration_not_found"),
        (named("acc_two", &older), "failed", "integration_superseded"),
        (write("acc_none"), "failed", "not_connected"),
        (write("acc_gone"), "failed", "reauthorization_required"),
        (write("acc_corrupt"), "failed", "internal"),
        (to("GET", &format!("/crm?x={}", "x".repeat(40_000))), "failed", "request_too_large"),
        (to("GET", "/crm/v3/objects/contacts/404"), "answered", "-"),
    ]
}

fn with_id(mut request: Value, id: &str) -> Value {
    request["integration_id"] = json!(id);
    request
}

/// Requests that pass, or end, after a fault of their own account's.
async fn faults(world: &World) -> Vec<(Value, &'static str, Vec<&'static str>)> {
    let hubspot = &world.stack.hubspot;
    let marked = |account: &str| Match::api().body(&format!("\"{account}\""));
    for account in ["acc_lost", "acc_late", "acc_read"] {
        connected(world, account).await;
    }
    hubspot.script(marked("acc_lost"), [Fault::CloseAfterEffect]);
    hubspot.script(marked("acc_late"), [Fault::StallAnswer(Duration::from_secs(9))]);
    hubspot.script(Match::api().target("read=1"), [const { Fault::Close }; 3]);
    let mut late = write("acc_late");
    late["deadline_ms"] = json!(5000);
    vec![
        (write("acc_lost"), "look", vec!["hubspot_unreachable"]),
        (late, "look", vec!["hubspot_timeout"]),
        (of("acc_read", to("GET", "/crm/v3/objects/contacts?read=1")), "answered", vec!["hubspot_unreachable", "-"]),
    ]
}

/// Two deliveries of one key at a time: one of them waits for the other's answer. Then the key with another request.
async fn same_key(world: &World, engine: &Engine) -> Vec<Ended> {
    let slow = Match::api().body("\"acc_twice\"");
    connected(world, "acc_twice").await;
    world.stack.hubspot.script(slow, [Fault::StallAnswer(Duration::from_secs(3))]);
    let request = write("acc_twice");
    let (first, second) = tokio::join!(engine.run(&request, "twice"), engine.run(&request, "twice"));
    let (waited, sent) = if first.tries.len() > 1 { (first, second) } else { (second, first) };
    assert_eq!((waited.end.as_str(), sent.end.as_str()), ("answered", "answered"), "{waited:?} {sent:?}");
    assert_eq!((waited.codes()[0], sent.codes()), ("execution_in_progress", vec!["-"]));
    assert_eq!(waited.answer["hubspot"], sent.answer["hubspot"]);
    assert_eq!((&waited.answer["replayed"], &sent.answer["replayed"]), (&json!(true), &Value::Null));
    let other = engine.run(&with(request, &json!({"query": {"a": 1}})), "twice").await;
    assert_eq!((other.end.as_str(), other.codes()), ("failed", vec!["idempotency_conflict"]));
    vec![waited, sent, other]
}

/// A secret that cannot be read for a moment.
async fn unavailable(world: &World, engine: &Engine) -> Ended {
    connected(world, "acc_secret").await;
    world.stack.secrets_manager.fail_next("GetSecretValue", AwsFault::KeyDenied, 1);
    let ended = engine.run(&write("acc_secret"), "secret").await;
    assert_eq!((ended.end.as_str(), ended.codes()), ("answered", vec!["temporarily_unavailable", "-"]), "{ended:?}");
    ended
}

/// A portal whose rate limit is used up for some seconds.
async fn limited(world: &World, engine: &Engine) -> Ended {
    connected(world, "acc_limited").await;
    let (gate, request) = (world.stack.dynamo.hold("Query", At::Before), write("acc_limited"));
    // The limit begins when the first try is under way: a busy machine needs seconds to start the interpreter.
    let (ended, ()) = tokio::join!(engine.run(&request, "limited"), async {
        gate.reached(1).await;
        let until = AttributeValue::N((Clock::default().now() + 6).to_string());
        tamper(world, "acc_limited", 1, "cooldown_until", Some(until)).await;
        gate.open();
    });
    assert_eq!((ended.end.as_str(), ended.codes()), ("answered", vec!["rate_limited", "-"]), "{ended:?}");
    ended
}

/// Callers whom API Gateway refuses, or who are not the engine.
async fn strangers(world: &World, engine: &Engine) -> Ended {
    let (mut forged, mut stranger) = (engine.clone(), engine.clone());
    forged.key.secret.push('x');
    stranger.key = world.stack.stranger.clone();
    let request = write(ACCOUNT);
    let (forged, stranger) = tokio::join!(forged.run(&request, "forged"), stranger.run(&request, "stranger"));
    assert_eq!((forged.end.as_str(), forged.tries), ("failed", vec!["403 - not_sent".to_owned()]));
    assert_eq!((stranger.end.as_str(), stranger.codes()), ("failed", vec!["forbidden"]));
    stranger
}

async fn assert_meets_every_code(sample: (&'static str, &'static str)) {
    let world = World::start().await;
    world.stack.connect(ACCOUNT, ADMIN).await;
    let engine = Engine::new(sample, &world.stack);
    let unavailable = unavailable(&world, &engine).await;
    let (limited, strangers) = tokio::join!(limited(&world, &engine), strangers(&world, &engine));
    let mut ended = vec![unavailable, limited, strangers];
    ended.extend(same_key(&world, &engine).await);
    let refusals = refusals(&world).await.into_iter().map(|(request, end, code)| (request, end, vec![code]));
    let cases: Vec<_> = refusals.chain(faults(&world).await).collect();

    let runs = cases.into_iter().enumerate().map(|(nth, (request, end, codes))| {
        let engine = &engine;
        async move { (engine.run(&request, &format!("key-{nth}")).await, end, codes) }
    });

    for (run, end, codes) in futures_util::future::join_all(runs).await {
        assert_eq!((run.end.as_str(), run.codes()), (end, codes), "{}: {run:?}", sample.1);
        ended.push(run);
    }
    let mut seen: BTreeSet<&str> = ended.iter().flat_map(Ended::codes).collect();
    assert!(seen.remove("-"));
    // Over HTTP, a caller whom API Gateway has not verified gets its 403.
    seen.insert("unauthenticated");
    assert_eq!(seen, openapi::codes_of_an_execution());
    let effects = world.stack.hubspot.effects();
    for account in ["acc_lost", "acc_late", "acc_limited", "acc_twice", "acc_secret"] {
        let writes = effects.iter().filter(|request| request.text().contains(&format!("\"{account}\"")));
        assert_eq!(writes.count(), 1, "{account}");
    }
}

#[tokio::test]
async fn the_python_sample_handles_every_code() {
    assert_meets_every_code(SAMPLES[0]).await;
}

#[tokio::test]
async fn the_node_sample_handles_every_code() {
    assert_meets_every_code(SAMPLES[1]).await;
}

/// Answers of a server that is not ours, to one delivery after another; how the sample ends, and after how many.
fn strange_answers() -> Vec<(Vec<Fault>, &'static str, usize)> {
    let json = |status, body: Value| Fault::Answer(Sent::json(status, &body));
    let message = |status| json(status, json!({"message": "of API Gateway"}));
    let future = |retryable: bool, outcome: &str| {
        let mut body = json!({"code": "of_the_future", "status": 418, "retryable": retryable, "outcome": outcome});
        if retryable {
            body["retry_after_seconds"] = json!(1);
        }
        json(418, body)
    };
    let answered = || json(200, json!({"outcome": "answered", "retryable": false, "hubspot": {"status": 201}}));
    let html = |status| Fault::Answer(Sent::html(status, "<h1>of a proxy</h1>"));
    vec![
        (vec![Fault::Close, message(500), message(503), message(429), answered()], "answered", 5),
        (vec![html(502), json(200, Value::Null), future(true, "not_sent"), answered()], "answered", 4),
        (vec![Fault::Cut(40), message(500), future(false, "not_sent")], "look", 3),
        (vec![future(false, "not_sent")], "failed", 1),
        (vec![future(false, "perhaps")], "look", 1),
        (vec![message(404)], "failed", 1),
        (vec![message(413)], "failed", 1),
        (vec![json(401, json!({"code": "unauthenticated", "retryable": false, "outcome": "not_sent"}))], "failed", 1),
        (vec![message(503), message(503)], "look", 2),
        (vec![message(429), message(429)], "failed", 2),
    ]
}

#[tokio::test]
async fn the_samples_handle_gateways_proxies_and_unknown_codes() {
    let stack = stack(Options::default()).await;
    // HubSpot's emulator plays the API here: any server that answers as scripted.
    let server = &stack.hubspot;
    let mut runs = Vec::new();
    for sample in SAMPLES {
        for (nth, (faults, end, tries)) in strange_answers().into_iter().enumerate() {
            let key = format!("{}-{nth}.", sample.1);
            server.script(Match::any().body(&format!("\"{key}\"")), faults);
            let engine = Engine { url: server.url().to_owned(), ..Engine::new(sample, &stack) };
            let most = if tries == 2 { 2 } else { 10 };
            runs.push(async move { (engine.run_with(&write(ACCOUNT), &key, most).await, key, end, tries) });
        }
    }

    for (run, key, end, tries) in futures_util::future::join_all(runs).await {
        assert_eq!((run.end.as_str(), run.tries.len()), (end, tries), "{key}: {run:?}");
        let requests = server.requests().into_iter().filter(|request| request.text().contains(&format!("\"{key}\"")));
        let bodies: Vec<Vec<u8>> = requests.map(|request| request.body).collect();
        assert_eq!(bodies.len(), tries, "{key}");
        assert!(bodies.iter().all(|body| *body == bodies[0]), "{key}: the same request each time");
    }
}

#[test]
fn a_sample_has_sixty_lines_at_most() {
    for (_, file) in SAMPLES {
        let text = std::fs::read_to_string(format!("{FOLDER}/{file}")).unwrap();
        assert!(text.lines().count() <= 60, "{file}");
    }
}

#[tokio::test]
async fn the_samples_send_numbers_as_they_are_written() {
    let world = World::start().await;
    plant(&world, ACCOUNT, 1).await;
    let body = r#"{"properties": {"amount": 1.10, "id": 12345678901234567890}}"#;
    let request = format!(
        r#" {{"account_id": "{ACCOUNT}", "request": {{"method": "POST", "endpoint": "/crm/v3/objects/contacts", "body": {body}}}}}"#
    );

    for sample in SAMPLES {
        let ended = Engine::new(sample, &world.stack).run_text(&request, sample.1, 1).await;

        assert_eq!(ended.end, "answered", "{ended:?}");
        let sent = world.stack.hubspot.api_requests().pop().unwrap();
        assert_eq!(sent.text(), body, "{}", sample.1);
    }
}
