//! The operator's tool: everything that people do to the stack from outside, by the code that the functions run.
//!
//! A command is a module with an `Args` and a `run(args, …, output) -> Result<End, Failure>`. It reports its results
//! by `output::Output` only, as text for people or as JSON lines.
//!
//! Invariant: no token and no secret is ever in what the tool prints: results are types without such fields, and
//! errors quote no value of a file or an answer.

mod accounts;
mod app_secret;
mod ask;
mod check;
mod cli;
mod completions;
mod decommission;
mod disconnect;
mod doctor;
mod end;
mod health;
mod import;
mod integrations;
mod lines;
mod output;
mod refresh;
mod stack;
mod status;
mod times;

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
        Command::Status(args) => status::run(args, &cli.global, output).await,
        Command::Integrations(command) => integrations::run(command, &cli.global, output).await,
        Command::Refresh(which) => refresh::run(which, &cli.global, output).await,
        Command::Disconnect(args) => disconnect::run(args, &cli.global, output).await,
        Command::AppSecret(command) => app_secret::run(command, &cli.global, output).await,
        Command::Doctor(_) => doctor::run(&cli.global, output).await,
        Command::Decommission(args) => decommission::run(args, &cli.global, output).await,
        Command::Import(args) => import::run(args, &cli.global, output).await,
        Command::Completions(args) => completions::run(args, output),
    }
}
