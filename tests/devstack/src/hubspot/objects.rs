//! Reading and writing CRM objects.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::call::Call;
use super::kind::Kind;
use super::portal::Portal;
use super::problem::{batch, body, invalid, not_found, partial_error, problem};
use super::store::Object;
use crate::wire::Answer;

type ApiResult = Result<Answer, Answer>;

pub(super) fn list(portal: &Portal, call: &Call<'_>, kind: &'static Kind) -> ApiResult {
    let limit: usize = call.one("limit").map_or(Ok(10), str::parse).map_err(|_| invalid("limit must be a number"))?;
    if !(1..=100).contains(&limit) {
        return Err(invalid("limit must be between 1 and 100"));
    }
    let after: u64 = call.one("after").map_or(Ok(0), str::parse).map_err(|_| invalid("after is no cursor"))?;
    let asked = call.list("properties");
    let rest: Vec<_> = portal.store.all(kind).filter(|object| object.id > after).collect();
    let page = &rest[..limit.min(rest.len())];
    let mut answer = json!({ "results": page.iter().map(|object| object.shown(kind, &asked)).collect::<Vec<_>>() });
    if let (true, Some(last)) = (rest.len() > limit, page.last()) {
        answer["paging"] = json!({ "next": { "after": last.id.to_string() } });
    }
    Ok(Answer::json(200, &answer))
}

pub(super) fn create(portal: &mut Portal, call: &Call<'_>, kind: &'static Kind) -> ApiResult {
    let id = create_one(portal, &call.json()?, kind, call.now)?;
    let object = portal.store.find(kind, &id.to_string(), None).ok_or_else(not_found)?;
    Ok(Answer::json(201, &object.whole(kind)))
}

pub(super) fn batch_create(portal: &mut Portal, call: &Call<'_>, kind: &'static Kind) -> ApiResult {
    let mut results = Vec::new();
    for input in inputs(&call.json()?)? {
        let id = create_one(portal, &input, kind, call.now)?;
        results.extend(portal.store.find(kind, &id.to_string(), None).map(|object| object.whole(kind)));
    }
    Ok(batch(201, call.now, &results, &[]))
}

pub(super) fn read(portal: &Portal, call: &Call<'_>, kind: &'static Kind, id: &str) -> ApiResult {
    let object = portal.store.find(kind, id, call.one("idProperty")).ok_or_else(not_found)?;
    let mut shown = object.shown(kind, &call.list("properties"));
    for name in call.list("associations") {
        let Some(other) = Kind::find(&name) else {
            return Err(invalid(&format!("Unable to infer object type from: {name}")));
        };
        let linked = portal.store.linked((kind, object.id), other);
        let pair = format!("{}_to_{}", kind.singular, other.singular);
        let results: Vec<_> = linked.iter().map(|(id, _)| json!({ "id": id.to_string(), "type": pair })).collect();
        if !results.is_empty() {
            shown["associations"][other.plural] = json!({ "results": results });
        }
    }
    Ok(Answer::json(200, &shown))
}

pub(super) fn batch_read(portal: &Portal, call: &Call<'_>, kind: &'static Kind) -> ApiResult {
    let input = call.json()?;
    let asked: Vec<String> = input.get("properties").map_or_else(Vec::new, strings);
    let id_property = input.get("idProperty").and_then(Value::as_str);
    let (mut results, mut missing) = (Vec::new(), Vec::new());
    for wanted in inputs(&input)? {
        let id = wanted.get("id").and_then(Value::as_str).ok_or_else(|| invalid("an input has no id"))?;
        match portal.store.find(kind, id, id_property) {
            Some(object) => results.push(object.shown(kind, &asked)),
            None => missing.push(id.to_owned()),
        }
    }
    if missing.is_empty() {
        return Ok(batch(200, call.now, &results, &[]));
    }
    let message = "Could not get some objects, they may be deleted or not exist.";
    let error = partial_error("OBJECT_NOT_FOUND", message, &json!({ "ids": missing }));
    Ok(batch(207, call.now, &results, &[error]))
}

pub(super) fn update(portal: &mut Portal, call: &Call<'_>, kind: &'static Kind, id: &str) -> ApiResult {
    let properties = properties(&call.json()?)?;
    let found = portal.store.find(kind, id, call.one("idProperty")).ok_or_else(not_found)?.id;
    check(portal, kind, &properties, Some(found))?;
    portal.store.update(kind, found, properties, call.now);
    let object = portal.store.find(kind, &found.to_string(), None).ok_or_else(not_found)?;
    Ok(Answer::json(200, &object.whole(kind)))
}

/// Archiving what is not there is a success, as at HubSpot.
pub(super) fn archive(portal: &mut Portal, call: &Call<'_>, kind: &'static Kind, id: &str) -> ApiResult {
    if let Some(found) = portal.store.find(kind, id, call.one("idProperty")).map(|object| object.id) {
        portal.store.archive(kind, found);
    }
    Ok(Answer::new(204))
}

fn create_one(portal: &mut Portal, input: &Map<String, Value>, kind: &'static Kind, now: i64) -> Result<u64, Answer> {
    let properties = properties(input)?;
    let lacking: Vec<_> = kind.required.iter().filter(|name| !properties.contains_key(**name)).collect();
    if !lacking.is_empty() {
        let words = format!("Error creating {}. Some required properties were not set.", kind.singular.to_uppercase());
        let mut answer = body("VALIDATION_ERROR", &words);
        answer["context"] = json!({ "properties": lacking });
        return Err(Answer::json(400, &answer));
    }
    check(portal, kind, &properties, None)?;
    let links = links(portal, input, kind)?;
    let id = portal.store.insert(kind, properties, now);
    for (other, to, type_id) in links {
        portal.store.link((kind, id), (other, to), type_id);
    }
    Ok(id)
}

/// An e-mail address belongs to one contact.
fn check(portal: &Portal, kind: &Kind, properties: &BTreeMap<String, String>, own: Option<u64>) -> Result<(), Answer> {
    let Some(email) = properties.get("email").filter(|email| kind.plural == "contacts" && !email.is_empty()) else {
        return Ok(());
    };
    if !email.split_once('@').is_some_and(|(user, host)| !user.is_empty() && host.contains('.')) {
        let detail = json!([{ "isValid": false, "message": format!("Email address {email} is invalid"),
            "error": "INVALID_EMAIL", "name": "email" }]);
        return Err(invalid(&format!("Property values were not valid: {detail}")));
    }
    match portal.store.find(kind, email, Some("email")).filter(|object| Some(object.id) != own) {
        Some(Object { id, .. }) => Err(problem(409, "CONFLICT", &format!("Contact already exists. Existing ID: {id}"))),
        None => Ok(()),
    }
}

/// The associations of a new object: kind, id and type id of each.
fn links(
    portal: &Portal,
    input: &Map<String, Value>,
    kind: &'static Kind,
) -> Result<Vec<(&'static Kind, u64, u64)>, Answer> {
    let mut found = Vec::new();
    for association in input.get("associations").and_then(Value::as_array).into_iter().flatten() {
        let to = &association["to"]["id"];
        let to = to.as_str().map_or_else(|| to.to_string(), str::to_owned);
        for kind_of_link in association["types"].as_array().into_iter().flatten() {
            let type_id = kind_of_link["associationTypeId"].as_u64().unwrap_or_default();
            let Some(other) = kind.linked_by(type_id) else {
                let words = format!("invalid from object type for association type {type_id}: {}", kind.type_id);
                return Err(invalid(&words));
            };
            let Some(object) = portal.store.find(other, &to, None) else {
                return Err(invalid(&format!("No object of type {} with the id {to}", other.type_id)));
            };
            found.push((other, object.id, type_id));
        }
    }
    Ok(found)
}

fn inputs(input: &Map<String, Value>) -> Result<Vec<Map<String, Value>>, Answer> {
    let inputs = input.get("inputs").and_then(Value::as_array).ok_or_else(|| invalid("inputs are missing"))?;
    if inputs.len() > 100 {
        return Err(invalid("a batch takes at most 100 inputs"));
    }
    Ok(inputs.iter().filter_map(Value::as_object).cloned().collect())
}

/// Properties become text, as everything in HubSpot's CRM is.
fn properties(input: &Map<String, Value>) -> Result<BTreeMap<String, String>, Answer> {
    let Some(given) = input.get("properties").and_then(Value::as_object) else {
        return Err(invalid("properties must be an object"));
    };
    let text = |(name, value): (&String, &Value)| match value {
        Value::String(text) => Ok((name.clone(), text.clone())),
        Value::Number(_) | Value::Bool(_) => Ok((name.clone(), value.to_string())),
        Value::Null => Ok((name.clone(), String::new())),
        Value::Array(_) | Value::Object(_) => Err(invalid(&format!("the property {name} is no scalar"))),
    };
    given.iter().map(text).collect()
}

pub(super) fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
