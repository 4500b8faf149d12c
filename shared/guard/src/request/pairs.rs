//! Names and values as the fields `query` and `headers` hold them.

use std::fmt;

use crate::refusal::Refusal;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Names and values in order, from an object or from a list of `[name, value]`; a name may occur more than once,
/// since a doubled header that is dropped anyway must not make a request invalid.
pub(super) struct Pairs<'a>(Vec<(String, &'a RawValue)>);

impl<'a> Pairs<'a> {
    pub(super) fn parse(place: &str, raw: &'a RawValue) -> Result<Vec<(String, &'a RawValue)>, Refusal> {
        serde_json::from_str::<Self>(raw.get()).map(|pairs| pairs.0).map_err(|_| {
            Refusal::InvalidRequest(format!("{place}: an object, or a list of [name, value], is expected"))
        })
    }
}

impl<'de> Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectOrList;
        impl<'de> Visitor<'de> for ObjectOrList {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object or a list of pairs")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry::<String, &'de RawValue>()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = list.next_element::<(String, &'de RawValue)>()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_any(ObjectOrList)
    }
}

/// A string's text, a number's digits as they were sent, or a boolean.
pub(super) fn scalar(raw: &RawValue) -> Option<String> {
    match raw.get().as_bytes().first()? {
        b'"' => serde_json::from_str(raw.get()).ok(),
        b'0'..=b'9' | b'-' | b't' | b'f' => Some(raw.get().to_owned()),
        _ => None,
    }
}
