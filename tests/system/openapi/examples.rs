//! The document's own examples are as it says, and nothing in it is left over.

use serde_json::Value;

use super::document::{Document, entries};

/// Holds the examples beside each schema against it; how many there were.
fn check(document: &Document, place: &str, value: &Value) -> usize {
    let mut count = 0;
    if let Some(schema) = value.get("schema") {
        let named = entries(&value["examples"]).map(|(_, example)| &document.resolved(example)["value"]);
        for example in named.chain(value.get("example")) {
            assert_valid(document, place, schema, example);
            count += 1;
        }
    }
    // A schema has a list of examples, all others have them by name.
    for example in value["examples"].as_array().into_iter().flatten() {
        assert_valid(document, place, value, example);
        count += 1;
    }
    let items = value.as_array().into_iter().flatten().map(|value| ("-", value));
    for (name, value) in entries(value).map(|(name, value)| (name.as_str(), value)).chain(items) {
        if !["example", "examples"].contains(&name) {
            count += check(document, &format!("{place}/{name}"), value);
        }
    }
    count
}

fn assert_valid(document: &Document, place: &str, schema: &Value, example: &Value) {
    if let Err(error) = document.validator(schema).validate(example) {
        panic!("an example at {place}: {error} at {:?}\n{example}", error.instance_path().as_str());
    }
}

#[test]
fn the_examples_are_as_the_schemas_beside_them_say() {
    let document = Document::get();

    let count = check(document, "", &document.root);

    assert!(count > 60, "{count} examples");
}

#[test]
fn whatever_the_document_defines_is_used() {
    let document = Document::get();
    let text = document.root.to_string();

    for (kind, components) in entries(&document.root["components"]).filter(|(kind, _)| *kind != "securitySchemes") {
        for (name, _) in entries(components).filter(|(name, _)| *name != "NoRoute") {
            assert!(text.contains(&format!("\"#/components/{kind}/{name}\"")), "{kind}/{name} is not used");
        }
    }
}
