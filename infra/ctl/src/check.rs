//! `check`: what the functions would say to stored automations.

use std::path::PathBuf;

use crate::cli::Global;
use crate::end::{End, Failure};
use crate::output::Output;
use crate::stack::Stack;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Stored automations: one body of POST /v1/automation-requests a line
    file: PathBuf,
}

pub(crate) async fn run(args: &Args, global: &Global, output: &mut Output) -> Result<End, Failure> {
    let _stack = Stack::open(global).await?;
    output.text(&args.file.display().to_string())?;
    Ok(End::of(false))
}
