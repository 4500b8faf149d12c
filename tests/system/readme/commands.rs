//! Every command of the documentation runs here, or is on a list with the reason why not.
//!
//! Commands of `hubspotctl` run as the real binary on a local stack; targets of make and scripts exist. A command that is
//! neither fails the test, so that a new one is run or listed.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::json;

use super::links::pages;
use crate::ctl::{Folder, command, ended};
use crate::world::{ADMIN, World};

/// Commands that do not run here, by their beginning, and the reason.
const ELSEWHERE: &[(&str, &str)] = &[
    ("aws ", "needs AWS; infra/checks/runbooks_test.py checks service, operation and options with AWS's models"),
    ("sam ", "needs AWS; `make rehearse` runs build, deploy and delete against an emulator"),
    ("curl ", "needs a deployed API; `make rehearse` sends the same request"),
    ("cargo ", "takes minutes; a package that it names exists"),
    ("npm ", "needs npm; `tests/bench/run` runs the same"),
];

/// Commands that ask a person, who is not there in a test: they stop before they start.
const INTERACTIVE: &[&str] = &["app-secret set", "app-secret rotate", "decommission"];

/// A command, and the page that has it.
struct Documented {
    page: String,
    command: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The text of the lines without what follows ` # `, a line that ends in a backslash joined with the next one.
fn joined(block: &str) -> Vec<String> {
    let block = block.replace("\\\n", " ");
    block.lines().map(|line| line.split(" # ").next().unwrap_or_default().trim().to_owned()).collect()
}

/// Returns true if a text is a command, by its first word.
fn is_command(text: &str) -> bool {
    let first = text.split_whitespace().next().unwrap_or_default();
    let own = ["infra/", "tests/", ".ci/"].iter().any(|folder| first.starts_with(folder));
    let programs = ["make", "hubspotctl", "aws", "sam", "curl", "cargo", "npm"];
    if own {
        root().join(first).is_file() && !first.contains(".") || first == ".ci/run"
    } else {
        programs.contains(&first) && text.contains(' ')
    }
}

/// The commands of a page: the lines of `sh` blocks, those of `console` blocks after a `$`, and lines of other blocks
/// and texts in backticks that begin with a program.
fn commands(page: &str, text: &str) -> Vec<Documented> {
    let mut found = Vec::new();
    for (at, part) in text.split("```").enumerate() {
        if at % 2 == 0 {
            let spans = part.split('`').skip(1).step_by(2).map(str::to_owned);
            found.extend(spans.filter(|span| is_command(span)));
            continue;
        }
        let (language, block) = part.split_once('\n').unwrap_or_default();
        let lines = joined(block).into_iter().filter(|line| !line.is_empty());
        match language.trim() {
            "sh" => found.extend(lines),
            "console" => found.extend(lines.filter_map(|line| line.strip_prefix("$ ").map(str::to_owned))),
            _ => found.extend(lines.filter(|line| is_command(line))),
        }
    }
    let parts = found.iter().flat_map(|line| line.split(" && "));
    parts.map(|command| Documented { page: page.to_owned(), command: command.trim().to_owned() }).collect()
}

fn documented() -> Vec<Documented> {
    let mut files = Vec::new();
    pages(&root(), &mut files);
    files
        .iter()
        .flat_map(|file| {
            let name = file.strip_prefix(root()).unwrap().display().to_string();
            commands(&name, &std::fs::read_to_string(file).unwrap())
        })
        .collect()
}

/// The problem with a command that does not run on the stack, if it has one.
fn problem(command: &str) -> Option<String> {
    let words: Vec<&str> = command.split_whitespace().collect();
    if words[0] == "make" {
        let makefile = include_str!("../../../Makefile");
        return (!makefile.contains(&format!("\n{}:", words[1]))).then(|| "no such target".to_owned());
    }
    let script = root().join(words[0]);
    if script.is_file() {
        let executable = std::fs::metadata(&script).unwrap().permissions().mode() & 0o111 != 0;
        return (!executable).then(|| "not executable".to_owned());
    }
    if let Some((_, package)) = command.split_once(" -p ") {
        let members = include_str!("../../../Cargo.toml");
        return (!members.contains(&format!("\n{package} = "))).then(|| "no such package".to_owned());
    }
    let listed = ELSEWHERE.iter().any(|(beginning, _)| command.starts_with(beginning));
    (!listed).then(|| "neither run here nor listed in ELSEWHERE".to_owned())
}

#[test]
fn every_documented_command_exists_or_is_listed_with_a_reason() {
    let all = documented();
    assert!(all.len() >= 100, "{}", all.len());

    let wrong: Vec<String> = all
        .iter()
        .filter(|one| !one.command.starts_with("hubspotctl "))
        .filter_map(|one| Some(format!("{}: {}: {}", one.page, one.command, problem(&one.command)?)))
        .collect();

    assert!(wrong.is_empty(), "{wrong:#?}");
    for (beginning, reason) in ELSEWHERE {
        assert!(all.iter().any(|one| one.command.starts_with(beginning)), "{beginning} is not needed: {reason}");
    }
}

/// The commands of the tool, each once. The cutover's run in their order in a test of their own.
fn tool_commands() -> BTreeSet<(String, String)> {
    let own = documented().into_iter().filter(|one| one.page != "infra/docs/cutover.md");
    // A text may name an option alone.
    let is_command = |text: &str| text.strip_prefix("hubspotctl ").is_some_and(|rest| rest != "--json");
    own.filter(|one| is_command(&one.command)).map(|one| (one.page, one.command)).collect()
}

#[tokio::test]
async fn every_documented_command_of_the_tool_runs_on_a_stack() {
    let (world, folder) = (World::start().await, Folder::new());
    folder.text("stack.json", &json!(world.stack.operator()).to_string());
    let id = world.stack.connect("acme", ADMIN).await;
    let commands = tool_commands();
    assert!(commands.len() >= 20, "{commands:?}");

    for (page, line) in commands {
        let line = line.replace("ACCOUNT", "acme").replace(" ID", &format!(" {id}"));
        // A text that names a command of the tool may leave out its account.
        let bare =
            ["integrations show", "refresh", "status"].iter().any(|command| line == format!("hubspotctl {command}"));
        let words: Vec<&str> = line.split_whitespace().skip(1).chain(bare.then_some("acme")).collect();
        let interactive = INTERACTIVE.iter().any(|name| line.contains(name))
            && !line.contains("--dry-run")
            && !line.contains("--finish");

        let child = command(&world.stack, &words).current_dir(folder.path()).stdin(Stdio::null()).spawn().unwrap();
        let ended = ended(child).await;

        let context = format!("{page}: {line}: {} {}{}", ended.code, ended.text, ended.errors);
        assert!(!ended.errors.starts_with("error: "), "the arguments are invalid: {context}");
        assert!(if interactive { ended.code == 2 } else { ended.code <= 1 }, "{context}");
    }
}

#[test]
fn the_months_costs_are_computed_by_the_documented_command() {
    let output = std::process::Command::new(root().join("infra/costs/month")).args(["1000", "10"]).output().unwrap();

    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!output.stdout.is_empty());
}
