//! The call of an automation: its method, URL, headers and body, parsed and guarded.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;
use url::Url;

use super::invalid;
use crate::credentials;
use crate::fields::{Fields, Shape, each_pair, each_value};
use crate::refusal::Refusal;
use crate::target::{self, EncodedQuery, MAX_URL_BYTES, Target};

/// Longest value of a header, in bytes; servers take little more for all headers together.
const MAX_HEADER_BYTES: usize = 8_192;

/// The only headers of a customer that are sent.
const HEADERS: [&str; 6] =
    ["accept", "accept-language", "content-type", "if-match", "if-none-match", "if-modified-since"];

const FORM: &str = "application/x-www-form-urlencoded";

/// A request of a customer that has passed the guard.
///
/// Invariant: its target is on the configured origin, its headers are of the allow-list, each at most once and never
/// `authorization`, and neither URL nor form body carries a known credential.
pub struct Call {
    target: Target,
    headers: Vec<(&'static str, String)>,
    body: Option<Vec<u8>>,
    ignored: Vec<String>,
}

impl Call {
    pub(super) fn parse(request: Option<&RawValue>, origin: &Url) -> Result<Self, Refusal> {
        let request = request.ok_or_else(|| invalid("request: required, an object with method and endpoint"))?;
        let mut fields = Fields::parse("request", request.get())?;
        let method = fields
            .take_string("method")?
            .ok_or_else(|| invalid("request.method: required, GET, POST, PUT, PATCH or DELETE"))?;
        let endpoint = fields
            .take_string("endpoint")?
            .ok_or_else(|| invalid("request.endpoint: required, a path or a URL of the HubSpot API"))?;
        if endpoint.trim().len() > MAX_URL_BYTES {
            return Err(target::too_large());
        }
        let query = fields.take("query").map(parse_query).transpose()?.unwrap_or_default();
        let Headers { sent: mut headers, mut ignored } =
            fields.take("headers").map(parse_headers).transpose()?.unwrap_or_default();
        let body = parse_body(&mut fields)?;
        fields.finish()?;

        let target = Target::with_query(origin, &method, &endpoint, &query)?;
        let body = body.map(|(bytes, default_type)| {
            if !headers.iter().any(|(name, _)| *name == "content-type") {
                headers.push(("content-type", default_type.to_owned()));
            }
            bytes
        });
        ignored.extend("query", target.ignored_query().iter().copied());
        let content_type = headers.iter().find(|(name, _)| *name == "content-type");
        let body = match (body, content_type) {
            (Some(bytes), Some((_, content_type))) if is_form(content_type)? => Some(clean_form(bytes, &mut ignored)),
            (body, _) => body,
        };
        let mut ignored = ignored.0;
        ignored.extend(target.has_userinfo().then(|| "userinfo".to_owned()));
        Ok(Self { target, headers, body, ignored })
    }

    /// Method and URL.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The headers to send, names in lower case, values of printable ASCII.
    pub fn headers(&self) -> &[(&'static str, String)] {
        &self.headers
    }

    /// The body to send, if there is one (it may be empty). Allowed with every method, a GET included: stored
    /// automations carry left-over bodies, which HubSpot ignores there.
    pub fn body(&self) -> Option<&[u8]> {
        self.body.as_deref()
    }

    pub(super) fn is_json(&self) -> bool {
        let content_type = self.headers.iter().find(|(name, _)| *name == "content-type");
        content_type.is_some_and(|(_, value)| {
            let media_type = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            media_type == "application/json" || media_type.ends_with("+json")
        })
    }

    /// The dropped credentials: `header:…`, `query:…`, `form:…`, `userinfo`, each once.
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }
}

/// Prints no value of the customer's.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| *name).collect();
        f.debug_struct("Call")
            .field("target", &self.target)
            .field("headers", &headers)
            .field("body_bytes", &self.body.as_ref().map(Vec::len))
            .field("ignored", &self.ignored)
            .finish()
    }
}

fn parse_query(raw: &RawValue) -> Result<EncodedQuery, Refusal> {
    let refused = || invalid("request.query: values have to be strings, numbers, booleans, or lists of them");
    let mut query = EncodedQuery::default();
    let taken = each_pair(raw.get(), Shape::ObjectOrPairs, |name, value| {
        let mut push = |value| query.push(&name, &scalar(value).ok_or_else(refused)?);
        if value.get().starts_with('[') {
            return each_value(value.get(), push).map_err(|stop| stop.refusal(|_| refused()));
        }
        push(value)
    });
    taken.map_err(|stop| {
        stop.refusal(|_| invalid("request.query: an object, or a list of [name, value], is expected"))
    })?;
    Ok(query)
}

/// The headers to send, and the names of those dropped that carry credentials.
#[derive(Default)]
struct Headers {
    sent: Vec<(&'static str, String)>,
    ignored: Ignored,
}

/// Takes the allowed headers; all others are dropped without a look at their values.
fn parse_headers(raw: &RawValue) -> Result<Headers, Refusal> {
    let mut headers = Headers::default();
    let taken = each_pair(raw.get(), Shape::ObjectOrPairs, |name, value| headers.take(&name, value));
    taken.map_err(|stop| {
        stop.refusal(|_| invalid("request.headers: an object, or a list of [name, value], is expected"))
    })?;
    Ok(headers)
}

impl Headers {
    fn take(&mut self, name: &str, value: &RawValue) -> Result<(), Refusal> {
        // Pasted with a blank or a colon, it still means that header.
        let plain = name.trim_matches([' ', '\t', ':']);
        let Some(name) = HEADERS.into_iter().find(|allowed| allowed.eq_ignore_ascii_case(plain)) else {
            self.ignored.extend("header", credentials::header(name));
            return Ok(());
        };
        let earlier = self.sent.iter().find(|(earlier, _)| *earlier == name);
        if name == "content-type"
            && let Some((_, earlier)) = earlier
            && scalar(value).is_some_and(|value| value.trim() == earlier.trim())
        {
            return Ok(());
        }
        if earlier.is_some() {
            return Err(Refusal::InvalidRequest(format!("request.headers: {name} is given twice; once is expected")));
        }
        let value = scalar(value).filter(|value| value.bytes().all(|b| matches!(b, b' '..=b'~'))).ok_or_else(|| {
            Refusal::InvalidRequest(format!("request.headers.{name}: a string of printable ASCII is expected"))
        })?;
        if value.len() > MAX_HEADER_BYTES {
            let detail = format!("request.headers.{name}: at most {MAX_HEADER_BYTES} bytes are accepted");
            return Err(Refusal::RequestTooLarge(detail));
        }
        // A content type without a value says nothing: the default applies, and what follows from it.
        if name != "content-type" || !value.trim().is_empty() {
            self.sent.push((name, value));
        }
        Ok(())
    }
}

/// The names of dropped credentials, each once.
#[derive(Default)]
struct Ignored(Vec<String>);

impl Ignored {
    /// Adds names from one part of the request. There are few different ones, however many there are.
    fn extend(&mut self, part: &str, names: impl IntoIterator<Item = &'static str>) {
        for name in names {
            let known = |one: &String| one.strip_prefix(part).and_then(|rest| rest.strip_prefix(':')) == Some(name);
            if !self.0.iter().any(known) {
                self.0.push(format!("{part}:{name}"));
            }
        }
    }
}

/// A string's text, a number's digits as they were sent, or a boolean.
fn scalar(raw: &RawValue) -> Option<String> {
    match raw.get().as_bytes().first()? {
        b'"' => serde_json::from_str(raw.get()).ok(),
        b'0'..=b'9' | b'-' | b't' | b'f' => Some(raw.get().to_owned()),
        _ => None,
    }
}

/// The body's bytes and the content type that it has unless a header says otherwise.
fn parse_body(fields: &mut Fields<'_>) -> Result<Option<(Vec<u8>, &'static str)>, Refusal> {
    // `null` is a JSON body like any other; in the two text fields it means an absent body.
    let json = fields.take_any("body").map(|json| (json.get().as_bytes().to_vec(), "application/json"));
    let text = fields.take_string("body_text")?.map(|text| (text.into_bytes(), "application/json"));
    let base64 = match fields.take_string("body_base64")? {
        None => None,
        Some(text) => {
            let bytes = STANDARD.decode(text).map_err(|_| invalid("request.body_base64: base64 is expected"))?;
            Some((bytes, "application/octet-stream"))
        }
    };
    let mut bodies = [json, text, base64].into_iter().flatten();
    let body = bodies.next();
    match bodies.next() {
        None => Ok(body),
        Some(_) => Err(invalid("request: at most one of body, body_text and body_base64 is accepted")),
    }
}

/// Returns true if a body of this content type is a form, from which credentials have to be removed.
fn is_form(content_type: &str) -> Result<bool, Refusal> {
    let content_type = content_type.to_ascii_lowercase();
    let mut parts = content_type.split(';').map(str::trim);
    if parts.next() != Some(FORM) {
        // Servers might take the one or the other of `application/json, application/x-www-form-urlencoded`.
        return if content_type.contains(FORM) {
            Err(invalid("request.headers.content-type: one media type is expected"))
        } else {
            Ok(false)
        };
    }
    for parameter in parts.filter(|parameter| parameter.starts_with("charset")) {
        let value = parameter.split_once('=').map(|(_, value)| value.trim().trim_matches('"'));
        if !matches!(value, Some("utf-8" | "utf8")) {
            return Err(invalid("request.headers.content-type: a form has to be in UTF-8"));
        }
    }
    Ok(true)
}

fn clean_form(bytes: Vec<u8>, ignored: &mut Ignored) -> Vec<u8> {
    let cleaned = credentials::clean(&bytes);
    if cleaned.dropped.is_empty() {
        return bytes;
    }
    ignored.extend("form", cleaned.dropped);
    cleaned.rest.map(std::borrow::Cow::into_owned).unwrap_or_default()
}
