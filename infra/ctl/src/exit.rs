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
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Unreachable(format!("{error}. Check credentials, region and network, then run the command again"))
    }
}
