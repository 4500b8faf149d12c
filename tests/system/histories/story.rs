//! The history of one account: its steps, and the end of each.

use std::fmt;

use devstack::hubspot::Rotation;
use devstack::interrupt::Interruption;
use devstack::wire::At;

/// One history.
#[derive(Clone, Debug)]
pub(crate) struct Story {
    /// Where it comes from, so that it can be played again.
    pub(crate) name: String,
    pub(crate) habits: Habits,
    pub(crate) steps: Vec<StoryStep>,
}

/// How HubSpot and AWS behave all along.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    pub(crate) rotation: Rotation,
    /// True if all integrations of the portal get the same refresh token.
    pub(crate) shared: bool,
    /// How much later a write to Secrets Manager is seen, in milliseconds.
    pub(crate) secrets_lag: u64,
    /// How many queries the index of due integrations is behind.
    pub(crate) index_lag: usize,
}

impl Habits {
    pub(crate) const fn of(rotation: Rotation) -> Self {
        Self { rotation, shared: false, secrets_lag: 0, index_lag: 0 }
    }
}

/// One step: a process does something, or time passes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoryStep {
    pub(crate) process: usize,
    pub(crate) act: Act,
    pub(crate) fate: StepEnd,
}

/// The action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Connect,
    NewInstance,
    Reconnect,
    /// An older instance comes from another system: with a refresh token, and a negative sequence.
    Import,
    DisconnectNewest,
    DisconnectOlder,
    Execute,
    ExecuteOlder,
    /// An execution, and a new instance that is connected while the execution waits for a refresh.
    ExecuteDuringConnect,
    Schedule,
    /// HubSpot's token endpoint will say this to the next refresh.
    Says(TokenRefusal),
    /// So many seconds.
    Pass(u64),
}

/// An answer of the token endpoint that is not about this authorization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenRefusal {
    /// 429, with or without `Retry-After`.
    TooMany(Option<u8>),
    /// `invalid_grant`, though the grant is good.
    InvalidGrant,
    /// `invalid_client`, though the client is right.
    InvalidClient,
}

/// The end of an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StepEnd {
    /// It ends before anything else happens.
    Ends,
    /// It goes on while the next step happens.
    Beside,
    /// Something happens to its n-th call.
    Interrupted(usize, Interruption),
    /// Its process is killed at its n-th call.
    Killed(usize, At),
    /// Its process is held at its n-th call while the next steps happen: a frozen sandbox, or a peer that takes
    /// longer than the lease lasts.
    Frozen(usize, At, usize),
    /// Its n-th call arrives only after the next steps; its caller has lost the connection long before.
    Delayed(usize, usize),
}

impl Story {
    /// Returns true if nothing goes wrong in it but that several things happen at once.
    pub(crate) fn is_undisturbed(&self) -> bool {
        let fine = |step: &StoryStep| {
            matches!(step.fate, StepEnd::Ends | StepEnd::Beside) && !matches!(step.act, Act::Says(_))
        };
        self.steps.iter().all(fine)
    }

    /// Returns true if HubSpot says in it that a good grant is bad.
    pub(crate) fn may_be_marked(&self) -> bool {
        self.steps.iter().any(|step| step.act == Act::Says(TokenRefusal::InvalidGrant))
    }
}

impl fmt::Display for StoryStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Act::Pass(seconds) = self.act {
            return write!(f, "{seconds} s pass");
        }
        if let Act::Says(refusal) = self.act {
            return write!(f, "HubSpot will answer the next refresh with {refusal:?}");
        }
        write!(f, "process {}: {:?}", self.process, self.act)?;
        match self.fate {
            StepEnd::Ends => Ok(()),
            StepEnd::Beside => write!(f, ", while the next step happens"),
            StepEnd::Interrupted(nth, what) => write!(f, ", call {nth} {what:?}"),
            StepEnd::Killed(nth, at) => write!(f, ", killed {at:?} call {nth}"),
            StepEnd::Frozen(nth, at, steps) => write!(f, ", frozen {at:?} call {nth} for {steps} steps"),
            StepEnd::Delayed(nth, steps) => write!(f, ", call {nth} arrives {steps} steps later"),
        }
    }
}
