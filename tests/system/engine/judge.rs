//! Rules of every answer and problem of the engine's route.

use serde_json::Value;

use crate::world::Answer;

/// The end of one delivery, as the engine reads it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct EngineReply {
    pub(crate) outcome: String,
    pub(crate) retryable: bool,
    pub(crate) retry_after: Option<u64>,
    /// HubSpot's status, of an answer.
    pub(crate) hubspot: Option<u64>,
    /// The code, of a problem.
    pub(crate) code: Option<String>,
}

/// Reads an answer, which has to be consistent in itself.
pub(crate) fn read_reply(answer: &Answer) -> EngineReply {
    let (body, text) = (&answer.body, &answer.text);
    let problem = body["code"].is_string();
    assert_eq!(problem, answer.status != 200, "{text}");
    let kind = if problem { "application/problem+json" } else { "application/json" };
    assert_eq!(answer.headers["content-type"], kind, "{text}");
    assert!(body["execution_id"].as_str().is_some_and(|id| id.len() == 36), "{text}");
    let reply = EngineReply {
        outcome: body["outcome"].as_str().unwrap_or_else(|| panic!("no outcome: {text}")).to_owned(),
        retryable: body["retryable"].as_bool().unwrap_or_else(|| panic!("no retryable: {text}")),
        retry_after: body["retry_after_seconds"].as_u64(),
        hubspot: body["hubspot"]["status"].as_u64(),
        code: body["code"].as_str().map(str::to_owned),
    };
    let header = answer.headers.get("retry-after").map(|seconds| seconds.parse::<u64>().unwrap());
    assert_eq!(reply.retry_after, header, "the header and the body say the same: {text}");
    assert!(reply.retryable || header.is_none(), "an answer that is not retryable has no retry_after: {text}");
    assert_eq!(reply.hubspot.is_none(), problem, "{text}");
    if problem {
        detail(body, &reply);
    }
    reply
}

fn detail(body: &Value, reply: &EngineReply) {
    let code = reply.code.as_deref().unwrap();
    assert_eq!(body["type"], format!("urn:hubspot-automations:{code}"));
    assert!(reply.outcome != "answered", "HubSpot's answers are no problems: {body}");
    let detail = body["detail"].as_str().unwrap();
    assert!(detail.len() > 10, "{body}");
    let unsent = detail.contains("Nothing was sent") || detail.contains("The request has not reached");
    assert!(!unsent || reply.outcome == "not_sent", "{body}");
    let sent = detail.contains("may have reached") || detail.contains("may have acted");
    assert!(!sent || reply.outcome == "unknown", "{body}");
    if let Some(seconds) = reply.retry_after {
        assert!(detail.contains(&format!("in {seconds} s")), "{body}");
    }
}
