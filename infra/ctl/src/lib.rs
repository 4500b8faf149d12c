//! The operator's tool: what people do to a stack from outside, by the code that the functions run.
//!
//! A command is a module with its arguments and a `run(args, stack_args, output) -> Result<Exit, Failure>`. It reports
//! results through `output::Output` only, as text for people or as JSON lines.
//!
//! Invariant: no token and no secret is ever printed: results are types without such fields, and errors quote no value
//! of a file or a response.

mod accounts;
mod app_secret;
mod check;
mod cli;
mod completions;
mod decommission;
mod disconnect;
mod doctor;
mod encryption;
mod exit;
mod format_time;
mod health;
mod import;
mod integrations;
mod jsonl;
mod operator;
mod output;
mod prompt;
mod refresh;
mod secrets;
mod select;
mod stack;
mod status;
mod sweep;
mod terminal;

use std::process::ExitCode;

use clap::CommandFactory;
pub use cli::Cli;
use cli::Command;
use exit::{Exit, Failure};
use output::{Format, Output};

/// Runs one command.
pub async fn run(cli: Cli) -> ExitCode {
    let format = if cli.json { Format::Json } else { Format::Text };
    let mut output = Output::new(format);
    let result = command(&cli, &mut output).await;
    output.close(result)
}

async fn command(cli: &Cli, output: &mut Output) -> Result<Exit, Failure> {
    match &cli.command {
        Command::Check(args) => check::run(args, &cli.stack, output).await,
        Command::Status(args) => status::run(args, &cli.stack, output).await,
        Command::Integrations(command) => integrations::run(command, &cli.stack, output).await,
        Command::Refresh(selector) => refresh::run(selector, &cli.stack, output).await,
        Command::Disconnect(args) => disconnect::run(args, &cli.stack, output).await,
        Command::AppSecret(command) => app_secret::run(command, &cli.stack, output).await,
        Command::Sweep(args) => sweep::run(args, &cli.stack, output).await,
        Command::Doctor(_) => doctor::run(&cli.stack, output).await,
        Command::Decommission(args) => decommission::run(args, &cli.stack, output).await,
        Command::Import(args) => import::run(args, &cli.stack, output).await,
        Command::Completions(args) => completions::run(args, Cli::command(), output),
    }
}
