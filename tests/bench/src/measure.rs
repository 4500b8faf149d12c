//! Variants side by side, in turn, on one core: A B A B …

use std::time::Duration;

use axum::body::Bytes;

use crate::process::Process;
use crate::variant::{CORE, Variant};
use crate::world::{Traffic, World, answered};

/// Usage of one variant, round by round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    /// CPU from the start of the process to its first answer.
    pub(crate) cold_cpu: Vec<Duration>,
    /// The same by the clock.
    pub(crate) cold: Vec<Duration>,
    /// Half of the warm answers of a round came faster.
    pub(crate) p50: Vec<Duration>,
    /// 99 of a hundred.
    pub(crate) p99: Vec<Duration>,
    /// CPU of one warm invocation.
    pub(crate) cpu: Vec<Duration>,
    /// The most memory, in bytes.
    pub(crate) memory: u64,
    /// Traffic of a cold invocation.
    pub(crate) cold_traffic: Option<Traffic>,
    /// Traffic of the warm invocations of a round.
    pub(crate) warm_traffic: Option<Traffic>,
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rounds {
    pub(crate) cold: usize,
    pub(crate) warm: usize,
    /// Invocations of a warm round.
    pub(crate) invocations: usize,
}

/// Executions: rounds with one cold start of each variant, then rounds with a stretch of warm ones of each.
pub(crate) async fn executions(world: &World, variants: &[Variant], rounds: Rounds) -> Result<Vec<Figures>, String> {
    let mut figures = vec![Figures::default(); variants.len()];
    // Who starts after another program finds the caches full of it, which is worth 10 %: in pairs, A B B A, each comes
    // after the other as often as after itself.
    for (pair, figures) in variants.chunks(2).zip(figures.chunks_mut(2)) {
        for round in 0..rounds.cold {
            let mut turns: Vec<_> = pair.iter().zip(figures.iter_mut()).collect();
            if round % 2 == 1 {
                turns.reverse();
            }
            for (variant, figures) in turns {
                cold(world, variant, figures).await.map_err(|error| format!("{}: {error}", variant.name))?;
            }
            progress("cold", round + 1, rounds.cold);
        }
    }
    let mut processes = Vec::new();
    for variant in variants {
        let mut process = Process::spawn(&variant.program, CORE).await?;
        process.first(variant.event.clone()).await?;
        processes.push(process);
    }
    for round in 0..rounds.warm {
        for ((process, variant), figures) in processes.iter_mut().zip(variants).zip(&mut figures) {
            warm(world, process, &variant.event, rounds.invocations, figures).await?;
        }
        progress("warm", round + 1, rounds.warm);
    }
    for (process, figures) in processes.into_iter().zip(&mut figures) {
        figures.memory = process.peak_memory();
        process.end().await;
    }
    Ok(figures)
}

async fn cold(world: &World, variant: &Variant, figures: &mut Figures) -> Result<(), String> {
    let before = world.traffic();
    let mut process = Process::spawn(&variant.program, CORE).await?;
    let first = process.first(variant.event.clone()).await?;
    answered(&first.body)?;
    process.ready().await?;
    figures.cold.push(first.took);
    figures.cold_cpu.push(first.cpu);
    figures.cold_traffic = Some(world.traffic().since(&before));
    process.end().await;
    Ok(())
}

/// A stretch of warm invocations, and what each of them has used.
pub(crate) async fn warm(
    world: &World,
    process: &mut Process,
    event: &Bytes,
    invocations: usize,
    figures: &mut Figures,
) -> Result<(), String> {
    // After a pause every connection is made anew.
    for _ in 0..5 {
        answered(&process.invoke(event.clone()).await?.body)?;
    }
    process.wait().await?;
    let (before, began) = (world.traffic(), process.cpu());
    let mut took = Vec::with_capacity(invocations);
    for _ in 0..invocations {
        took.push(process.invoke(event.clone()).await?.took);
    }
    process.wait().await?;
    let used = process.cpu() - began;
    took.sort_unstable();
    figures.cpu.push(used / u32::try_from(invocations).unwrap_or(u32::MAX));
    figures.p50.push(took[invocations / 2]);
    figures.p99.push(took[invocations * 99 / 100]);
    figures.warm_traffic = Some(world.traffic().since(&before));
    Ok(())
}

fn progress(what: &str, done: usize, all: usize) {
    if done.is_multiple_of(5) || done == all {
        eprintln!("{what}: {done} of {all} rounds");
    }
}

/// The one in the middle.
pub(crate) fn median<T: Copy + PartialOrd>(values: &[T]) -> Option<T> {
    let mut sorted = values.to_vec();
    sorted.sort_by(|one, other| one.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal));
    sorted.get(sorted.len() / 2).copied()
}

/// How many times as much as another, pair by pair; the one in the middle.
pub(crate) fn ratio(ours: &[Duration], others: &[Duration]) -> Option<f64> {
    let ratios: Vec<f64> =
        ours.iter().zip(others).map(|(ours, other)| ours.as_secs_f64() / other.as_secs_f64()).collect();
    median(&ratios)
}
