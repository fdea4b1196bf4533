//! The sweep: one write for each connection that has something to get.
//!
//! A visit gathers the connection's outbox and then everything behind in each of its
//! subscriptions into one system call. Connections come from two sources in turn: those with
//! private bytes or a socket that can be written to again, and those that the hub names as behind
//! in a channel that was published to. A connection that the budget does not reach has its visit next
//! turn, and gets what was published meanwhile in the same write.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mio::Token;

use super::TURN_BUDGET;
use super::connection::ends::Gone;
use super::connection::flow::Flow;
use super::connection::phase::{Open, Phase};
use super::connections::{Connections, Entry};
use super::pace::{Circles, Pace};
use super::service::Service;
use super::tokens::index_of;
use crate::dialect::sse;
use crate::hub::{ChannelId, Gathered, Remainder, Run, Slices, SubscriberId};
use crate::transport::Written;
use crate::ws::close::CloseCode;

/// How many visits go by, of either kind, between two looks at the clock.
const VISITS_A_LOOK: u32 = 48;

/// How long messages may be made for single connections in one turn. Beyond it such a connection is visited in the next.
const RENDER_BUDGET: Duration = TURN_BUDGET.checked_div(4).expect("four is not zero");

/// Visits connections, and decides when large channels begin their circles.
pub(super) struct Sweep {
    pub(super) pace: Pace,
    /// Connections whose transport became full in the run that is under way.
    became_full: Vec<usize>,
    /// Where small slices are copied together for one write.
    joined: Vec<u8>,
    /// Where the hub reports channels that were caught up with.
    decongested: Vec<ChannelId>,
    /// How long messages may be made for single connections in a turn.
    pub(super) render_budget: Duration,
    /// How much of it is left in this turn.
    render_left: Duration,
    /// Connections whose next messages have to be made in a later turn, each once.
    pub(super) unrendered: VecDeque<Token>,
}

impl Sweep {
    pub(super) fn new(pace: Pace) -> Self {
        Sweep {
            pace,
            became_full: Vec::new(),
            joined: Vec::new(),
            decongested: Vec::new(),
            render_budget: RENDER_BUDGET,
            render_left: RENDER_BUDGET,
            unrendered: VecDeque::new(),
        }
    }

    /// Whether connections wait for the next turn.
    pub(super) fn has_work(&self) -> bool {
        !self.unrendered.is_empty()
    }

    /// Visits connections until none that can be written to is behind, or the budget is spent. Says how long it took.
    pub(super) fn sweep(&mut self, connections: &mut Connections) -> Duration {
        let began = Instant::now();
        self.render_left = self.render_budget;
        self.visit_unrendered(connections);
        loop {
            let visited = self.visit_private(connections);
            let ran = self.run(connections);
            let now = Instant::now();
            let begun = self.begin_circles(connections, now);
            let found_work = visited || ran || begun;
            let took = now - began;
            if !found_work || took >= TURN_BUDGET {
                return took;
            }
        }
    }

    /// Begins the circles of the large channels that wait, if it is time. Says whether it did.
    fn begin_circles(&mut self, connections: &mut Connections, now: Instant) -> bool {
        let hub = &mut connections.service.hub;
        let circles = Circles {
            under_way: hub.is_in_circle(),
            waiting: hub.has_waiting(),
            published: hub.large_published(),
        };
        let begins = self.pace.begins(now, circles);
        if begins {
            hub.begin_circles();
        }
        begins
    }

    /// Visits those whose messages could not be made in an earlier turn, as long as there is time to make some.
    fn visit_unrendered(&mut self, connections: &mut Connections) {
        for _ in 0..self.unrendered.len() {
            if self.render_left.is_zero() {
                return;
            }
            let Some(token) = self.unrendered.pop_front() else {
                return;
            };
            if let Some(connection) = connections.find(token) {
                connection.flow.remove(Flow::UNRENDERED);
                self.visit(connections, index_of(token));
            }
        }
    }

    /// Visits some of those with private bytes. Says whether there were any.
    fn visit_private(&mut self, connections: &mut Connections) -> bool {
        for turn in 0..VISITS_A_LOOK {
            let Some(token) = connections.work.visits.pop_front() else {
                return turn > 0;
            };
            if let Some(connection) = connections.find(token) {
                connection.flow.remove(Flow::IN_VISITS);
                self.visit(connections, index_of(token));
            }
        }
        true
    }

    /// Visits some of those that the hub names. Says whether there were any.
    fn run(&mut self, connections: &mut Connections) -> bool {
        let Connections { slab, service, .. } = connections;
        let Service { hub, metrics, .. } = service;
        let became_full = &mut self.became_full;
        let (mut writes, mut bytes_sent, mut delivered) = (0, 0, 0);
        let mut ended = hub.run(VISITS_A_LOOK, &mut delivered, |id, bytes| {
            let entry = slab.get_mut(id.0 as usize)?;
            if !entry.connection.takes_messages() {
                return None;
            }
            // The ordinary visit meets the same error and sees to it.
            let Written { taken, full } = entry.transport.write(bytes).ok()?;
            entry.connection.flow.insert(Flow::BACKLOG);
            writes += 1;
            bytes_sent += taken as u64;
            if full {
                became_full.push(id.0 as usize);
            }
            Some(taken)
        });
        metrics.writes += writes;
        metrics.bytes_sent += bytes_sent;
        metrics.delivered += delivered;
        metrics.lags.visited(writes, delivered);
        if let Run::Short(id, advanced) = &mut ended
            && let Some(rest) = advanced.rest.take()
        {
            keep_rest(connections, id.0 as usize, rest);
        }
        while let Some(index) = self.became_full.pop() {
            block(connections, index);
        }
        if let Run::Visit(id) = ended {
            self.visit(connections, id.0 as usize);
        }
        ended != Run::Done
    }

    /// Lets tails move, and reads again from publishers whose channel was caught up with.
    pub(super) fn trim(&mut self, connections: &mut Connections) {
        let service = &mut connections.service;
        service.hub.trim(service.now, &mut self.decongested);
        if self.decongested.is_empty() {
            return;
        }
        let channels: HashSet<ChannelId> = self.decongested.drain(..).collect();
        let mut waiting = std::mem::take(&mut service.congested);
        for (_, token) in waiting.extract_if(.., |(channel, _)| channels.contains(channel)) {
            if connections.find(token).is_some() {
                connections.act(index_of(token), |connection, service, _| {
                    connection.resume(service.now, Flow::CONGESTED);
                });
            }
        }
        connections.service.congested = waiting;
    }

    /// Makes one visit.
    #[inline]
    pub(super) fn visit(&mut self, connections: &mut Connections, index: usize) {
        let Some(Entry {
            transport,
            connection,
        }) = connections.slab.get_mut(index)
        else {
            return;
        };
        if !connection.flow.may_write() {
            return;
        }
        // The commonest visit by far: nothing private, and one run of bytes from one log.
        if connection.outbox.is_empty()
            && let Some(bytes) = connections.service.hub.contiguous(connection.subscriber())
        {
            let wanted = bytes.len();
            let result = transport.write(bytes);
            self.after_write(connections, index, result, wanted, 0, false);
            return;
        }
        self.visit_all(connections, index);
    }

    /// A visit that has more to gather than one run of bytes.
    fn visit_all(&mut self, connections: &mut Connections, index: usize) {
        let mut gathered = self.write_gathered(connections, index);
        // Gaps go out before the messages after them, so a connection that was lapped is visited twice.
        // Each time as much is settled as fits, and the hub names a connection that has more.
        if gathered.is_some_and(|gathered| gathered.lapped) && settle_gaps(connections, index) {
            gathered = self.write_gathered(connections, index);
        }
        if gathered.is_none() {
            after_flush(connections, index);
        }
    }

    /// Writes the outbox and what the hub gathers behind it; `None` if there was nothing.
    fn write_gathered(&mut self, connections: &mut Connections, index: usize) -> Option<Gathered> {
        let Entry {
            transport,
            connection,
        } = &mut connections.slab[index];
        let service = &mut connections.service;
        let id = connection.subscriber();
        let mut slices = Slices::new();
        for slice in connection.outbox.slices() {
            slices.push(slice);
        }
        let own = slices.bytes();
        let mut gathered = Gathered::default();
        if connection.is_subscriber() {
            gathered = service.hub.gather(id, &mut slices);
            // A reader that takes little at a time would have them made again for each part of the message before.
            if gathered.unrendered
                && own == 0
                && self.may_render(connection.token, &mut connection.flow)
            {
                self.render(service, id);
                slices = Slices::new();
                gathered = service.hub.gather(id, &mut slices);
            }
        }
        let wanted = slices.bytes();
        if wanted == 0 {
            if gathered.unrendered {
                service.hub.postpone(id);
            }
            return gathered.lapped.then_some(gathered);
        }
        let result = transport.write_slices(slices.as_slice(), wanted, &mut self.joined);
        self.after_write(connections, index, result, wanted, own, gathered.more);
        Some(gathered)
    }

    /// Whether this turn has time to make messages for one connection alone. If not, it is visited in a later one.
    #[cold]
    fn may_render(&mut self, token: Token, flow: &mut Flow) -> bool {
        let has_time = !self.render_left.is_zero();
        if !has_time && !flow.contains(Flow::UNRENDERED) {
            flow.insert(Flow::UNRENDERED);
            self.unrendered.push_back(token);
        }
        has_time
    }

    /// Makes the next messages for one connection alone.
    #[cold]
    fn render(&mut self, service: &mut Service, id: SubscriberId) {
        let began = Instant::now();
        service.hub.render(id, &mut service.encoders);
        // That is the subscriber's own cost, not the publisher's.
        service.encoders.take_cost();
        self.render_left = self.render_left.saturating_sub(began.elapsed());
    }

    /// Accounts for what a write of `wanted` bytes, the first `own` of them from the outbox, did. With `more` the hub has
    /// to hear of it even where nothing of the logs went in, or nobody would owe the next visit.
    #[inline]
    fn after_write(
        &mut self,
        connections: &mut Connections,
        index: usize,
        result: io::Result<Written>,
        wanted: usize,
        own: usize,
        more: bool,
    ) {
        let connection = &mut connections.slab[index].connection;
        let service = &mut connections.service;
        let Ok(Written {
            taken: written,
            full,
        }) = result
        else {
            return connections.remove(index, Gone::Lost);
        };
        service.metrics.writes += 1;
        service.metrics.bytes_sent += written as u64;
        let mut from_logs = written;
        if own > 0 {
            let held = connection.outbox.held().map(Rc::clone);
            let ledger = &mut service.ledger;
            from_logs = connection.outbox.advance(written, &mut ledger.outbox);
            if let Some(segment) = held
                && connection.outbox.held().is_none()
            {
                ledger.held.release(&segment);
            }
        }
        if wanted > own || more {
            connection.flow.insert(Flow::BACKLOG);
            let advanced = service.hub.advance(connection.subscriber(), from_logs);
            service.metrics.delivered += advanced.delivered;
            service.metrics.lags.visits.add(advanced.delivered, 1);
            if let Some(rest) = advanced.rest {
                keep_rest(connections, index, rest);
            }
        }
        if full {
            block(connections, index);
        }
        if own > 0 {
            after_flush(connections, index);
        }
    }
}

/// Places cursors that were lapped and queues a gap for each. Says whether there is now
/// something to write. There is not where the connection is blocked, gone, or closed for it.
fn settle_gaps(connections: &mut Connections, index: usize) -> bool {
    let Some(Entry { connection, .. }) = connections.slab.get_mut(index) else {
        return false;
    };
    let id = connection.subscriber();
    if !connection.flow.may_write() {
        return false;
    }
    let Service {
        hub, text, metrics, ..
    } = &mut connections.service;
    let outbox = &mut connection.outbox;
    let settled = match &connection.phase {
        Phase::Open(Open { speaker, .. }) => hub.settle(id, |gap| {
            metrics.gap(gap.reason);
            speaker.write_gap(outbox.private(), text, &gap);
        }),
        Phase::Events(_) => hub.settle(id, |gap| {
            metrics.gap(gap.reason);
            sse::gap(outbox.private(), &gap);
        }),
        _ => return false,
    };
    if settled.is_ok() {
        return true;
    }
    connections.act(index, |connection, service, peer| {
        let reason = "the client is too slow for a channel's window";
        connection.begin_close(service, peer, CloseCode::TOO_SLOW, reason);
    });
    false
}

/// The transport is full: it is left alone until the kernel says otherwise.
fn block(connections: &mut Connections, index: usize) {
    connections.act(index, |connection, service, _| {
        connection.block(service);
    });
}

/// The outbox is out, or as much of it as goes. What was waiting for that?
fn after_flush(connections: &mut Connections, index: usize) {
    connections.act(index, |connection, service, _| {
        connection.after_flush(service);
    });
    if let Some(entry) = connections.slab.get_mut(index)
        && entry.connection.take_end(connections.service.now)
    {
        entry.transport.finish_writing();
    }
}

/// Keeps what a short write left of a message.
fn keep_rest(connections: &mut Connections, index: usize, rest: Remainder) {
    let outbox = &mut connections.slab[index].connection.outbox;
    outbox.set_rest(rest);
    if let Some(segment) = outbox.held() {
        connections.service.ledger.held.hold(segment);
    }
}
