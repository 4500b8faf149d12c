//! Links between the pages of the documentation lead somewhere: the file exists, and so does the heading.

use std::path::{Path, PathBuf};

/// The repository's pages, without what is built or installed.
pub(super) fn pages(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && !["target", "node_modules"].contains(&name.as_str()) {
            pages(&path, into);
        } else if name.ends_with(".md") {
            into.push(path);
        }
    }
}

/// The targets of a page's links, code blocks aside.
fn targets(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|prose| prose.split("](").skip(1)).filter_map(|rest| rest.split(')').next()).collect()
}

/// The anchors that forges make of a page's headings.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    headings.map(|heading| heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")).collect()
}

/// The problem with a link of `page`, if it leads nowhere.
fn broken(page: &Path, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
    let path = if file.is_empty() { page.to_path_buf() } else { page.parent().unwrap().join(file) };
    let missing = || Some(format!("{}: {target}", page.display()));
    match anchor {
        _ if !path.exists() => missing(),
        Some(anchor) if !anchors(&std::fs::read_to_string(&path).unwrap()).iter().any(|one| one == anchor) => missing(),
        _ => None,
    }
}

#[test]
fn every_link_of_the_documentation_leads_to_a_file_and_a_heading() {
    let mut all = Vec::new();
    pages(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), &mut all);
    assert!(all.len() >= 15, "{all:?}");

    let broken: Vec<String> = all
        .iter()
        .flat_map(|page| {
            let text = std::fs::read_to_string(page).unwrap();
            targets(&text).into_iter().filter_map(|target| broken(page, target)).collect::<Vec<_>>()
        })
        .collect();

    assert!(broken.is_empty(), "{broken:#?}");
}
