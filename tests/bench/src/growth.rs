//! The cost of an execution as the data grows, and the cost of many processes for each other.

use std::path::Path;
use std::time::Instant;

use devstack::hubspot::Match;

use crate::measure::{Figures, warm};
use crate::process::Process;
use crate::report::{Table, millis, short};
use crate::variant::CORE;
use crate::world::{World, answered};

/// Invocations per size.
const INVOCATIONS: usize = 100;

/// Executions of one account beside more and more others, and more and more instances of its own.
///
/// # Errors
/// An execution fails.
pub(crate) async fn growth(folder: &Path, function: &Path) -> Result<Table, String> {
    let world = World::start(folder).await?;
    let program = world.program("automation-execute", function.to_path_buf(), Vec::new());
    let mut table = Table::new(
        "Growth: one warm execution beside more and more records",
        &["accounts", "instances of the account", "AWS calls", "bytes to and from AWS", "CPU"],
    );
    let (mut accounts, mut instances) = (1, 1);
    for (more_accounts, more_instances) in [(1, 1), (1_000, 1), (5_000, 1), (5_000, 100)] {
        for number in accounts..more_accounts {
            world.stack.plant(&format!("acc_other_{number}"), 1, 1800, 1350).await;
        }
        for number in instances..more_instances {
            world.stack.plant("acc_growth", number, 1800, 1350).await;
        }
        (accounts, instances) = (more_accounts, more_instances);
        world.stack.plant("acc_growth", 1_000 + instances, 1800, 1350).await;
        let event = world.automation_of("acc_growth");
        let mut process = Process::spawn(&program, CORE).await?;
        answered(&process.first(event.clone()).await?.body)?;
        let mut figures = Figures::default();
        warm(&world, &mut process, &event, INVOCATIONS, &mut figures).await?;
        let (aws, cpu) =
            figures.warm_traffic.map(|warm| warm.aws).zip(figures.cpu.first()).ok_or("nothing was counted")?;
        let per = |number: u64| short(number as f64 / INVOCATIONS as f64);
        table.row([
            accounts.to_string(),
            instances.to_string(),
            per(aws.calls.values().sum()),
            per(aws.bytes),
            millis(*cpu),
        ]);
        process.end().await;
    }
    Ok(table)
}

/// So many processes that meet one expired token at once: where they begin to cost each other something.
///
/// # Errors
/// An execution fails.
pub(crate) async fn fleet(folder: &Path, function: &Path) -> Result<Table, String> {
    let world = World::start(folder).await?;
    let program = world.program("automation-execute", function.to_path_buf(), Vec::new());
    let mut table = Table::new(
        "Fleet: processes that meet one expired token at once",
        &["processes", "token calls", "DynamoDB calls per process", "of them reads", "all answered after"],
    );
    let mut processes: Vec<Process> = Vec::new();
    for (round, size) in [1, 2, 4, 8, 16, 32].into_iter().enumerate() {
        while processes.len() < size {
            let mut process = Process::spawn(&program, CORE).await?;
            answered(&process.first(world.automation()).await?.body)?;
            process.wait().await?;
            processes.push(process);
        }
        let account = format!("acc_fleet_{round}");
        world.stack.plant(&account, 1, -1, 1350).await;
        let (event, tokens, began) =
            (world.automation_of(&account), world.stack.hubspot.count(&Match::refresh()), Instant::now());
        let before = world.traffic();
        let mut answers = Vec::new();
        for process in &mut processes {
            process.begin(event.clone()).await?;
        }
        for process in &mut processes {
            answers.push(process.outcome().await?);
        }
        let took = began.elapsed();
        answers.iter().try_for_each(|body| answered(body))?;
        for process in &mut processes {
            process.wait().await?;
        }
        let aws = world.traffic().since(&before).aws;
        let count = |names: &[&str]| names.iter().filter_map(|name| aws.calls.get(*name)).sum::<u64>() as f64;
        let all = count(&["Query", "GetItem", "UpdateItem", "PutItem"]);
        let per = |number: f64| short(number / size as f64);
        table.row([
            size.to_string(),
            (world.stack.hubspot.count(&Match::refresh()) - tokens).to_string(),
            per(all),
            per(count(&["Query", "GetItem"])),
            millis(took),
        ]);
    }
    for process in processes {
        process.end().await;
    }
    Ok(table)
}
