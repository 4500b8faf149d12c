//! APIs of which the emulator knows only who may call them, by the scopes of HubSpot's OpenAPI documents.

use serde_json::json;

use crate::wire::Answer;

/// The scopes that a call takes, all of them; `None` for a route that does not exist.
pub(super) fn scopes(method: &str, segments: &[&str]) -> Option<&'static [&'static str]> {
    match (method, segments) {
        ("GET", ["crm", "v3", "owners"] | ["crm", "v3", "owners", _]) => Some(&["crm.objects.owners.read"]),
        (
            "POST",
            ["engagements", "v1", "engagements"] | ["contacts", "v1", "contact", "createOrUpdate", "email", _],
        ) => Some(&["crm.objects.contacts.write"]),
        ("GET", ["account-info", "v3", "details"]) => Some(&["oauth"]),
        ("GET", ["crm", "v3", "lists", _] | ["crm", "v3", "lists", _, "memberships"])
        | (
            "POST",
            ["crm", "v3", "lists", "search"] | ["crm", "v3", "lists", "records", "memberships", "batch", "read"],
        ) => Some(&["crm.lists.read"]),
        ("POST", ["crm", "v3", "lists"]) => Some(&["crm.lists.write"]),
        ("PUT", ["crm", "v3", "lists", _, "memberships", "add" | "remove"]) => {
            Some(&["crm.lists.write", "crm.lists.read"])
        }
        ("POST", ["files", "v3", "files"]) | ("GET", ["files", "v3", "files", _]) => Some(&["files"]),
        ("GET" | "POST", ["automation", "v4", "flows"]) => Some(&["automation"]),
        ("POST", ["events", "v3", "send"]) => Some(&["analytics.behavioral_events.send"]),
        ("POST", ["integrators", "timeline", "v3", "events"]) => Some(&["timeline"]),
        _ => None,
    }
}

pub(super) fn answer() -> Answer {
    Answer::json(200, &json!({}))
}
