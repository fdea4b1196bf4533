//! `slow`: some subscribers stop reading. The server's memory must not grow with what they miss, and the others must
//! not notice.

use std::time::Duration;

use anyhow::{Context, Result};

use super::Bench;
use super::connections::mib;
use crate::client::{Client, Wish};
use crate::load::{Load, Until};
use crate::order::Keep;
use crate::procfs;
use crate::report::Report;

/// How often memory is read.
const SAMPLE_NS: u64 = 50_000_000;

/// Publishes the same without and with stalled subscribers and reports both.
///
/// # Errors
/// One of those that read lost something, or the server's process is not known.
pub(super) fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let pid = bench
        .server
        .pid
        .context("memory can only be measured of a known process: give --pid")?;
    let parameters = &bench.parameters;
    let mut client = bench.client(parameters.n, Keep::Until(1))?;
    client.open((0..parameters.n).map(|_| Wish::follower()))?;
    client.open([Wish::publisher()])?;
    let publisher = parameters.n as usize;
    let mut load = Load::new(client, vec![publisher], 1, parameters.n, parameters.pace);
    let until = |seconds: f64, messages| Until {
        ns: (seconds * 1e9) as u64,
        messages,
    };
    let all = until(parameters.seconds, parameters.messages);

    load.run(
        until(parameters.warmup, parameters.messages),
        Some(pid),
        &mut |_, _| Ok(()),
    )?;
    load.client.shared.forget_latencies();
    let mut without = Peak::new(pid);
    let done = load.run(all, Some(pid), &mut |_, now| without.sample(now))?;
    let before = load.client.shared.latency();
    report.add(
        "cpu_per_delivery_without_stalled_us",
        done.cost.server_cpu_ns as f64 / done.deliveries as f64 / 1e3,
    );

    stall(&mut load.client, parameters.stalled)?;
    load.client.shared.forget_latencies();
    let mut with = Peak::new(pid);
    let done = load.run(all, Some(pid), &mut |_, now| with.sample(now))?;
    let after = load.client.shared.latency();

    report.add_cost(&done.cost, done.published, done.deliveries);
    report.add("published_mib", mib(done.published * parameters.size));
    report.add("memory_without_stalled_mib", mib(without.memory));
    report.add("memory_at_the_stall_mib", mib(with.memory_at_first));
    report.add("memory_with_stalled_mib", mib(with.memory));
    report.add(
        "memory_grew_by_mib",
        mib(with.memory.saturating_sub(with.memory_at_first)),
    );
    report.add("kernel_buffers_without_stalled_mib", mib(without.kernel));
    report.add("kernel_buffers_with_stalled_mib", mib(with.kernel));
    report.add("p99_without_stalled_ms", before.p99_ms);
    report.add("p99_ratio", after.p99_ms / before.p99_ms);
    report.latency = Some(after);
    Ok(())
}

/// Opens subscribers and never looks at them again.
fn stall(client: &mut Client, count: u64) -> Result<()> {
    let first = client.links.len();
    client.open((0..count).map(|_| Wish::reader(0..1)))?;
    for at in first..client.links.len() {
        client.stall(at)?;
    }
    // Lets the server finish with them before its memory is read.
    client.linger(Duration::from_millis(300))
}

/// The most memory seen, of the server and of the kernel for TCP.
struct Peak {
    pid: u32,
    memory_at_first: u64,
    memory: u64,
    kernel: u64,
    next_ns: u64,
}

impl Peak {
    fn new(pid: u32) -> Self {
        let memory_at_first = procfs::resident_bytes(pid).unwrap_or(0);
        Self {
            pid,
            memory_at_first,
            memory: memory_at_first,
            kernel: 0,
            next_ns: 0,
        }
    }

    fn sample(&mut self, now_ns: u64) -> Result<()> {
        if now_ns >= self.next_ns {
            self.memory = self.memory.max(procfs::resident_bytes(self.pid)?);
            self.kernel = self.kernel.max(procfs::tcp_buffer_bytes());
            self.next_ns = now_ns + SAMPLE_NS;
        }
        Ok(())
    }
}
