//! The operator's tool: everything that people do to the stack from outside, by the code that the functions run.
//!
//! A command is a module with an `Args` and a `run(args, …, output) -> Result<End, Failure>`. It reports its results
//! by [`output::Output`] only, as text for people or as JSON lines.
//!
//! Invariant: no token and no secret is ever in what the tool prints: results are types without such fields, and
//! errors quote no value of a file or an answer.

mod check;
mod cli;
mod completions;
mod end;
mod import;
mod lines;
mod output;
mod stack;

use std::process::ExitCode;

pub use cli::Cli;
use cli::Command;
use end::{End, Failure};
use output::Output;

/// Runs one command and says how it ended.
pub async fn run(cli: Cli) -> ExitCode {
    let mut output = Output::new(cli.global.json);
    let ended = command(&cli, &mut output).await;
    output.close(ended)
}

async fn command(cli: &Cli, output: &mut Output) -> Result<End, Failure> {
    match &cli.command {
        Command::Check(args) => check::run(args, &cli.global, output).await,
        Command::Import(args) => import::run(args, &cli.global, output).await,
        Command::Completions(args) => completions::run(args, output),
    }
}
