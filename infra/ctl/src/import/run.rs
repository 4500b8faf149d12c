//! The work of an import: several integrations at a time, those of one account one after another.

use std::cell::{Cell, RefCell};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use futures_util::future::{join, join_all};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::timeout;

use super::bring::{Fate, bring};
use super::done::{Done, Stage};
use super::entry::Entry;
use super::report::Report;
use super::{Entries, Read};
use crate::end::Failure;
use crate::stack::Stack;

/// An integration that cannot be proven is given up for this run after so many seconds.
const PATIENCE: i64 = 120;
/// So many refreshes in a row without a clear answer, for each one worked on at a time, end the run.
const FAILURES: usize = 4;

/// Who waits looks up so often.
const TICK: Duration = Duration::from_millis(200);

/// An integration to work on.
struct Task {
    number: u64,
    entry: Entry,
    first_tried: Option<i64>,
    not_before: i64,
}

/// One import under way.
struct Run<'a> {
    stack: &'a Stack,
    done: RefCell<Done>,
    report: RefCell<Report<'a>>,
    concurrency: usize,
    /// Why nothing more is begun.
    stop: RefCell<Option<String>>,
    /// Until when HubSpot is left in peace, in epoch seconds.
    pause_until: Cell<i64>,
}

/// Works on all lines; the report, and why the run stopped early if it did.
pub(super) async fn run<'a>(
    stack: &'a Stack,
    entries: Entries,
    done: Done,
    report: Report<'a>,
    concurrency: usize,
) -> Result<(Report<'a>, Option<String>), Failure> {
    let (done, report) = (RefCell::new(done), RefCell::new(report));
    let run = Run { stack, done, report, concurrency, stop: RefCell::default(), pause_until: Cell::new(0) };
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..concurrency).map(|_| channel(2)).unzip();
    let workers = join_all(receivers.into_iter().map(|tasks| run.work(tasks)));
    let working = join(run.deal(entries, senders), workers);
    let interrupted = async {
        // Where there are no signals there is nobody to send one.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        run.stop("Interrupted; what was begun was brought to its end.");
        std::future::pending::<()>().await;
    };
    let (dealt, worked) = tokio::select! { ended = working => ended, () = interrupted => return Err(Failure::Output) };
    dealt?;
    worked.into_iter().collect::<Result<Vec<()>, _>>()?;
    Ok((run.report.into_inner(), run.stop.into_inner()))
}

impl Run<'_> {
    /// Reads the file and hands its lines out, all lines of one account to the same worker.
    async fn deal(&self, mut entries: Entries, workers: Vec<Sender<Task>>) -> Result<(), Failure> {
        while let Some(read) = entries.next(self.stack.clock.now())? {
            let (number, entry) = match read {
                Read::Entry(number, entry) => (number, entry),
                Read::Malformed(number, reason) => {
                    self.report.borrow_mut().malformed(number, &reason)?;
                    continue;
                }
            };
            if matches!(self.done.borrow().stage(&entry), Some((Stage::Finished, _))) {
                self.report.borrow_mut().skipped();
                continue;
            }
            let mut hasher = DefaultHasher::new();
            entry.account_id.hash(&mut hasher);
            let worker = usize::try_from(hasher.finish() % workers.len() as u64).unwrap_or_default();
            // A worker that has failed takes no more; it says why itself.
            let _ = workers[worker].send(Task { number, entry, first_tried: None, not_before: 0 }).await;
        }
        Ok(())
    }

    /// Works until no line is left.
    async fn work(&self, mut tasks: Receiver<Task>) -> Result<(), Failure> {
        let mut waiting = Vec::new();
        while let Some(task) = self.next(&mut tasks, &mut waiting).await {
            self.attend(task, &mut waiting).await?;
        }
        Ok(())
    }

    /// The next line to work on. What has waited long enough comes first: where HubSpot rotates refresh tokens, one
    /// that a killed run has shown may not be accepted for long.
    async fn next(&self, tasks: &mut Receiver<Task>, waiting: &mut Vec<Task>) -> Option<Task> {
        loop {
            let now = self.stack.clock.now();
            let stopped = self.stop.borrow().is_some();
            if let Some(at) = waiting.iter().position(|task| stopped || task.not_before <= now) {
                return Some(waiting.remove(at));
            }
            match timeout(TICK, tasks.recv()).await {
                Ok(Some(task)) => return Some(task),
                Ok(None) if waiting.is_empty() => return None,
                Ok(None) => self.stack.clock.sleep(TICK).await,
                Err(_) => {}
            }
        }
    }

    async fn attend(&self, mut task: Task, waiting: &mut Vec<Task>) -> Result<(), Failure> {
        self.sleep_until(self.pause_until.get()).await;
        if self.stop.borrow().is_some() {
            self.report.borrow_mut().left();
            return Ok(());
        }
        let (clock, number) = (&self.stack.clock, task.number);
        let stage = self.done.borrow().stage(&task.entry);
        let begun = || {
            let noted = self.done.borrow_mut().note(&task.entry, Stage::Begun, clock.now());
            noted.map_err(shared::error::Error::internal)
        };
        // Boxed, since futures nested this deep exceed the compiler's limit.
        let fate = match Box::pin(bring(self.stack, &task.entry, stage, begun)).await {
            Ok(fate) => fate,
            Err(error) => self.not_done(&error),
        };
        match &fate {
            Fate::AppRefused(cause) => {
                self.stop(&format!("HubSpot refuses the app's own credentials ({cause}): put them right."));
                self.report.borrow_mut().left();
            }
            Fate::Later(seconds, _) => {
                let now = clock.now();
                let first_tried = *task.first_tried.get_or_insert(now);
                self.spare_hubspot(*seconds);
                if now - first_tried < PATIENCE {
                    task.not_before = now + (*seconds).clamp(1, 60);
                    waiting.push(task);
                } else {
                    self.report.borrow_mut().told(number, &task.entry, &fate)?;
                    self.report.borrow_mut().left();
                }
            }
            Fate::Imported
            | Fate::ImportedOlder
            | Fate::AlreadyThere
            | Fate::Refused
            | Fate::Disconnected
            | Fate::Conflict(_) => {
                if !matches!(fate, Fate::Conflict(_)) {
                    self.done.borrow_mut().note(&task.entry, Stage::Finished, clock.now())?;
                }
                self.report.borrow_mut().told(number, &task.entry, &fate)?;
            }
        }
        Ok(())
    }

    /// What AWS did not do passes; what contradicts itself does not.
    fn not_done(&self, error: &shared::error::Error) -> Fate {
        match error.retry_after() {
            Some(seconds) => Fate::Later(i64::try_from(seconds).unwrap_or(60), error.to_string()),
            None => Fate::Conflict(error.to_string()),
        }
    }

    /// A limit of HubSpot's is everybody's: all of them wait as long as it says. If it stays silent, the run ends.
    fn spare_hubspot(&self, seconds: i64) {
        match self.stack.hubspot.failures() {
            0 => {}
            failures if failures < FAILURES * self.concurrency => {
                let until = self.stack.clock.now() + seconds;
                self.pause_until.set(self.pause_until.get().max(until));
            }
            _ => self.stop("HubSpot's token endpoint does not answer as it should."),
        }
    }

    fn stop(&self, why: &str) {
        self.stop.borrow_mut().get_or_insert_with(|| why.to_owned());
    }

    /// Waits, a tick at a time: a stop ends it.
    async fn sleep_until(&self, until: i64) {
        while self.stack.clock.now() < until && self.stop.borrow().is_none() {
            self.stack.clock.sleep(TICK).await;
        }
    }
}
