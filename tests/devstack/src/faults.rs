//! Plans of a test for the calls of an emulator: faults, random faults, and gates at which calls are held.

use std::collections::{HashMap, VecDeque};

use crate::wire::{At, Barrier, Gate};

/// Decides by a seed, a call, and how many calls of its kind came since the random faults were set, what goes wrong.
pub type RandomFaults<C, F> = fn(u64, &C, usize) -> Option<F>;

/// The plan of one emulator: which calls `C`, selected by `M`, meet which faults `F`.
#[derive(Debug)]
pub(crate) struct Plan<M, C, F> {
    /// In the order in which they were made: the first one that selects a call and has a fault left counts.
    rules: Vec<Rule<M, F>>,
    random: Option<(u64, RandomFaults<C, F>)>,
    /// How many calls of each kind came under the random faults.
    counts: HashMap<String, usize>,
    gates: Vec<PlannedGate<M>>,
}

#[derive(Debug)]
struct Rule<M, F> {
    matching: M,
    queue: VecDeque<F>,
    standing: Option<F>,
}

#[derive(Debug)]
struct PlannedGate<M> {
    matching: M,
    /// How many calls pass before the first held one.
    pass: usize,
    /// How many calls are held.
    most: usize,
    barrier: Barrier,
}

impl<M, C, F> Default for Plan<M, C, F> {
    fn default() -> Self {
        Self { rules: Vec::new(), random: None, counts: HashMap::new(), gates: Vec::new() }
    }
}

impl<M, C, F: Clone> Plan<M, C, F> {
    /// Lets the next selected calls meet these faults, one each.
    pub(crate) fn fail_next(&mut self, matching: M, faults: impl IntoIterator<Item = F>) {
        self.rules.push(Rule { matching, queue: faults.into_iter().collect(), standing: None });
    }

    /// Lets every selected call meet this fault, until the plan is cleared.
    pub(crate) fn fail_always(&mut self, matching: M, fault: F) {
        self.rules.push(Rule { matching, queue: VecDeque::new(), standing: Some(fault) });
    }

    /// Lets calls that no rule is for meet random faults, until the plan is cleared.
    pub(crate) fn set_random(&mut self, seed: u64, faults: RandomFaults<C, F>) {
        self.random = Some((seed, faults));
        self.counts.clear();
    }

    /// Forgets the faults that have not happened yet, and the random ones. Gates stay.
    pub(crate) fn clear(&mut self) {
        self.rules.clear();
        self.random = None;
    }

    /// How many queued faults have not happened yet.
    pub(crate) fn faults_left(&self) -> usize {
        self.rules.iter().map(|rule| rule.queue.len()).sum()
    }

    /// Holds at most `most` selected calls from the `nth` next one on (1 is the next).
    pub(crate) fn hold(&mut self, matching: M, nth: usize, most: usize, at: At) -> Gate {
        let (barrier, gate) = Barrier::new(at);
        self.gates.push(PlannedGate { matching, pass: nth.saturating_sub(1), most, barrier });
        gate
    }

    /// The fault of a call; `kind` says which calls are counted together for the random ones.
    pub(crate) fn fault(&mut self, call: &C, kind: &str, selects: impl Fn(&M) -> bool) -> Option<F> {
        if let Some(rule) = self.rules.iter_mut().find(|rule| rule.next().is_some() && selects(&rule.matching)) {
            return rule.take();
        }
        let (seed, faults) = self.random?;
        let count = self.counts.entry(kind.to_owned()).or_default();
        *count += 1;
        faults(seed, call, *count - 1)
    }

    /// The fault of a call if it is a `wanted` one; else it stays in the plan.
    pub(crate) fn fault_if(&mut self, selects: impl Fn(&M) -> bool, wanted: impl Fn(&M, &F) -> bool) -> Option<F> {
        let rule = self.rules.iter_mut().find(|rule| rule.next().is_some() && selects(&rule.matching))?;
        if rule.next().is_some_and(|fault| wanted(&rule.matching, fault)) { rule.take() } else { None }
    }

    /// The gates that a call meets.
    pub(crate) fn barriers(&mut self, selects: impl Fn(&M) -> bool) -> Vec<Barrier> {
        self.gates.retain(|gate| !gate.barrier.is_open());
        let mut met = Vec::new();
        for gate in self.gates.iter_mut().filter(|gate| selects(&gate.matching)) {
            if gate.pass > 0 {
                gate.pass -= 1;
            } else if gate.most > 0 {
                gate.most -= 1;
                met.push(gate.barrier.clone());
            }
        }
        met
    }
}

impl<M, F: Clone> Rule<M, F> {
    fn next(&self) -> Option<&F> {
        self.queue.front().or(self.standing.as_ref())
    }

    fn take(&mut self) -> Option<F> {
        self.queue.pop_front().or_else(|| self.standing.clone())
    }
}
