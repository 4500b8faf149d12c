//! APIs of which the emulator knows only who may call them, by the scopes of HubSpot's OpenAPI documents, and what a
//! success looks like.

use serde_json::{Value, json};

use super::store::iso;
use crate::wire::Answer;

/// A route of such an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Elsewhere {
    /// The scopes that a call takes, all of them.
    pub(super) scopes: &'static [&'static str],
    success: Success,
}

/// The success of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Success {
    Owner,
    Owners,
    List,
    Lists,
    Members,
    MemberChange,
    File,
    NewFile,
    TimelineEvent,
    NoBody,
    /// Of an operation whose answer HubSpot does not publish.
    Unpublished,
}

impl Elsewhere {
    /// The route of a call, if there is one.
    pub(super) fn find(method: &str, segments: &[&str]) -> Option<Self> {
        let (scopes, success): (&'static [&'static str], _) = match (method, segments) {
            ("GET", ["crm", "v3", "owners"]) => (&["crm.objects.owners.read"], Success::Owners),
            ("GET", ["crm", "v3", "owners", _]) => (&["crm.objects.owners.read"], Success::Owner),
            (
                "POST",
                ["engagements", "v1", "engagements"] | ["contacts", "v1", "contact", "createOrUpdate", "email", _],
            ) => (&["crm.objects.contacts.write"], Success::Unpublished),
            ("GET", ["account-info", "v3", "details"]) => (&["oauth"], Success::Unpublished),
            ("GET", ["crm", "v3", "lists", _]) => (&["crm.lists.read"], Success::List),
            ("GET", ["crm", "v3", "lists", _, "memberships"]) => (&["crm.lists.read"], Success::Members),
            ("POST", ["crm", "v3", "lists", "search"]) => (&["crm.lists.read"], Success::Lists),
            ("POST", ["crm", "v3", "lists", "records", "memberships", "batch", "read"]) => {
                (&["crm.lists.read"], Success::Unpublished)
            }
            ("POST", ["crm", "v3", "lists"]) => (&["crm.lists.write"], Success::List),
            ("PUT", ["crm", "v3", "lists", _, "memberships", "add" | "remove"]) => {
                (&["crm.lists.write", "crm.lists.read"], Success::MemberChange)
            }
            ("POST", ["files", "v3", "files"]) => (&["files"], Success::NewFile),
            ("GET", ["files", "v3", "files", _]) => (&["files"], Success::File),
            ("GET" | "POST", ["automation", "v4", "flows"]) => (&["automation"], Success::Unpublished),
            ("POST", ["events", "v3", "send"]) => (&["analytics.behavioral_events.send"], Success::NoBody),
            ("POST", ["integrators", "timeline", "v3", "events"]) => (&["timeline"], Success::TimelineEvent),
            _ => return None,
        };
        Some(Self { scopes, success })
    }

    /// The success, which depends on nothing that was sent.
    pub(super) fn answer(self, now: i64) -> Answer {
        let at = iso(now);
        let list = || {
            json!({ "listId": "1", "listVersion": 1, "name": "A list", "objectTypeId": "0-1",
                "processingStatus": "COMPLETE", "processingType": "MANUAL" })
        };
        let (status, body): (u16, Value) = match self.success {
            Success::NoBody => return Answer::new(204),
            Success::Owner => {
                (200, json!({ "id": "1", "type": "PERSON", "archived": false, "createdAt": at, "updatedAt": at }))
            }
            Success::Owners | Success::Members => (200, json!({ "results": [] })),
            Success::List => (200, json!({ "list": list() })),
            Success::Lists => (200, json!({ "lists": [], "hasMore": false, "offset": 0, "total": 0 })),
            Success::MemberChange => {
                (200, json!({ "recordsIdsAdded": [], "recordIdsRemoved": [], "recordIdsMissing": [] }))
            }
            Success::File => (200, file(&at)),
            Success::NewFile => (201, file(&at)),
            Success::TimelineEvent => {
                (201, json!({ "id": "1", "eventTemplateId": "1", "objectType": "contacts", "tokens": {} }))
            }
            Success::Unpublished => (200, json!({})),
        };
        Answer::json(status, &body)
    }
}

fn file(at: &str) -> Value {
    json!({ "id": "1", "access": "PRIVATE", "archived": false, "createdAt": at, "updatedAt": at })
}
