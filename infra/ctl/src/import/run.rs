//! The work of an import: several accounts at a time, the integrations of one account one after another.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use shared::error::Error;

use super::import_one::{ImportOutcome, import_one};
use super::ledger::{ImportLedger, Stage};
use super::record::ImportRecord;
use super::report::Report;
use super::{ImportFile, ParsedLine};
use crate::exit::Failure;
use crate::stack::Stack;

/// An integration that cannot be verified is left for a later run after this many seconds.
const PATIENCE: i64 = 120;
/// The run ends after this many refreshes in a row without a clear answer, per integration in progress.
const FAILURES: usize = 4;
/// How often a waiting task looks whether the run was stopped.
const POLL: Duration = Duration::from_millis(200);

/// An integration to import.
struct Task {
    number: u64,
    record: ImportRecord,
}

/// One import in progress.
struct Run<'a> {
    stack: &'a Stack,
    ledger: RefCell<ImportLedger>,
    report: RefCell<Report<'a>>,
    concurrency: usize,
    /// Why nothing more is started.
    stop: RefCell<Option<String>>,
    failure: RefCell<Option<Failure>>,
    /// HubSpot is not called before this time, in epoch seconds.
    pause_until: Cell<i64>,
}

/// Imports all lines; returns the report and, if the run stopped early, the reason.
pub(super) async fn run<'a>(
    stack: &'a Stack,
    file: ImportFile,
    ledger: ImportLedger,
    report: Report<'a>,
    concurrency: usize,
) -> Result<(Report<'a>, Option<String>), Failure> {
    let run = Run {
        stack,
        ledger: RefCell::new(ledger),
        report: RefCell::new(report),
        concurrency,
        stop: RefCell::default(),
        failure: RefCell::default(),
        pause_until: Cell::new(0),
    };
    let accounts = run.tasks_by_account(file)?;
    let work = stream::iter(accounts.into_iter().map(|tasks| run.import_account(tasks)));
    let work = work.buffer_unordered(concurrency).collect::<()>();
    let interrupted = async {
        if tokio::signal::ctrl_c().await.is_ok() {
            run.stop("Interrupted; integrations in progress were finished.");
        }
        std::future::pending::<()>().await;
    };
    tokio::select! { () = work => {}, () = interrupted => {} }
    match run.failure.into_inner() {
        Some(failure) => Err(failure),
        None => Ok((run.report.into_inner(), run.stop.into_inner())),
    }
}

impl Run<'_> {
    /// Reads the file; reports what is malformed or was finished before, and groups the rest by account.
    fn tasks_by_account(&self, mut file: ImportFile) -> Result<Vec<Vec<Task>>, Failure> {
        let mut accounts = Vec::<Vec<Task>>::new();
        let mut index = HashMap::new();
        while let Some(line) = file.next(self.stack.clock.now())? {
            let (number, record) = match line {
                ParsedLine::Record(number, record) => (number, record),
                ParsedLine::Malformed(number, reason) => {
                    self.report.borrow_mut().malformed(number, &reason)?;
                    continue;
                }
            };
            if matches!(self.ledger.borrow().stage(&record), Some((Stage::Finished, _))) {
                self.report.borrow_mut().skipped();
                continue;
            }
            let at = *index.entry(record.account_id.clone()).or_insert(accounts.len());
            if at == accounts.len() {
                accounts.push(Vec::new());
            }
            accounts[at].push(Task { number, record });
        }
        Ok(accounts)
    }

    async fn import_account(&self, tasks: Vec<Task>) {
        for task in tasks {
            if let Err(failure) = self.import(&task).await {
                // Refreshes in progress must not be dropped, so the run only starts nothing more.
                self.stop("The run failed.");
                self.failure.borrow_mut().get_or_insert(failure);
            }
        }
    }

    /// Imports one integration, waiting as long as the cause of a delay asks for.
    async fn import(&self, task: &Task) -> Result<(), Failure> {
        let clock = &self.stack.clock;
        let mut give_up_at = None;
        loop {
            self.sleep_until(self.pause_until.get()).await;
            if self.stop.borrow().is_some() {
                self.report.borrow_mut().left();
                return Ok(());
            }
            let outcome = self.try_import(task).await;
            match &outcome {
                ImportOutcome::AppRefused(cause) => {
                    self.stop(&format!("HubSpot refuses the app's own credentials ({cause}): put them right."));
                    self.report.borrow_mut().left();
                    return Ok(());
                }
                ImportOutcome::Later(seconds, _) => {
                    let now = clock.now();
                    self.spare_hubspot(*seconds);
                    if now >= *give_up_at.get_or_insert(now + PATIENCE) {
                        self.report.borrow_mut().outcome(task.number, &task.record, &outcome)?;
                        self.report.borrow_mut().left();
                        return Ok(());
                    }
                    self.sleep_until(now + (*seconds).clamp(1, 60)).await;
                }
                ImportOutcome::Conflict(_) => return self.report(task, &outcome),
                ImportOutcome::Imported
                | ImportOutcome::ImportedOlder
                | ImportOutcome::AlreadyThere
                | ImportOutcome::Refused
                | ImportOutcome::Disconnected => {
                    self.ledger.borrow_mut().record(&task.record, Stage::Finished, clock.now())?;
                    return self.report(task, &outcome);
                }
            }
        }
    }

    async fn try_import(&self, task: &Task) -> ImportOutcome {
        let stage = self.ledger.borrow().stage(&task.record);
        let started = || {
            let now = self.stack.clock.now();
            self.ledger.borrow_mut().record(&task.record, Stage::Begun, now).map_err(Error::internal)
        };
        // Boxed: futures nested this deep exceed the compiler's limit.
        match Box::pin(import_one(self.stack, &task.record, stage, started)).await {
            Ok(outcome) => outcome,
            // An AWS failure is retried; a conflict is not.
            Err(error) => match error.retry_after() {
                Some(seconds) => ImportOutcome::Later(i64::try_from(seconds).unwrap_or(60), error.to_string()),
                None => ImportOutcome::Conflict(error.to_string()),
            },
        }
    }

    fn report(&self, task: &Task, outcome: &ImportOutcome) -> Result<(), Failure> {
        self.report.borrow_mut().outcome(task.number, &task.record, outcome)
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
