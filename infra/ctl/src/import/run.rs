//! The work of an import: several accounts at a time, the integrations of one account one after another.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use shared::error::Error;

use super::Task;
use super::import_one::{ImportOutcome, RefusalMode, import_one};
use super::ledger::{ImportLedger, Stage};
use super::report::ImportReport;
use crate::exit::{Failure, cause};
use crate::stack::Stack;

/// An integration that cannot be imported is left for a later run after this many seconds.
const PATIENCE: i64 = 120;
/// The run ends after this many refreshes in a row without a clear answer, per account in progress.
const FAILURES: usize = 4;
/// The run ends after this many refused refresh tokens in a row: they are more likely those of another app.
const REFUSALS: usize = 20;
/// How often a waiting task looks whether the run was stopped.
const POLL: Duration = Duration::from_millis(200);

/// One import in progress.
struct ImportRun<'a> {
    stack: &'a Stack,
    ledger: RefCell<ImportLedger>,
    report: RefCell<ImportReport<'a>>,
    concurrency: usize,
    /// Refused integrations that nothing is recorded of yet.
    unrecorded: RefCell<Vec<&'a Task>>,
    refusals_in_a_row: Cell<usize>,
    /// Why nothing more is started.
    stop: RefCell<Option<String>>,
    failure: RefCell<Option<Failure>>,
    /// HubSpot is not called before this time, in epoch seconds.
    pause_until: Cell<i64>,
}

/// Imports all tasks, grouped by account; returns the report and, if the run stopped early, the reason.
pub(super) async fn run<'a>(
    stack: &'a Stack,
    accounts: &'a [Vec<Task>],
    ledger: ImportLedger,
    report: ImportReport<'a>,
    concurrency: usize,
) -> Result<(ImportReport<'a>, Option<String>), Failure> {
    let run = ImportRun {
        stack,
        ledger: RefCell::new(ledger),
        report: RefCell::new(report),
        concurrency,
        unrecorded: RefCell::default(),
        refusals_in_a_row: Cell::new(0),
        stop: RefCell::default(),
        failure: RefCell::default(),
        pause_until: Cell::new(0),
    };
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_ok() {
            run.stop("Interrupted; integrations in progress were finished.");
        }
        std::future::pending::<()>().await;
    };
    tokio::select! { () = run.work(accounts) => {}, () = interrupted => {} }
    match run.failure.into_inner() {
        Some(failure) => Err(failure),
        None => Ok((run.report.into_inner(), run.stop.into_inner())),
    }
}

impl<'a> ImportRun<'a> {
    async fn work(&self, accounts: &'a [Vec<Task>]) {
        let all = accounts.iter().map(|tasks| self.import_all(tasks.iter(), RefusalMode::LeaveUnrecorded));
        stream::iter(all).buffer_unordered(self.concurrency).collect::<()>().await;
        let refused = self.unrecorded.take();
        let all = refused.into_iter().map(|task| self.import_all([task].into_iter(), RefusalMode::Record));
        stream::iter(all).buffer_unordered(self.concurrency).collect::<()>().await;
    }

    async fn import_all(&self, tasks: impl Iterator<Item = &'a Task>, mode: RefusalMode) {
        for task in tasks {
            if let Err(failure) = self.import(task, mode).await {
                // Refreshes in progress must not be dropped, so the run only starts nothing more.
                self.stop("The run failed.");
                self.failure.borrow_mut().get_or_insert(failure);
            }
        }
    }

    /// Imports one integration, waiting as long as the cause of a delay asks for.
    async fn import(&self, task: &'a Task, mode: RefusalMode) -> Result<(), Failure> {
        let mut give_up_at = None;
        loop {
            self.sleep_until(self.pause_until.get()).await;
            if self.stop.borrow().is_some() {
                self.report.borrow_mut().left();
                return Ok(());
            }
            let outcome = self.try_import(task, mode).await;
            if let ImportOutcome::Later(seconds, cause) = &outcome {
                let now = self.stack.clock.now();
                self.spare_hubspot(*seconds);
                if now < *give_up_at.get_or_insert(now + PATIENCE) {
                    let wait = (*seconds).clamp(1, 60);
                    self.report.borrow_mut().waiting(now + wait, wait, cause)?;
                    self.sleep_until(now + wait).await;
                    continue;
                }
            }
            return self.conclude(task, &outcome);
        }
    }

    /// Records and reports an outcome.
    fn conclude(&self, task: &'a Task, outcome: &ImportOutcome) -> Result<(), Failure> {
        let now = self.stack.clock.now();
        let stage = match outcome {
            ImportOutcome::AppRefused(cause) => {
                self.stop(&format!("HubSpot refuses the app's own credentials ({cause}): correct them."));
                self.report.borrow_mut().left();
                return Ok(());
            }
            ImportOutcome::RefusedUnrecorded => {
                self.hold(task);
                return Ok(());
            }
            ImportOutcome::Imported => {
                self.refusals_in_a_row.set(0);
                Some(Stage::Finished)
            }
            ImportOutcome::ImportedOlder | ImportOutcome::AlreadyThere | ImportOutcome::Disconnected => {
                Some(Stage::Finished)
            }
            ImportOutcome::Refused => Some(Stage::Refused),
            ImportOutcome::RefusedBefore | ImportOutcome::Conflict(_) | ImportOutcome::Later(..) => None,
        };
        if let Some(stage) = stage {
            self.ledger.borrow_mut().record(&task.record, stage, now)?;
        }
        self.report.borrow_mut().outcome(task, outcome)
    }

    /// Keeps a refused integration for the end of the run. After many in a row, none of them is recorded.
    fn hold(&self, task: &'a Task) {
        let refusals = self.refusals_in_a_row.get() + 1;
        self.refusals_in_a_row.set(refusals);
        self.unrecorded.borrow_mut().push(task);
        if refusals >= REFUSALS {
            self.stop(&format!(
                "HubSpot has refused {refusals} refresh tokens in a row: the app's credentials are probably those of \
                 another app than the tokens were issued to. None of the refused integrations was recorded or marked."
            ));
        }
    }

    async fn try_import(&self, task: &Task, mode: RefusalMode) -> ImportOutcome {
        let entry = self.ledger.borrow().entry(&task.record);
        let started = || {
            let now = self.stack.clock.now();
            self.ledger.borrow_mut().record(&task.record, Stage::Started, now).map_err(Error::internal)
        };
        // Those that HubSpot has refused keep their place: an older one must not take it and become the newest.
        let held = match mode {
            RefusalMode::LeaveUnrecorded => {
                self.unrecorded.borrow().iter().filter(|held| held.is_of_account(task)).count()
            }
            RefusalMode::Record => 0,
        };
        // Boxed: futures nested this deep exceed the compiler's limit.
        match Box::pin(import_one(self.stack, &task.record, entry.as_ref(), mode, held, started)).await {
            Ok(outcome) => outcome,
            // An AWS failure is retried; a conflict is not.
            Err(error) => match error.retry_after() {
                Some(seconds) => ImportOutcome::Later(i64::try_from(seconds).unwrap_or(60), cause(&error)),
                None => ImportOutcome::Conflict(error.to_string()),
            },
        }
    }

    /// A rate limit of HubSpot applies to all tasks, so all wait. If its token endpoint keeps failing, the run ends.
    fn spare_hubspot(&self, seconds: i64) {
        match self.stack.hubspot.failures() {
            0 => {}
            failures if failures < FAILURES * self.concurrency => {
                let until = self.stack.clock.now() + seconds;
                self.pause_until.set(self.pause_until.get().max(until));
            }
            _ => self.stop("HubSpot's token endpoint keeps failing."),
        }
    }

    fn stop(&self, reason: &str) {
        self.stop.borrow_mut().get_or_insert_with(|| reason.to_owned());
    }

    /// Waits until a time, or until the run is stopped.
    async fn sleep_until(&self, until: i64) {
        while self.stack.clock.now() < until && self.stop.borrow().is_none() {
            self.stack.clock.sleep(POLL).await;
        }
    }
}
