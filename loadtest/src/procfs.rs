//! What Linux tells about a process and about its sockets, read from `/proc`.
//!
//! CPU time comes from `schedstat`, which counts nanoseconds on the CPU, where `stat` counts ticks of 10 ms. Time spent
//! in the kernel on behalf of the process counts too, the loopback's own soft interrupts included.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// The unit of `stat`'s times: `USER_HZ` is 100 on every Linux.
const TICK_NS: u64 = 10_000_000;

/// Nanoseconds that all living threads of a process and of its children have spent on a CPU.
///
/// # Errors
/// The process is gone.
pub(crate) fn cpu_ns(pid: u32) -> Result<u64> {
    let mut total = 0;
    for task in tasks(pid)? {
        // A thread may end between the listing and the reading.
        let text = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
        total += first_number(&text).unwrap_or(0);
    }
    Ok(total)
}

/// Nanoseconds that all threads of this process have spent on a CPU, its children's not among them: the server is one.
pub(crate) fn own_cpu_ns() -> u64 {
    let mut total = 0;
    for task in fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten()
    {
        let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        total += first_number(&text).unwrap_or(0);
    }
    total
}

/// User and kernel time of a process and its children in nanoseconds, to the 10 ms that `stat` has.
///
/// # Errors
/// The process is gone.
pub(crate) fn user_and_system_ns(pid: u32) -> Result<(u64, u64)> {
    let (mut user, mut system) = (0, 0);
    for task in tasks(pid)? {
        let text = fs::read_to_string(task.join("stat")).unwrap_or_default();
        // The name in parentheses may contain anything; the numbers begin behind the last parenthesis with field 3.
        let mut fields = text
            .rsplit(')')
            .next()
            .unwrap_or("")
            .split_whitespace()
            .skip(11);
        let mut ticks = || {
            fields
                .next()
                .and_then(|field| field.parse::<u64>().ok())
                .unwrap_or(0)
        };
        user += ticks() * TICK_NS;
        system += ticks() * TICK_NS;
    }
    Ok((user, system))
}

/// Bytes of physical memory that a process and its children hold.
///
/// # Errors
/// The process is gone.
pub(crate) fn resident_bytes(pid: u32) -> Result<u64> {
    let mut total = 0;
    for pid in family(pid) {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| gone(pid))?;
        total += labelled(&text, "VmRSS:").unwrap_or(0) * 1024;
    }
    Ok(total)
}

/// The directories of all threads of a process and its children.
fn tasks(pid: u32) -> Result<Vec<PathBuf>> {
    let mut tasks = Vec::new();
    for pid in family(pid) {
        for task in fs::read_dir(format!("/proc/{pid}/task")).with_context(|| gone(pid))? {
            tasks.push(task?.path());
        }
    }
    Ok(tasks)
}

/// A process and its children: a master process does nothing itself. Grandchildren are nobody's here.
pub(crate) fn family(pid: u32) -> Vec<u32> {
    let children =
        fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = children
        .split_whitespace()
        .filter_map(|child| child.parse().ok());
    std::iter::once(pid).chain(children).collect()
}

fn gone(pid: u32) -> String {
    format!("process {pid} is gone")
}

/// Bytes of kernel memory in all TCP buffers of this machine.
pub(crate) fn tcp_buffer_bytes() -> u64 {
    let text = fs::read_to_string("/proc/net/sockstat").unwrap_or_default();
    let pages = text
        .lines()
        .find(|line| line.starts_with("TCP:"))
        .and_then(|line| {
            line.split_whitespace()
                .skip_while(|word| *word != "mem")
                .nth(1)
        })
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * 4096
}

/// TCP segments with data that this machine has sent since it started (`TCPOrigDataSent`).
///
/// On loopback one `send` of up to 64 KiB is one segment, so that what a server adds to this is its number of sends,
/// whichever system call it makes them with, and without tracing it.
pub(crate) fn data_segments_sent() -> u64 {
    let text = fs::read_to_string("/proc/net/netstat").unwrap_or_default();
    named_column(&text, "TcpExt:", "TCPOrigDataSent").unwrap_or(0)
}

/// The processor's model, the number of processors and the kernel, in a line.
pub(crate) fn machine() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split(": ").nth(1))
        .unwrap_or("unknown processor");
    let cores = cpuinfo
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

fn labelled(text: &str, label: &str) -> Option<u64> {
    first_number(text.lines().find_map(|line| line.strip_prefix(label))?)
}

/// Finds a column by name in the pairs of lines of `/proc/net/netstat`.
fn named_column(text: &str, label: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter(|line| line.starts_with(label));
    let at = lines
        .next()?
        .split_whitespace()
        .position(|word| word == name)?;
    lines.next()?.split_whitespace().nth(at)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_found_by_its_name() {
        let text = "TcpExt: A B\nTcpExt: 1 2\nIpExt: B\nIpExt: 9\n";
        assert_eq!(named_column(text, "TcpExt:", "B"), Some(2));
        assert_eq!(named_column(text, "IpExt:", "B"), Some(9));
        assert_eq!(named_column(text, "TcpExt:", "C"), None);
    }

    #[test]
    fn this_process_has_a_cost_and_a_size() {
        let me = std::process::id();
        assert!(cpu_ns(me).unwrap() > 0);
        assert!(own_cpu_ns() > 0);
        assert!(resident_bytes(me).unwrap() > 100_000);
    }
}
