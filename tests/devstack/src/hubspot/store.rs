//! The data of a portal.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::kind::Kind;

/// An object of the CRM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) id: u64,
    pub(super) properties: BTreeMap<String, String>,
    created_at: i64,
    updated_at: i64,
}

/// The plural of a kind, and an id.
type ObjectKey = (&'static str, u64);

#[derive(Debug, Default)]
pub(super) struct Store {
    objects: BTreeMap<ObjectKey, Object>,
    /// Both directions: from, to.
    links: BTreeSet<(ObjectKey, ObjectKey)>,
    issued: u64,
}

impl Store {
    pub(super) fn insert(&mut self, kind: &Kind, properties: BTreeMap<String, String>, now: i64) -> &Object {
        self.issued += 1;
        let id = 1000 + self.issued;
        let object = Object { id, properties, created_at: now, updated_at: now };
        self.objects.entry((kind.plural, id)).or_insert(object)
    }

    /// All of a kind, oldest first.
    pub(super) fn all(&self, kind: &Kind) -> impl Iterator<Item = &Object> {
        self.objects.range((kind.plural, 0)..=(kind.plural, u64::MAX)).map(|(_, object)| object)
    }

    pub(super) fn find(&self, kind: &Kind, id: &str) -> Option<&Object> {
        self.objects.get(&(kind.plural, id.parse().ok()?))
    }

    pub(super) fn update(
        &mut self,
        kind: &Kind,
        id: &str,
        properties: BTreeMap<String, String>,
        now: i64,
    ) -> Option<&Object> {
        let object = self.objects.get_mut(&(kind.plural, id.parse().ok()?))?;
        object.properties.extend(properties);
        object.updated_at = now;
        Some(object)
    }

    pub(super) fn archive(&mut self, kind: &Kind, id: &str) {
        if let Ok(id) = id.parse() {
            self.objects.remove(&(kind.plural, id));
        }
    }

    pub(super) fn link(&mut self, from: (&Kind, u64), to: (&Kind, u64)) {
        let (one, other) = ((from.0.plural, from.1), (to.0.plural, to.1));
        self.links.extend([(one, other), (other, one)]);
    }

    /// The ids of the objects of a kind that an object is associated with.
    pub(super) fn linked(&self, from: (&Kind, u64), to: &Kind) -> Vec<u64> {
        let own = self.links.iter().filter(|(one, other)| *one == (from.0.plural, from.1) && other.0 == to.plural);
        own.map(|(_, other)| other.1).collect()
    }
}

impl Object {
    /// As HubSpot shows it to a reader: the properties asked for, else those that its kind shows by default.
    pub(super) fn read(&self, kind: &Kind, asked: &[String]) -> Value {
        if asked.is_empty() {
            return self.shown(kind, kind.default_properties().iter().copied());
        }
        self.shown(kind, asked.iter().map(String::as_str))
    }

    /// As HubSpot shows it to a writer: all properties that it has.
    pub(super) fn written(&self, kind: &Kind) -> Value {
        self.shown(kind, self.properties.keys().map(String::as_str))
    }

    fn shown<'a>(&self, kind: &Kind, names: impl Iterator<Item = &'a str>) -> Value {
        let mut properties: Map<_, _> = names.map(|name| (name.to_owned(), json!(self.properties.get(name)))).collect();
        let (created, updated) = (iso(self.created_at), iso(self.updated_at));
        let modified = if kind.plural == "contacts" { "lastmodifieddate" } else { "hs_lastmodifieddate" };
        properties.insert("createdate".to_owned(), json!(created));
        properties.insert(modified.to_owned(), json!(updated));
        properties.insert("hs_object_id".to_owned(), json!(self.id.to_string()));
        json!({ "id": self.id.to_string(), "properties": properties, "createdAt": created, "updatedAt": updated,
            "archived": false })
    }
}

/// Milliseconds since the epoch as HubSpot writes them (RFC 3339, UTC).
pub(super) fn iso(millis: i64) -> String {
    let time = Timestamp::from_millisecond(millis).expect("a clock of today");
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
