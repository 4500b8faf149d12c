//! Payload format 2.0: a request as an event, and a function's answer as HTTP.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use shared::clock::Clock;

use crate::template::ACCOUNT;

/// The event of a request on a route; `authorizer` is the caller's part of it.
pub(super) fn event(
    route_key: &str,
    parts: &Parts,
    body: &[u8],
    path_parameters: &BTreeMap<String, String>,
    authorizer: Option<Value>,
) -> Value {
    let headers = joined(&parts.headers);
    let host = headers.get("host").map(|host| host.split(':').next().unwrap_or(host)).unwrap_or_default();
    let now = Timestamp::from_millisecond(Clock::default().now_millis()).expect("a clock of today");
    // API Gateway decodes the path of an HTTP API, for `rawPath` and the parameters alike.
    let (path, query) = (decoded(parts.uri.path()), parts.uri.query().unwrap_or_default());
    let mut event = json!({
        "version": "2.0",
        "routeKey": route_key,
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": "local",
            "domainName": host,
            "domainPrefix": host.split('.').next(),
            "http": {
                "method": parts.method.as_str(),
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": headers.get("user-agent").map(String::as_str).unwrap_or_default(),
            },
            "requestId": uuid::Uuid::now_v7().to_string(),
            "routeKey": route_key,
            "stage": "$default",
            "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
            "timeEpoch": now.as_millisecond(),
        },
        "isBase64Encoded": false,
    });
    let cookies = cookies(&parts.headers);
    if !cookies.is_empty() {
        event["cookies"] = json!(cookies);
    }
    if !query.is_empty() {
        event["queryStringParameters"] = json!(query_parameters(query));
    }
    if !path_parameters.is_empty() {
        event["pathParameters"] = json!(path_parameters);
    }
    if let Some(authorizer) = authorizer {
        event["requestContext"]["authorizer"] = authorizer;
    }
    if !body.is_empty() {
        let content_type = headers.get("content-type").map(String::as_str);
        let text = std::str::from_utf8(body).ok().filter(|_| is_text(content_type));
        event["body"] = text.map_or_else(|| json!(STANDARD.encode(body)), |text| json!(text));
        event["isBase64Encoded"] = json!(text.is_none());
    }
    event
}

/// Names in lower case, values of one name joined; cookies are in `cookies` only.
fn joined(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in headers.iter().filter(|(name, _)| *name != "cookie") {
        let value = String::from_utf8_lossy(value.as_bytes());
        all.entry(name.as_str().to_owned())
            .and_modify(|all| {
                all.push(',');
                all.push_str(&value);
            })
            .or_insert_with(|| value.to_string());
    }
    all.insert("x-forwarded-for".to_owned(), "127.0.0.1".to_owned());
    all.insert("x-forwarded-proto".to_owned(), "https".to_owned());
    all.insert("x-forwarded-port".to_owned(), "443".to_owned());
    all
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let lines = headers.get_all("cookie").iter().map(|line| String::from_utf8_lossy(line.as_bytes()).into_owned());
    let pairs: Vec<String> =
        lines.flat_map(|line| line.split(';').map(|pair| pair.trim().to_owned()).collect::<Vec<_>>()).collect();
    pairs.into_iter().filter(|pair| !pair.is_empty()).collect()
}

fn query_parameters(query: &str) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        all.entry(name.into_owned()).and_modify(|all| *all = format!("{all},{value}")).or_insert(value.into_owned());
    }
    all
}

pub(super) fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Bodies of these types come as they are, all others in base64 (forms too).
fn is_text(content_type: Option<&str>) -> bool {
    let Some(content_type) = content_type else { return true };
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.starts_with("text/")
        || ["application/json", "application/javascript", "application/xml"].contains(&essence.as_str())
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
}

/// The function's answer as HTTP; none where API Gateway would call it malformed.
pub(super) fn http(answer: &Value) -> Option<Response<Body>> {
    // Without a status code the whole answer is the body.
    let Some(status) = answer.get("statusCode") else {
        return plain(StatusCode::OK, answer.to_string().into_bytes(), "application/json");
    };
    let status = StatusCode::from_u16(u16::try_from(status.as_u64()?).ok()?).ok()?;
    let body = match answer.get("body") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(text)) if answer["isBase64Encoded"] == true => STANDARD.decode(text).ok()?,
        Some(Value::String(text)) => text.clone().into_bytes(),
        Some(_) => return None,
    };
    let mut response = plain(status, body, "text/plain; charset=utf-8")?;
    let none = Map::new();
    for (name, value) in optional(answer, "headers", Value::as_object)?.unwrap_or(&none) {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) => value.to_string(),
            Value::Null | Value::Array(_) | Value::Object(_) => return None,
        };
        response.headers_mut().insert(HeaderName::try_from(name).ok()?, HeaderValue::from_str(&value).ok()?);
    }
    for cookie in optional(answer, "cookies", Value::as_array)?.into_iter().flatten() {
        response.headers_mut().append("set-cookie", HeaderValue::from_str(cookie.as_str()?).ok()?);
    }
    Some(response)
}

/// A member that may be absent, but if there must be of a type: the outer `None` says that it is not.
fn optional<'a, T>(answer: &'a Value, name: &str, read: fn(&'a Value) -> Option<T>) -> Option<Option<T>> {
    match answer.get(name) {
        None | Some(Value::Null) => Some(None),
        Some(value) => read(value).map(Some),
    }
}

fn plain(status: StatusCode, body: Vec<u8>, content_type: &str) -> Option<Response<Body>> {
    let mut response = Response::builder().status(status);
    if !body.is_empty() {
        response = response.header("content-type", content_type);
    }
    response.body(Body::from(body)).ok()
}
