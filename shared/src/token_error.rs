//! Why there are no tokens: the one error of the token endpoint and of the access to tokens.
//!
//! Invariant: `cause` is for the log. It holds codes and statuses, never a value that HubSpot sent.

use crate::error::Error;

/// Why there are no tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenError {
    /// Its consequence.
    pub kind: TokenErrorKind,
    /// Seconds until it is worth trying again, where known.
    pub retry_after: Option<i64>,
    /// The cause, for the log.
    pub cause: String,
}

/// The consequence of missing tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenErrorKind {
    /// HubSpot no longer accepts the authorization.
    Revoked,
    /// It passes.
    Transient,
    /// It passes, but HubSpot may have acted on the request: a single-use refresh token may be spent.
    AnswerLost,
    /// HubSpot refuses our app's credentials, or they are missing. It says nothing about the integration.
    InvalidClient,
    /// HubSpot refuses our request for another reason: our mistake until proven otherwise.
    Misconfigured,
    /// Record and secret are inconsistent.
    Corrupt,
    /// The record is gone.
    Gone,
}

impl TokenError {
    /// Something that passes.
    pub fn transient(cause: impl Into<String>) -> Self {
        Self::of(TokenErrorKind::Transient, cause)
    }

    /// An error of some kind.
    pub fn of(kind: TokenErrorKind, cause: impl Into<String>) -> Self {
        Self { kind, retry_after: None, cause: cause.into() }
    }

    /// The authorization is no longer accepted.
    pub fn revoked() -> Self {
        Self::of(TokenErrorKind::Revoked, "HubSpot no longer accepts the authorization")
    }

    /// The record is gone.
    pub fn gone() -> Self {
        Self::of(TokenErrorKind::Gone, "the integration was disconnected meanwhile")
    }

    /// The same error, worth trying again after some seconds.
    #[must_use]
    pub fn retry_in(self, seconds: i64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// Seconds until it is worth trying again, at least one.
    pub fn wait(&self) -> i64 {
        self.retry_after.unwrap_or(1).max(1)
    }

    /// Returns true if another attempt may succeed without anybody doing anything to the integration.
    pub fn passes(&self) -> bool {
        match self.kind {
            TokenErrorKind::Transient
            | TokenErrorKind::AnswerLost
            | TokenErrorKind::InvalidClient
            | TokenErrorKind::Misconfigured => true,
            TokenErrorKind::Revoked | TokenErrorKind::Corrupt | TokenErrorKind::Gone => false,
        }
    }
}

/// A failure of the store.
impl From<Error> for TokenError {
    fn from(error: Error) -> Self {
        let retry_after = error.retry_after().and_then(|seconds| seconds.try_into().ok()).unwrap_or(2);
        if let Error::Internal(cause) = error {
            return Self::of(TokenErrorKind::Corrupt, cause);
        }
        if let Error::TemporarilyUnavailable { cause, .. } = error {
            return Self::transient(cause).retry_in(retry_after);
        }
        Self::transient(error.to_string()).retry_in(retry_after)
    }
}

impl From<TokenError> for Error {
    fn from(error: TokenError) -> Self {
        match error.kind {
            TokenErrorKind::Revoked => Self::ReauthorizationRequired,
            TokenErrorKind::Corrupt => Self::Internal(error.cause),
            TokenErrorKind::Transient
            | TokenErrorKind::AnswerLost
            | TokenErrorKind::InvalidClient
            | TokenErrorKind::Misconfigured
            | TokenErrorKind::Gone => Self::unavailable(error.wait().unsigned_abs(), error.cause),
        }
    }
}
