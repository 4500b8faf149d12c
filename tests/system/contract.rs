//! The HTTP API as its callers see it: the front door before the real processes.

use std::path::PathBuf;
use std::process::{Command, Output};

use devstack::aws::AwsFault;
use devstack::hubspot::{Fault, Match};
use devstack::lambda::LogLine;
use devstack::stack::{ApiResponse, Options, Stack};
use devstack::wire;
use serde_json::{Value, json};

use crate::world::{ACCOUNT, ADMIN, World, request};

async fn stack() -> Stack {
    crate::world::stack(Options::default()).await
}

/// A problem document with all of its fields, and no other.
fn assert_problem(answer: &ApiResponse, status: u16, code: &str, further: &[&str]) {
    assert_eq!((answer.status, answer.code().as_deref()), (status, Some(code)), "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let problem = answer.json();
    assert_eq!(problem["type"], format!("urn:hubspot-automations:{code}"));
    assert_eq!(problem["status"], status);
    assert!(problem["retryable"].is_boolean(), "{problem}");
    for text in ["title", "detail"] {
        assert!(problem[text].as_str().is_some_and(|text| text.len() > 5), "{text} of {problem}");
    }
    let id = if further.contains(&"execution_id") { "execution_id" } else { "request_id" };
    assert!(problem[id].as_str().is_some_and(|id| id.len() == 36), "{problem}");
    let mut names: Vec<&str> = problem.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = vec!["type", "title", "status", "detail", "code", "retryable"];
    expected.extend(further);
    names.sort_unstable();
    expected.sort_unstable();
    assert_eq!(names, expected);
}

/// The gateway's own answer, by which callers know that no function has seen the request.
fn assert_gateways(answer: &ApiResponse, status: u16, message: &str) {
    assert_eq!((answer.status, answer.json()), (status, json!({"message": message})));
}

#[tokio::test]
async fn an_execution_is_refused_without_the_engines_signature_and_role() {
    let stack = stack().await;
    let body = request(ACCOUNT, None).to_string();

    let unsigned = stack.call("POST", "/v1/automation-requests", &[], body.clone()).await;
    let token = stack.jwt(ACCOUNT, ADMIN, "admin");
    let by_token = stack.call_as(&token, "POST", "/v1/automation-requests", body.clone()).await;
    let stranger = stack.post_automation_as(&stack.stranger, body.clone()).await;
    let engine = stack.post_automation(body).await;

    assert_gateways(&unsigned, 403, "Forbidden");
    assert_gateways(&by_token, 403, "Forbidden");
    assert_problem(&stranger, 403, "forbidden", &["execution_id", "outcome"]);
    assert_eq!((&stranger.json()["outcome"], &stranger.json()["retryable"]), (&json!("not_sent"), &json!(false)));
    assert_problem(&engine, 409, "not_connected", &["execution_id", "outcome"]);
    assert!(stack.hubspot.requests().is_empty());
}

#[tokio::test]
async fn dashboard_routes_require_a_token_with_account_and_person() {
    let stack = stack().await;
    let routes = [
        ("POST", "/v1/authorizations"),
        ("GET", "/v1/integrations"),
        ("DELETE", "/v1/integrations/some"),
        ("POST", "/v1/automation-checks"),
    ];
    let of_another_api = stack.jwt_with(ACCOUNT, ADMIN, "admin", &json!({"aud": "another-api"}));
    let nobodys = [
        stack.jwt_with(ACCOUNT, ADMIN, "admin", &json!({"account_id": null})),
        stack.jwt_with(ACCOUNT, ADMIN, "admin", &json!({"account_id": ""})),
        stack.jwt_with(ACCOUNT, ADMIN, "admin", &json!({"account_id": ["acc_1"]})),
        stack.jwt_with(ACCOUNT, ADMIN, "admin", &json!({"account_id": "acc 1"})),
        stack.jwt_with(ACCOUNT, ADMIN, "admin", &json!({"sub": ""})),
    ];

    for (method, path) in routes {
        let anonymous = stack.call(method, path, &[], "{}").await;
        assert_gateways(&anonymous, 401, "Unauthorized");
        assert_gateways(&stack.call_as(&of_another_api, method, path, "{}").await, 401, "Unauthorized");
        for token in &nobodys {
            let answer = stack.call_as(token, method, path, "{}").await;
            let id = if path == "/v1/automation-checks" { "execution_id" } else { "request_id" };
            assert_problem(&answer, 401, "unauthenticated", &[id]);
        }
    }
    assert_eq!(stack.dynamo.calls().len(), 0, "nothing is read for a caller who is nobody");
}

#[tokio::test]
async fn only_an_admin_changes_anything_and_every_member_may_look() {
    let stack = stack().await;
    let integration = stack.connect(ACCOUNT, ADMIN).await;
    let delete = format!("/v1/integrations/{integration}");
    let check = json!({"request": {"method": "GET", "endpoint": "/crm/v3/owners"}}).to_string();

    for role in ["member", "Admin", "administrator", "[admin]", "owner", ""] {
        let token = stack.jwt(ACCOUNT, ADMIN, role);
        let start = stack.call_as(&token, "POST", "/v1/authorizations", r#"{"new_instance":true}"#).await;
        assert_problem(&start, 403, "forbidden", &["request_id"]);
        assert!(start.header("set-cookie").is_none());
        assert_problem(&stack.call_as(&token, "DELETE", &delete, "").await, 403, "forbidden", &["request_id"]);
        assert_eq!(stack.call_as(&token, "GET", "/v1/integrations", "").await.status, 200);
        assert_eq!(stack.call_as(&token, "POST", "/v1/automation-checks", check.clone()).await.status, 200);
    }
    let listed = stack.jwt_with(ACCOUNT, ADMIN, "", &json!({"role": ["admin", "member"]}));
    assert_problem(&stack.call_as(&listed, "DELETE", &delete, "").await, 403, "forbidden", &["request_id"]);
    assert_eq!(stack.integrations(ACCOUNT, ADMIN).await.len(), 1);
}

#[tokio::test]
async fn the_engine_cannot_call_the_dashboards_routes_by_its_signature() {
    let stack = stack().await;

    let event = stack.automation_event("{}");
    let signature = event["headers"]["authorization"].as_str().unwrap();
    let answer = stack.call("GET", "/v1/integrations", &[("authorization", signature)], "").await;

    assert_gateways(&answer, 401, "Unauthorized");
}

#[tokio::test]
async fn a_route_that_does_not_exist_reaches_no_function() {
    let stack = stack().await;
    let token = stack.jwt(ACCOUNT, ADMIN, "admin");

    for (method, path) in [
        ("GET", "/"),
        ("GET", "/v1/automation-requests"),
        ("PUT", "/v1/automation-checks"),
        ("POST", "/v1/automation-requests/"),
        ("POST", "/V1/automation-checks"),
        ("GET", "/v1/integrations/some"),
        ("DELETE", "/v1/integrations/"),
        ("POST", "/oauth/hubspot/callback"),
        ("HEAD", "/v1/integrations"),
    ] {
        let answer = stack.call_as(&token, method, path, "").await;
        assert_eq!(answer.status, 404, "{method} {path}");
        assert_eq!(answer.code(), None, "{method} {path}");
    }
    for binary in ["automation-execute", "oauth-callback"] {
        assert_eq!(stack.lambda.spawned(binary), 0, "{binary}");
    }
}

#[tokio::test]
async fn a_function_does_not_trust_the_gateway_with_its_routes_and_callers() {
    let world = World::start().await;
    let event = |method: &str, path: &str| json!({"rawPath": path, "requestContext": {"http": {"method": method}}});
    let cases = [
        (event("POST", "/v1/automation-requests"), 401, "unauthenticated"),
        (event("POST", "/v1/automation-checks"), 401, "unauthenticated"),
        (event("GET", "/v1/integrations"), 401, "unauthenticated"),
        (event("POST", "/v1/authorizations"), 401, "unauthenticated"),
        (event("DELETE", "/v1/integrations/some"), 401, "unauthenticated"),
        (event("GET", "/v1/automation-requests"), 404, "not_found"),
        (event("POST", "/v2/automation-requests"), 404, "not_found"),
        (event("GET", "/oauth/hubspot/result/<script>"), 404, "not_found"),
        (event("GET", ""), 404, "not_found"),
        (event("", ""), 400, "invalid_request"),
        (json!({}), 400, "invalid_request"),
        (json!(null), 400, "invalid_request"),
        (json!("event"), 400, "invalid_request"),
        (json!({"requestContext": 7}), 400, "invalid_request"),
    ];

    for (event, status, code) in cases {
        let ours = event["rawPath"].as_str().is_some_and(|path| path.contains("automation-"));
        let is_execute = ours || event["requestContext"]["http"].is_null();
        let binary = if is_execute { "automation-execute" } else { "oauth-callback" };
        let response = world.unseen(binary, event.clone()).await;

        let problem: Value = serde_json::from_str(&response.body).unwrap();
        assert_eq!((response.status_code, &problem["code"]), (status, &json!(code)), "{event}");
    }
}

#[tokio::test]
async fn an_answer_says_its_type_and_is_kept_by_nobody() {
    let stack = stack().await;
    stack.connect(ACCOUNT, ADMIN).await;
    let token = stack.jwt(ACCOUNT, ADMIN, "member");
    let check = json!({"request": {"method": "GET", "endpoint": "/crm/v3/owners"}}).to_string();

    let answers = [
        stack.post_automation(request(ACCOUNT, None).to_string()).await,
        stack.call_as(&token, "POST", "/v1/automation-checks", check).await,
        stack.call_as(&token, "GET", "/v1/integrations", "").await,
    ];

    for answer in answers {
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
}

#[tokio::test]
async fn failures_of_ours_are_logged_by_one_message_with_their_cause() {
    let stack = stack().await;
    stack.connect(ACCOUNT, ADMIN).await;
    let token = stack.jwt(ACCOUNT, ADMIN, "admin");
    let check = json!({"request": {"method": "GET", "endpoint": "/crm/v3/owners"}}).to_string();
    stack.dynamo.fail_next("Query", AwsFault::Refused, 1_000);

    let check = stack.call_as(&token, "POST", "/v1/automation-checks", check).await;
    let list = stack.call_as(&token, "GET", "/v1/integrations", "").await;

    for (answer, name) in [(check, "execution_id"), (list, "request_id")] {
        assert_problem(&answer, 503, "temporarily_unavailable", &[name, "retry_after_seconds"]);
        let id = answer.json()[name].as_str().unwrap().to_owned();
        let is_failure = |line: &LogLine| line.text.contains("\"request failed\"") && line.text.contains(&id);
        let line: Value = serde_json::from_str(&stack.lambda.logs().wait_for(is_failure).await.text).unwrap();
        assert_eq!((&line["level"], &line[name], &line["status"]), (&json!("WARN"), &json!(id), &json!(503)));
        assert!(line["cause"].as_str().unwrap().starts_with("Query: "), "{line}");
    }
}

#[tokio::test]
async fn the_stages_of_too_large_have_their_own_answers() {
    let stack = stack().await;
    let sized = |size: usize| format!("{{\"account_id\":\"{}\"}}", "x".repeat(size));

    let function = stack.post_automation(sized(1024 * 1024)).await;
    let lambda = stack.post_automation(sized(7 * 1024 * 1024)).await;
    let gateway = stack.post_automation(sized(11 * 1024 * 1024)).await;
    let token = stack.jwt(ACCOUNT, ADMIN, "admin");
    let check = stack.call_as(&token, "POST", "/v1/automation-checks", sized(1024 * 1024)).await;
    let start = stack.call_as(&token, "POST", "/v1/authorizations", sized(1024 * 1024)).await;

    assert_problem(&function, 413, "request_too_large", &["execution_id", "outcome"]);
    assert_problem(&check, 413, "request_too_large", &["execution_id"]);
    assert_problem(&start, 413, "request_too_large", &["request_id"]);
    assert_eq!((lambda.status, lambda.code()), (413, None));
    assert_eq!((gateway.status, gateway.code()), (413, None));
}

#[tokio::test]
async fn the_largest_answers_fit_through_lambda_or_are_omitted() {
    let stack = stack().await;
    stack.connect(ACCOUNT, ADMIN).await;
    let html = |body: String| Fault::Answer(wire::Answer::html(200, &body));
    // A quote becomes four bytes: once in our JSON, and once more in Lambda's.
    let (fits, does_not) = ("\"".repeat(1_450_000), "\"".repeat(1_500_000));
    stack.hubspot.script(Match::api(), [html(fits.clone()), html(does_not)]);

    let whole = stack.post_automation(request(ACCOUNT, None).to_string()).await;
    let omitted = stack.post_automation(request(ACCOUNT, None).to_string()).await;

    assert_eq!((whole.status, omitted.status), (200, 200));
    assert!(whole.json()["hubspot"]["body_text"] == fits.as_str(), "the whole text comes back");
    assert_eq!(omitted.json()["hubspot"]["body_omitted"], "too_large");
}

#[tokio::test]
async fn a_body_that_came_in_base64_is_the_same_request() {
    let stack = stack().await;
    stack.connect(ACCOUNT, ADMIN).await;
    let body = r#"{"account_id":"acc_1","request":{"method":"POST","endpoint":"/crm/v3/objects/contacts/search","body": {"n": 1.0e2} }}"#;
    let mut event = stack.automation_event(body);
    event["body"] = json!(base64::Engine::encode(&base64::engine::general_purpose::STANDARD, body));
    event["isBase64Encoded"] = json!(true);

    let answer = stack.lambda.invoke("automation-execute", event).await.unwrap();

    assert_eq!(answer["statusCode"], 200, "{answer}");
    assert_eq!(stack.hubspot.api_requests()[0].text(), r#"{"n": 1.0e2}"#);
}

/// Runs a function as Lambda does, but with these variables only.
fn start(binary: &str, environment: &[(&str, &str)]) -> Output {
    let mut program: PathBuf = std::env::current_exe().unwrap();
    program.pop();
    program.pop();
    let mut command = Command::new(program.join(binary));
    command.env_clear().envs(environment.iter().copied());
    command.env("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9").output().unwrap()
}

#[test]
fn what_the_configuration_lacks_is_reported_whole_at_the_start() {
    let everywhere = ["INTEGRATIONS_TABLE", "SECRET_PREFIX"];
    for (binary, own) in [
        ("automation-execute", &[][..]),
        ("oauth-callback", &["HUBSPOT_SCOPES", "AUTHORIZATIONS_TABLE", "PUBLIC_URL"]),
        ("token-refresh", &[]),
    ] {
        let output = start(binary, &[]);

        assert!(!output.status.success(), "{binary}");
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        for name in everywhere.iter().chain(own) {
            assert!(text.contains(&format!("{name} is missing")), "{binary} says nothing of {name}: {text}");
        }
    }
}

#[test]
fn what_is_wrong_in_the_configuration_is_reported_beside_what_is_missing() {
    let environment = [
        ("INTEGRATIONS_TABLE", ""),
        ("SECRET_PREFIX", " "),
        ("HUBSPOT_API_URL", "http://api.hubapi.com"),
        ("TOKEN_TIMEOUT_SECONDS", "soon"),
        ("REFRESH_LEASE_SECONDS", "11"),
        ("IDLE_AFTER_HOURS", "0"),
    ];

    // The callback refreshes nothing: it does not read the last two.
    for (binary, read) in [("automation-execute", 6), ("oauth-callback", 4), ("token-refresh", 6)] {
        let output = start(binary, &environment);

        assert!(!output.status.success(), "{binary}");
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        for (name, _) in &environment[..read] {
            assert!(text.contains(name), "{binary} does not report {name}: {text}");
        }
    }
}

#[tokio::test]
async fn what_lambda_itself_hands_over_is_missed_at_the_start() {
    let stack = stack().await;
    let lambda = [("AWS_REGION", "eu-west-1"), ("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "pl4nted")];
    for binary in ["automation-execute", "oauth-callback", "token-refresh"] {
        let configured = stack.environment(binary);
        for (missing, _) in lambda {
            let mut environment: Vec<(&str, &str)> = lambda.into_iter().filter(|(name, _)| *name != missing).collect();
            environment.push((missing, ""));
            environment.extend(configured.iter().map(|(name, value)| (name.as_str(), value.as_str())));

            let output = start(binary, &environment);

            assert!(!output.status.success(), "{binary}");
            let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            assert!(text.contains(&format!("{missing} is missing")), "{binary} says nothing of {missing}: {text}");
            assert!(!text.contains("pl4nted"), "{text}");
        }
    }
}
