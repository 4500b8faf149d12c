//! The histories that are tried: random ones, and every one of a kind.

use devstack::hubspot::Rotation;
use devstack::interrupt::Interruption;
use devstack::wire::At;
use fastrand::Rng;

use super::story::{Act, Habits, StepEnd, Story, StoryStep, TokenRefusal};

/// How long a replaced refresh token is still accepted where HubSpot grants grace: longer than it takes until the
/// schedule has looked after a process that died.
const GRACE_MILLIS: i64 = 600_000;

/// How HubSpot may treat refresh tokens.
pub(crate) const ROTATIONS: [Rotation; 3] = [Rotation::Keep, Rotation::Grace(GRACE_MILLIS), Rotation::Strict];

/// Histories that are interrupted at each of their calls, and seconds after the connect: an execution whose token has
/// just expired, a look of the schedule that is due, and what an admin does at any time.
pub(crate) const ACTS: [(Act, u64); 6] = [
    (Act::Execute, 1_795),
    (Act::Schedule, 1_400),
    (Act::Reconnect, 60),
    (Act::NewInstance, 60),
    (Act::DisconnectNewest, 60),
    (Act::Connect, 60),
];

/// When a token has just expired, and its integration is due.
pub(crate) const EXPIRED: u64 = 1_795;

/// The random history of a seed.
pub(crate) fn random(seed: u64) -> Story {
    let mut rng = Rng::with_seed(seed);
    let rotation = ROTATIONS[rng.usize(..3)];
    let habits = Habits {
        // A server that rotates a token which two integrations hold breaks one of them, whatever we do.
        shared: rotation == Rotation::Keep && rng.bool(),
        secrets_lag: [0, 0, 400, 3_000][rng.usize(..4)],
        index_lag: [0, 0, 0, 1, 3][rng.usize(..5)],
        rotation,
    };
    let length = rng.usize(3..12);
    let mut steps = vec![StoryStep { process: 0, act: Act::Connect, fate: StepEnd::Ends }];
    if rng.u8(..8) == 0 {
        steps[0].act = Act::Import;
    }
    // In one history of five nothing is disturbed: there nothing at all may be done twice.
    let disturbed = rng.u8(..5) > 0;
    steps.extend((0..length).map(|_| step(&mut rng, disturbed)));
    Story { name: format!("SEED={seed}"), habits, steps }
}

fn step(rng: &mut Rng, disturbed: bool) -> StoryStep {
    let act = match rng.usize(..100) {
        0..4 => Act::Connect,
        4..12 => Act::NewInstance,
        12..21 => Act::Reconnect,
        21..23 => Act::Import,
        23..30 => Act::DisconnectNewest,
        30..33 => Act::DisconnectOlder,
        33..54 => Act::Execute,
        54..58 => Act::ExecuteDuringConnect,
        58..62 => Act::ExecuteOlder,
        62..75 => Act::Schedule,
        75..79 if disturbed => {
            let refusals = [
                TokenRefusal::TooMany(None),
                TokenRefusal::TooMany(Some(120)),
                TokenRefusal::InvalidGrant,
                TokenRefusal::InvalidClient,
            ];
            Act::Says(refusals[rng.usize(..4)])
        }
        _ => Act::Pass([1, 4, 27, 60, 400, 1_500, 1_790, 7_300][rng.usize(..8)]),
    };
    // The act holds other refreshes until the new instance is connected, so it must not be held itself.
    let fate = if matches!(act, Act::Pass(_) | Act::Says(_) | Act::ExecuteDuringConnect) {
        StepEnd::Ends
    } else if disturbed {
        fate(rng)
    } else {
        [StepEnd::Ends, StepEnd::Beside][rng.usize(..2)]
    };
    StoryStep { process: rng.usize(..3), act, fate }
}

fn fate(rng: &mut Rng) -> StepEnd {
    // The calls of the longest act, a reconnect; a refresh on use has eight.
    let nth = rng.usize(1..11);
    let at = if rng.bool() { At::Before } else { At::After };
    match rng.usize(..100) {
        0..40 => StepEnd::Ends,
        40..52 => StepEnd::Beside,
        52..66 => StepEnd::Interrupted(nth, INTERRUPTIONS[rng.usize(..4)]),
        66..80 => StepEnd::Killed(nth, at),
        80..93 => StepEnd::Frozen(nth, at, rng.usize(1..5)),
        _ => StepEnd::Delayed(nth, rng.usize(1..5)),
    }
}

const INTERRUPTIONS: [Interruption; 4] =
    [Interruption::Refused(1), Interruption::Refused(3), Interruption::AnswerLost, Interruption::Twice];

/// An act with one fate, and later an execution by another process.
pub(crate) fn one_act(rotation: Rotation, (act, after): (Act, u64), fate: StepEnd) -> Story {
    let steps = vec![
        // A first connect finds nothing that was there before.
        ends(0, if act == Act::Connect { Act::Pass(1) } else { Act::Connect }),
        ends(0, Act::Pass(after)),
        StoryStep { process: 0, act, fate },
        // A lease has lapsed by now.
        ends(1, Act::Pass(31)),
        ends(1, Act::Execute),
    ];
    Story { name: format!("{act:?} {fate:?}"), habits: Habits::of(rotation), steps }
}

/// The ways in which a process may die at one call.
pub(crate) fn deaths(nth: usize) -> Vec<StepEnd> {
    vec![StepEnd::Killed(nth, At::Before), StepEnd::Killed(nth, At::After)]
}

/// The ways in which one call may go wrong.
pub(crate) fn mishaps(nth: usize) -> Vec<StepEnd> {
    let later = [StepEnd::Frozen(nth, At::Before, 2), StepEnd::Frozen(nth, At::After, 2), StepEnd::Delayed(nth, 2)];
    INTERRUPTIONS.into_iter().map(|what| StepEnd::Interrupted(nth, what)).chain(later).collect()
}

/// An act that is held at one call while another process does something: before its lease has lapsed, or after.
pub(crate) fn pairs(rotation: Rotation, first: Act, nth: usize, seconds: &[(Act, u64)]) -> Vec<Story> {
    let mut stories = Vec::new();
    for at in [At::Before, At::After] {
        for &(second, _) in seconds {
            for pause in [1, 31] {
                let steps = vec![
                    ends(0, Act::Connect),
                    ends(0, Act::Pass(EXPIRED)),
                    StoryStep { process: 0, act: first, fate: StepEnd::Frozen(nth, at, 2) },
                    ends(1, Act::Pass(pause)),
                    ends(1, second),
                    ends(2, Act::Execute),
                ];
                let name = format!("{first:?} frozen {at:?} call {nth}, {second:?} after {pause} s");
                stories.push(Story { name, habits: Habits::of(rotation), steps });
            }
        }
    }
    stories
}

/// A refresh that is held at one call until others have refreshed twice: what it still writes is old by then.
pub(crate) fn late_thaws(rotation: Rotation, nth: usize) -> Vec<Story> {
    let at_each = [At::Before, At::After].map(|at| {
        let steps = vec![
            ends(0, Act::Connect),
            ends(0, Act::Pass(EXPIRED)),
            StoryStep { process: 0, act: Act::Execute, fate: StepEnd::Frozen(nth, at, 4) },
            ends(1, Act::Pass(31)),
            ends(1, Act::Execute),
            ends(1, Act::Pass(EXPIRED)),
            ends(1, Act::Execute),
            ends(2, Act::Execute),
        ];
        let name = format!("Execute frozen {at:?} call {nth} until others have refreshed twice");
        Story { name, habits: Habits::of(rotation), steps }
    });
    at_each.to_vec()
}

/// An execution that is superseded while it waits for a refresh: alone, and beside an act that may refresh first.
pub(crate) fn superseded_waits(rotation: Rotation) -> Vec<Story> {
    let mut stories = Vec::new();
    for beside in [Act::Pass(1), Act::Execute, Act::Schedule] {
        let steps = vec![
            ends(0, Act::Connect),
            ends(0, Act::Pass(EXPIRED)),
            StoryStep { process: 1, act: beside, fate: StepEnd::Beside },
            ends(0, Act::ExecuteDuringConnect),
            ends(2, Act::Execute),
        ];
        let name = format!("{beside:?} beside an execution that is superseded while it waits");
        stories.push(Story { name, habits: Habits::of(rotation), steps });
    }
    stories
}

const fn ends(process: usize, act: Act) -> StoryStep {
    StoryStep { process, act, fate: StepEnd::Ends }
}
