//! `connect` and `idle`: what a connection costs before anything is published.

use std::time::Duration;

use anyhow::{Context, Result};

use super::Bench;
use crate::client::{Client, Receiver, Wish};
use crate::latency::Latencies;
use crate::meter::Meter;
use crate::procfs;
use crate::report::Report;

/// Connections made before measuring, so that what a server allocates once is not counted.
const WARMUP_CONNECTIONS: u64 = 200;
/// How long a server may take to settle before its memory is read.
const SETTLE: Duration = Duration::from_millis(500);

/// Opens all connections at once and reports the CPU time of each handshake.
///
/// # Errors
/// A connection is refused.
pub(super) fn connect(bench: &Bench, report: &mut Report) -> Result<()> {
    let mut client = bench.client(0)?;
    let nothing = |_| (Wish::subscriber(0..0), Receiver::reader());
    client.open((0..WARMUP_CONNECTIONS).map(nothing))?;
    client.abort_from(0);
    settle(&mut client)?;
    let meter = Meter::read(bench.server.pid, &client)?;
    client.open((0..bench.parameters.n).map(nothing))?;
    let cost = meter.until_now(&client)?;

    let n = bench.parameters.n as f64;
    let seconds = cost.wall_ns as f64 / 1e9;
    report.add("seconds", seconds);
    report.add("handshakes_per_s", n / seconds);
    if cost.server_cpu_ns > 0 {
        report.add("cpu_per_handshake_us", cost.server_cpu_ns as f64 / n / 1e3);
    }
    report.add_load(&cost);
    let mut latencies = Latencies::new();
    for link in &client.links {
        latencies.record(link.opened_ns - link.begun_ns, 1);
    }
    report.latency = Some(latencies.quantiles());
    client.abort_from(0);
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
