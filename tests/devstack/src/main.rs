//! The local stack's command line: see `devstack --help`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is what a command line does")]

use std::process::ExitCode;

const HELP: &str = "\
The whole system on this machine: the real functions, with AWS and HubSpot emulated on loopback.

Usage: devstack <command>

Commands:
  demo [--aws ENDPOINT]
         Goes through the main path, prints and checks every step, and ends: exit code 0 if all of it held.
         With an endpoint, another emulator of AWS answers in place of the built-in ones
  run [--port PORT]
         Keeps the system running with a dashboard to play with, and prints its address and ready `curl` lines; Ctrl-C
         ends it. The dashboard gets PORT and the API the port after it; without it, the system chooses free ones
  hubspot SECONDS
         The HubSpot emulator alone, until standard input ends; its access tokens live that many seconds.
         Prints its address, then each request that it gets as a line of JSON
  costs [--json]
         Counts what an operation of each kind takes: calls, request units, bytes of logs

Options:
  -h, --help   Prints this
";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["demo"] => devstack::demo::run(None).await,
        ["demo", "--aws", endpoint] => devstack::demo::run(Some((*endpoint).to_owned())).await,
        ["run"] => devstack::run::run(None).await,
        ["run", "--port", port] => match port.parse() {
            Ok(port @ 1..=65_534) => devstack::run::run(Some(port)).await,
            _ => Err(format!("--port takes a number from 1 to 65534, not {port}")),
        },
        ["hubspot", lifetime] => devstack::hubspot_server::run(lifetime).await,
        ["costs"] => devstack::costs::run(devstack::costs::OutputFormat::Markdown).await,
        ["costs", "--json"] => devstack::costs::run(devstack::costs::OutputFormat::Json).await,
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
            eprintln!("devstack: {reason}");
            ExitCode::FAILURE
        }
    }
}
