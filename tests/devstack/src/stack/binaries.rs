//! Finds the executables that cargo built.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::template::repository;

/// One of the workspace's executables, from the folder of the running one.
pub(super) fn find(binary: &str) -> Result<PathBuf, String> {
    let current = std::env::current_exe().map_err(|error| format!("where am I? {error}"))?;
    let mut folder = current.parent().unwrap_or(Path::new("."));
    // Tests are in `deps`, examples in `examples`.
    if folder.ends_with("deps") || folder.ends_with("examples") {
        folder = folder.parent().unwrap_or(folder);
    }
    let program = folder.join(binary);
    if !program.is_file() {
        return Err(format!("{} is not built: run `cargo build --workspace` first", program.display()));
    }
    warn_if_stale(binary, &program);
    Ok(program)
}

/// `cargo test` does not build the executables that the local stack spawns, and a stale one passes or fails for
/// reasons that nobody sees.
fn warn_if_stale(binary: &str, program: &Path) {
    let built = program.metadata().and_then(|file| file.modified()).ok();
    let own = if binary == "hubspotctl" { "infra/ctl/src".to_owned() } else { format!("functions/{binary}/src") };
    let sources = ["shared/src".to_owned(), own];
    let newest = sources.iter().filter_map(|folder| newest(&repository().join(folder))).max();
    if newest > built {
        eprintln!("{binary} is older than its sources: run `cargo build --workspace` to test what you see");
    }
}

fn newest(folder: &Path) -> Option<SystemTime> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    let times = entries.filter_map(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => newest(&entry.path()),
        _ => entry.metadata().and_then(|file| file.modified()).ok(),
    });
    times.max()
}
