//! Events as AWS publishes them, see `events/ORIGIN.md`.

use serde_json::Value;

use crate::template::repository;

/// A published event, by its name in `events`.
///
/// # Panics
/// There is no entry of this name.
#[must_use]
pub fn event(name: &str) -> Value {
    let path = repository().join(format!("tests/devstack/events/example-{name}.json"));
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Where an event differs in shape from a published one: members that only one of them has, and members of two types.
///
/// `null` is of every type, and lists are compared by their first elements.
#[must_use]
pub fn differences(event: &Value, published: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", event, published, &mut found);
    found
}

fn compare(path: &str, event: &Value, published: &Value, found: &mut Vec<String>) {
    match (event, published) {
        (Value::Object(event), Value::Object(published)) => {
            for (name, value) in event {
                match published.get(name) {
                    Some(other) => compare(&format!("{path}/{name}"), value, other, found),
                    None => found.push(format!("{path}/{name} is not published")),
                }
            }
            let missing = published.keys().filter(|name| !event.contains_key(*name));
            found.extend(missing.map(|name| format!("{path}/{name} is missing")));
        }
        (Value::Array(event), Value::Array(published)) => {
            if let (Some(event), Some(published)) = (event.first(), published.first()) {
                compare(&format!("{path}/0"), event, published, found);
            }
        }
        (Value::Null, _) | (_, Value::Null) => {}
        _ if std::mem::discriminant(event) == std::mem::discriminant(published) => {}
        _ => found.push(format!("{path} is of another type")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_difference_is_a_member_or_a_type() {
        let published = json!({ "a": { "b": 1, "c": "x" }, "d": [{ "e": 1 }], "f": null });

        assert_eq!(differences(&json!({ "a": { "b": 7, "c": null }, "d": [], "f": 1 }), &published), [""; 0]);
        assert_eq!(
            differences(&json!({ "a": { "b": "1", "z": 1 }, "d": [{ "e": [] }], "f": 1 }), &published),
            ["/a/b is of another type", "/a/z is not published", "/a/c is missing", "/d/0/e is of another type"]
        );
    }
}
