//! `infra/openapi.yaml`, as the rules that validate an exchange.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use jsonschema::{Draft, Validator};
use serde_json::{Map, Value, json};

/// The document.
pub(super) struct Document {
    pub(super) root: Value,
    pub(super) operations: Vec<Operation>,
    /// The answers where there is no operation.
    pub(super) no_route: Answers,
}

/// A method of a path.
pub(super) struct Operation {
    /// As the template writes it: `POST /v1/authorizations`.
    pub(super) key: String,
    /// The names of the security schemes; none for a public one.
    pub(super) security: Vec<String>,
    pub(super) request: Option<Validator>,
    pub(super) answers: BTreeMap<u16, Answers>,
}

/// The answers of one status.
pub(super) struct Answers {
    pub(super) headers: Vec<Header>,
    pub(super) content: BTreeMap<String, Content>,
}

pub(super) struct Header {
    /// In lower case.
    pub(super) name: String,
    pub(super) required: bool,
    pub(super) is_integer: bool,
    pub(super) schema: Validator,
}

pub(super) struct Content {
    pub(super) schema: Validator,
    /// The answering party, and the codes of problems.
    pub(super) by: By,
}

pub(super) enum By {
    Us,
    UsWithCodes(Vec<String>),
    Gateway,
}

impl Document {
    /// The one of the repository; read and compiled once.
    pub(super) fn get() -> &'static Self {
        static DOCUMENT: OnceLock<Document> = OnceLock::new();
        DOCUMENT.get_or_init(|| Self::new(include_str!("../../../infra/openapi.yaml")))
    }

    fn new(text: &str) -> Self {
        let root = devstack::template::yaml::parse(text).unwrap();
        let mut operations = Vec::new();
        for (path, methods) in entries(&root["paths"]) {
            for (method, operation) in entries(methods) {
                operations.push(Operation::new(&root, format!("{} {path}", method.to_uppercase()), operation));
            }
        }
        let no_route = Answers::new(&root, &root["components"]["responses"]["NoRoute"]);
        Self { operations, no_route, root }
    }

    /// The operation of a request, if there is one.
    pub(super) fn operation(&self, method: &str, path: &str) -> Option<&Operation> {
        self.operations.iter().find(|operation| operation.is_of(method, path))
    }

    /// The target of a `$ref`.
    pub(super) fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        resolved(&self.root, value)
    }

    /// A validator of one of the document's schemas, found by its place in it.
    pub(super) fn validator(&self, schema: &Value) -> Validator {
        validator(&self.root, schema)
    }
}

impl Operation {
    fn new(root: &Value, key: String, operation: &Value) -> Self {
        let security = operation["security"].as_array().unwrap_or_else(|| panic!("{key} states its security"));
        let body = &operation["requestBody"]["content"]["application/json"]["schema"];
        let answers = entries(&operation["responses"])
            .map(|(status, answers)| (status.parse().unwrap(), Answers::new(root, resolved(root, answers))));
        Self {
            security: security.iter().flat_map(|all| entries(all).map(|(name, _)| name.clone())).collect(),
            request: (!body.is_null()).then(|| validator(root, body)),
            answers: answers.collect(),
            key,
        }
    }

    fn is_of(&self, method: &str, path: &str) -> bool {
        let Some((own_method, own_path)) = self.key.split_once(' ') else { return false };
        let (own, theirs): (Vec<&str>, Vec<&str>) = (own_path.split('/').collect(), path.split('/').collect());
        let fits = |(own, theirs): (&&str, &&str)| own == theirs || (own.starts_with('{') && !theirs.is_empty());
        own_method == method && own.len() == theirs.len() && own.iter().zip(&theirs).all(fits)
    }
}

impl Answers {
    fn new(root: &Value, answers: &Value) -> Self {
        let headers = entries(&answers["headers"]).map(|(name, header)| {
            let header = resolved(root, header);
            Header {
                name: name.to_lowercase(),
                required: header["required"] == true,
                is_integer: header["schema"]["type"] == "integer",
                schema: validator(root, &header["schema"]),
            }
        });
        let content = entries(&answers["content"]).map(|(kind, content)| {
            let schema = &content["schema"];
            let codes = schema["properties"]["code"]["enum"].as_array();
            let by = match codes {
                Some(codes) => By::UsWithCodes(codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect()),
                None if schema["$ref"] == "#/components/schemas/GatewayMessage" => By::Gateway,
                None => By::Us,
            };
            (kind.clone(), Content { schema: validator(root, schema), by })
        });
        Self { headers: headers.collect(), content: content.collect() }
    }
}

/// The pairs of an object; empty for any other value.
pub(super) fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn resolved<'a>(root: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(place) => {
            let found = root.pointer(place.trim_start_matches('#'));
            resolved(root, found.unwrap_or_else(|| panic!("{place} is not in the document")))
        }
        None => value,
    }
}

fn validator(root: &Value, schema: &Value) -> Validator {
    let mut whole = json!({"allOf": [schema], "components": root["components"]});
    close(&mut whole);
    jsonschema::options()
        .with_draft(Draft::Draft202012)
        .should_validate_formats(true)
        .build(&whole)
        .unwrap_or_else(|error| panic!("a schema of the document: {error}"))
}

/// Takes away what the document leaves open for generated clients: any other string beside the known ones, and API
/// Gateway's answer beside a problem.
fn close(schema: &mut Value) {
    if let Some(alternatives) = schema.get_mut("anyOf").and_then(Value::as_array_mut)
        && alternatives.first().is_some_and(|known| known["enum"].is_array())
    {
        alternatives.retain(|alternative| *alternative != json!({"type": "string"}));
    }
    if let Some(place) = schema["$ref"].as_str().and_then(|place| place.strip_suffix("OrMessage")) {
        schema["$ref"] = json!(place);
    }
    match schema {
        Value::Object(members) => members.values_mut().for_each(close),
        Value::Array(items) => items.iter_mut().for_each(close),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
