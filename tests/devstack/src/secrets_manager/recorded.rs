//! Replays recorded sequences of calls and compares whole answers with those that AWS gave (`recorded/ORIGIN.md`).

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::SecretsManager;

const ANSWERS: &str = include_str!("../../recorded/answers.json");
const SEQUENCES: &str = include_str!("../../recorded/sequences.json");

/// Sends a call; the answer as it comes over the wire.
async fn call(emulator: &SecretsManager, operation: &str, input: &Value) -> (u16, Value) {
    let request = crate::loopback::client()
        .post(emulator.url())
        .header("content-type", super::CONTENT_TYPE)
        .header("x-amz-target", format!("secretsmanager.{operation}"))
        .header("authorization", "AWS4-HMAC-SHA256 Credential=test")
        .body(input.to_string());
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap())
}

/// An answer in the form in which the recorder wrote it down.
fn as_recorded(operation: &str, status: u16, body: &Value, recorded: &Value) -> Value {
    let name = body["__type"].as_str().unwrap_or_default();
    let message = body.get("Message").or(body.get("message")).and_then(Value::as_str).unwrap_or_default();
    if recorded.is_string() {
        return json!(format!("An error occurred ({name}) when calling the {operation} operation: {message}"));
    }
    if !recorded["Metadata"].is_null() {
        return json!({ "Error": body, "Metadata": { "StatusCode": status } });
    }
    let mut answer = body.clone();
    if status != 200 {
        answer = json!({ "Error": { "Code": name, "Message": message } });
        if let Some(modeled) = body.get("Message") {
            answer["Message"] = modeled.clone();
        }
    }
    if let Some(metadata) = recorded.get("ResponseMetadata") {
        assert_eq!(metadata["HTTPStatusCode"], status, "{operation}: {body}");
        answer["ResponseMetadata"] = metadata.clone();
    }
    answer
}

/// The values of the placeholders of one sequence: always the same, and no two for the same.
#[derive(Debug, Default)]
struct Placeholders(BTreeMap<String, String>);

impl Placeholders {
    fn matches(&mut self, recorded: &Value, actual: &Value) -> bool {
        match (recorded, actual) {
            (Value::String(text), Value::Number(_)) => text == "datetime",
            (Value::String(recorded), Value::String(actual)) => match recorded.strip_prefix("b'") {
                Some(bytes) => STANDARD.encode(python_bytes(bytes)) == *actual,
                None => self.text_matches(&recorded.replace("111111111111", "<account>"), actual),
            },
            (Value::Array(recorded), Value::Array(actual)) => {
                recorded.len() == actual.len()
                    && recorded.iter().zip(actual).all(|(recorded, actual)| self.matches(recorded, actual))
            }
            (Value::Object(recorded), Value::Object(actual)) => self.members_match(recorded, actual),
            _ => recorded == actual,
        }
    }

    fn members_match(&mut self, recorded: &Map<String, Value>, actual: &Map<String, Value>) -> bool {
        // The name says where the ARN's random end begins.
        let mut members: Vec<_> = recorded.iter().collect();
        members.sort_by_key(|(name, _)| *name != "Name");
        let mut rest = actual.clone();
        let all = members.into_iter().all(|(name, value)| {
            let known = |actual: &&String| *actual == name || self.0.get(name) == Some(actual);
            let found = rest.keys().find(known).or_else(|| rest.keys().next().filter(|_| name.starts_with('<')));
            let Some(found) = found.cloned() else { return false };
            self.text_matches(name, &found) && rest.remove(&found).is_some_and(|actual| self.matches(value, &actual))
        });
        all && rest.is_empty()
    }

    /// Returns true if a text is the recorded one, whose placeholders it gives their values.
    fn text_matches(&mut self, recorded: &str, actual: &str) -> bool {
        let Some((literal, rest)) = recorded.split_once('<') else { return recorded == actual };
        let Some(actual) = actual.strip_prefix(literal) else { return false };
        let (name, rest) = rest.split_once('>').unwrap();
        let name = format!("<{name}>");
        let value = match self.0.get(&name) {
            Some(value) => value.clone(),
            None => {
                let next = rest.split('<').next().unwrap_or_default();
                let end = if next.is_empty() { actual.len() } else { actual.find(next).unwrap_or(actual.len()) };
                actual[..end].to_owned()
            }
        };
        let Some(actual) = actual.strip_prefix(value.as_str()) else { return false };
        let taken = self.0.iter().any(|(other, own)| other.starts_with('<') && *other != name && *own == value);
        self.0.insert(name, value);
        !taken && self.text_matches(rest, actual)
    }

    /// The input of a call, with the values that are known by now.
    fn filled(&self, input: &Value) -> Value {
        let mut text = input.to_string();
        for (name, value) in &self.0 {
            text = text.replace(name.as_str(), value);
        }
        serde_json::from_str(&text).unwrap()
    }

    fn note(&mut self, body: &Value) {
        if let Some(arn) = body["ARN"].as_str() {
            self.0.insert("$ARN".to_owned(), arn.to_owned());
            self.0.insert("$PARTIAL_ARN".to_owned(), arn[..arn.len() - 7].to_owned());
        }
        let version = body["VersionIdsToStages"].as_object().and_then(|versions| versions.keys().next());
        if let Some(version) = version {
            self.0.insert("$VERSION".to_owned(), version.clone());
        }
    }
}

/// The bytes of Python's `b'…'`, without its beginning.
fn python_bytes(text: &str) -> Vec<u8> {
    let (mut rest, mut bytes) = (text.strip_suffix('\'').unwrap(), Vec::new());
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("\\x") { 4 } else { first.len_utf8() };
        let (sign, after) = rest.split_at(length);
        match sign.strip_prefix("\\x") {
            Some(hex) => bytes.push(u8::from_str_radix(hex, 16).unwrap()),
            None => bytes.extend_from_slice(sign.as_bytes()),
        }
        rest = after;
    }
    bytes
}

async fn replay(steps: &[Value], recorded: &Value) -> Vec<String> {
    let emulator = SecretsManager::start().await;
    let (mut placeholders, mut differences) = (Placeholders::default(), Vec::new());
    for step in steps {
        let (operation, mut input) = (step["operation"].as_str().unwrap(), placeholders.filled(&step["input"]));
        let name = step["answer"].as_str();
        let expected = name.map_or(&Value::Null, |name| &recorded[name]);
        // The recorder called with an SDK, which makes a token, but where it wrote down `Metadata`.
        if expected["Metadata"].is_null() && ["CreateSecret", "PutSecretValue", "UpdateSecret"].contains(&operation) {
            input["ClientRequestToken"] = json!(uuid::Uuid::now_v7().to_string());
        }
        let (status, body) = call(&emulator, operation, &input).await;
        if let Some(name) = name {
            let actual = as_recorded(operation, status, &body, expected);
            if !placeholders.matches(expected, &actual) {
                differences.push(format!("{name}: AWS answers\n  {expected}\nthe emulator\n  {actual}"));
            }
        }
        placeholders.note(&body);
    }
    differences
}

#[tokio::test]
async fn the_emulator_answers_as_aws_was_recorded_to_answer() {
    let answers: BTreeMap<String, Value> = serde_json::from_str(ANSWERS).unwrap();
    let file: Value = serde_json::from_str(SEQUENCES).unwrap();
    let mut differences = Vec::new();
    let mut replayed = 0;

    for (case, recorded) in &answers {
        let Some(steps) = file["sequences"][case].as_array() else {
            assert!(file["not_supported"][case].is_string(), "{case} is neither replayed nor explained");
            continue;
        };
        replayed += steps.iter().filter(|step| step["answer"].is_string()).count();
        let found = replay(steps, &recorded["answers"]).await;
        differences.extend(found.into_iter().map(|difference| format!("{case}, {difference}")));
    }

    let expected: usize = answers.values().map(|case| case["answers"].as_object().unwrap().len()).sum();
    let unsupported = file["not_supported"].as_object().unwrap().len();
    assert_eq!((answers.len(), replayed), (49, expected - unsupported), "every recorded answer is compared");
    assert!(differences.is_empty(), "{} differences\n{}", differences.len(), differences.join("\n\n"));
}
