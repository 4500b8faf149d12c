//! Processes with a share of a core, as Lambda gives it to a function by its memory size.

use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::Pid;

use crate::process::Program;

/// Microseconds after which a share is dealt out anew.
const PERIOD: u32 = 20_000;
/// Megabytes that Lambda gives a whole core with.
const WHOLE_CORE: u32 = 1_769;

/// The share of a core that a memory size has.
pub(crate) fn share(megabytes: u32) -> f64 {
    f64::from(megabytes.min(WHOLE_CORE)) / f64::from(WHOLE_CORE)
}

/// A group of processes with a share of a core; its folder goes when it is dropped.
pub(crate) struct Group(PathBuf);

impl Group {
    /// One of the kernel's first or second version; needs root.
    pub(crate) fn of(megabytes: u32) -> Option<Self> {
        let name = format!("bench-{}", std::process::id());
        let quota = PERIOD * megabytes.min(WHOLE_CORE) / WHOLE_CORE;
        let first = Path::new("/sys/fs/cgroup/cpu");
        let (folder, settings) = if first.is_dir() {
            let settings = vec![("cpu.cfs_period_us", PERIOD.to_string()), ("cpu.cfs_quota_us", quota.to_string())];
            (first.join(name), settings)
        } else {
            (Path::new("/sys/fs/cgroup").join(name), vec![("cpu.max", format!("{quota} {PERIOD}"))])
        };
        fs::create_dir(&folder).ok()?;
        let group = Self(folder);
        settings.iter().try_for_each(|(file, value)| fs::write(group.0.join(file), value)).ok()?;
        Some(group)
    }

    /// The same program, started within the group.
    pub(crate) fn within(&self, program: &Program) -> Program {
        let enter = format!("echo $$ > {}/cgroup.procs && exec \"$0\" \"$@\"", self.0.display());
        let mut arguments = vec!["-c".to_owned(), enter, program.path.display().to_string()];
        arguments.extend(program.arguments.iter().cloned());
        Program { path: "/bin/sh".into(), arguments, environment: program.environment.clone() }
    }

    /// Moves a process into the group, with all of its threads.
    pub(crate) fn take(&self, pid: Pid) -> Result<(), String> {
        let file = self.0.join("cgroup.procs");
        fs::write(&file, pid.to_string()).map_err(|error| format!("{}: {error}", file.display()))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}
