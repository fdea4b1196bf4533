//! Frames on a connection: what they say is carried out, and what cannot be dealt with now is kept.

use super::api::problem;
use super::aside::Unread;
use super::flow::Flow;
use super::phase::Phase;
use super::session::{Outcome, Session};
use super::{Connection, Peer, READ_BYTES_KEPT};
use crate::http::Response;
use crate::server::allowance;
use crate::server::service::{Finished, Service, TICKETS_MAX};
use crate::server::timers::NEVER;
use crate::ws::close::CloseCode;
use crate::ws::encode::write_pong;
use crate::ws::endpoint::Event;
use crate::ws::violation::Violation;

impl Connection {
    /// Deals with the frames in `buffer[start..end]`. What comes after the connection had to be paused, or after the visit
    /// has cost enough, is kept for later.
    pub(super) fn ws_input(
        &mut self,
        service: &mut Service,
        peer: Peer<'_>,
        buffer: &mut [u8],
        start: usize,
        end: usize,
    ) {
        let dealt_with = self.frames(service, peer, buffer, start, end);
        if dealt_with < end {
            let unread = Unread {
                bytes: buffer[dealt_with..end].to_vec(),
                start: 0,
            };
            self.keep_unread(service, unread);
        }
    }

    /// Goes on with frames that were kept.
    pub(super) fn go_on_with_unread(&mut self, service: &mut Service, peer: Peer<'_>) {
        self.flow.remove(Flow::KEPT);
        let Some(mut unread) = self.aside.take_unread() else {
            return;
        };
        let end = unread.bytes.len();
        unread.start = self.frames(service, peer, &mut unread.bytes, unread.start, end);
        if unread.start < end {
            self.keep_unread(service, unread);
        }
    }

    fn keep_unread(&mut self, service: &Service, unread: Unread) {
        self.flow.insert(Flow::KEPT);
        if service.allowance.is_spent() {
            self.flow.insert(Flow::HEAVY);
        }
        self.aside.keep_unread(unread);
    }

    /// Deals with frames, and says how far it came: not to the end if the connection was paused
    /// before it, or if the visit has cost enough.
    fn frames(
        &mut self,
        service: &mut Service,
        peer: Peer<'_>,
        buffer: &mut [u8],
        start: usize,
        end: usize,
    ) -> usize {
        let mut pos = start;
        let outcome = match &self.phase {
            Phase::Open(_) => self.events(service, peer, buffer, &mut pos, end),
            Phase::Closing { .. } => self.await_close(service, buffer, &mut pos, end),
            _ => return end,
        };
        match outcome {
            Ok(outcome) => {
                let too_late = self.time_message(service, outcome.got_message);
                self.conclude(service, peer, outcome);
                if too_late && outcome.peer_closed.is_none() {
                    self.message_timeout(service, peer);
                }
            }
            Err(violation) => self.fail(service, peer, violation),
        }
        match self.phase {
            Phase::Open(_) | Phase::Closing { .. } => pos,
            _ => end,
        }
    }

    /// Notes since when a message has been under way. Says whether it has been for too long although
    /// all of it that may have waited for us has been read by now.
    fn time_message(&mut self, service: &Service, got_message: bool) -> bool {
        let (now, config) = (service.now, &service.config);
        let Phase::Open(open) = &mut self.phase else {
            return false;
        };
        // Whatever it said answers a ping, even one of the same millisecond.
        open.pinged_at = NEVER;
        if !open.endpoint.mid_message() {
            open.message_since = NEVER;
        } else if open.message_since == NEVER || got_message {
            // The message that it is in the middle of now began after the one that ended.
            open.message_since = now;
        } else if config.message_timeout_ms.after(open.message_since) <= now {
            open.late_visits += 1;
            // The message's own bytes twice over: a peer that sends without an end is not waited for without one.
            let max_message = open.speaker.max_message(config);
            return open.late_visits as usize > 2 * (max_message / READ_BYTES_KEPT + 1);
        }
        open.late_visits = 0;
        false
    }

    /// Carries out what the frames from `pos` on say, up to the first that ends the connection or
    /// after which it has to be paused.
    fn events(
        &mut self,
        service: &mut Service,
        peer: Peer<'_>,
        buffer: &mut [u8],
        pos: &mut usize,
        end: usize,
    ) -> Result<Outcome, Violation> {
        let who = self.who(peer);
        let Phase::Open(open) = &mut self.phase else {
            return Ok(Outcome::default());
        };
        let access = &mut self.access;
        let mut session = Session::new(service, who, &mut self.outbox, open.deflate, access);
        let guarded = open.guarded.as_deref_mut();
        session.doings = guarded.and_then(|guarded| guarded.doings.as_mut());
        let max_message = open.speaker.max_message(&session.service.config);
        loop {
            if *pos < end && (session.has_to_wait() || open.speaker.pending() >= TICKETS_MAX) {
                // The message before may have been put together in memory that nobody needs meanwhile.
                open.endpoint.give_back();
                break;
            }
            let before = *pos;
            let Service {
                inflater,
                allowance,
                ..
            } = &mut *session.service;
            let event = (open.endpoint).receive(buffer, pos, end, max_message, inflater);
            allowance.charge(allowance::MESSAGE + *pos - before);
            match event? {
                None => {
                    if *pos < end {
                        allowance.spend();
                    }
                    break;
                }
                Some(Event::Message { text, data }) => {
                    allowance.charge(cost_of(data.len(), *pos - before));
                    session.outcome.got_message = true;
                    session.service.metrics.messages_received += 1;
                    session.count(data.len());
                    open.speaker.message(&mut session, text, data)?;
                }
                Some(Event::Ping(payload)) => {
                    session.count(payload.len());
                    write_pong(session.outbox.private(), payload, None);
                }
                Some(Event::Pong(payload)) => session.count_pong(payload.len()),
                Some(Event::Close(frame)) => {
                    let code = frame.map_or(CloseCode::NO_STATUS, |frame| frame.code);
                    session.outcome.peer_closed = Some(code);
                    break;
                }
            }
        }
        Ok(session.outcome)
    }

    /// Our close is on its way: nothing but the peer's is of interest.
    fn await_close(
        &mut self,
        service: &mut Service,
        buffer: &mut [u8],
        pos: &mut usize,
        end: usize,
    ) -> Result<Outcome, Violation> {
        let mut outcome = Outcome::default();
        let Phase::Closing {
            endpoint,
            max_message,
            ..
        } = &mut self.phase
        else {
            return Ok(outcome);
        };
        let Service {
            inflater,
            allowance,
            ..
        } = service;
        while *pos == end || !allowance.is_spent() {
            let before = *pos;
            let event = endpoint.receive(buffer, pos, end, *max_message, inflater)?;
            allowance.charge(allowance::MESSAGE + *pos - before);
            match event {
                Some(Event::Close(frame)) => {
                    let code = frame.map_or(CloseCode::NO_STATUS, |frame| frame.code);
                    outcome.peer_closed = Some(code);
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
    fn conclude(&mut self, service: &mut Service, peer: Peer<'_>, outcome: Outcome) {
        if let Some(code) = outcome.peer_closed {
            self.answer_close(service, peer, code);
            return;
        }
        if outcome.congested {
            self.pause(service.now, Flow::CONGESTED);
        }
        if let Some((code, reason)) = outcome.barred {
            self.begin_close(service, peer, code, reason);
            return;
        }
        if outcome.identified {
            self.time_access(service);
        }
        // A closing connection gets no more answers, and is read from for the sake of its close.
        let Phase::Open(open) = &self.phase else {
            return;
        };
        if open.speaker.pending() >= TICKETS_MAX {
            self.pause(service.now, Flow::AWAITS);
        }
        if self.outbox.private_bytes() > service.outbox_limit() {
            self.pause(service.now, Flow::OUTBOX_FULL);
            self.outbox.shrink();
        }
    }

    /// Tells the peer the outcome of a request that was pending.
    pub(in crate::server) fn answer(
        &mut self,
        service: &mut Service,
        peer: Peer<'_>,
        finished: Finished,
    ) {
        let who = self.who(peer);
        // The channel may have been caught up with since.
        let is_congested = finished.congested && service.is_congested(self.token);
        if is_congested && matches!(self.phase, Phase::Http(_) | Phase::Open(_)) {
            self.pause(service.now, Flow::CONGESTED);
        }
        if self.answer_in_body(service, &finished) {
            return;
        }
        match &mut self.phase {
            Phase::Http(_) => {
                let response = match &finished.outcome {
                    Ok((epoch, seq)) => Response::published(epoch.as_str(), *seq),
                    Err(refusal) => problem(refusal.why, &refusal.text),
                };
                self.answer_late(service, peer, &response);
            }
            Phase::Open(open) => {
                let access = &mut self.access;
                let mut session =
                    Session::new(service, who, &mut self.outbox, open.deflate, access);
                open.speaker.answer(&mut session, finished);
                if open.speaker.pending() < TICKETS_MAX {
                    self.resume(service.now, Flow::AWAITS);
                }
            }
            // It gets no more answers.
            Phase::Events(_) | Phase::Closing { .. } | Phase::Draining { .. } => {}
        }
    }
}

/// What a message of `len` bytes costs that came as `sent` bytes: more than those where it was compressed.
fn cost_of(len: usize, sent: usize) -> usize {
    match len > sent {
        true => allowance::INFLATE + 2 * len,
        false => len,
    }
}
