//! `fanout`, `limit` and `ingest`: one channel, publishers and subscribers of it.

use anyhow::Result;

use super::Bench;
use crate::client::Wish;
use crate::load::{Done, EachTurn, Load, Until};
use crate::order::Keep;
use crate::probe::Probe;
use crate::report::Report;

/// Publishes to one channel and reports what it cost.
///
/// # Errors
/// A message was lost, repeated, changed or out of order, or the server failed.
pub(super) fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let parameters = &bench.parameters;
    let mut client = bench.client(parameters.n, Keep::Until(1))?;
    // Subscribers first: who subscribes before the first message must get all of them.
    client.open((0..parameters.n).map(|_| Wish::follower()))?;
    client.open((0..parameters.publishers).map(|_| Wish::publisher()))?;
    let publishers = (parameters.n as usize..client.links.len()).collect();
    let load = Load::new(client, publishers, 1, parameters.n, parameters.pace);
    let mut load = load.in_batches(parameters.batch);
    measure(&mut load, bench, report, &mut |_, _| Ok(()))?;
    Ok(())
}

/// Warms up, measures, and adds what was found to the report.
///
/// # Errors
/// As [`run`].
pub(super) fn measure(
    load: &mut Load,
    bench: &Bench,
    report: &mut Report,
    each_turn: EachTurn<'_>,
) -> Result<Done> {
    let parameters = &bench.parameters;
    let pid = bench.server.pid;
    let until = |seconds: f64, messages| Until {
        ns: (seconds * 1e9) as u64,
        messages,
    };
    let probe = match parameters.probe {
        true => Some(Probe::start(&bench.server, bench.dialect)?),
        false => None,
    };
    load.client.yields = probe.is_some();
    if parameters.warmup > 0.0 {
        load.run(
            until(parameters.warmup, parameters.messages),
            pid,
            each_turn,
        )?;
    }
    load.client.shared.forget_latencies();
    let done = load.run(
        until(parameters.seconds, parameters.messages),
        pid,
        each_turn,
    )?;
    let deliveries = done.deliveries + done.deliveries_apart;
    report.add_cost(&done.cost, done.published, deliveries);
    if let Some(probe) = probe {
        probe.report(report)?;
    }
    report.latency = Some(load.client.shared.latency());
    report.skew = load.client.shared.skew();
    Ok(done)
}
