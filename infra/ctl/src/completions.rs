//! `completions`: a shell's completion script.

use clap_complete::{Shell, generate};

use crate::exit::{Exit, Failure};
use crate::output::Output;

#[derive(clap::Args, Debug)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: &CompletionsArgs, mut tool: clap::Command, output: &mut Output) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    generate(args.shell, &mut tool, "hubspotctl", &mut script);
    output.raw(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Exit::Success)
}
