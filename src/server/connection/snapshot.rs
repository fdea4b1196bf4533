//! A connection as bytes, for the process that goes on with its socket, and back.
//!
//! Times are those of the process that wrote them: the other has the same clock. What a connection waits for in this process alone is not written: the request that
//! waits is read again from its first byte, as after any wait. What its peer may do is decided anew.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use mio::Token;
use zeroize::Zeroizing;

use super::Connection;
use super::admission::Reader as Page;
use super::aside::Unread;
use super::body::Body;
use super::flow::Flow;
use super::phase::{Events, HttpState, Open, Phase};
use super::seat::Seat;
use super::speaker::Speaker;
use crate::auth::snapshot as identities;
use crate::hub::snapshot::Restored;
use crate::hub::{ChannelId, Hub, Remainder};
use crate::server::encoders::EVENTS;
use crate::server::gate::{Access, Gate};
use crate::server::rates::Doings;
use crate::server::service::Service;
use crate::server::timers::Millis;
use crate::server::tokens::index_of;
use crate::snapshot::{Damaged, Reader, put, put_bool, put_bytes, put_len, put_option};
use crate::ws::deflate::WindowBits;
use crate::ws::endpoint::Endpoint;

/// No connection has a place beyond this: there are fewer open files.
const PLACES_MAX: usize = 1 << 22;

/// What connections have in common that are written one after the other.
pub(in crate::server) struct Saving<'h> {
    hub: &'h Hub,
    /// The segments that half-sent messages hold, by their addresses: each is written once.
    segments: RefCell<HashMap<*const Vec<u8>, u64>>,
}

impl<'h> Saving<'h> {
    pub(in crate::server) fn new(hub: &'h Hub) -> Self {
        Saving {
            hub,
            segments: RefCell::default(),
        }
    }

    pub(super) fn save_access(&self, access: &Access, out: &mut Vec<u8>) {
        put_len(out, access.door);
        identities::save(access.identity.as_ref(), out);
    }

    pub(super) fn save_channel(&self, channel: ChannelId, out: &mut Vec<u8>) {
        put_option(out, self.hub.place_of(channel).map(u64::from));
    }

    /// Appends what is left of a message that half of was sent, and what comes behind it.
    fn save_outbox(&self, connection: &Connection, out: &mut Vec<u8>) {
        let [rest, private] = connection.outbox.slices();
        match connection.outbox.held() {
            None => {
                out.push(0);
                put_bytes(out, rest);
            }
            Some(segment) => {
                out.push(1);
                let mut segments = self.segments.borrow_mut();
                let count = segments.len() as u64;
                let number = *segments.entry(Rc::as_ptr(segment)).or_insert(count);
                put(out, number);
                if number == count {
                    put_bytes(out, segment);
                }
                put_len(out, rest.len());
            }
        }
        put_bytes(out, private);
    }
}

/// What connections have in common that are read one after the other.
pub(in crate::server) struct Restoring<'r> {
    pub(in crate::server) channels: &'r Restored,
    /// Which listener is now the one that had a place before; `None`: it is gone.
    pub(in crate::server) doors: &'r [Option<usize>],
    segments: Vec<Rc<Vec<u8>>>,
    /// Of those who have not shown who they are, by listener.
    strangers: Vec<Option<Rc<Access>>>,
}

impl<'r> Restoring<'r> {
    pub(in crate::server) fn new(channels: &'r Restored, doors: &'r [Option<usize>]) -> Self {
        Restoring {
            channels,
            doors,
            segments: Vec::new(),
            strangers: vec![None; doors.len()],
        }
    }

    /// An access that is decided anew before anything is done for whoever has it, and whether its listener is still there.
    fn access(
        &mut self,
        gate: &Gate,
        reader: &mut Reader<'_>,
    ) -> Result<(Rc<Access>, bool), Damaged> {
        let place = reader.size()?;
        let door = self.doors.get(place);
        let door = *door.ok_or(Damaged("a connection came by no listener that there is"))?;
        let now = door.unwrap_or_default();
        let access = match (identities::restore(reader)?, self.strangers.get_mut(place)) {
            (None, Some(stranger)) => {
                Rc::clone(stranger.get_or_insert_with(|| gate.as_before(now, None)))
            }
            (identity, _) => gate.as_before(now, identity),
        };
        Ok((access, door.is_some()))
    }

    /// What [`Saving::save_access`] has written.
    pub(super) fn access_of_body(
        &mut self,
        gate: &Gate,
        reader: &mut Reader<'_>,
    ) -> Result<Rc<Access>, Damaged> {
        self.access(gate, reader).map(|(access, _)| access)
    }

    /// What [`Saving::save_channel`] has written.
    pub(super) fn channel(&self, reader: &mut Reader<'_>) -> Result<ChannelId, Damaged> {
        let Some(place) = reader.option()? else {
            return Ok(ChannelId::NONE);
        };
        let place = u32::try_from(place).ok();
        let channel = place.and_then(|place| self.channels.find(place));
        channel.ok_or(Damaged("a body is of a channel that is not there"))
    }

    fn rest(&mut self, reader: &mut Reader<'_>) -> Result<Option<Remainder>, Damaged> {
        match reader.byte()? {
            0 => {
                let rest = reader.bytes()?;
                Ok((!rest.is_empty()).then(|| Remainder::Copied(rest.to_vec())))
            }
            1 => {
                let number = reader.size()?;
                if number == self.segments.len() {
                    self.segments.push(Rc::new(reader.bytes()?.to_vec()));
                }
                let segment = self.segments.get(number);
                let segment = Rc::clone(segment.ok_or(NO_SEGMENT)?);
                let left = reader.size()?;
                let start = segment.len().checked_sub(left).ok_or(NO_SEGMENT)?;
                let range = start..segment.len();
                Ok((left > 0).then_some(Remainder::Held { segment, range }))
            }
            _ => Err(Damaged("the rest of a message is of no kind that there is")),
        }
    }
}

const NO_SEGMENT: Damaged = Damaged("a half-sent message is not there");

/// A connection that was read.
pub(in crate::server) struct Back {
    pub(in crate::server) connection: Connection,
    /// Whether the listener by which it came is still one of the configuration's.
    pub(in crate::server) has_listener: bool,
}

impl Connection {
    /// Appends all of it but its socket. `false`: it is one that cannot be written, and nothing was appended.
    pub(in crate::server) fn save(&self, saving: &Saving<'_>, out: &mut Vec<u8>) -> bool {
        let speaker = match &self.phase {
            Phase::Open(open) => open.speaker.number(),
            Phase::Http(http) if http.body.as_ref().is_some_and(|body| !body.can_be_saved()) => {
                None
            }
            // The answer that it waits for is not there, and the request is gone.
            Phase::Http(http) if http.keep_alive_after_answer.is_some() => None,
            _ => Some(0),
        };
        let Some(speaker) = speaker else {
            return false;
        };
        put_len(out, self.token.0);
        out.push(match self.seat {
            Seat::Regular => 0,
            Seat::Reserve => 1,
            Seat::Lobby => 2,
        });
        saving.save_access(&self.access, out);
        for flag in SAVED_FLAGS {
            put_bool(out, self.flow.contains(flag));
        }
        put(out, self.silent_since);
        put(out, self.since);
        put(out, self.aside.paused_since());
        put_bytes(out, self.aside.unread());
        saving.save_outbox(self, out);
        match &self.phase {
            Phase::Http(http) => {
                out.push(0);
                http.save(saving, out);
            }
            Phase::Open(open) => {
                out.push(1);
                out.push(speaker);
                open.save(out);
                saving.hub.save_subscriptions(self.subscriber(), out);
            }
            Phase::Events(events) => {
                out.push(2);
                put(out, events.comment_at);
                put(out, events.auth_until);
                saving.hub.save_subscriptions(self.subscriber(), out);
            }
            Phase::Closing {
                endpoint,
                max_message,
                until,
            } => {
                out.push(3);
                endpoint.save(out);
                put_len(out, *max_message);
                put(out, *until);
            }
            Phase::Draining { until, fin_sent } => {
                out.push(4);
                put(out, *until);
                put_bool(out, *fin_sent);
            }
        }
        true
    }

    /// A connection that was saved. The hub knows it from now on. It stands in no queue, and no sum has it: the caller touches it.
    ///
    /// # Errors
    /// The bytes are not those of a connection.
    pub(in crate::server) fn restore(
        reader: &mut Reader<'_>,
        restoring: &mut Restoring<'_>,
        service: &mut Service,
    ) -> Result<Back, Damaged> {
        let token = Token(reader.size()?);
        if index_of(token) > PLACES_MAX {
            return Err(Damaged("a connection has a place beyond all others"));
        }
        let seat = match reader.byte()? {
            0 => Seat::Regular,
            1 => Seat::Reserve,
            2 => Seat::Lobby,
            _ => return Err(Damaged("a connection has a seat that there is not")),
        };
        let (access, has_listener) = restoring.access(&service.gate, reader)?;
        let mut connection = Connection::new(token, seat, access, service.now, 0);
        for flag in SAVED_FLAGS {
            connection.flow.set(flag, reader.bool()?);
        }
        connection.silent_since = reader.number()?.min(service.now);
        connection.since = reader.number()?.min(service.now);
        let paused_since = reader.number()?;
        let unread = reader.bytes()?;
        if !unread.is_empty() {
            connection.aside.keep_unread(Unread {
                bytes: unread.to_vec(),
                start: 0,
            });
        }
        let rest = restoring.rest(reader)?;
        let private = reader.bytes()?;
        connection.phase = connection.restore_phase(reader, restoring, service)?;
        if let Some(rest) = rest {
            connection.outbox.set_rest(rest);
            if let Some(segment) = connection.outbox.held() {
                service.ledger.held.hold(segment);
            }
        }
        if !private.is_empty() {
            connection.outbox.private().extend_from_slice(private);
        }
        connection.go_on_waiting(paused_since);
        Ok(Back {
            connection,
            has_listener,
        })
    }

    fn restore_phase(
        &self,
        reader: &mut Reader<'_>,
        restoring: &mut Restoring<'_>,
        service: &mut Service,
    ) -> Result<Phase, Damaged> {
        let id = self.subscriber();
        Ok(match reader.byte()? {
            0 => {
                let http = HttpState::restore(reader, restoring, &service.gate)?;
                Phase::Http(Box::new(http))
            }
            1 => {
                let speaker = Speaker::of_number(reader.byte()?);
                let speaker = speaker.ok_or(Damaged("a dialect is none that there is"))?;
                let open = Open::restore(speaker, reader)?;
                let slot = open.speaker.slot(open.deflate);
                let channels = restoring.channels;
                (service.hub).restore_subscriptions(id, slot, reader, channels)?;
                Phase::Open(open)
            }
            2 => {
                let events = Events {
                    comment_at: reader.number()?,
                    auth_until: reader.number()?,
                };
                let channels = restoring.channels;
                (service.hub).restore_subscriptions(id, EVENTS, reader, channels)?;
                Phase::Events(events)
            }
            3 => Phase::Closing {
                endpoint: Endpoint::restore(reader)?,
                max_message: reader.size()?,
                until: reader.number()?,
            },
            4 => Phase::Draining {
                until: reader.number()?,
                fin_sent: reader.bool()?,
            },
            _ => return Err(Damaged("a connection is in no phase that there is")),
        })
    }

    /// Waits only for what there is still to wait for.
    fn go_on_waiting(&mut self, paused_since: Millis) {
        if self.outbox.is_empty() {
            self.flow.remove(Flow::OUTBOX_FULL);
        }
        if !self.flow.may_read() {
            self.aside.set_paused_since(paused_since);
        }
        let is_kept = match &self.phase {
            // Its check, or the keys that it waited for, were those of the other process.
            Phase::Http(http) => self.flow.contains(Flow::KEPT) || http.body.is_some(),
            Phase::Open(_) | Phase::Closing { .. } => !self.aside.unread().is_empty(),
            Phase::Events(_) | Phase::Draining { .. } => false,
        };
        self.flow.set(Flow::KEPT, is_kept);
    }
}

/// What is written of a connection's flow. All else is found out anew: the poll says what can be read and written.
const SAVED_FLAGS: [Flow; 3] = [Flow::KEPT, Flow::OUTBOX_FULL, Flow::BACKLOG];

impl HttpState {
    fn save(&self, saving: &Saving<'_>, out: &mut Vec<u8>) {
        put_bytes(out, &self.bytes);
        put(out, self.deadline);
        put(out, self.since);
        put_bool(out, self.begun);
        put_bool(out, self.body_begun);
        put_bool(out, self.is_counted);
        put_bool(out, self.body.is_some());
        if let Some(body) = &self.body {
            body.save(saving, out);
        }
        put_bool(out, self.reader.is_some());
        if let Some(page) = &self.reader {
            let (origin, asks) = page.parts();
            put_bytes(out, origin.as_bytes());
            put_bool(out, asks);
        }
    }

    /// The parser begins anew with the bytes that were kept, and comes to the same end.
    fn restore(
        reader: &mut Reader<'_>,
        restoring: &mut Restoring<'_>,
        gate: &Gate,
    ) -> Result<Self, Damaged> {
        let bytes = Zeroizing::new(reader.bytes()?.to_vec());
        let deadline = reader.number()?;
        Ok(HttpState {
            bytes,
            since: reader.number()?,
            begun: reader.bool()?,
            body_begun: reader.bool()?,
            is_counted: reader.bool()?,
            body: match reader.bool()? {
                true => Some(Box::new(Body::restore(reader, restoring, gate)?)),
                false => None,
            },
            reader: match reader.bool()? {
                true => Some(Box::new(Page::new(reader.text()?, reader.bool()?))),
                false => None,
            },
            ..HttpState::new(deadline)
        })
    }
}

impl Open {
    fn save(&self, out: &mut Vec<u8>) {
        self.endpoint.save(out);
        put_option(out, self.deflate.map(|window| window.bits().into()));
        put(out, self.pinged_at);
        put(out, self.message_since);
        put(out, self.auth_until());
        let doings = self.guarded.as_ref();
        let doings = doings.and_then(|guarded| guarded.doings.as_ref());
        put_bool(out, doings.is_some());
        if let Some(doings) = doings {
            doings.save(out);
        }
    }

    fn restore(speaker: Speaker, reader: &mut Reader<'_>) -> Result<Self, Damaged> {
        let endpoint = Endpoint::restore(reader)?;
        let deflate = match reader.option()? {
            None => None,
            Some(bits) => {
                let window = u8::try_from(bits).ok().and_then(WindowBits::new);
                Some(window.ok_or(Damaged("a window is none"))?)
            }
        };
        let mut open = Open::new(endpoint, speaker, deflate);
        open.pinged_at = reader.number()?;
        open.message_since = reader.number()?;
        open.set_auth_until(reader.number()?);
        if reader.bool()? {
            open.count(Doings::restore(reader)?);
        }
        Ok(open)
    }
}
