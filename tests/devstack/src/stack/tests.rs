//! The stack by itself: what tests of the system rely on. They need the functions' executables.

use super::*;
use crate::wire::At;

async fn started() -> Arc<Stack> {
    Arc::new(Stack::start(Options::default()).await.unwrap())
}

fn automation(account: &str) -> String {
    json!({ "account_id": account, "request": { "method": "GET", "endpoint": "/crm/v3/objects/contacts" } }).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_connects_by_the_steps_of_a_browser_and_its_automation_runs() {
    let stack = started().await;

    let integration = stack.connect("acc_1", "alice").await;
    let answer = stack.post_automation(automation("acc_1")).await;

    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["integration_id"], integration.as_str());
    let [request] = stack.hubspot.api_requests().try_into().unwrap();
    let secret = stack.secrets_manager.secret(&stack.newest_text("acc_1", "secret_id").await.unwrap()).unwrap();
    let token = secret.current().unwrap().value.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(request.header("authorization"), Some(format!("Bearer {token}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_engine_is_let_in_by_its_signature_and_its_role() {
    let stack = started().await;

    let stranger = stack.post_automation_as(&stack.stranger, automation("acc_1")).await;
    let unsigned = stack.call("POST", "/v1/automation-requests", &[], automation("acc_1")).await;
    let engine = stack.post_automation(automation("acc_1")).await;

    assert_eq!((stranger.status, stranger.code().as_deref()), (403, Some("forbidden")));
    assert_eq!((unsigned.status, unsigned.code()), (403, None), "refused by the gateway itself");
    assert_eq!((engine.status, engine.code().as_deref()), (409, Some("not_connected")));
}

#[tokio::test]
async fn a_handler_in_this_process_gets_the_event_that_the_real_one_gets() {
    let stack = started().await;

    let event = stack.automation_event(automation("acc_1"));

    assert_eq!(event["body"], automation("acc_1"));
    let arn = event["requestContext"]["authorizer"]["iam"]["userArn"].as_str().unwrap();
    let role = &stack.environment("automation-execute")["ENGINE_ROLE_ARN"];
    assert_eq!(arn.split('/').nth(1), role.rsplit('/').next(), "{arn} is a session of {role}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_killed_during_a_write_is_replaced_and_nothing_is_written() {
    let stack = started().await;
    let gate = stack.dynamo.hold("PutItem", At::Before);
    let connecting = tokio::spawn({
        let stack = stack.clone();
        async move { stack.authorize("acc_1", "alice", &json!({})).await }
    });
    gate.reached(1).await;

    assert_eq!(stack.lambda.kill_busy("oauth-callback").await, 1);
    gate.lose();

    assert!(connecting.await.unwrap().unwrap_err().contains("Internal Server Error"));
    let items = stack.dynamodb().scan().table_name(stack.table("AUTHORIZATIONS_TABLE")).send().await.unwrap();
    assert_eq!(items.count, 0);
    stack.connect("acc_1", "alice").await;
    assert_eq!(stack.lambda.spawned("oauth-callback"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schedule_runs_the_function_with_the_event_of_the_template() {
    let stack = started().await;
    stack.connect("acc_1", "alice").await;

    let report = stack.run_schedule_once(None).await.unwrap();

    assert_eq!(report["due"], 0, "nothing is due right after connecting: {report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_that_is_taken_away_is_missed_at_the_start() {
    let environment = BTreeMap::from([("SECRET_PREFIX".to_owned(), None), ("INTEGRATIONS_TABLE".to_owned(), None)]);
    let options = Options { environment, app_secret: false, ..Options::default() };
    let stack = Stack::start(options).await.unwrap();

    let error = stack.run_schedule_once(None).await.unwrap_err().to_string();

    assert!(error.contains("SECRET_PREFIX") && error.contains("INTEGRATIONS_TABLE"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_process_outlives_its_stack() {
    let stack = started().await;
    stack.post_automation(automation("acc_1")).await;
    let [process] = stack.lambda.processes("automation-execute").try_into().unwrap();
    let alive =
        || std::process::Command::new("kill").args(["-0", &process.pid.to_string()]).output().unwrap().status.success();
    assert!(alive());

    drop(stack);

    let mut dead = tokio::time::interval(std::time::Duration::from_millis(5));
    let gone = async {
        while alive() {
            dead.tick().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), gone).await.expect("the process is killed");
}
