//! `connect` and `idle`: what a connection costs before anything is published.

use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use rustix::time::{ClockId, clock_gettime};

use super::Bench;
use crate::client::{Client, Wish};
use crate::latency::Latencies;
use crate::meter::{Cost, Meter};
use crate::order::Keep;
use crate::procfs;
use crate::progress::Progress;
use crate::report::Report;

/// Connections made before measuring, so that what a server allocates once is not counted.
pub(super) const WARMUP_CONNECTIONS: u64 = 200;
/// Connections that come at once: as many as the shortest backlog of the servers compared holds.
const CROWD: u64 = 500;
/// How long a server may take to settle before its memory is read.
const SETTLE: Duration = Duration::from_millis(500);

/// Opens connections in crowds and reports the CPU time of each handshake, from accept to 101.
///
/// A server that waits for the next client to come pays for falling asleep and waking up, and making a connection costs
/// the client more than taking it costs the server. So each crowd arrives while the server is stopped, and finds it
/// when it goes on.
///
/// # Errors
/// A connection is refused.
pub(super) fn connect(bench: &Bench, report: &mut Report) -> Result<()> {
    let pid = bench.server.pid.context(
        "the server is stopped while the clients gather, so its process must be known: give --pid",
    )?;
    let mut client = bench.client(0, Keep::Until(1))?;
    let nothing = |_| Wish::reader(0..0);
    client.open((0..WARMUP_CONNECTIONS).map(nothing))?;
    client.abort_from(0);
    client.linger(SETTLE)?;
    let all = bench.parameters.n;
    let (mut opened, mut answering) = (0, Cost::default());
    let mut latencies = Latencies::new();
    let mut progress = Progress::from(client.now_ns());
    let meter = Meter::read(Some(pid), client.own)?;
    while opened < all {
        let crowd = (all - opened).min(CROWD);
        let stopped = Stopped::new(pid)?;
        let first = client.links.len();
        let mut released = Moment::default();
        client.open_crowd((0..crowd).map(nothing), |client| {
            released = Moment::now(client);
            stopped.go_on()
        })?;
        let answered = Moment::now(&client);
        answering.wall_ns += answered.at_ns - released.at_ns;
        answering.own_cpu_ns += (answered.own_cpu_ns - released.own_cpu_ns)
            .saturating_sub(answered.idle_ns - released.idle_ns);
        for link in &client.links[first..] {
            latencies.record(link.opened_ns.saturating_sub(released.at_ns), 1);
        }
        opened += crowd;
        progress.show(client.now_ns(), || format!("{opened} of {all} handshakes"));
    }
    drop(progress);
    let cost = meter.until_now(client.own)?;
    // The server does nothing while it is stopped.
    answering.server_cpu_ns = cost.server_cpu_ns;

    let n = all as f64;
    report.add("handshakes", n);
    report.add("handshakes_per_s", n * 1e9 / answering.wall_ns as f64);
    report.add("cpu_per_handshake_us", cost.server_cpu_ns as f64 / n / 1e3);
    report.add("user_share_percent", cost.server_user_share * 100.0);
    report.add_load(&answering);
    report.latency = Some(latencies.quantiles());
    Ok(())
}

/// What the load client's clocks say at a moment, in nanoseconds.
#[derive(Default)]
struct Moment {
    at_ns: u64,
    /// On the CPU, exactly: a crowd is answered in less than the system's accounts of threads are exact to.
    own_cpu_ns: u64,
    /// Of that, in polls that found nothing.
    idle_ns: u64,
}

impl Moment {
    fn now(client: &Client) -> Self {
        let cpu = clock_gettime(ClockId::ThreadCPUTime);
        Self {
            at_ns: client.now_ns(),
            own_cpu_ns: cpu.tv_sec as u64 * 1_000_000_000 + cpu.tv_nsec as u64,
            idle_ns: client.own.idle_ns,
        }
    }
}

/// A server that is stopped with its workers. It goes on when this is dropped, whatever happened meanwhile.
struct Stopped {
    family: Vec<Pid>,
}

impl Stopped {
    fn new(pid: u32) -> Result<Self> {
        let family = procfs::family(pid);
        let known = |pid: &u32| Pid::from_raw(i32::try_from(*pid).ok()?);
        // Made first, so that those that could be stopped go on even if another could not.
        let stopped = Self {
            family: family.iter().filter_map(known).collect(),
        };
        for pid in &stopped.family {
            kill_process(*pid, Signal::STOP).context("the server can't be stopped")?;
        }
        Ok(stopped)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// It is gone.
    fn go_on(&self) -> Result<()> {
        for pid in &self.family {
            kill_process(*pid, Signal::CONT).context("the server can't be let go on")?;
        }
        Ok(())
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        for pid in &self.family {
            // One that is gone needs nothing any more.
            let _ = kill_process(*pid, Signal::CONT);
        }
    }
}

/// Opens connections with one subscription each and reports the memory of each.
///
/// # Errors
/// A connection is refused, or the server's process is not known.
pub(super) fn idle(bench: &Bench, report: &mut Report) -> Result<()> {
    let pid = bench
        .server
        .pid
        .context("memory can only be measured of a known process: give --pid")?;
    let mut client = bench.client(0, Keep::Until(1))?;
    let subscriber = |_| Wish::reader(0..1);
    client.open((0..WARMUP_CONNECTIONS).map(subscriber))?;
    client.linger(SETTLE)?;
    let (before, kernel_before) = (procfs::resident_bytes(pid)?, procfs::tcp_buffer_bytes());
    client.open((0..bench.parameters.n).map(subscriber))?;
    client.linger(SETTLE)?;
    let (after, kernel_after) = (procfs::resident_bytes(pid)?, procfs::tcp_buffer_bytes());
    let n = bench.parameters.n as f64;
    report.add(
        "memory_per_connection_bytes",
        after.saturating_sub(before) as f64 / n,
    );
    report.add("memory_at_first_mib", mib(before));
    report.add("memory_mib", mib(after));
    report.add(
        "kernel_buffers_grew_by_mib",
        mib(kernel_after.saturating_sub(kernel_before)),
    );
    Ok(())
}

/// Bytes as MiB.
pub(super) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
