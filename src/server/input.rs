//! Bytes read become requests and events.

use std::io;
use std::time::{Duration, Instant};

use super::allowance::{self, Allowance};
use super::connection::{Connection, Dialect, Phase};
use super::ending::Gone;
use super::journal::Who;
use super::reads::Standing;
use super::session::{Core, Outcome, Session};
use super::timers::NEVER;
use super::{READ_BYTES, Server, TURN_BUDGET, find, index_of, queue_read, queue_visit, subscriber};
use crate::transport::Read;
use crate::ws::close::CloseCode;
use crate::ws::encode::write_pong;
use crate::ws::endpoint::Event;
use crate::ws::violation::Violation;

/// The most that is read in one visit, in bytes, where much of it may have to be kept: while a channel
/// waits for its sweep, since a publisher to it stops in the middle; of a connection that may compress
/// its messages, which may be a thousand times as long as they look; and while a quarter of
/// `--input-total` is used.
const READ_BYTES_KEPT: usize = 4 * 1024;

/// How long the visit of a heavy connection goes on while others wait. A message is not divided.
const HEAVY_VISIT: Duration = Duration::from_micros(500);

/// The part of what a light visit may cost that it may inflate of one message, in bytes. A longer message waits for a
/// heavy visit.
const INFLATED_LIGHT: usize = 4;

/// What was read of a connection and not dealt with, because it had to be paused or its visit had cost enough.
#[derive(Debug)]
pub(super) struct Unread {
    /// Frames.
    bytes: Vec<u8>,
    /// How many of the bytes have been dealt with.
    start: usize,
}

impl Unread {
    fn new(bytes: &[u8]) -> Unread {
        Unread {
            bytes: bytes.to_vec(),
            start: 0,
        }
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}

impl Server {
    /// Reads from those that may have something, each once, as long as the turn's budget lasts.
    pub(super) fn read(&mut self) {
        let began = Instant::now();
        let mut now = began;
        let mut buffer = std::mem::take(&mut self.buffer);
        self.reads.begin_turn();
        let share = allowance::light_share(self.reads.light_left());
        while let Some((token, standing)) = self.reads.pop(now - began < TURN_BUDGET) {
            if let Some(connection) = find(&mut self.connections, token) {
                connection.in_reads = false;
                if !connection.paused.any() {
                    // Nobody waits for who is alone.
                    let until = match standing {
                        _ if self.reads.is_empty() => Some(began + TURN_BUDGET),
                        Standing::Heavy => Some(now + HEAVY_VISIT),
                        Standing::Light | Standing::Gone => None,
                    };
                    self.visit_input(index_of(token), &mut buffer, share, until);
                }
            }
            let visit_began = std::mem::replace(&mut now, Instant::now());
            if standing == Standing::Heavy {
                let took = now - visit_began;
                self.reads.overdraw(took.saturating_sub(HEAVY_VISIT));
            }
        }
        self.buffer = buffer;
    }

    /// Reads once from a connection and deals with what came: until a certain time, or in a light
    /// visit what costs `share` units.
    fn visit_input(
        &mut self,
        index: usize,
        buffer: &mut [u8],
        share: usize,
        until: Option<Instant>,
    ) {
        let quantum = match until {
            Some(until) => {
                self.core.allowance = Allowance::until(until);
                self.core.inflater.set_at_once(None);
                READ_BYTES
            }
            None => {
                self.core.allowance = Allowance::light(share);
                self.core.inflater.set_at_once(Some(share / INFLATED_LIGHT));
                share.min(READ_BYTES)
            }
        };
        let connection = &mut self.connections[index];
        if until.is_none() && connection.completes_much(quantum) {
            connection.heavy = true;
            queue_read(connection, &mut self.reads);
            return;
        }
        self.read_from(index, buffer, quantum);
        self.judge_hoard(index);
    }

    fn read_from(&mut self, index: usize, buffer: &mut [u8], quantum: usize) {
        let connection = &mut self.connections[index];
        if connection.has_unread {
            self.read_unread(index);
            return;
        }
        if let Phase::Http(http) = &connection.phase
            && http.waiting
        {
            // Requests wait that were not looked at: there was no room for their answers, or no time.
            self.http_input(index, buffer, 0);
            self.read_on(index);
            return;
        }
        let quantum = if !self.congested.is_empty()
            || connection.inflates()
            || self.core.input_held > self.core.config.input_total / 4
        {
            READ_BYTES_KEPT
        } else {
            quantum
        };
        match connection.transport.read(&mut buffer[..quantum]) {
            Ok(Read { len: 0, .. }) => self.peer_finished(index),
            Ok(Read { len: read, more }) => {
                connection.heard_of(self.core.now);
                connection.heavy = read == quantum;
                match connection.phase {
                    Phase::Http(_) => self.http_input(index, buffer, read),
                    Phase::Open(_) | Phase::Closing { .. } => {
                        self.first_ws_input(index, buffer, 0, read);
                    }
                    Phase::Draining { .. } => {}
                }
                // A FIN stands behind what a peer sent last.
                let goes_on =
                    |connection: &Connection| more || connection.heavy || connection.hung_up;
                if self.connections.get(index).is_some_and(goes_on) {
                    self.read_on(index);
                }
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => connection.heavy = false,
                io::ErrorKind::Interrupted => queue_read(connection, &mut self.reads),
                _ => self.remove(index, Gone::Lost),
            },
        }
    }

    /// There may be more to read from it.
    fn read_on(&mut self, index: usize) {
        if let Some(connection) = self.connections.get_mut(index) {
            queue_read(connection, &mut self.reads);
        }
    }

    /// The peer said FIN. A peer that speaks HTTP may still wait for the answers to its requests.
    fn peer_finished(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        match connection.phase {
            Phase::Http(_) if !connection.outbox.is_empty() => self.finish(index),
            Phase::Open(_) => self.remove(index, Gone::Lost),
            Phase::Draining { .. } if !connection.outbox.is_empty() || connection.is_blocked() => {}
            _ => self.remove(index, Gone::Done),
        }
    }

    /// Goes on with frames: `buffer[start..end]` came in. What comes after the connection had to be paused, or after the visit has cost enough, is kept for later.
    pub(super) fn first_ws_input(
        &mut self,
        index: usize,
        buffer: &mut [u8],
        start: usize,
        end: usize,
    ) {
        let read = self.ws_input(index, buffer, start, end);
        if read < end {
            self.keep_unread(index, Unread::new(&buffer[read..end]));
        }
    }

    /// Goes on with what was read and not dealt with.
    fn read_unread(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        connection.has_unread = false;
        if let Some(mut unread) = self.unread.remove(&connection.token) {
            self.core.input_held -= unread.held_bytes();
            let end = unread.bytes.len();
            unread.start = self.ws_input(index, &mut unread.bytes, unread.start, end);
            if unread.start < end {
                self.keep_unread(index, unread);
            }
        }
        // Its socket was not read to the end.
        self.read_on(index);
    }

    fn keep_unread(&mut self, index: usize, unread: Unread) {
        let connection = &mut self.connections[index];
        self.core.input_held += unread.held_bytes();
        connection.has_unread = true;
        connection.heavy |= self.core.allowance.is_spent();
        self.unread.insert(connection.token, unread);
        queue_read(connection, &mut self.reads);
    }

    /// Deals with frames, and says how far it came: not to the end if the connection was paused
    /// before it, or if the visit has cost enough.
    fn ws_input(&mut self, index: usize, buffer: &mut [u8], start: usize, end: usize) -> usize {
        let connection = &mut self.connections[index];
        let held_before = connection.half_read_bytes();
        let mut pos = start;
        let outcome = match &connection.phase {
            Phase::Open(_) => self.events(index, buffer, &mut pos, end),
            Phase::Closing { .. } => self.await_close(index, buffer, &mut pos, end),
            _ => return end,
        };
        let connection = &mut self.connections[index];
        let held = connection.half_read_bytes();
        self.core.input_held = self.core.input_held - held_before + held;
        match outcome {
            Ok(outcome) => {
                let too_late = self.time_message(index, outcome.got_message);
                self.conclude(index, outcome);
                if too_late && outcome.peer_closed.is_none() {
                    self.message_timeout(index);
                }
            }
            Err(violation) => self.fail(index, violation),
        }
        match self.connections[index].takes_frames() {
            true => pos,
            false => end,
        }
    }

    /// Notes since when a message has been under way. Says whether it has been for too long although
    /// all of it that may have waited for us has been read by now.
    fn time_message(&mut self, index: usize, got_message: bool) -> bool {
        let (now, config) = (self.core.now, &self.core.config);
        let Phase::Open(open) = &mut self.connections[index].phase else {
            return false;
        };
        // Whatever it said answers a ping, even one of the same millisecond.
        open.pinged_at = NEVER;
        if !open.endpoint.mid_message() {
            open.message_since = NEVER;
        } else if open.message_since == NEVER || got_message {
            // The message that it is in the middle of now began after the one that ended.
            open.message_since = now;
        } else if open.message_since + config.message_timeout_ms <= now {
            open.late_visits += 1;
            // The message's own bytes twice over: a peer that sends without an end is not waited for without one.
            let max_message = self.core.max_message(open.dialect);
            return open.late_visits > 2 * (max_message / READ_BYTES_KEPT + 1);
        }
        open.late_visits = 0;
        false
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
                transport: &connection.transport,
            },
            subscriber: subscriber(index),
            outbox: &mut connection.outbox,
            deflate: open.deflate,
            outcome: Outcome::default(),
        };
        let max_message = session.core.max_message(open.dialect);
        let result = loop {
            if *pos < end && session.has_to_wait() {
                // The message before may have been put together in memory that nobody needs meanwhile.
                open.endpoint.give_back();
                break Ok(());
            }
            let before = *pos;
            let Core {
                inflater,
                allowance,
                ..
            } = &mut *session.core;
            let event = open
                .endpoint
                .receive(buffer, pos, end, max_message, inflater);
            allowance.charge(allowance::MESSAGE + *pos - before);
            match event {
                Ok(None) => {
                    if *pos < end {
                        allowance.spend();
                    }
                    break Ok(());
                }
                Err(violation) => break Err(violation),
                Ok(Some(Event::Message { text, data })) => {
                    allowance.charge(cost_of(data.len(), *pos - before));
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
                        Dialect::Echo => session.echo(text, data),
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
        let Core {
            inflater,
            allowance,
            ..
        } = &mut self.core;
        while *pos == end || !allowance.is_spent() {
            let before = *pos;
            let event = endpoint.receive(buffer, pos, end, max_message, inflater)?;
            allowance.charge(allowance::MESSAGE + *pos - before);
            match event {
                Some(Event::Close(frame)) => {
                    outcome.peer_closed = Some(frame.map_or(CloseCode::NO_STATUS, |f| f.code));
                    return Ok(outcome);
                }
                Some(Event::Message { data, .. }) => {
                    allowance.charge(cost_of(data.len(), *pos - before));
                }
                Some(Event::Ping(_) | Event::Pong(_)) => {}
                None => {
                    if *pos < end {
                        allowance.spend();
                    }
                    return Ok(outcome);
                }
            }
        }
        endpoint.give_back();
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
            connection.pause(self.core.now, |paused| paused.congestion = true);
            self.congested.push((channel, token));
        }
        // A closing connection gets no more answers, and is read from for the sake of its close.
        let open = matches!(connection.phase, Phase::Open(_));
        if open && connection.outbox.private_bytes() > self.core.outbox_limit() {
            connection.pause(self.core.now, |paused| paused.outbox = true);
            connection.outbox.shrink();
        }
        if !connection.outbox.is_empty() {
            connection.outbox.count(&mut self.core.outbox_bytes);
            queue_visit(connection, &mut self.visits);
        }
        self.schedule(token);
    }
}

/// What a message of `len` bytes costs that came as `sent` bytes: more than those where it was compressed.
fn cost_of(len: usize, sent: usize) -> usize {
    match len > sent {
        true => allowance::INFLATE + 2 * len,
        false => len,
    }
}
