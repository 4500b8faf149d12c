//! The problem document of an error, and the id of the request that it is about.

use serde::Serialize;

use super::RequestOutcome;

/// Names a request in its problem document and in the log: executions and checks are executions, all else are requests.
#[derive(Clone, Copy, Debug, Serialize)]
pub enum RequestId<'a> {
    /// Of an execution or a check.
    #[serde(rename = "execution_id")]
    Execution(&'a str),
    /// Of any other request.
    #[serde(rename = "request_id")]
    Request(&'a str),
}

impl<'a> RequestId<'a> {
    /// The id of an execution or a check.
    pub fn execution(self) -> Option<&'a str> {
        if let Self::Execution(id) = self { Some(id) } else { None }
    }

    /// The id of any other request.
    pub fn request(self) -> Option<&'a str> {
        if let Self::Request(id) = self { Some(id) } else { None }
    }
}

/// A problem document (RFC 9457, `application/problem+json`).
#[derive(Debug, Serialize)]
pub struct Problem<'a> {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) title: &'static str,
    pub(super) status: u16,
    pub(super) detail: String,
    pub(super) code: &'static str,
    pub(super) retryable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) retry_after_seconds: Option<u64>,
    #[serde(flatten)]
    pub(super) id: RequestId<'a>,
    /// Only in answers to an automation request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<RequestOutcome>,
}
