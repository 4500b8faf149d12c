//! `doctor`: checks everything that the stack needs, and says for each finding what to do.

mod checks;
mod encryption;
mod records;

use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::stack::{Stack, StackArgs};

#[derive(clap::Args, Debug)]
pub(crate) struct DoctorArgs {}

/// The result of one check.
#[derive(Serialize)]
pub(crate) struct Finding {
    check: &'static str,
    ok: bool,
    /// The finding and its remedy.
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
        encryption::key(&stack).await,
        encryption::secrets(&stack).await,
        records::orphans(&stack).await,
        checks::app_secret(&stack).await,
        checks::hubspot(&stack).await,
        records::scopes(&stack).await,
        records::accounts(&stack).await,
        checks::clock(&stack).await,
        checks::schedule(&stack).await,
    ] {
        findings += usize::from(!finding.ok);
        show(&finding, output)?;
    }
    Ok(Exit::with_findings(findings))
}

fn show(finding: &Finding, output: &mut Output) -> Result<(), Failure> {
    output.result("finding", finding, || {
        vec![format!("{} {:<12} {}", if finding.ok { "ok   " } else { "WRONG" }, finding.check, finding.detail)]
    })
}
