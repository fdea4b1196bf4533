//! A whole server without a socket, a poll or the machine's clock, for tests and for `fuzz/`.
//!
//! Connections, queues, hub and sweep are the daemon's own, in the order of its turns. Its peers are ends of pipes in memory.
//! Time stands still until [`Simulation::advance`] moves it, from deadline to deadline: a day passes in milliseconds.
//!
//! Two things stay with the machine's clock, and neither changes what a peer sees: a turn's budgets, which say how much is
//! done in one turn and how much in the next; and the rests between circles of large channels, which are off here.
//!
//! Deliberately absent: listeners. [`Simulation::connect`] gives every peer a regular seat.

#[cfg(test)]
mod tests;

use mio::Token;

use super::connection::seat::Seat;
use super::engine::{Engine, Ready};
use super::pace::Pace;
use super::timers::Millis;
use crate::channel::topic::Topic;
use crate::config::Config;
use crate::transport::Transport;
use crate::transport::memory::{Far, pipe};

/// How many bytes may be on their way to a peer of [`Simulation::connect`].
const ROOM: usize = 64 * 1024;

/// A server that has not come to rest after so many turns never will.
const TURNS_MAX: usize = 1_000_000;

/// A peer, by the order in which it connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(usize);

/// A peer's end of its connection.
struct Peer {
    token: Token,
    far: Far,
    /// The transport keeps bytes as TLS does, and veils them.
    #[cfg(test)]
    is_veiled: bool,
}

impl Peer {
    fn send(&self, bytes: &[u8]) {
        #[cfg(test)]
        if self.is_veiled {
            let mut veiled = bytes.to_vec();
            crate::transport::withholding::veil(&mut veiled);
            return self.far.send(&veiled);
        }
        self.far.send(bytes);
    }

    /// Takes up to `most` bytes. Says whether there is room again in what was full.
    fn receive(&self, most: usize) -> (Vec<u8>, bool) {
        let received = self.far.receive(most);
        #[cfg(test)]
        if self.is_veiled {
            let (mut bytes, has_room_again) = received;
            crate::transport::withholding::veil(&mut bytes);
            return (bytes, has_room_again);
        }
        received
    }
}

/// A server and its peers.
pub struct Simulation {
    engine: Engine,
    now: Millis,
    peers: Vec<Peer>,
}

impl std::fmt::Debug for Simulation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Simulation")
            .field("now", &self.now)
            .field("peers", &self.peers.len())
            .finish_non_exhaustive()
    }
}

impl Simulation {
    /// A server without peers, at the time 0. `config` says everything but where to listen; `coalesce_ms` is taken to be 0.
    pub fn new(mut config: Config) -> Self {
        config.coalesce_ms = 0;
        let limit = config.max_connections.unwrap_or(usize::MAX);
        let pace = Pace::new(std::time::Duration::ZERO);
        Simulation {
            engine: Engine::new(config, limit, pace),
            now: 0,
            peers: Vec::new(),
        }
    }

    /// A new peer connects.
    pub fn connect(&mut self) -> PeerId {
        self.connect_with(ROOM)
    }

    /// A new peer connects. At most `room` bytes, of which there is at least one, may be on their way to it: then its
    /// transport is full.
    pub fn connect_with(&mut self, room: usize) -> PeerId {
        let (near, far) = pipe(room.max(1));
        self.insert(Transport::Memory(near), far)
    }

    fn insert(&mut self, transport: Transport, far: Far) -> PeerId {
        let connections = &mut self.engine.connections;
        let inserted = connections.insert(transport, Seat::Regular, 0, |_, _| Ok(()));
        let token = inserted.expect("nothing is registered, so nothing fails");
        self.peers.push(Peer {
            token,
            far,
            #[cfg(test)]
            is_veiled: false,
        });
        PeerId(self.peers.len() - 1)
    }

    /// A peer sends bytes. The server deals with them in its next turn.
    pub fn send(&mut self, peer: PeerId, bytes: &[u8]) {
        self.peers[peer.0].send(bytes);
        self.note(
            peer,
            Ready {
                readable: true,
                ..Ready::default()
            },
        );
    }

    /// A peer finishes: it sends no more, and still receives.
    pub fn finish(&mut self, peer: PeerId) {
        self.peers[peer.0].far.finish();
        self.note_end(peer);
    }

    /// A peer is gone, and what was on its way in either direction with it.
    pub fn reset(&mut self, peer: PeerId) {
        self.peers[peer.0].far.reset();
        let lost = Ready {
            readable: true,
            ended: true,
            lost: true,
            ..Ready::default()
        };
        self.note(peer, lost);
    }

    /// A peer takes up to `most` of the bytes on their way to it.
    pub fn receive(&mut self, peer: PeerId, most: usize) -> Vec<u8> {
        let (bytes, has_room_again) = self.peers[peer.0].receive(most);
        if has_room_again {
            self.note(
                peer,
                Ready {
                    writable: true,
                    ..Ready::default()
                },
            );
        }
        bytes
    }

    fn note_end(&mut self, peer: PeerId) {
        self.note(
            peer,
            Ready {
                readable: true,
                ended: true,
                ..Ready::default()
            },
        );
    }

    fn note(&mut self, peer: PeerId, ready: Ready) {
        self.engine.note(self.peers[peer.0].token, ready);
    }

    /// One turn of the server's loop. No time passes.
    pub fn turn(&mut self) {
        self.engine.begin_turn(self.now);
        self.engine.work();
    }

    /// Turns until nothing is left to do, or the server has ended. No time passes.
    ///
    /// # Panics
    /// If the server never comes to rest.
    pub fn settle(&mut self) {
        for _ in 0..TURNS_MAX {
            let next = self.engine.next_timeout(self.now);
            let is_due = next.is_some_and(|next| next <= self.now);
            if self.has_ended() || !(self.engine.is_busy() || is_due) {
                return;
            }
            self.turn();
        }
        panic!("{TURNS_MAX} turns, and the server has not come to rest");
    }

    /// Lets so many milliseconds pass. The server turns whenever something is due, and comes to rest each time.
    ///
    /// # Panics
    /// As [`Simulation::settle`].
    pub fn advance(&mut self, ms: u64) {
        let until = self.now + ms;
        self.settle();
        while let Some(next) = self.engine.next_timeout(self.now)
            && next <= until
            && !self.has_ended()
        {
            self.now = next;
            self.settle();
        }
        self.now = until;
    }

    /// Tells the server to end, as SIGTERM does.
    pub fn shut_down(&mut self) {
        self.engine.shut_down();
    }

    /// Whether the server has ended: it was told to, and everybody is gone or had time enough.
    pub fn has_ended(&self) -> bool {
        self.engine.has_ended()
    }

    /// The time, in milliseconds since the server began.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Whether the server has a peer's connection.
    pub fn is_open(&self, peer: PeerId) -> bool {
        let token = self.peers[peer.0].token;
        let connection = self.engine.connections.get(super::tokens::index_of(token));
        connection.is_some_and(|connection| connection.token == token)
    }

    /// Whether a peer has received all that it will ever get.
    pub fn is_at_end(&self, peer: PeerId) -> bool {
        self.peers[peer.0].far.is_at_end()
    }

    /// How many of the bytes that a peer sent the server has not read.
    pub fn unread(&self, peer: PeerId) -> usize {
        self.peers[peer.0].far.unread()
    }

    /// Bytes of memory of all input that is half read or waits to be dealt with: what `input_total` bounds.
    pub fn input_bytes(&self) -> usize {
        self.engine.connections.service.ledger.input
    }

    /// Bytes of memory that all outboxes take: what `outbox_total` bounds.
    pub fn outbox_bytes(&self) -> usize {
        self.engine.connections.service.ledger.outbox
    }

    /// Bytes of the log segments that half-sent messages hold: what `held_total` bounds.
    pub fn held_bytes(&self) -> usize {
        self.engine.connections.service.ledger.held.bytes()
    }

    /// The number of the newest message of a channel, 0 if there is none.
    pub fn published<'t>(&self, topic: impl Into<Topic<'t>>) -> u64 {
        let held = self.engine.connections.service.hub.held(topic);
        held.map_or(0, |held| held.end - 1)
    }

    /// Bytes of memory that all logs take: what `retain_total` bounds.
    pub fn log_bytes(&self) -> usize {
        self.engine.connections.service.hub.stats().allocated
    }

    /// Another server goes on with everything, as after SIGUSR2, with this configuration. `change` may do something to what it is told: then it may say
    /// that this makes no sense, and the server stays.
    ///
    /// # Errors
    /// What the other says.
    ///
    /// # Panics
    /// If a connection cannot be handed over.
    #[cfg(test)]
    fn hand_over(
        &mut self,
        mut config: Config,
        mut change: impl FnMut(&mut Vec<u8>),
    ) -> Result<(), crate::snapshot::Damaged> {
        use super::connection::Connection;
        use super::connection::snapshot::{Restoring, Saving};
        use super::connections::Entry;
        use crate::hub::snapshot::{Copied, Restored};
        use crate::snapshot::Reader;
        let old = &self.engine.connections;
        let (mut channels, mut shared, mut copied) = (Vec::new(), Vec::new(), Copied::default());
        while !old.service.hub.copy(&mut copied, usize::MAX, &mut channels) {}
        old.service.hub.conclude_copy(&copied, &mut channels);
        old.save_shared(&mut shared);
        let saving = Saving::new(&old.service.hub);
        let mut records = Vec::new();
        for (_, entry) in &old.slab {
            assert!(entry.connection.save(&saving, &mut records));
        }
        for bytes in [&mut channels, &mut shared, &mut records] {
            change(bytes);
        }

        config.coalesce_ms = 0;
        let mut engine = Engine::new(config, usize::MAX, Pace::new(std::time::Duration::ZERO));
        let new = &mut engine.connections;
        new.service.now = self.now;
        new.service.hub.set_time(self.now);
        let mut restored = Restored::default();
        new.service.hub.restore(&channels, &mut restored)?;
        let generation = new.restore_shared(&mut Reader::new(&shared))?;
        let doors = [Some(0)];
        let mut restoring = Restoring::new(&restored, &doors);
        let mut reader = Reader::new(&records);
        let mut backs = Vec::new();
        while !reader.is_at_end() {
            backs.push(Connection::restore(
                &mut reader,
                &mut restoring,
                &mut new.service,
            )?);
        }
        let places: std::collections::HashSet<_> = (backs.iter())
            .map(|back| super::tokens::index_of(back.connection.token))
            .collect();
        if backs.len() != old.slab.len() || places.len() != backs.len() {
            return Err(crate::snapshot::Damaged("connections are missing"));
        }
        let slab = std::mem::take(&mut self.engine.connections.slab);
        let entries = slab.into_iter().zip(backs).map(|((_, entry), back)| {
            let Entry { transport, .. } = entry;
            let connection = back.connection;
            (
                Entry {
                    transport,
                    connection,
                },
                back.has_listener,
            )
        });
        engine.connections.take_over(entries.collect(), generation);
        self.engine = engine;
        for peer in 0..self.peers.len() {
            // As a poll tells when it is asked for the first time.
            let ready = Ready {
                readable: true,
                writable: true,
                ..Ready::default()
            };
            self.note(PeerId(peer), ready);
        }
        Ok(())
    }
}
