//! Gates: a test holds calls at a point, so that it can kill a process there.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

/// Nothing that a test waits for takes this long, on however busy a machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The point at which a call is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// It was read and recorded; nothing of it took effect.
    Before,
    /// It took effect; its answer is not sent.
    After,
}

/// The end of the held calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    GoOn,
    Lose,
}

#[derive(Debug)]
struct GateState {
    standing: watch::Sender<usize>,
    verdict: watch::Sender<Option<Verdict>>,
}

/// Every call that meets the gate is held until it is opened. Dropping it opens it.
#[derive(Debug)]
pub struct Gate {
    held: Arc<GateState>,
}

impl Gate {
    /// Waits until the gate has held this many calls.
    ///
    /// # Panics
    /// They don't come within a minute.
    pub async fn reached(&self, count: usize) {
        let mut standing = self.held.standing.subscribe();
        patiently(&format!("{count} held calls"), async move {
            let _ = standing.wait_for(|reached| *reached >= count).await;
        })
        .await;
    }

    /// The number of calls that the gate has held so far.
    #[must_use]
    pub fn standing(&self) -> usize {
        *self.held.standing.borrow()
    }

    /// Lets the calls go on, and later ones pass.
    pub fn open(self) {
        self.held.verdict.send_replace(Some(Verdict::GoOn));
    }

    /// Closes the held connections without an answer; calls that were held before their effect have none. Later calls
    /// pass.
    pub fn lose(self) {
        self.held.verdict.send_replace(Some(Verdict::Lose));
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.held.verdict.send_if_modified(|verdict| verdict.is_none() && verdict.replace(Verdict::GoOn).is_none());
    }
}

/// The emulator's side of a [`Gate`].
#[derive(Clone, Debug)]
pub(crate) struct Barrier {
    pub(crate) at: At,
    held: Arc<GateState>,
}

impl Barrier {
    pub(crate) fn new(at: At) -> (Self, Gate) {
        let held = Arc::new(GateState { standing: watch::Sender::new(0), verdict: watch::Sender::new(None) });
        (Self { at, held: held.clone() }, Gate { held })
    }

    pub(crate) fn is_open(&self) -> bool {
        self.held.verdict.borrow().is_some()
    }

    /// Waits until the gate is decided.
    pub(crate) async fn stand(&self) -> Verdict {
        let mut verdict = self.held.verdict.subscribe();
        self.held.standing.send_modify(|standing| *standing += 1);
        let decided = verdict.wait_for(Option::is_some).await;
        decided.ok().and_then(|decided| *decided).unwrap_or(Verdict::GoOn)
    }
}

/// Waits at each of the gates that hold calls here, until one is lost.
pub(crate) async fn stand(barriers: &[Barrier], at: At) -> Verdict {
    for barrier in barriers.iter().filter(|barrier| barrier.at == at) {
        if barrier.stand().await == Verdict::Lose {
            return Verdict::Lose;
        }
    }
    Verdict::GoOn
}

/// Waits, but not for ever: a test that hangs says nothing.
pub(crate) async fn patiently(what: &str, wait: impl Future<Output = ()>) {
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "waited {PATIENCE:?} in vain for {what}");
}
