//! The sweep: one write for each connection that has something to get.
//!
//! A visit gathers the connection's outbox and then everything behind in each of its
//! subscriptions into one system call. Connections come from two sources in turn: those with
//! private bytes or a socket that can be written to again, and those that the hub names as behind
//! in a channel that was published to. A connection that the budget does not reach has its visit next
//! turn, and gets what was published meanwhile in the same write.

use std::collections::HashSet;
use std::io;
use std::rc::Rc;
use std::time::Instant;

use mio::Token;

use super::connection::Phase;
use super::ending::Gone;
use super::pace::Circles;
use super::session::{Core, write_gap};
use super::{Server, TURN_BUDGET, find, index_of, queue_read, queue_visit, subscriber};
use crate::hub::{ChannelId, Gathered, Remainder, Run, Slices};
use crate::transport::Written;
use crate::ws::close::CloseCode;

/// How many visits go by, of either kind, between two looks at the clock.
const VISITS_A_LOOK: u32 = 32;

impl Server {
    /// Visits connections until nobody who can be written to is behind or the budget is spent.
    pub(super) fn sweep(&mut self) {
        let began = Instant::now();
        loop {
            let visited = self.visit_private();
            let ran = self.run();
            let now = Instant::now();
            let begun = self.begin_circles(now);
            let found_work = visited || ran || begun;
            if !found_work || now - began >= TURN_BUDGET {
                return;
            }
        }
    }

    /// Begins the circles of the large channels that wait, if it is time. Says whether it did.
    fn begin_circles(&mut self, now: Instant) -> bool {
        let hub = &mut self.core.hub;
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

    /// Visits some of those with private bytes. Says whether there were any.
    fn visit_private(&mut self) -> bool {
        for turn in 0..VISITS_A_LOOK {
            let Some(token) = self.visits.pop_front() else {
                return turn > 0;
            };
            if let Some(connection) = find(&mut self.connections, token) {
                connection.in_visits = false;
                self.visit(index_of(token));
            }
        }
        true
    }

    /// Visits some of those whom the hub names. Says whether there were any.
    fn run(&mut self) -> bool {
        let Core { hub, metrics, .. } = &mut self.core;
        let (connections, became_full) = (&mut self.connections, &mut self.became_full);
        let (mut writes, mut bytes_sent, mut delivered) = (0, 0, 0);
        let mut ended = hub.run(VISITS_A_LOOK, &mut delivered, |id, bytes| {
            let connection = connections.get_mut(id.0 as usize)?;
            if !connection.outbox.is_empty() || connection.is_blocked() {
                return None;
            }
            // The ordinary visit meets the same error and sees to it.
            let Written { taken, full } = connection.transport.write(bytes).ok()?;
            connection.has_backlog = true;
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
        if let Run::Short(id, advanced) = &mut ended
            && let Some(rest) = advanced.rest.take()
        {
            self.keep_rest(id.0 as usize, rest);
        }
        while let Some(index) = self.became_full.pop() {
            self.block(index);
        }
        if let Run::Visit(id) = ended {
            self.visit(id.0 as usize);
        }
        ended != Run::Done
    }

    /// Lets tails move, and reads again from publishers whose channel was caught up with.
    pub(super) fn trim(&mut self) {
        self.core.hub.trim(self.core.now, &mut self.decongested);
        if self.decongested.is_empty() {
            return;
        }
        let channels: HashSet<ChannelId> = self.decongested.drain(..).collect();
        let mut waiting = std::mem::take(&mut self.congested);
        for (_, token) in waiting.extract_if(.., |(channel, _)| channels.contains(channel)) {
            if let Some(connection) = find(&mut self.connections, token) {
                connection.resume(self.core.now, |paused| paused.congestion = false);
                queue_read(connection, &mut self.reads);
                self.schedule(token);
            }
        }
        self.congested = waiting;
    }

    /// The socket can be written to again: the sweep goes on with it.
    pub(super) fn unblock(&mut self, token: Token) {
        let Some(connection) = find(&mut self.connections, token) else {
            return;
        };
        if !connection.is_blocked() {
            return;
        }
        match connection.transport.flush() {
            Ok(true) => {}
            Ok(false) => return,
            Err(_) => return self.remove(index_of(token), Gone::Lost),
        }
        if let Some(segment) = connection.outbox.held() {
            let since = connection.blocked_since;
            self.held.go_on(segment, since, index_of(token));
        }
        connection.unblock(self.core.now);
        if let Phase::Open(_) = connection.phase {
            self.core
                .hub
                .set_blocked(subscriber(index_of(token)), false);
        }
        // The hub names it if it is behind; private bytes are ours to see to, and so is the end of what drains.
        if !connection.outbox.is_empty() || matches!(connection.phase, Phase::Draining { .. }) {
            queue_visit(connection, &mut self.visits);
        }
        self.schedule(token);
        if let Some(shutdown) = &mut self.shutdown {
            shutdown.go_on(token);
        }
    }

    /// The socket is full: it is left alone until the kernel says otherwise.
    fn block(&mut self, index: usize) {
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        connection.blocked_since = self.core.now;
        if let Some(segment) = connection.outbox.held() {
            self.held.stall(segment, self.core.now, index);
        }
        connection.outbox.shrink();
        connection.outbox.count(&mut self.core.outbox_bytes);
        if let Phase::Open(_) = connection.phase {
            self.core.hub.set_blocked(subscriber(index), true);
        }
        let token = connection.token;
        self.schedule(token);
    }

    #[inline]
    pub(super) fn visit(&mut self, index: usize) {
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        if connection.is_blocked() {
            return;
        }
        // The commonest visit by far: nothing private, and one run of bytes from one log.
        if connection.outbox.is_empty()
            && let Some(bytes) = self.core.hub.contiguous(subscriber(index))
        {
            let wanted = bytes.len();
            let result = connection.transport.write(bytes);
            self.after_write(index, result, wanted, 0, false);
            return;
        }
        self.visit_all(index);
    }

    /// A visit that has more to gather than one run of bytes.
    fn visit_all(&mut self, index: usize) {
        let mut gathered = self.write_gathered(index);
        // Gaps go out before the messages after them, so those who were lapped are visited twice.
        // Each visit settles as much as fits, and the hub names who has more.
        if gathered.is_some_and(|gathered| gathered.lapped) && self.settle_gaps(index) {
            gathered = self.write_gathered(index);
        }
        if gathered.is_none() {
            self.after_flush(index);
        }
    }

    /// Writes the outbox and what the hub gathers behind it; `None` if there was nothing.
    fn write_gathered(&mut self, index: usize) -> Option<Gathered> {
        let connection = &mut self.connections[index];
        let mut slices = Slices::new();
        for slice in connection.outbox.slices() {
            slices.push(slice);
        }
        let own = slices.bytes();
        let gathered = match connection.phase {
            Phase::Open(_) => self.core.hub.gather(subscriber(index), &mut slices),
            _ => Gathered::default(),
        };
        let wanted = slices.bytes();
        if wanted == 0 {
            return gathered.lapped.then_some(gathered);
        }
        let result =
            (connection.transport).write_slices(slices.as_slice(), wanted, &mut self.joined);
        self.after_write(index, result, wanted, own, gathered.more);
        Some(gathered)
    }

    /// Places cursors that were lapped and queues a gap for each. Says whether there is now
    /// something to write: not to who is blocked, gone, or closed for it.
    fn settle_gaps(&mut self, index: usize) -> bool {
        let Some(connection) = self.connections.get_mut(index) else {
            return false;
        };
        if connection.is_blocked() || !matches!(connection.phase, Phase::Open(_)) {
            return false;
        }
        let Core {
            hub, text, metrics, ..
        } = &mut self.core;
        let outbox = &mut connection.outbox;
        let settled = hub.settle(subscriber(index), |gap| {
            metrics.gaps += 1;
            write_gap(outbox.private(), text, &gap);
        });
        if settled.is_err() {
            self.begin_close(
                index,
                CloseCode::TOO_SLOW,
                "the client is too slow for a channel's window",
            );
            return false;
        }
        true
    }

    /// Accounts for what a write of `wanted` bytes, the first `own` of them from the outbox, did. With `more` the hub has
    /// to hear of it even where nothing of the logs went in, or nobody would owe the next visit.
    #[inline]
    fn after_write(
        &mut self,
        index: usize,
        result: io::Result<Written>,
        wanted: usize,
        own: usize,
        more: bool,
    ) {
        let connection = &mut self.connections[index];
        let Ok(Written {
            taken: written,
            full,
        }) = result
        else {
            return self.remove(index, Gone::Lost);
        };
        self.core.metrics.writes += 1;
        self.core.metrics.bytes_sent += written as u64;
        let mut from_logs = written;
        if own > 0 {
            let held = connection.outbox.held().map(Rc::clone);
            let sum = &mut self.core.outbox_bytes;
            from_logs = connection.outbox.advance(written, sum);
            if let Some(segment) = held
                && connection.outbox.held().is_none()
            {
                self.held.release(&segment);
            }
        }
        if wanted > own || more {
            connection.has_backlog = true;
            let advanced = self.core.hub.advance(subscriber(index), from_logs);
            self.core.metrics.delivered += advanced.delivered;
            if let Some(rest) = advanced.rest {
                self.keep_rest(index, rest);
            }
        }
        if full {
            self.block(index);
        }
        if own > 0 {
            self.after_flush(index);
        }
    }

    /// Keeps what a short write left of a message.
    fn keep_rest(&mut self, index: usize, rest: Remainder) {
        let outbox = &mut self.connections[index].outbox;
        outbox.set_rest(rest);
        if let Some(segment) = outbox.held() {
            self.held.hold(segment);
        }
    }
}
