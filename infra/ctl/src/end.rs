//! How a command ends: its exit code, and for a failure what to do about it.

use shared::error::Error;

/// A command that came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Nothing is wrong.
    Fine,
    /// Something in the data is wrong; the output has said what.
    Findings,
}

/// Why a command did not come to its end. The text says what to do, and never a value that may be secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Arguments, settings or a file are wrong: nothing was begun.
    #[error("{0}")]
    Usage(String),
    /// AWS or HubSpot is out of reach or refuses.
    #[error("{0}")]
    Unreachable(String),
    /// Nobody reads the output any more.
    #[error("the output cannot be written")]
    Output,
}

impl End {
    /// [`Findings`](Self::Findings) if anything was found.
    pub(crate) fn of(findings: bool) -> Self {
        if findings { Self::Findings } else { Self::Fine }
    }

    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Findings => 1,
        }
    }
}

impl Failure {
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self::Usage(text.into())
    }

    /// The failure of something that the command cannot go on without.
    pub(crate) fn of(error: &Error) -> Self {
        Self::Unreachable(format!("{error}. Check credentials, region and network, then start the command again"))
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
        Self::of(&error)
    }
}
