//! The first answer at 7.24 % of a core, which is what Lambda gives a function of 128 MB.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::measure::median;
use crate::process::{Process, Program};
use crate::variant::{CORE, Variant};
use crate::world::answered;

/// Microseconds of CPU in each period, and the period.
const SHARE: (u32, u32) = (1_448, 20_000);
const ROUNDS: usize = 5;

/// A group of processes with a share of a core; its folder goes when it is dropped.
struct Group(PathBuf);

impl Group {
    /// One of the kernel's first or second version; needs root.
    fn new() -> Option<Self> {
        let name = format!("bench-{}", std::process::id());
        let (quota, period) = SHARE;
        let first = Path::new("/sys/fs/cgroup/cpu");
        let (folder, settings) = if first.is_dir() {
            let settings = vec![("cpu.cfs_period_us", period.to_string()), ("cpu.cfs_quota_us", quota.to_string())];
            (first.join(name), settings)
        } else {
            (Path::new("/sys/fs/cgroup").join(name), vec![("cpu.max", format!("{quota} {period}"))])
        };
        fs::create_dir(&folder).ok()?;
        let group = Self(folder);
        settings.iter().try_for_each(|(file, value)| fs::write(group.0.join(file), value)).ok()?;
        Some(group)
    }

    /// The same program, started within the group.
    fn within(&self, program: &Program) -> Program {
        let enter = format!("echo $$ > {}/cgroup.procs && exec \"$0\" \"$@\"", self.0.display());
        let mut arguments = vec!["-c".to_owned(), enter, program.path.display().to_string()];
        arguments.extend(program.arguments.iter().cloned());
        Program { path: "/bin/sh".into(), arguments, environment: program.environment.clone() }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// The time to the first answer of each variant; none where this machine lets us form no group.
///
/// # Errors
/// A variant does not answer.
pub(crate) async fn first_answers(variants: &[Variant]) -> Result<Option<Vec<Duration>>, String> {
    let mut times = vec![Vec::new(); variants.len()];
    for _ in 0..ROUNDS {
        for (variant, times) in variants.iter().zip(&mut times) {
            // A new one each time: what a process took beyond its share, the next of its group would have to wait for.
            let Some(group) = Group::new() else { return Ok(None) };
            let mut process = Process::spawn(&group.within(&variant.program), CORE).await?;
            let first = process.first(variant.event.clone()).await?;
            answered(&first.body)?;
            times.push(first.took);
            process.end().await;
        }
    }
    Ok(times.iter().map(|times| median(times)).collect())
}
