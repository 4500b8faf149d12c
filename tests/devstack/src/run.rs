//! `local run`: keeps the stack up for a person with a browser and a shell.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Html;
use axum::routing::get;
use serde_json::json;
use shared::clock::Clock;

use crate::loopback::{self, Server};
use crate::stack::{Options, Stack};
use crate::template::REGION;

const ACCOUNT: &str = "acc_demo";
const ADMIN: &str = "alice";
/// The start page, which acts as the dashboard.
const START_PAGE: &str = include_str!("run/start.html");

/// Runs until Ctrl-C.
///
/// # Errors
/// The stack does not start.
pub async fn run() -> Result<(), String> {
    let listener = loopback::listen().await.map_err(|error| format!("no port: {error}"))?;
    let port = listener.local_addr().map_err(|error| error.to_string())?.port();
    // The same host as the API's, so that both are one site and the browser keeps the API's cookie.
    let dashboard = format!("http://localhost:{port}");
    let parameters = BTreeMap::from([
        ("DashboardOrigin".to_owned(), dashboard.clone()),
        ("ReturnUrl".to_owned(), format!("{dashboard}/")),
    ]);
    let environment = BTreeMap::from([("INSTALL_URL".to_owned(), Some(format!("{dashboard}/")))]);
    let stack = Arc::new(Stack::start(Options { parameters, environment, ..Options::default() }).await?);
    let router = Router::new().route("/", get(start_page)).with_state(stack.clone());
    let _dashboard = Server::on(listener, router);
    let _firing = stack.fire_schedules(1);
    explain(&stack, &dashboard);
    tokio::signal::ctrl_c().await.map_err(|error| error.to_string())?;
    println!("\nStopped; everything it held is gone.");
    Ok(())
}

async fn start_page(State(stack): State<Arc<Stack>>) -> Html<String> {
    let page = START_PAGE.replace("{{api}}", stack.public_url()).replace("{{account}}", ACCOUNT);
    Html(page.replace("{{marketplace}}", &stack.marketplace()).replace("{{token}}", &token(&stack)))
}

/// A token for a day of playing.
fn token(stack: &Stack) -> String {
    stack.jwt_with(ACCOUNT, ADMIN, "admin", &json!({ "exp": Clock::default().now() + 86_400 }))
}

fn explain(stack: &Stack, dashboard: &str) {
    let api = stack.public_url();
    let token = token(stack);
    let request = json!({ "method": "GET", "endpoint": "/crm/v3/objects/contacts?limit=1&hapikey=old" });
    let automation = json!({ "account_id": ACCOUNT, "request": request });
    let integration = "INTEGRATION_ID";
    let check = json!({ "integration_id": integration, "request": request });
    let engine = &stack.engine;
    println!(
        "\
The system runs. Its state is in memory; Ctrl-C ends it.

  Start page   {dashboard}/   (acts as the dashboard: connect the account {ACCOUNT} here first)
  API          {api}
  HubSpot      {hubspot}   (emulated)
  DynamoDB     {dynamodb}   (emulated)
  Secrets      {secrets}   (emulated)

  token-refresh runs every minute, as the template says.

Execute an automation, signed as the workflow engine does:
  curl -s {api}/v1/automation-requests --aws-sigv4 aws:amz:{REGION}:execute-api --user {id}:{secret} \\
    -H 'content-type: application/json' -d '{automation}'

The dashboard's token, for the lines below:
  TOKEN={token}

List the integrations:
  curl -s {api}/v1/integrations -H \"authorization: Bearer $TOKEN\"

Check what an automation needs, without sending it (with an integration_id of that list):
  curl -s {api}/v1/automation-checks -H \"authorization: Bearer $TOKEN\" -H 'content-type: application/json' \\
    -d '{check}'

Disconnect (with an integration_id of that list):
  curl -s -X DELETE {api}/v1/integrations/{integration} -H \"authorization: Bearer $TOKEN\"

Operate it from another shell (`hubspotctl --help` says what there is):
  export {variables}
  {hubspotctl} --help
",
        hubspot = stack.hubspot.url(),
        dynamodb = stack.dynamo.url(),
        secrets = stack.secrets_manager.url(),
        id = engine.id,
        secret = engine.secret,
        variables = variables(stack),
        hubspotctl = Stack::hubspotctl().map_or_else(|_| "hubspotctl".to_owned(), |path| path.display().to_string()),
    );
}

/// What a shell has to export for the operator's tool.
fn variables(stack: &Stack) -> String {
    let shown = ["_TABLE", "SECRET_PREFIX", "SECRETS_KMS_KEY", "HUBSPOT_", "AWS_"];
    let variables = stack.operator().into_iter().filter(|(name, _)| shown.iter().any(|part| name.contains(part)));
    let quoted: Vec<String> = variables.map(|(name, value)| format!("{name}='{value}'")).collect();
    quoted.join(" ")
}
