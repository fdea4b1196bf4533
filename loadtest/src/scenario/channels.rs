//! `many`, `board` and `churn`: more than one channel, or subscriptions that come and go.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::broadcast::measure;
use super::{Bench, Scenario};
use crate::client::{Client, Wish};
use crate::load::{EachTurn, Load};
use crate::order::Keep;
use crate::report::Report;

/// How often a subscription of `churn` is ended and begun again.
const CHURN_NS: u64 = 1_000_000;

/// How long who comes and goes may take to catch up when the others have everything.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Many channels with as many subscribers each, or all channels on each connection.
///
/// # Errors
/// A message was lost, repeated, changed or out of order, or the server failed.
pub(super) fn run(scenario: Scenario, bench: &Bench, report: &mut Report) -> Result<()> {
    let parameters = &bench.parameters;
    let (n, channels) = (parameters.n, parameters.channels as usize);
    let mut client;
    let fan = if scenario == Scenario::Board {
        client = bench.client(0, Keep::Until(n))?;
        client.open((0..n).map(|_| Wish::reader(0..channels)))?;
        n
    } else {
        let shares = Shares::new(n as usize, channels)?;
        client = bench.client(0, Keep::Until(shares.fan))?;
        client.open((0..n as usize).map(|at| Wish::reader(shares.of(at))))?;
        shares.fan
    };
    client.open((0..parameters.publishers).map(|_| Wish::publisher()))?;
    let publishers = (n as usize..client.links.len()).collect();
    let mut load = Load::new(client, publishers, channels, fan, parameters.pace);
    measure(&mut load, bench, report, &mut |_, _| Ok(()))?;
    Ok(())
}

/// Which subscriber is in which channels in `many`.
struct Shares {
    channels: usize,
    each: usize,
    /// Subscribers of each channel.
    fan: u64,
}

impl Shares {
    /// Several subscribers for each channel, or several channels for each subscriber if there are more channels.
    fn new(n: usize, channels: usize) -> Result<Self> {
        if n.is_multiple_of(channels) {
            Ok(Self {
                channels,
                each: 1,
                fan: (n / channels) as u64,
            })
        } else if channels.is_multiple_of(n) {
            Ok(Self {
                channels,
                each: channels / n,
                fan: 1,
            })
        } else {
            bail!(
                "n {n} and channels {channels}: one must be a multiple of the other, so that all get the same share"
            )
        }
    }

    /// The channels of one subscriber.
    fn of(&self, at: usize) -> Range<usize> {
        let first = at % self.channels.div_ceil(self.each) * self.each;
        first..first + self.each
    }
}

/// How many connections of `churn` come and go, beside `n` followers.
pub(super) fn churners(n: u64) -> u64 {
    (n / 10).max(1)
}

/// Followers of one channel, and a tenth as many connections that subscribe to it and unsubscribe in turn.
///
/// # Errors
/// As [`run`].
pub(super) fn churn(bench: &Bench, report: &mut Report) -> Result<()> {
    let parameters = &bench.parameters;
    let mut client = bench.client(parameters.n, Keep::All)?;
    client.open((0..parameters.n).map(|_| Wish::follower()))?;
    client.open((0..parameters.publishers).map(|_| Wish::publisher()))?;
    let publishers: Vec<usize> = (parameters.n as usize..client.links.len()).collect();
    let first = client.links.len();
    let churners = churners(parameters.n) as usize;
    client.open((0..churners).map(|_| Wish::churner()))?;
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
    let done = measure(&mut load, bench, report, each_turn)?;
    // Each has subscribed once to begin with.
    let subscriptions = (0..churners).map(|at| (turned + churners - 1 - at) / churners + 1);
    settle_churners(&mut load.client, first, subscriptions)?;
    report.add("resubscriptions", done.subscriptions_apart as f64);
    report.add(
        "deliveries_to_who_comes_and_goes",
        done.deliveries_apart as f64,
    );
    Ok(())
}

/// Waits until those that come and go have had so many subscriptions each confirmed, and the newest message.
fn settle_churners(
    client: &mut Client,
    first: usize,
    subscriptions: impl Iterator<Item = usize>,
) -> Result<()> {
    let until = Instant::now() + SETTLE_TIMEOUT;
    for (at, count) in subscriptions.enumerate() {
        loop {
            let newest = client.shared.order.settled_seq(0);
            if newest.is_some_and(|seq| client.has_settled(first + at, count as u64, seq)) {
                break;
            }
            if Instant::now() > until {
                bail!(
                    "connection {at} of those that come and go did not get all answers and messages that it should have"
                );
            }
            client.turn(Duration::from_millis(10))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_channel_has_as_many_subscribers() {
        for (n, channels) in [(6, 3), (3, 3), (3, 12), (1, 5), (5, 1)] {
            let shares = Shares::new(n, channels).unwrap();
            let mut subscribers = vec![0; channels];
            for channel in (0..n).flat_map(|at| shares.of(at)) {
                subscribers[channel] += 1;
            }
            assert_eq!(
                subscribers,
                vec![shares.fan; channels],
                "{n} and {channels}"
            );
        }
        assert!(Shares::new(4, 6).is_err());
    }
}
