//! Paths of API v1 that stored automations still call.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::call::Call;
use super::kind::Kind;
use super::portal::Portal;
use super::problem::{invalid, not_found};
use crate::wire::Answer;

/// `POST /engagements/v1/engagements`.
pub(super) fn engagement(portal: &mut Portal, call: &Call<'_>) -> Result<Answer, Answer> {
    let mut input = Value::Object(call.json()?);
    let name = input["engagement"]["type"].as_str().unwrap_or_default().to_ascii_lowercase();
    let activity = ["call", "note", "task", "meeting"].contains(&name.as_str());
    let Some(kind) = Kind::find(&name).filter(|_| activity) else {
        return Err(invalid("engagement.type must be CALL, NOTE, TASK or MEETING"));
    };
    let contact = Kind::find("contact").ok_or_else(not_found)?;
    let mut contacts = Vec::new();
    for id in input["associations"]["contactIds"].as_array().into_iter().flatten() {
        let found = portal.store.find(contact, &id.to_string(), None);
        contacts.push(found.ok_or_else(|| invalid(&format!("contact {id} does not exist")))?.id);
    }
    let timestamp = input["engagement"]["timestamp"].as_i64().unwrap_or(call.now);
    let mut properties = BTreeMap::from([("hs_timestamp".to_owned(), timestamp.to_string())]);
    for (name, value) in input["metadata"].as_object().into_iter().flatten() {
        properties.insert(name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
    let id = portal.store.insert(kind, properties, call.now);
    for contact_id in contacts {
        if let Some(type_id) = kind.link_to(contact) {
            portal.store.link((kind, id), (contact, contact_id), type_id);
        }
    }
    input["engagement"] = json!({ "id": id, "portalId": portal.hub_id, "active": true, "createdAt": call.now,
        "lastUpdated": call.now, "type": name.to_uppercase(), "timestamp": timestamp });
    Ok(Answer::json(200, &input))
}

/// `POST /contacts/v1/contact/createOrUpdate/email/{email}`.
pub(super) fn create_or_update(portal: &mut Portal, call: &Call<'_>, email: &str) -> Result<Answer, Answer> {
    let input = Value::Object(call.json()?);
    let contact = Kind::find("contact").ok_or_else(not_found)?;
    let mut properties = BTreeMap::new();
    for property in input["properties"].as_array().into_iter().flatten() {
        let name = property["property"].as_str().ok_or_else(|| invalid("a property has no name"))?;
        let value = &property["value"];
        properties.insert(name.to_owned(), value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
    properties.insert("email".to_owned(), email.to_owned());
    let known = portal.store.find(contact, email, Some("email")).map(|object| object.id);
    let vid = match known {
        Some(id) => {
            portal.store.update(contact, id, properties, call.now);
            id
        }
        None => portal.store.insert(contact, properties, call.now),
    };
    Ok(Answer::json(200, &json!({ "vid": vid, "isNew": known.is_none() })))
}
