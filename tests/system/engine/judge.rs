//! What every answer and problem of the engine's route has to be, whatever happened.

use serde_json::Value;

use crate::world::Answer;

/// The end of one delivery, as the engine reads it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Word {
    pub(crate) outcome: String,
    pub(crate) retryable: bool,
    pub(crate) retry_after: Option<u64>,
    /// HubSpot's status, of an answer.
    pub(crate) hubspot: Option<u64>,
    /// The code, of a problem.
    pub(crate) code: Option<String>,
}

/// Reads an answer, which has to be consistent in itself.
pub(crate) fn word(answer: &Answer) -> Word {
    let (body, text) = (&answer.body, &answer.text);
    let problem = body["code"].is_string();
    assert_eq!(problem, answer.status != 200, "{text}");
    let kind = if problem { "application/problem+json" } else { "application/json" };
    assert_eq!(answer.headers["content-type"], kind, "{text}");
    assert!(body["execution_id"].as_str().is_some_and(|id| id.len() == 36), "{text}");
    let word = Word {
        outcome: body["outcome"].as_str().unwrap_or_else(|| panic!("no outcome: {text}")).to_owned(),
        retryable: body["retryable"].as_bool().unwrap_or_else(|| panic!("no retryable: {text}")),
        retry_after: body["retry_after_seconds"].as_u64(),
        hubspot: body["hubspot"]["status"].as_u64(),
        code: body["code"].as_str().map(str::to_owned),
    };
    let header = answer.headers.get("retry-after").map(|seconds| seconds.parse::<u64>().unwrap());
    assert_eq!(word.retry_after, header, "the header and the body say the same: {text}");
    assert!(word.retryable || header.is_none(), "who may not retry is not told when: {text}");
    assert_eq!(word.hubspot.is_none(), problem, "{text}");
    if problem {
        detail(body, &word);
    }
    word
}

fn detail(body: &Value, word: &Word) {
    let code = word.code.as_deref().unwrap();
    assert_eq!(body["type"], format!("urn:hubspot-automations:{code}"));
    assert!(word.outcome != "answered", "HubSpot's answers are no problems: {body}");
    let detail = body["detail"].as_str().unwrap();
    assert!(detail.len() > 10, "{body}");
    let unsent = detail.contains("Nothing was sent") || detail.contains("The request has not reached");
    assert!(!unsent || word.outcome == "not_sent", "{body}");
    let sent = detail.contains("may have reached") || detail.contains("may have acted");
    assert!(!sent || word.outcome == "unknown", "{body}");
    if let Some(seconds) = word.retry_after {
        assert!(detail.contains(&format!("in {seconds} s")), "{body}");
    }
}
