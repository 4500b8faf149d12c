//! Peak memory of the real process, whatever HubSpot answers and however large the request is.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use devstack::hubspot::{Fault, Match};
use devstack::wire::Answer;
use serde_json::{Value, json};

use super::{access_token, connected, to, with};
use crate::world::{ACCOUNT, World};

const FUNCTION: &str = "automation-execute";
const LIMIT: u64 = 64 * 1024 * 1024;
/// The function's time-out in the template; here the most that an unoptimised build computes for three requests.
const TIME: Duration = Duration::from_secs(29);
/// Just below what is read at most.
const LARGE: usize = 5_800 * 1024;

/// The body that the engine has to get.
#[derive(Clone, Debug)]
enum OmittedBody {
    /// The field, with this value.
    Field(&'static str, Value),
    /// The field, as it is too long to be compared: only how long the body is, and the last of it.
    Length(&'static str, usize),
}

/// 100 MiB of nothing as gzip makes them, in a thousandth of that: the head of one long block, its repetitions, its
/// end.
fn bomb() -> Vec<u8> {
    let head = [31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 237, 193, 1, 1, 0, 0, 0, 130, 32, 255, 175, 110, 72, 64, 1];
    let end = [247, 6, 48, 29, 194, 182, 57, 3, 64, 6];
    [head.as_slice(), &[0; 101_606], &end].concat()
}

fn typed(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Fault {
    Fault::Answer(Answer::new(status).header("content-type", kind).body(body))
}

fn omitted() -> OmittedBody {
    OmittedBody::Field("body_omitted", json!("too_large"))
}

/// JSON of which a tree of values would take far more memory than the text.
fn zeros() -> String {
    format!("[{}0]", "0,".repeat(LARGE / 2))
}

/// HubSpot's answer, and the engine's.
fn cases(token: &str) -> Vec<(&'static str, Fault, OmittedBody)> {
    let (json, html, binary) = ("application/json", "text/html", "application/octet-stream");
    let quotes = format!("[{}\"\"]", "\"\\\"\\\"\",".repeat(LARGE / 7));
    let words = format!("\"{}\"", "x".repeat(LARGE - 2));
    let echoed = format!("{}{token}", "x".repeat(LARGE - token.len()));
    let gzip = Answer::new(200).header("content-type", json).header("content-encoding", "gzip").body(bomb());
    vec![
        ("ordinary", Fault::Pass, OmittedBody::Length("body", 0)),
        ("100 MiB", Fault::Long(100 * 1024 * 1024), omitted()),
        ("endless", Fault::Endless, omitted()),
        ("1,000:1", Fault::Answer(gzip), OmittedBody::Field("body_base64", json!(STANDARD.encode(bomb())))),
        (
            "JSON of words",
            typed(200, json, words.clone()),
            OmittedBody::Field("body", serde_json::from_str(&words).unwrap()),
        ),
        ("JSON of quotes", typed(200, json, quotes), omitted()),
        ("text of words", typed(200, "text/plain", "x".repeat(LARGE)), OmittedBody::Length("body_text", LARGE)),
        ("HTML of quotes", typed(200, html, "<a b=\"\">".repeat(LARGE / 8)), omitted()),
        ("text of control characters", typed(200, "text/plain", "\u{1}".repeat(LARGE)), omitted()),
        ("binary", typed(200, binary, vec![0xff; LARGE]), omitted()),
        ("binary that fits", typed(200, binary, vec![0xff; 4_400_000]), OmittedBody::Length("body_base64", 5_866_668)),
        ("401 of zeros", typed(401, json, zeros()), OmittedBody::Length("body", 0)),
        ("403 of zeros", typed(403, json, zeros()), OmittedBody::Length("body", 0)),
        ("500 of zeros", typed(500, json, zeros()), OmittedBody::Length("body", 0)),
        (
            "the token at the end",
            typed(200, "text/plain", echoed),
            OmittedBody::Length("body_text", LARGE - token.len() + 10),
        ),
    ]
}

/// Two requests, one after the other, of a fresh process, while another one gets an answer drop by drop. What the
/// engine got, and of the dripping one.
async fn run(world: &World, fault: Fault) -> ([devstack::stack::ApiResponse; 2], devstack::stack::ApiResponse) {
    world.stack.lambda.kill_all(FUNCTION).await;
    world.stack.hubspot.clear_scripts();
    let drip = Fault::Slow { piece: 1, pause: Duration::from_millis(300) };
    world.stack.hubspot.script_always(Match::api().target("drip"), drip);
    world.stack.hubspot.script_always(Match::api(), fault);
    let request = with(to("POST", "/crm/v3/objects/contacts/search"), &json!({"body": {"limit": 1}})).to_string();
    let mut dripping = to("GET", "/crm/v3/objects/contacts?drip");
    dripping["deadline_ms"] = json!(1000);
    let both = async {
        let first = world.stack.post_automation(request.clone()).await;
        [first, world.stack.post_automation(request.clone()).await]
    };
    tokio::join!(both, world.stack.post_automation(dripping.to_string()))
}

fn assert_told(name: &str, answer: &devstack::stack::ApiResponse, told: &OmittedBody) {
    let body = answer.json();
    assert_eq!((answer.status, body["code"].as_str()), (200, None), "{name}");
    match told {
        OmittedBody::Field(field, value) => assert!(body["hubspot"][field] == *value, "{name}: {field}"),
        OmittedBody::Length(field, 0) => assert!(body["hubspot"].get(*field).is_some(), "{name}: {field}"),
        OmittedBody::Length(field, length) => {
            assert_eq!(body["hubspot"][field].as_str().map(str::len), Some(*length), "{name}: {field}");
        }
    }
}

#[tokio::test]
async fn no_answer_makes_a_function_large_or_late() {
    let world = connected().await;
    let token = access_token(&world).await;
    let mut figures = Vec::new();

    for (name, fault, told) in cases(&token) {
        let (both, dripped) = run(&world, fault).await;

        // Not by the clock, which tells how busy the machine is.
        let used = world.stack.lambda.cpu_time(FUNCTION);
        assert!(used < TIME, "{name}: {used:?}");
        assert_eq!(dripped.code().as_deref(), Some("hubspot_timeout"), "{name}: {}", dripped.text());
        both.iter().for_each(|answer| assert_told(name, answer, &told));
        let peak = world.stack.lambda.peak_memory(FUNCTION);
        figures.push((name, peak / 1024));
        assert!(peak < LIMIT, "{name}: {peak} bytes; so far, in KiB: {figures:?}");
    }
}

#[tokio::test]
async fn a_large_request_with_a_large_answer_fits_too() {
    let world = connected().await;
    let properties: String = "\\\"\\n".repeat(1_000_000 / 4);
    let text = format!(
        r#"{{"account_id":"acc_1","request":{{"method":"POST","endpoint":"/crm/v3/objects/contacts","body":"{properties}"}}}}"#
    );
    assert!((1_000_000..1_048_576).contains(&text.len()), "{}", text.len());
    world.stack.hubspot.script_always(Match::api(), typed(200, "text/plain", "x".repeat(LARGE)));

    let answer = world.stack.post_automation(text).await;

    assert_told("large", &answer, &OmittedBody::Length("body_text", LARGE));
    assert_eq!(world.stack.hubspot.api_requests()[0].body.len(), properties.len() + 2);
    let peak = world.stack.lambda.peak_memory(FUNCTION);
    assert!(peak < LIMIT, "{peak}");
}

#[tokio::test]
async fn a_large_429_is_kept_without_looking_into_all_of_it() {
    let world = connected().await;
    world.stack.hubspot.script_always(Match::api(), typed(429, "application/json", zeros()));

    let limited = world.stack.post_automation(to("GET", "/crm/v3/owners").to_string()).await;

    assert_eq!((limited.status, &limited.json()["retry_after_seconds"]), (200, &json!(10)));
    assert!(world.record(ACCOUNT, 1).await.unwrap().cooldown_until.is_some());
    let peak = world.stack.lambda.peak_memory(FUNCTION);
    assert!(peak < LIMIT, "{peak}");
}
