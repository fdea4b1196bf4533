//! How connections end: closes, timeouts, lost peers, and the daemon's own shutdown.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use log::info;
use mio::Token;

use super::connection::{CLOSE_TIMEOUT_MS, DRAIN_TIMEOUT_MS, Open, Paused, Phase};
use super::metrics::BY_PEER;
use super::timers::{Millis, NEVER};
use super::{Server, find, index_of, queue_read, queue_visit, subscriber};
use crate::ws::close::{CloseCode, CloseFrame, write_close};
use crate::ws::encode::write_ping;
use crate::ws::violation::Violation;

/// Timers looked at in one turn.
const TIMERS_A_TURN: usize = 1024;

/// How long the peers have to answer the last close before the process ends.
const SHUTDOWN_GRACE_MS: u64 = 5_000;

/// Visits, of up to 256 KiB each, for what an open connection is behind when the daemon ends: four times as much as a
/// channel has by default. Who is behind by more resumes elsewhere.
const LAST_VISITS: usize = 16;

/// How long a turn of the loop goes on closing connections because the daemon ends.
const GOODBYES_A_TURN: Duration = Duration::from_millis(10);

/// Why a connection is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    /// All was said and answered, or nothing was open.
    Done,
    /// The peer vanished, or the socket failed.
    Lost,
    /// It held on to a half-sent message when there was too much of that.
    Held,
}

/// A shutdown under way.
#[derive(Debug)]
pub(super) struct Shutdown {
    began: Millis,
    spread_ms: u64,
    /// The slab's entries that have been closed; all beyond are still to be.
    closed: usize,
    total: usize,
    /// When the process ends whoever is still there.
    until: Option<Millis>,
}

impl Shutdown {
    /// When to go on.
    pub(super) fn next_step(&self, now: Millis) -> Millis {
        let more_are_due = self.closed < self.due(now);
        self.until
            .unwrap_or(if more_are_due { now } else { now + 10 })
    }

    /// How many of the slab's entries are to be closed by `now`.
    fn due(&self, now: Millis) -> usize {
        let elapsed = now - self.began;
        if elapsed >= self.spread_ms {
            return self.total;
        }
        (self.total as u64 * elapsed / self.spread_ms) as usize
    }
}

impl Server {
    /// Sees to it that the connection is looked at when its next deadline comes.
    pub(super) fn schedule(&mut self, token: Token) {
        let Some(connection) = find(&mut self.connections, token) else {
            return;
        };
        let deadline = connection.next_deadline(&self.core.config);
        if deadline < connection.wake_at {
            connection.wake_at = deadline;
            self.timers.push(deadline, token);
        }
    }

    pub(super) fn handle_timeouts(&mut self) {
        let now = self.core.now;
        for _ in 0..TIMERS_A_TURN {
            let Some((at, token)) = self.timers.pop_due(now) else {
                break;
            };
            let Some(connection) = find(&mut self.connections, token) else {
                continue;
            };
            if connection.wake_at != at {
                continue;
            }
            connection.wake_at = NEVER;
            if connection.next_deadline(&self.core.config) <= now {
                self.handle_deadline(token);
            }
            self.schedule(token);
        }
        self.step_shutdown();
    }

    /// Does what is due on a connection.
    fn handle_deadline(&mut self, token: Token) {
        let now = self.core.now;
        let index = index_of(token);
        let connection = &mut self.connections[index];
        let config = &self.core.config;
        let stalled = connection.stalled(now, config);
        let overdue = match &connection.phase {
            Phase::Open(open) => connection.message_deadline(open, config) <= now,
            _ => false,
        };
        match &mut connection.phase {
            // Half a request gets an answer, silence none.
            Phase::Http(http) if http.begun && !stalled => {
                self.request_timeout(index);
            }
            Phase::Http(_) => {
                (self.core).note(connection.who(), format_args!("ended: no request in time"));
                self.remove(index, Gone::Done);
            }
            Phase::Closing { .. } | Phase::Draining { .. } => self.remove(index, Gone::Done),
            Phase::Open(open) => {
                if overdue {
                    self.begin_close(
                        index,
                        CloseCode::POLICY,
                        "a message took too long to arrive",
                    );
                } else if stalled {
                    self.begin_close(index, CloseCode::TOO_SLOW, "took nothing for too long");
                } else if open.pinged_at == NEVER {
                    open.pinged_at = now;
                    write_ping(connection.outbox.private(), &[], None);
                    queue_visit(connection, &mut self.visits);
                } else {
                    self.begin_close(index, CloseCode::INTERNAL, "no answer to a ping");
                }
            }
        }
    }

    /// Says close and waits for the peer's. Nothing of any channel follows.
    pub(super) fn begin_close(&mut self, index: usize, code: CloseCode, reason: &'static str) {
        self.say_close(index, code, reason);
        self.look_after(index);
    }

    /// Says close to a peer that broke the protocol, or whose input there is no room for: nothing
    /// more is believed of it (RFC 6455 §7.1.7).
    pub(super) fn fail(&mut self, index: usize, violation: Violation) {
        self.say_close(index, violation.code, violation.reason);
        self.finish(index);
    }

    /// Answers the peer's close with the same code (RFC 6455 §5.5.1).
    pub(super) fn answer_close(&mut self, index: usize, code: CloseCode) {
        let connection = &mut self.connections[index];
        if let Phase::Open(_) = &connection.phase {
            let frame = CloseFrame { code, reason: "" };
            write_close(connection.outbox.private(), Some(frame), None);
            self.core.metrics.closed(code, BY_PEER);
            (self.core).note(
                connection.who(),
                format_args!("closed by the peer with {}", code.0),
            );
            self.core.hub.detach(subscriber(index));
        }
        self.finish(index);
    }

    /// Everything is said: once it is out, FIN; what still comes is dropped.
    pub(super) fn finish(&mut self, index: usize) {
        let until = self.core.now + DRAIN_TIMEOUT_MS;
        self.forget_input(index);
        self.connections[index].phase = Phase::Draining {
            until,
            fin_sent: false,
        };
        self.look_after(index);
    }

    /// What was read of a connection's and not dealt with is of no interest any more. The phase
    /// that keeps some of it is for the caller to end.
    fn forget_input(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        self.core.input_held -= connection.half_read_bytes();
        if std::mem::take(&mut connection.has_unread)
            && let Some(unread) = self.unread.remove(&connection.token)
        {
            self.core.input_held -= unread.held_bytes();
        }
    }

    /// Takes an open connection out of its channels and queues a close for it, after which the
    /// peer's is awaited.
    fn say_close(&mut self, index: usize, code: CloseCode, reason: &'static str) {
        let until = self.core.now + CLOSE_TIMEOUT_MS;
        let connection = &mut self.connections[index];
        let mut told = Cow::Borrowed(reason);
        let draining = Phase::Draining {
            until,
            fin_sent: false,
        };
        connection.phase = match std::mem::replace(&mut connection.phase, draining) {
            Phase::Open(Open {
                endpoint, dialect, ..
            }) => {
                if code == CloseCode::TOO_BIG {
                    let max = self.core.max_message(dialect);
                    told = format!("{reason} of {max} bytes").into();
                }
                Phase::Closing {
                    endpoint,
                    dialect,
                    until,
                }
            }
            other => {
                connection.phase = other;
                return;
            }
        };
        self.core.hub.detach(subscriber(index));
        write_close(
            connection.outbox.private(),
            Some(CloseFrame {
                code,
                reason: &told,
            }),
            None,
        );
        self.core.metrics.closed(code, reason);
        (self.core).note(
            connection.who(),
            format_args!("closed with {}: {reason}", code.0),
        );
    }

    /// Something was queued or a deadline moved: visit and time the connection accordingly.
    pub(super) fn look_after(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        // Whatever it was not read for is over.
        connection.paused = Paused::default();
        queue_read(connection, &mut self.reads);
        queue_visit(connection, &mut self.visits);
        let token = connection.token;
        self.schedule(token);
    }

    /// The outbox is out. What was waiting for that?
    pub(super) fn after_flush(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        if connection.paused.outbox
            && connection.outbox.private_bytes() <= self.core.outbox_limit() / 2
        {
            connection.paused.outbox = false;
            connection.restart_clocks(self.core.now);
            queue_read(connection, &mut self.reads);
            let token = connection.token;
            self.schedule(token);
        }
        let connection = &mut self.connections[index];
        if let Phase::Draining { fin_sent, .. } = &mut connection.phase
            && !*fin_sent
            && connection.outbox.is_empty()
        {
            *fin_sent = true;
            connection.stream.finish_writing();
        }
    }

    /// Takes a connection out of everything. Its socket closes with it.
    pub(super) fn remove(&mut self, index: usize, gone: Gone) {
        if !self.connections.contains(index) {
            return;
        }
        self.forget_input(index);
        let mut connection = self.connections.remove(index);
        (self.accepting.seats).leave(connection.seat, connection.token);
        connection.outbox.uncount(&mut self.core.outbox_bytes);
        match &connection.phase {
            Phase::Open(_) => {
                self.core.hub.detach(subscriber(index));
                let why = match gone {
                    Gone::Held => "too much held half sent",
                    Gone::Done | Gone::Lost => "lost",
                };
                self.core.metrics.closed(CloseCode::ABNORMAL, why);
                (self.core).note(connection.who(), format_args!("ended: {why}"));
            }
            Phase::Http(_) | Phase::Closing { .. } | Phase::Draining { .. } => {}
        }
        if let Some(segment) = connection.outbox.held() {
            self.held.go_on(segment, connection.blocked_since, index);
            self.held.release(segment);
        }
    }

    /// Drops stalled connections until what half-sent messages hold is within its limit. Called after the
    /// sweep and before the trim: until then the logs hold all of it anyway.
    pub(super) fn drop_stalled(&mut self) {
        while self.held.bytes() > self.core.config.held_total
            && let Some(index) = self.held.first_to_go()
        {
            // Half of a frame is out, so a close could not be said.
            self.remove(index, Gone::Held);
        }
    }

    pub(super) fn begin_shutdown(&mut self) {
        info!("ending: closing {} connections", self.connections.len());
        self.listeners.clear();
        self.shutdown = Some(Shutdown {
            began: self.core.now,
            spread_ms: self.core.config.drain_ms,
            closed: 0,
            // New ones do not come, so these are all entries there will be.
            total: self
                .connections
                .iter()
                .next_back()
                .map_or(0, |(last, _)| last + 1),
            until: None,
        });
    }

    /// Closes as many connections as are due, at the pace that was asked for.
    fn step_shutdown(&mut self) {
        let now = self.core.now;
        let Some(shutdown) = &mut self.shutdown else {
            return;
        };
        if shutdown.until.is_some() {
            return;
        }
        let (from, due, total) = (shutdown.closed, shutdown.due(now), shutdown.total);
        let began = Instant::now();
        let mut to = from;
        // What each is behind takes its time: a second signal must be seen meanwhile, and the grace begins with the last.
        while to < due && began.elapsed() < GOODBYES_A_TURN {
            let index = to;
            to += 1;
            match self
                .connections
                .get(index)
                .map(|connection| &connection.phase)
            {
                Some(Phase::Open(_)) => self.say_goodbye(index),
                Some(Phase::Http(_)) => self.finish(index),
                _ => {}
            }
        }
        if let Some(shutdown) = &mut self.shutdown {
            shutdown.closed = to;
            shutdown.until = (to == total).then_some(now + SHUTDOWN_GRACE_MS);
        }
    }

    /// Closes an open connection because the daemon ends. What it is behind goes out first: whoever published that was told
    /// so, and the sweep, or a large channel's round, would only come to it after the close.
    fn say_goodbye(&mut self, index: usize) {
        for _ in 0..LAST_VISITS {
            let Some(connection) = self.connections.get(index) else {
                return;
            };
            if connection.is_blocked() || !self.core.hub.is_behind(subscriber(index)) {
                break;
            }
            self.visit(index);
        }
        if self.connections.contains(index) {
            self.begin_close(index, CloseCode::GOING_AWAY, "the server is going away");
        }
    }

    /// Whether the daemon may end: everybody is gone, or had time enough.
    pub(super) fn has_ended(&self) -> bool {
        let Some(shutdown) = &self.shutdown else {
            return false;
        };
        self.connections.is_empty() || shutdown.until.is_some_and(|until| self.core.now >= until)
    }
}
