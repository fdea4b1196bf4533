//! The daemon's own end: every connection gets what it is behind, then a close, at the pace that was asked for.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use mio::Token;

use super::connection::phase::Phase;
use super::connections::Connections;
use super::sweep::Sweep;
use super::timers::Millis;
use super::tokens::index_of;
use crate::ws::close::CloseCode;

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

/// Over how much more than the time of the closes the returns of those are spread who are sent away, in milliseconds.
const RETURNS_MS: u64 = 2_000;

/// Why connections are closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Farewell {
    /// The daemon ends.
    Shutdown,
    /// Another process has taken over, and these could not be handed to it.
    Restart,
    /// An administrator sends everybody elsewhere, and the daemon goes on with those of administration.
    Drain,
}

impl Farewell {
    /// What a `goodbye` says, and the close.
    fn words(self) -> (&'static str, CloseCode, &'static str) {
        match self {
            Farewell::Shutdown => (
                "shutdown",
                CloseCode::GOING_AWAY,
                "the server is going away",
            ),
            Farewell::Restart => ("restart", CloseCode::RESTART, "the server is restarting"),
            Farewell::Drain => ("drain", CloseCode::GOING_AWAY, "the server is going away"),
        }
    }
}

/// A shutdown under way.
#[derive(Debug)]
pub(super) struct Shutdown {
    farewell: Farewell,
    began: Millis,
    spread_ms: u64,
    /// The places whose turn has come; all beyond are still to be closed.
    reached: usize,
    total: usize,
    /// How many bytes those may still get whose socket was full when their turn came. They are closed after that.
    owed: HashMap<Token, u64>,
    /// Those of them whose socket can be written to again.
    writable: VecDeque<Token>,
    /// When the process ends, though connections are still there.
    until: Option<Millis>,
}

impl Shutdown {
    /// Begins to close all connections, or, for a drain, all but those of administration. New ones do not come.
    pub(super) fn begin(connections: &Connections, farewell: Farewell) -> Self {
        Shutdown {
            farewell,
            began: connections.service.now,
            spread_ms: match farewell {
                Farewell::Shutdown | Farewell::Drain => connections.service.config.drain_ms,
                // Nothing more is to be had here: it is the returns that are spread.
                Farewell::Restart => 0,
            },
            reached: 0,
            total: connections.places(),
            owed: HashMap::new(),
            writable: VecDeque::new(),
            until: None,
        }
    }

    /// Whether the daemon ends then.
    pub(super) fn ends(&self) -> bool {
        self.farewell != Farewell::Drain
    }

    /// When to go on; `None`: all is done.
    pub(super) fn next_step(&self, now: Millis) -> Option<Millis> {
        if !self.writable.is_empty() || self.reached < self.due(now) {
            return Some(now);
        }
        match self.until {
            Some(_) if !self.ends() && self.owed.is_empty() => None,
            Some(until) if self.owed.is_empty() => Some(until),
            Some(until) => Some(until - LAST_CALL_MS),
            None => Some(now + 10),
        }
    }

    /// How many places are to be closed by `now`.
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

    /// Whether everybody had time enough.
    pub(super) fn is_over(&self, now: Millis) -> bool {
        self.until.is_some_and(|until| now >= until)
    }

    /// Closes as many connections as are due.
    pub(super) fn step(&mut self, connections: &mut Connections, sweep: &mut Sweep) {
        let now = connections.service.now;
        let due = self.due(now);
        let began = Instant::now();
        // What each is behind takes its time: a second signal must be seen meanwhile, and the grace begins with the last.
        while began.elapsed() < GOODBYES_A_TURN {
            if let Some(token) = self.writable.pop_front() {
                if let Some(left) = self.owed.remove(&token) {
                    self.say_goodbye(connections, sweep, token, left);
                }
            } else if self.reached < due {
                let index = self.reached;
                self.reached += 1;
                let Some(connection) = connections.get(index) else {
                    continue;
                };
                if !self.ends() && connections.service.gate.is_admin(connection.access.door) {
                    continue;
                }
                match connection.phase {
                    Phase::Open(_) | Phase::Events(_) => {
                        let token = connection.token;
                        self.say_goodbye(connections, sweep, token, LAST_BYTES);
                    }
                    Phase::Http(_) => connections.act(index, |connection, service, _| {
                        connection.finish(service);
                    }),
                    Phase::Closing { .. } | Phase::Draining { .. } => {}
                }
            } else {
                break;
            }
        }
        if self.reached == self.total && self.until.is_none() {
            self.until = Some(now + SHUTDOWN_GRACE_MS);
        }
        let is_last_call = (self.until).is_some_and(|until| now + LAST_CALL_MS >= until);
        if is_last_call {
            for (token, _) in self.owed.drain() {
                go_away(connections, token, self.farewell);
            }
        }
    }

    /// Closes an open connection because the daemon ends. What it is behind goes out first, up to `left` bytes: its
    /// publisher was told that it is published, and the sweep, or a large channel's circle, would only come to it after the close. Where
    /// its socket is full, the rest waits until it can be written to again.
    fn say_goodbye(
        &mut self,
        connections: &mut Connections,
        sweep: &mut Sweep,
        token: Token,
        mut left: u64,
    ) {
        let index = index_of(token);
        for _ in 0..LAST_VISITS {
            let Some(connection) = connections.find(token) else {
                return;
            };
            let (id, may_write) = (connection.subscriber(), connection.flow.may_write());
            if left == 0 || !connections.service.hub.is_behind(id) {
                break;
            }
            if !may_write {
                self.owed.insert(token, left);
                return;
            }
            let sent = connections.service.metrics.bytes_sent;
            sweep.visit(connections, index);
            left = left.saturating_sub(connections.service.metrics.bytes_sent - sent);
        }
        go_away(connections, token, self.farewell);
    }
}

/// Says the close that ends an open connection, as planned.
fn go_away(connections: &mut Connections, token: Token, farewell: Farewell) {
    if connections.find(token).is_some() {
        connections.act(index_of(token), |connection, service, peer| {
            let (what, code, reason) = farewell.words();
            let spread = service.config.drain_ms.saturating_add(RETURNS_MS);
            connection.say_goodbye(service, what, spread);
            connection.begin_close(service, peer, code, reason);
        });
    }
}
