//! Associations, API v4.

use serde_json::json;

use super::kind::Kind;
use super::portal::Portal;
use super::problem::{batch, invalid, not_found};
use crate::wire::Answer;

/// `PUT …/associations/default/…`, which has no body.
pub(super) fn put(
    portal: &mut Portal,
    now: i64,
    (from, id): (&'static Kind, &str),
    (to, other): (&'static Kind, &str),
) -> Result<Answer, Answer> {
    let one = portal.store.find(from, id, None).ok_or_else(not_found)?.id;
    let two = portal.store.find(to, other, None).ok_or_else(not_found)?.id;
    let (Some(type_id), Some(reverse)) = (from.link_to(to), to.link_to(from)) else {
        return Err(invalid(&format!("{} and {} are not associated by default", from.plural, to.plural)));
    };
    portal.store.link((from, one), (to, two), type_id);
    let result = |from: u64, to: u64, type_id: u64| {
        json!({ "from": { "id": from.to_string() }, "to": { "id": to.to_string() },
            "associationSpec": { "associationCategory": "HUBSPOT_DEFINED", "associationTypeId": type_id } })
    };
    let results = [result(one, two, type_id), result(two, one, reverse)];
    Ok(batch(200, now, &results, &[]))
}

/// `GET …/associations/{kind}`.
pub(super) fn list(portal: &Portal, (from, id): (&Kind, &str), to: &Kind) -> Result<Answer, Answer> {
    let one = portal.store.find(from, id, None).ok_or_else(not_found)?.id;
    let linked = portal.store.linked((from, one), to).into_iter().map(|(other, type_id)| {
        let kind = json!({ "category": "HUBSPOT_DEFINED", "typeId": type_id, "label": null });
        json!({ "toObjectId": other.to_string(), "associationTypes": [kind] })
    });
    Ok(Answer::json(200, &json!({ "results": linked.collect::<Vec<_>>() })))
}
