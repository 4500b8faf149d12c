//! Searches for histories in which an integration is lost, an older one executes, or tokens go astray.
//!
//! A history is a handful of steps of one account, by three processes whose clocks differ, each step interrupted at
//! some call: refused, its answer lost, repeated, delivered late, the process frozen or killed. Time is virtual. What
//! fails is printed as a story, minimised to the steps that matter, and a random one is replayed by its seed:
//! `make histories SEED=…`.

mod fleet;
mod play;
mod rest;
mod stories;
mod story;
mod superseded;
mod truth;

use std::collections::HashSet;
use std::rc::Rc;
use std::time::{Duration, Instant};

use devstack::hubspot::Rotation;
use tokio::task::LocalSet;

use self::fleet::Fleet;
use self::play::{Played, play};
use self::stories::{ACTS, EXPIRED, ROTATIONS, deaths, late_thaws, mishaps, one_act, pairs, random, superseded_waits};
use self::story::{Act, StepEnd, Story};

/// A number from the environment; what a longer search or a replay differs by.
pub(crate) fn setting(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "the size of a search is the caller's")]
    std::env::var(name).ok()?.parse().ok()
}

/// Returns true if this is the form of the ordinary tests.
fn is_short() -> bool {
    setting("HISTORIES").is_none()
}

/// The habits of HubSpot that the exhaustive searches try: in the short form the one where whatever is lost shows.
fn rotations() -> Vec<Rotation> {
    if is_short() { vec![Rotation::Strict] } else { ROTATIONS.to_vec() }
}

/// A fleet serves this many histories; then a fresh one, whose tables are empty, is as fast as the first.
const OF_ONE_FLEET: u64 = 10;
/// No history takes this long, on however busy a machine.
const LONGEST: Duration = Duration::from_secs(120);
/// So many failures are enough to read.
const ENOUGH: usize = 5;

struct Search {
    fleet: Rc<Fleet>,
    played: u64,
    interleavings: HashSet<String>,
    /// Executions that waited while a new instance was connected.
    waits: usize,
    failures: Vec<String>,
    what: &'static str,
    began: Instant,
    /// True if passing histories are printed, too.
    tells: bool,
}

impl Search {
    async fn new(what: &'static str) -> Self {
        let (interleavings, failures) = (HashSet::new(), Vec::new());
        Self {
            fleet: Fleet::start().await,
            played: 0,
            interleavings,
            waits: 0,
            failures,
            what,
            began: Instant::now(),
            tells: false,
        }
    }

    async fn play(&mut self, story: &Story) -> Played {
        self.played += 1;
        if self.played.is_multiple_of(OF_ONE_FLEET) {
            self.fleet = Fleet::start().await;
        }
        let played = play(&self.fleet, story, self.fleet.customer(self.played));
        let ended = tokio::time::timeout(LONGEST, played).await;
        ended.unwrap_or_else(|_| panic!("the history {} does not end: {:#?}", story.name, story.steps))
    }

    /// How many calls an act makes when nothing happens to it.
    async fn calls_of(&mut self, rotation: Rotation, act: (Act, u64)) -> usize {
        self.play(&one_act(rotation, act, StepEnd::Ends)).await.calls[2].len()
    }

    /// Plays them all; a failing one is minimised and printed.
    async fn try_all(&mut self, stories: Vec<Story>) {
        let total = stories.len();
        for (at, story) in stories.into_iter().enumerate() {
            let played = self.play(&story).await;
            self.waits += played.waits;
            let interleaving = played.calls.concat().join(" ");
            self.interleavings.insert(format!("{:?} {interleaving}", story.habits.rotation));
            if self.tells {
                print_line(&tell(&story, &played));
            }
            if !played.wrong.is_empty() && self.failures.len() < ENOUGH {
                let (story, played) = self.shrunk(story, played).await;
                let told = tell(&story, &played);
                print_line(&told);
                self.failures.push(told);
            }
            if at % 100 == 99 {
                self.report(at + 1, total);
            }
        }
    }

    fn report(&self, done: usize, total: usize) {
        let (what, distinct, failures) = (self.what, self.interleavings.len(), self.failures.len());
        let seconds = self.began.elapsed().as_secs();
        print_line(&format!("{what}: {done} of {total}, {distinct} distinct, {failures} failures, {seconds} s"));
    }

    /// The history without every step that it fails without, too.
    async fn shrunk(&mut self, mut story: Story, mut played: Played) -> (Story, Played) {
        let mut at = story.steps.len();
        while at > 1 {
            at -= 1;
            let mut shorter = story.clone();
            shorter.steps.remove(at);
            let again = self.play(&shorter).await;
            if !again.wrong.is_empty() {
                (story, played) = (shorter, again);
            }
        }
        (story, played)
    }

    fn end(&self) {
        let (what, played, distinct) = (self.what, self.played, self.interleavings.len());
        let (waits, failures, seconds) = (self.waits, self.failures.len(), self.began.elapsed().as_secs());
        print_line(&format!(
            "{what}: {played} histories, {distinct} distinct interleavings, {waits} waits during a connect, {failures} failures, \
             {seconds} s"
        ));
        assert!(self.failures.is_empty(), "the failures stand above");
    }
}

#[expect(clippy::print_stdout, reason = "a search says how far it is, and what it found")]
fn print_line(line: &str) {
    println!("{line}");
}

fn tell(story: &Story, played: &Played) -> String {
    let (lines, wrong) = (played.lines.join("\n"), played.wrong.join("\n  "));
    format!("\nhistory {} ({:?}):\n{lines}\nwrong:\n  {wrong}\n", story.name, story.habits)
}

#[tokio::test]
async fn no_random_history_loses_an_integration_or_lets_an_older_one_execute() {
    LocalSet::new().run_until(at_random(0)).await;
}

#[tokio::test]
async fn no_other_random_history_does_either() {
    if setting("SEED").is_none() {
        LocalSet::new().run_until(at_random(1)).await;
    }
}

/// Every second seed, so that two searches share the machine; or the one that is asked for.
async fn at_random(first: u64) {
    let seeds: Vec<u64> = match setting("SEED") {
        Some(seed) => vec![seed],
        None => (first..setting("HISTORIES").unwrap_or(500)).step_by(2).collect(),
    };
    let mut search = Search::new("random histories").await;
    search.tells = setting("SEED").is_some();
    search.try_all(seeds.into_iter().map(random).collect()).await;
    search.end();
}

#[tokio::test]
async fn no_process_that_dies_at_any_call_loses_an_integration() {
    LocalSet::new().run_until(at_every_call("deaths", &ACTS, deaths)).await;
}

#[tokio::test]
async fn no_call_that_is_refused_lost_repeated_or_late_loses_an_integration() {
    let acts = if is_short() { &ACTS[..2] } else { &ACTS[..] };
    LocalSet::new().run_until(at_every_call("mishaps", acts, mishaps)).await;
}

async fn at_every_call(what: &'static str, acts: &[(Act, u64)], fates: fn(usize) -> Vec<StepEnd>) {
    let mut search = Search::new(what).await;
    for rotation in rotations() {
        for act in acts {
            let calls = search.calls_of(rotation, *act).await;
            let fates = (1..=calls).flat_map(fates);
            search.try_all(fates.map(|fate| one_act(rotation, *act, fate)).collect()).await;
        }
    }
    search.end();
}

#[tokio::test]
async fn no_process_that_is_frozen_while_another_acts_loses_an_integration() {
    let (firsts, seconds) = if is_short() { (&ACTS[..1], &ACTS[..2]) } else { (&ACTS[..], &ACTS[..]) };
    let search = async {
        let mut search = Search::new("pairs").await;
        for rotation in rotations() {
            for (first, _) in firsts {
                let calls = search.calls_of(rotation, (*first, EXPIRED)).await;
                let stories = (1..=calls).flat_map(|nth| pairs(rotation, *first, nth, seconds));
                search.try_all(stories.collect()).await;
            }
        }
        search.end();
    };
    LocalSet::new().run_until(search).await;
}

#[tokio::test]
async fn no_process_that_thaws_after_later_refreshes_brings_back_older_tokens() {
    let search = async {
        let mut search = Search::new("late thaws").await;
        for rotation in rotations() {
            let calls = search.calls_of(rotation, (Act::Execute, EXPIRED)).await;
            search.try_all((1..=calls).flat_map(|nth| late_thaws(rotation, nth)).collect()).await;
        }
        search.end();
    };
    LocalSet::new().run_until(search).await;
}

#[tokio::test]
async fn no_execution_superseded_while_it_waits_sends_its_request() {
    let search = async {
        let mut search = Search::new("superseded waits").await;
        for rotation in ROTATIONS {
            search.try_all(superseded_waits(rotation)).await;
        }
        search.end();
        assert!(search.waits > 0);
    };
    LocalSet::new().run_until(search).await;
}
