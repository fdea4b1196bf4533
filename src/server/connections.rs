//! All connections, with the queues in which they stand and the door that they share.
//!
//! Whatever happens on a connection happens through [`Connections::act`] or ends with [`Connections::touch`]: then the
//! sums, the hub and the queues say what the connection says.

use std::io;
use std::ops::Range;
use std::time::Instant;

use mio::{Registry, Token};
use slab::Slab;

use super::TURN_BUDGET;
use super::connection::ends::Gone;
use super::connection::flow::Flow;
use super::connection::http::head_deadline;
use super::connection::phase::Phase;
use super::connection::seat::Seat;
use super::connection::{Connection, Peer};
use super::handshakes::Handshakes;
use super::metrics::kind::Carrier;
use super::seats::Seats;
use super::service::Service;
use super::timers::NEVER;
use super::tokens::{index_of, token_of};
use super::work::Work;
use crate::config::Config;
use crate::snapshot::{Damaged, Reader, put_len};
use crate::transport::Transport;
use crate::ws::close::CloseCode;

/// Timers looked at in one turn.
const TIMERS_A_TURN: usize = 1024;

/// When a deadline is looked at again whose connection has to be read from first.
const HEARD_MS: u64 = 100;

/// A connection and what its bytes go over.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) transport: Transport,
    pub(super) connection: Connection,
}

/// All connections, by their place.
pub(super) struct Connections {
    pub(super) slab: Slab<Entry>,
    generation: usize,
    pub(super) service: Service,
    pub(super) work: Work,
    pub(super) seats: Seats,
    pub(super) handshakes: Handshakes,
    /// The places for which it is still to be decided anew what a peer may do, after a reload.
    readmits: Range<usize>,
}

impl Connections {
    /// None yet, and no more than `limit` with a regular seat.
    pub(super) fn new(config: Config, limit: usize) -> Self {
        Connections {
            slab: Slab::new(),
            generation: 0,
            handshakes: Handshakes::new(config.tls.max_handshakes),
            service: Service::new(config),
            work: Work::default(),
            seats: Seats::new(limit),
            readmits: 0..0,
        }
    }

    /// Appends what all of them have in common, for the process that goes on with them.
    pub(super) fn save_shared(&self, out: &mut Vec<u8>) {
        put_len(out, self.generation);
        self.service.metrics.save(out);
        self.service.gate.blocked().save(out);
        self.service.journal.save(out);
        self.service.keys.save(out);
        self.service.rates.save(self.service.now, out);
    }

    /// Takes what [`Connections::save_shared`] has written, but for the generation, which it gives back.
    ///
    /// # Errors
    /// The bytes make no sense.
    pub(super) fn restore_shared(&mut self, reader: &mut Reader<'_>) -> Result<usize, Damaged> {
        let generation = reader.size()?;
        self.service.metrics.restore(reader)?;
        self.service.gate.blocked_mut().restore(reader)?;
        self.service.journal.restore(reader)?;
        self.service.keys.restore(reader)?;
        self.service.rates.restore(reader)?;
        Ok(generation)
    }

    /// Goes on with the connections of another process, which are registered with the poll; each with whether the listener that it came by is still there. What
    /// their peers may do is decided anew. There are no others yet, and each has a place of its own.
    pub(super) fn take_over(&mut self, all: Vec<(Entry, bool)>, generation: usize) {
        let turn = self.service.metrics.turns;
        self.generation = generation;
        let mut places = Vec::with_capacity(all.len());
        let entries = all.into_iter().map(|(entry, has_listener)| {
            let Connection { token, seat, .. } = entry.connection;
            places.push((token, seat, has_listener));
            (index_of(token), entry)
        });
        self.slab = entries.collect();
        for (token, seat, has_listener) in places {
            let index = index_of(token);
            self.seats.take(seat, token, turn);
            self.touch(index);
            if !has_listener {
                self.act(index, |connection, service, peer| {
                    let reason = "the listener is gone";
                    match connection.phase {
                        Phase::Http(_) => connection.finish(service),
                        _ => connection.begin_close(service, peer, CloseCode::RESTART, reason),
                    }
                });
            }
        }
        self.begin_to_readmit();
    }

    /// Lets go of those at these places, with which another process goes on, without a word to their peers.
    pub(super) fn let_go(&mut self, places: &[usize], registry: &Registry) {
        for &index in places {
            let Some(entry) = self.slab.try_remove(index) else {
                continue;
            };
            let Entry {
                mut transport,
                mut connection,
            } = entry;
            // The poll ends with this process at the latest.
            let _ = transport.deregister(registry).is_ok();
            self.seats.leave(connection.seat, connection.token);
            connection.release(&mut self.service);
            if connection.is_subscriber() {
                self.service.hub.detach(connection.subscriber());
            }
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    /// One more than the greatest place that is taken.
    pub(super) fn places(&self) -> usize {
        let last = self.slab.iter().next_back();
        last.map_or(0, |(last, _)| last + 1)
    }

    /// The connection at a place.
    pub(super) fn get(&self, index: usize) -> Option<&Connection> {
        Some(&self.slab.get(index)?.connection)
    }

    /// The connection that this token was given to, if it is still there.
    #[inline]
    pub(super) fn find(&mut self, token: Token) -> Option<&mut Connection> {
        let entry = self.slab.get_mut(index_of(token))?;
        (entry.connection.token == token).then_some(&mut entry.connection)
    }

    /// Takes in a new connection, which came by the listener `door`. `register` sees to it that its events are told under its token; one that cannot be polled is
    /// dropped.
    ///
    /// # Errors
    /// Those of `register`.
    pub(super) fn insert(
        &mut self,
        mut transport: Transport,
        seat: Seat,
        door: usize,
        register: impl FnOnce(&mut Transport, Token) -> io::Result<()>,
    ) -> io::Result<Token> {
        let entry = self.slab.vacant_entry();
        let index = entry.key();
        self.generation = self.generation.wrapping_add(1);
        let token = token_of(index, self.generation);
        register(&mut transport, token)?;
        let service = &mut self.service;
        let deadline = head_deadline(service, seat);
        let mut connection = Connection::new(
            token,
            seat,
            service.gate.stranger(door),
            service.now,
            deadline,
        );
        connection.carrier = Carrier::of(&transport);
        if transport.is_handshaking() {
            connection.flow.insert(Flow::HANDSHAKES);
            self.handshakes.begin(token, service.metrics.turns);
        }
        service.note(connection.who(&transport), format_args!("connected"));
        entry.insert(Entry {
            transport,
            connection,
        });
        self.seats.take(seat, token, service.metrics.turns);
        self.touch(index);
        Ok(token)
    }

    /// Does something with a connection, and brings up to date what is known of it.
    pub(super) fn act(
        &mut self,
        index: usize,
        what: impl FnOnce(&mut Connection, &mut Service, Peer<'_>),
    ) {
        self.act_or_drop(index, |connection, service, peer| {
            what(connection, service, peer);
            None
        });
    }

    /// The same, but the connection is dropped if `what` says so.
    fn act_or_drop(
        &mut self,
        index: usize,
        what: impl FnOnce(&mut Connection, &mut Service, Peer<'_>) -> Option<Gone>,
    ) {
        let Some(Entry {
            transport,
            connection,
        }) = self.slab.get_mut(index)
        else {
            return;
        };
        match what(connection, &mut self.service, transport) {
            Some(gone) => self.remove(index, gone),
            None => self.touch(index),
        }
    }

    /// Brings the sums, the hub and the queues up to date with what a connection is now.
    #[inline]
    pub(super) fn touch(&mut self, index: usize) {
        if let Some(Entry { connection, .. }) = self.slab.get_mut(index) {
            connection.settle(&mut self.service);
            self.work.queue(connection, &self.service.config);
        }
    }

    /// Takes a connection out of everything. Its socket closes with it.
    pub(super) fn remove(&mut self, index: usize, gone: Gone) {
        if !self.slab.contains(index) {
            return;
        }
        let Entry {
            transport,
            mut connection,
        } = self.slab.remove(index);
        self.seats.leave(connection.seat, connection.token);
        if connection.flow.contains(Flow::HANDSHAKES) {
            self.handshakes.end(connection.token);
        }
        connection.leave(&mut self.service, &transport, gone);
    }

    /// The socket can be written to again. Says whether the connection can.
    pub(super) fn unblock(&mut self, token: Token) -> bool {
        let index = index_of(token);
        if self.find(token).is_none_or(|c| c.flow.may_write()) {
            return false;
        }
        match self.slab[index].transport.flush() {
            Ok(true) => {}
            Ok(false) => return false,
            Err(_) => {
                self.remove(index, Gone::Lost);
                return false;
            }
        }
        self.act(index, |connection, service, _| {
            connection.unblock(service);
        });
        true
    }

    /// Does what is due, on so many connections at most.
    pub(super) fn handle_timeouts(&mut self) {
        let now = self.service.now;
        for _ in 0..TIMERS_A_TURN {
            let Some((at, token)) = self.work.timers.pop_due(now) else {
                break;
            };
            let Some(connection) = self.find(token) else {
                continue;
            };
            if connection.wake_at != at {
                continue;
            }
            connection.wake_at = NEVER;
            let index = index_of(token);
            let (connection, config) = (&mut self.slab[index].connection, &self.service.config);
            if connection.next_deadline(config) > now {
                self.touch(index);
            } else if connection.is_to_be_heard(now, config) {
                connection.wake_at = now + HEARD_MS;
                self.work.timers.push(connection.wake_at, token);
                self.work.queue_read(connection);
            } else {
                self.act_or_drop(index, Connection::handle_deadline);
            }
        }
        let slab = &self.slab;
        self.work.timers.clear_away(|at, token| {
            let entry = slab.get(index_of(token));
            entry.is_some_and(|e| e.connection.token == token && e.connection.wake_at == at)
        });
    }

    /// Tells connections the outcomes of their pending requests.
    pub(super) fn answer_tickets(&mut self) {
        while let Some(finished) = self.service.finished.pop_front() {
            let token = finished.ticket.connection;
            // A connection that is gone took its tickets with it.
            if self.find(token).is_some() {
                self.act(index_of(token), |connection, service, peer| {
                    connection.answer(service, peer, finished);
                });
            }
        }
        while let Some((token, verdict)) = self.service.checks.next_told() {
            if self.find(token).is_some() {
                self.act(index_of(token), |connection, service, _| {
                    connection.be_told(service, verdict);
                });
            }
        }
    }

    /// Lets go of the connections that have kept too much of their input for longest, while all keep more than
    /// `--input-total`.
    pub(super) fn judge_hoards(&mut self) {
        while !(self.service.config.input_total).admits_size(self.service.ledger.input)
            && let Some(index) = self.service.ledger.hoards.first_to_go()
        {
            self.act(index, |connection, service, peer| {
                connection.end_hoard(service, peer);
            });
        }
    }

    /// Drops stalled connections until what half-sent messages hold is within its limit. Called after the
    /// sweep and before the trim: until then the logs hold all of it anyway.
    pub(super) fn drop_stalled(&mut self) {
        while !(self.service.config.held_total).admits_size(self.service.ledger.held.bytes())
            && let Some(index) = self.service.ledger.held.first_to_go()
        {
            // Half of a frame is out, so a close could not be said.
            self.remove(index, Gone::Held);
        }
    }

    /// Makes room for one more on such a seat, where somebody may give way. Says whether there is room.
    pub(super) fn make_room(&mut self, seat: Seat) -> bool {
        if self.seats.has_room(seat) {
            return true;
        }
        let gives_way = |index: &usize| self.get(*index).is_some_and(Connection::gives_way);
        let turn = self.service.metrics.turns;
        let first = (self.seats.sitting(seat, turn).map(index_of)).find(gives_way);
        let Some(index) = first else {
            return false;
        };
        // A connection that is draining was counted when it was answered.
        let is_unanswered = matches!(self.slab[index].connection.phase, Phase::Http(_));
        self.service.metrics.refused += u64::from(is_unanswered);
        self.remove(index, Gone::Done);
        true
    }

    /// Makes room for one more TLS handshake, where one that waits for its peer may give way. Says whether there is room.
    pub(super) fn make_room_for_handshake(&mut self) -> bool {
        if self.handshakes.has_room() {
            return true;
        }
        let waits_for_peer = |index: &usize| {
            let connection = self.get(*index);
            connection.is_some_and(|connection| !connection.flow.contains(Flow::IN_READS))
        };
        let turn = self.service.metrics.turns;
        let first = (self.handshakes.before(turn).map(index_of)).find(waits_for_peer);
        let Some(index) = first else {
            return false;
        };
        let Entry {
            transport,
            connection,
        } = &self.slab[index];
        let what = format_args!("ended: its TLS handshake made room for another");
        self.service.note(connection.who(transport), what);
        self.service.metrics.refused += 1;
        self.remove(index, Gone::Done);
        true
    }

    /// Rules or keys have changed: it is decided anew for everybody what they may do, in this turn and the next ones. Requests that
    /// wait for keys are looked at again.
    pub(super) fn begin_to_readmit(&mut self) {
        self.readmits = 0..self.places();
        for token in self.service.awaiting_keys.clone() {
            if self.find(token).is_some() {
                self.act(index_of(token), |connection, service, _| {
                    connection.look_for_keys(service);
                });
            }
        }
    }

    /// Whether it is still to be decided anew for somebody.
    #[inline]
    pub(super) fn readmits(&self) -> bool {
        !self.readmits.is_empty()
    }

    /// Decides anew for as many as one turn has time for. A connection that asks for something is decided about before that.
    pub(super) fn readmit(&mut self) {
        if !self.readmits() {
            return;
        }
        let began = Instant::now();
        // One has a thousand subscriptions and the next has none.
        while began.elapsed() < TURN_BUDGET
            && let Some(index) = self.readmits.next()
        {
            if self.slab.contains(index) {
                self.act(index, Connection::readmit);
            }
        }
    }

    /// Whether the sums are what is there. It looks at every connection: for tests, which have few.
    pub(super) fn check_sums(&self) {
        if !cfg!(debug_assertions) || self.slab.len() >= 64 {
            return;
        }
        let all = || self.slab.iter().map(|(_, entry)| &entry.connection);
        let ledger = &self.service.ledger;
        let input: usize = all().map(Connection::input_bytes).sum();
        assert_eq!(ledger.input, input);
        assert_eq!(ledger.hoards.len(), all().filter(|c| c.hoards()).count());
        let outboxes = all().map(|connection| connection.outbox.counted_bytes());
        assert_eq!(ledger.outbox, outboxes.sum::<usize>());
        let held = all().filter_map(|connection| connection.outbox.held());
        let mut held: Vec<_> = held
            .map(|s| (std::rc::Rc::as_ptr(s), s.capacity()))
            .collect();
        held.sort_unstable();
        held.dedup();
        let held = held.iter().map(|segment| segment.1);
        assert_eq!(ledger.held.bytes(), held.sum::<usize>());
    }
}
