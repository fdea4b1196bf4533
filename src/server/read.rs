//! Bytes are read and given to their connections, in the order of [`Reads`](super::reads::Reads).

use std::io;
use std::time::{Duration, Instant};

use super::TURN_BUDGET;
use super::allowance::{self, Allowance};
use super::connection::ends::Gone;
use super::connection::flow::Flow;
use super::connection::phase::Phase;
use super::connection::{Connection, READ_BYTES_KEPT};
use super::connections::{Connections, Entry};
use super::journal::Shown;
use super::reads::Standing;
use super::service::Service;
use super::tokens::index_of;
use crate::transport::{Read, Transport};

/// Size of the loop's one read buffer, in bytes: the most that one connection is read from in one turn.
const READ_BYTES: usize = 64 * 1024;

/// How long the visit of a heavy connection goes on while others wait. A message is not divided.
const HEAVY_VISIT: Duration = Duration::from_micros(500);

/// The part of what a light visit may cost that it may inflate of one message, in bytes. A longer message waits for a
/// heavy visit.
const INFLATED_LIGHT: usize = 4;

/// Reads for all connections, with one buffer.
pub(super) struct Reader {
    buffer: Vec<u8>,
}

impl Reader {
    pub(super) fn new() -> Self {
        Reader {
            buffer: vec![0; READ_BYTES],
        }
    }

    /// Reads from those that may have something, each once, as long as the turn's budget lasts. Says how long it took.
    pub(super) fn read(&mut self, connections: &mut Connections) -> Duration {
        let began = Instant::now();
        let mut now = began;
        connections.work.reads.begin_turn();
        let share = allowance::light_share(connections.work.reads.light_left());
        while let Some((token, standing)) = connections.work.reads.pop(now - began < TURN_BUDGET) {
            let is_alone = connections.work.reads.is_empty();
            if let Some(connection) = connections.find(token) {
                connection.flow.remove(Flow::IN_READS);
                if connection.flow.may_read() {
                    // Nobody waits for a connection that is alone.
                    let until = match standing {
                        _ if is_alone => Some(began + TURN_BUDGET),
                        Standing::Heavy => Some(now + HEAVY_VISIT),
                        Standing::Light | Standing::Handshake | Standing::Gone => None,
                    };
                    self.visit(connections, index_of(token), share, until);
                }
            }
            let visit_began = std::mem::replace(&mut now, Instant::now());
            let (reads, took) = (&mut connections.work.reads, now - visit_began);
            match standing {
                Standing::Heavy => reads.overdraw(took.saturating_sub(HEAVY_VISIT)),
                Standing::Handshake => reads.charge_handshake(took),
                Standing::Light | Standing::Gone => {}
            }
        }
        now - began
    }

    /// Reads once from a connection and deals with what came: until a certain time, or in a light
    /// visit what costs `share` units.
    fn visit(
        &mut self,
        connections: &mut Connections,
        index: usize,
        share: usize,
        until: Option<Instant>,
    ) {
        let service = &mut connections.service;
        let quantum = match until {
            Some(until) => {
                service.allowance = Allowance::until(until);
                service.inflater.set_at_once(None);
                READ_BYTES
            }
            None => {
                service.allowance = Allowance::light(share);
                service.inflater.set_at_once(Some(share / INFLATED_LIGHT));
                share.min(READ_BYTES)
            }
        };
        let connection = &mut connections.slab[index].connection;
        if until.is_none() && connection.completes_much(quantum) {
            connection.flow.insert(Flow::HEAVY);
            return connections.touch(index);
        }
        match self.read_from(connections, index, quantum) {
            Some(gone) => connections.remove(index, gone),
            None => connections.touch(index),
        }
        connections.judge_hoards();
    }

    /// Reads once from a connection, or goes on with what was read before.
    fn read_from(
        &mut self,
        connections: &mut Connections,
        index: usize,
        quantum: usize,
    ) -> Option<Gone> {
        let Connections {
            slab,
            service,
            seats,
            handshakes,
            ..
        } = connections;
        let Entry {
            transport,
            connection,
        } = &mut slab[index];
        if service.has_successor
            && !matches!(
                connection.phase,
                Phase::Closing { .. } | Phase::Draining { .. }
            )
        {
            // What it asks for would be done where nobody goes on with it. It is about to be closed, and comes back.
            connection.flow.remove(Flow::READABLE | Flow::KEPT);
            return None;
        }
        if let Phase::Http(_) = connection.phase {
            seats.promote(connection);
        }
        if connection.flow.contains(Flow::KEPT) {
            connection.go_on(service, transport);
            if !connection.flow.intersects(Flow::KEPT | Flow::READABLE) {
                connection.flow.remove(Flow::HEAVY);
            }
            return None;
        }
        let may_be_kept = !service.congested.is_empty()
            || connection.inflates()
            || !(service.config.input_total).admits_size(4 * service.ledger.input);
        let quantum = match may_be_kept {
            true => READ_BYTES_KEPT,
            false => quantum,
        };
        if connection.flow.contains(Flow::HUNG_UP) && transport.awaits_hello() {
            // It costs much to shake hands, and nobody is there.
            return Some(Gone::Done);
        }
        let result = transport.read(&mut self.buffer[..quantum]);
        if connection.flow.contains(Flow::HANDSHAKES) && !transport.is_handshaking() {
            connection.flow.remove(Flow::HANDSHAKES);
            handshakes.end(connection.token);
            if !service.gate.still_certifies(&*transport) {
                let what = format_args!("ended: its certificate was revoked while it shook hands");
                service.note(connection.who(transport), what);
                service.metrics.tls_failed();
                return Some(Gone::Done);
            }
            let name = transport.peer_identity();
            note_handshake(service, connection, transport, name.as_deref());
            if let Some(name) = name {
                connection.be_certified(service, name);
            }
        }
        if transport.holds() && connection.flow.may_write() {
            // What the transport had to say itself is not out.
            connection.block(service);
        }
        match result {
            Ok(Read { len: 0, .. }) => return connection.peer_finished(service),
            Ok(Read { len: read, more }) => {
                let is_heavy = read == quantum;
                service.metrics.bytes_received += read as u64;
                // A FIN stands behind what a peer sent last.
                let goes_on = more || is_heavy || connection.flow.contains(Flow::HUNG_UP);
                connection.flow.set(Flow::HEAVY, is_heavy);
                connection.flow.set(Flow::READABLE, goes_on);
                connection.receive(service, transport, &mut self.buffer, read);
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => {
                    connection.flow.remove(Flow::HEAVY | Flow::READABLE);
                }
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::InvalidData => {
                    let what = format_args!("ended: {error}");
                    service.note(connection.who(transport), what);
                    // A header of a proxy that makes no sense comes before the first byte of TLS, and is no handshake.
                    if connection.flow.contains(Flow::HANDSHAKES) && !transport.awaits_hello() {
                        service.metrics.tls_failed();
                    }
                    return Some(Gone::Lost);
                }
                _ => return Some(Gone::Lost),
            },
        }
        None
    }
}

/// Says in the log that a handshake is over, and by which certificate.
fn note_handshake(
    service: &mut Service,
    connection: &Connection,
    transport: &Transport,
    name: Option<&str>,
) {
    let who = connection.who(transport);
    match name {
        Some(name) => {
            let name = Shown(name.as_bytes());
            let what = format_args!("shook hands, with the certificate of {name}");
            service.note(who, what);
        }
        None => service.note(who, format_args!("shook hands")),
    }
}
