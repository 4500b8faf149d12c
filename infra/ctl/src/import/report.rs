//! What an import tells: a line for each line of the file, a bar on a terminal, and a summary.

use std::collections::BTreeMap;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::bring::Fate;
use super::entry::Entry;
use crate::end::Failure;
use crate::output::Output;

/// One line of the file and what became of it.
#[derive(Serialize)]
struct Told<'a> {
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
struct Summary<'a> {
    summary: &'a BTreeMap<&'static str, u64>,
}

/// The telling of one import.
pub(super) struct Report<'a> {
    output: &'a mut Output,
    bar: ProgressBar,
    counts: BTreeMap<&'static str, u64>,
    /// Whether somebody has to look at something.
    pub(super) findings: bool,
}

impl<'a> Report<'a> {
    /// A report on a file of so many lines.
    pub(super) fn new(output: &'a mut Output, lines: u64) -> Self {
        let bar = ProgressBar::new(lines);
        let template = "{bar:30} {human_pos} of {human_len} lines, {per_sec}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { output, bar, counts: BTreeMap::new(), findings: false }
    }

    /// A line that earlier runs have finished.
    pub(super) fn skipped(&mut self) {
        *self.counts.entry("finished_before").or_default() += 1;
        self.bar.inc(1);
    }

    /// A line that is no integration.
    pub(super) fn malformed(&mut self, number: u64, reason: &str) -> Result<(), Failure> {
        self.findings = true;
        self.tell(Told {
            line: number,
            account_id: None,
            integration_id: None,
            result: "malformed",
            reason: Some(reason),
        })
    }

    /// An integration and what became of it, or would.
    pub(super) fn told(&mut self, number: u64, entry: &Entry, fate: &Fate) -> Result<(), Failure> {
        let (result, reason) = words(fate);
        self.findings |= matches!(fate, Fate::Refused | Fate::Conflict(_));
        self.entry(number, entry, result, reason)
    }

    /// An integration of a dry run.
    pub(super) fn would(
        &mut self,
        number: u64,
        entry: &Entry,
        result: &'static str,
        why: Option<&str>,
    ) -> Result<(), Failure> {
        self.findings |= why.is_some();
        self.entry(number, entry, result, why)
    }

    /// So many lines were not begun, or not brought to their end.
    pub(super) fn left(&mut self) {
        *self.counts.entry("left").or_default() += 1;
    }

    /// The summary; how many lines are left.
    pub(super) fn close(self) -> Result<u64, Failure> {
        self.bar.finish_and_clear();
        let counts = &self.counts;
        self.output.result(&Summary { summary: counts }, || {
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

    fn entry(&mut self, number: u64, entry: &Entry, result: &'static str, reason: Option<&str>) -> Result<(), Failure> {
        let (account_id, integration_id) = (Some(entry.account_id.as_str()), Some(entry.integration_id.as_str()));
        self.tell(Told { line: number, account_id, integration_id, result, reason })
    }

    fn tell(&mut self, told: Told<'_>) -> Result<(), Failure> {
        *self.counts.entry(told.result).or_default() += 1;
        let bar = self.bar.clone();
        bar.suspend(|| {
            self.output.result(&told, || {
                let whose = [told.account_id, told.integration_id].into_iter().flatten().map(|id| format!(" {id}"));
                let why = told.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                format!("line {}:{} {}{why}", told.line, whose.collect::<String>(), spoken(told.result))
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

fn words(fate: &Fate) -> (&'static str, Option<&str>) {
    match fate {
        Fate::Imported => ("imported", None),
        Fate::ImportedOlder => {
            ("imported_as_older", Some("the account has a newer instance, which runs its automations"))
        }
        Fate::AlreadyThere => ("already_there", None),
        Fate::Refused => ("refused", Some("HubSpot does not accept the refresh token; an admin has to reconnect")),
        Fate::Disconnected => ("disconnected", Some("the customer has disconnected it since; it stays so")),
        Fate::Conflict(why) => ("conflict", Some(why)),
        Fate::Later(_, cause) | Fate::AppRefused(cause) => ("unproven", Some(cause)),
    }
}
