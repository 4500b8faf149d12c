//! Plays one history, lets everything come to rest, and judges it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use local::hubspot::Rotation;
use local::wire::Gate;
use serde_json::{Value, json};
use shared::integration::Status;
use tokio::task::{JoinHandle, spawn_local};

use super::fleet::{Customer, Fleet, Process};
use super::story::{Act, Fate, Step, Story};
use super::truth::{Executed, Truth};

/// What came of a history: what happened in which order, and what was wrong.
pub(crate) struct Played {
    pub(crate) lines: Vec<String>,
    pub(crate) wrong: Vec<String>,
    /// The calls of the acts, in order: tells interleavings apart.
    pub(crate) calls: Vec<String>,
}

/// A history under way.
struct Play {
    fleet: Rc<Fleet>,
    customer: Customer,
    processes: RefCell<Vec<Rc<Process>>>,
    truth: RefCell<Truth>,
    lines: RefCell<Vec<String>>,
    calls: RefCell<Vec<String>>,
}

/// An act that has not ended when the next step comes.
struct Pending {
    gate: Option<Gate>,
    task: JoinHandle<()>,
    /// Steps to go until it is let go on.
    steps: usize,
}

/// Plays it with a customer of its own. Must run in a `LocalSet`.
pub(crate) async fn play(fleet: &Rc<Fleet>, story: &Story, customer: Customer) -> Played {
    fleet.stack.hubspot.set_rotation(story.rotation);
    fleet.stack.interruptions.clear();
    fleet.stack.hubspot.forget_requests();
    let processes = (0..3).map(|number| Rc::new(fleet.process(number))).collect();
    let play = Rc::new(Play {
        fleet: fleet.clone(),
        customer,
        processes: RefCell::new(processes),
        truth: RefCell::default(),
        lines: RefCell::default(),
        calls: RefCell::default(),
    });
    let mut pending: Vec<Pending> = Vec::new();
    for (number, step) in story.steps.iter().enumerate() {
        play.say(format!("{:>2}. {step}", number + 1));
        play.clone().step(number, step, &mut pending).await;
        let mut later = Vec::new();
        for mut one in pending {
            if one.steps == 0 {
                one.end().await;
            } else {
                one.steps -= 1;
                later.push(one);
            }
        }
        pending = later;
    }
    fleet.stack.interruptions.clear();
    for one in pending {
        one.end().await;
    }
    play.rest(story.rotation).await;
    let wrong = std::mem::take(&mut play.truth.borrow_mut().wrong);
    Played { lines: play.lines.take(), wrong, calls: play.calls.take() }
}

impl Pending {
    async fn end(self) {
        if let Some(gate) = self.gate {
            gate.open();
        }
        ended(self.task.await);
    }
}

/// What panics in a task of its own has to be seen here.
fn ended(task: Result<(), tokio::task::JoinError>) {
    if let Err(error) = task
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

impl Play {
    fn say(&self, line: String) {
        self.lines.borrow_mut().push(line);
    }

    async fn look(&self) -> usize {
        let records = self.fleet.records(&self.customer).await;
        self.truth.borrow_mut().look(&self.fleet, &self.customer, &records)
    }

    fn pass(&self, seconds: u64) {
        self.fleet.clock.advance(Duration::from_secs(seconds));
    }

    async fn step(self: Rc<Self>, number: usize, step: &Step, pending: &mut Vec<Pending>) {
        if let Act::Pass(seconds) = step.act {
            return self.pass(seconds);
        }
        let interruptions = &self.fleet.stack.interruptions;
        let (gate, steps) = match step.fate {
            Fate::Ends => (None, None),
            Fate::Beside => (None, Some(0)),
            Fate::Interrupted(nth, what) => {
                interruptions.plan(nth, what);
                (None, None)
            }
            Fate::Killed(nth, at) => (Some(interruptions.hold(nth, at)), None),
            Fate::Frozen(nth, at, steps) => (Some(interruptions.hold(nth, at)), Some(steps)),
            Fate::Delayed(nth, steps) => (Some(interruptions.delay(nth)), Some(steps)),
        };
        let began = self.look().await;
        let mut task = spawn_local(self.clone().act(number, *step, began));
        match (step.fate, gate, steps) {
            (Fate::Killed(..), Some(gate), _) => {
                let killed = tokio::select! {
                    () = gate.reached(1) => true,
                    end = &mut task => { ended(end); false }
                };
                if killed {
                    task.abort();
                    let _ = task.await;
                    gate.lose();
                    self.say("      killed".to_owned());
                    let fresh = Rc::new(self.fleet.process(step.process));
                    self.processes.borrow_mut()[step.process] = fresh;
                }
            }
            (Fate::Frozen(..), Some(gate), Some(steps)) => {
                let frozen = tokio::select! {
                    () = gate.reached(1) => true,
                    end = &mut task => { ended(end); false }
                };
                if frozen {
                    pending.push(Pending { gate: Some(gate), task, steps });
                }
            }
            (Fate::Delayed(..), gate, Some(steps)) => {
                ended(task.await);
                pending.push(Pending { gate, task: spawn_local(async {}), steps });
            }
            (_, gate, Some(steps)) => pending.push(Pending { gate, task, steps: steps + 1 }),
            _ => ended(task.await),
        }
        self.look().await;
        self.calls.borrow_mut().extend(interruptions.calls());
        interruptions.clear();
    }

    async fn act(self: Rc<Self>, number: usize, step: Step, began: usize) {
        let process = self.processes.borrow()[step.process].clone();
        let records = self.fleet.records(&self.customer).await;
        let id = |index: usize| records.get(index).map(|record| record.integration_id.to_string());
        let said = match step.act {
            Act::Connect => process.connect(&self.fleet, &self.customer, &json!({})).await,
            Act::NewInstance => process.connect(&self.fleet, &self.customer, &json!({"new_instance": true})).await,
            Act::Reconnect => {
                let Some(id) = id(0) else { return };
                process.connect(&self.fleet, &self.customer, &json!({"integration_id": id})).await
            }
            Act::DisconnectNewest | Act::DisconnectOlder => {
                let Some(id) = id(usize::from(step.act == Act::DisconnectOlder)) else { return };
                process.disconnect(&self.customer, &id).await.to_string()
            }
            Act::Execute | Act::ExecuteOlder => {
                let wanted = if step.act == Act::Execute { id(0).filter(|_| number % 2 == 0) } else { id(1) };
                self.execute(&process, format!("{}-{number}", self.customer.hub_id), wanted, began).await
            }
            Act::Schedule => process.schedule(&self.customer).await.to_string(),
            Act::Pass(_) => return,
        };
        self.say(format!("      {:?}: {said}", step.act));
    }

    async fn execute(&self, process: &Process, mark: String, wanted: Option<String>, began: usize) -> String {
        let response = process.execute(&self.fleet, &self.customer, wanted.as_deref(), &mark).await;
        let answer: Value = serde_json::from_str(&response.body).unwrap_or_default();
        let said = answer["code"].as_str().map_or_else(|| answer["hubspot"]["status"].to_string(), str::to_owned);
        let ended = self.look().await;
        let seen = Executed { mark, wanted, began, ended, answer: Some(answer) };
        self.truth.borrow_mut().judge_execution(&self.fleet, &self.customer, &seen);
        said
    }

    /// Lets the schedule run as it does, minute by minute, and sees that every integration that can be used is.
    async fn rest(&self, rotation: Rotation) {
        self.say("    everything goes on; the schedule runs every minute".to_owned());
        let process = self.fleet.process(0);
        let lost: Vec<String> = self.lost(rotation).await;
        for _ in 0..10 {
            self.pass(60);
            process.schedule(&self.customer).await;
        }
        self.look().await;
        if let Some(newest) = self.fleet.records(&self.customer).await.first()
            && lost.contains(&newest.integration_id.to_string())
            && newest.token_expires_at < self.fleet.clock.now() - 600
        {
            self.truth.borrow_mut().judge_loss(newest);
        }
        for seconds in [60, 1_800, 7_300] {
            self.pass(seconds);
            process.schedule(&self.customer).await;
            self.judge_newest(&process, seconds, &lost).await;
        }
    }

    /// The integrations that HubSpot accepts no refresh token of any more, and whether that may be.
    async fn lost(&self, rotation: Rotation) -> Vec<String> {
        let mut lost = Vec::new();
        for record in self.fleet.records(&self.customer).await {
            if record.pointer.is_some() && !Truth::holds(&self.fleet, &record) {
                lost.push(record.integration_id.to_string());
                if rotation != Rotation::Strict {
                    self.truth.borrow_mut().wrong.push(format!("{} is lost", record.integration_id));
                }
            }
        }
        lost
    }

    async fn judge_newest(&self, process: &Process, seconds: u64, lost: &[String]) {
        let began = self.look().await;
        let Some(newest) = self.fleet.records(&self.customer).await.into_iter().next() else { return };
        let id = newest.integration_id.to_string();
        let mark = format!("{}-rest-{seconds}", self.customer.hub_id);
        let said = self.execute(process, mark, Some(id.clone()), began).await;
        self.say(format!("      after {seconds} s: {said}"));
        let wrong = if lost.contains(&id) {
            said == "200" && newest.status != Status::Active
        } else {
            said != "200" || newest.status != Status::Active
        };
        if wrong {
            let words =
                format!("{id} is {:?} {:?}, an execution ends with {said}", newest.status, newest.status_reason);
            self.truth.borrow_mut().wrong.push(words);
        }
    }
}
