//! From the listeners to registered connections; newcomers without a seat are turned away.

use std::io;

use log::{info, warn};
use mio::{Registry, Token};

use super::connection::flow::Flow;
use super::connection::phase::Phase;
use super::connection::seat::Seat;
use super::connections::Connections;
use super::listener::{Accepted, Listener};
use super::seats::Seats;
use super::timers::Millis;
use super::tokens::index_of;
use crate::transport::tls::terms::Terms;

/// Connections accepted in one turn, so that a storm of them does not keep the others waiting.
const ACCEPTS_A_TURN: usize = 64;

/// How long nothing is accepted after the process or the machine ran out of files.
const PAUSE_MS: u64 = 500;

/// The listeners, and how the accepting goes.
#[derive(Debug)]
pub(super) struct Accepting {
    pub(super) listeners: Vec<Listener>,
    /// How many doors there were at the start. A listener keeps its own.
    pub(super) doors: usize,
    /// What is agreed to where TLS is spoken. There are terms where there is such a listener.
    pub(super) terms: Option<Terms>,
    /// Nothing is accepted before this time.
    paused_until: Millis,
    /// The listener that comes first in this turn, so that a storm at one does not close the
    /// others.
    first: usize,
    /// A newcomer that found no seat in this turn of the loop. It tries again at the end of the next: by then those before it have
    /// been answered, or have sent nothing. Until then nobody else is accepted.
    held_back: Option<(Accepted, u64)>,
    /// Whether another process is about to accept in this one's place.
    pub(super) rests: bool,
    /// Whether the log has said that the limit is reached, so that it says so once.
    said_full: bool,
    /// Whether transports keep bytes as TLS does.
    #[cfg(test)]
    pub(super) withholds: bool,
}

impl Accepting {
    pub(super) fn new(listeners: Vec<Listener>, terms: Option<Terms>) -> Self {
        Accepting {
            doors: listeners.last().map_or(0, |last| last.door + 1),
            listeners,
            terms,
            paused_until: 0,
            first: 0,
            held_back: None,
            rests: false,
            said_full: false,
            #[cfg(test)]
            withholds: false,
        }
    }

    /// Somebody waits at this door.
    pub(super) fn wake(&mut self, door: usize) {
        let mut listeners = self.listeners.iter_mut();
        if let Some(listener) = listeners.find(|listener| listener.door == door) {
            listener.ready = true;
        }
    }

    /// Listens for administration alone from now on.
    pub(super) fn close_public(&mut self) {
        self.listeners.retain(|listener| listener.is_admin);
        self.held_back = None;
    }

    /// Where the daemon listens, for a line that says how things stand.
    pub(super) fn names(&self) -> String {
        let names: Vec<&str> = self.listeners.iter().map(|l| l.name.as_str()).collect();
        match names.is_empty() {
            true => "listening nowhere any more".to_owned(),
            false => format!("listening on {}", names.join(", ")),
        }
    }

    /// Whether somebody waits to be accepted, and may be.
    pub(super) fn has_work(&self, now: Millis) -> bool {
        self.is_open(now) && self.listeners.iter().any(|listener| listener.ready)
    }

    /// Accepts nobody from now on, until [`Accepting::rests`] says otherwise. Says whether a newcomer still waits for a seat.
    pub(super) fn rest(&mut self) -> bool {
        self.rests = true;
        self.held_back.is_some()
    }

    fn is_open(&self, now: Millis) -> bool {
        now >= self.paused_until && !self.rests
    }

    /// When a pause ends.
    pub(super) fn next_timeout(&self) -> Option<Millis> {
        (self.paused_until > 0).then_some(self.paused_until)
    }

    /// Accepts newcomers, as many as one turn has time for.
    pub(super) fn accept(&mut self, connections: &mut Connections, registry: &Registry) {
        let now = connections.service.now;
        if !self.is_open(now) {
            return;
        }
        if self.paused_until > 0 {
            self.paused_until = 0;
            info!("accepting connections again");
        }
        if self.held_back.is_some() {
            return;
        }
        let mut budget = ACCEPTS_A_TURN;
        let listeners = self.listeners.len();
        self.first = self.first.wrapping_add(1);
        for nth in 0..listeners {
            let index = (self.first + nth) % listeners;
            while self.listeners[index].ready {
                if budget == 0 {
                    return;
                }
                if self.listeners[index].is_tls && !connections.make_room_for_handshake() {
                    // Those that are under way wait for us, so newcomers wait for them.
                    break;
                }
                budget -= 1;
                if !self.accept_one(connections, registry, index) {
                    return;
                }
            }
        }
    }

    /// Accepts one. Says whether the accepting goes on in this turn.
    fn accept_one(
        &mut self,
        connections: &mut Connections,
        registry: &Registry,
        listener: usize,
    ) -> bool {
        let service = &mut connections.service;
        let (listener, gate) = (&mut self.listeners[listener], &service.gate);
        let terms = self.terms.as_ref().filter(|_| listener.is_tls);
        let terms = terms.map(|terms| terms.at(gate.door(listener.door)));
        match listener.accept(terms.as_ref(), gate.proxies()) {
            Ok(accepted) => {
                service.metrics.accepted += 1;
                let turn = service.metrics.turns;
                let held_back = self.admit(connections, registry, accepted, true);
                self.held_back = held_back.map(|accepted| (accepted, turn));
                return self.held_back.is_none();
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                listener.ready = false;
            }
            Err(error) if is_out_of_files(&error) => {
                self.paused_until = service.now + PAUSE_MS;
                let count = connections.len();
                warn!("cannot accept: {error}; pausing for {PAUSE_MS} ms ({count} connections)");
                return false;
            }
            // Of this one connection: the peer gave up before we came to it.
            Err(error) => service.note_stranger(format_args!("accept: {error}")),
        }
        true
    }

    /// Gives a seat to a newcomer that was held back in an earlier turn. Called after the sweep, when the answers to those that
    /// sat before it are out.
    pub(super) fn admit_held_back(&mut self, connections: &mut Connections, registry: &Registry) {
        let turn = connections.service.metrics.turns;
        if let Some((accepted, _)) = self.held_back.take_if(|(_, since)| *since < turn)
            && !self.listeners.is_empty()
        {
            self.admit(connections, registry, accepted, false);
        }
    }

    /// Gives a newcomer a seat. It is given back if it `may_wait` and a connection that was not read from
    /// yet has the seat that it would be entitled to: that one is answered in the next turn, or gives way if it has sent nothing.
    fn admit(
        &mut self,
        connections: &mut Connections,
        registry: &Registry,
        accepted: Accepted,
        may_wait: bool,
    ) -> Option<Accepted> {
        let seats = &connections.seats;
        if seats.is_at_ease() {
            self.said_full = false;
        } else if seats.is_full() && !self.said_full {
            self.said_full = true;
            warn!(
                "{} connections, as many as allowed: answering 503 to more, but for /healthz and \
                 requests from this machine",
                seats.regular()
            );
        }
        for &seat in Seats::choices(accepted.is_local) {
            if connections.make_room(seat) {
                let transport = accepted.transport;
                #[cfg(test)]
                let transport = match self.withholds {
                    true => transport.withholding(),
                    false => transport,
                };
                let registered =
                    connections.insert(transport, seat, accepted.door, |transport, token| {
                        transport.register(registry, token)
                    });
                if let Err(error) = registered {
                    warn!("cannot poll a connection: {error}");
                }
                return None;
            }
            if may_wait && awaits_reads(connections, seat) {
                return Some(accepted);
            }
        }
        // It is closed without a word.
        let others = connections.len();
        let service = &mut connections.service;
        service.metrics.refused += 1;
        service.note_stranger(format_args!("dropped a connection beyond {others} others"));
        None
    }
}

/// Whether a connection sits there that came in this turn, or whose request is here and has not been read.
fn awaits_reads(connections: &Connections, seat: Seat) -> bool {
    let turn = connections.service.metrics.turns;
    let is_unread = |token: Token| {
        let connection = connections.get(index_of(token));
        connection.is_some_and(|connection| {
            connection.flow.contains(Flow::IN_READS) && matches!(connection.phase, Phase::Http(_))
        })
    };
    let seats = &connections.seats;
    seats.has_newcomer(seat, turn) || seats.sitting(seat, turn).any(is_unread)
}

/// Whether accepting failed for want of files, which waiting may mend.
fn is_out_of_files(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(
        errno,
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)
    )
}
