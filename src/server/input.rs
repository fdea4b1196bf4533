//! Bytes read become requests and events.

use std::io;
use std::time::Instant;

use super::connection::{Dialect, Phase};
use super::ending::Gone;
use super::journal::Who;
use super::session::{Outcome, Session};
use super::timers::NEVER;
use super::{READ_BYTES, Server, TURN_BUDGET, find, index_of, queue_read, queue_visit, subscriber};
use crate::ws::close::CloseCode;
use crate::ws::encode::write_pong;
use crate::ws::endpoint::{Event, PADDING};
use crate::ws::violation::Violation;

/// The most that a connection is read from in one turn while a channel waits for its sweep: a
/// publisher to it stops in the middle, and what it is not read for has to be kept.
const READ_BYTES_CONGESTED: usize = 4 * 1024;

/// The most that is dealt with in one turn of what a connection sends that may compress its messages:
/// they may be a thousand times as long as they look.
const READ_BYTES_DEFLATED: usize = 4 * 1024;

/// What was read of a connection and not dealt with, because it had to be paused or enough was inflated for one turn.
#[derive(Debug)]
pub(super) struct Unread {
    /// Frames, with padding behind them.
    bytes: Vec<u8>,
    /// How many of the bytes have been dealt with.
    start: usize,
}

/// What who would keep too much of its input waiting is told.
const NO_ROOM: Violation = Violation {
    code: CloseCode::OVERLOAD,
    reason: "too much half-read input at the moment",
};

impl Unread {
    fn new(bytes: &[u8]) -> Unread {
        let mut padded = Vec::with_capacity(bytes.len() + PADDING);
        padded.extend_from_slice(bytes);
        padded.resize(bytes.len() + PADDING, 0);
        Unread {
            bytes: padded,
            start: 0,
        }
    }

    fn end(&self) -> usize {
        self.bytes.len() - PADDING
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}

impl Server {
    /// Reads from those that may have something, each once, as long as the turn's budget lasts.
    pub(super) fn read(&mut self) {
        let began = Instant::now();
        let mut buffer = std::mem::take(&mut self.buffer);
        self.reads.begin_turn();
        for _ in 0..self.reads.len() {
            let Some(token) = self.reads.pop() else {
                break;
            };
            if let Some(connection) = find(&mut self.connections, token) {
                connection.in_reads = false;
                if !connection.paused.any() {
                    self.read_from(index_of(token), &mut buffer);
                }
            }
            // One read may cost a thousand times what another does.
            if began.elapsed() >= TURN_BUDGET {
                break;
            }
        }
        self.buffer = buffer;
    }

    fn read_from(&mut self, index: usize, buffer: &mut [u8]) {
        let connection = &mut self.connections[index];
        if connection.has_unread {
            self.read_unread(index);
            return;
        }
        if let Phase::Http(http) = &connection.phase
            && http.waiting
        {
            // Requests wait that were not looked at while their answers had no room.
            queue_read(connection, &mut self.reads);
            self.http_input(index, buffer, 0);
            return;
        }
        let quantum = if !self.congested.is_empty() {
            READ_BYTES_CONGESTED
        } else if connection.inflates() {
            READ_BYTES_DEFLATED
        } else {
            READ_BYTES
        };
        match connection.stream.read(&mut buffer[..quantum]) {
            Ok(0) => self.peer_finished(index),
            Ok(read) => {
                connection.heard_of(self.core.now);
                // Less than was asked for means that there is no more (the kernel says so once
                // more when there is), unless a FIN stands behind it.
                if read == quantum || connection.hung_up {
                    queue_read(connection, &mut self.reads);
                }
                match connection.phase {
                    Phase::Http(_) => self.http_input(index, buffer, read),
                    Phase::Open(_) | Phase::Closing { .. } => {
                        self.first_ws_input(index, buffer, 0, read);
                    }
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

    /// Goes on with frames: `buffer[start..end]` came in, with padding readable behind it. What
    /// the connection had to be paused before, or is too much to inflate in one turn, is kept for later.
    pub(super) fn first_ws_input(
        &mut self,
        index: usize,
        buffer: &mut [u8],
        start: usize,
        end: usize,
    ) {
        let read = self.ws_input_of_a_turn(index, buffer, start, end);
        if read < end {
            self.keep_unread(index, Unread::new(&buffer[read..end]));
        }
    }

    /// Goes on with what was read and not dealt with.
    fn read_unread(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        connection.has_unread = false;
        // Its socket was not read to the end.
        queue_read(connection, &mut self.reads);
        let Some(mut unread) = self.unread.remove(&connection.token) else {
            return;
        };
        self.core.input_held -= unread.held_bytes();
        let end = unread.end();
        unread.start = self.ws_input_of_a_turn(index, &mut unread.bytes, unread.start, end);
        if unread.start < end {
            self.keep_unread(index, unread);
        }
    }

    fn keep_unread(&mut self, index: usize, unread: Unread) {
        let connection = &mut self.connections[index];
        self.core.input_held += unread.held_bytes();
        connection.has_unread = true;
        queue_read(connection, &mut self.reads);
        self.unread.insert(connection.token, unread);
        if self.core.input_held > self.core.config.input_total {
            self.fail(index, NO_ROOM);
        }
    }

    /// Deals with frames, as many as may be in one turn, and says how far it came.
    fn ws_input_of_a_turn(
        &mut self,
        index: usize,
        buffer: &mut [u8],
        start: usize,
        end: usize,
    ) -> usize {
        // Behind a handshake more may have been read than is read from then on.
        let stop = match self.connections[index].inflates() {
            true => end.min(start + READ_BYTES_DEFLATED),
            false => end,
        };
        let read = self.ws_input(index, buffer, start, stop);
        match self.connections[index].takes_frames() {
            true => read,
            false => end,
        }
    }

    /// Deals with frames, and says how far it came: not to the end if the connection was paused
    /// before it.
    fn ws_input(&mut self, index: usize, buffer: &mut [u8], start: usize, end: usize) -> usize {
        let connection = &mut self.connections[index];
        let held_before = connection.half_read_bytes();
        let mut pos = start;
        let outcome = match &connection.phase {
            Phase::Open(_) => self.events(index, buffer, &mut pos, end),
            Phase::Closing { .. } => self.await_close(index, buffer, &mut pos, end),
            _ => return end,
        };
        let got_message = outcome.as_ref().is_ok_and(|outcome| outcome.got_message);
        let connection = &mut self.connections[index];
        let held = connection.half_read_bytes();
        self.core.input_held = self.core.input_held - held_before + held;
        if let Phase::Open(open) = &mut connection.phase {
            // Whatever it said answers a ping, even one of the same millisecond.
            open.pinged_at = NEVER;
            open.message_since = match open.endpoint.mid_message() {
                false => NEVER,
                // The message that it is in the middle of now began after the one that ended.
                true if open.message_since == NEVER || got_message => self.core.now,
                true => open.message_since,
            };
        }
        match outcome {
            Ok(outcome) if outcome.peer_closed.is_none() => {
                if held > 0 && self.core.input_held > self.core.config.input_total {
                    self.fail(index, NO_ROOM);
                } else {
                    self.conclude(index, outcome);
                    return pos;
                }
            }
            Ok(outcome) => self.conclude(index, outcome),
            Err(violation) => self.fail(index, violation),
        }
        end
    }

    /// Carries out what the frames from `pos` on say, up to the first that ends the connection or
    /// after which it has to be paused.
    fn events(
        &mut self,
        index: usize,
        buffer: &mut [u8],
        pos: &mut usize,
        end: usize,
    ) -> Result<Outcome, Violation> {
        let connection = &mut self.connections[index];
        let Phase::Open(open) = &mut connection.phase else {
            return Ok(Outcome::default());
        };
        let mut session = Session {
            core: &mut self.core,
            who: Who {
                token: connection.token,
                stream: &connection.stream,
            },
            subscriber: subscriber(index),
            outbox: &mut connection.outbox,
            deflate: open.deflate,
            outcome: Outcome::default(),
        };
        let max_message = session.core.max_message(open.dialect);
        let result = loop {
            if *pos < end && session.has_to_wait() {
                break Ok(());
            }
            let inflater = &mut session.core.inflater;
            match open
                .endpoint
                .receive(buffer, pos, end, max_message, inflater)
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
    fn await_close(
        &mut self,
        index: usize,
        buffer: &mut [u8],
        pos: &mut usize,
        end: usize,
    ) -> Result<Outcome, Violation> {
        let mut outcome = Outcome::default();
        let Phase::Closing {
            endpoint, dialect, ..
        } = &mut self.connections[index].phase
        else {
            return Ok(outcome);
        };
        let max_message = self.core.max_message(*dialect);
        let inflater = &mut self.core.inflater;
        while let Some(event) = endpoint.receive(buffer, pos, end, max_message, inflater)? {
            if let Event::Close(frame) = event {
                outcome.peer_closed = Some(frame.map_or(CloseCode::NO_STATUS, |f| f.code));
                break;
            }
        }
        Ok(outcome)
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
        // Who is closing gets no more answers, and is read from for the sake of its close.
        let open = matches!(connection.phase, Phase::Open(_));
        if open && connection.outbox.private_bytes() > self.core.outbox_limit() {
            connection.paused.outbox = true;
            connection.outbox.shrink();
        }
        if !connection.outbox.is_empty() {
            connection.outbox.count(&mut self.core.outbox_bytes);
            queue_visit(connection, &mut self.visits);
        }
        self.schedule(token);
    }
}
