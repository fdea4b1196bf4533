//! Bytes read become requests and events.

use std::io;
use std::time::Instant;

use super::connection::{Dialect, Phase};
use super::ending::Gone;
use super::session::{Outcome, Session};
use super::timers::NEVER;
use super::{READ_BYTES, Server, TURN_BUDGET, find, index_of, queue_read, queue_visit, subscriber};
use crate::ws::close::CloseCode;
use crate::ws::encode::write_pong;
use crate::ws::endpoint::Event;
use crate::ws::violation::Violation;

/// The most that a connection is read from in one turn while a channel waits for its sweep: what
/// was read goes into a log that has no room left.
const READ_BYTES_CONGESTED: usize = 4 * 1024;

impl Server {
    /// Reads from those that may have something, each once, as long as the turn's budget lasts.
    pub(super) fn read(&mut self) {
        let began = Instant::now();
        let mut buffer = std::mem::take(&mut self.buffer);
        for turn in 0..self.reads.len() {
            let Some(token) = self.reads.pop() else {
                break;
            };
            if let Some(connection) = find(&mut self.connections, token) {
                connection.in_reads = false;
                if !connection.paused.any() {
                    self.read_from(index_of(token), &mut buffer);
                }
            }
            if turn % 8 == 7 && began.elapsed() >= TURN_BUDGET {
                break;
            }
        }
        self.buffer = buffer;
    }

    fn read_from(&mut self, index: usize, buffer: &mut [u8]) {
        let connection = &mut self.connections[index];
        if let Phase::Http(http) = &connection.phase
            && http.waiting
        {
            // Requests wait that were not looked at while their answers had no room.
            queue_read(connection, &mut self.reads);
            self.http_input(index, buffer, 0);
            return;
        }
        let quantum = if self.congested.is_empty() {
            READ_BYTES
        } else {
            READ_BYTES_CONGESTED
        };
        match connection.stream.read(&mut buffer[..quantum]) {
            Ok(0) => self.peer_finished(index),
            Ok(read) => {
                connection.last_sign = self.core.now;
                // Less than was asked for means that there is no more (the kernel says so once
                // more when there is), unless a FIN stands behind it.
                if read == quantum || connection.hung_up {
                    queue_read(connection, &mut self.reads);
                }
                match connection.phase {
                    Phase::Http(_) => self.http_input(index, buffer, read),
                    Phase::Open(_) | Phase::Closing { .. } => self.ws_input(index, buffer, 0, read),
                    Phase::Draining { .. } => {}
                }
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => {}
                io::ErrorKind::Interrupted => queue_read(connection, &mut self.reads),
                _ => self.remove(index, Gone::Lost),
            },
        }
    }

    /// The peer said FIN. Who speaks HTTP may still wait for the answers to what it asked.
    fn peer_finished(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        match connection.phase {
            Phase::Http(_) if !connection.outbox.is_empty() => self.finish(index),
            Phase::Open(_) => self.remove(index, Gone::Lost),
            Phase::Draining { .. } if !connection.outbox.is_empty() => {}
            _ => self.remove(index, Gone::Done),
        }
    }

    /// Goes on with frames: `buffer[start..end]` came in, with padding readable behind it.
    pub(super) fn ws_input(&mut self, index: usize, buffer: &mut [u8], start: usize, end: usize) {
        let connection = &mut self.connections[index];
        let (held_before, open) = match &connection.phase {
            Phase::Open(open) => (open.endpoint.held_bytes(), true),
            Phase::Closing { .. } => (0, false),
            _ => return,
        };
        if !open {
            self.await_close(index, buffer, start, end);
            return;
        }
        let outcome = self.events(index, buffer, start, end);
        let got_message = outcome.as_ref().is_ok_and(|outcome| outcome.got_message);
        let connection = &mut self.connections[index];
        if let Phase::Open(open) = &mut connection.phase {
            // Whatever it said answers a ping, even one of the same millisecond.
            open.pinged_at = NEVER;
            let held = open.endpoint.held_bytes();
            self.core.input_held = self.core.input_held - held_before + held;
            open.message_since = match open.endpoint.mid_message() {
                false => NEVER,
                // The message that it is in the middle of now began after the one that ended.
                true if open.message_since == NEVER || got_message => self.core.now,
                true => open.message_since,
            };
            if self.core.input_held > self.core.config.input_total && held > 0 {
                self.begin_close(index, CloseCode::OVERLOAD, "too many half-read messages");
                return;
            }
        }
        match outcome {
            Ok(outcome) => self.conclude(index, outcome),
            Err(violation) => self.fail(index, violation),
        }
    }

    /// Carries out what the frames say, up to the first that ends the connection.
    fn events(
        &mut self,
        index: usize,
        buffer: &mut [u8],
        start: usize,
        end: usize,
    ) -> Result<Outcome, Violation> {
        let connection = &mut self.connections[index];
        let Phase::Open(open) = &mut connection.phase else {
            return Ok(Outcome::default());
        };
        let mut session = Session {
            core: &mut self.core,
            subscriber: subscriber(index),
            outbox: &mut connection.outbox,
            deflate: open.deflate,
            outcome: Outcome::default(),
        };
        let mut pos = start;
        let max_message = session.core.max_message(open.dialect);
        let result = loop {
            let inflater = &mut session.core.inflater;
            match open
                .endpoint
                .receive(buffer, &mut pos, end, max_message, inflater)
            {
                Ok(None) => break Ok(()),
                Err(violation) => break Err(violation),
                Ok(Some(Event::Message { text, data })) => {
                    session.outcome.got_message = true;
                    match open.dialect {
                        Dialect::Json if !text => {
                            break Err(Violation {
                                code: CloseCode::UNSUPPORTED,
                                reason: "json.fanfare.v1 has text messages only",
                            });
                        }
                        Dialect::Json => {
                            if let Err(violation) = session.request(data) {
                                break Err(violation);
                            }
                        }
                        Dialect::Echo => session.echo(text, data.as_slice()),
                    }
                }
                Ok(Some(Event::Ping(payload))) => {
                    write_pong(session.outbox.private(), payload, None);
                }
                Ok(Some(Event::Pong(_))) => {}
                Ok(Some(Event::Close(frame))) => {
                    session.outcome.peer_closed =
                        Some(frame.map_or(CloseCode::NO_STATUS, |f| f.code));
                    break Ok(());
                }
            }
        };
        let outcome = session.outcome;
        result.map(|()| outcome)
    }

    /// Our close is on its way: nothing but the peer's is of interest.
    fn await_close(&mut self, index: usize, buffer: &mut [u8], start: usize, end: usize) {
        let connection = &mut self.connections[index];
        let Phase::Closing { endpoint, .. } = &mut connection.phase else {
            return;
        };
        let max_message = self.core.config.max_message;
        let mut pos = start;
        loop {
            match endpoint.receive(buffer, &mut pos, end, max_message, &mut self.core.inflater) {
                Ok(None) => return,
                Ok(Some(Event::Close(_))) | Err(_) => break,
                Ok(Some(_)) => {}
            }
        }
        self.finish(index);
    }

    /// Draws the consequences of what a connection's input led to.
    fn conclude(&mut self, index: usize, outcome: Outcome) {
        let connection = &mut self.connections[index];
        let token = connection.token;
        if let Some(code) = outcome.peer_closed {
            self.answer_close(index, code);
            return;
        }
        if let Some(channel) = outcome.congested {
            connection.paused.congestion = true;
            self.congested.push((channel, token));
        }
        if connection.outbox.private_bytes() > self.core.config.outbox {
            connection.paused.outbox = true;
        }
        if !connection.outbox.is_empty() {
            queue_visit(connection, &mut self.visits);
        }
        self.schedule(token);
    }
}
