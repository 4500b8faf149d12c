//! Everything in one run: the figures beside their targets, and the tables behind them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use shared::clock::Clock;

use crate::Places;
use crate::callgrind::{self, instructions};
use crate::measure::{Figures, Rounds, executions, median, ratio};
use crate::refreshes::{self, refreshes};
use crate::report::{Report, Table, mebibytes, millis, short};
use crate::variant::Variant;
use crate::world::World;
use crate::{growth, throttled};

/// Lambda's own flags for 256 MB.
const NODE_FLAGS: [&str; 5] =
    ["--expose-gc", "--max-http-header-size", "81920", "--max-semi-space-size=12", "--max-old-space-size=231"];
const ROUNDS: Rounds = Rounds { cold: 25, warm: 15, invocations: 300 };
const REFRESH_ROUNDS: usize = 5;

/// The Node peer's program for one of our functions, where npm has built it.
struct Peer {
    node: PathBuf,
    folder: PathBuf,
}

impl Peer {
    fn find(places: &Places) -> Option<Self> {
        let folder = places.peer.join("dist");
        let node = folder.join("node");
        folder.join("execute.mjs").is_file().then_some(Self { node, folder })
    }

    fn arguments(&self, file: &str) -> Vec<String> {
        let script = self.folder.join(file).display().to_string();
        NODE_FLAGS.into_iter().map(str::to_owned).chain([script]).collect()
    }

    fn version(&self) -> String {
        let output = Command::new(&self.node).arg("--version").output().map(|output| output.stdout);
        String::from_utf8_lossy(&output.unwrap_or_default()).trim().to_owned()
    }
}

/// Measures everything.
///
/// # Errors
/// Something does not run; what it is, is in the text.
pub(crate) async fn run(places: &Places) -> Result<Report, String> {
    let peer = Peer::find(places);
    if peer.is_none() {
        eprintln!("The Node peer is not built (`make bench` does it where npm is): nothing is compared with it.");
    }
    let mut report = Report { date: date(), machine: machine(peer.as_ref()), ..Report::default() };
    execution(places, peer.as_ref(), &mut report).await?;
    schedule(places, peer.as_ref(), &mut report).await?;
    sizes(places, &mut report)?;
    let function = places.release.join("automation-execute");
    report.tables.push(growth::growth(&places.work, &function).await?);
    report.tables.push(growth::fleet(&places.work, &function).await?);
    let json = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
    for (name, text) in [("report.md", report.markdown()), ("report.json", json)] {
        let file = places.work.join(name);
        fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(report)
}

async fn execution(places: &Places, peer: Option<&Peer>, report: &mut Report) -> Result<(), String> {
    let world = World::start(&places.work).await?;
    let ours = world.settled(&places.release.join("automation-execute")).await?;
    let baseline = world.program("automation-execute", places.release.join("baseline"), Vec::new());
    let mut variants = vec![Variant { name: "baseline", program: baseline, event: world.bare_call() }, ours];
    if let Some(peer) = peer {
        let program = world.program("automation-execute", peer.node.clone(), peer.arguments("execute.mjs"));
        variants.push(Variant { name: "Node", program, event: world.automation() });
    }
    let figures = executions(&world, &variants, ROUNDS).await?;
    let (baseline, ours, node) = (&figures[0], &figures[1], figures.get(2));
    report.at_most(
        "cold CPU to the first answer / baseline",
        ratio(&ours.cold_cpu, &baseline.cold_cpu),
        (1.75, "≤ 1.75"),
        "≤ 1.35",
    );
    report.at_most("warm p50 / baseline", ratio(&ours.p50, &baseline.p50), (2.1, "≤ 2.1"), "≤ 1.7");
    let calls = |figures: &Figures, aws: bool, cold: bool| {
        let traffic = if cold { &figures.cold_traffic } else { &figures.warm_traffic };
        let seen = traffic.as_ref().map(|traffic| if aws { &traffic.aws } else { &traffic.hubspot });
        let of = if cold { 1 } else { ROUNDS.invocations };
        seen.map(|seen| seen.calls.values().sum::<u64>() as f64 / of as f64)
    };
    report.at_most("AWS calls of a warm execution", calls(ours, true, false), (1.0, "1"), "");
    report.at_most("AWS calls of a cold execution", calls(ours, true, true), (2.0, "2"), "");
    report.at_most("HubSpot calls of an execution", calls(ours, false, false), (1.0, "1"), "");
    report.at_most("peak memory of executions, MiB", Some(mebibytes(ours.memory)), (9.0, "≤ 9"), "≤ 8");
    if let Some(node) = node {
        report.at_least("Node / ours: cold CPU", ratio(&node.cold_cpu, &ours.cold_cpu), (60.0, "≥ 60"), "≥ 100");
        report.at_least("Node / ours: warm CPU", ratio(&node.cpu, &ours.cpu), (4.0, "≥ 4"), "≥ 6");
        let memory = node.memory as f64 / ours.memory as f64;
        report.at_least("Node / ours: memory", Some(memory), (15.0, "≥ 15"), "≥ 20");
        eprintln!("first answers, all of it at 7.24 % of a core");
        let first = throttled::first_answers(&variants[1..]).await?;
        if let Some([ours, node]) = first.as_deref() {
            let ratio = node.as_secs_f64() / ours.as_secs_f64();
            report.at_least(
                "Node / ours: first answer, all of it at 7.24 % of a core",
                Some(ratio),
                (60.0, "≥ 60"),
                "≥ 100",
            );
            let mut table = Table::new("First answer, all of it at 7.24 % of a core", &["ours", "Node"]);
            table.row([millis(*ours), millis(*node)]);
            report.tables.push(table);
        }
    }
    throttled::sizes(&world, &variants, report).await?;
    let names: Vec<&str> = variants.iter().map(|variant| variant.name).collect();
    report.tables.push(behind(&names, &figures));
    if callgrind::is_installed() {
        eprintln!("instructions");
        let counted = instructions(&variants[1], &places.work).await?;
        report.at_most("instructions: cold", Some(counted.cold as f64), (9_500_000.0, "≤ 9.5 M"), "≤ 8 M");
        report.at_most("instructions: warm", Some(counted.warm as f64), (850_000.0, "≤ 850 k"), "≤ 600 k");
    } else {
        eprintln!("valgrind is not installed: instructions are not counted.");
    }
    Ok(())
}

/// The terms of the ratios.
fn behind(names: &[&str], figures: &[Figures]) -> Table {
    let mut table = Table::new(
        "One execution",
        &[
            "",
            "cold CPU",
            "cold, by the clock",
            "warm p50",
            "warm p99",
            "warm CPU",
            "peak memory",
            "connections, cold",
            "bytes, warm",
        ],
    );
    for (name, figures) in names.iter().zip(figures) {
        let time = |times: &[std::time::Duration]| median(times).map_or_else(String::new, millis);
        let cold = figures.cold_traffic.as_ref().map(|cold| cold.aws.connections + cold.hubspot.connections);
        let bytes = figures.warm_traffic.as_ref().map(|warm| warm.aws.bytes + warm.hubspot.bytes);
        table.row([
            (*name).to_owned(),
            time(&figures.cold_cpu),
            time(&figures.cold),
            time(&figures.p50),
            time(&figures.p99),
            time(&figures.cpu),
            format!("{} MiB", short(mebibytes(figures.memory))),
            cold.unwrap_or_default().to_string(),
            short(bytes.unwrap_or_default() as f64 / ROUNDS.invocations as f64),
        ]);
    }
    table
}

async fn schedule(places: &Places, peer: Option<&Peer>, report: &mut Report) -> Result<(), String> {
    let function = places.release.join("token-refresh");
    let mut variants = vec![("ours", function.as_path(), Vec::new())];
    variants.extend(peer.map(|peer| ("Node", peer.node.as_path(), peer.arguments("refresh.mjs"))));
    let figures = refreshes(&places.work, &variants, REFRESH_ROUNDS).await?;
    let rate = |figures: &refreshes::RefreshFigures| median(&figures.per_second);
    let ours = rate(&figures[0]);
    report.at_least("refreshes in a second of CPU", ours, (1_200.0, "≥ 1,200"), "≥ 2,500");
    if let Some((ours, node)) = ours.zip(figures.get(1).and_then(rate)) {
        report.at_least("refreshes in a second of CPU, ours / Node", Some(ours / node), (10.0, "≥ 10"), "≥ 20");
    }
    let memory = mebibytes(figures[0].memory);
    report.at_most("peak memory of a run of 300 refreshes, MiB", Some(memory), (14.0, "≤ 14"), "≤ 11");
    let mut table = Table::new(
        "A run of 300 refreshes",
        &["", "refreshes in a second of CPU", "peak memory", "AWS calls of a refresh"],
    );
    for ((name, ..), figures) in variants.iter().zip(&figures) {
        let calls = figures.traffic.as_ref().map_or(0, |traffic| traffic.aws.calls.values().sum());
        table.row([
            (*name).to_owned(),
            rate(figures).map_or_else(String::new, short),
            format!("{} MiB", short(mebibytes(figures.memory))),
            short(calls as f64 / refreshes::DUE as f64),
        ]);
    }
    report.tables.push(table);
    Ok(())
}

fn sizes(places: &Places, report: &mut Report) -> Result<(), String> {
    for (name, what, zip) in [
        ("automation-execute", "automation-execute, stripped, MB", "automation-execute, zipped, MB"),
        ("oauth-callback", "oauth-callback, stripped, MB", "oauth-callback, zipped, MB"),
        ("token-refresh", "token-refresh, stripped, MB", "token-refresh, zipped, MB"),
    ] {
        let file = places.release.join(name);
        let bytes = fs::metadata(&file).map_err(|error| format!("{}: {error}", file.display()))?.len();
        report.at_most(what, Some(bytes as f64 / 1e6), (7.0, "≤ 7"), "≤ 6");
        report.at_most(zip, zipped(&file).map(|bytes| bytes as f64 / 1e6), (3.2, "≤ 3.2"), "≤ 2.8");
    }
    Ok(())
}

/// How large it is as deflate packs it, which is what a zip file does.
fn zipped(file: &Path) -> Option<usize> {
    let output = Command::new("gzip").arg("--stdout").arg(file).output().ok()?;
    output.status.success().then_some(output.stdout.len())
}

fn date() -> String {
    let now = jiff::Timestamp::from_second(Clock::default().now());
    now.map_or_else(|_| String::new(), |now| now.strftime("%Y-%m-%d").to_string())
}

/// The machine, without a name.
fn machine(peer: Option<&Peer>) -> String {
    let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cores = information.lines().filter(|line| line.starts_with("processor")).count();
    let model =
        information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map(|(_, name)| name);
    let node = peer.map_or_else(String::new, |peer| format!(", Node {}", peer.version()));
    format!("{cores} cores ({}), one for what is measured{node}", model.unwrap_or("of an unnamed model").trim())
}
