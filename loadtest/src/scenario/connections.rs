//! `connect` and `idle`: what a connection costs before anything is published.

use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use super::Bench;
use crate::client::{Client, Receiver, Wish};
use crate::latency::Latencies;
use crate::meter::Meter;
use crate::procfs;
use crate::report::Report;

/// Connections made before measuring, so that what a server allocates once is not counted.
const WARMUP_CONNECTIONS: u64 = 200;
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
    let pid = bench.server.pid;
    let mut client = bench.client(0)?;
    let nothing = |_| (Wish::subscriber(0..0), Receiver::reader());
    client.open((0..WARMUP_CONNECTIONS).map(nothing))?;
    client.abort_from(0);
    settle(&mut client)?;
    let (mut left, mut answering_ns) = (bench.parameters.n, 0);
    let mut latencies = Latencies::new();
    let meter = Meter::read(pid, &client)?;
    while left > 0 {
        let crowd = left.min(CROWD);
        signal(pid, Signal::STOP)?;
        let mut released_ns = 0;
        let begun = client.begun;
        let first = client.links.len();
        client.open_crowd((0..crowd).map(nothing), || {
            released_ns = begun.elapsed().as_nanos() as u64;
            signal(pid, Signal::CONT)
        })?;
        answering_ns += client.now_ns() - released_ns;
        for link in &client.links[first..] {
            latencies.record(link.opened_ns.saturating_sub(released_ns), 1);
        }
        left -= crowd;
    }
    let cost = meter.until_now(&client)?;

    let n = bench.parameters.n as f64;
    report.add("handshakes", n);
    report.add("handshakes_per_s", n * 1e9 / answering_ns as f64);
    if cost.server_cpu_ns > 0 {
        report.add("cpu_per_handshake_us", cost.server_cpu_ns as f64 / n / 1e3);
        report.add("user_share_percent", cost.server_user_share * 100.0);
    }
    report.latency = Some(latencies.quantiles());
    client.abort_from(0);
    Ok(())
}

/// Sends a signal to the server and its workers, if its process is known.
fn signal(pid: Option<u32>, signal: Signal) -> Result<()> {
    let family = pid.map_or(Vec::new(), procfs::family);
    for pid in family
        .into_iter()
        .filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?))
    {
        kill_process(pid, signal).context("the server can't be stopped and let go on")?;
    }
    Ok(())
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
    let mut client = bench.client(0)?;
    let subscriber = |_| (Wish::subscriber(0..1), Receiver::reader());
    client.open((0..WARMUP_CONNECTIONS).map(subscriber))?;
    settle(&mut client)?;
    let (before, kernel_before) = (procfs::resident_bytes(pid)?, procfs::tcp_buffer_bytes());
    client.open((0..bench.parameters.n).map(subscriber))?;
    settle(&mut client)?;
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
    client.abort_from(0);
    Ok(())
}

/// Handles what comes until nothing should be under way any more.
fn settle(client: &mut Client) -> Result<()> {
    let until = client.now_ns() + SETTLE.as_nanos() as u64;
    while client.now_ns() < until {
        client.turn(Duration::from_millis(50))?;
    }
    Ok(())
}

/// Bytes as MiB.
pub(super) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
