//! The local stack's command line: see `local --help`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is what a command line does")]

use std::process::ExitCode;

const HELP: &str = "\
The whole system on this machine: the real functions, with stand-ins for AWS and HubSpot on loopback.

Usage: local <command>

Commands:
  demo   Goes through the main path, prints and checks every step, and ends: exit code 0 if all of it held
  run    Keeps the system running and prints its addresses and ready `curl` lines; Ctrl-C ends it
  hubspot SECONDS
         HubSpot's stand-in alone, until standard input ends; its access tokens live so many seconds.
         Prints where it is, then each request that it gets as a line of JSON
  costs [--json]
         Counts what an act of each kind takes, and computes from it what a month costs at AWS's list prices

Options:
  -h, --help   Prints this
";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["demo"] => devstack::demo::run().await,
        ["run"] => devstack::run::run().await,
        ["hubspot", lifetime] => devstack::double::run(lifetime).await,
        ["costs"] => devstack::costs::run(devstack::costs::Form::Markdown).await,
        ["costs", "--json"] => devstack::costs::run(devstack::costs::Form::Json).await,
        ["-h" | "--help" | "help"] => {
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
            eprintln!("local: {reason}");
            ExitCode::FAILURE
        }
    }
}
