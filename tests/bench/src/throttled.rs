//! First and warm answers as Lambda gives them: the initialisation at full speed, invocations at the share of a core that
//! the memory size has.

use std::time::Duration;

use crate::cpu_share::{Group, share};
use crate::measure::{median, ratio};
use crate::process::Process;
use crate::report::{Report, Table, millis, short};
use crate::variant::{CORE, Variant};
use crate::world::{World, answered};

/// The smallest memory size, in megabytes, which has 7.24 % of a core.
const SMALLEST: u32 = 128;
/// The memory size that the targets are for.
const TYPICAL: u32 = 256;
/// The memory sizes; the last has a whole core.
const SIZES: [u32; 4] = [SMALLEST, TYPICAL, 512, 1_769];
/// Round trips to AWS and to HubSpot: loopback's own, and those of a function in HubSpot's region.
const ROUND_TRIPS: [(Duration, Duration); 2] =
    [(Duration::ZERO, Duration::ZERO), (Duration::from_millis(1), Duration::from_millis(20))];
const ROUNDS: usize = 5;
/// Warm invocations of a process.
const WARM: u32 = 10;
/// A pause after which a group that took more than its share has it again.
const PAUSE: Duration = Duration::from_millis(60);

/// The figures of one variant at one size, round by round.
#[derive(Clone, Debug, Default)]
struct SizeFigures {
    init_cpu: Vec<Duration>,
    init: Vec<Duration>,
    first_cpu: Vec<Duration>,
    first: Vec<Duration>,
    warm_cpu: Vec<Duration>,
    warm: Vec<Duration>,
}

/// The time from the start to the first answer of each variant, all of it at the smallest share; none where this machine
/// lets us form no group.
///
/// # Errors
/// A variant does not answer.
pub(crate) async fn first_answers(variants: &[Variant]) -> Result<Option<Vec<Duration>>, String> {
    let mut times = vec![Vec::new(); variants.len()];
    for _ in 0..ROUNDS {
        for (variant, times) in variants.iter().zip(&mut times) {
            // A new one each time: what a process took beyond its share, the next of its group would have to wait for.
            let Some(group) = Group::of(SMALLEST) else { return Ok(None) };
            let mut process = Process::spawn(&group.within(&variant.program), CORE).await?;
            let first = process.first(variant.event.clone()).await?;
            answered(&first.body)?;
            times.push(first.took);
            process.end().await;
        }
    }
    Ok(times.iter().map(|times| median(times)).collect())
}

/// Adds a table for each pair of round trips, and the targets, which compare the second variant with the first.
///
/// # Errors
/// A variant does not answer.
pub(crate) async fn sizes(world: &World, variants: &[Variant], report: &mut Report) -> Result<(), String> {
    for (aws, hubspot) in ROUND_TRIPS {
        world.set_round_trips(aws, hubspot);
        let title =
            if aws.is_zero() { "As Lambda runs it, on loopback" } else { "As Lambda runs it, real round trips" };
        let columns =
            ["MB", "of a core", "", "init CPU", "init", "first CPU", "first answer", "warm CPU", "warm answer"];
        let mut table = Table::new(title, &columns);
        for megabytes in SIZES {
            eprintln!("{title}: {megabytes} MB");
            let Some(figures) = size(variants, megabytes).await? else {
                eprintln!("this machine lets us form no group (it needs root): nothing is throttled.");
                world.set_round_trips(Duration::ZERO, Duration::ZERO);
                return Ok(());
            };
            for (variant, figures) in variants.iter().zip(&figures) {
                table.row(row(megabytes, variant, figures));
            }
            if let ([baseline, ours, ..], TYPICAL, false) = (figures.as_slice(), megabytes, aws.is_zero()) {
                targets(report, baseline, ours);
            }
        }
        report.tables.push(table);
    }
    world.set_round_trips(Duration::ZERO, Duration::ZERO);
    Ok(())
}

fn targets(report: &mut Report, baseline: &SizeFigures, ours: &SizeFigures) {
    let first = ratio(&ours.first, &baseline.first);
    report.at_most("first answer at 256 MB, real round trips / baseline", first, (1.6, "≤ 1.6"), "≤ 1.3");
    let cpu = ratio(&ours.first_cpu, &ours.warm_cpu);
    report.at_most("CPU of the first invocation / a warm one", cpu, (3.0, "≤ 3"), "≤ 2");
}

fn row(megabytes: u32, variant: &Variant, figures: &SizeFigures) -> [String; 9] {
    let time = |times: &[Duration]| median(times).map_or_else(String::new, millis);
    [
        megabytes.to_string(),
        format!("{} %", short(share(megabytes) * 100.0)),
        variant.name.to_owned(),
        time(&figures.init_cpu),
        time(&figures.init),
        time(&figures.first_cpu),
        time(&figures.first),
        time(&figures.warm_cpu),
        time(&figures.warm),
    ]
}

/// Rounds at one size, one process of each variant in each; none where this machine lets us form no group.
async fn size(variants: &[Variant], megabytes: u32) -> Result<Option<Vec<SizeFigures>>, String> {
    let mut figures = vec![SizeFigures::default(); variants.len()];
    for round in 0..ROUNDS {
        let mut turns: Vec<_> = variants.iter().zip(figures.iter_mut()).collect();
        if round % 2 == 1 {
            turns.reverse();
        }
        for (variant, figures) in turns {
            let Some(group) = Group::of(megabytes) else { return Ok(None) };
            let process = Process::spawn(&variant.program, CORE).await?;
            life(process, &group, variant, figures).await.map_err(|error| format!("{}: {error}", variant.name))?;
        }
    }
    Ok(Some(figures))
}

/// A process from its start to its last warm answer; it joins the group when it asks for work.
async fn life(mut process: Process, group: &Group, variant: &Variant, figures: &mut SizeFigures) -> Result<(), String> {
    let init = process.initialised().await?;
    figures.init.push(init.took);
    figures.init_cpu.push(init.cpu);
    group.take(process.pid())?;
    let first = process.invoke(variant.event.clone()).await?;
    answered(&first.body)?;
    figures.first.push(first.took);
    figures.first_cpu.push(first.cpu - init.cpu);
    process.wait().await?;
    let before = process.cpu();
    let mut took = Vec::new();
    for _ in 0..WARM {
        tokio::time::sleep(PAUSE).await;
        took.push(process.invoke(variant.event.clone()).await?.took);
        process.wait().await?;
    }
    figures.warm_cpu.push((process.cpu() - before) / WARM);
    figures.warm.extend(median(&took));
    process.end().await;
    Ok(())
}
