//! Operations that HubSpot's files list with the scopes of all objects: the object type in the path decides.

use super::published::{self, Published};
use super::rows::Row;
use super::{Knowledge, Required};
use crate::reads::is_version;

/// Type ids of objects that have no row of their own, with the name that HubSpot's files use.
/// HubSpot: "Understanding the CRM", object type ids.
const TYPE_IDS: [(&str, &str); 17] = [
    ("0-7", "products"),
    ("0-8", "line_items"),
    ("0-14", "quotes"),
    ("0-19", "feedback_submissions"),
    ("0-53", "invoices"),
    ("0-69", "subscriptions"),
    ("0-74", "goal_targets"),
    ("0-84", "discounts"),
    ("0-85", "fees"),
    ("0-101", "commerce_payments"),
    ("0-115", "users"),
    ("0-116", "postal_mail"),
    ("0-123", "orders"),
    ("0-142", "carts"),
    ("services", "0-162"),
    ("courses", "0-410"),
    ("listings", "0-420"),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum AccessMode {
    Read,
    Write,
}

/// The scopes of a request to a path that HubSpot publishes for every object type.
pub(super) fn required(method: &str, segments: &[&str]) -> Option<Required> {
    let (api, rest) = match segments {
        ["crm", version, api, rest @ ..] | ["crm", api, version, rest @ ..] if is_version(version) => (*api, rest),
        _ => return None,
    };
    let access = match (method, rest) {
        ("GET", _) | ("POST", [.., "search"] | [.., "batch", "read"]) => AccessMode::Read,
        _ => AccessMode::Write,
    };
    match (api, rest) {
        ("objects", [from, _, "associations", "default", to, _] | [from, _, "associations", to, ..]) => {
            both(from, to, access)
        }
        ("associations", [from, to, ..]) => both(from, to, access),
        ("objects", [name, ..]) => object(name, access),
        ("properties" | "pipelines" | "property-validations", [name, ..]) => schema(name, access),
        _ => None,
    }
}

/// The scopes of one object type.
fn object(name: &str, access: AccessMode) -> Option<Required> {
    if let Some(row) = Row::of(name) {
        return Some(match access {
            AccessMode::Read => row.reads(Knowledge::Exact),
            AccessMode::Write => row.writes(Knowledge::Exact),
        });
    }
    if is_custom(name) {
        let scope = match access {
            AccessMode::Read => "crm.objects.custom.read",
            AccessMode::Write => "crm.objects.custom.write",
        };
        return Some(Required::published(published::scope(scope)?));
    }
    let name = TYPE_IDS.iter().find(|(id, _)| *id == name).map_or(name, |(_, name)| name);
    let of = |method| published::operation(method, &["crm", "objects", "2026-03", name]);
    match (access, of("GET"), of("POST")) {
        (AccessMode::Read, Some(Published::Scopes(scopes)), _)
        | (AccessMode::Write, _, Some(Published::Scopes(scopes))) => Some(Required::published(scopes)),
        // Where the files list all objects' scopes for writing, the one to write is named like the one to read.
        (AccessMode::Write, Some(Published::Scopes(scopes)), _) => {
            let write = format!("{}.write", scopes.strip_suffix(".read")?);
            Some(Required::published(published::scope(&write)?))
        }
        _ => None,
    }
}

/// Custom objects by type id, or by name: `2-123`, `p_cars`, `p123_cars`.
fn is_custom(name: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    name.strip_prefix("2-").is_some_and(|id| !id.is_empty() && digits(id))
        || name.strip_prefix('p').and_then(|rest| rest.split_once('_')).is_some_and(|(portal, _)| digits(portal))
}

/// The settings of one object type: the scope of its records does, or the one of its schema.
fn schema(name: &str, access: AccessMode) -> Option<Required> {
    let mut required = object(name, access)?;
    required.docs = None;
    let [record] = required.scopes[..] else { return Some(Required { knowledge: Knowledge::Enough, ..required }) };
    let schema = record.strip_prefix("crm.objects.").and_then(|rest| published::scope(&format!("crm.schemas.{rest}")));
    match schema {
        Some(schema) => Some(Required { scopes: Vec::new(), any_of: vec![record, schema], ..required }),
        None => Some(Required { knowledge: Knowledge::Enough, ..required }),
    }
}

/// HubSpot documents associations as accepting any of many scopes, so those of both ends are enough and no more.
fn both(from: &str, to: &str, access: AccessMode) -> Option<Required> {
    let (mut required, other) = (object(from, access)?, object(to, access)?);
    if !required.any_of.is_empty() || !other.any_of.is_empty() {
        return None;
    }
    for scope in other.scopes {
        if !required.scopes.contains(&scope) {
            required.scopes.push(scope);
        }
    }
    Some(Required { knowledge: Knowledge::Enough, docs: None, ..required })
}
