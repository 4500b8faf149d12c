//! As much of EventBridge Pipes as the template uses. What it does not know it does not guess: it panics.

use serde_json::{Value, json};

use crate::template::Pipe;

/// The event that a pipe makes of a record of a stream, if its filters let the record through.
///
/// # Panics
/// The pipe uses what is not known here, or its template does not fit the record.
#[must_use]
pub fn event(pipe: &Pipe, record: &Value) -> Option<Value> {
    let fits = pipe.patterns.iter().any(|pattern| matches(pattern, Some(record)));
    fits.then(|| {
        let detail_type = match pipe.detail_type.starts_with("$.") {
            true => text(at(record, &pipe.detail_type)),
            false => pipe.detail_type.clone(),
        };
        let detail = filled(&pipe.input_template, record);
        let detail: Value = serde_json::from_str(&detail).unwrap_or_else(|error| panic!("{error}: {detail}"));
        json!({ "source": pipe.source, "detail-type": detail_type, "detail": detail })
    })
}

/// Returns true if an event pattern fits: every leaf of it, of whose alternatives one must.
fn matches(pattern: &Value, event: Option<&Value>) -> bool {
    match pattern {
        Value::Object(members) => {
            members.iter().all(|(name, inner)| matches(inner, event.and_then(|event| event.get(name))))
        }
        Value::Array(alternatives) => alternatives.iter().any(|alternative| match alternative {
            Value::String(_) => event == Some(alternative),
            Value::Object(operator) if operator.len() == 1 && operator.contains_key("exists") => {
                let expected = operator["exists"].as_bool();
                event.is_some() == expected.unwrap_or_else(|| panic!("exists is true or false: {alternative}"))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                panic!("{alternative} is no alternative that is known here")
            }
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            panic!("a pattern has objects and lists, not {pattern}")
        }
    }
}

/// An input template with all paths in quotes.
fn filled(template: &str, record: &Value) -> String {
    let mut parts = template.split("\"<");
    let mut out = parts.next().expect("a split has a first part").to_owned();
    for part in parts {
        let (path, rest) = part.split_once(">\"").expect("a path ends");
        out.push_str(&json!(text(at(record, path))).to_string());
        out.push_str(rest);
    }
    assert!(!out.contains('<'), "a path without quotes: {template}");
    out
}

/// The value at a path. AWS's treatment of a path without a value is not relied on.
fn at<'a>(record: &'a Value, path: &str) -> &'a Value {
    let names = path.strip_prefix("$.").unwrap_or_else(|| panic!("{path} is no path")).split('.');
    names.fold(record, |value, name| value.get(name).unwrap_or_else(|| panic!("{path} is not in {record}")))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}
