//! The publishing side of a run: messages go out as the pace has it until time or count is up, then everything must
//! arrive.
//!
//! While it runs, the load client never sleeps: it polls again and again. A receiver that sleeps has to be woken by
//! the server's `send`, which on one machine costs the server up to half as much again, or nothing at all when the
//! receiver happens to be behind; real receivers are elsewhere and are woken by somebody else.

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::client::Client;
use crate::meter::{Cost, Meter};
use crate::pace::Pace;
use crate::payload::Origin;

/// How long the last messages may take to arrive once publishing has ended.
const DRAIN_TIMEOUT_NS: u64 = 30_000_000_000;
/// How often the progress line is renewed.
const PROGRESS_NS: u64 = 500_000_000;

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
    /// Messages delivered, to all subscribers together.
    pub(crate) deliveries: u64,
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
        let meter = Meter::read(pid, &self.client)?;
        let begun_ns = self.client.now_ns();
        let (published_before, deliveries_before) = (self.published, self.client.shared.deliveries);
        let mut progress = Progress::new();
        let mut ended_ns = None;
        loop {
            let elapsed_ns = self.client.now_ns() - begun_ns;
            let published = self.published - published_before;
            let deliveries = self.client.shared.deliveries - deliveries_before;
            match ended_ns {
                None if elapsed_ns >= until.ns || published >= until.messages => {
                    ended_ns = Some(elapsed_ns)
                }
                None => {
                    let due = self.pace.due(elapsed_ns, published, deliveries / self.fan);
                    let due = due.min(until.messages - published);
                    self.publish(due, published, begun_ns, elapsed_ns)?;
                }
                Some(_) if deliveries >= published * self.fan => break,
                Some(ended_ns) if elapsed_ns > ended_ns + DRAIN_TIMEOUT_NS => {
                    let missing = published * self.fan - deliveries;
                    bail!(
                        "{missing} of {} deliveries did not arrive",
                        published * self.fan
                    );
                }
                Some(_) => {}
            }
            each_turn(&mut self.client, begun_ns + elapsed_ns)?;
            self.client.turn(Duration::ZERO)?;
            progress.show(elapsed_ns, published, deliveries);
        }
        progress.clear();
        let done = Done {
            published: self.published - published_before,
            deliveries: self.client.shared.deliveries - deliveries_before,
            cost: meter.until_now(&self.client)?,
        };
        if done.deliveries > done.published * self.fan {
            bail!(
                "{} deliveries more than there should be",
                done.deliveries - done.published * self.fan
            );
        }
        Ok(done)
    }

    /// Publishes `due` messages in turn over publishers and channels, one write for each publisher.
    fn publish(&mut self, due: u64, already: u64, begun_ns: u64, elapsed_ns: u64) -> Result<()> {
        for at in 0..due {
            let number = (self.published + at) as usize;
            let publisher = number % self.publishers.len();
            let sent_ns = begun_ns + self.pace.intended_ns(already + at, elapsed_ns);
            let shared = &mut self.client.shared;
            let index = shared.sent.note(publisher, sent_ns);
            let dialect = shared.dialect;
            // The template is lent while the connection's outbox is written to.
            let mut template = std::mem::take(&mut shared.template);
            let data = template.fill(Origin { publisher, index });
            let outbox = self.client.outbox(self.publishers[publisher]);
            dialect.publish(outbox, number % self.channels, data, &mut self.scratch);
            self.client.shared.template = template;
        }
        for at in 0..due.min(self.publishers.len() as u64) {
            let publisher = (self.published + at) as usize % self.publishers.len();
            self.client.flush(self.publishers[publisher])?;
        }
        self.published += due;
        Ok(())
    }
}

/// A line that is renewed on a terminal, and nothing elsewhere.
struct Progress {
    shown: bool,
    next_ns: u64,
    before: (u64, u64),
}

impl Progress {
    fn new() -> Self {
        Self {
            shown: std::io::stderr().is_terminal(),
            next_ns: PROGRESS_NS,
            before: (0, 0),
        }
    }

    fn show(&mut self, elapsed_ns: u64, published: u64, deliveries: u64) {
        if !self.shown || elapsed_ns < self.next_ns {
            return;
        }
        let (ns, before) = std::mem::replace(&mut self.before, (elapsed_ns, deliveries));
        let rate = (deliveries - before) as f64 * 1e9 / (elapsed_ns - ns).max(1) as f64;
        let seconds = elapsed_ns as f64 / 1e9;
        eprint!(
            "\r\x1b[K{seconds:6.1} s  {published} published  {:.2} M deliveries/s",
            rate / 1e6
        );
        self.next_ns = elapsed_ns + PROGRESS_NS;
    }

    fn clear(&self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }
}
