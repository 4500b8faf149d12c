//! `completions`: what a shell needs to complete commands and options.

use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::cli::Cli;
use crate::end::{End, Failure};
use crate::output::Output;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// For which shell
    shell: Shell,
}

pub(crate) fn run(args: &Args, output: &mut Output) -> Result<End, Failure> {
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "hubspotctl", &mut script);
    output.text(String::from_utf8_lossy(&script).trim_end())?;
    Ok(End::Fine)
}
