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

fn function(concurrency: usize, timeout: Duration) -> (Arc<Lambda>, Folder) {
    let folder = Folder(std::env::temp_dir().join(format!("fake-{}", uuid::Uuid::now_v7())));
    std::fs::create_dir_all(&folder.0).unwrap();
    let (program, this) = (folder.0.join("bootstrap"), std::env::current_exe().unwrap());
    let script = format!("#!/bin/sh\nexec '{}' --exact lambda::tests::the_fake_function --nocapture\n", this.display());
    std::fs::write(&program, script).unwrap();
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
    (Arc::new(Lambda::new(vec![spec])), folder)
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn ask(lambda: &Lambda, what: &str) -> Result<Value, InvokeError> {
    lambda.invoke("fake", json!({ "do": what })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_answers_until_it_ends_and_is_replaced() {
    let (lambda, _folder) = function(4, Duration::from_secs(120));

    assert_eq!(ask(&lambda, "echo").await.unwrap()["seen"], 1);
    let reported = InvokeError::Function { error_type: "Broken".into(), message: "as asked".into() };
    assert_eq!(ask(&lambda, "fail").await.unwrap_err(), reported);
    assert_eq!(ask(&lambda, "echo").await.unwrap()["seen"], 3, "a reported error ends no process");

    let failed = ask(&lambda, "exit").await.unwrap_err();
    assert!(matches!(failed, InvokeError::Exited { .. }), "{failed}");
    assert_eq!(ask(&lambda, "echo").await.unwrap()["seen"], 1);

    let [idle] = lambda.processes("fake").try_into().unwrap();
    assert!(lambda.kill(idle.pid).await);
    assert_eq!(ask(&lambda, "echo").await.unwrap()["seen"], 1, "a process killed while idle costs no invocation");
    assert_eq!(lambda.spawned("fake"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn busy_processes_get_company_up_to_the_limit_and_the_rest_waits() {
    let (lambda, _folder) = function(2, Duration::from_secs(120));
    let begin = |what: &'static str| {
        let lambda = lambda.clone();
        tokio::spawn(async move { ask(&lambda, what).await })
    };
    let hanging = [begin("hang"), begin("hang")];
    let first = lambda.logs().wait_for(|line| line.text.contains("hang")).await.pid;
    lambda.logs().wait_for(|line| line.text.contains("hang") && line.pid != first).await;
    let third = begin("echo");
    assert_eq!(lambda.processes("fake").len(), 2);

    assert_eq!(lambda.kill_busy("fake").await, 2);

    for hanging in hanging {
        assert!(matches!(hanging.await.unwrap(), Err(InvokeError::Exited { .. })));
    }
    assert!(third.await.unwrap().is_ok(), "a new process took it");
    assert_eq!(lambda.spawned("fake"), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_that_does_not_answer_in_time_is_killed() {
    let (lambda, _folder) = function(1, Duration::from_millis(300));

    assert_eq!(ask(&lambda, "hang").await.unwrap_err(), InvokeError::TimedOut(Duration::from_millis(300)));

    assert!(lambda.processes("fake").is_empty());
}
