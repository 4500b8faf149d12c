//! `doctor`: whether everything is there that the stack needs, and for each finding what to do.

mod checks;

use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::stack::{Stack, StackArgs};

#[derive(clap::Args, Debug)]
pub(crate) struct DoctorArgs {}

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

pub(crate) async fn run(stack_args: &StackArgs, output: &mut Output) -> Result<Exit, Failure> {
    let stack = match Stack::open(stack_args).await {
        Ok(stack) => stack,
        Err(Failure::Usage(text)) => {
            show(&Finding::wrong("environment", text), output)?;
            return Ok(Exit::Findings);
        }
        Err(failure) => return Err(failure),
    };
    let place =
        format!("table {}, secrets {}/…", stack.settings.state.integrations_table, stack.settings.state.secret_prefix);
    show(&Finding::fine("environment", place), output)?;
    let mut findings = 0;
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
        findings += usize::from(!finding.ok);
        show(&finding, output)?;
    }
    Ok(Exit::with_findings(findings))
}

fn show(finding: &Finding, output: &mut Output) -> Result<(), Failure> {
    output.result(finding, || {
        format!("{} {:<12} {}", if finding.ok { "ok   " } else { "WRONG" }, finding.check, finding.detail)
    })
}
