//! The operator's tool: the real binary against the local stack.

mod app_secret;
mod care;
mod check;
mod contract;
mod decommission;
mod doctor;
mod extremes;
mod import;
mod secrecy;
mod sweep;
mod terminal;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use devstack::hubspot::PORTAL;
use devstack::stack::Stack;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

use crate::refresh::planted::SCOPES;
use crate::world::World;

/// A folder of a test's own, gone with it.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("hubspotctl-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self, name: &str, lines: &[Value]) -> PathBuf {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        self.text(name, &text)
    }

    pub(crate) fn text(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) text: String,
    pub(crate) errors: String,
    /// The output's lines, as far as they are JSON.
    pub(crate) lines: Vec<Value>,
}

impl Ended {
    /// The outcomes of the lines of an import, in their order.
    pub(crate) fn outcomes(&self) -> Vec<String> {
        let outcome = |line: &Value| Some((line["line"].as_u64()?, line["outcome"].as_str()?.to_owned()));
        let mut outcomes: Vec<_> = self.lines.iter().filter_map(outcome).collect();
        outcomes.sort();
        outcomes.into_iter().map(|(_, outcome)| outcome).collect()
    }

    /// The last line.
    pub(crate) fn summary(&self) -> &Value {
        self.lines.last().unwrap()
    }

    /// How often each outcome of an import occurred.
    pub(crate) fn counts(&self) -> &Value {
        &self.summary()["outcomes"]
    }
}

/// The tool as an operator of the stack starts it.
pub(crate) fn command(stack: &Stack, arguments: &[&str]) -> Command {
    let mut command = Command::new(Stack::hubspotctl().unwrap());
    command.args(arguments).env_clear().envs(stack.operator()).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a command to its end.
pub(crate) async fn run(stack: &Stack, arguments: &[&str]) -> Ended {
    ended(command(stack, arguments).spawn().unwrap()).await
}

/// Runs a command to its end that reads `stdin`.
pub(crate) async fn run_with(stack: &Stack, arguments: &[&str], stdin: &str) -> Ended {
    let mut child = command(stack, arguments).stdin(Stdio::piped()).spawn().unwrap();
    // A command that refuses its arguments does not read.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes()).await;
    ended(child).await
}

pub(crate) async fn ended(child: Child) -> Ended {
    let output = child.wait_with_output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    contract::assert_holds(&text);
    contract::assert_holds(&errors);
    Ended {
        code: output.status.code().unwrap_or(-1),
        errors,
        lines: text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(),
        text,
    }
}

/// An integration of the system before, whose refresh token HubSpot accepts.
pub(crate) fn legacy(world: &World, account: &str, integration: &str, created_at: i64) -> Value {
    let issued = world.stack.hubspot.authorize(PORTAL, SCOPES);
    json!({"account_id": account, "integration_id": integration, "created_at": created_at,
        "refresh_token": issued.refresh_token})
}

pub(crate) fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
