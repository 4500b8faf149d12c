//! Resource use of the system's operations, counted on this machine.
//!
//! The stack goes through one operation of each kind with the real binaries, and the emulators count what AWS would
//! meter.

mod count;

use serde::Serialize;
use serde_json::{Value, json};

use crate::stack::{Options, Stack};
pub use count::OperationCounts;

/// The form in which the counts are printed.
#[derive(Clone, Copy, Debug)]
pub enum OutputFormat {
    /// The table of the page on costs.
    Markdown,
    /// For machines.
    Json,
}

/// Resource use of one operation.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Counts {
    /// Invocations of functions.
    pub invocations: usize,
    /// Calls of DynamoDB.
    pub dynamodb_calls: usize,
    /// Read request units.
    pub read_units: f64,
    /// Write request units, those of the index included.
    pub write_units: f64,
    /// Calls of Secrets Manager.
    pub secret_calls: usize,
    /// Requests to HubSpot, those to its token endpoint included.
    pub hubspot_calls: usize,
    /// Bytes of log lines.
    pub log_bytes: usize,
}

impl Counts {
    /// The difference from `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            invocations: self.invocations.saturating_sub(earlier.invocations),
            dynamodb_calls: self.dynamodb_calls.saturating_sub(earlier.dynamodb_calls),
            read_units: self.read_units - earlier.read_units,
            write_units: self.write_units - earlier.write_units,
            secret_calls: self.secret_calls.saturating_sub(earlier.secret_calls),
            hubspot_calls: self.hubspot_calls.saturating_sub(earlier.hubspot_calls),
            log_bytes: self.log_bytes.saturating_sub(earlier.log_bytes),
        }
    }
}

/// Starts a stack, counts, and prints.
///
/// # Errors
/// The stack does not start, or an operation fails.
pub async fn run(form: OutputFormat) -> Result<(), String> {
    let counted = OperationCounts::on(&Stack::start(options()).await?).await?;
    match form {
        OutputFormat::Markdown => print!("{}", counted.markdown()),
        OutputFormat::Json => println!("{:#}", counted.json()),
    }
    Ok(())
}

/// A stack on which counting is exact: one process for each function, so that what follows an operation is warm.
#[must_use]
pub fn options() -> Options {
    Options { concurrency: 1, ..Options::default() }
}

const HEAD: [&str; 8] =
    ["", "Lambda", "DynamoDB: calls", "read units", "write units", "Secrets Manager", "HubSpot", "log bytes"];

impl OperationCounts {
    fn rows(&self) -> [(&'static str, &Counts); 8] {
        [
            ("a connect", &self.connect),
            ("a scheduled refresh", &self.refresh),
            ("a scheduled refresh of an idle integration", &self.refresh_idle),
            ("an execution", &self.execution),
            ("an execution, its tokens in memory", &self.execution_in_memory),
            ("an idempotency key adds to it", &self.key),
            ("an execution in a new process", &self.execution_cold),
            ("a scheduled run with nothing due", &self.run),
        ]
    }

    /// The table, as the page on costs has it.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut table = format!("| {} |\n| --- |{}\n", HEAD.join(" | "), " ---: |".repeat(HEAD.len() - 1));
        for (name, counts) in self.rows() {
            let Counts { invocations, dynamodb_calls, read_units, write_units, secret_calls, hubspot_calls, log_bytes } =
                counts;
            table += &format!(
                "| {name} | {invocations} | {dynamodb_calls} | {read_units} | {write_units} | {secret_calls} | \
                 {hubspot_calls} | {log_bytes} |\n"
            );
        }
        table
    }

    /// The counts by operation.
    #[must_use]
    pub fn json(&self) -> Value {
        self.rows().into_iter().map(|(name, counts)| (name, json!(counts))).collect()
    }
}
