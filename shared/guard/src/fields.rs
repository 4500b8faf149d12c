//! JSON objects from outside, taken apart field by field without losing a byte of any value.
//!
//! serde's own derive is not used for them: its error texts quote the offending value, which may be a credential,
//! and it accepts a duplicate field in a nested raw value. Names and values are handed over one at a time, so that
//! the caller can stop before they need memory.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::refusal::Refusal;

/// No object of the contract has more fields, with room for later ones.
const MAX_FIELDS: usize = 32;

/// The fields of one JSON object, in order, each value as the bytes that were sent.
#[derive(Debug)]
pub struct Fields<'a> {
    place: &'static str,
    fields: Vec<(String, &'a RawValue)>,
}

impl<'a> Fields<'a> {
    /// Takes `json` apart; `place` names the object in errors (`"body"`, `"request"`).
    pub fn parse(place: &'static str, json: &'a str) -> Result<Self, Refusal> {
        let mut fields: Vec<(String, &'a RawValue)> = Vec::new();
        let taken = each_pair(json, Shape::Object, |name, value| {
            if fields.iter().any(|(earlier, _)| *earlier == name) {
                let detail = format!("{place}: duplicate field {}; give it once", quoted(&name));
                return Err(Refusal::InvalidRequest(detail));
            }
            if fields.len() == MAX_FIELDS {
                return Err(Refusal::InvalidRequest(format!("{place}: at most {MAX_FIELDS} fields are expected")));
            }
            fields.push((name, value));
            Ok(())
        });
        taken.map_err(|stop| {
            stop.refusal(|error| Refusal::InvalidRequest(format!("{place}: {}", shape_error(error))))
        })?;
        Ok(Self { place, fields })
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

    /// Takes a field out that must be a string, or a whole number, which is taken as its digits.
    pub fn take_digits_or_string(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        let number = self.fields.iter().find(|(field, value)| field == name && is_whole(value.get()));
        match number.map(|(_, value)| value.get().to_owned()) {
            Some(digits) => Ok(self.take(name).map(|_| digits)),
            None => self.take_string(name),
        }
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
            Some((name, _)) => {
                Err(Refusal::InvalidRequest(format!("{}: unknown field {}; leave it out", self.place, quoted(name))))
            }
        }
    }
}

fn is_whole(json: &str) -> bool {
    json.bytes().all(|b| b.is_ascii_digit())
}

/// Where a text stops being JSON. The parser's own text is not used: it may quote what it found.
fn shape_error(error: serde_json::Error) -> String {
    match error.classify() {
        Category::Syntax | Category::Eof => {
            format!("not valid JSON at line {}, column {}; one JSON object is expected", error.line(), error.column())
        }
        Category::Data | Category::Io => "one JSON object is expected".to_owned(),
    }
}

/// The name of a field for an error text: short and without control characters.
fn quoted(name: &str) -> String {
    let short: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    format!("`{short}`")
}

/// Why the parts of a value were not all taken.
pub(crate) enum Stop {
    /// The value has another shape, or is no JSON.
    Shape(serde_json::Error),
    /// The caller refused a part.
    Refused(Refusal),
}

impl Stop {
    pub(crate) fn refusal(self, shape: impl FnOnce(serde_json::Error) -> Refusal) -> Refusal {
        match self {
            Self::Shape(error) => shape(error),
            Self::Refused(refusal) => refusal,
        }
    }
}

/// How names and values may be written.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    Object,
    /// An object, or a list of `[name, value]`.
    ObjectOrPairs,
    /// A list of values without names.
    List,
}

/// Hands over the names and values of `json` in order, until `take` refuses one; a name may occur more than once.
pub(crate) fn each_pair<'a>(
    json: &'a str,
    shape: Shape,
    mut take: impl FnMut(String, &'a RawValue) -> Result<(), Refusal>,
) -> Result<(), Stop> {
    let mut refused = None;
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let parts = Parts { shape, take: &mut take, refused: &mut refused };
    let parsed = parts.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    match (refused, parsed) {
        (Some(refusal), _) => Err(Stop::Refused(refusal)),
        (None, Err(error)) => Err(Stop::Shape(error)),
        (None, Ok(())) => Ok(()),
    }
}

/// Hands over the values of a list in order, until `take` refuses one.
pub(crate) fn each_value<'a>(
    json: &'a str,
    mut take: impl FnMut(&'a RawValue) -> Result<(), Refusal>,
) -> Result<(), Stop> {
    each_pair(json, Shape::List, |_, value| take(value))
}

struct Parts<'f, F> {
    shape: Shape,
    take: &'f mut F,
    refused: &'f mut Option<Refusal>,
}

impl<'de, F: FnMut(String, &'de RawValue) -> Result<(), Refusal>> Parts<'_, F> {
    fn take<E: serde::de::Error>(&mut self, name: String, value: &'de RawValue) -> Result<(), E> {
        (self.take)(name, value).map_err(|refusal| {
            *self.refused = Some(refusal);
            E::custom("refused")
        })
    }
}

impl<'de, F: FnMut(String, &'de RawValue) -> Result<(), Refusal>> DeserializeSeed<'de> for Parts<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, F: FnMut(String, &'de RawValue) -> Result<(), Refusal>> Visitor<'de> for Parts<'_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.shape {
            Shape::Object => "an object",
            Shape::ObjectOrPairs => "an object or a list of pairs",
            Shape::List => "a list",
        })
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        if matches!(self.shape, Shape::List) {
            return Err(A::Error::custom("a list is expected"));
        }
        while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
            self.take(name, value)?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        match self.shape {
            Shape::Object => return Err(A::Error::custom("an object is expected")),
            Shape::ObjectOrPairs => {
                while let Some((name, value)) = list.next_element::<(String, &'de RawValue)>()? {
                    self.take(name, value)?;
                }
            }
            Shape::List => {
                while let Some(value) = list.next_element::<&'de RawValue>()? {
                    self.take(String::new(), value)?;
                }
            }
        }
        Ok(())
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
    fn duplicate_unknown_or_non_object_fields_are_refused_by_name_only() {
        let refused = |json: &str| match Fields::parse("body", json).and_then(Fields::finish) {
            Err(Refusal::InvalidRequest(detail)) => detail,
            other => panic!("{json} gave {other:?}"),
        };

        assert_eq!(refused(r#"{"a":"s3cret","a":1}"#), "body: duplicate field `a`; give it once");
        assert_eq!(refused(r#"{"typo":"s3cret"}"#), "body: unknown field `typo`; leave it out");
        assert_eq!(refused(r#""s3cret""#), "body: one JSON object is expected");
        let at = |line: u32, column: u32| {
            format!("body: not valid JSON at line {line}, column {column}; one JSON object is expected")
        };
        assert_eq!(refused(r#"{"a":1} x"#), at(1, 9));
        assert_eq!(refused("{\n  \"a\": \"s3cret\",\n}"), at(3, 1));
        assert_eq!(refused(r#"{"a":"s3cret"#), at(1, 12));
        assert_eq!(refused(""), at(1, 0));
    }

    #[test]
    fn a_field_of_the_wrong_kind_is_named_without_its_value() {
        let mut fields = Fields::parse("request", r#"{"method":["s3cret"]}"#).unwrap();

        let error = fields.take_string("method").unwrap_err();

        assert_eq!(error, Refusal::InvalidRequest("request.method: a string is expected".to_owned()));
    }
}
