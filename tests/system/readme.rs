//! The README shows what really appears.

mod commands;
mod costs;
mod cutover;
mod links;
pub(crate) mod refusals;

use std::process::Command;

/// Leaves out what differs from run to run: ids, ports and the visible part of a token.
pub(crate) fn steady(text: &str) -> String {
    let mut steady = String::new();
    for word in text.split_inclusive([' ', '\n']) {
        let (bare, end) = word.split_at(word.trim_end().len());
        let id = bare.trim_end_matches('.');
        if id.len() == 36 && uuid::Uuid::try_parse(id).is_ok() {
            steady.push_str("ID");
        } else if let Some(host) = bare.strip_prefix("127.0.0.1:") {
            steady.push_str(if host.parse::<u16>().is_ok() { "HOST" } else { bare });
        } else if bare.ends_with('…') {
            steady.push_str("TOKEN");
        } else {
            steady.push_str(bare);
        }
        steady.push_str(end);
    }
    steady.trim().to_owned()
}

#[test]
fn the_demonstration_prints_what_the_readme_shows() {
    let readme = include_str!("../../README.md");
    let shown = readme.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let program = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("devstack");

    let output = Command::new(program).arg("demo").output().unwrap();

    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(steady(&String::from_utf8_lossy(&output.stdout)), steady(shown));
}
