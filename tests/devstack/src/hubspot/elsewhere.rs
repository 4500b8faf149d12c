//! Operations of other APIs that automations call, with the scopes of HubSpot's OpenAPI documents: all of them are
//! needed. They are written down apart from the product's table, so that tests compare the two.

/// The scopes of a call, if it is one of these.
pub(super) fn scopes(method: &str, segments: &[&str]) -> Option<&'static [&'static str]> {
    Some(match (method, segments) {
        ("GET", ["crm", "v3", "owners"] | ["crm", "v3", "owners", _]) => &["crm.objects.owners.read"],
        ("POST", ["engagements", "v1", "engagements"])
        | ("POST", ["contacts", "v1", "contact", "createOrUpdate", "email", _]) => &["crm.objects.contacts.write"],
        ("GET", ["account-info", "v3", "details"]) => &["oauth"],
        ("GET", ["crm", "v3", "lists", _] | ["crm", "v3", "lists", _, "memberships"])
        | ("POST", ["crm", "v3", "lists", "search"])
        | ("POST", ["crm", "v3", "lists", "records", "memberships", "batch", "read"]) => &["crm.lists.read"],
        ("POST", ["crm", "v3", "lists"]) => &["crm.lists.write"],
        ("PUT", ["crm", "v3", "lists", _, "memberships", "add" | "remove"]) => &["crm.lists.write", "crm.lists.read"],
        ("POST", ["files", "v3", "files"]) | ("GET", ["files", "v3", "files", _]) => &["files"],
        ("GET" | "POST", ["automation", "v4", "flows"]) => &["automation"],
        ("POST", ["events", "v3", "send"]) => &["analytics.behavioral_events.send"],
        ("POST", ["integrators", "timeline", "v3", "events"]) => &["timeline"],
        _ => return None,
    })
}
