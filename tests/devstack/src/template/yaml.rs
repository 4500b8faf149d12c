//! CloudFormation's YAML as JSON: a short tag (`!Sub x`) becomes its long form (`{"Fn::Sub": "x"}`).

use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Map, Value, json};

/// Reads one YAML document.
///
/// # Errors
/// The text is no YAML, has another number of documents than one, or uses what a template cannot hold: an alias, a
/// key that is no string, a tag that is no intrinsic function.
pub fn parse(text: &str) -> Result<Value, String> {
    let documents = Yaml::load_from_str(text).map_err(|error| format!("the template is no YAML: {error}"))?;
    match documents.as_slice() {
        [document] => to_json(document),
        documents => Err(format!("a template is one YAML document, found {}", documents.len())),
    }
}

fn to_json(yaml: &Yaml<'_>) -> Result<Value, String> {
    match yaml {
        Yaml::Value(scalar) => Ok(match scalar {
            Scalar::Null => Value::Null,
            Scalar::Boolean(value) => json!(value),
            Scalar::Integer(value) => json!(value),
            Scalar::FloatingPoint(value) => json!(value.into_inner()),
            Scalar::String(value) => json!(value),
        }),
        Yaml::Sequence(items) => items.iter().map(to_json).collect::<Result<Vec<_>, _>>().map(Value::Array),
        Yaml::Mapping(entries) => {
            let mut map = Map::new();
            for (key, value) in entries {
                let key = to_json(key)?;
                let key = match (key.as_str(), key.as_i64()) {
                    (Some(text), _) => text.to_owned(),
                    (None, Some(number)) => number.to_string(),
                    (None, None) => return Err(format!("a key of a template is a string, found {key}")),
                };
                map.insert(key, to_json(value)?);
            }
            Ok(Value::Object(map))
        }
        Yaml::Tagged(tag, inner) if tag.handle == "!" => long_form(&tag.suffix, to_json(inner)?),
        Yaml::Tagged(tag, _) => Err(format!("the tag {tag} is no intrinsic function")),
        Yaml::Representation(text, _, _) => Ok(json!(text)),
        Yaml::Alias(_) => Err("CloudFormation knows no YAML aliases".to_owned()),
        Yaml::BadValue => Err("the template holds a value that its tag does not allow".to_owned()),
    }
}

fn long_form(tag: &str, argument: Value) -> Result<Value, String> {
    let key = match tag {
        "Ref" | "Condition" => tag.to_owned(),
        _ => format!("Fn::{tag}"),
    };
    let argument = match (tag, &argument) {
        // `!GetAtt Api.ApiEndpoint` is `{"Fn::GetAtt": ["Api", "ApiEndpoint"]}`.
        ("GetAtt", Value::String(path)) => match path.split_once('.') {
            Some((resource, attribute)) => json!([resource, attribute]),
            None => return Err(format!("!GetAtt {path} names no attribute")),
        },
        _ => argument,
    };
    Ok(json!({ key: argument }))
}
