//! The report of an import: a result per line of the file, a progress bar on a terminal, and a summary.

use std::collections::BTreeMap;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::Task;
use super::import_one::ImportOutcome;
use crate::exit::Failure;
use crate::format_time::span;
use crate::operator::Operator;
use crate::output::Output;

/// An import, or the plan of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RunMode {
    Import,
    DryRun,
}

/// The result of one line of the file.
#[derive(Serialize)]
struct ImportLine<'a> {
    line: u64,
    account_id: Option<&'a str>,
    integration_id: Option<&'a str>,
    outcome: &'static str,
    detail: Option<&'a str>,
}

#[derive(Serialize)]
struct ImportSummary<'a> {
    dry_run: bool,
    outcomes: &'a BTreeMap<&'static str, u64>,
    /// None in a dry run.
    #[serde(flatten)]
    operator: Option<&'a Operator>,
}

#[derive(Serialize)]
struct ImportWait<'a> {
    seconds: i64,
    detail: &'a str,
}

/// The report of one import.
pub(super) struct ImportReport<'a> {
    output: &'a mut Output,
    mode: RunMode,
    operator: Option<Operator>,
    bar: ProgressBar,
    /// Every line of the file is counted once.
    counts: BTreeMap<&'static str, u64>,
    /// Results that need attention.
    pub(super) findings: usize,
    /// Until when a wait was reported, in epoch seconds.
    waiting_until: i64,
}

impl<'a> ImportReport<'a> {
    /// A report on a file with this number of lines; a dry run has no operator.
    pub(super) fn new(output: &'a mut Output, lines: u64, operator: Option<Operator>) -> Self {
        let mode = if operator.is_some() { RunMode::Import } else { RunMode::DryRun };
        let bar = ProgressBar::new(lines);
        let template = "{bar:30} {human_pos} of {human_len} lines, {per_sec}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { output, mode, operator, bar, counts: BTreeMap::new(), findings: 0, waiting_until: 0 }
    }

    /// A line that an earlier run has finished.
    pub(super) fn skipped(&mut self) {
        *self.counts.entry("finished_before").or_default() += 1;
        self.bar.inc(1);
    }

    /// A line that is not an integration.
    pub(super) fn malformed(&mut self, number: u64, reason: &str) -> Result<(), Failure> {
        self.findings += 1;
        let outcome = "malformed";
        self.print(&ImportLine { line: number, account_id: None, integration_id: None, outcome, detail: Some(reason) })
    }

    /// An integration and its outcome, or the outcome that it would have.
    pub(super) fn outcome(&mut self, task: &Task, outcome: &ImportOutcome) -> Result<(), Failure> {
        let (name, detail) = describe(outcome);
        if matches!(outcome, ImportOutcome::Refused | ImportOutcome::RefusedBefore | ImportOutcome::Conflict(_)) {
            self.findings += 1;
        }
        self.print(&ImportLine {
            line: task.number,
            account_id: Some(task.record.account_id.as_str()),
            integration_id: Some(task.record.integration_id.as_str()),
            outcome: name,
            detail,
        })
    }

    /// A line that was not started.
    pub(super) fn left(&mut self) {
        *self.counts.entry("left").or_default() += 1;
    }

    /// Says what the import waits for, once for each wait.
    pub(super) fn waiting(&mut self, until: i64, seconds: i64, cause: &str) -> Result<(), Failure> {
        if until <= self.waiting_until {
            return Ok(());
        }
        self.waiting_until = until;
        let wait = ImportWait { seconds, detail: cause };
        let bar = self.bar.clone();
        bar.suspend(|| {
            self.output.result("import_wait", &wait, || vec![format!("waiting {}: {cause}", span(seconds))])?;
            self.output.flush()
        })
    }

    /// Prints the summary; returns how many lines are left for a later run.
    pub(super) fn close(self) -> Result<u64, Failure> {
        self.bar.finish_and_clear();
        let counts = &self.counts;
        let dry_run = self.mode == RunMode::DryRun;
        let summary = ImportSummary { dry_run, outcomes: counts, operator: self.operator.as_ref() };
        self.output.result("import_summary", &summary, || {
            let parts: Vec<String> =
                counts.iter().map(|(outcome, count)| format!("{count} {}", self.mode.words(outcome))).collect();
            if parts.is_empty() {
                vec!["The file has no lines.".to_owned()]
            } else {
                vec![format!("In all: {}.", parts.join(", "))]
            }
        })?;
        Ok(["left", "unfinished"].iter().filter_map(|outcome| counts.get(outcome)).sum())
    }

    fn print(&mut self, line: &ImportLine<'_>) -> Result<(), Failure> {
        *self.counts.entry(line.outcome).or_default() += 1;
        let bar = self.bar.clone();
        let mode = self.mode;
        bar.suspend(|| {
            self.output.result("import_line", line, || {
                let ids = [line.account_id, line.integration_id].into_iter().flatten().map(|id| format!(" {id}"));
                let detail = line.detail.map(|detail| format!(": {detail}")).unwrap_or_default();
                vec![format!("line {}:{} {}{detail}", line.line, ids.collect::<String>(), mode.words(line.outcome))]
            })?;
            self.output.flush()
        })?;
        self.bar.inc(1);
        Ok(())
    }
}

impl RunMode {
    /// An outcome in words.
    fn words(self, outcome: &str) -> String {
        let words = outcome.replace('_', " ");
        match self {
            Self::DryRun if outcome.starts_with("imported") => format!("would be {words}"),
            Self::DryRun | Self::Import => words,
        }
    }
}

fn describe(outcome: &ImportOutcome) -> (&'static str, Option<&str>) {
    match outcome {
        ImportOutcome::Imported => ("imported", None),
        ImportOutcome::ImportedOlder => {
            ("imported_as_older", Some("the account has a newer instance, which runs its automations"))
        }
        ImportOutcome::AlreadyThere => ("already_there", None),
        ImportOutcome::Refused | ImportOutcome::RefusedUnrecorded => (
            "refused",
            Some("HubSpot does not accept the refresh token; an admin has to reconnect, or correct the line"),
        ),
        ImportOutcome::RefusedBefore => (
            "refused_before",
            Some("the line has the refresh token that HubSpot refused; an admin has to reconnect, or correct the line"),
        ),
        ImportOutcome::Disconnected => ("disconnected", Some("the customer has disconnected it since; it stays so")),
        ImportOutcome::Conflict(why) => ("conflict", Some(why)),
        ImportOutcome::Later(_, cause) | ImportOutcome::AppRefused(cause) => ("unfinished", Some(cause)),
    }
}
