//! The timeline: log lines, requests to HubSpot, events of the integrations, and pulled levers.

use std::collections::HashMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::levers::{Levers, Pulled};
use crate::hubspot::RecordedRequest;
use crate::lambda::LogLine;
use crate::pipe;
use crate::secrets_manager::SecretValue;
use crate::stack::Stack;

/// How much of a request's bytes an entry carries.
const RAW_SHOWN: usize = 20_000;

/// The events after a cursor, and the cursor for the next request. The empty cursor is the start.
pub(super) async fn news(stack: &Stack, levers: &Levers, after: &str) -> Result<Value, String> {
    let mut seen = after.split('.').map(|number| number.parse().unwrap_or(0)).chain(std::iter::repeat(0));
    let mut skip = || seen.next().unwrap_or(0);
    let (lines, requests, pulled) = (stack.lambda.logs().lines(), stack.hubspot.requests(), levers.pulled());
    let events = stack.dynamo.stream(stack.table("INTEGRATIONS_TABLE")).await?;
    let cursor = format!("{}.{}.{}.{}", lines.len(), requests.len(), pulled.len(), events.len());
    let mut entries: Vec<Value> = lines.iter().skip(skip()).map(line).collect();
    let requests: Vec<_> = requests.iter().skip(skip()).collect();
    let accounts = if requests.is_empty() { HashMap::new() } else { accounts(stack) };
    entries.extend(requests.into_iter().map(|recorded| request(recorded, &accounts)));
    entries.extend(pulled.iter().skip(skip()).map(lever));
    let pipes = &stack.deployment.pipes;
    let records = events.iter().skip(skip());
    entries.extend(records.flat_map(|record| pipes.iter().filter_map(move |pipe| event(pipe, record))));
    entries.sort_by_key(|entry| entry["at"].as_i64());
    Ok(json!({ "cursor": cursor, "entries": entries }))
}

fn line(line: &LogLine) -> Value {
    let fields: Value = serde_json::from_str(&line.text).unwrap_or_default();
    let text = |name: &str| fields[name].as_str().unwrap_or_default().to_owned();
    let kind = match line.function.as_str() {
        _ if fields.get("tokens_refreshed").is_some() && fields.get("executions").is_none() => "refresh",
        "token-refresh" => "refresh",
        _ if fields.get("executions").is_some() => "execution",
        _ => "log",
    };
    let at = text("timestamp").parse::<Timestamp>().unwrap_or_else(|_| Timestamp::now());
    let outcome = ["outcome", "code", "reason", "hubspot_status"].iter().filter_map(|name| match &fields[*name] {
        Value::String(word) => Some(word.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    });
    let message = if fields.is_object() { text("message") } else { line.text.clone() };
    let summary: Vec<String> = std::iter::once(format!("{}: {message}", line.function)).chain(outcome).collect();
    json!({
        "kind": kind,
        "at": at.as_millisecond(),
        "account_id": fields["account_id"],
        "text": summary.join(" · "),
        "failed": matches!(text("level").as_str(), "ERROR" | "WARN"),
        "detail": if fields.is_object() { fields.clone() } else { json!(line.text) },
    })
}

/// The account of every access and refresh token that is stored.
fn accounts(stack: &Stack) -> HashMap<String, String> {
    let secrets = stack.secrets_manager.secrets();
    let tokens = secrets.iter().flat_map(|secret| &secret.versions).flat_map(|version| {
        let (SecretValue::Text(text) | SecretValue::Binary(text)) = &version.value;
        let value: Value = serde_json::from_str(text).unwrap_or_default();
        let account = value["account_id"].as_str().map(str::to_owned);
        ["access_token", "refresh_token"].map(|name| Some((value[name].as_str()?.to_owned(), account.clone()?)))
    });
    tokens.flatten().collect()
}

/// A request to HubSpot, and the account whose token it carries. The exchange of a code carries none.
fn request(request: &RecordedRequest, accounts: &HashMap<String, String>) -> Value {
    let raw = &request.raw[..request.raw.len().min(RAW_SHOWN)];
    let bearer = request.header("authorization").and_then(|value| value.strip_prefix("Bearer ").map(str::to_owned));
    let refresh = || request.form().into_iter().find(|(name, _)| name == "refresh_token").map(|(_, value)| value);
    let account = bearer.or_else(refresh).and_then(|token| accounts.get(&token));
    json!({
        "kind": "hubspot",
        "at": request.at,
        "account_id": account,
        "text": format!("HubSpot received {} {}", request.method, request.path()),
        "detail": String::from_utf8_lossy(raw),
    })
}

fn lever(pulled: &Pulled) -> Value {
    json!({
        "kind": "lever", "at": pulled.at, "account_id": pulled.account, "text": pulled.text,
        "detail": { "lever": pulled.name, "parameters": pulled.parameters },
    })
}

fn event(of: &crate::template::Pipe, record: &Value) -> Option<Value> {
    let event = pipe::event(of, record)?;
    #[expect(clippy::cast_possible_truncation, reason = "seconds since the epoch, in milliseconds")]
    let at = record["dynamodb"]["ApproximateCreationDateTime"].as_f64().map(|at| (at * 1000.0) as i64);
    Some(json!({
        "kind": "event", "at": at, "account_id": event["detail"]["account_id"],
        "text": event["detail-type"], "detail": event,
    }))
}
