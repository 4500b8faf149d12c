//! What the tool prints: results to stdout, failures to stderr.

use std::io::{self, BufWriter, Stdout, Write};
use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;

use crate::end::{End, Failure};

/// Results, as text for people or as JSON lines for machines.
pub(crate) struct Output {
    stdout: BufWriter<Stdout>,
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { stdout: BufWriter::new(io::stdout()), json }
    }

    /// Whether results are for machines.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// One result: `value` as a line of JSON, or `text`, a paragraph for people.
    pub(crate) fn result(&mut self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
        if !self.json {
            return self.text(&text());
        }
        serde_json::to_writer(&mut self.stdout, value).map_err(|_| Failure::Output)?;
        self.text("")
    }

    /// Text whatever the format.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(self.stdout, "{text}").map_err(|_| Failure::Output)
    }

    /// Lets everything be seen that was printed so far.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.stdout.flush().map_err(|_| Failure::Output)
    }

    /// Says how the command ended.
    pub(crate) fn close(mut self, ended: Result<End, Failure>) -> ExitCode {
        let ended = match (ended, self.flush()) {
            (Ok(_), Err(failure)) => Err(failure),
            (ended, _) => ended,
        };
        match ended {
            Ok(end) => end.code().into(),
            Err(failure) => {
                let text = match self.json {
                    true => json!({ "error": failure.to_string(), "exit_code": failure.code() }).to_string(),
                    false => format!("hubspotctl: {failure}"),
                };
                // Where even that cannot be said, the exit code says it.
                let _ = writeln!(io::stderr(), "{text}");
                failure.code().into()
            }
        }
    }
}
