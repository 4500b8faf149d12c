//! Wires the operator's tool: arguments, output, command, exit code.

use std::process::ExitCode;

use clap::Parser;
use hubspotctl::{Cli, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run(Cli::parse()).await
}
