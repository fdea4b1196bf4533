//! `fanout`, `limit` and `ingest`: one channel, publishers and subscribers of it.

use anyhow::Result;

use super::Bench;
use crate::client::{Receiver, Wish};
use crate::load::{Load, Until};
use crate::report::Report;

/// Publishes to one channel and reports what it cost.
///
/// # Errors
/// A message was lost, repeated, changed or out of order, or the server failed.
pub(super) fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let parameters = &bench.parameters;
    let mut client = bench.client(parameters.n)?;
    // Subscribers first: who subscribes before the first message must get all of them.
    client.open((0..parameters.n).map(|_| (Wish::subscriber(0..1), Receiver::follower())))?;
    client.open((0..parameters.publishers).map(|_| (Wish::publisher(), Receiver::reader())))?;
    let publishers = (parameters.n as usize..client.links.len()).collect();
    let mut load = Load::new(client, publishers, 1, parameters.n, parameters.pace)?;
    measure(&mut load, bench, report)
}

/// Warms up, measures, and adds what was found to the report.
///
/// # Errors
/// As [`run`].
pub(super) fn measure(load: &mut Load, bench: &Bench, report: &mut Report) -> Result<()> {
    let parameters = &bench.parameters;
    let until = |seconds: f64, messages| Until {
        ns: (seconds * 1e9) as u64,
        messages,
    };
    if parameters.warmup > 0.0 {
        load.run(
            until(parameters.warmup, u64::MAX),
            bench.server.pid,
            &mut |_, _| Ok(()),
        )?;
    }
    load.client.shared.forget_latencies();
    let done = load.run(
        until(parameters.seconds, parameters.messages),
        bench.server.pid,
        &mut |_, _| Ok(()),
    )?;
    report.add_cost(&done.cost, done.published, done.deliveries);
    report.latency = Some(load.client.shared.latency());
    report.skew = Some(load.client.shared.stream.skew.quantiles()).filter(|skew| skew.count > 0);
    Ok(())
}
