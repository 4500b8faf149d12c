//! The outcomes of a customer's request, as far as they are known.

use serde::{Deserialize, Serialize};

/// The outcome of a customer's request, as far as it can be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestOutcome {
    /// HubSpot answered.
    Answered,
    /// Nothing of it can have reached HubSpot.
    NotSent,
    /// It may have reached HubSpot, and HubSpot may have acted on it.
    Unknown,
}

impl RequestOutcome {
    /// The wire name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::NotSent => "not_sent",
            Self::Unknown => "unknown",
        }
    }
}

/// A customer's request that HubSpot did not answer, named after what its sender may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LostRequest {
    /// Nothing of it can have reached HubSpot: it may be sent again as it is.
    NotSent,
    /// HubSpot may have acted on it, and it may be sent again as it is.
    SafeToRetry,
    /// HubSpot may have acted on it: somebody has to look before it is sent again.
    CheckFirst,
}

impl LostRequest {
    /// The outcome, as far as it is known.
    pub fn outcome(self) -> RequestOutcome {
        match self {
            Self::NotSent => RequestOutcome::NotSent,
            Self::SafeToRetry | Self::CheckFirst => RequestOutcome::Unknown,
        }
    }

    /// Returns true if the same request may be sent again as it is.
    pub(super) fn is_retryable(self) -> bool {
        match self {
            Self::NotSent | Self::SafeToRetry => true,
            Self::CheckFirst => false,
        }
    }
}
