//! Secrets Manager on loopback: awsJson 1.1 with the true rules of versions and labels.
//!
//! No emulator gets these right, and the order of the project's two writes depends on them. Signatures are asked for
//! and not checked.

mod operations;
mod serve;
#[cfg(test)]
mod tests;
mod vault;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use shared::clock::Clock;
use tokio::sync::watch;

use crate::iam::Policies;
use crate::interrupt::Interruptions;
use crate::loopback::{self, Task};
use crate::wire::{self, At, Barrier, Gate};
use vault::Vault;
pub use vault::{Secret, SecretValue, Version};

/// A call that reached Secrets Manager.
#[derive(Clone, Debug)]
pub struct Call {
    /// `PutSecretValue`…
    pub operation: String,
    /// The secret as the call names it, by name or ARN.
    pub secret: Option<String>,
    /// The version that it writes (`ClientRequestToken`) or asks for (`VersionId`).
    pub version: Option<String>,
    /// The request.
    pub body: Value,
}

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// A 500 before the call has any effect. The SDK tries again.
    Error,
    /// The call takes effect and is answered by a 500. The SDK tries again.
    ErrorAfterEffect,
    /// A throttling answer before the call has any effect. The SDK tries again.
    Throttle,
    /// The role may not do it. The SDK does not try again.
    AccessDenied,
    /// `DecryptionFailure`: the key is disabled, or the role may not use it. The SDK does not try again.
    KeyDenied,
    /// The connection closes before the call has any effect.
    ConnectionDropped,
    /// The call takes effect and the connection closes without an answer.
    AnswerLost,
    /// The call takes this long before it takes effect.
    Stall(Duration),
}

/// Whether a call goes wrong, by a seed, its operation, and how many calls of any operation came before it.
pub type Weather = fn(u64, &str, usize) -> Option<FaultKind>;

/// Secrets Manager on loopback. Clones share it; it ends with the last of them.
#[derive(Clone, Debug)]
pub struct SecretsManager {
    url: String,
    shared: Arc<Inner>,
    _server: Arc<Task>,
}

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    /// Counts the calls, for those who wait for some.
    seen: watch::Sender<usize>,
}

#[derive(Debug)]
struct State {
    interruptions: Interruptions,
    policies: Policies,
    vault: Vault,
    calls: Vec<Call>,
    faults: Vec<(String, FaultKind)>,
    weather: Option<(u64, Weather)>,
    barriers: Vec<Planned>,
}

#[derive(Debug)]
struct Planned {
    operation: String,
    /// How many calls of the operation pass before the first held one.
    pass: usize,
    barrier: Barrier,
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SecretsManager {
    /// Starts an empty one.
    ///
    /// # Panics
    /// Loopback has no free port.
    pub async fn start() -> Self {
        Self::start_with(Clock::default()).await
    }

    /// Starts an empty one that dates its secrets by this clock.
    ///
    /// # Panics
    /// Loopback has no free port.
    pub async fn start_with(clock: Clock) -> Self {
        let listener = loopback::listen().await.expect("loopback has a free port");
        let url = format!("http://{}", listener.local_addr().expect("a listener has an address"));
        let state = State {
            interruptions: Interruptions::default(),
            policies: Policies::default(),
            vault: Vault::new(clock),
            calls: Vec::new(),
            faults: Vec::new(),
            weather: None,
            barriers: Vec::new(),
        };
        let shared = Arc::new(Inner { state: Mutex::new(state), seen: watch::Sender::new(0) });
        let served = shared.clone();
        let task = tokio::spawn(wire::accept(listener, move |socket, _| serve::connection(socket, served.clone())));
        Self { url, shared, _server: Arc::new(Task(task)) }
    }

    /// Its endpoint.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Takes its interruptions from here.
    pub fn interrupted_by(&self, interruptions: &Interruptions) {
        self.shared.state().interruptions = interruptions.clone();
    }

    /// Refuses what these policies do not allow.
    pub fn guarded_by(&self, policies: &Policies) {
        self.shared.state().policies = policies.clone();
    }

    /// All secrets as they truly are, whatever a lag still hides, by name.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        self.shared.state().vault.all()
    }

    /// One secret as it truly is.
    #[must_use]
    pub fn secret(&self, name: &str) -> Option<Secret> {
        self.secrets().into_iter().find(|secret| secret.name == name)
    }

    /// Every call so far, in order of arrival.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.shared.state().calls.clone()
    }

    /// How many calls of an operation came so far.
    #[must_use]
    pub fn count(&self, operation: &str) -> usize {
        self.shared.state().calls.iter().filter(|call| call.operation == operation).count()
    }

    /// From now on, what a write changes is seen by reads only this much later. A new version is not found until
    /// then, not even by its id, and a deleted secret still is.
    pub fn set_lag(&self, lag: Duration) {
        self.shared.state().vault.lag = lag;
    }

    /// Makes every write so far visible at once.
    pub fn settle(&self) {
        self.shared.state().vault.settle();
    }

    /// Fails the next calls of an operation. The SDK makes up to three attempts of a call, so `times` is 3 for a
    /// failure that its caller sees.
    pub fn fail_next(&self, operation: &str, kind: FaultKind, times: usize) {
        self.shared.state().faults.extend(std::iter::repeat_n((operation.to_owned(), kind), times));
    }

    /// Lets calls go wrong as a function of the seed says, until [`heal`](Self::heal).
    pub fn set_weather(&self, seed: u64, weather: Weather) {
        self.shared.state().weather = Some((seed, weather));
    }

    /// Forgets all faults that did not happen yet.
    pub fn heal(&self) {
        let mut state = self.shared.state();
        state.faults.clear();
        state.weather = None;
    }

    /// Holds every call of an operation from now on, until the gate is opened.
    #[must_use]
    pub fn hold(&self, operation: &str, at: At) -> Gate {
        self.hold_from(operation, 1, at)
    }

    /// Holds the calls of an operation from the `nth` next one on (1 is the next), until the gate is opened.
    #[must_use]
    pub fn hold_from(&self, operation: &str, nth: usize, at: At) -> Gate {
        let (barrier, gate) = Barrier::new(at);
        let planned = Planned { operation: operation.to_owned(), pass: nth.saturating_sub(1), barrier };
        self.shared.state().barriers.push(planned);
        gate
    }

    /// Waits until an operation was called `count` times since the start.
    ///
    /// # Panics
    /// They don't come within a minute.
    pub async fn wait_for_calls(&self, operation: &str, count: usize) {
        let mut seen = self.shared.seen.subscribe();
        let all = async {
            while self.count(operation) < count {
                let _ = seen.changed().await;
            }
        };
        wire::patiently(&format!("{count} calls of {operation}"), all).await;
    }
}
