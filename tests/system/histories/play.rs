//! Plays one history, lets everything come to rest, and judges it.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use devstack::interrupt::{Interruption, TOKEN_ENDPOINT};
use devstack::wire::{At, Gate};
use serde_json::{Value, json};
use shared::gateway::Response;
use tokio::task::{JoinHandle, spawn_local};

use super::fleet::{Customer, Fleet, Process};
use super::story::{Act, StepEnd, Story, StoryStep};
use super::truth::{Executed, Truth};

/// The result of a history: its events in order, and its violations.
pub(crate) struct Played {
    pub(crate) lines: Vec<String>,
    pub(crate) wrong: Vec<String>,
    /// How many executions waited while a new instance was connected.
    pub(crate) waits: usize,
    /// The calls of each step, in order: tells interleavings apart.
    pub(crate) calls: Vec<Vec<String>>,
}

/// Events between HubSpot's answer and our first write, the one window in which a refresh token
/// that is good once only can be lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Window {
    Untouched,
    /// HubSpot got a request long after its sender had lost the connection: nobody of us can know.
    Late,
    /// A process was held there, and another has presented the same token meanwhile.
    StoodStill,
    /// The answer is lost.
    Lost,
}

/// A history under way.
pub(super) struct Play {
    pub(super) fleet: Rc<Fleet>,
    pub(super) customer: Customer,
    processes: RefCell<Vec<Rc<Process>>>,
    pub(super) truth: RefCell<Truth>,
    lines: RefCell<Vec<String>>,
    /// How many executions waited while a new instance was connected.
    pub(super) waits: Cell<usize>,
    calls: RefCell<Vec<Vec<String>>>,
    /// The result of a call that may cost the authorization where refresh tokens are single-use.
    pub(super) window: Cell<Window>,
    /// When something first happened in the window.
    pub(super) touched_at: Cell<Option<i64>>,
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
    fleet.behave(story.habits);
    fleet.stack.interruptions.clear();
    fleet.stack.hubspot.clear_scripts();
    fleet.stack.hubspot.forget_requests();
    let processes = (0..3).map(|number| Rc::new(fleet.process(number))).collect();
    let play = Rc::new(Play {
        fleet: fleet.clone(),
        customer,
        processes: RefCell::new(processes),
        truth: RefCell::default(),
        lines: RefCell::default(),
        waits: Cell::default(),
        calls: RefCell::default(),
        window: Cell::new(Window::Untouched),
        touched_at: Cell::default(),
    });
    let mut pending: Vec<Pending> = Vec::new();
    for (number, step) in story.steps.iter().enumerate() {
        play.say(format!("{:>2}. {step}", number + 1));
        play.clone().step(number, step, &mut pending).await;
        pending = go_on(pending).await;
    }
    fleet.stack.interruptions.clear();
    let tasks = pending.into_iter().map(|mut one| {
        drop(one.gate.take());
        one.task
    });
    for task in tasks.collect::<Vec<_>>() {
        ended(task.await);
    }
    play.rest(story).await;
    let wrong = std::mem::take(&mut play.truth.borrow_mut().wrong);
    Played { lines: play.lines.take(), wrong, waits: play.waits.get(), calls: play.calls.take() }
}

/// Continues acts that were held long enough, and waits for those that nothing holds.
async fn go_on(pending: Vec<Pending>) -> Vec<Pending> {
    let (mut due, mut later): (Vec<_>, Vec<_>) = pending.into_iter().partition(|one| one.steps == 0);
    later.iter_mut().for_each(|one| one.steps -= 1);
    // Dropping a gate opens it. All of them first: a call of one may be the one that another's gate holds.
    due.iter_mut().for_each(|one| drop(one.gate.take()));
    for one in due {
        // A call of this one may be the one that another's gate holds.
        if later.iter().any(|other| other.gate.as_ref().is_some_and(|gate| gate.standing() > 0)) {
            later.push(one);
        } else {
            ended(one.task.await);
        }
    }
    later
}

/// The effect of a fate on the window, by the names of the calls since it was planned.
fn window(fate: StepEnd, calls: &[String]) -> Window {
    let until = |nth: usize| calls.get(..nth).unwrap_or_default();
    match fate {
        StepEnd::Killed(nth, at) if is_open(until(nth), at) => Window::Lost,
        StepEnd::Interrupted(nth, Interruption::AnswerLost)
            if until(nth).last().is_some_and(|call| call == TOKEN_ENDPOINT) =>
        {
            Window::Lost
        }
        StepEnd::Frozen(nth, at, _) if is_open(until(nth), at) => Window::StoodStill,
        StepEnd::Delayed(nth, _) if until(nth).last().is_some_and(|call| call == TOKEN_ENDPOINT) => Window::Late,
        StepEnd::Ends
        | StepEnd::Beside
        | StepEnd::Interrupted(..)
        | StepEnd::Killed(..)
        | StepEnd::Frozen(..)
        | StepEnd::Delayed(..) => Window::Untouched,
    }
}

/// Returns true if what HubSpot has answered, or may still, is written nowhere yet when the last of these calls stands
/// still.
fn is_open(calls: &[String], at: At) -> bool {
    let Some(asked) = calls.iter().rposition(|call| call == TOKEN_ENDPOINT) else { return false };
    let written = calls[asked..].iter().position(|call| call == "PutSecretValue");
    written.is_none_or(|written| asked + written + 1 == calls.len() && at == At::Before)
}

/// A panic in a task of its own has to surface here.
fn ended(task: Result<(), tokio::task::JoinError>) {
    if let Err(error) = task
        && error.is_panic()
    {
        std::panic::resume_unwind(error.into_panic());
    }
}

impl Play {
    pub(super) fn say(&self, line: String) {
        self.lines.borrow_mut().push(line);
    }

    pub(super) async fn look(&self) -> usize {
        let records = self.fleet.records(&self.customer).await;
        self.truth.borrow_mut().look(&self.fleet, &self.customer, &records)
    }

    pub(super) fn pass(&self, seconds: u64) {
        self.fleet.clock.advance(Duration::from_secs(seconds));
    }

    pub(super) fn process(&self, number: usize) -> Rc<Process> {
        self.processes.borrow()[number].clone()
    }

    async fn step(self: Rc<Self>, number: usize, step: &StoryStep, pending: &mut Vec<Pending>) {
        if let Act::Pass(seconds) = step.act {
            self.pass(seconds);
        } else if let Act::Says(refusal) = step.act {
            self.fleet.say(refusal);
        } else {
            return self.call(number, step, pending).await;
        }
        self.calls.borrow_mut().push(Vec::new());
    }

    async fn call(self: Rc<Self>, number: usize, step: &StoryStep, pending: &mut Vec<Pending>) {
        let interruptions = &self.fleet.stack.interruptions;
        // Acts that were held until now may have called meanwhile.
        let before = interruptions.calls().len();
        let (gate, steps) = match step.fate {
            StepEnd::Ends => (None, None),
            StepEnd::Beside => (None, Some(0)),
            StepEnd::Interrupted(nth, what) => {
                interruptions.plan(nth, what);
                (None, None)
            }
            StepEnd::Killed(nth, at) => (Some(interruptions.hold(nth, at)), None),
            StepEnd::Frozen(nth, at, steps) => (Some(interruptions.hold(nth, at)), Some(steps)),
            StepEnd::Delayed(nth, steps) => (Some(interruptions.delay(nth)), Some(steps)),
        };
        let began = self.look().await;
        let mut task = spawn_local(self.clone().act(number, *step, began));
        match (step.fate, gate, steps) {
            (StepEnd::Killed(..), Some(gate), _) => {
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
            (StepEnd::Frozen(..), Some(gate), Some(steps)) => {
                let frozen = tokio::select! {
                    () = gate.reached(1) => true,
                    end = &mut task => { ended(end); false }
                };
                if frozen {
                    pending.push(Pending { gate: Some(gate), task, steps });
                }
            }
            (StepEnd::Delayed(nth, _), gate, Some(steps)) => {
                ended(task.await);
                let call = interruptions.calls().into_iter().nth(before + nth - 1);
                if call.as_deref() == Some("PutItem") {
                    // It would make the record anew that a disconnect has deleted meanwhile. DynamoDB takes no request
                    // whose connection is gone that long.
                    gate.into_iter().for_each(Gate::lose);
                    return self.after(before, step.fate).await;
                }
                pending.push(Pending { gate, task: spawn_local(async {}), steps });
            }
            (_, gate, Some(steps)) => pending.push(Pending { gate, task, steps: steps + 1 }),
            _ => ended(task.await),
        }
        self.after(before, step.fate).await;
    }

    async fn after(&self, before: usize, fate: StepEnd) {
        self.look().await;
        let interruptions = &self.fleet.stack.interruptions;
        let calls = interruptions.calls();
        interruptions.clear();
        self.touch(window(fate, calls.get(before..).unwrap_or_default()));
        self.calls.borrow_mut().push(calls);
    }

    fn touch(&self, window: Window) {
        if window > Window::Untouched {
            self.window.set(self.window.get().max(window));
            self.touched_at.set(self.touched_at.get().or(Some(self.fleet.clock.now())));
        }
    }

    async fn act(self: Rc<Self>, number: usize, step: StoryStep, began: usize) {
        let process = self.process(step.process);
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
                let wanted = if step.act == Act::Execute { id(0).filter(|_| number.is_multiple_of(2)) } else { id(1) };
                self.execute(&process, format!("{}-{number}", self.customer.hub_id), wanted, began).await
            }
            Act::ExecuteDuringConnect => {
                let mark = format!("{}-{number}", self.customer.hub_id);
                self.execute_during_connect(step.process, &mark, began).await
            }
            Act::Schedule => process.schedule(&self.customer).await.to_string(),
            Act::Import => process.import(&self.fleet, &self.customer, number).await,
            Act::Pass(_) | Act::Says(_) => return,
        };
        self.say(format!("      {:?}: {said}", step.act));
    }

    pub(super) async fn execute(
        &self,
        process: &Process,
        mark: String,
        wanted: Option<String>,
        began: usize,
    ) -> String {
        let response = process.execute(&self.fleet, &self.customer, wanted.as_deref(), &mark).await;
        self.judge(mark, wanted, began, &response).await
    }

    /// Judges an execution by the integrations that have been the newest since the moment `began`.
    pub(super) async fn judge(
        &self,
        mark: String,
        wanted: Option<String>,
        began: usize,
        response: &Response,
    ) -> String {
        let answer: Value = serde_json::from_str(&response.body).unwrap_or_default();
        let said = answer["code"].as_str().map_or_else(|| answer["hubspot"]["status"].to_string(), str::to_owned);
        let ended = self.look().await;
        let seen = Executed { mark, wanted, began, ended, answer: Some(answer) };
        self.truth.borrow_mut().judge_execution(&self.fleet, &self.customer, &seen);
        said
    }
}
