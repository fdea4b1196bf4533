//! How connections end: closes, timeouts, lost peers, and the daemon's own shutdown.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
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

/// When a deadline is looked at again whose connection has to be read from first.
const HEARD_MS: u64 = 100;

/// How long the peers have to answer the last close before the process ends.
const SHUTDOWN_GRACE_MS: u64 = 5_000;

/// How long before the process ends those are closed whose sockets have not taken what was theirs.
const LAST_CALL_MS: u64 = 1_000;

/// What an open connection still gets of its channels when the daemon ends, in bytes: four times as much as a
/// channel has by default. A subscriber that is behind by more resumes elsewhere.
const LAST_BYTES: u64 = 4 * 1024 * 1024;

/// Visits that this may take in one turn of the loop.
const LAST_VISITS: usize = 64;

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
    /// The slab's entries whose turn has come; all beyond are still to be closed.
    reached: usize,
    total: usize,
    /// How many bytes those may still get whose socket was full when their turn came. They are closed after that.
    owed: HashMap<Token, u64>,
    /// Those of them whose socket can be written to again.
    writable: VecDeque<Token>,
    /// When the process ends whoever is still there.
    until: Option<Millis>,
}

impl Shutdown {
    /// When to go on.
    pub(super) fn next_step(&self, now: Millis) -> Millis {
        if !self.writable.is_empty() || self.reached < self.due(now) {
            return now;
        }
        match self.until {
            Some(until) if self.owed.is_empty() => until,
            Some(until) => until - LAST_CALL_MS,
            None => now + 10,
        }
    }

    /// How many of the slab's entries are to be closed by `now`.
    fn due(&self, now: Millis) -> usize {
        let elapsed = now - self.began;
        if elapsed >= self.spread_ms {
            return self.total;
        }
        (self.total as u64 * elapsed / self.spread_ms) as usize
    }

    /// A connection's socket can be written to again.
    pub(super) fn go_on(&mut self, token: Token) {
        if self.owed.contains_key(&token) {
            self.writable.push_back(token);
        }
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
                if connection.is_to_be_heard(now, &self.core.config) {
                    connection.wake_at = now + HEARD_MS;
                    self.timers.push(connection.wake_at, token);
                    continue;
                }
                self.handle_deadline(token);
            }
            self.schedule(token);
        }
        let connections = &mut self.connections;
        self.timers.clear_away(|at, token| {
            find(connections, token).is_some_and(|connection| connection.wake_at == at)
        });
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
                (self.core).note(
                    connection.who(),
                    format_args!("ended: no request came in time"),
                );
                self.remove(index, Gone::Done);
            }
            Phase::Closing { .. } | Phase::Draining { .. } => self.remove(index, Gone::Done),
            Phase::Open(open) => {
                if overdue {
                    self.message_timeout(index);
                } else if stalled {
                    self.begin_close(
                        index,
                        CloseCode::TOO_SLOW,
                        "the client took nothing for too long",
                    );
                } else if open.pinged_at == NEVER {
                    open.pinged_at = now;
                    write_ping(connection.outbox.private(), &[], None);
                    queue_visit(connection, &mut self.visits);
                } else {
                    self.begin_close(
                        index,
                        CloseCode::INTERNAL,
                        "the client did not answer a ping",
                    );
                }
            }
        }
    }

    /// Closes a connection whose message was not whole in time.
    pub(super) fn message_timeout(&mut self, index: usize) {
        let reason = "a message took too long to arrive";
        self.begin_close(index, CloseCode::POLICY, reason);
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
        self.forget_hoard(index);
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
            connection.resume(self.core.now, |paused| paused.outbox = false);
            queue_read(connection, &mut self.reads);
            let token = connection.token;
            self.schedule(token);
            // What it asked waits for us from now on.
            self.note_hoard(index);
        }
        let connection = &mut self.connections[index];
        let all_is_out = connection.outbox.is_empty() && !connection.is_blocked();
        if let Phase::Draining { fin_sent, .. } = &mut connection.phase
            && !*fin_sent
            && all_is_out
        {
            *fin_sent = true;
            connection.transport.finish_writing();
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
                    Gone::Held => "half-sent messages took too much memory",
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
            reached: 0,
            // New ones do not come, so these are all entries there will be.
            total: self
                .connections
                .iter()
                .next_back()
                .map_or(0, |(last, _)| last + 1),
            owed: HashMap::new(),
            writable: VecDeque::new(),
            until: None,
        });
    }

    /// Closes as many connections as are due, at the pace that was asked for.
    fn step_shutdown(&mut self) {
        let Some(mut shutdown) = self.shutdown.take() else {
            return;
        };
        let now = self.core.now;
        let due = shutdown.due(now);
        let began = Instant::now();
        // What each is behind takes its time: a second signal must be seen meanwhile, and the grace begins with the last.
        while began.elapsed() < GOODBYES_A_TURN {
            if let Some(token) = shutdown.writable.pop_front() {
                if let Some(left) = shutdown.owed.remove(&token) {
                    self.say_goodbye(token, left, &mut shutdown);
                }
            } else if shutdown.reached < due {
                let index = shutdown.reached;
                shutdown.reached += 1;
                match self.connections.get(index) {
                    Some(connection) if matches!(connection.phase, Phase::Open(_)) => {
                        let token = connection.token;
                        self.say_goodbye(token, LAST_BYTES, &mut shutdown);
                    }
                    Some(connection) if matches!(connection.phase, Phase::Http(_)) => {
                        self.finish(index);
                    }
                    _ => {}
                }
            } else {
                break;
            }
        }
        if shutdown.reached == shutdown.total && shutdown.until.is_none() {
            shutdown.until = Some(now + SHUTDOWN_GRACE_MS);
        }
        let is_last_call = (shutdown.until).is_some_and(|until| now + LAST_CALL_MS >= until);
        if is_last_call {
            for (token, _) in shutdown.owed.drain() {
                self.go_away(token);
            }
        }
        self.shutdown = Some(shutdown);
    }

    /// Closes an open connection because the daemon ends. What it is behind goes out first, up to `left` bytes: whoever
    /// published that was told so, and the sweep, or a large channel's circle, would only come to it after the close. Where
    /// its socket is full, the rest waits until it can be written to again.
    fn say_goodbye(&mut self, token: Token, mut left: u64, shutdown: &mut Shutdown) {
        let index = index_of(token);
        for _ in 0..LAST_VISITS {
            let Some(connection) = find(&mut self.connections, token) else {
                return;
            };
            if left == 0 || !self.core.hub.is_behind(subscriber(index)) {
                break;
            }
            if connection.is_blocked() {
                shutdown.owed.insert(token, left);
                return;
            }
            let sent = self.core.metrics.bytes_sent;
            self.visit(index);
            left = left.saturating_sub(self.core.metrics.bytes_sent - sent);
        }
        self.go_away(token);
    }

    /// Says the close that ends an open connection with the daemon.
    fn go_away(&mut self, token: Token) {
        if find(&mut self.connections, token).is_some() {
            let reason = "the server is going away";
            self.begin_close(index_of(token), CloseCode::GOING_AWAY, reason);
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
