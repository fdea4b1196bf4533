//! From a listener to a registered connection; newcomers for whom there is no seat are turned away.

use std::io;

use log::{info, warn};
use mio::Token;

use super::connection::{Connection, Phase};
use super::ending::Gone;
use super::listener::Accepted;
use super::seats::{Seat, Seats, gives_way};
use super::timers::Millis;
use super::{Server, index_of};
use crate::transport::Transport;

/// Connections accepted in one turn, so that a storm of them does not keep the others waiting.
const ACCEPTS_A_TURN: usize = 64;

/// How long nothing is accepted after the process or the machine ran out of files.
const PAUSE_MS: u64 = 500;

/// How the accepting goes.
#[derive(Debug)]
pub(super) struct Accepting {
    /// How many may be connected, and who is.
    pub(super) seats: Seats,
    /// Nothing is accepted before this time.
    paused_until: Millis,
    generation: usize,
    /// The listener that comes first in this turn, so that a storm at one does not close the
    /// others.
    first: usize,
    /// A newcomer that found no seat in this turn of the loop. It tries again at the end of the next: by then those before it have
    /// been answered, or have sent nothing. Until then nobody else is accepted.
    held_back: Option<(Accepted, u64)>,
    /// Whether the log has said that the limit is reached, so that it says so once.
    said_full: bool,
}

impl Accepting {
    pub(super) fn new(limit: usize) -> Self {
        Accepting {
            seats: Seats::new(limit),
            paused_until: 0,
            generation: 0,
            first: 0,
            held_back: None,
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
        if self.accepting.held_back.is_some() {
            return;
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
                    Ok(accepted) => {
                        self.core.metrics.accepted += 1;
                        if let Some(accepted) = self.admit(accepted, true) {
                            self.accepting.held_back = Some((accepted, self.core.metrics.turns));
                            return;
                        }
                    }
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
                    Err(error) => self.core.note_stranger(format_args!("accept: {error}")),
                }
            }
        }
    }

    /// Gives a seat to who was held back in an earlier turn. Called after the sweep, when the answers to who sat before it are out.
    pub(super) fn admit_held_back(&mut self) {
        let turn = self.core.metrics.turns;
        if let Some((accepted, _)) = self.accepting.held_back.take_if(|(_, since)| *since < turn)
            && !self.listeners.is_empty()
        {
            self.admit(accepted, false);
        }
    }

    /// Gives a newcomer a seat. It is given back if it `may_wait` and somebody has the seat that it would be entitled to
    /// whom nobody has read from yet: that one is answered in the next turn, or gives way if it has sent nothing.
    fn admit(&mut self, accepted: Accepted, may_wait: bool) -> Option<Accepted> {
        if self.accepting.seats.is_at_ease() {
            self.accepting.said_full = false;
        } else if self.accepting.seats.is_full() && !self.accepting.said_full {
            self.accepting.said_full = true;
            warn!(
                "{} connections, as many as allowed: answering 503 to more, but for /healthz and \
                 requests from this machine",
                self.accepting.seats.regular()
            );
        }
        for &seat in Seats::choices(accepted.is_local) {
            if self.make_room(seat) {
                self.insert(accepted.transport, seat);
                return None;
            }
            if may_wait && self.awaits_reads(seat) {
                return Some(accepted);
            }
        }
        // It is closed without a word.
        self.core.metrics.refused += 1;
        self.core.note_stranger(format_args!(
            "dropped a connection beyond {} others",
            self.connections.len()
        ));
        None
    }

    /// Whether there is room for one more on such a seat, once who may have given way has.
    fn make_room(&mut self, seat: Seat) -> bool {
        let seats = &self.accepting.seats;
        if seats.has_room(seat) {
            return true;
        }
        let first = seats
            .sitting(seat, self.core.metrics.turns)
            .map(index_of)
            .find(|index| self.connections.get(*index).is_some_and(gives_way));
        let Some(index) = first else {
            return false;
        };
        // A connection that is draining was counted when it was answered.
        let unanswered = matches!(self.connections[index].phase, Phase::Http(_));
        self.core.metrics.refused += u64::from(unanswered);
        self.remove(index, Gone::Done);
        true
    }

    /// Whether somebody sits there who came in this turn, or whose request is here and has not been read.
    fn awaits_reads(&self, seat: Seat) -> bool {
        let turn = self.core.metrics.turns;
        let is_unread = |token: Token| {
            let connection = self.connections.get(index_of(token));
            connection.is_some_and(|c| c.in_reads && matches!(c.phase, Phase::Http(_)))
        };
        let seats = &self.accepting.seats;
        seats.has_newcomer(seat, turn) || seats.sitting(seat, turn).any(is_unread)
    }

    fn insert(&mut self, mut transport: Transport, seat: Seat) {
        let now = self.core.now;
        #[cfg(test)]
        if self.withholds {
            transport = transport.withholding();
        }
        let entry = self.connections.vacant_entry();
        // 31 bits of generation keep clear of the listeners' tokens.
        self.accepting.generation = (self.accepting.generation + 1) & 0x7FFF_FFFF;
        let token = Token(self.accepting.generation << 32 | entry.key());
        if let Err(error) = transport.register(self.poll.registry(), token) {
            warn!("cannot poll a connection: {error}");
            return;
        }
        let deadline = self.core.head_deadline(seat);
        let connection = Connection::new(transport, token, seat, now, deadline);
        self.core.note(connection.who(), format_args!("connected"));
        entry.insert(connection);
        let turn = self.core.metrics.turns;
        self.accepting.seats.take(seat, token, turn);
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
