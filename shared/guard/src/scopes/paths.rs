//! From method and path to the row of the table: by the shapes that HubSpot documents, and by no others.
//!
//! Invariant: what is not documented is unknown. A path is compared as it is sent, so another case or an encoded name
//! is unknown too; only ids may be percent-encoded.

use super::published::{self, Published};
use super::rows::{
    ACCOUNT, ASSOCIATIONS_DOCS, EVENTS, FILES, FLOWS, LISTS, OBJECTS, OLD_CONTACTS, OLD_ENGAGEMENTS, OWNERS, Row,
    TIMELINE,
};
use super::{Knowledge, Required};

/// The scopes that HubSpot's documentation names for a request; `None` where it names none.
pub(super) fn documented(method: &str, segments: &[&str]) -> Option<Required> {
    match segments {
        ["crm", "v4", api, rest @ ..] => associations_of(api, rest, method),
        ["crm", "v3", api, rest @ ..] => crm(method, segments, api, rest),
        ["crm", api, version, rest @ ..] if is_date(version) => crm(method, segments, api, rest),
        ["files", version, "files" | "folders", ..] if is_v3(version) => {
            published_first(method, segments, FILES.writes(Knowledge::Exact))
        }
        ["automation", version, "flows", ..] if *version == "v4" || is_date(version) => {
            published_first(method, segments, FLOWS.writes(Knowledge::Exact))
        }
        ["events", version, "send"] | ["events", version, "send", "batch"] if method == "POST" && is_v3(version) => {
            Some(EVENTS.writes(Knowledge::Exact))
        }
        ["integrators", "timeline", version, "events"]
        | ["integrators", "timeline", version, "events", "batch"]
        | ["integrators", "timeline", version, "events", "batch", "create"]
            if method == "POST" && is_v3(version) =>
        {
            Some(TIMELINE.writes(Knowledge::Disputed))
        }
        ["account-info", version, "details"] if method == "GET" && is_v3(version) => {
            Some(ACCOUNT.reads(Knowledge::Exact))
        }
        ["contacts", "v1", rest @ ..] => old_contacts(method, rest),
        ["engagements", "v1", "engagements", rest @ ..] => old_engagements(method, rest),
        _ => None,
    }
}

/// The published scopes, with the documentation page of a row and the scopes that this page lists. Only the row counts
/// for an operation that HubSpot publishes in other versions.
fn published_first(method: &str, segments: &[&str], row: Required) -> Option<Required> {
    match published::operation(method, segments) {
        Some(Published::Scopes(scopes)) => {
            Some(Required { documented: row.scopes, docs: row.docs, ..Required::published(scopes) })
        }
        Some(Published::DeveloperKey | Published::ByObjectType) => None,
        None => published::has_other_version(method, segments).then_some(row),
    }
}

fn crm(method: &str, segments: &[&str], api: &str, rest: &[&str]) -> Option<Required> {
    match (api, rest) {
        ("objects", [_, _, "associations", ..]) | ("associations", _) => associations_of(api, rest, method),
        ("objects", [name, rest @ ..]) => object(Row::of(name)?, method, rest),
        ("owners", _) if method == "GET" => published_first(method, segments, OWNERS.reads(Knowledge::Exact)),
        ("lists", rest) => published_first(method, segments, lists(method, rest)),
        ("timeline", ["events"]) if method == "POST" => Some(TIMELINE.writes(Knowledge::Disputed)),
        _ => None,
    }
}

/// Version 4 of the CRM consists of associations.
fn associations_of(api: &str, rest: &[&str], method: &str) -> Option<Required> {
    match (api, rest) {
        ("objects", [from, _, "associations", rest @ ..]) => association(from, rest, method),
        ("associations", [from, to, rest @ ..]) => associations(from, to, rest, method),
        _ => None,
    }
}

/// Searching and batch reading need read scopes only, although they are POSTs.
fn object(row: &Row, method: &str, rest: &[&str]) -> Option<Required> {
    match (method, rest) {
        ("GET", [] | [_]) | ("POST", ["search"] | ["batch", "read"]) => Some(row.reads(Knowledge::Exact)),
        ("POST", [] | ["merge" | "gdpr-delete"] | ["batch", "create" | "update" | "upsert" | "archive"])
        | ("PATCH" | "DELETE", [_]) => Some(row.writes(Knowledge::Exact)),
        _ => None,
    }
}

/// The associations of one record.
fn association(from: &str, rest: &[&str], method: &str) -> Option<Required> {
    match (method, rest) {
        ("GET", [to]) => both(from, to, Row::reads),
        ("PUT", ["default", to, _]) | ("PUT" | "DELETE", [to, _] | [to, _, _]) => both(from, to, Row::writes),
        _ => None,
    }
}

/// The associations of many records. Their labels and types belong to the portal's settings, and are unknown.
fn associations(from: &str, to: &str, rest: &[&str], method: &str) -> Option<Required> {
    match (method, rest) {
        ("POST", ["batch", "read"]) => both(from, to, Row::reads),
        (
            "POST",
            ["batch", "create" | "archive"] | ["batch", "associate", "default"] | ["batch", "labels", "archive"],
        ) => both(from, to, Row::writes),
        _ => None,
    }
}

/// HubSpot documents associations as accepting any of many scopes, so those of both ends are enough and no more.
fn both(from: &str, to: &str, scopes: fn(&Row, Knowledge) -> Required) -> Option<Required> {
    let mut required = scopes(Row::of(from)?, Knowledge::Enough);
    for scope in scopes(Row::of(to)?, Knowledge::Enough).scopes {
        if !required.scopes.contains(&scope) {
            required.scopes.push(scope);
        }
    }
    required.docs = Some(ASSOCIATIONS_DOCS);
    Some(required)
}

/// Memberships take both scopes to change. To change lists themselves, HubSpot's versions differ in whether the one to
/// read is needed.
fn lists(method: &str, rest: &[&str]) -> Required {
    match (method, rest) {
        ("GET", _) | ("POST", ["search"] | ["all"] | ["idmapping"] | ["records", "memberships", "batch", "read"]) => {
            LISTS.reads(Knowledge::Exact)
        }
        ("PUT", [_, "memberships", "add" | "remove" | "add-and-remove"] | [_, "memberships", "add-from", _])
        | ("DELETE", [_, "memberships"]) => LISTS.writes(Knowledge::Exact),
        _ => LISTS.writes(Knowledge::Enough),
    }
}

/// HubSpot's own pages differ in which scopes do beside that of contacts.
fn old_contacts(method: &str, rest: &[&str]) -> Option<Required> {
    match (method, rest) {
        ("GET", ["contact", "vid" | "email", _, "profile"]) => Some(OLD_CONTACTS.reads(Knowledge::Enough)),
        (
            "POST",
            ["contact"] | ["contact", "vid" | "email", _, "profile"] | ["contact", "createOrUpdate", "email", _],
        ) => Some(OLD_CONTACTS.writes(Knowledge::Enough)),
        _ => None,
    }
}

/// HubSpot documents one of several scopes, that of contacts among them.
fn old_engagements(method: &str, rest: &[&str]) -> Option<Required> {
    match (method, rest) {
        ("GET", [_]) => Some(OLD_ENGAGEMENTS.reads(Knowledge::Enough)),
        ("POST", []) => Some(OLD_ENGAGEMENTS.writes(Knowledge::Enough)),
        _ => None,
    }
}

impl Row {
    /// The object of a name.
    pub(super) fn of(name: &str) -> Option<&'static Self> {
        OBJECTS.iter().find(|(names, _)| names.contains(&name)).map(|(_, row)| row)
    }

    pub(super) fn reads(&self, knowledge: Knowledge) -> Required {
        self.required(self.read, knowledge)
    }

    pub(super) fn writes(&self, knowledge: Knowledge) -> Required {
        self.required(self.write, knowledge)
    }

    fn required(&self, scopes: &[&'static str], knowledge: Knowledge) -> Required {
        Required {
            scopes: scopes.to_vec(),
            any_of: Vec::new(),
            documented: Vec::new(),
            knowledge,
            docs: Some(self.docs),
        }
    }
}

/// APIs that were published as v3 and have dated versions since.
fn is_v3(version: &str) -> bool {
    version == "v3" || is_date(version)
}

/// The dated versions that the table was compared with. In a later one scopes may have other names.
fn is_date(version: &str) -> bool {
    matches!(version, "2026-03" | "2026-09-beta" | "2026-09")
}
