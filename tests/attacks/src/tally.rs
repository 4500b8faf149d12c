//! Counts what was tried and what came of it.

use std::fmt::Debug;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The inputs of one kind, how many of them got through, and how many ended in a panic.
///
/// Where `HOSTILE_REPORT` names a file, a line about them is appended there: `make hostile` makes its summary of it.
pub struct Tally {
    what: &'static str,
    inputs: u64,
    leaks: u64,
    panics: u64,
    /// The first findings.
    shown: Vec<String>,
}

impl Tally {
    pub fn new(what: &'static str) -> Self {
        Self { what, inputs: 0, leaks: 0, panics: 0, shown: Vec::new() }
    }

    /// Tries one input; `Err` says what got through.
    pub fn input(&mut self, input: &impl Debug, attempt: impl FnOnce() -> Result<(), String>) {
        match catch_unwind(AssertUnwindSafe(attempt)) {
            Ok(result) => self.found(input, result),
            Err(_) => {
                self.panics += 1;
                self.found(input, Ok(()));
                self.show(format!("{input:?} ended in a panic"));
            }
        }
    }

    /// Counts one input that was tried already.
    pub fn found(&mut self, input: &impl Debug, result: Result<(), String>) {
        self.inputs += 1;
        if let Err(leak) = result {
            self.leaks += 1;
            self.show(format!("{input:?}: {leak}"));
        }
    }

    fn show(&mut self, finding: String) {
        if self.shown.len() < 10 {
            self.shown.push(finding);
        }
    }

    /// Reports; nothing may have got through, and there have to have been so many inputs.
    #[track_caller]
    pub fn finish(self, at_least: u64) {
        if let Some(report) = std::env::var_os("HOSTILE_REPORT") {
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(report).unwrap();
            let line = format!("{}\t{}\t{}\t{}\n", self.what, self.inputs, self.leaks, self.panics);
            file.write_all(line.as_bytes()).unwrap();
        }
        let findings = self.shown.join("\n");
        assert_eq!((self.leaks, self.panics), (0, 0), "{}, leaks and panics:\n{findings}", self.what);
        assert!(self.inputs >= at_least, "{}: only {} inputs", self.what, self.inputs);
    }
}
