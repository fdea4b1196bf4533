//! Which core runs what, and how many files a process may open.

use anyhow::{Context, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_setaffinity};

/// Runs this thread, and the processes it starts from now on, on one core only.
///
/// # Errors
/// There is no such core.
pub(crate) fn to_core(core: usize) -> Result<()> {
    if core >= CpuSet::MAX_CPU {
        bail!("core {core} can't be used: cores are numbered from 0");
    }
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).with_context(|| format!("core {core} can't be used"))
}

/// Raises the limit of open files to its hard maximum and returns it.
pub(crate) fn raise_file_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    // A process that may not raise it works with what there is.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    );
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
