//! A connection as a state machine without a socket: bytes, time and answers go in, bytes, requests and one deadline
//! come out.
//!
//! - [`Connection::receive`] takes what was read; [`Connection::go_on`] goes on with what was kept of it, and
//!   [`Connection::answer`] takes the late answer to a request.
//! - The outbox has the bytes for the peer; the hub has those of its channels.
//! - [`Connection::next_deadline`] says when to call [`Connection::handle_deadline`] at the latest.
//! - After any of these the caller calls [`Connection::settle`], and queues the connection as its
//!   [`Flow`](flow::Flow) says. Nothing else has to be done for it.
//!
//! What it asks of channels goes through the door ([`Service`]). What it says is the work of its speaker
//! ([`speaker`]). Deliberately absent: transports, queues, and other connections.

mod administration;
mod admission;
mod api;
mod aside;
mod body;
mod credentials;
mod deadlines;
pub(super) mod ends;
mod events;
pub(super) mod flow;
pub(super) mod http;
mod inside;
mod lists;
mod open;
pub(super) mod phase;
pub(super) mod seat;
pub(super) mod session;
pub(super) mod snapshot;
pub(super) mod speaker;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;

use mio::Token;

use self::aside::Aside;
use self::flow::Flow;
use self::phase::{HttpState, Open, Phase};
use self::seat::Seat;
use self::speaker::Speaker;
use super::gate::Access;
use super::hoards::FREE_BYTES;
use super::journal::Who;
use super::ledger::Charge;
use super::metrics::kind::{Carrier, Counted, Doing};
use super::outbox::Outbox;
use super::reads::Standing;
use super::service::Service;
use super::timers::{Millis, NEVER};
use super::tokens::{index_of, subscriber};
use crate::auth::forwarded::Client;
use crate::auth::identity::Identity;
use crate::hub::SubscriberId;
use crate::transport::Transport;
use crate::transport::tls::terms::Terms;

/// The most that is read in one visit, in bytes, where much of it may have to be kept: while a channel
/// waits for its sweep, since a publisher to it stops in the middle; of a connection that may compress
/// its messages, which may be a thousand times as long as they look; and while a quarter of
/// `--input-total` is used.
pub(super) const READ_BYTES_KEPT: usize = 4 * 1024;

/// The other end of a connection, as far as anybody asks. What is displayed is its name in the log.
pub(super) trait Remote: fmt::Display {
    /// Its address, which a PROXY header may name; `None` if it came by a unix socket, or is gone.
    fn address(&self) -> Option<IpAddr>;

    /// The client by the PROXY header of a trusted proxy; `None`: its connection begins with none.
    fn client_by_proxy(&self) -> Option<Client>;

    /// Whether the certificate that it presented, if it did, is good under these terms.
    fn is_certified_by(&self, terms: &Terms) -> bool;
}

impl Remote for Transport {
    fn address(&self) -> Option<IpAddr> {
        self.peer_address()
    }

    fn client_by_proxy(&self) -> Option<Client> {
        Transport::client_by_proxy(self)
    }

    fn is_certified_by(&self, terms: &Terms) -> bool {
        Transport::is_certified_by(self, terms)
    }
}

/// See [`Remote`].
pub(super) type Peer<'p> = &'p dyn Remote;

/// One connection, but for its transport.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) token: Token,
    pub(super) phase: Phase,
    pub(super) outbox: Outbox,
    /// Since when the peer's silence counts: since its last byte, or since we can hear and ask it again. What it is sent
    /// says nothing: the kernel takes small messages for a peer that has vanished until its buffer is full.
    silent_since: Millis,
    /// Since when the transport has been full, or [`NEVER`] where it can be written to.
    blocked_since: Millis,
    /// The time of this connection's entry in the timers.
    pub(super) wake_at: Millis,
    /// What its input takes of the daemon's memory.
    input: Charge,
    aside: Aside,
    /// What the peer is known as, and what it may do.
    pub(super) access: Rc<Access>,
    pub(super) flow: Flow,
    pub(super) seat: Seat,
    /// When it came.
    pub(super) since: Millis,
    /// What carries it, and in which kind it counts.
    pub(super) carrier: Carrier,
    counted: Counted,
}

impl Connection {
    /// One that was just accepted, at `now`, of a peer with this access, and whose first request has to be whole at `deadline`.
    pub(super) fn new(
        token: Token,
        seat: Seat,
        access: Rc<Access>,
        now: Millis,
        deadline: Millis,
    ) -> Self {
        Connection {
            token,
            phase: Phase::Http(Box::new(HttpState::new(deadline))),
            outbox: Outbox::default(),
            silent_since: now,
            blocked_since: NEVER,
            wake_at: NEVER,
            input: Charge::default(),
            aside: Aside::default(),
            access,
            flow: Flow::default(),
            seat,
            since: now,
            carrier: Carrier::default(),
            counted: Counted::NOT,
        }
    }

    /// The identity of its peer, or the one that the answer under way is for.
    pub(super) fn identity(&self) -> Option<&Identity> {
        let body = match &self.phase {
            Phase::Http(http) => http.body.as_ref(),
            _ => None,
        };
        let asker = body.and_then(|body| body.identity());
        asker.or(self.access.identity.as_ref())
    }

    /// Deals with `buffer[..end]`, which was just read. What cannot be dealt with now is kept.
    pub(super) fn receive(
        &mut self,
        service: &mut Service,
        peer: Peer<'_>,
        buffer: &mut [u8],
        end: usize,
    ) {
        self.heard_of(service.now);
        self.readmit(service, peer);
        match self.phase {
            Phase::Http(_) => self.http_input(service, peer, buffer, end),
            Phase::Open(_) | Phase::Closing { .. } => {
                self.ws_input(service, peer, buffer, 0, end);
            }
            // The reader of a stream has nothing to say on its connection.
            Phase::Events(_) => service.allowance.charge(end),
            Phase::Draining { .. } => {}
        }
    }

    /// Goes on with what was read and not dealt with.
    pub(super) fn go_on(&mut self, service: &mut Service, peer: Peer<'_>) {
        self.readmit(service, peer);
        match self.phase {
            Phase::Http(_) => self.http_input(service, peer, &mut [], 0),
            _ => self.go_on_with_unread(service, peer),
        }
    }

    /// Brings the sums, and what the hub knows of the connection, up to date with what it is now.
    #[inline]
    pub(super) fn settle(&mut self, service: &mut Service) {
        let ledger = &mut service.ledger;
        let unread = self.aside.unread_bytes();
        let bytes = self.half_read_bytes() + unread;
        self.input.set(&mut ledger.input, bytes);
        self.outbox.count(&mut ledger.outbox);
        let (before, since) = (self.aside.hoards_since(), self.hoards_since(unread));
        if since != before {
            let index = index_of(self.token);
            ledger.hoards.change(index, before, since);
            self.aside.set_hoards_since(since);
        }
        if self.aside.awaited().is_some() && !matches!(self.phase, Phase::Http(_)) {
            self.give_up_waiting(service);
        }
        if self.is_subscriber() && self.flow.may_write() == self.flow.contains(Flow::WITHHELD) {
            self.flow.toggle(Flow::WITHHELD);
            let withheld = self.flow.contains(Flow::WITHHELD);
            service.hub.set_blocked(self.subscriber(), withheld);
        }
        let kind = Counted::of(self.carrier, self.doing());
        service.metrics.kinds.change(&mut self.counted, kind);
    }

    /// What it is doing, as metrics count it.
    fn doing(&self) -> Doing {
        match &self.phase {
            _ if self.flow.contains(Flow::HANDSHAKES) => Doing::Handshake,
            Phase::Http(_) => Doing::Http,
            Phase::Open(open) => match open.speaker {
                Speaker::Echo => Doing::Echo,
                _ => Doing::Json,
            },
            Phase::Events(_) => Doing::Events,
            Phase::Closing { .. } => Doing::Closing,
            Phase::Draining { .. } => Doing::Draining,
        }
    }

    /// The connection goes: gives all that it holds of the sums back.
    pub(super) fn release(&mut self, service: &mut Service) {
        let index = index_of(self.token);
        service
            .metrics
            .kinds
            .change(&mut self.counted, Counted::NOT);
        let ledger = &mut service.ledger;
        self.input.set(&mut ledger.input, 0);
        self.outbox.uncount(&mut ledger.outbox);
        (ledger.hoards).change(index, self.aside.hoards_since(), NEVER);
        if let Some(segment) = self.outbox.held() {
            ledger.held.go_on(segment, self.blocked_since, index);
            ledger.held.release(segment);
        }
        self.give_up_waiting(service);
    }

    /// Since when it has kept more than [`FREE_BYTES`] of its input, with `unread` bytes beside it, or [`NEVER`].
    fn hoards_since(&self, unread: usize) -> Millis {
        let half_read = self.half_read_bytes();
        if half_read + unread <= FREE_BYTES {
            return NEVER;
        }
        // It does not read its answers, so what it has asked for since waits because of it.
        if self.flow.contains(Flow::OUTBOX_FULL) {
            return self.aside.paused_since();
        }
        if half_read <= FREE_BYTES {
            return NEVER;
        }
        match &self.phase {
            Phase::Open(open) => open.message_since,
            // The check of a password may take long, and so may keys, and the request waits for it whole.
            Phase::Http(http) if self.aside.awaited().is_some() => http.since,
            Phase::Http(_) if self.flow.intersects(Flow::KEPT | Flow::AWAITS) => NEVER,
            Phase::Http(http) => http.since,
            Phase::Events(_) => NEVER,
            // Its close is awaited since then at the latest.
            Phase::Closing { .. } => self.silent_since.min(self.aside.hoards_since()),
            Phase::Draining { .. } => NEVER,
        }
    }

    /// Its name in the hub.
    #[inline]
    pub(super) fn subscriber(&self) -> SubscriberId {
        subscriber(self.token)
    }

    /// Whether the hub knows it: it may be subscribed to something.
    #[inline]
    pub(super) fn is_subscriber(&self) -> bool {
        matches!(self.phase, Phase::Open(_) | Phase::Events(_))
    }

    /// Its name in log lines.
    pub(super) fn who<'p>(&self, peer: Peer<'p>) -> Who<'p> {
        Who {
            token: self.token,
            peer,
        }
    }

    /// Bytes that are kept of a request or a message that is not whole yet.
    pub(super) fn half_read_bytes(&self) -> usize {
        match &self.phase {
            Phase::Http(http) => http.held_bytes(),
            Phase::Open(open) => open.endpoint.held_bytes(),
            Phase::Closing { endpoint, .. } => endpoint.held_bytes(),
            Phase::Events(_) | Phase::Draining { .. } => 0,
        }
    }

    /// Bytes of input that are kept in all.
    pub(super) fn input_bytes(&self) -> usize {
        self.half_read_bytes() + self.aside.unread_bytes()
    }

    /// Whether it counts as one that hoards.
    pub(super) fn hoards(&self) -> bool {
        self.aside.hoards_since() != NEVER
    }

    /// In which order it is read from.
    pub(super) fn standing(&self) -> Standing {
        if self.flow.contains(Flow::HANDSHAKES) {
            Standing::Handshake
        } else if self.flow.contains(Flow::HEAVY) {
            Standing::Heavy
        } else if self.flow.contains(Flow::HUNG_UP) {
            Standing::Gone
        } else {
            Standing::Light
        }
    }

    /// Whether the next bytes may complete a message or a body of more than `much` bytes.
    pub(super) fn completes_much(&self, much: usize) -> bool {
        let bytes = self.half_read_bytes();
        bytes > if self.inflates() { 0 } else { much }
    }

    /// Whether what it sends may be compressed.
    pub(super) fn inflates(&self) -> bool {
        match &self.phase {
            Phase::Open(Open { endpoint, .. }) | Phase::Closing { endpoint, .. } => {
                endpoint.deflates()
            }
            Phase::Http(_) | Phase::Events(_) | Phase::Draining { .. } => false,
        }
    }

    /// Whether something is to be written that is its own, or its end is to be said.
    #[inline]
    pub(super) fn wants_visit_to_write(&self) -> bool {
        let ends = matches!(
            self.phase,
            Phase::Draining {
                fin_sent: false,
                ..
            }
        );
        self.flow.may_write() && (ends || !self.outbox.is_empty())
    }

    /// Whether it is the next to get something of its channels.
    #[inline]
    pub(super) fn takes_messages(&self) -> bool {
        self.outbox.is_empty() && self.flow.may_write()
    }

    /// Whether the connection may be dropped for a newcomer: it has been answered and only its own end is awaited, whatever
    /// it still sends, or it has sent nothing. The rest of a request is not awaited in the lobby, since anybody can send
    /// half of one.
    pub(super) fn gives_way(&self) -> bool {
        self.outbox.is_empty()
            && match &self.phase {
                Phase::Draining { .. } => true,
                // Its request is here, and waits for us.
                Phase::Http(_) if self.flow.intersects(Flow::IN_READS | Flow::AWAITS) => false,
                Phase::Http(http) if http.body.is_some() => false,
                Phase::Http(http) => self.seat == Seat::Lobby || !http.begun,
                Phase::Open(_) | Phase::Events(_) | Phase::Closing { .. } => false,
            }
    }

    /// The peer has sent something. Only this clears [`Flow::BACKLOG`].
    fn heard_of(&mut self, now: Millis) {
        self.silent_since = now;
        self.flow.remove(Flow::BACKLOG | Flow::ASKED);
    }

    /// Stops reading from it, for one reason of [`Flow::PAUSED`].
    pub(super) fn pause(&mut self, now: Millis, reason: Flow) {
        if self.flow.may_read() {
            self.aside.set_paused_since(now);
        }
        self.flow.insert(reason);
    }

    /// Takes one reason to be paused away. Once none is left it is read from again, and the time
    /// during which it was not does not count against it: its message has as much time left as it
    /// had, and it is pinged anew, since an answer could not be seen.
    pub(super) fn resume(&mut self, now: Millis, reason: Flow) {
        let was_paused = !self.flow.may_read();
        self.flow.remove(reason);
        if !was_paused || !self.flow.may_read() {
            return;
        }
        self.silent_since = now;
        let paused_for = now.saturating_sub(self.aside.paused_since());
        self.aside.set_paused_since(NEVER);
        if let Phase::Open(open) = &mut self.phase {
            open.pinged_at = NEVER;
            if open.message_since != NEVER {
                // A message that began after the pause did is as old as it was.
                open.message_since = (open.message_since + paused_for).min(now);
            }
        }
    }

    /// Its outbox has been written to the end, or as far as the transport takes it.
    pub(super) fn after_flush(&mut self, service: &Service) {
        if self.flow.contains(Flow::OUTBOX_FULL)
            && self.outbox.private_bytes() <= service.outbox_limit() / 2
        {
            self.resume(service.now, Flow::OUTBOX_FULL);
        }
    }

    /// Whether all has been said and the end of the stream comes next. Says so once.
    pub(super) fn take_end(&mut self, now: Millis) -> bool {
        let all_is_out = self.takes_messages();
        match &mut self.phase {
            Phase::Draining { fin_sent, until } if !*fin_sent && all_is_out => {
                *fin_sent = true;
                *until = now + ends::DRAIN_TIMEOUT_MS;
                true
            }
            _ => false,
        }
    }

    /// The transport is full. It is left alone until it is told otherwise.
    pub(super) fn block(&mut self, service: &mut Service) {
        self.blocked_since = service.now;
        self.flow.insert(Flow::BLOCKED);
        if let Some(segment) = self.outbox.held() {
            let index = index_of(self.token);
            (service.ledger.held).stall(segment, service.now, index);
        }
        self.outbox.shrink();
    }

    /// The transport can be written to again. The peer has taken something and said nothing: what is
    /// still in the kernel stands before the next ping.
    pub(super) fn unblock(&mut self, service: &mut Service) {
        if let Some(segment) = self.outbox.held() {
            let index = index_of(self.token);
            (service.ledger.held).go_on(segment, self.blocked_since, index);
        }
        self.blocked_since = NEVER;
        self.silent_since = service.now;
        self.flow.remove(Flow::BLOCKED);
        self.flow.insert(Flow::BACKLOG);
        if let Phase::Open(open) = &mut self.phase {
            open.pinged_at = NEVER;
        }
    }
}
