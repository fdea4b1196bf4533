//! A server without a poll, a clock and listeners: what it does in a turn once it knows the time and what happened.
//!
//! [`Server`](super::Server) turns it with sockets and the machine's clock. The tests' simulation turns it with pipes in
//! memory and a clock of its own.

use mio::Token;

use super::connection::ends::Gone;
use super::connection::flow::Flow;
use super::connections::Connections;
use super::ending::{Farewell, Shutdown};
use super::pace::Pace;
use super::read::Reader;
use super::service::Service;
use super::sweep::Sweep;
use super::timers::Millis;
use super::tokens::index_of;
use crate::config::Config;
use crate::hub::LagWalk;

/// What an event says of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ready {
    pub(super) readable: bool,
    pub(super) writable: bool,
    /// The peer said FIN, or the transport failed.
    pub(super) ended: bool,
    /// Nothing can be said to the peer any more.
    pub(super) lost: bool,
}

/// All that turns.
pub(super) struct Engine {
    pub(super) connections: Connections,
    reader: Reader,
    pub(super) sweep: Sweep,
    pub(super) shutdown: Option<Shutdown>,
    /// Connections that are not read from, and whose peers are gone.
    lost: Vec<Token>,
    /// How far the walk over subscriptions has come that looks for those behind. It goes on at a time, or so many deliveries after
    /// their sum when it went on last.
    lag_walk: LagWalk,
    walk_at: Millis,
    walked_delivered: u64,
}

/// Channels and subscriptions that the walk looks at each time.
const LAGS_A_TIME: usize = 64;

/// How many times the walk makes up for at once where the loop has waited, which it has where there were fewer deliveries than this.
const TIMES_AT_ONCE: u64 = 64;
const FEW_DELIVERIES: u64 = 256;

/// How often it goes on: after this time or so many deliveries, whichever is first, so that it costs next to nothing beside them.
const WALK_EVERY_MS: u64 = 10;
const WALK_EVERY_DELIVERIES: u64 = 16 * 1024;

impl Engine {
    /// With no more than `limit` regular seats.
    pub(super) fn new(config: Config, limit: usize, pace: Pace) -> Self {
        Engine {
            connections: Connections::new(config, limit),
            reader: Reader::new(),
            sweep: Sweep::new(pace),
            shutdown: None,
            lost: Vec::new(),
            lag_walk: LagWalk::default(),
            walk_at: 0,
            walked_delivered: 0,
        }
    }

    /// Begins a turn at `now`.
    pub(super) fn begin_turn(&mut self, now: Millis) {
        let service = &mut self.connections.service;
        service.now = now;
        service.metrics.turns += 1;
        // Before anything else, so that the hub knows the time: what is unsubscribed now lingers from now.
        service.hub.handle_timeout(now);
        service.keys.handle_timeout(now);
        service.checks.collect(now);
    }

    /// Notes what an event says of a connection; nothing is done about it yet.
    pub(super) fn note(&mut self, token: Token, ready: Ready) {
        let Some(connection) = self.connections.find(token) else {
            return;
        };
        if ready.readable || ready.ended {
            connection.flow.insert(Flow::READABLE);
            if ready.ended {
                connection.flow.insert(Flow::HUNG_UP);
            }
            if ready.lost && connection.awaits_identity() {
                self.lost.push(token);
            }
            self.connections.touch(index_of(token));
        }
        if ready.writable
            && self.connections.unblock(token)
            && let Some(shutdown) = &mut self.shutdown
        {
            shutdown.go_on(token);
        }
    }

    /// The turn's work, once its events are noted.
    pub(super) fn work(&mut self) {
        let connections = &mut self.connections;
        for token in self.lost.drain(..) {
            if connections.find(token).is_some() {
                connections.remove(index_of(token), Gone::Lost);
            }
        }
        let read = self.reader.read(connections);
        connections.answer_tickets();
        if !connections.service.has_successor {
            connections.run_errands();
        }
        connections.handle_timeouts();
        connections.readmit();
        connections.service.walk_policies();
        if let Some(shutdown) = &mut self.shutdown {
            shutdown.step(connections, &mut self.sweep);
        }
        let swept = self.sweep.sweep(connections);
        connections.drop_stalled();
        self.sweep.trim(connections);
        connections.check_sums();
        let Service { metrics, now, .. } = &mut connections.service;
        metrics.time_turn(read, swept);
        let delivered = metrics.delivered - self.walked_delivered;
        if *now >= self.walk_at || delivered >= WALK_EVERY_DELIVERIES {
            let times = match delivered < FEW_DELIVERIES {
                true => 1 + now.saturating_sub(self.walk_at) / WALK_EVERY_MS,
                false => 1,
            };
            self.walk_at = *now + WALK_EVERY_MS;
            self.walked_delivered = metrics.delivered;
            self.walk_lags(LAGS_A_TIME * times.min(TIMES_AT_ONCE) as usize);
        }
    }

    /// Looks at some subscriptions, how far behind they are.
    fn walk_lags(&mut self, steps: usize) {
        let Service {
            hub, metrics, now, ..
        } = &mut self.connections.service;
        let lags = &mut metrics.lags;
        let is_around = hub.walk_lags(&mut self.lag_walk, steps, *now, |lag| {
            lags.found(lag.messages, lag.age_ms);
        });
        if is_around {
            lags.walked();
        }
    }

    /// Whether anything is left to do that waits for nothing.
    pub(super) fn is_busy(&self) -> bool {
        let Connections { work, service, .. } = &self.connections;
        !work.reads.is_empty()
            || !work.visits.is_empty()
            || !service.finished.is_empty()
            || !service.errands.is_empty()
            || service.checks.has_told()
            || !self.lost.is_empty()
            || service.hub.has_work()
            || self.sweep.has_work()
            || service.policies_left.is_some()
            || self.connections.readmits()
    }

    /// When something is due that no event announces.
    pub(super) fn next_timeout(&self, now: Millis) -> Option<Millis> {
        let Connections { work, service, .. } = &self.connections;
        let next = [
            work.timers.next(),
            service.hub.next_timeout(),
            service.keys.next_timeout(),
            self.shutdown.as_ref().and_then(|s| s.next_step(now)),
        ];
        next.into_iter().flatten().min()
    }

    /// Begins to end: every connection is closed, at the pace that was asked for.
    pub(super) fn shut_down(&mut self) {
        self.end(Farewell::Shutdown);
    }

    /// Begins to send everybody away but those of administration, at the same pace, and goes on.
    pub(super) fn drain(&mut self) {
        self.end(Farewell::Drain);
    }

    /// Whether it was told to end.
    pub(super) fn is_ending(&self) -> bool {
        self.shutdown.as_ref().is_some_and(Shutdown::ends)
    }

    /// Begins to close connections for this reason.
    pub(super) fn end(&mut self, farewell: Farewell) {
        self.shutdown = Some(Shutdown::begin(&self.connections, farewell));
    }

    /// Whether it may end: it was told to, and everybody is gone or had time enough.
    pub(super) fn has_ended(&self) -> bool {
        let Some(shutdown) = &self.shutdown else {
            return false;
        };
        if !shutdown.ends() {
            return false;
        }
        self.connections.len() == 0 || shutdown.is_over(self.connections.service.now)
    }
}
