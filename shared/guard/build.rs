//! Folds `operations/operations.tsv` into the texts that the crate searches in place: versions become `@`, parameters
//! `{}`, and what many rows share stands once. A row that cannot be read fails the build.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::{env, fs};

const SOURCE: &str = "operations/operations.tsv";
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// Versions of a pattern, method and scopes.
type Rows = BTreeMap<Vec<String>, BTreeMap<(String, String), BTreeSet<String>>>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed={SOURCE}");
    let mut rows = Rows::new();
    for (number, line) in fs::read_to_string(SOURCE)?.lines().enumerate() {
        add(&mut rows, line).map_err(|wrong| format!("{SOURCE}: line {}: {wrong}", number + 1))?;
    }
    let (mut versions, mut scopes) = (Vec::new(), Vec::new());
    let mut patterns = String::new();
    for (pattern, methods) in rows {
        let pattern: Vec<&str> = pattern.iter().map(|segment| if segment == LAST { "{}" } else { segment }).collect();
        patterns.push_str(&pattern.join("/"));
        patterns.push('\t');
        for ((method, set), of) in methods {
            let of: Vec<String> = of.into_iter().collect();
            let (of, set) = (place(&mut versions, of.join(" ")), place(&mut scopes, set));
            patterns.push_str(&format!("{method} {of} {set} "));
        }
        patterns.push('\n');
    }
    let folder = env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?;
    let write = |name: &str, text: String| fs::write(Path::new(&folder).join(name), text);
    write("patterns.txt", patterns)?;
    write("versions.txt", versions.join("\n"))?;
    write("scopes.txt", scopes.join("\n"))?;
    Ok(())
}

/// Sorts behind every literal segment, so that the first pattern that fits is the most specific one.
const LAST: &str = "~";

fn add(rows: &mut Rows, line: &str) -> Result<(), String> {
    let [method, path, scopes] = line.split('\t').collect::<Vec<_>>()[..] else {
        return Err("three columns are expected".to_owned());
    };
    let path = path.strip_prefix('/').ok_or("the path has to begin with `/`")?;
    let path = path.strip_suffix('/').unwrap_or(path);
    if !METHODS.contains(&method) || scopes.trim() != scopes || scopes.is_empty() {
        return Err("a method and scopes are expected".to_owned());
    }
    let (mut pattern, mut version) = (Vec::new(), None);
    for segment in path.split('/') {
        if segment.is_empty() || segment.contains([' ', '~', '@', '%']) {
            return Err(format!("segment `{segment}` is not expected"));
        }
        pattern.push(if segment.starts_with('{') && segment.ends_with('}') {
            LAST.to_owned()
        } else if is_version(segment) {
            if version.replace(segment.to_owned()).is_some() {
                return Err("one version is expected".to_owned());
            }
            "@".to_owned()
        } else {
            segment.to_owned()
        });
    }
    let key = (method.to_owned(), scopes.to_owned());
    rows.entry(pattern).or_default().entry(key).or_default().insert(version.ok_or("a version is expected")?);
    Ok(())
}

fn is_version(segment: &str) -> bool {
    let short = segment.len() == 2 && segment.starts_with('v') && segment.ends_with(|c: char| c.is_ascii_digit());
    short || (segment.starts_with("20") && segment.as_bytes().get(4) == Some(&b'-'))
}

/// The place of a text in a list, appended where it is new.
fn place(texts: &mut Vec<String>, text: String) -> usize {
    texts.iter().position(|known| *known == text).unwrap_or_else(|| {
        texts.push(text);
        texts.len() - 1
    })
}
