//! Everything that can go wrong, named after the next action of its reader, and its one map to HTTP.
//!
//! There is one enum, since a caller cannot act on the layer in which an error arose, only on what it means.
//!
//! Invariant: an [`Error`] is plain text and numbers. Foreign errors enter as the text of their `Display` chain at most
//! (their `Debug` may print response bodies, tokens included), and what is meant for the log never reaches a caller.

mod outcome;
mod problem;

use std::fmt;

use guard::refusal::Refusal;

pub use self::outcome::{LostRequest, RequestOutcome};
pub use self::problem::{Problem, RequestId};

/// One way in which a request of a caller ends without the wanted result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The request is malformed; the text says which part and what would be accepted, never a value that may be secret.
    #[error("invalid request: {0}")]
    InvalidRequest(String),
    /// The event carries no caller that an authorizer has verified.
    #[error("unauthenticated")]
    Unauthenticated,
    /// The caller is known and may not do this.
    #[error("forbidden: {0}")]
    Forbidden(String),
    /// The target is one that no automation may call, whatever its tokens.
    #[error("endpoint not allowed: {0}")]
    EndpointNotAllowed(String),
    /// No such route.
    #[error("not found")]
    NotFound,
    /// The account has no integration of this id.
    #[error("integration not found")]
    IntegrationNotFound,
    /// The account is connected; the text names the newest integration and the choices.
    #[error("already connected: {0}")]
    AlreadyConnected(String),
    /// The account has tokens of as many integrations as it may; the text names those that can be disconnected.
    #[error("too many integrations: {0}")]
    TooManyIntegrations(String),
    /// The account has no integration at all.
    #[error("not connected")]
    NotConnected,
    /// The integration is not the account's newest.
    #[error("integration superseded")]
    IntegrationSuperseded,
    /// HubSpot no longer accepts the integration's authorization; an admin has to connect again.
    #[error("reauthorization required")]
    ReauthorizationRequired,
    /// Another delivery of the same idempotency key is being executed.
    #[error("execution in progress for {retry_after} s at most")]
    ExecutionInProgress {
        /// Seconds until it is worth asking again.
        retry_after: u64,
    },
    /// The idempotency key belongs to another request.
    #[error("idempotency conflict")]
    IdempotencyConflict,
    /// The request is larger than accepted; the text says the limit.
    #[error("request too large: {0}")]
    RequestTooLarge(String),
    /// HubSpot's rate limit of this portal is used up for so many seconds.
    #[error("rate limited for {retry_after} s")]
    RateLimited {
        /// Seconds until a request may be sent again.
        retry_after: u64,
    },
    /// Corrupt state or our own defect; the text is for the log only.
    #[error("internal: {0}")]
    Internal(String),
    /// No connection to HubSpot, or it was lost before an answer.
    #[error("HubSpot unreachable")]
    HubspotUnreachable(LostRequest),
    /// HubSpot did not answer in time.
    #[error("HubSpot timed out")]
    HubspotTimeout(LostRequest),
    /// Nothing is wrong with the request; `cause` (for the log only) says what is missing at the moment.
    #[error("temporarily unavailable: {cause}")]
    TemporarilyUnavailable {
        /// Seconds until it is worth trying again.
        retry_after: u64,
        /// For the log only.
        cause: String,
    },
}

impl Error {
    /// A state that contradicts itself, or a defect; `cause` is for the log.
    pub fn internal(cause: impl fmt::Display) -> Self {
        Self::Internal(cause.to_string())
    }

    /// Something that passes; `cause` is for the log.
    pub fn unavailable(retry_after: u64, cause: impl fmt::Display) -> Self {
        Self::TemporarilyUnavailable { retry_after, cause: cause.to_string() }
    }

    /// The stable code of the contract.
    pub fn code(&self) -> &'static str {
        self.facts().code
    }

    /// The HTTP status that goes with the code.
    pub fn status(&self) -> u16 {
        self.facts().status
    }

    /// The outcome of the customer's request, as far as this error knows it.
    pub fn outcome(&self) -> RequestOutcome {
        self.facts().outcome
    }

    /// Returns true if the same request may be sent again as it is.
    pub fn retryable(&self) -> bool {
        self.facts().retryable
    }

    /// Seconds until it is worth trying again, where known.
    pub fn retry_after(&self) -> Option<u64> {
        self.facts().retry_after
    }

    /// The problem document (RFC 9457) that a caller sees; `outcome` is what is known of the customer's request.
    pub fn problem<'a>(&self, id: RequestId<'a>, outcome: RequestOutcome) -> Problem<'a> {
        let facts = self.facts();
        Problem {
            kind: format!("urn:hubspot-automations:{}", facts.code),
            title: facts.title,
            status: facts.status,
            detail: self.detail(outcome),
            code: facts.code,
            retryable: facts.retryable,
            retry_after_seconds: facts.retry_after,
            id,
            outcome: None,
        }
    }

    /// Logs a failure on our side, with its cause. Refusals and failures of HubSpot are not ours: the line about the
    /// request itself reports them.
    pub fn log(&self, id: RequestId<'_>) {
        let (execution_id, request_id) = (id.execution(), id.request());
        let Facts { status, code, .. } = self.facts();
        if let Self::Internal(cause) = self {
            tracing::error!(execution_id, request_id, code, status, cause, "request failed");
        } else if let Self::TemporarilyUnavailable { cause, .. } = self {
            tracing::warn!(execution_id, request_id, code, status, cause, "request failed");
        }
    }

    /// The contract's row of each error: the only map to HTTP.
    fn facts(&self) -> Facts {
        let fixed = |status, code, title| {
            let (outcome, retryable, retry_after) = (RequestOutcome::NotSent, false, None);
            Facts { status, code, title, outcome, retryable, retry_after }
        };
        let later = |facts: Facts, retry_after: u64| Facts { retryable: true, retry_after: Some(retry_after), ..facts };
        let lost = |facts: Facts, request: LostRequest| {
            let (outcome, retryable) = (request.outcome(), request.is_retryable());
            Facts { outcome, retryable, ..facts }
        };
        match self {
            Self::InvalidRequest(_) => fixed(400, "invalid_request", "Invalid request"),
            Self::Unauthenticated => fixed(401, "unauthenticated", "The caller is not authenticated"),
            Self::Forbidden(_) => fixed(403, "forbidden", "The caller may not do this"),
            Self::EndpointNotAllowed(_) => fixed(403, "endpoint_not_allowed", "Automations may not call this endpoint"),
            Self::NotFound => fixed(404, "not_found", "Not found"),
            Self::IntegrationNotFound => fixed(404, "integration_not_found", "The account has no such integration"),
            Self::AlreadyConnected(_) => fixed(409, "already_connected", "The account is already connected"),
            Self::TooManyIntegrations(_) => {
                fixed(409, "too_many_integrations", "The account has too many integrations")
            }
            Self::NotConnected => fixed(409, "not_connected", "The account is not connected to HubSpot"),
            Self::IntegrationSuperseded => fixed(409, "integration_superseded", "A newer integration has taken over"),
            Self::ReauthorizationRequired => fixed(409, "reauthorization_required", "HubSpot must be authorized again"),
            Self::ExecutionInProgress { retry_after } => Facts {
                // The delivery in progress may have sent it.
                outcome: RequestOutcome::Unknown,
                ..later(fixed(409, "execution_in_progress", "The request is being executed"), *retry_after)
            },
            Self::RequestTooLarge(_) => fixed(413, "request_too_large", "The request is too large"),
            Self::IdempotencyConflict => fixed(422, "idempotency_conflict", "Idempotency key reused"),
            Self::RateLimited { retry_after } => {
                later(fixed(429, "rate_limited", "HubSpot's rate limit is used up"), *retry_after)
            }
            Self::Internal(_) => fixed(500, "internal", "Internal error"),
            Self::HubspotUnreachable(request) => {
                lost(fixed(502, "hubspot_unreachable", "HubSpot did not answer"), *request)
            }
            Self::TemporarilyUnavailable { retry_after, .. } => {
                later(fixed(503, "temporarily_unavailable", "Temporarily unavailable"), *retry_after)
            }
            Self::HubspotTimeout(request) => {
                lost(fixed(504, "hubspot_timeout", "HubSpot did not answer in time"), *request)
            }
        }
    }

    /// The next step for a person; `outcome` is that of the customer's request.
    pub fn detail(&self, outcome: RequestOutcome) -> String {
        let sent = match outcome {
            RequestOutcome::NotSent => "Nothing was sent to HubSpot",
            RequestOutcome::Unknown | RequestOutcome::Answered => "An earlier attempt may have reached HubSpot",
        };
        match self {
            Self::InvalidRequest(detail)
            | Self::Forbidden(detail)
            | Self::EndpointNotAllowed(detail)
            | Self::AlreadyConnected(detail)
            | Self::TooManyIntegrations(detail)
            | Self::RequestTooLarge(detail) => detail.clone(),
            Self::Unauthenticated => "Authenticate as the API description requires.".to_owned(),
            Self::NotFound => "Check the method and the path.".to_owned(),
            Self::IntegrationNotFound => {
                "Check the integration id; GET /v1/integrations lists the account's integrations.".to_owned()
            }
            Self::NotConnected => "An admin of the account has to connect HubSpot first.".to_owned(),
            Self::IntegrationSuperseded => {
                "Only automations of the account's newest HubSpot integration run. Move this automation to the newest \
                 integration, or disconnect the newer one."
                    .to_owned()
            }
            Self::ReauthorizationRequired => {
                "HubSpot no longer accepts this integration's authorization. An admin of the account has to reconnect it."
                    .to_owned()
            }
            Self::ExecutionInProgress { retry_after } => format!(
                "Another delivery of this idempotency key is being executed; send the request again in {retry_after} s \
                 for its answer."
            ),
            Self::IdempotencyConflict => {
                "The idempotency key was used for another request within 24 hours. Use a key of its own for each \
                 execution, and the same one only to deliver the same request again."
                    .to_owned()
            }
            Self::RateLimited { retry_after } => format!("{sent}; send the request again in {retry_after} s."),
            Self::Internal(_) => format!("{sent}. The error has been logged."),
            Self::HubspotUnreachable(_) => self.no_answer(outcome).to_owned(),
            Self::HubspotTimeout(_) => {
                let smaller = "Ask for less at once: a smaller page (`limit`) or fewer properties.";
                format!("{} {smaller}", self.no_answer(outcome))
            }
            Self::TemporarilyUnavailable { retry_after, .. } => {
                format!("{sent}; the same request may be sent again in {retry_after} s.")
            }
        }
    }

    /// The next step for a person after a request that HubSpot did not answer.
    fn no_answer(&self, outcome: RequestOutcome) -> &'static str {
        match (outcome, self.retryable()) {
            (RequestOutcome::NotSent, _) => "The request has not reached HubSpot; send it again later.",
            (RequestOutcome::Unknown | RequestOutcome::Answered, true) => {
                "HubSpot may have acted on the request although no answer arrived; it is safe to retry."
            }
            (RequestOutcome::Unknown | RequestOutcome::Answered, false) => {
                "HubSpot may have acted on the request although no answer arrived. Check HubSpot before retrying."
            }
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::InvalidRequest(detail) => Self::InvalidRequest(detail),
            Refusal::EndpointNotAllowed(detail) => Self::EndpointNotAllowed(detail),
            Refusal::RequestTooLarge(detail) => Self::RequestTooLarge(detail),
        }
    }
}

/// The contract's row of an error.
struct Facts {
    status: u16,
    code: &'static str,
    title: &'static str,
    outcome: RequestOutcome,
    retryable: bool,
    retry_after: Option<u64>,
}

/// The `Display` chain of a foreign error, cause by cause.
///
/// Never `Debug`: an AWS SDK error prints response bodies in it.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
