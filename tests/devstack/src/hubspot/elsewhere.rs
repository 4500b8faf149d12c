//! Operations of other APIs that automations call, with the scopes of HubSpot's OpenAPI documents: a call needs every
//! scope of one set. They are written down apart from the product's table, so that tests compare the two.

/// Sets of scopes, each of which is enough.
pub(super) type Alternatives = &'static [&'static [&'static str]];

/// The scopes of a call, if it is one of these.
pub(super) fn scopes(method: &str, segments: &[&str]) -> Option<Alternatives> {
    Some(match (method, segments) {
        ("GET", ["crm", "v3", "owners"] | ["crm", "v3", "owners", _]) => {
            &[&["crm.objects.owners.read"], &["automation"]]
        }
        ("POST", ["engagements", "v1", "engagements"])
        | ("POST", ["contacts", "v1", "contact", "createOrUpdate", "email", _]) => &[&["crm.objects.contacts.write"]],
        ("GET", ["account-info", "v3", "details"]) => &[&["oauth"]],
        ("GET", ["crm", "v3", "lists", _] | ["crm", "v3", "lists", _, "memberships"])
        | ("POST", ["crm", "v3", "lists", "search"])
        | ("POST", ["crm", "v3", "lists", "records", "memberships", "batch", "read"]) => &[&["crm.lists.read"]],
        ("POST", ["crm", "v3", "lists"]) => &[&["crm.lists.write"], &["cms.membership.access_groups.write"]],
        ("PUT", ["crm", "v3", "lists", _, "memberships", "add" | "remove"]) => {
            &[&["crm.lists.write", "crm.lists.read"], &["cms.membership.access_groups.write", "crm.lists.read"]]
        }
        ("POST", ["files", "v3", "files"]) => &[&["files"], &["files.write"], &["files.ui_hidden.write"]],
        ("GET", ["files", "v3", "files", _]) => &[&["files"], &["files.read"], &["files.ui_hidden.read"]],
        ("GET" | "POST", ["automation", "v4", "flows"]) => &[&["automation"]],
        ("POST", ["events", "v3", "send"]) => &[&["analytics.behavioral_events.send"]],
        ("POST", ["integrators", "timeline", "v3", "events"]) => &[&["timeline"]],
        _ => return None,
    })
}
