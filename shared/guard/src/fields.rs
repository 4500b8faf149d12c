//! JSON objects from outside, taken apart field by field without losing a byte of any value.
//!
//! serde's own derive is not used for them: its error texts quote the offending value, which may be a credential,
//! and it lets a field stand twice in a nested raw value.

use std::collections::HashSet;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::refusal::Refusal;

/// The fields of one JSON object, in order, each value as the bytes that were sent.
#[derive(Debug)]
pub struct Fields<'a> {
    place: &'static str,
    fields: Vec<(String, &'a RawValue)>,
}

impl<'a> Fields<'a> {
    /// Takes `json` apart; `place` names the object in errors (`"body"`, `"request"`).
    pub fn parse(place: &'static str, json: &'a str) -> Result<Self, Refusal> {
        let pairs: Pairs<'a> = serde_json::from_str(json)
            .map_err(|_| Refusal::InvalidRequest(format!("{place}: one JSON object is expected")))?;
        let mut names = HashSet::with_capacity(pairs.0.len());
        for (name, _) in &pairs.0 {
            if !names.insert(name) {
                return Err(Refusal::InvalidRequest(format!(
                    "{place}: field {} stands twice; once is expected",
                    quoted(name)
                )));
            }
        }
        Ok(Self { place, fields: pairs.0 })
    }

    /// Takes one field out, if it is there and not `null`.
    pub fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let value = self.take_any(name)?;
        (value.get() != "null").then_some(value)
    }

    /// Takes one field out, `null` included.
    pub fn take_any(&mut self, name: &str) -> Option<&'a RawValue> {
        let at = self.fields.iter().position(|(field, _)| field == name)?;
        Some(self.fields.remove(at).1)
    }

    /// Takes a field out that must be a string if it is there.
    pub fn take_string(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        self.take_as(name, "a string")
    }

    /// Takes a field out that must be of type `T` if it is there; `kind` says in errors what is accepted.
    pub fn take_as<T: Deserialize<'a>>(&mut self, name: &str, kind: &str) -> Result<Option<T>, Refusal> {
        let Some(value) = self.take(name) else { return Ok(None) };
        serde_json::from_str(value.get())
            .map(Some)
            .map_err(|_| Refusal::InvalidRequest(format!("{}.{name}: {kind} is expected", self.place)))
    }

    /// Ends the object: whatever was not taken is unknown and refused by name.
    pub fn finish(self) -> Result<(), Refusal> {
        match self.fields.first() {
            None => Ok(()),
            Some((name, _)) => Err(Refusal::InvalidRequest(format!(
                "{}: field {} is not known; leave it out",
                self.place,
                quoted(name)
            ))),
        }
    }
}

/// The name of a field for an error text: short and without control characters.
fn quoted(name: &str) -> String {
    let short: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    format!("`{short}`")
}

/// An object's pairs in order, duplicates included.
struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry::<String, &'de RawValue>()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_bytes() {
        let mut fields = Fields::parse("body", r#" { "a" : 1.0e2 , "b":{"x" :1,"x":2} } "#).unwrap();

        assert_eq!(fields.take("b").unwrap().get(), r#"{"x" :1,"x":2}"#);
        assert_eq!(fields.take("a").unwrap().get(), "1.0e2");
        fields.finish().unwrap();
    }

    #[test]
    fn what_is_doubled_unknown_or_no_object_is_refused_by_name_and_without_values() {
        let refused = |json: &str| match Fields::parse("body", json).and_then(Fields::finish) {
            Err(Refusal::InvalidRequest(detail)) => detail,
            other => panic!("{json} gave {other:?}"),
        };

        assert_eq!(refused(r#"{"a":"s3cret","a":1}"#), "body: field `a` stands twice; once is expected");
        assert_eq!(refused(r#"{"typo":"s3cret"}"#), "body: field `typo` is not known; leave it out");
        assert_eq!(refused(r#""s3cret""#), "body: one JSON object is expected");
        assert_eq!(refused(r#"{"a":1} x"#), "body: one JSON object is expected");
    }

    #[test]
    fn a_field_of_the_wrong_kind_is_named_without_its_value() {
        let mut fields = Fields::parse("request", r#"{"method":["s3cret"]}"#).unwrap();

        let error = fields.take_string("method").unwrap_err();

        assert_eq!(error, Refusal::InvalidRequest("request.method: a string is expected".to_owned()));
    }
}
