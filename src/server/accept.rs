//! From a listener to a registered connection, and who is turned away.

use std::io;

use log::{debug, info, warn};
use mio::Token;

use super::connection::{Connection, DRAIN_TIMEOUT_MS, Phase};
use super::http::Response;
use super::stream::Stream;
use super::timers::Millis;
use super::{Server, find, queue_visit};

/// Connections accepted in one turn, so that a storm of them does not keep the others waiting.
const ACCEPTS_A_TURN: usize = 64;

/// How long nothing is accepted after the process or the machine ran out of files.
const PAUSE_MS: u64 = 500;

/// Connections beyond the limit that are told so at one time; those beyond these are just closed.
/// They live from the reserve of files.
const LOBBY: usize = 32;

/// When who was turned away may try again, in seconds.
const RETRY_AFTER_S: u32 = 5;

/// How the accepting goes.
#[derive(Debug)]
pub(super) struct Accepting {
    /// Connections at once.
    limit: usize,
    /// Nothing is accepted before this time.
    paused_until: Millis,
    generation: usize,
    /// The listener that comes first in this turn, so that a storm at one does not close the
    /// others.
    first: usize,
    /// Whether the log has said that the limit is reached, so that it says so once.
    said_full: bool,
}

impl Accepting {
    pub(super) fn new(limit: usize) -> Self {
        Accepting {
            limit,
            paused_until: 0,
            generation: 0,
            first: 0,
            said_full: false,
        }
    }

    pub(super) fn is_open(&self, now: Millis) -> bool {
        now >= self.paused_until
    }

    pub(super) fn next_timeout(&self) -> Option<Millis> {
        (self.paused_until > 0).then_some(self.paused_until)
    }
}

impl Server {
    pub(super) fn accept(&mut self) {
        let now = self.core.now;
        if !self.accepting.is_open(now) {
            return;
        }
        if self.accepting.paused_until > 0 {
            self.accepting.paused_until = 0;
            info!("accepting connections again");
        }
        let mut budget = ACCEPTS_A_TURN;
        let listeners = self.listeners.len();
        self.accepting.first = self.accepting.first.wrapping_add(1);
        for nth in 0..listeners {
            let index = (self.accepting.first + nth) % listeners;
            while self.listeners[index].ready {
                if budget == 0 {
                    return;
                }
                budget -= 1;
                match self.listeners[index].accept() {
                    Ok(stream) => self.admit(stream),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.listeners[index].ready = false;
                    }
                    Err(error) if out_of_files(&error) => {
                        warn!(
                            "cannot accept: {error}; pausing for {PAUSE_MS} ms ({} connections)",
                            self.connections.len()
                        );
                        self.accepting.paused_until = now + PAUSE_MS;
                        return;
                    }
                    // Of this one connection: the peer gave up before we came to it.
                    Err(error) => debug!("accept: {error}"),
                }
            }
        }
    }

    fn admit(&mut self, stream: Stream) {
        self.core.metrics.accepted += 1;
        let connections = self.connections.len();
        let limit = self.accepting.limit;
        if connections >= limit {
            self.core.metrics.refused += 1;
            if !self.accepting.said_full {
                self.accepting.said_full = true;
                warn!("{connections} connections, as many as allowed: answering 503 to more");
            }
            if connections >= limit + LOBBY {
                return;
            }
        } else if connections + connections / 10 < limit {
            self.accepting.said_full = false;
        }
        let Some(token) = self.insert(stream) else {
            return;
        };
        if connections >= limit {
            self.turn_away(token);
        }
    }

    fn insert(&mut self, mut stream: Stream) -> Option<Token> {
        let now = self.core.now;
        let entry = self.connections.vacant_entry();
        // 31 bits of generation keep clear of the listeners' tokens.
        self.accepting.generation = (self.accepting.generation + 1) & 0x7FFF_FFFF;
        let token = Token(self.accepting.generation << 32 | entry.key());
        if let Err(error) = stream.register(self.poll.registry(), token) {
            warn!("cannot poll a connection: {error}");
            return None;
        }
        let deadline = now + self.core.config.handshake_timeout_ms;
        entry.insert(Connection::new(stream, token, now, deadline));
        self.schedule(token);
        Some(token)
    }

    /// Says 503 to a connection over the limit, without reading what it wants.
    fn turn_away(&mut self, token: Token) {
        let until = self.core.now + DRAIN_TIMEOUT_MS;
        let date = self.core.date.at(self.core.now);
        let Some(connection) = find(&mut self.connections, token) else {
            return;
        };
        let response = Response::too_many_connections(RETRY_AFTER_S);
        response.write(connection.outbox.private(), date, false);
        connection.phase = Phase::Draining {
            until,
            fin_sent: false,
        };
        queue_visit(connection, &mut self.visits);
        self.schedule(token);
    }
}

/// Whether accepting failed for want of files, which waiting may mend.
fn out_of_files(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(
        errno,
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
    )
}
