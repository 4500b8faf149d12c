//! The report of an import: a result per line of the file, a progress bar on a terminal, and a summary.

use std::collections::BTreeMap;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::import_one::ImportOutcome;
use super::record::ImportRecord;
use crate::exit::Failure;
use crate::output::Output;

/// The result of one line of the file.
#[derive(Serialize)]
struct LineResult<'a> {
    line: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    integration_id: Option<&'a str>,
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

#[derive(Serialize)]
struct ImportSummary<'a> {
    summary: &'a BTreeMap<&'static str, u64>,
}

/// The report of one import.
pub(super) struct Report<'a> {
    output: &'a mut Output,
    bar: ProgressBar,
    counts: BTreeMap<&'static str, u64>,
    /// Results that need attention.
    pub(super) findings: usize,
}

impl<'a> Report<'a> {
    /// A report on a file with this number of lines.
    pub(super) fn new(output: &'a mut Output, lines: u64) -> Self {
        let bar = ProgressBar::new(lines);
        let template = "{bar:30} {human_pos} of {human_len} lines, {per_sec}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { output, bar, counts: BTreeMap::new(), findings: 0 }
    }

    /// A line that an earlier run has finished.
    pub(super) fn skipped(&mut self) {
        *self.counts.entry("finished_before").or_default() += 1;
        self.bar.inc(1);
    }

    /// A line that is not an integration.
    pub(super) fn malformed(&mut self, number: u64, reason: &str) -> Result<(), Failure> {
        self.findings += 1;
        self.print(&LineResult {
            line: number,
            account_id: None,
            integration_id: None,
            result: "malformed",
            reason: Some(reason),
        })
    }

    /// An integration and its outcome.
    pub(super) fn outcome(
        &mut self,
        number: u64,
        record: &ImportRecord,
        outcome: &ImportOutcome,
    ) -> Result<(), Failure> {
        let (result, reason) = describe(outcome);
        if matches!(outcome, ImportOutcome::Refused | ImportOutcome::Conflict(_)) {
            self.findings += 1;
        }
        self.line(number, record, result, reason)
    }

    /// An integration of a dry run.
    pub(super) fn dry_run(
        &mut self,
        number: u64,
        record: &ImportRecord,
        result: &'static str,
        conflict: Option<&str>,
    ) -> Result<(), Failure> {
        self.findings += usize::from(conflict.is_some());
        self.line(number, record, result, conflict)
    }

    /// A line that was not started or not finished.
    pub(super) fn left(&mut self) {
        *self.counts.entry("left").or_default() += 1;
    }

    /// Prints the summary; returns how many lines are left.
    pub(super) fn close(self) -> Result<u64, Failure> {
        self.bar.finish_and_clear();
        let counts = &self.counts;
        self.output.result(&ImportSummary { summary: counts }, || {
            let parts: Vec<String> =
                counts.iter().map(|(result, count)| format!("{count} {}", spoken(result))).collect();
            if parts.is_empty() {
                "The file has no lines.".to_owned()
            } else {
                format!("In all: {}.", parts.join(", "))
            }
        })?;
        Ok(counts.get("left").copied().unwrap_or_default())
    }

    fn line(
        &mut self,
        number: u64,
        record: &ImportRecord,
        result: &'static str,
        reason: Option<&str>,
    ) -> Result<(), Failure> {
        self.print(&LineResult {
            line: number,
            account_id: Some(record.account_id.as_str()),
            integration_id: Some(record.integration_id.as_str()),
            result,
            reason,
        })
    }

    fn print(&mut self, line: &LineResult<'_>) -> Result<(), Failure> {
        *self.counts.entry(line.result).or_default() += 1;
        let bar = self.bar.clone();
        bar.suspend(|| {
            self.output.result(line, || {
                let ids = [line.account_id, line.integration_id].into_iter().flatten().map(|id| format!(" {id}"));
                let reason = line.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                format!("line {}:{} {}{reason}", line.line, ids.collect::<String>(), spoken(line.result))
            })?;
            self.output.flush()
        })?;
        self.bar.inc(1);
        Ok(())
    }
}

fn spoken(result: &str) -> String {
    result.replace('_', " ")
}

fn describe(outcome: &ImportOutcome) -> (&'static str, Option<&str>) {
    match outcome {
        ImportOutcome::Imported => ("imported", None),
        ImportOutcome::ImportedOlder => {
            ("imported_as_older", Some("the account has a newer instance, which runs its automations"))
        }
        ImportOutcome::AlreadyThere => ("already_there", None),
        ImportOutcome::Refused => {
            ("refused", Some("HubSpot does not accept the refresh token; an admin has to reconnect"))
        }
        ImportOutcome::Disconnected => ("disconnected", Some("the customer has disconnected it since; it stays so")),
        ImportOutcome::Conflict(why) => ("conflict", Some(why)),
        ImportOutcome::Later(_, cause) | ImportOutcome::AppRefused(cause) => ("unproven", Some(cause)),
    }
}
