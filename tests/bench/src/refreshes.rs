//! Runs of the schedule with many integrations that are due, against emulators that mean it.

use std::path::Path;
use std::time::Duration;

use axum::body::Bytes;
use serde_json::Value;

use crate::process::Process;
use crate::variant::CORE;
use crate::world::{Traffic, World};

/// Integrations that are due in each run.
pub(crate) const DUE: usize = 300;

/// Usage of the runs of one variant.
#[derive(Clone, Debug, Default)]
pub(crate) struct RefreshFigures {
    /// Refreshes in a second of CPU, run by run.
    pub(crate) per_second: Vec<f64>,
    /// The most memory, in bytes.
    pub(crate) memory: u64,
    /// Traffic of the last run.
    pub(crate) traffic: Option<Traffic>,
}

/// Runs of each variant in turn, each in a process of its own that has had an empty run before.
///
/// # Errors
/// A run leaves something.
pub(crate) async fn refreshes(
    folder: &Path,
    variants: &[(&'static str, &Path, Vec<String>)],
    rounds: usize,
) -> Result<Vec<RefreshFigures>, String> {
    let world = World::start(folder).await?;
    let mut figures = vec![RefreshFigures::default(); variants.len()];
    for round in 0..rounds {
        for (number, (name, path, arguments)) in variants.iter().enumerate() {
            let program = world.program("token-refresh", path.to_path_buf(), arguments.clone());
            let mut process = Process::spawn(&program, CORE).await?;
            let empty = report(&process.first(Bytes::from_static(b"{}")).await?.body)?;
            if empty != (0, 0) {
                return Err(format!("{name}: something is due before its time: {empty:?}"));
            }
            for number_due in 0..DUE {
                let account = format!("acc_{name}_{round}_{number_due}");
                world.stack.plant(&account, 1, 300, -10).await;
            }
            process.wait().await?;
            let (before, began) = (world.traffic(), process.cpu());
            let done = report(&process.invoke(Bytes::from_static(b"{}")).await?.body)?;
            process.wait().await?;
            let used: Duration = process.cpu() - began;
            if done != (DUE, DUE) {
                return Err(format!("{name}: {done:?} of {DUE} were due and refreshed"));
            }
            let figures = &mut figures[number];
            figures.per_second.push(DUE as f64 / used.as_secs_f64());
            figures.memory = figures.memory.max(process.peak_memory());
            figures.traffic = Some(world.traffic().since(&before));
            process.end().await;
        }
        eprintln!("refresh: {} of {rounds} rounds", round + 1);
    }
    Ok(figures)
}

/// How many were due, and how many refreshed.
fn report(body: &[u8]) -> Result<(usize, usize), String> {
    let report: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let count = |name: &str| report[name].as_u64().and_then(|count| usize::try_from(count).ok());
    count("due").zip(count("refreshed")).ok_or_else(|| format!("no report: {report}"))
}
