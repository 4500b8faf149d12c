//! Deterministic figures, compared with a budget: instructions, calls, connections, bytes of the binaries.

use std::path::Path;

use serde::Deserialize;

use crate::Places;
use crate::callgrind::instructions;
use crate::measure::{Figures, Rounds, executions};
use crate::variant::Variant;
use crate::world::World;

/// The most that things may cost. A change that needs more says why in its commit, and changes the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Budget {
    cold_instructions: u64,
    warm_instructions: u64,
    cold_aws_calls: u64,
    warm_aws_calls: u64,
    hubspot_calls: u64,
    cold_connections: u64,
    warm_connections: u64,
    binary_bytes: u64,
}

/// Counts, prints and compares.
///
/// # Errors
/// Something costs more than it may, or cannot be counted.
pub(crate) async fn check(places: &Places) -> Result<(), String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("budget.json");
    let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let budget: Budget = serde_json::from_str(&text).map_err(|error| format!("{}: {error}", file.display()))?;
    let world = World::start(&places.work).await?;
    let ours = world.settled(&places.release.join("automation-execute")).await?;
    let figures = count(&world, &ours).await?;
    let instructions = instructions(&ours, &places.work).await?;
    let (cold, warm) = figures.cold_traffic.zip(figures.warm_traffic).ok_or("nothing was counted")?;
    let (cold_aws, warm_aws) = (cold.aws.calls.values().sum(), warm.aws.calls.values().sum());
    let mut counted = vec![
        ("instructions until the first answer", instructions.cold, budget.cold_instructions),
        ("instructions of a warm execution", instructions.warm, budget.warm_instructions),
        ("AWS calls of a cold execution", cold_aws, budget.cold_aws_calls),
        ("AWS calls of a warm execution", warm_aws, budget.warm_aws_calls),
        ("HubSpot calls of an execution", warm.hubspot.calls.values().sum(), budget.hubspot_calls),
        ("connections of a cold execution", cold.aws.connections + cold.hubspot.connections, budget.cold_connections),
        ("connections of a warm execution", warm.aws.connections + warm.hubspot.connections, budget.warm_connections),
    ];
    for name in ["automation-execute", "oauth-callback", "token-refresh"] {
        let size = std::fs::metadata(places.release.join(name)).map_err(|error| format!("{name}: {error}"))?.len();
        counted.push((name, size, budget.binary_bytes));
    }
    println!("| counted | figure | budget |\n| --- | --- | --- |");
    for (what, figure, most) in &counted {
        println!("| {what} | {figure} | {most} |");
    }
    let over: Vec<&str> = counted.iter().filter(|(_, figure, most)| figure > most).map(|(what, ..)| *what).collect();
    if over.is_empty() { Ok(()) } else { Err(format!("over the budget ({}): {}", file.display(), over.join(", "))) }
}

/// One cold execution and one warm one, in which only calls count.
async fn count(world: &World, ours: &Variant) -> Result<Figures, String> {
    let rounds = Rounds { cold: 1, warm: 1, invocations: 1 };
    let figures = executions(world, std::slice::from_ref(ours), rounds).await?;
    figures.into_iter().next().ok_or_else(|| "nothing was counted".to_owned())
}
