//! The Runtime API against a fake function: this test binary itself, started again by a script.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::*;
use crate::loopback;

/// Body of the child process. In an ordinary test run it has nothing to do.
#[tokio::test]
async fn the_fake_function() {
    #[expect(clippy::disallowed_methods, reason = "the Runtime API's address is in the environment")]
    let Ok(api) = std::env::var("AWS_LAMBDA_RUNTIME_API") else { return };
    let base = format!("http://{api}/2018-06-01/runtime");
    let client = loopback::client();
    let mut seen = 0;
    loop {
        let work = client.get(format!("{base}/invocation/next")).send().await.unwrap();
        let id = work.headers()["lambda-runtime-aws-request-id"].to_str().unwrap().to_owned();
        assert!(work.headers().contains_key("lambda-runtime-deadline-ms"));
        let event: Value = serde_json::from_slice(&work.bytes().await.unwrap()).unwrap();
        seen += 1;
        println!("working on {event}");
        let (path, answer) = match event["do"].as_str().unwrap() {
            "exit" => std::process::exit(3),
            "hang" => std::future::pending().await,
            "fail" => ("error", json!({ "errorType": "Broken", "errorMessage": "as asked" })),
            _ => ("response", json!({ "event": event, "seen": seen, "pid": std::process::id() })),
        };
        let url = format!("{base}/invocation/{id}/{path}");
        client.post(url).body(answer.to_string()).send().await.unwrap();
    }
}

struct Fake {
    lambda: Arc<Lambda>,
    _folder: Folder,
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn fake(script: &str, concurrency: usize, timeout: Duration) -> Fake {
    let folder = Folder(std::env::temp_dir().join(format!("fake-{}", uuid::Uuid::now_v7())));
    std::fs::create_dir_all(&folder.0).unwrap();
    let program = folder.0.join("bootstrap");
    std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let spec = Spec {
        binary: "fake".to_owned(),
        program,
        name: "one-fake".to_owned(),
        timeout,
        memory: 128,
        environment: BTreeMap::new(),
        concurrency,
    };
    Fake { lambda: Arc::new(Lambda::new(vec![spec])), _folder: folder }
}

fn function(concurrency: usize) -> Fake {
    let this = std::env::current_exe().unwrap();
    let script = format!("exec '{}' --exact lambda::tests::the_fake_function --nocapture", this.display());
    fake(&script, concurrency, Duration::from_secs(120))
}

async fn ask(fake: &Fake, what: &str) -> Result<Value, InvokeError> {
    fake.lambda.invoke("fake", json!({ "do": what })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_answers_one_invocation_after_the_other() {
    let fake = function(4);

    let first = ask(&fake, "echo").await.unwrap();
    let second = ask(&fake, "echo").await.unwrap();

    assert_eq!((&first["seen"], &second["seen"]), (&json!(1), &json!(2)));
    assert_eq!(first["pid"], second["pid"]);
    assert_eq!(fake.lambda.spawned("fake"), 1);
    fake.lambda.logs().wait_for(|line| line.text.contains("working on")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reported_error_ends_the_invocation_and_not_the_process() {
    let fake = function(1);

    let failed = ask(&fake, "fail").await.unwrap_err();
    let next = ask(&fake, "echo").await.unwrap();

    assert_eq!(failed, InvokeError::Function { error_type: "Broken".into(), message: "as asked".into() });
    assert_eq!(next["seen"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ends_fails_its_invocation_and_is_replaced() {
    let fake = function(1);

    let failed = ask(&fake, "exit").await.unwrap_err();
    let next = ask(&fake, "echo").await.unwrap();

    assert!(matches!(failed, InvokeError::Exited { .. }), "{failed}");
    assert_eq!(next["seen"], 1, "a new process");
    assert_eq!(fake.lambda.spawned("fake"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn busy_processes_get_company_up_to_the_limit_and_the_rest_waits() {
    let fake = function(2);
    let hanging: Vec<_> = (0..2)
        .map(|_| {
            let lambda = fake.lambda.clone();
            tokio::spawn(async move { lambda.invoke("fake", json!({ "do": "hang" })).await })
        })
        .collect();
    let mut working = std::collections::BTreeSet::new();
    while working.len() < 2 {
        let found =
            fake.lambda.logs().wait_for(|line| line.text.contains("hang") && !working.contains(&line.pid)).await;
        working.insert(found.pid);
    }
    let lambda = fake.lambda.clone();
    let third = tokio::spawn(async move { lambda.invoke("fake", json!({ "do": "echo" })).await });
    assert_eq!(fake.lambda.processes("fake").len(), 2);

    assert_eq!(fake.lambda.kill_busy("fake").await, 2);

    for hanging in hanging {
        assert!(matches!(hanging.await.unwrap(), Err(InvokeError::Exited { .. })));
    }
    assert!(third.await.unwrap().is_ok(), "a new process took it");
    assert_eq!(fake.lambda.spawned("fake"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_while_idle_costs_no_invocation() {
    let fake = function(1);
    ask(&fake, "echo").await.unwrap();
    let [process] = fake.lambda.processes("fake").try_into().unwrap();

    assert!(fake.lambda.kill(process.pid).await);

    assert_eq!(ask(&fake, "echo").await.unwrap()["seen"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_does_not_answer_in_time_is_killed() {
    let this = std::env::current_exe().unwrap();
    let script = format!("exec '{}' --exact lambda::tests::the_fake_function --nocapture", this.display());
    let fake = fake(&script, 1, Duration::from_millis(300));

    assert_eq!(ask(&fake, "hang").await.unwrap_err(), InvokeError::TimedOut(Duration::from_millis(300)));

    assert!(fake.lambda.processes("fake").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_does_not_start_is_reported_with_its_output() {
    let fake = fake("echo 'INTEGRATIONS_TABLE is missing' >&2; exit 1", 1, Duration::from_secs(3));

    let error = ask(&fake, "echo").await.unwrap_err().to_string();

    assert!(error.contains("INTEGRATIONS_TABLE is missing"), "{error}");
}
