//! The people of a portal, and the portal itself.

use serde_json::{Value, json};

use super::call::Call;
use super::portal::Portal;
use super::problem::not_found;
use super::store::{Owner, iso};
use crate::wire::Answer;

pub(super) fn list(portal: &Portal, call: &Call<'_>) -> Result<Answer, Answer> {
    let limit = call.one("limit").and_then(|limit| limit.parse().ok()).unwrap_or(100);
    let wanted = |owner: &&Owner| call.one("email").is_none_or(|email| owner.email.eq_ignore_ascii_case(email));
    let owners: Vec<_> =
        portal.store.owners.iter().filter(wanted).take(limit).map(|owner| shown(owner, call.now)).collect();
    Ok(Answer::json(200, &json!({ "results": owners })))
}

pub(super) fn read(portal: &Portal, call: &Call<'_>, id: &str) -> Result<Answer, Answer> {
    let owner = portal.store.owners.iter().find(|owner| owner.id.to_string() == id).ok_or_else(not_found)?;
    Ok(Answer::json(200, &shown(owner, call.now)))
}

pub(super) fn account_details(portal: &Portal) -> Answer {
    let details = json!({ "portalId": portal.hub_id, "accountType": "STANDARD", "timeZone": "Europe/Prague",
        "companyCurrency": "EUR", "uiDomain": "app-eu1.hubspot.com", "dataHostingLocation": "eu1" });
    Answer::json(200, &details)
}

fn shown(owner: &Owner, now: i64) -> Value {
    json!({ "id": owner.id.to_string(), "email": owner.email, "type": "PERSON", "firstName": "", "lastName": "",
        "userId": owner.id + 1, "createdAt": iso(now), "updatedAt": iso(now), "archived": false })
}
