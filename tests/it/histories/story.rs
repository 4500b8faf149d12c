//! What may happen to one account: the steps of a history, and what becomes of each.

use std::fmt;

use fastrand::Rng;
use local::hubspot::Rotation;
use local::interrupt::Interruption;
use local::wire::At;

/// One history: replayed by its seed, or cut down to the steps that matter.
#[derive(Clone, Debug)]
pub(crate) struct Story {
    pub(crate) seed: u64,
    pub(crate) rotation: Rotation,
    pub(crate) steps: Vec<Step>,
}

/// One step: a process does something, or time passes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) process: usize,
    pub(crate) act: Act,
    pub(crate) fate: Fate,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Connect,
    NewInstance,
    Reconnect,
    DisconnectNewest,
    DisconnectOlder,
    Execute,
    ExecuteOlder,
    Schedule,
    Pass(u64),
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It ends before anything else happens.
    Ends,
    /// It goes on while the next step happens.
    Beside,
    /// Something happens to its n-th call.
    Interrupted(usize, Interruption),
    /// Its process is killed at its n-th call.
    Killed(usize, At),
    /// Its process stands still at its n-th call while the next steps happen.
    Frozen(usize, At, usize),
    /// Its n-th call arrives only after the next steps; its caller has lost the connection long before.
    Delayed(usize, usize),
}

impl Story {
    /// The history of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let rotation = [Rotation::Keep, Rotation::Grace(GRACE_MILLIS), Rotation::Strict][rng.usize(..3)];
        let length = rng.usize(3..12);
        let mut steps = vec![Step { process: 0, act: Act::Connect, fate: Fate::Ends }];
        steps.extend((0..length).map(|_| step(&mut rng)));
        Self { seed, rotation, steps }
    }
}

/// One act whose process dies at one call, or whose call goes wrong, for every act, call, fate and habit of HubSpot.
pub(crate) fn interruptions(fates: fn(usize) -> Vec<Fate>) -> Vec<Story> {
    // An act, and how long after the connect it comes: an execution whose token has just expired, a look of the
    // schedule that is due, and what an admin does at any time.
    let acts = [
        (Act::Execute, 1_795),
        (Act::Schedule, 1_400),
        (Act::Reconnect, 60),
        (Act::NewInstance, 60),
        (Act::DisconnectNewest, 60),
    ];
    let mut stories = Vec::new();
    for rotation in [Rotation::Keep, Rotation::Grace(GRACE_MILLIS), Rotation::Strict] {
        for (act, after) in acts {
            for fate in (1..=MOST_CALLS).flat_map(fates) {
                let step = |process, act, fate| Step { process, act, fate };
                let steps = vec![
                    step(0, Act::Connect, Fate::Ends),
                    step(0, Act::Pass(after), Fate::Ends),
                    step(0, act, fate),
                    // A lease has lapsed by now.
                    step(1, Act::Pass(31), Fate::Ends),
                    step(1, Act::Execute, Fate::Ends),
                ];
                stories.push(Story { seed: 0, rotation, steps });
            }
        }
    }
    stories
}

/// No act makes more calls.
const MOST_CALLS: usize = 12;

/// How long a replaced refresh token is still accepted where HubSpot grants grace: longer than it takes until the
/// schedule has looked after a process that died.
pub(crate) const GRACE_MILLIS: i64 = 600_000;

fn step(rng: &mut Rng) -> Step {
    let act = match rng.usize(..100) {
        0..4 => Act::Connect,
        4..12 => Act::NewInstance,
        12..22 => Act::Reconnect,
        22..29 => Act::DisconnectNewest,
        29..32 => Act::DisconnectOlder,
        32..58 => Act::Execute,
        58..62 => Act::ExecuteOlder,
        62..76 => Act::Schedule,
        _ => Act::Pass([1, 4, 27, 60, 400, 1_500, 1_790, 7_300][rng.usize(..8)]),
    };
    let fate = if let Act::Pass(_) = act { Fate::Ends } else { fate(rng) };
    Step { process: rng.usize(..3), act, fate }
}

fn fate(rng: &mut Rng) -> Fate {
    // The calls of the longest act, a reconnect; a refresh on use has eight.
    let nth = rng.usize(1..11);
    let at = if rng.bool() { At::Before } else { At::After };
    match rng.usize(..100) {
        0..40 => Fate::Ends,
        40..52 => Fate::Beside,
        52..66 => {
            let all =
                [Interruption::Refused(1), Interruption::Refused(3), Interruption::AnswerLost, Interruption::Twice];
            Fate::Interrupted(nth, all[rng.usize(..4)])
        }
        66..80 => Fate::Killed(nth, at),
        80..93 => Fate::Frozen(nth, at, rng.usize(1..5)),
        _ => Fate::Delayed(nth, rng.usize(1..5)),
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Act::Pass(seconds) = self.act {
            return write!(f, "{seconds} s pass");
        }
        write!(f, "process {}: {:?}", self.process, self.act)?;
        match self.fate {
            Fate::Ends => Ok(()),
            Fate::Beside => write!(f, ", while the next step happens"),
            Fate::Interrupted(nth, what) => write!(f, ", call {nth} {what:?}"),
            Fate::Killed(nth, at) => write!(f, ", killed {at:?} call {nth}"),
            Fate::Frozen(nth, at, steps) => write!(f, ", frozen {at:?} call {nth} for {steps} steps"),
            Fate::Delayed(nth, steps) => write!(f, ", call {nth} arrives {steps} steps later"),
        }
    }
}
