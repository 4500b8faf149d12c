//! Interruption of the n-th call from now on, whichever emulator gets it: for tests that try every call of something.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::wire::{At, Barrier, Gate};

/// The name of a call of HubSpot's token endpoint.
pub const TOKEN_ENDPOINT: &str = "HubSpot's token endpoint";

/// An interruption of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// It is refused by a 5xx before any effect, and so are the next ones of its kind: this many altogether. The SDK
    /// makes up to three attempts.
    Refused(usize),
    /// It takes effect, and its answer is lost. The SDK tries again.
    AnswerLost,
    /// It takes effect twice, and the second answer comes: a repetition that nobody asked for. Of AWS's calls only.
    Twice,
}

/// The interruptions of all emulators of one stack. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Interruptions(Arc<Mutex<CallLog>>);

#[derive(Debug, Default)]
struct CallLog {
    calls: Vec<String>,
    planned: Vec<(usize, PlannedAction)>,
    /// Calls that are still to be refused, by name.
    refused: HashMap<String, usize>,
}

#[derive(Clone, Debug)]
enum PlannedAction {
    Interruption(Interruption),
    Held(Barrier),
    Late(Barrier),
}

/// The emulator's treatment of one call.
#[derive(Debug)]
pub(crate) enum CallAction {
    Nothing,
    Refuse,
    LoseAnswer,
    Twice,
    Hold(Barrier),
    /// The connection closes now; the effect comes when the gate opens.
    Late(Barrier),
}

impl Interruptions {
    /// Lets something happen to the `nth` call from now on; 1 is the next one.
    pub fn plan(&self, nth: usize, what: Interruption) {
        self.add(nth, PlannedAction::Interruption(what));
    }

    /// Holds the `nth` call from now on, and only that one, until the gate is opened.
    #[must_use]
    pub fn hold(&self, nth: usize, at: At) -> Gate {
        let (barrier, gate) = Barrier::new(at);
        self.add(nth, PlannedAction::Held(barrier));
        gate
    }

    /// Closes the connection of the `nth` call from now on; it takes effect when the gate is opened, long after its
    /// caller has given it up, or never if the gate loses it.
    #[must_use]
    pub fn delay(&self, nth: usize) -> Gate {
        let (barrier, gate) = Barrier::new(At::Before);
        self.add(nth, PlannedAction::Late(barrier));
        gate
    }

    /// The calls since the last [`clear`](Self::clear), by the names of their operations.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        self.state().calls.clone()
    }

    /// Forgets the calls, and what has not happened yet.
    pub fn clear(&self) {
        *self.state() = CallLog::default();
    }

    fn add(&self, nth: usize, plan: PlannedAction) {
        let mut state = self.state();
        let at = state.calls.len() + nth.max(1) - 1;
        state.planned.push((at, plan));
    }

    /// Counts a call, and says what happens to it.
    pub(crate) fn next(&self, name: &str) -> CallAction {
        let mut state = self.state();
        let at = state.calls.len();
        state.calls.push(name.to_owned());
        if let Some(left) = state.refused.get_mut(name).filter(|left| **left > 0) {
            *left -= 1;
            return CallAction::Refuse;
        }
        let planned = state.planned.iter().position(|(planned, _)| *planned == at);
        let Some(planned) = planned else { return CallAction::Nothing };
        match state.planned.remove(planned).1 {
            PlannedAction::Interruption(Interruption::Refused(times)) => {
                state.refused.insert(name.to_owned(), times.saturating_sub(1));
                CallAction::Refuse
            }
            PlannedAction::Interruption(Interruption::AnswerLost) => CallAction::LoseAnswer,
            PlannedAction::Interruption(Interruption::Twice) => CallAction::Twice,
            PlannedAction::Held(barrier) => CallAction::Hold(barrier),
            PlannedAction::Late(barrier) => CallAction::Late(barrier),
        }
    }

    fn state(&self) -> MutexGuard<'_, CallLog> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
