//! Every answer that the tests see is validated with `infra/openapi.yaml` at that moment: by [`World`]'s
//! handlers in this process, and by the stack's calls over HTTP.
//!
//! [`World`]: crate::world::World

mod coverage;
mod document;
mod examples;
mod hook;
mod routes;
mod wrong;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use devstack::stack::Exchange;
use serde_json::Value;
use serde_json::value::RawValue;

use document::{Answers, By, Document, Operation};

/// Headers that the front door adds to any answer.
const OF_THE_WAY: [&str; 4] = ["content-length", "content-type", "date", "vary"];

/// Codes of requests that were not looked at to their end, or refused for what they are.
const UNREAD: [&str; 6] =
    ["invalid_request", "request_too_large", "unauthenticated", "forbidden", "endpoint_not_allowed", "not_found"];

/// One request and its answer.
#[derive(Clone, Debug)]
pub(crate) struct ObservedCall<'a> {
    pub(crate) method: &'a str,
    /// As it was sent, percent-encoded.
    pub(crate) path: String,
    pub(crate) request: &'a [u8],
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: &'a [u8],
}

/// Operation, status and code of an answer; instead of a code `gateway` for API Gateway's own, `-` for what has none.
pub(crate) type AnswerKind = (String, u16, String);

/// Code, title, wait and detail of a problem, the numbers and ids of the detail masked.
pub(crate) type ProblemText = (String, String, Option<u64>, String);

thread_local! {
    /// The problems that this test has seen.
    static PROBLEMS: RefCell<BTreeSet<ProblemText>> = const { RefCell::new(BTreeSet::new()) };
    /// The API answers that this thread, and so this test, has seen.
    static KINDS: RefCell<BTreeSet<AnswerKind>> = const { RefCell::new(BTreeSet::new()) };
}

/// All codes of the document.
pub(crate) fn codes() -> BTreeSet<&'static str> {
    let codes = Document::get().root["components"]["schemas"]["Code"]["anyOf"][0]["enum"].as_array();
    codes.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The codes that an automation request may end in.
pub(crate) fn codes_of_an_execution() -> BTreeSet<&'static str> {
    let operation = Document::get().operation("POST", "/v1/automation-requests").unwrap();
    let contents = operation.answers.values().flat_map(|answers| answers.content.values());
    let codes = contents.flat_map(|content| match &content.by {
        By::UsWithCodes(codes) => codes.as_slice(),
        By::Us | By::Gateway => &[],
    });
    codes.map(String::as_str).collect()
}

/// Sees an exchange over HTTP.
pub(crate) fn witness(exchange: &Exchange<'_>) {
    let headers = exchange.answer.headers.iter();
    see(&ObservedCall {
        method: exchange.method,
        path: exchange.path.to_owned(),
        request: exchange.body,
        status: exchange.answer.status,
        headers: headers
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()))
            .collect(),
        body: &exchange.answer.body,
    });
}

/// Validates an answer with the document; panics where they differ.
pub(crate) fn see(seen: &ObservedCall<'_>) {
    match check(seen) {
        Ok(kind) => {
            let problem = serde_json::from_slice(seen.body).ok().and_then(|body| problem_text(&body));
            PROBLEMS.with_borrow_mut(|problems| problems.extend(problem));
            KINDS.with_borrow_mut(|kinds| kinds.insert(kind))
        }
        Err(why) => {
            let (method, path, status) = (seen.method, &seen.path, seen.status);
            let body = String::from_utf8_lossy(seen.body);
            panic!("infra/openapi.yaml and the answer {status} to {method} {path:.80} differ: {why}\n{body:.600}")
        }
    };
}

/// The parts of a problem that people read; none for another answer.
fn problem_text(body: &Value) -> Option<ProblemText> {
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    let mut masked: Vec<String> = text("detail")?.split(' ').map(mask).collect();
    // A list of ids counts as one id.
    masked.dedup();
    Some((text("code")?, text("title")?, body["retry_after_seconds"].as_u64(), masked.join(" ")))
}

/// A word without its numbers; an id as a whole.
fn mask(word: &str) -> String {
    if word.len() >= 36 && word.chars().filter(|c| *c == '-').count() >= 4 {
        return "ID".to_owned();
    }
    let mut masked: Vec<char> = word.chars().map(|c| if c.is_ascii_digit() { '#' } else { c }).collect();
    masked.dedup_by(|a, b| *a == '#' && a == b);
    masked.into_iter().collect()
}

/// The kind of an answer that is as the document says; else where it differs, and from which rule.
fn check(seen: &ObservedCall<'_>) -> Result<AnswerKind, String> {
    let document = Document::get();
    let operation = document.operation(seen.method, &seen.path);
    let (key, answers) = match operation {
        Some(operation) => {
            let answers = operation.answers.get(&seen.status);
            (operation.key.as_str(), answers.ok_or("this status is not among the operation's responses")?)
        }
        None if seen.status == 404 => ("-", &document.no_route),
        None => return Err("there is no such operation, so the status is 404".to_owned()),
    };
    let code = check_content(seen, answers)?;
    check_headers(seen, answers, code == "gateway")?;
    if let Some(operation) = operation.filter(|_| code != "gateway" && !UNREAD.contains(&code.as_str())) {
        check_request(seen, operation)?;
    }
    Ok((key.to_owned(), seen.status, code))
}

/// Content type and body; the code.
fn check_content(seen: &ObservedCall<'_>, answers: &Answers) -> Result<String, String> {
    let Some(kind) = seen.header("content-type") else {
        let fits = answers.content.is_empty() && seen.body.is_empty();
        return if fits { Ok("-".to_owned()) } else { Err("no content type".to_owned()) };
    };
    let content = answers.content.get(kind).ok_or_else(|| format!("content type {kind} is not documented"))?;
    let code = match content.by {
        By::Gateway => "gateway".to_owned(),
        By::Us | By::UsWithCodes(_) => "-".to_owned(),
    };
    // An answer to HEAD has the headers only.
    if seen.method == "HEAD" {
        return Ok(code);
    }
    let text = std::str::from_utf8(seen.body).map_err(|error| error.to_string())?;
    let body = if kind.ends_with("json") { parsed(text)? } else { Value::String(text.to_owned()) };
    valid("the body", &content.schema, &body)?;
    let after = seen.header("retry-after").map(str::to_owned);
    let said = body.get("retry_after_seconds").map(Value::to_string);
    if after != said {
        return Err(format!("the header Retry-After is {after:?}, retry_after_seconds is {said:?}"));
    }
    let named = body.get("code").filter(|_| matches!(content.by, By::UsWithCodes(_)));
    Ok(named.and_then(Value::as_str).map_or(code, str::to_owned))
}

/// Those documented are as they should be, and there are no others.
fn check_headers(seen: &ObservedCall<'_>, answers: &Answers, is_gateways: bool) -> Result<(), String> {
    for (name, value) in &seen.headers {
        if OF_THE_WAY.contains(&name.as_str()) || name.starts_with("access-control-") {
            continue;
        }
        let header = answers.headers.iter().find(|header| header.name == *name);
        let header = header.ok_or_else(|| format!("the header {name} is not documented"))?;
        let number = value.parse::<u64>().ok().filter(|_| header.is_integer);
        valid(name, &header.schema, &number.map_or_else(|| Value::from(value.as_str()), Value::from))?;
    }
    let missing = answers.headers.iter().find(|header| header.required && seen.header(&header.name).is_none());
    match missing {
        Some(header) if !is_gateways => Err(format!("the header {} is missing", header.name)),
        _ if !is_gateways && seen.header("cache-control") != Some("no-store") => {
            Err("our answers must not be cached".to_owned())
        }
        _ => Ok(()),
    }
}

/// A request that was accepted is one by the document too.
fn check_request(seen: &ObservedCall<'_>, operation: &Operation) -> Result<(), String> {
    let Some(schema) = operation.request.as_ref().filter(|_| !seen.request.trim_ascii().is_empty()) else {
        return Ok(());
    };
    let text = std::str::from_utf8(seen.request).map_err(|error| error.to_string())?;
    valid("the request, which was accepted,", schema, &parsed(text)?)
}

fn parsed(text: &str) -> Result<Value, String> {
    let raw = serde_json::from_str(text).map_err(|error| format!("JSON is expected: {error}"))?;
    Ok(readable(raw, 0))
}

/// JSON with null in place of what no `Value` holds, like 1e400: customers and HubSpot may write it, and it comes back
/// byte for byte.
fn readable(raw: &RawValue, depth: u8) -> Value {
    if let Ok(value) = serde_json::from_str(raw.get()) {
        return value;
    }
    let deeper = |raw: &RawValue| if depth < 8 { readable(raw, depth + 1) } else { Value::Null };
    if let Ok(fields) = serde_json::from_str::<BTreeMap<String, &RawValue>>(raw.get()) {
        return fields.into_iter().map(|(name, raw)| (name, deeper(raw))).collect();
    }
    serde_json::from_str::<Vec<&RawValue>>(raw.get()).unwrap_or_default().into_iter().map(deeper).collect()
}

fn valid(what: &str, schema: &jsonschema::Validator, value: &Value) -> Result<(), String> {
    let errors = schema.iter_errors(value).map(|error| {
        // A path of the schema leads from the `allOf` around it.
        let (at, rule) = (error.instance_path().as_str(), error.schema_path().as_str());
        format!("{what} at {at:?}: {:.300} (rule {})", error.to_string(), rule.trim_start_matches("/allOf/0"))
    });
    let errors: Vec<String> = errors.take(5).collect();
    if errors.is_empty() { Ok(()) } else { Err(errors.join("; ")) }
}

impl ObservedCall<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}
