//! Attack inputs that others collected, if `ATTACK_INPUTS` names their folder.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// All texts of all collections.
pub fn all_texts() -> Vec<String> {
    let mut folders: Vec<PathBuf> = folder().into_iter().collect();
    let mut all = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                all.extend(texts_of(&path));
            }
        }
    }
    all.sort();
    all.dedup();
    all
}

/// The texts of one collection.
pub fn texts(file: &str) -> Vec<String> {
    folder().map(|folder| texts_of(&folder.join(file))).unwrap_or_default()
}

/// One of so many, for tests that take longer for each; all of them where `HOSTILE_ROUNDS` asks for the long form.
pub fn sample(texts: Vec<String>, of: usize) -> Vec<String> {
    let of = if std::env::var_os("HOSTILE_ROUNDS").is_some() { 1 } else { of };
    texts.into_iter().step_by(of).collect()
}

fn folder() -> Option<PathBuf> {
    std::env::var_os("ATTACK_INPUTS").filter(|folder| !folder.is_empty()).map(PathBuf::from)
}

/// Lines, and in JSON every string in any depth.
fn texts_of(file: &Path) -> Vec<String> {
    fn strings(value: Value, into: &mut Vec<String>) {
        match value {
            Value::String(text) => into.push(text),
            Value::Array(list) => list.into_iter().for_each(|value| strings(value, into)),
            Value::Object(fields) => fields.into_iter().for_each(|(_, value)| strings(value, into)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let content = String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned();
    if file.extension().is_none_or(|extension| extension != "json") {
        return content.lines().map(str::to_owned).collect();
    }
    let mut all = Vec::new();
    strings(serde_json::from_str(&content).unwrap(), &mut all);
    all
}
