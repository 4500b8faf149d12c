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
    pub(super) archived: bool,
}

/// The plural of a kind, and an id.
type ObjectKey = (&'static str, u64);

#[derive(Debug, Default)]
pub(super) struct Store {
    objects: BTreeMap<ObjectKey, Object>,
    /// Both directions: from, to, type id.
    links: BTreeSet<(ObjectKey, ObjectKey, u64)>,
    issued: u64,
}

impl Store {
    fn next_id(&mut self) -> u64 {
        self.issued += 1;
        1000 + self.issued
    }

    pub(super) fn insert(&mut self, kind: &Kind, properties: BTreeMap<String, String>, now: i64) -> u64 {
        let id = self.next_id();
        let object = Object { id, properties, created_at: now, updated_at: now, archived: false };
        self.objects.insert((kind.plural, id), object);
        id
    }

    /// All of a kind that are not archived, oldest first.
    pub(super) fn all(&self, kind: &Kind) -> impl Iterator<Item = &Object> {
        let of = move |((plural, _), object): &(&ObjectKey, &Object)| *plural == kind.plural && !object.archived;
        self.objects.iter().filter(of).map(|(_, object)| object)
    }

    /// By id, or by the value of another property.
    pub(super) fn find(&self, kind: &Kind, reference: &str, id_property: Option<&str>) -> Option<&Object> {
        match id_property {
            None | Some("hs_object_id") => {
                let id: u64 = reference.parse().ok()?;
                self.all(kind).find(|object| object.id == id)
            }
            Some(property) => self.all(kind).find(|object| {
                object.properties.get(property).is_some_and(|value| value.eq_ignore_ascii_case(reference))
            }),
        }
    }

    pub(super) fn update(&mut self, kind: &Kind, id: u64, properties: BTreeMap<String, String>, now: i64) {
        if let Some(object) = self.get_mut(kind, id) {
            object.properties.extend(properties);
            object.updated_at = now;
        }
    }

    pub(super) fn archive(&mut self, kind: &Kind, id: u64) {
        if let Some(object) = self.get_mut(kind, id) {
            object.archived = true;
        }
    }

    pub(super) fn link(&mut self, from: (&'static Kind, u64), to: (&'static Kind, u64), type_id: u64) {
        let (one, other) = ((from.0.plural, from.1), (to.0.plural, to.1));
        self.links.insert((one, other, type_id));
        if let Some(reverse) = to.0.link_to(from.0) {
            self.links.insert((other, one, reverse));
        }
    }

    /// Associations of an object: ids and type ids.
    pub(super) fn linked(&self, from: (&Kind, u64), to: &Kind) -> Vec<(u64, u64)> {
        let own = self.links.iter().filter(|(one, other, _)| *one == (from.0.plural, from.1) && other.0 == to.plural);
        own.map(|(_, other, type_id)| (other.1, *type_id)).collect()
    }

    fn get_mut(&mut self, kind: &Kind, id: u64) -> Option<&mut Object> {
        self.objects
            .iter_mut()
            .find(|((plural, own), _)| *plural == kind.plural && *own == id)
            .map(|(_, object)| object)
    }
}

impl Object {
    /// As HubSpot shows it: the properties asked for, else those that it shows unasked.
    pub(super) fn shown(&self, kind: &Kind, asked: &[String]) -> Value {
        let mut properties = Map::new();
        let unasked = kind.shown.iter().map(|name| (*name).to_owned());
        let names: Vec<String> = if asked.is_empty() { unasked.collect() } else { asked.to_vec() };
        for name in names {
            let value = self.properties.get(&name).map_or(Value::Null, |value| json!(value));
            properties.insert(name, value);
        }
        self.with(properties, kind)
    }

    /// With all its properties, as an answer to a write shows it.
    pub(super) fn whole(&self, kind: &Kind) -> Value {
        let all = self.properties.iter().map(|(name, value)| (name.clone(), json!(value)));
        self.with(all.collect(), kind)
    }

    fn with(&self, mut properties: Map<String, Value>, kind: &Kind) -> Value {
        let (created, updated) = (iso(self.created_at), iso(self.updated_at));
        let modified = if kind.plural == "contacts" { "lastmodifieddate" } else { "hs_lastmodifieddate" };
        properties.insert("createdate".to_owned(), json!(created));
        properties.insert(modified.to_owned(), json!(updated));
        properties.insert("hs_object_id".to_owned(), json!(self.id.to_string()));
        json!({ "id": self.id.to_string(), "properties": properties, "createdAt": created, "updatedAt": updated,
            "archived": self.archived })
    }
}

/// Milliseconds since the epoch as HubSpot writes them (RFC 3339, UTC).
pub(super) fn iso(millis: i64) -> String {
    let time = Timestamp::from_millisecond(millis).expect("a clock of today");
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::iso;

    #[test]
    fn times_are_written_as_hubspot_writes_them() {
        assert_eq!(iso(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(iso(1_795_559_736_789), "2026-11-24T22:35:36.789Z");
    }
}
