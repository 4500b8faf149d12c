//! `doctor`: whether everything is there that the stack needs, and for each finding what to do.

mod checks;

use serde::Serialize;

use crate::cli::Global;
use crate::end::{End, Failure};
use crate::output::Output;
use crate::stack::Stack;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

/// How one thing is.
#[derive(Serialize)]
pub(crate) struct Finding {
    /// What was looked at.
    check: &'static str,
    ok: bool,
    /// What was seen; for a finding what to do.
    detail: String,
}

impl Finding {
    fn fine(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, ok: true, detail: detail.into() }
    }

    fn wrong(check: &'static str, detail: impl Into<String>) -> Self {
        Self { check, ok: false, detail: detail.into() }
    }
}

pub(crate) async fn run(global: &Global, output: &mut Output) -> Result<End, Failure> {
    let stack = match Stack::open(global).await {
        Ok(stack) => stack,
        Err(Failure::Usage(text)) => {
            show(&Finding::wrong("environment", text), output)?;
            return Ok(End::Findings);
        }
        Err(failure) => return Err(failure),
    };
    let place =
        format!("table {}, secrets {}/…", stack.settings.state.integrations_table, stack.settings.state.secret_prefix);
    show(&Finding::fine("environment", place), output)?;
    let mut findings = false;
    for finding in [
        checks::table(&stack).await,
        checks::reads(&stack).await,
        checks::writes(&stack).await,
        checks::secrets(&stack).await,
        checks::key(&stack).await,
        checks::app_secret(&stack).await,
        checks::hubspot(&stack).await,
        checks::clock(&stack).await,
        checks::schedule(&stack).await,
    ] {
        findings |= !finding.ok;
        show(&finding, output)?;
    }
    Ok(End::of(findings))
}

fn show(finding: &Finding, output: &mut Output) -> Result<(), Failure> {
    output.result(finding, || {
        format!("{} {:<12} {}", if finding.ok { "ok   " } else { "WRONG" }, finding.check, finding.detail)
    })
}
