//! The cost of a body in the real processes, whichever field of whichever route carries it.
//!
//! Like the guard's own test of allocations, but over the wire and for every route. `EXPANSION_BYTES=1000000` with an
//! optimised build and `--nocapture` shows the figures of the largest bodies.

#![expect(clippy::print_stdout, reason = "the figures are shown on request")]

use std::time::Duration;

use attacks::expansion::{PLACES, fills};
use serde_json::{Value, json};

use crate::ctl::{Folder, path, run};
use crate::execution::connected;
use crate::world::{ACCOUNT, ADMIN, World, dashboard};

/// The bytes of each value. Work that grows with the square of the input shows at this size, in an unoptimised build
/// too.
const BYTES: usize = 64 * 1024;
/// The CPU time of one request in an unoptimised build, beside other tests.
const CPU: Duration = Duration::from_secs(1);
const MEMORY: u64 = 64 * 1024 * 1024;

/// An authorization with `FILL` in each of its fields.
const AUTHORIZATIONS: [&str; 5] =
    ["FILL", r#"{"new_instance":FILL}"#, r#"{"integration_id":FILL}"#, r#"{"return_url":FILL}"#, r#"{"unknown":FILL}"#];
/// The parameters that the callback reads, and one that it does not know.
const PARAMETERS: [&str; 7] = ["code", "state", "error", "error_description", "step", "returnUrl", "unknown"];

/// An event for one of the functions, and a name for it.
struct Case {
    function: &'static str,
    name: String,
    event: Value,
}

fn size() -> usize {
    std::env::var_os("EXPANSION_BYTES").map_or(BYTES, |bytes| bytes.to_str().unwrap().parse().unwrap())
}

fn claims() -> Value {
    json!({"account_id": ACCOUNT, "sub": ADMIN, "role": "admin"})
}

/// Bodies of `automation-requests`: every kind of value in every place.
fn automation_requests() -> impl Iterator<Item = (String, String)> {
    fills(size()).into_iter().flat_map(|(kind, fill)| {
        PLACES.map(|place| {
            let place = place.replace(r#""account_id":"a""#, &format!(r#""account_id":"{ACCOUNT}""#));
            (format!("{kind} in {place}"), place.replace("FILL", &fill))
        })
    })
}

fn executions() -> impl Iterator<Item = Case> {
    automation_requests().flat_map(|(name, body)| {
        let check = body.replacen(&format!(r#""account_id":"{ACCOUNT}","#), "", 1);
        let mut execution = dashboard("POST", "/v1/automation-requests", "", &Value::Null, &body);
        execution["requestContext"]["authorizer"] = json!({"iam": {"userArn": ENGINE}});
        let check = dashboard("POST", "/v1/automation-checks", "", &claims(), &check);
        [("execution", execution), ("check", check)].map(|(route, event)| Case {
            function: "automation-execute",
            name: format!("{route}: {name}"),
            event,
        })
    })
}

/// The engine's caller, replaced by the stack's own before the event is sent.
const ENGINE: &str = "the stack's engine";

fn authorizations() -> impl Iterator<Item = Case> {
    fills(size()).into_iter().flat_map(|(kind, fill)| {
        AUTHORIZATIONS.map(|place| Case {
            function: "oauth-callback",
            name: format!("authorization: {kind} in {place}"),
            event: dashboard("POST", "/v1/authorizations", "", &claims(), &place.replace("FILL", &fill)),
        })
    })
}

fn callbacks() -> impl Iterator<Item = Case> {
    fills(size()).into_iter().flat_map(|(kind, fill)| {
        let get = |path: &str, query: &str| dashboard("GET", path, query, &Value::Null, "");
        let callback = |query: &str| get("/oauth/hubspot/callback", query);
        let mut events: Vec<(String, Value)> = PARAMETERS
            .map(|name| (format!("callback, {name}"), callback(&format!("code=c&state=s&{name}={fill}"))))
            .into();
        events.push(("callback, whole query".to_owned(), callback(&fill)));
        let mut cookies = callback("code=c&state=s");
        cookies["cookies"] = json!([fill, format!("__Host-hubspot-oauth={fill}")]);
        events.push(("callback, cookies".to_owned(), cookies));
        events.push(("result page".to_owned(), get(&format!("/oauth/hubspot/result/{fill}"), "")));
        let path = format!("/v1/integrations/{fill}");
        events.push(("disconnect".to_owned(), dashboard("DELETE", &path, "", &claims(), "")));
        let mut list = dashboard("GET", "/v1/integrations", "", &claims(), "");
        list["requestContext"]["authorizer"]["jwt"]["claims"]["account_id"] = json!(fill);
        events.push(("list, claim".to_owned(), list));
        events.into_iter().map(move |(name, event)| Case {
            function: "oauth-callback",
            name: format!("{name}: {kind}"),
            event,
        })
    })
}

#[tokio::test]
async fn no_field_of_any_route_costs_a_process_much_time_or_memory() {
    let world = connected().await;
    let mut worst = [(Duration::ZERO, String::new()), (Duration::ZERO, String::new())];

    for Case { function, name, mut event } in executions().chain(authorizations()).chain(callbacks()) {
        let lambda = &world.stack.lambda;
        if event["requestContext"]["authorizer"]["iam"]["userArn"] == ENGINE {
            event["requestContext"]["authorizer"]["iam"]["userArn"] = json!(world.stack.engine.user_arn);
        }
        let before = lambda.cpu_time(function);
        let answer = lambda.invoke(function, event).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        let used = lambda.cpu_time(function) - before;

        assert!(answer["statusCode"].as_u64().is_some_and(|status| status < 500), "{name}: {answer}");
        assert!(used <= CPU, "{name}: {used:?}");
        let peak = lambda.peak_memory(function);
        assert!(peak <= MEMORY, "{name}: {peak} bytes");
        let worst = &mut worst[usize::from(function == "oauth-callback")];
        if used > worst.0 {
            *worst = (used, name);
        }
    }
    for (function, (used, name)) in ["automation-execute", "oauth-callback"].iter().zip(worst) {
        let peak = world.stack.lambda.peak_memory(function);
        println!("{function}: at most {used:?} of CPU ({name}), {} KiB", peak / 1024);
    }
}

#[tokio::test]
async fn a_check_of_hostile_lines_ends_soon_with_a_verdict_for_each() {
    let (world, folder) = (World::start().await, Folder::new());
    let lines: Vec<String> = automation_requests().map(|(_, body)| body.replace('\n', " ")).collect();
    let file = folder.text("automations.jsonl", &format!("{}\n", lines.join("\n")));

    let began = std::time::Instant::now();
    let ended = run(&world.stack, &["--json", "check", path(&file)]).await;

    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    let verdicts = ended.lines.iter().filter(|line| line["type"] == "automation").count();
    assert_eq!(verdicts, lines.len(), "{}", ended.errors);
}
