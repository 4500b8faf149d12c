//! `integrations list` and `integrations show`.

mod list;
mod show;

use clap::Subcommand;

use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::select::IntegrationSelector;
use crate::stack::StackArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum IntegrationsCommand {
    /// List the integrations of one account or of all accounts
    List(list::ListArgs),
    /// Show one integration: record, token versions, lease, and what the next execution would do
    Show(IntegrationSelector),
}

pub(crate) async fn run(
    command: &IntegrationsCommand,
    stack_args: &StackArgs,
    output: &mut Output,
) -> Result<Exit, Failure> {
    match command {
        IntegrationsCommand::List(args) => list::run(args, stack_args, output).await,
        IntegrationsCommand::Show(selector) => show::run(selector, stack_args, output).await,
    }
}
