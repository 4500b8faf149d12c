//! `devstack demo`: the main path from end to end, step by step; every sentence it prints was checked first.

use std::time::Duration;

use serde_json::{Value, json};
use shared::clock::Clock;

use crate::hubspot::{self, RecordedRequest};
use crate::stack::{ApiResponse, Options, Stack};

const ACCOUNT: &str = "acc_demo";
const ADMIN: &str = "alice";
/// A credential that a customer pasted years ago.
const OLD_TOKEN: &str = "pat-na1-11111111-2222-3333-4444-555555555555";
const OLD_KEY: &str = "66666666-7777-8888-9999-000000000000";
/// HubSpot's tokens live half an hour; nobody waits that long for a demonstration.
const SHORT_LIFE: i64 = 6;
const USUAL_LIFE: i64 = 1800;
/// How many automations meet the expired token at once.
const AT_ONCE: usize = 20;

/// Runs the demonstration, against another emulator of AWS if its endpoint is given.
///
/// # Errors
/// Something did not come out as it must; the text says what.
pub async fn run(aws_endpoint: Option<String>) -> Result<(), String> {
    println!("The main path on this machine: real binaries, AWS and HubSpot emulated on loopback.\n");
    let hubspot = hubspot::HubSpotOptions { expires_in: SHORT_LIFE, ..hubspot::HubSpotOptions::default() };
    let stack = Stack::start(Options { hubspot, aws_endpoint, ..Options::default() }).await?;
    let outcome = go_through(&stack).await;
    if outcome.is_err() {
        for line in stack.lambda.stop().await {
            eprintln!("[{} {}] {}", line.function, line.pid, line.text);
        }
    }
    outcome
}

async fn go_through(stack: &Stack) -> Result<(), String> {
    let first = connect(stack).await?;
    execute(stack, &first).await?;
    refresh(stack, &first).await?;
    supersede(stack, &first).await?;
    println!("\nAll of it was checked: the demonstration has succeeded.");
    Ok(())
}

async fn connect(stack: &Stack) -> Result<String, String> {
    println!("1. An admin of the account {ACCOUNT} connects HubSpot in the browser.");
    let authorization = stack.authorize(ACCOUNT, ADMIN, &json!({})).await?;
    println!("   POST /v1/authorizations         201, the browser gets a cookie and goes to HubSpot");
    let callback = stack.consent(&authorization).await?;
    println!("   HubSpot's consent page          Accept, HubSpot sends the browser back with a code");
    let outcome = stack.finish(&callback, Some(&authorization.cookie)).await?;
    println!("   GET /oauth/hubspot/callback     303, the result is: {outcome}");
    check(outcome == "connected", "the authorization ends as connected")?;
    let integrations = stack.integrations(ACCOUNT, ADMIN).await;
    check(integrations.len() == 1, "the account has one integration")?;
    let id = integrations[0]["integration_id"].as_str().unwrap_or_default().to_owned();
    println!("   The account has the integration {id}.");
    Ok(id)
}

async fn execute(stack: &Stack, integration: &str) -> Result<(), String> {
    println!("\n2. An automation runs that still carries old credentials.");
    println!("   POST https://api.hubapi.com/crm/v3/objects/contacts/search?hapikey={OLD_KEY}");
    println!("   Authorization: Bearer {OLD_TOKEN}");
    let before = stack.hubspot.api_requests().len();
    let answer = stack.post_automation(automation(integration).to_string()).await;
    answered(&answer)?;
    let requests = stack.hubspot.api_requests();
    let [received] = &requests[before..] else {
        return Err(format!("HubSpot got {} requests", requests.len() - before));
    };
    println!("   HubSpot received:");
    show(received)?;
    let clean = !received.contains(OLD_TOKEN) && !received.contains(OLD_KEY) && !received.contains("hapikey");
    check(clean, "no old credential reaches HubSpot")?;
    let ignored = answer.json()["ignored_credentials"].clone();
    check(ignored == json!(["header:authorization", "query:hapikey"]), "the answer names what was ignored")?;
    println!("   None of the old credentials is in it. The answer names what was ignored: {ignored}.");
    Ok(())
}

async fn refresh(stack: &Stack, integration: &str) -> Result<(), String> {
    println!("\n3. The access token expires, and {AT_ONCE} automations meet it at once.");
    let expires_at = stack.newest_number(ACCOUNT, "token_expires_at").await?;
    let left = Clock::default().remaining((expires_at + 1) * 1000);
    println!("   It lives {SHORT_LIFE} s here (half an hour at HubSpot). Waiting until it has expired.");
    tokio::time::sleep(left.min(Duration::from_secs(60))).await;
    stack.hubspot.set_expires_in(USUAL_LIFE);
    let (before, old) = (stack.hubspot.token_requests().len(), last_token(stack));
    let body = automation(integration).to_string();
    let executions = futures_util::future::join_all((0..AT_ONCE).map(|_| stack.post_automation(body.clone())));
    for answer in executions.await {
        answered(&answer)?;
    }
    let calls = stack.hubspot.token_requests().len() - before;
    check(calls == 1, &format!("one call of the token endpoint serves them all (it was called {calls} times)"))?;
    check(last_token(stack) != old, "HubSpot receives the new access token")?;
    println!(
        "   All {AT_ONCE} succeeded, in {} processes. HubSpot's token endpoint was called exactly once.",
        busy(stack)
    );
    Ok(())
}

async fn supersede(stack: &Stack, first: &str) -> Result<(), String> {
    println!("\n4. The account connects a second integration; from now on only the newest one counts.");
    let second = stack.connect_with(ACCOUNT, ADMIN, &json!({ "new_instance": true })).await?;
    check(second.outcome == "connected", "the second authorization ends as connected")?;
    let second = second.integration_id.ok_or("the account has no integration")?;
    check(second != first, "the second integration has an id of its own")?;
    println!("   The account's newest integration is now {second}.");
    let before = stack.hubspot.api_requests().len();
    let refused = stack.post_automation(automation(first).to_string()).await;
    let code = refused.code().unwrap_or_default();
    check(refused.status == 409 && code == "integration_superseded", "the first one's automation is refused")?;
    check(stack.hubspot.api_requests().len() == before, "nothing of a refused automation reaches HubSpot")?;
    println!("   An automation of the first:     {} {code}, nothing reached HubSpot", refused.status);
    let answer = stack.post_automation(automation(&second).to_string()).await;
    answered(&answer)?;
    check(stack.hubspot.api_requests().len() == before + 1, "the second one's automation reaches HubSpot")?;
    println!(
        "   An automation of the second:    {} {}",
        answer.status,
        answer.json()["outcome"].as_str().unwrap_or_default()
    );
    Ok(())
}

fn automation(integration: &str) -> Value {
    json!({
        "account_id": ACCOUNT,
        "integration_id": integration,
        "automation_id": "wf_42",
        "request": {
            "method": "POST",
            "endpoint": format!("https://api.hubapi.com/crm/v3/objects/contacts/search?hapikey={OLD_KEY}"),
            "headers": { "Authorization": format!("Bearer {OLD_TOKEN}"), "Content-Type": "application/json" },
            "body": { "limit": 1 },
        },
    })
}

fn answered(answer: &ApiResponse) -> Result<(), String> {
    let body = answer.json();
    let good = answer.status == 200 && body["outcome"] == "answered" && body["hubspot"]["status"] == 200;
    check(good, &format!("an automation is answered by HubSpot ({} {})", answer.status, answer.text()))
}

/// Prints a request as it came over the wire, the token shortened.
fn show(request: &RecordedRequest) -> Result<(), String> {
    println!("     {} {}", request.method, request.target);
    for (name, value) in &request.headers {
        let value = String::from_utf8_lossy(value);
        match value.strip_prefix("Bearer ").filter(|_| name.eq_ignore_ascii_case("authorization")) {
            Some(token) => println!("     {name}: Bearer {}…", token.chars().take(8).collect::<String>()),
            None => println!("     {name}: {value}"),
        }
    }
    println!("\n     {}", request.text());
    let authorizations = request.headers_named("authorization");
    let own = authorizations.len() == 1 && authorizations[0].starts_with(b"Bearer CK");
    check(own, "HubSpot receives the integration's OAuth token, once")
}

fn last_token(stack: &Stack) -> Option<String> {
    stack.hubspot.api_requests().last()?.header("authorization")
}

fn busy(stack: &Stack) -> usize {
    stack.lambda.processes("automation-execute").len()
}

fn check(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("it must hold, and does not, that {what}")) }
}
