//! Properties of every call that the guard accepts, judged without the guard's own functions.
//!
//! The three properties take raw bytes: they are the bodies of the fuzz targets in `tests/fuzz`, and proptest runs
//! them where no fuzz target can be built. What is wrong comes back as text, so that a test can count it.

use guard::credentials::clean;
use guard::request::{AutomationRequest, Call};
use guard::target::Target;
use serde_json::json;
use url::Url;

/// Where all requests have to go.
pub const ORIGIN: &str = "https://api.hubapi.com";

/// The names of credentials, as no query and no form may carry them.
pub const NAMES: [&str; 8] = [
    "hapikey",
    "access_token",
    "client_secret",
    "refresh_token",
    "client_assertion",
    "private-app",
    "private-app-legacy",
    "authorization",
];

/// The headers that a customer may set.
pub const ALLOWED_HEADERS: [&str; 6] =
    ["accept", "accept-language", "content-type", "if-match", "if-none-match", "if-modified-since"];

/// [`ORIGIN`], parsed.
pub fn origin() -> Url {
    Url::parse(ORIGIN).unwrap()
}

/// An endpoint, and behind bytes 0xFF a method, and names and values of `query`.
pub fn endpoint(input: &[u8]) -> Result<(), String> {
    let mut fields = fields(input);
    let endpoint = fields.next().unwrap_or_default();
    let method = fields.next().unwrap_or_else(|| "PUT".to_owned());
    let mut query = Vec::new();
    while let Some(name) = fields.next() {
        query.push((name, fields.next().unwrap_or_default()));
    }
    match Target::parse(&origin(), &method, &endpoint, &query) {
        Err(_) => Ok(()),
        Ok(target) => is_safe(&target).and_then(|()| is_stable(&target)),
    }
}

/// The body of an automation request; or, unless it begins as an object does, an endpoint and behind bytes 0xFF a
/// method, a header's name and value, a query's name and value, a content type and a body.
pub fn request(input: &[u8]) -> Result<(), String> {
    let body = if input.starts_with(b"{") {
        String::from_utf8_lossy(input).into_owned()
    } else {
        let fields: Vec<String> = fields(input).collect();
        let field = |at: usize, default: &str| fields.get(at).map_or(default, String::as_str).to_owned();
        let headers = json!([[field(2, "x"), field(3, "")], ["Content-Type", field(6, "text/plain")]]);
        let query = json!([[field(4, "x"), field(5, "")]]);
        let request = json!({"method": field(1, "POST"), "endpoint": field(0, "/"), "headers": headers,
            "query": query, "body_text": field(7, "")});
        json!({"account_id": "acc_1", "request": request}).to_string()
    };
    match AutomationRequest::parse(&body, &origin()) {
        Err(_) => Ok(()),
        Ok(request) => may_be_sent(&request.call),
    }
}

/// A query or a form: what is no credential stays as it is and in order, and nothing else does.
pub fn credentials(input: &[u8]) -> Result<(), String> {
    let (rest, dropped) = expected_rest(input);
    let cleaned = clean(input);
    if cleaned.rest.as_deref() != rest.as_deref() || cleaned.dropped != dropped {
        let shown = cleaned.rest.map(|rest| String::from_utf8_lossy(&rest).into_owned());
        return Err(format!("{:?} gave {shown:?}, without {:?}", String::from_utf8_lossy(input), cleaned.dropped));
    }
    let again = clean(rest.as_deref().unwrap_or_default());
    if again.rest.as_deref() != Some(rest.as_deref().unwrap_or_default()) || !again.dropped.is_empty() {
        return Err(format!("{:?} was not clean after one time", String::from_utf8_lossy(input)));
    }
    Ok(())
}

/// Checks that a call may be sent: its target, its headers, and its body if that is a form.
pub fn may_be_sent(call: &Call) -> Result<(), String> {
    is_safe(call.target())?;
    let mut names: Vec<&str> = call.headers().iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    let total = names.len();
    names.dedup();
    if names.len() != total || names.iter().any(|name| !ALLOWED_HEADERS.contains(name)) {
        return Err(format!("headers {names:?} of {total}"));
    }
    for (name, value) in call.headers() {
        if !value.bytes().all(|b| (b' '..=b'~').contains(&b)) {
            return Err(format!("header {name}: {value:?}"));
        }
        let form = value.to_ascii_lowercase().contains("application/x-www-form-urlencoded");
        if *name == "content-type" && form {
            none_in(call.body().unwrap_or_default())?;
        }
    }
    Ok(())
}

/// Checks that the token may be sent to a target.
pub fn is_safe(target: &Target) -> Result<(), String> {
    let sent = target.url().as_str();
    let wrong = |what: &str| Err(format!("{what}: {} {sent}", target.method()));
    if !["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&target.method().as_str()) {
        return wrong("method");
    }
    let Some(rest) = sent.strip_prefix(ORIGIN) else { return wrong("origin") };
    if !rest.starts_with('/') || !sent.bytes().all(|b| b.is_ascii_graphic() && !b"\\#\"<>^`{|}".contains(&b)) {
        return wrong("characters");
    }
    if rest.bytes().enumerate().any(|(at, b)| b == b'%' && hexadecimal(rest.as_bytes(), at + 1).is_none()) {
        return wrong("percent-encoding");
    }
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let again = Url::parse(sent).map_err(|error| format!("{error}: {sent}"))?;
    let nobody = again.username().is_empty() && again.password().is_none() && again.fragment().is_none();
    if again.as_str() != sent || again.host_str() != Some("api.hubapi.com") || again.port().is_some() || !nobody {
        return wrong("another reading");
    }
    if again.path() != path || path.contains(';') || path.contains("//") {
        return wrong("path");
    }
    let mut reading = path.as_bytes().to_vec();
    loop {
        if !is_harmless(&String::from_utf8_lossy(&reading)) {
            return wrong("path");
        }
        let next = decoded_once(&reading);
        if next == reading {
            return none_in(query.as_bytes());
        }
        reading = next;
    }
}

/// An accepted call is accepted again, unchanged.
fn is_stable(target: &Target) -> Result<(), String> {
    let sent = target.url().as_str();
    match Target::parse(&origin(), target.method().as_str(), sent, &[]) {
        Ok(again) if again.url().as_str() == sent && again.ignored().is_empty() => Ok(()),
        other => Err(format!("{sent} gave {:?}", other.map(|again| again.url().to_string()))),
    }
}

/// One reading of a path: no dot segments, no OAuth, nothing that ends a line or is a separator elsewhere.
fn is_harmless(path: &str) -> bool {
    let path: String = path.chars().flat_map(plain).collect();
    let mut names = path.split('/').map(|segment| segment.split([';', '?', '#']).next().unwrap_or_default().trim());
    let first = names.clone().find(|name| !name.is_empty());
    let odd = names.any(|name| [".", "..", "external-install"].contains(&name));
    !odd && first != Some("oauth") && !path.contains(|c: char| c == '\\' || c.is_control())
}

/// Finds no credential in a query or a form.
fn none_in(text: &[u8]) -> Result<(), String> {
    match expected_rest(text).1.as_slice() {
        [] => Ok(()),
        found => Err(format!("{found:?} in {:?}", String::from_utf8_lossy(text))),
    }
}

/// The expected rest of a query or a form, and the credentials that have to be dropped from it.
fn expected_rest(text: &[u8]) -> (Option<Vec<u8>>, Vec<&'static str>) {
    let (mut rest, mut dropped): (Option<Vec<u8>>, _) = (None, Vec::new());
    // Every part with the separator in front of it; the first has none.
    let starts = std::iter::once(0).chain((0..text.len()).filter(|at| b"&;".contains(&text[*at])));
    let ends = (0..text.len()).filter(|at| b"&;".contains(&text[*at])).chain([text.len()]);
    for (number, (start, end)) in starts.zip(ends).enumerate() {
        let part = &text[start + usize::from(number > 0)..end];
        match credential(part.split(|b| *b == b'=').next().unwrap_or_default()) {
            Some(name) => dropped.push(name),
            None => match &mut rest {
                None => rest = Some(part.to_vec()),
                Some(rest) => rest.extend_from_slice(&text[start..end]),
            },
        }
    }
    (rest, dropped)
}

/// The credential that a key means to a server that decodes, trims and folds as much as any does.
pub fn credential(key: &[u8]) -> Option<&'static str> {
    let mut key = key.to_vec();
    loop {
        let next = decoded_once(&key);
        if next == key {
            break;
        }
        key = next;
    }
    let key: String = String::from_utf8_lossy(&key).chars().flat_map(plain).filter(|c| !is_overlooked(*c)).collect();
    let without: String = key.chars().filter(|c| !"[]".contains(*c)).collect();
    let before = key.split('[').next().unwrap_or_default();
    NAMES.into_iter().find(|name| *name == without || *name == before)
}

/// A character in lower case and ordinary width, and the few others that mean an ASCII letter without regard to case.
fn plain(c: char) -> impl Iterator<Item = char> {
    let c = if ('\u{ff01}'..='\u{ff5e}').contains(&c) { char::from_u32(c as u32 - 0xfee0).unwrap() } else { c };
    let (first, second) = match c {
        'ſ' => ('s', None),
        'ß' => ('s', Some('s')),
        'ı' | 'İ' => ('i', None),
        '\u{212a}' => ('k', None),
        'ﬆ' | 'ﬅ' => ('s', Some('t')),
        other => (other.to_ascii_lowercase(), None),
    };
    std::iter::once(first).chain(second)
}

/// Characters that servers trim or overlook in a key: blanks, controls, marks without width, quotes and broken UTF-8.
fn is_overlooked(c: char) -> bool {
    let unseen = ['\u{ad}', '\u{200b}', '\u{200c}', '\u{200d}', '\u{200e}', '\u{200f}', '\u{2060}', '\u{feff}'];
    c.is_whitespace() || c.is_control() || "+\"\u{307}\u{fffd}".contains(c) || unseen.contains(&c)
}

fn decoded_once(text: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (Vec::with_capacity(text.len()), 0);
    while at < text.len() {
        let byte = hexadecimal(text, at + 1).filter(|_| text[at] == b'%');
        out.push(byte.unwrap_or(text[at]));
        at += if byte.is_some() { 3 } else { 1 };
    }
    out
}

/// The value of the two hexadecimal digits at this place.
fn hexadecimal(text: &[u8], at: usize) -> Option<u8> {
    let digits = text.get(at..at + 2).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Texts between bytes 0xFF, which no UTF-8 contains.
fn fields(input: &[u8]) -> impl Iterator<Item = String> {
    input.split(|b| *b == 0xff).map(|field| String::from_utf8_lossy(field).into_owned())
}
