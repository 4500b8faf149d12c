//! A conditional write of one record, put together attribute by attribute.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::{Item, s};
use crate::integration::{Integration, Key, Pointer};

/// The process that caused a change which no person requested.
pub(super) const SERVICE: &str = "service";

/// The parts of an event about its integration, beside its keys. Every part is there, empty where it is not known: a
/// pipe's template cannot leave one out.
pub(super) struct About<'a> {
    pub(super) hub_id: Option<u64>,
    pub(super) connected_by: Option<&'a str>,
    pub(super) status_reason: Option<&'a str>,
    pub(super) status_since: Option<i64>,
}

impl<'a> About<'a> {
    pub(super) fn of(record: &'a Integration) -> Self {
        Self {
            hub_id: record.hub_id,
            connected_by: record.connected_by.as_deref(),
            status_reason: record.status_reason.as_deref(),
            status_since: record.status_since,
        }
    }

    /// The same integration once HubSpot accepts its authorization.
    pub(super) fn sound(record: &'a Integration) -> Self {
        Self { status_reason: None, status_since: None, ..Self::of(record) }
    }

    pub(super) fn attribute(&self) -> AttributeValue {
        let number = |value: Option<String>| s(value.unwrap_or_default());
        AttributeValue::M(HashMap::from([
            ("hub_id".to_owned(), number(self.hub_id.map(|hub_id| hub_id.to_string()))),
            ("connected_by".to_owned(), s(self.connected_by.unwrap_or_default())),
            ("status_reason".to_owned(), s(self.status_reason.unwrap_or_default())),
            ("status_since".to_owned(), number(self.status_since.map(|since| since.to_string()))),
        ]))
    }
}

/// One conditional update, attribute by attribute.
pub(super) struct Write {
    pub(super) key: Key,
    set: Vec<(&'static str, AttributeValue)>,
    remove: Vec<&'static str>,
    conditions: Vec<(&'static str, Condition)>,
}

/// The condition on an attribute under which the write takes place.
enum Condition {
    Equal(AttributeValue),
    Less(AttributeValue),
    LessOrAbsent(AttributeValue),
    Absent,
}

impl Condition {
    fn expression(&self, name: &str) -> String {
        match self {
            Self::Equal(_) => format!("#{name} = :if_{name}"),
            Self::Less(_) => format!("#{name} < :if_{name}"),
            Self::LessOrAbsent(_) => format!("(attribute_not_exists(#{name}) OR #{name} < :if_{name})"),
            Self::Absent => format!("attribute_not_exists(#{name})"),
        }
    }

    fn value(&self) -> Option<&AttributeValue> {
        match self {
            Self::Equal(value) | Self::Less(value) | Self::LessOrAbsent(value) => Some(value),
            Self::Absent => None,
        }
    }
}

impl Write {
    pub(super) fn at(key: Key) -> Self {
        Self { key, set: Vec::new(), remove: Vec::new(), conditions: Vec::new() }
    }

    pub(super) fn of(record: &Integration) -> Self {
        Self::at(record.key()).if_equal("integration_id", s(record.integration_id.as_str()))
    }

    pub(super) fn set(mut self, name: &'static str, value: AttributeValue) -> Self {
        self.set.push((name, value));
        self
    }

    /// Names the event that the table's stream makes of this write, who caused it, and what it says.
    pub(super) fn event(self, name: &'static str, acted_by: &str, about: &About<'_>) -> Self {
        self.set("event", s(name)).set("acted_by", s(acted_by)).set("about", about.attribute())
    }

    pub(super) fn remove(mut self, name: &'static str) -> Self {
        self.remove.push(name);
        self
    }

    pub(super) fn if_equal(mut self, name: &'static str, value: AttributeValue) -> Self {
        self.conditions.push((name, Condition::Equal(value)));
        self
    }

    pub(super) fn if_less(mut self, name: &'static str, value: AttributeValue) -> Self {
        self.conditions.push((name, Condition::Less(value)));
        self
    }

    pub(super) fn if_less_or_absent(mut self, name: &'static str, value: AttributeValue) -> Self {
        self.conditions.push((name, Condition::LessOrAbsent(value)));
        self
    }

    pub(super) fn if_absent(mut self, name: &'static str) -> Self {
        self.conditions.push((name, Condition::Absent));
        self
    }

    /// Only while the record points at exactly this version.
    pub(super) fn fence(self, pointer: &Pointer) -> Self {
        self.if_equal("secret_id", s(&pointer.secret_id)).if_equal("secret_version", s(&pointer.secret_version))
    }

    pub(super) fn expression(&self) -> String {
        let sets: Vec<String> = self.set.iter().map(|(name, _)| format!("#{name} = :{name}")).collect();
        let removes: Vec<String> = self.remove.iter().map(|name| format!("#{name}")).collect();
        let mut text = String::new();
        if !sets.is_empty() {
            text = format!("SET {}", sets.join(", "));
        }
        if !removes.is_empty() {
            text = format!("{text} REMOVE {}", removes.join(", "));
        }
        text.trim_start().to_owned()
    }

    pub(super) fn condition(&self) -> String {
        let all: Vec<String> = self.conditions.iter().map(|(name, condition)| condition.expression(name)).collect();
        all.join(" AND ")
    }

    pub(super) fn names(&self) -> HashMap<String, String> {
        let used = self.set.iter().map(|(name, _)| name);
        let used = used.chain(&self.remove).chain(self.conditions.iter().map(|(name, _)| name));
        used.map(|name| (format!("#{name}"), (*name).to_owned())).collect()
    }

    pub(super) fn values(&self) -> Item {
        let set = self.set.iter().map(|(name, value)| (format!(":{name}"), value.clone()));
        let expected = self.conditions.iter().filter_map(|(name, condition)| {
            let value = condition.value()?.clone();
            Some((format!(":if_{name}"), value))
        });
        set.chain(expected).collect()
    }
}
