//! The command line.

use clap::{Parser, Subcommand};

use crate::stack::StackArgs;
use crate::{
    app_secret, check, completions, decommission, disconnect, doctor, import, integrations, select, status, sweep,
};

const AFTER_HELP: &str = "\
Where the stack is:
  The tool reads the variables that the functions have (INTEGRATIONS_TABLE, SECRET_PREFIX, …) from the environment \
or from a JSON file. Create the file with:
    aws lambda get-function-configuration --function-name NAME-OF-OAUTH-CALLBACK \\
      --qualifier live --query Environment.Variables > stack.json
  AWS credentials, profile, region and endpoints are found as by every AWS tool.

Exit codes:
  0  success
  1  findings: the output names them
  2  nothing was started: invalid arguments, settings or files, or no confirmation
  3  stopped: AWS or HubSpot was unreachable or refused; run the same command again
  141  the reader closed the output";

/// Operate the HubSpot integration backend: cutover, diagnosis and repair.
///
/// Tokens and secrets are never printed.
#[derive(Debug, Parser)]
#[command(name = "hubspotctl", version, after_long_help = AFTER_HELP, disable_help_subcommand = true)]
pub struct Cli {
    /// Print results as JSON, one object per line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) stack: StackArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Check which stored automations will run, without sending anything
    Check(check::CheckArgs),
    /// Import integrations from a file
    Import(import::ImportArgs),
    /// Show the health of accounts, one line each
    Status(status::StatusArgs),
    /// List integrations, or show one
    #[command(subcommand)]
    Integrations(integrations::IntegrationsCommand),
    /// Refresh the tokens of one integration now
    Refresh(select::IntegrationSelector),
    /// Disconnect an integration and delete its tokens
    Disconnect(disconnect::DisconnectArgs),
    /// Set the app's credentials at HubSpot, or rotate its client secret without downtime
    #[command(subcommand)]
    AppSecret(app_secret::AppSecretCommand),
    /// Diagnose everything that the stack needs
    Doctor(doctor::DoctorArgs),
    /// Delete secrets that no integration names, after a confirmation
    Sweep(sweep::SweepArgs),
    /// Delete permanently the secrets that `sam delete` leaves behind
    Decommission(decommission::DecommissionArgs),
    /// Print a shell's completion script
    Completions(completions::CompletionsArgs),
}
