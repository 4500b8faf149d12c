//! What the tool prints: results to stdout, failures to stderr.

use std::io::{self, BufWriter, Stdout, Write};
use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;

use crate::exit::{Exit, Failure};

/// For whom results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Text for people.
    Text,
    /// JSON lines for machines.
    Json,
}

/// Results, in one format.
pub(crate) struct Output {
    stdout: BufWriter<Stdout>,
    format: Format,
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        Self { stdout: BufWriter::new(io::stdout()), format }
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Prints one result: `value` as a line of JSON, or `text`, a paragraph for people.
    pub(crate) fn result(&mut self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<(), Failure> {
        if self.format == Format::Text {
            return self.text(&text());
        }
        serde_json::to_writer(&mut self.stdout, value).map_err(|_| Failure::Output)?;
        self.text("")
    }

    /// Prints text whatever the format.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(self.stdout, "{text}").map_err(|_| Failure::Output)
    }

    /// Makes everything printed so far visible.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.stdout.flush().map_err(|_| Failure::Output)
    }

    /// Reports how the command ended.
    pub(crate) fn close(mut self, result: Result<Exit, Failure>) -> ExitCode {
        let flushed = self.flush();
        match result.and_then(|exit| flushed.map(|()| exit)) {
            Ok(exit) => exit.code().into(),
            Err(failure) => {
                let text = match self.format {
                    Format::Json => json!({ "error": failure.to_string(), "exit_code": failure.code() }).to_string(),
                    Format::Text => format!("hubspotctl: {failure}"),
                };
                // If stderr is closed too, the exit code remains.
                let _ = writeln!(io::stderr(), "{text}");
                failure.code().into()
            }
        }
    }
}
