//! What can be asked of the tool.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::{app_secret, check, completions, decommission, disconnect, doctor, import, integrations, status};

const AFTER_HELP: &str = "\
Where the stack is:
  The tool takes the variables that the functions have (INTEGRATIONS_TABLE, SECRET_PREFIX, …), from the environment
  or from a file of them in JSON. This makes the file:
    aws lambda get-function-configuration --function-name NAME-OF-AUTOMATION-EXECUTE \\
      --query Environment.Variables > stack.json
  AWS credentials, profile, region and endpoints are found as by every AWS tool.

Exit codes:
  0  done, and nothing is wrong
  1  done, and something in the data is wrong: the output says what
  2  not begun: the arguments, the settings or a file are wrong
  3  given up: AWS or HubSpot was out of reach or refused; the same command may be started again";

/// Operates the HubSpot integration backend: cut-over, care and repair.
///
/// No token and no secret is ever printed.
#[derive(Debug, Parser)]
#[command(name = "hubspotctl", version, after_long_help = AFTER_HELP, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What goes for every command.
#[derive(Args, Debug)]
pub(crate) struct Global {
    /// Prints results as JSON, one object a line
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// The functions' variables as a JSON object; what it lacks is looked for in the environment
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) stack: Option<PathBuf>,
    /// The AWS profile [default: that of AWS_PROFILE]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// The AWS region [default: that of AWS_REGION or of the profile]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) region: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Says of stored automations which will run, which will not, and why; sends nothing
    Check(check::Args),
    /// Takes over integrations that existed before this system, with their refresh tokens
    Import(import::Args),
    /// Says in one line what is the matter with an account
    Status(status::Args),
    /// Lists integrations, or shows one
    #[command(subcommand)]
    Integrations(integrations::Command),
    /// Refreshes the tokens of one integration now
    Refresh(integrations::Which),
    /// Disconnects an integration and deletes its tokens
    Disconnect(disconnect::Args),
    /// Puts the app's credentials at HubSpot, or rotates its client secret without a pause
    #[command(subcommand)]
    AppSecret(app_secret::Command),
    /// Looks at everything that the stack needs, and says for each finding what to do
    Doctor(doctor::Args),
    /// Deletes the secrets that `sam delete` leaves behind, for good
    Decommission(decommission::Args),
    /// Prints what a shell needs to complete commands and options
    Completions(completions::Args),
}
