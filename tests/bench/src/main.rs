//! Measures the functions side by side with a Lambda that only forwards, and with a Node peer: see `bench --help`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is what a command line does")]

mod budget;
mod callgrind;
mod cpu_share;
mod front;
mod growth;
mod measure;
mod process;
mod refreshes;
mod report;
mod throttled;
mod variant;
mod whole;
mod world;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
What the functions cost, beside a Lambda that makes one bare call and beside a Node peer.

Usage: bench [counted]

`make bench` builds what this runs. Without a word it measures everything, some two minutes on a quiet machine of two
cores, prints the tables, and leaves them in target/bench (report.md, report.json).

Commands:
  counted   Only what repeats: calls, connections and instructions, held against tests/bench/budget.json.
            Exit code 1 where something costs more than it may
";

/// Where things are.
pub(crate) struct Places {
    /// The release binaries.
    pub(crate) release: PathBuf,
    /// The Node peer's folder.
    pub(crate) peer: PathBuf,
    /// Room for what a run leaves.
    pub(crate) work: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => whole_run().await,
        ["counted"] => counted().await,
        ["-h" | "--help"] => {
            print!("{HELP}");
            Ok(())
        }
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("bench: {reason}");
            ExitCode::FAILURE
        }
    }
}

async fn whole_run() -> Result<(), String> {
    let report = whole::run(&places()?).await?;
    print!("{}", report.markdown());
    Ok(())
}

async fn counted() -> Result<(), String> {
    budget::check(&places()?).await
}

/// By the folder of this executable, `target/PROFILE`; the emulators get the other core.
fn places() -> Result<Places, String> {
    process::pin(1);
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let target = own.parent().and_then(Path::parent).ok_or("this executable is not in a target folder")?;
    let work = target.join("bench");
    std::fs::create_dir_all(&work).map_err(|error| format!("{}: {error}", work.display()))?;
    let peer = Path::new(env!("CARGO_MANIFEST_DIR")).join("peer");
    Ok(Places { release: target.join("release"), peer, work })
}
