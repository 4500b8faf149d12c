//! The stack by itself: what no test of the system sees. They need the functions' executables.

use super::*;

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
    let stack = Stack::start(Options::default()).await.unwrap();
    stack.post_automation(r#"{"account_id":"acc_1"}"#).await;
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
