//! The query of a target, repaired, and without credentials.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{MAX_URL_BYTES, PATH, invalid, starts_with_two_digits, too_large};
use crate::credentials;
use crate::refusal::Refusal;

/// Characters that a query may not contain raw: they are percent-encoded on the customer's behalf.
const QUERY: &AsciiSet = &PATH.add(b'\'');

/// The encoding of names and values of the field `query`. A comma stays, so that lists look as HubSpot writes them.
const PAIR: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b',');

/// Names and values as they are appended to a URL. They are measured while they are taken: a name that is repeated for
/// every value of a list would otherwise grow to the product of both.
#[derive(Default)]
pub(crate) struct EncodedQuery(String);

impl EncodedQuery {
    /// Appends a parameter, or refuses it where no URL has room for it.
    pub(crate) fn push(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        if self.0.len() + name.len() + value.len() > MAX_URL_BYTES {
            return Err(too_large());
        }
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.extend(utf8_percent_encode(name, PAIR));
        self.0.push('=');
        self.0.extend(utf8_percent_encode(value, PAIR));
        if self.0.len() > MAX_URL_BYTES { Err(too_large()) } else { Ok(()) }
    }
}

/// The query to send, if there is one, and the names of the credentials that were in it.
pub(super) fn build_query(
    own: Option<&str>,
    more: &EncodedQuery,
) -> Result<(Option<String>, Vec<&'static str>), Refusal> {
    let mut query = own.map(repaired_query);
    if !more.0.is_empty() {
        let query = query.get_or_insert_default();
        if !query.is_empty() {
            query.push('&');
        }
        query.push_str(&more.0);
    }
    let Some(query) = query else { return Ok((None, Vec::new())) };
    let cleaned = credentials::clean(query.as_bytes());
    let rest = cleaned.rest.map(|rest| String::from_utf8(rest.into_owned())).transpose();
    Ok((rest.map_err(|_| invalid("the query is not UTF-8"))?, cleaned.dropped))
}

/// Percent-encodes what a query may not carry raw, a `%` that begins no encoding included.
fn repaired_query(query: &str) -> String {
    let mut parts = query.split('%');
    let mut repaired = utf8_percent_encode(parts.next().unwrap_or_default(), QUERY).to_string();
    for part in parts {
        repaired.push_str(if starts_with_two_digits(part) { "%" } else { "%25" });
        repaired.extend(utf8_percent_encode(part, QUERY));
    }
    repaired
}
