//! The publishing side of a run: messages go out as the pace has it until time or count is up, then everything must
//! arrive.
//!
//! While it runs, the load client never sleeps: it polls again and again. A receiver that sleeps has to be woken by
//! the server's `send`, which on one machine costs the server up to half as much again, or nothing at all when the
//! receiver happens to be behind; real receivers are elsewhere and are woken by somebody else.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::client::Client;
use crate::dialect::Dialect;
use crate::fault::Overloaded;
use crate::meter::{Cost, Meter};
use crate::pace::Pace;
use crate::payload::Origin;
use crate::post;
use crate::progress::Progress;

/// How long the last messages may take to arrive once publishing has ended.
const DRAIN_TIMEOUT_NS: u64 = 30_000_000_000;
/// How long a run goes on once everything has arrived.
const AFTERMATH: Duration = Duration::from_millis(50);
/// How many bytes may wait for the publishers' sockets in an open loop, which does not stop when the server takes no more.
const MAX_UNSENT: usize = 64 << 20;

/// When to stop publishing: whichever comes first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Until {
    /// After so long.
    pub(crate) ns: u64,
    /// After so many messages.
    pub(crate) messages: u64,
}

/// What a stretch of publishing did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Done {
    /// Messages published.
    pub(crate) published: u64,
    /// Messages delivered, to all together that must get all of them.
    pub(crate) deliveries: u64,
    /// Messages delivered to those that come and go.
    pub(crate) deliveries_apart: u64,
    /// Messages that a pattern's subscribers were told will not come.
    pub(crate) lapped: u64,
    /// How often those have subscribed.
    pub(crate) subscriptions_apart: u64,
    /// What it cost.
    pub(crate) cost: Cost,
}

/// A client that publishes.
pub(crate) struct Load {
    /// All connections.
    pub(crate) client: Client,
    /// Those that publish, as indices.
    publishers: Vec<usize>,
    /// How many channels the publications go to, in turn.
    channels: usize,
    /// How many subscribers each message is to reach.
    fan: u64,
    pace: Pace,
    /// How many publications go into one request, where there are such.
    batch: u64,
    scratch: Vec<u8>,
    /// Messages published since the client began.
    published: u64,
}

/// Called in every turn with the client and the time in nanoseconds.
pub(crate) type EachTurn<'a> = &'a mut dyn FnMut(&mut Client, u64) -> Result<()>;

impl Load {
    /// A load of open connections; `publishers` are indices of `client.links`.
    pub(crate) fn new(
        client: Client,
        publishers: Vec<usize>,
        channels: usize,
        fan: u64,
        pace: Pace,
    ) -> Self {
        Self {
            client,
            publishers,
            channels,
            fan,
            pace,
            batch: 1,
            scratch: Vec::new(),
            published: 0,
        }
    }

    /// Publishes until time or count is up, waits until everything has arrived, and says what it cost.
    ///
    /// # Errors
    /// Something arrived that should not have, or did not arrive.
    pub(crate) fn run(
        &mut self,
        until: Until,
        pid: Option<u32>,
        each_turn: EachTurn<'_>,
    ) -> Result<Done> {
        let meter = Meter::read(pid, self.client.own)?;
        let begun_ns = self.client.now_ns();
        let published_before = self.published;
        let before = Counts::of(&self.client);
        let mut progress = Progress::from(0);
        let mut shown = (0, 0);
        let mut ended_ns = None;
        loop {
            let elapsed_ns = self.client.now_ns() - begun_ns;
            let published = self.published - published_before;
            let deliveries = self.client.shared.deliveries - before.deliveries;
            let lapped = self.client.shared.lapped - before.lapped;
            match ended_ns {
                None if elapsed_ns >= until.ns || published >= until.messages => {
                    ended_ns = Some(elapsed_ns)
                }
                None => {
                    let due =
                        (self.pace).due(elapsed_ns, published, (deliveries + lapped) / self.fan);
                    let left = until.messages - published;
                    // Only the last batch is not full.
                    let due = match due < left {
                        true => due - due % self.batch,
                        false => left,
                    };
                    self.publish(due, published, begun_ns, elapsed_ns)?;
                }
                Some(_) if deliveries + lapped >= published * self.fan => break,
                Some(ended_ns) if elapsed_ns > ended_ns + DRAIN_TIMEOUT_NS => {
                    let all = published * self.fan;
                    let missing = all - deliveries - lapped;
                    return Err(Overloaded::because(format!(
                        "{missing} of {all} deliveries did not arrive within {} s",
                        DRAIN_TIMEOUT_NS / 1_000_000_000
                    )));
                }
                Some(_) => {}
            }
            each_turn(&mut self.client, begun_ns + elapsed_ns)?;
            self.client.turn(Duration::ZERO)?;
            progress.show(elapsed_ns, || {
                let (ns, before) = std::mem::replace(&mut shown, (elapsed_ns, deliveries));
                let rate = (deliveries - before) as f64 * 1e9 / (elapsed_ns - ns).max(1) as f64;
                let (seconds, millions) = (elapsed_ns as f64 / 1e9, rate / 1e6);
                format!("{seconds:6.1} s  {published} published  {millions:.2} M deliveries/s")
            });
        }
        drop(progress);
        let cost = meter.until_now(self.client.own)?;
        // A message that comes twice may do so last of all.
        self.client.linger(AFTERMATH)?;
        let now = Counts::of(&self.client);
        let done = Done {
            published: self.published - published_before,
            deliveries: now.deliveries - before.deliveries,
            deliveries_apart: now.deliveries_apart - before.deliveries_apart,
            lapped: now.lapped - before.lapped,
            subscriptions_apart: now.subscriptions_apart - before.subscriptions_apart,
            cost,
        };
        let arrived = done.deliveries + done.lapped;
        if arrived > done.published * self.fan {
            bail!(
                "{} deliveries more than there should be",
                arrived - done.published * self.fan
            );
        }
        Ok(done)
    }

    /// Has publishers that put publications together put so many into one request.
    pub(crate) fn in_batches(mut self, of: u64) -> Self {
        self.batch = of.max(1);
        self
    }

    /// Publishes `due` messages in turn over publishers and channels, one write for each publisher.
    fn publish(&mut self, due: u64, already: u64, begun_ns: u64, elapsed_ns: u64) -> Result<()> {
        for at in 0..due {
            let number = self.published + at;
            let publisher = (number / self.batch) as usize % self.publishers.len();
            let sent_ns = begun_ns + self.pace.intended_ns(already + at, elapsed_ns);
            let shared = &mut self.client.shared;
            let index = shared.sent.note(publisher, sent_ns);
            let dialect = shared.publishing;
            // The template is lent while the connection's outbox is written to.
            let mut template = std::mem::take(&mut shared.template);
            let data = template.fill(Origin { publisher, index });
            let outbox = self.client.outbox(self.publishers[publisher]);
            let channel = number as usize % self.channels;
            dialect.publish(outbox, channel, data, &mut self.scratch);
            self.client.shared.template = template;
            let is_last = (number + 1).is_multiple_of(self.batch) || at + 1 == due;
            if dialect == Dialect::Batch && is_last {
                post::write_batch(
                    self.client.outbox(self.publishers[publisher]),
                    &self.scratch,
                );
                self.scratch.clear();
            }
        }
        let batches = due.div_ceil(self.batch);
        for at in 0..batches.min(self.publishers.len() as u64) {
            let publisher = (self.published / self.batch + at) as usize % self.publishers.len();
            let link = self.publishers[publisher];
            self.client.flush(link)?;
            let share = MAX_UNSENT / self.publishers.len();
            if self.client.unsent(link) <= share || !matches!(self.pace, Pace::Rate(_)) {
                continue;
            }
            let all = self.publishers.iter().map(|link| self.client.unsent(*link));
            let unsent: usize = all.sum();
            if unsent > MAX_UNSENT {
                return Err(Overloaded::because(format!(
                    "the server takes publications more slowly than they are made: {} MiB wait to be sent",
                    unsent >> 20
                )));
            }
        }
        self.published += due;
        Ok(())
    }
}

/// What a client has counted so far.
struct Counts {
    deliveries: u64,
    deliveries_apart: u64,
    lapped: u64,
    subscriptions_apart: u64,
}

impl Counts {
    fn of(client: &Client) -> Self {
        let shared = &client.shared;
        Self {
            deliveries: shared.deliveries,
            deliveries_apart: shared.deliveries_apart,
            lapped: shared.lapped,
            subscriptions_apart: shared.subscriptions_apart,
        }
    }
}
