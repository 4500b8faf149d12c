//! Why the guard refuses a request.

/// Why a request is refused. Each text names the part and what would be accepted, never a value that may be secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request is malformed or ambiguous.
    #[error("invalid request: {0}")]
    InvalidRequest(String),
    /// No automation may call this target.
    #[error("endpoint not allowed: {0}")]
    EndpointNotAllowed(String),
    /// The request is larger than accepted; the text says the limit.
    #[error("request too large: {0}")]
    RequestTooLarge(String),
}
