//! Log lines are an interface: dashboards, alarms and runbooks read them. Every line that a stack of the tests prints
//! is validated with `infra/log-line.schema.json` when the stack ends, and searched for the secrets that the stack
//! held.

mod alarms;
mod insights;
mod metrics;
mod runbooks;
mod schema;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use devstack::lambda::{LogLine, Stream};
use devstack::secrets_manager::SecretValue;
use devstack::stack::Stack;
use devstack::template::repository;
use jsonschema::{Draft, Validator};
use serde_json::Value;

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let text = std::fs::read_to_string(repository().join("infra/log-line.schema.json")).unwrap();
    serde_json::from_str(&text).unwrap()
});

static VALIDATOR: LazyLock<Validator> =
    LazyLock::new(|| jsonschema::options().with_draft(Draft::Draft202012).build(&SCHEMA).unwrap());

/// Looks at what a stack's processes have printed, when the stack ends.
pub(crate) fn look(stack: &Stack) {
    let lines = stack.lambda.logs().lines();
    let wrong: Vec<String> =
        lines.iter().filter_map(|line| wrong(line).map(|why| format!("{why}: {line:?}"))).collect();
    assert!(wrong.is_empty(), "infra/log-line.schema.json and the log differ: {wrong:#?}");
    let secrets = secrets(stack);
    let leaks: Vec<&LogLine> = lines.iter().filter(|line| secrets.iter().any(|it| line.text.contains(it))).collect();
    assert!(leaks.is_empty(), "secrets in the log: {leaks:#?}");
}

/// Why a line is not as it should be. Standard error is not ours to shape: Rust writes there why a process ends.
fn wrong(line: &LogLine) -> Option<String> {
    if line.stream == Stream::Err {
        return None;
    }
    let Ok(value) = serde_json::from_str::<Value>(&line.text) else { return Some("no JSON".to_owned()) };
    if let Some(error) = VALIDATOR.iter_errors(&value).next() {
        return Some(format!("{} {error}", error.instance_path()));
    }
    if value["service"] != line.function.as_str() {
        return Some("another service than its process's".to_owned());
    }
    metrics::wrong(&value)
}

/// The secrets of a stack in Secrets Manager.
pub(crate) fn secrets(stack: &Stack) -> BTreeSet<String> {
    let secrets = stack.secrets_manager.secrets();
    let values = secrets.iter().flat_map(|secret| &secret.versions).filter_map(|version| match &version.value {
        SecretValue::Text(text) => serde_json::from_str::<Value>(text).ok(),
        SecretValue::Binary(_) => None,
    });
    let names = ["access_token", "refresh_token", "client_secret", "previous_client_secret"];
    let texts = values.flat_map(|value| names.map(|name| value[name].as_str().unwrap_or_default().to_owned()));
    // A shorter one is a test's nonsense, which may be part of any word.
    texts.filter(|text| text.len() > 7).collect()
}

/// The lines of a hard life of the real processes, parsed.
async fn lines() -> Vec<Value> {
    let printed = crate::secrecy::life().await.lines.iter().filter(|line| line.stream == Stream::Out);
    printed.map(|line| serde_json::from_str(&line.text).unwrap()).collect()
}
