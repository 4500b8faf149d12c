//! `devstack run`: keeps the stack up for a person with a browser and a shell.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use crate::dashboard::levers::PORTALS;
use crate::dashboard::{self, ACCOUNTS, Dashboard};
use crate::hubspot;
use crate::loopback::{self, Server};
use crate::stack::{Options, Stack};
use crate::template::REGION;

/// Runs until Ctrl-C. With a port the dashboard has it and the API the one after it; without one the system chooses.
///
/// # Errors
/// The stack does not start, or a port is taken.
pub async fn run(port: Option<u16>) -> Result<(), String> {
    let listener = loopback::listen_on(port.unwrap_or(0)).await?;
    let port_of_dashboard = listener.local_addr().map_err(|error| error.to_string())?.port();
    // The same host as the API's, so that both are one site and the browser keeps the API's cookie.
    let page = format!("http://localhost:{port_of_dashboard}");
    let parameters = BTreeMap::from([("DashboardOrigin".to_owned(), page.clone())]);
    let stack = Stack::start(Options {
        parameters,
        // The dashboard is the page for installations that begin at HubSpot, and result pages link back to it.
        environment: BTreeMap::from([("INSTALL_URL".to_owned(), Some(format!("{page}/")))]),
        port: port.map_or(0, |port| port.saturating_add(1)),
        concurrency: 16,
        hubspot: hubspot::HubSpotOptions { portals: PORTALS.into(), ..hubspot::HubSpotOptions::default() },
        ..Options::default()
    });
    let stack = Arc::new(stack.await?);
    let _dashboard = Server::on(listener, Dashboard::of(stack.clone()).router());
    let _firing = stack.fire_schedules(1);
    explain(&stack, &page);
    tokio::signal::ctrl_c().await.map_err(|error| error.to_string())?;
    println!("\nStopped. Everything it held is gone.");
    Ok(())
}

fn explain(stack: &Stack, page: &str) {
    let api = stack.public_url();
    let account = ACCOUNTS[0];
    let token = dashboard::token(stack, account, "admin");
    let request = json!({ "method": "GET", "endpoint": "/crm/v3/objects/contacts?limit=1&hapikey=old" });
    let automation = json!({ "account_id": account, "request": request });
    let integration = "INTEGRATION_ID";
    let check = json!({ "integration_id": integration, "request": request });
    let engine = &stack.engine;
    println!(
        "\
The system runs. Open the dashboard:

  Dashboard    {page}/

Its state is in memory; Ctrl-C ends it. token-refresh runs every minute, as the template says.

  API          {api}
  HubSpot      {hubspot}   (emulated)
  DynamoDB     {dynamodb}   (emulated)
  Secrets      {secrets}   (emulated)

Execute an automation, signed as the workflow engine does (connect the account {account} on the dashboard first):
  curl -s {api}/v1/automation-requests --aws-sigv4 aws:amz:{REGION}:execute-api --user {id}:{secret} \\
    -H 'content-type: application/json' -d '{automation}'

The dashboard's token, for the lines below:
  TOKEN={token}

List the integrations:
  curl -s {api}/v1/integrations -H \"authorization: Bearer $TOKEN\"

Check what an automation needs, without sending it (with an integration_id of that list):
  curl -s {api}/v1/automation-checks -H \"authorization: Bearer $TOKEN\" -H 'content-type: application/json' \\
    -d '{check}'

Checks that find alternative scopes (any_of), an endpoint for developer keys only, and one that HubSpot ends:
{findings}
Disconnect (with an integration_id of that list):
  curl -s -X DELETE {api}/v1/integrations/{integration} -H \"authorization: Bearer $TOKEN\"

Change what HubSpot does (the first line lists all levers and their parameters; the second makes its API answer 502):
  curl -s {page}/dev/levers
  curl -s {page}/dev/levers/fail -d '{{\"where\":\"api\",\"how\":\"502\"}}'
  curl -s {page}/dev/levers/recover -d '{{}}'

See what happened (log lines, requests to HubSpot, events):
  curl -s {page}/dev/timeline

Operate it from another shell (`hubspotctl --help` says what there is):
  export {variables}
  {hubspotctl} --help
",
        findings = FINDINGS.map(|(method, endpoint)| check_line(api, method, endpoint)).concat(),
        hubspot = stack.hubspot.url(),
        dynamodb = stack.dynamo.url(),
        secrets = stack.secrets_manager.url(),
        id = engine.id,
        secret = engine.secret,
        variables = variables(stack),
        hubspotctl = Stack::hubspotctl().map_or_else(|_| "hubspotctl".to_owned(), |path| path.display().to_string()),
    );
}

/// Requests whose checks show `any_of`, `developer_key` and `deprecated`.
const FINDINGS: [(&str, &str); 3] = [
    ("GET", "/cms/hubdb/2026-03/tables"),
    ("GET", "/app-webhooks/2026-09/1/settings"),
    ("GET", "/crm-pipelines/v1/pipelines/deals"),
];

/// The `curl` line that checks a request.
fn check_line(api: &str, method: &str, endpoint: &str) -> String {
    let check = json!({ "request": { "method": method, "endpoint": endpoint } });
    let headers = r#"-H "authorization: Bearer $TOKEN" -H 'content-type: application/json'"#;
    format!("  curl -s {api}/v1/automation-checks {headers} \\\n    -d '{check}'\n")
}

/// Variables that a shell exports for the operator's tool.
fn variables(stack: &Stack) -> String {
    let needed = ["_TABLE", "SECRET_PREFIX", "SECRETS_KMS_KEY", "HUBSPOT_", "AWS_"];
    let variables = stack.operator().into_iter().filter(|(name, _)| needed.iter().any(|part| name.contains(part)));
    let quoted: Vec<String> = variables.map(|(name, value)| format!("{name}='{value}'")).collect();
    quoted.join(" ")
}
