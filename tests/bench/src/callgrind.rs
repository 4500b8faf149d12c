//! Instructions, counted by valgrind: they repeat where times do not.

use std::path::Path;

use crate::process::{Process, Program};
use crate::variant::Variant;
use crate::world::answered;

/// By its path: what is measured gets no `PATH` to find it by.
const VALGRIND: &str = "/usr/bin/valgrind";
/// Warm invocations of the longer of two runs.
const WARM: u64 = 100;

/// The instructions that a function executes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instructions {
    /// From the start of the process to its first answer.
    pub(crate) cold: u64,
    /// Each warm invocation.
    pub(crate) warm: u64,
}

/// Returns true if instructions can be counted here.
pub(crate) fn is_installed() -> bool {
    Path::new(VALGRIND).is_file()
}

/// Counts the instructions of executions.
///
/// # Errors
/// Valgrind is missing, or the function does not answer.
pub(crate) async fn instructions(variant: &Variant, folder: &Path) -> Result<Instructions, String> {
    let cold = run(variant, folder, 0).await?;
    let whole = run(variant, folder, WARM).await?;
    Ok(Instructions { cold, warm: whole.saturating_sub(cold) / WARM })
}

async fn run(variant: &Variant, folder: &Path, warm: u64) -> Result<u64, String> {
    let file = folder.join(format!("callgrind.{warm}"));
    let mut arguments = vec![
        "--quiet".to_owned(),
        "--tool=callgrind".to_owned(),
        format!("--callgrind-out-file={}", file.display()),
        variant.program.path.display().to_string(),
    ];
    arguments.extend(variant.program.arguments.iter().cloned());
    let valgrind = Program { path: VALGRIND.into(), arguments, environment: variant.program.environment.clone() };
    let mut process = Process::spawn(&valgrind, crate::variant::CORE).await?;
    answered(&process.first(variant.event.clone()).await?.body)?;
    for _ in 0..warm {
        answered(&process.invoke(variant.event.clone()).await?.body)?;
    }
    process.ready().await?;
    process.end().await;
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let total = text.lines().find_map(|line| line.strip_prefix("summary: ").or(line.strip_prefix("totals: ")));
    total.and_then(|total| total.trim().parse().ok()).ok_or_else(|| format!("{} has no total", file.display()))
}
