//! `many`, `board` and `churn`: more than one channel, or subscriptions that come and go.

use anyhow::{Result, bail};

use super::broadcast::measure;
use super::{Bench, Scenario};
use crate::client::{Client, Receiver, Wish};
use crate::load::{EachTurn, Load};
use crate::receive::Reader;
use crate::report::Report;

/// How often a subscription of `churn` is ended and begun again.
const CHURN_NS: u64 = 1_000_000;

/// Many channels with as many subscribers each, or all channels on each connection.
///
/// # Errors
/// A message was lost, repeated, changed or out of order, or the server failed.
pub(super) fn run(scenario: Scenario, bench: &Bench, report: &mut Report) -> Result<()> {
    let parameters = &bench.parameters;
    let (n, channels) = (parameters.n, parameters.channels as usize);
    let mut client = bench.client(0)?;
    let fan = if scenario == Scenario::Board {
        client.open((0..n).map(|_| (Wish::subscriber(0..channels), Receiver::reader())))?;
        n
    } else {
        if !n.is_multiple_of(parameters.channels) {
            bail!(
                "n {n} is not a multiple of channels {channels}: each channel has as many subscribers as the others"
            );
        }
        client.open((0..n as usize).map(|at| {
            let channel = at % channels;
            (Wish::subscriber(channel..channel + 1), Receiver::reader())
        }))?;
        n / parameters.channels
    };
    client.open((0..parameters.publishers).map(|_| (Wish::publisher(), Receiver::reader())))?;
    let publishers = (n as usize..client.links.len()).collect();
    let mut load = Load::new(client, publishers, channels, fan, parameters.pace);
    measure(&mut load, bench, report, &mut |_, _| Ok(()))
}

/// Followers of one channel, and a tenth as many connections that subscribe to it and unsubscribe in turn.
///
/// # Errors
/// As [`run`].
pub(super) fn churn(bench: &Bench, report: &mut Report) -> Result<()> {
    let parameters = &bench.parameters;
    let mut client = bench.client(parameters.n)?;
    client.open((0..parameters.n).map(|_| (Wish::subscriber(0..1), Receiver::follower())))?;
    client.open((0..parameters.publishers).map(|_| (Wish::publisher(), Receiver::reader())))?;
    let publishers: Vec<usize> = (parameters.n as usize..client.links.len()).collect();
    let first = client.links.len();
    let churners = (parameters.n as usize / 10).max(1);
    client
        .open((0..churners).map(|_| (Wish::subscriber(0..1), Receiver::Reader(Reader::apart()))))?;
    let mut load = Load::new(client, publishers, 1, parameters.n, parameters.pace);

    let (mut turned, mut next_ns) = (0, 0);
    let each_turn: EachTurn<'_> = &mut |client: &mut Client, now_ns| {
        while now_ns >= next_ns {
            next_ns = next_ns.max(now_ns.saturating_sub(10 * CHURN_NS)) + CHURN_NS;
            let at = first + turned % churners;
            let dialect = client.shared.dialect;
            let outbox = client.outbox(at);
            dialect.unsubscribe(outbox, 0);
            dialect.subscribe(outbox, 0, None);
            client.flush(at)?;
            turned += 1;
        }
        Ok(())
    };
    measure(&mut load, bench, report, each_turn)?;
    report.add("resubscriptions", turned as f64);
    Ok(())
}
