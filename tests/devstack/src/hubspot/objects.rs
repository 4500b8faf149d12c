//! Reading, writing and associating CRM objects.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::call::Call;
use super::kind::Kind;
use super::portal::Portal;
use super::problem::{batch, invalid, not_found, partial_error, problem};
use super::store::Object;
use crate::wire::Answer;

type ApiResult = Result<Answer, Answer>;

pub(super) fn list(portal: &Portal, call: &Call<'_>, kind: &Kind) -> ApiResult {
    let limit = call.one("limit").map_or(10, |limit| limit.parse().unwrap_or_default());
    let found: Vec<_> = portal.store.all(kind).map(|object| object.read(kind, &call.list("properties"))).collect();
    page(&found, limit, call.one("after")).map(|page| Answer::json(200, &page))
}

/// `POST …/search`, by the equality of properties: all filters of one of the groups have to fit.
pub(super) fn search(portal: &Portal, call: &Call<'_>, kind: &Kind) -> ApiResult {
    let input = call.json()?;
    let groups: Vec<&Vec<Value>> =
        items(&input, "filterGroups").iter().filter_map(|group| group["filters"].as_array()).collect();
    if let Some(other) = groups.iter().copied().flatten().find(|filter| filter["operator"] != "EQ") {
        return Err(invalid(&format!("the filter {other} is not emulated")));
    }
    let equal = |object: &Object, filter: &Value| {
        let own = filter["propertyName"].as_str().and_then(|name| object.properties.get(name));
        own.is_some_and(|own| filter["value"].as_str().is_some_and(|value| own.eq_ignore_ascii_case(value)))
    };
    let fits = |object: &&Object| {
        groups.is_empty() || groups.iter().any(|group| group.iter().all(|filter| equal(object, filter)))
    };
    let asked: Vec<String> = texts(&input, "properties").collect();
    let found: Vec<_> = portal.store.all(kind).filter(fits).map(|object| object.read(kind, &asked)).collect();
    let limit = input.get("limit").map_or(10, |limit| limit.as_u64().unwrap_or_default());
    let mut page = page(&found, limit, input.get("after").and_then(Value::as_str))?;
    page["total"] = json!(found.len());
    Ok(Answer::json(200, &page))
}

/// A part of what was found; `after` is the number of objects before it.
fn page(found: &[Value], limit: u64, after: Option<&str>) -> Result<Value, Answer> {
    let skip: usize = after.map_or(Ok(0), str::parse).map_err(|_| invalid("after is no cursor"))?;
    let limit = usize::try_from(limit).ok().filter(|limit| (1..=100).contains(limit));
    let limit = limit.ok_or_else(|| invalid("limit must be between 1 and 100"))?;
    let mut page = json!({ "results": found.iter().skip(skip).take(limit).collect::<Vec<_>>() });
    let end = skip.saturating_add(limit);
    if found.len() > end {
        page["paging"] = json!({ "next": { "after": end.to_string() } });
    }
    Ok(page)
}

pub(super) fn create(portal: &mut Portal, call: &Call<'_>, kind: &Kind) -> ApiResult {
    let properties = properties(&call.json()?)?;
    // An e-mail address belongs to one contact.
    if let Some(email) = properties.get("email").filter(|email| kind.plural == "contacts" && !email.is_empty())
        && let Some(Object { id, .. }) =
            portal.store.all(kind).find(|object| object.properties.get("email") == Some(email))
    {
        return Err(problem(409, "CONFLICT", &format!("Contact already exists. Existing ID: {id}")));
    }
    Ok(Answer::json(201, &portal.store.insert(kind, properties, call.now).written(kind)))
}

pub(super) fn read(portal: &Portal, call: &Call<'_>, kind: &Kind, id: &str) -> ApiResult {
    let object = portal.store.find(kind, id).ok_or_else(not_found)?;
    Ok(Answer::json(200, &object.read(kind, &call.list("properties"))))
}

pub(super) fn batch_read(portal: &Portal, call: &Call<'_>, kind: &Kind) -> ApiResult {
    let input = call.json()?;
    let ids = items(&input, "inputs").iter().map(|input| input["id"].as_str().unwrap_or_default());
    let (found, missing): (Vec<_>, Vec<_>) = ids.partition(|id| portal.store.find(kind, id).is_some());
    let asked: Vec<String> = texts(&input, "properties").collect();
    let objects = found.into_iter().filter_map(|id| portal.store.find(kind, id));
    let results: Vec<_> = objects.map(|object| object.read(kind, &asked)).collect();
    if missing.is_empty() {
        return Ok(batch(200, call.now, &results, &[]));
    }
    let message = "Could not get some objects, they may be deleted or not exist.";
    let error = partial_error("OBJECT_NOT_FOUND", message, &json!({ "ids": missing }));
    Ok(batch(207, call.now, &results, &[error]))
}

pub(super) fn update(portal: &mut Portal, call: &Call<'_>, kind: &Kind, id: &str) -> ApiResult {
    let properties = properties(&call.json()?)?;
    let object = portal.store.update(kind, id, properties, call.now).ok_or_else(not_found)?;
    Ok(Answer::json(200, &object.written(kind)))
}

/// Archiving what is not there is a success, as at HubSpot.
pub(super) fn archive(portal: &mut Portal, kind: &Kind, id: &str) -> Answer {
    portal.store.archive(kind, id);
    Answer::new(204)
}

/// `PUT …/associations/default/…`, which has no body.
pub(super) fn associate(portal: &mut Portal, now: i64, from: (&Kind, &str), to: (&Kind, &str)) -> ApiResult {
    let [one, two] = [from, to].map(|(kind, id)| portal.store.find(kind, id).map(|object| object.id));
    let (one, two) = one.zip(two).ok_or_else(not_found)?;
    let Some((type_id, reverse)) = from.0.link_to(to.0).zip(to.0.link_to(from.0)) else {
        return Err(invalid(&format!("an association of {} and {} is not emulated", from.0.plural, to.0.plural)));
    };
    portal.store.link((from.0, one), (to.0, two));
    let result = |from: u64, to: u64, type_id: u64| {
        json!({ "from": { "id": from.to_string() }, "to": { "id": to.to_string() },
            "associationSpec": { "associationCategory": "HUBSPOT_DEFINED", "associationTypeId": type_id } })
    };
    Ok(batch(200, now, &[result(one, two, type_id), result(two, one, reverse)], &[]))
}

fn items<'a>(input: &'a Map<String, Value>, name: &str) -> &'a [Value] {
    input.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn texts(input: &Map<String, Value>, name: &str) -> impl Iterator<Item = String> {
    items(input, name).iter().filter_map(Value::as_str).map(str::to_owned)
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
