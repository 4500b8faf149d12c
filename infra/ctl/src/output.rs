//! Output: results to stdout, failures to stderr.

use std::io::{self, BufWriter, ErrorKind, Stdout, Write};
use std::process::ExitCode;

use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::terminal::printable;

/// For whom results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Text for people.
    Text,
    /// JSON lines for machines (`infra/hubspotctl.schema.json`).
    Json,
}

/// Results, in one format.
pub(crate) struct Output {
    stdout: BufWriter<Stdout>,
    format: Format,
}

/// A line of JSON.
#[derive(Serialize)]
struct TypedLine<'a, T> {
    r#type: &'a str,
    #[serde(flatten)]
    value: &'a T,
}

/// The line of JSON about a risk.
#[derive(Serialize)]
struct WarningLine<'a> {
    detail: &'a str,
}

/// The line of JSON about a failure.
#[derive(Serialize)]
struct FailureLine {
    detail: String,
    exit_code: u8,
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        Self { stdout: BufWriter::new(io::stdout()), format }
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Prints one result: `value` as a line of JSON of this type, or `text`, lines for people.
    pub(crate) fn result(
        &mut self,
        r#type: &str,
        value: &impl Serialize,
        text: impl FnOnce() -> Vec<String>,
    ) -> Result<(), Failure> {
        match self.format {
            Format::Text => self.note(&text()),
            Format::Json => {
                let line = TypedLine { r#type, value };
                serde_json::to_writer(&mut self.stdout, &line).map_err(|error| failed(error.io_error_kind()))?;
                self.raw("")
            }
        }
    }

    /// Prints lines for people; machines get none.
    pub(crate) fn note(&mut self, lines: &[String]) -> Result<(), Failure> {
        if self.format == Format::Json {
            return Ok(());
        }
        lines.iter().try_for_each(|line| self.raw(&printable(line)))
    }

    /// Prints text of our own, whatever the format.
    pub(crate) fn raw(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(self.stdout, "{text}").map_err(|error| failed(Some(error.kind())))
    }

    /// Makes everything printed so far visible.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.stdout.flush().map_err(|error| failed(Some(error.kind())))
    }

    /// Warns, on stderr.
    pub(crate) fn warn(&self, text: &str) {
        let line = match self.format {
            Format::Text => format!("warning: {}", printable(text)),
            Format::Json => {
                let value = &WarningLine { detail: text };
                serde_json::to_string(&TypedLine { r#type: "warning", value }).unwrap_or_default()
            }
        };
        // A closed stderr must not keep the command from working.
        let _ = writeln!(io::stderr(), "{line}");
    }

    /// Reports how the command ended.
    pub(crate) fn close(mut self, result: Result<Exit, Failure>) -> ExitCode {
        let flushed = self.flush();
        match result.and_then(|exit| flushed.map(|()| exit)) {
            Ok(exit) => exit.code().into(),
            Err(failure) => {
                self.print_failure(&failure);
                // What is still buffered cannot be written: dropping the buffer would try again.
                let (_, _) = self.stdout.into_parts();
                failure.code().into()
            }
        }
    }

    fn print_failure(&self, failure: &Failure) {
        let detail = failure.to_string();
        if detail.is_empty() {
            return;
        }
        let text = match self.format {
            Format::Text => format!("hubspotctl: {}", printable(&detail)),
            Format::Json => {
                let value = &FailureLine { detail, exit_code: failure.code() };
                serde_json::to_string(&TypedLine { r#type: "failure", value }).unwrap_or_default()
            }
        };
        // If stderr is closed too, the exit code remains.
        let _ = writeln!(io::stderr(), "{text}");
    }
}

fn failed(kind: Option<ErrorKind>) -> Failure {
    if kind == Some(ErrorKind::BrokenPipe) { Failure::OutputClosed(String::new()) } else { Failure::Output }
}
