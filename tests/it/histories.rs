//! Searches for histories in which an integration is lost, an older one executes, or tokens go astray.
//!
//! A history is a handful of steps of one account, by three processes whose clocks differ, each step interrupted at
//! some call: refused, its answer lost, repeated, delivered late, the process frozen or killed. Time is virtual. What
//! goes wrong is told as a story, cut down to the steps that matter, and replayed by its seed:
//! `make histories SEED=…`.

mod fleet;
mod play;
mod story;
mod truth;

use std::collections::HashSet;

use local::hubspot::Rotation;
use local::interrupt::Interruption;
use local::wire::At;
use tokio::task::LocalSet;

use self::fleet::Fleet;
use self::play::{Played, play};
use self::story::{Act, Fate, Story, interruptions};

/// A number from the environment; what a longer search or a replay differs by.
pub(crate) fn setting(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "the size of a search is the caller's")]
    std::env::var(name).ok()?.parse().ok()
}

/// Plays a history; one that fails is played again without one step at a time, as long as it still fails.
async fn shrunk(fleet: &std::rc::Rc<Fleet>, story: Story, played: Played, next: &mut u64) -> (Story, Played) {
    let (mut best, mut told) = (story, played);
    let mut at = best.steps.len();
    while at > 1 {
        at -= 1;
        let mut shorter = best.clone();
        shorter.steps.remove(at);
        *next += 1;
        let played = play(fleet, &shorter, fleet.customer(*next)).await;
        if !played.wrong.is_empty() {
            (best, told) = (shorter, played);
        }
    }
    (best, told)
}

fn tell(story: &Story, played: &Played) -> String {
    let (lines, wrong) = (played.lines.join("\n"), played.wrong.join("\n  "));
    format!("\nhistory {} ({:?}):\n{lines}\nwrong:\n  {wrong}\n", story.seed, story.rotation)
}

/// A fleet serves this many histories; then a fresh one, whose tables are empty, is as fast as the first.
const OF_ONE_FLEET: u64 = 10;

async fn search(stories: impl ExactSizeIterator<Item = Story>) {
    let (mut number, mut failures, mut interleavings) = (0, Vec::new(), HashSet::new());
    let mut fleet = Fleet::start().await;
    let total = stories.len();
    for (at, story) in stories.enumerate() {
        number += 1;
        if number % OF_ONE_FLEET == 0 {
            fleet = Fleet::start().await;
        }
        let played = play(&fleet, &story, fleet.customer(number)).await;
        interleavings.insert(played.calls.join(" "));
        if !played.wrong.is_empty() {
            let (story, played) = shrunk(&fleet, story, played, &mut number).await;
            failures.push(tell(&story, &played));
            if failures.len() >= 5 {
                break;
            }
        }
        if at % 100 == 99 {
            println!("history {} of {total}: {} distinct, {} failures", at + 1, interleavings.len(), failures.len());
        }
    }
    println!("{number} histories, {} distinct interleavings, {} failures", interleavings.len(), failures.len());
    assert!(failures.is_empty(), "{}", failures.concat());
}

#[tokio::test]
async fn no_random_history_loses_an_integration_or_lets_an_older_one_execute() {
    let seeds: Vec<u64> = match setting("SEED") {
        Some(seed) => vec![seed],
        None => (0..setting("HISTORIES").unwrap_or(20)).collect(),
    };
    LocalSet::new().run_until(search(seeds.into_iter().map(Story::of))).await;
}

#[tokio::test]
async fn no_process_that_dies_at_any_call_loses_an_integration() {
    let died = |nth| vec![Fate::Killed(nth, At::Before), Fate::Killed(nth, At::After)];
    let mut stories = interruptions(died);
    if setting("HISTORIES").is_none() {
        // Where a refresh token is good once only, whatever is lost shows.
        stories.retain(|story| story.rotation == Rotation::Strict);
    }
    LocalSet::new().run_until(search(stories.into_iter())).await;
}

#[tokio::test]
async fn no_call_that_is_refused_lost_repeated_or_late_loses_an_integration() {
    let went_wrong = |nth| {
        let all = [Interruption::Refused(1), Interruption::Refused(3), Interruption::AnswerLost, Interruption::Twice];
        let later = [Fate::Frozen(nth, At::Before, 2), Fate::Frozen(nth, At::After, 2), Fate::Delayed(nth, 2)];
        all.into_iter().map(|what| Fate::Interrupted(nth, what)).chain(later).collect()
    };
    let mut stories = interruptions(went_wrong);
    if setting("HISTORIES").is_none() {
        stories.retain(|story| story.rotation == Rotation::Strict && story.steps[2].act == Act::Execute);
    }
    LocalSet::new().run_until(search(stories.into_iter())).await;
}
