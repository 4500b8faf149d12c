//! How a command ends: its exit code, and for a failure what to do about it.

use shared::error::Error;

/// The end of a command that did its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Success,
    /// Something in the data needs attention; the output names it.
    Findings,
}

/// Why a command did not do its work. The text says what to do, and never holds a value that may be secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Arguments, settings or a file are invalid: nothing was started.
    #[error("{0}")]
    Usage(String),
    /// AWS or HubSpot is unreachable or refuses.
    #[error("{0}")]
    Unreachable(String),
    /// The output cannot be written.
    #[error("the output cannot be written")]
    Output,
    /// The reader of the output has closed it, as `| head` does. The text, if any, says how to continue.
    #[error("{0}")]
    OutputClosed(String),
}

impl Exit {
    /// The end of a command that made this many findings.
    pub(crate) fn with_findings(count: usize) -> Self {
        if count == 0 { Self::Success } else { Self::Findings }
    }

    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Findings => 1,
        }
    }
}

impl Failure {
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Unreachable(_) | Self::Output => 3,
            // A shell's code for a process that SIGPIPE ended.
            Self::OutputClosed(_) => 141,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Unreachable(format!("{}. {}", cause(&error), advice(&error)))
    }
}

/// The text of an error without the frame that callers of the API read.
pub(crate) fn cause(error: &Error) -> String {
    if let Error::TemporarilyUnavailable { cause, .. } = error { cause.clone() } else { error.to_string() }
}

/// The operator's remedy for an AWS failure, by its code.
pub(crate) fn advice(error: &Error) -> &'static str {
    let cause = cause(error);
    let names = |codes: &[&str]| codes.iter().any(|code| cause.contains(code));
    if names(&["ExpiredToken", "UnrecognizedClient", "InvalidClientTokenId", "InvalidSignature", "IncompleteSignature"])
    {
        "The AWS credentials have expired or are not valid: sign in again, or choose others with --profile"
    } else if names(&["AccessDenied", "NotAuthorized"]) {
        "The AWS credentials do not permit this: use a role that does (`hubspotctl doctor` names the permissions)"
    } else if names(&["ResourceNotFound"]) {
        "There is no such table or secret in this AWS account and region: check --profile, --region and --stack"
    } else if names(&["no connection", "no answer in time"]) {
        "AWS cannot be reached: check the network, --region and AWS_ENDPOINT_URL, then run the command again"
    } else {
        "Check credentials, region and network, then run the command again"
    }
}
