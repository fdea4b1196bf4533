//! How a connection ends: its close, the peer's, and what is dropped then.

use std::borrow::Cow;

use super::flow::Flow;
use super::phase::{Open, Phase};
use super::session::write_answer;
use super::{Connection, Peer};
use crate::auth::identity::Means;
use crate::server::metrics::BY_PEER;
use crate::server::service::Service;
use crate::server::timers::NEVER;
use crate::ws::close::{CloseCode, CloseFrame, write_close};
use crate::ws::violation::Violation;

/// How long a peer may take to answer a close, or to take one.
const CLOSE_TIMEOUT_MS: u64 = 5_000;

/// How long what a peer still sends is read and dropped after all was said.
pub(super) const DRAIN_TIMEOUT_MS: u64 = 2_000;

/// What a client is told that an administrator ends.
const BY_ADMINISTRATOR: &str = "disconnected by an administrator";

/// What a client is told whose half-read input has to make room.
const NO_ROOM: Violation = Violation {
    code: CloseCode::OVERLOAD,
    reason: "the server has too much half-read input at the moment",
};

/// Why a connection is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Gone {
    /// All was said and answered, or nothing was open.
    Done,
    /// The peer vanished, or the socket failed.
    Lost,
    /// It held on to a half-sent message when there was too much of that.
    Held,
}

impl Connection {
    /// Closes a connection whose message was not whole in time.
    pub(super) fn message_timeout(&mut self, service: &mut Service, peer: Peer<'_>) {
        let reason = "a message took too long to arrive";
        self.begin_close(service, peer, CloseCode::POLICY, reason);
    }

    /// Ends it, since its half-read input has to make room.
    pub(in crate::server) fn end_hoard(&mut self, service: &mut Service, peer: Peer<'_>) {
        match self.phase {
            // An answer is under way, and nothing else can be said in the middle of it.
            Phase::Http(ref http) if http.body.is_some() => self.finish(service),
            Phase::Http(_) => self.refuse_request(service, peer),
            _ => self.fail(service, peer, NO_ROOM),
        }
    }

    /// Whether an administrator may end it: it is not ending already.
    pub(in crate::server) fn may_be_ended(&self) -> bool {
        !matches!(self.phase, Phase::Closing { .. } | Phase::Draining { .. })
    }

    /// Whether it is to end with all connections of a subject. A token that was issued since is no reason.
    pub(in crate::server) fn is_to_end(&self, service: &Service, subject: &str) -> bool {
        let identity = self
            .identity()
            .filter(|identity| *identity.subject == *subject);
        self.may_be_ended()
            && identity.is_some_and(|identity| {
                identity.means != Means::Token || service.gate.is_withdrawn(identity)
            })
    }

    /// An administrator ends it.
    pub(in crate::server) fn be_ended(&mut self, service: &mut Service, peer: Peer<'_>) {
        match self.phase {
            // Whatever is under way there is cut off.
            Phase::Http(_) => self.finish(service),
            _ => self.begin_close(service, peer, CloseCode::FORBIDDEN, BY_ADMINISTRATOR),
        }
    }

    /// Says close and waits for the peer's. Nothing of any channel follows.
    pub(in crate::server) fn begin_close(
        &mut self,
        service: &mut Service,
        peer: Peer<'_>,
        code: CloseCode,
        reason: &'static str,
    ) {
        if let Phase::Events(_) = self.phase {
            return self.end_events(service, peer, code, reason);
        }
        self.say_close(service, peer, code, reason);
        self.end_pauses();
    }

    /// Says close to a peer that broke the protocol, or whose input there is no room for: nothing
    /// more is believed of it (RFC 6455 §7.1.7).
    pub(super) fn fail(&mut self, service: &mut Service, peer: Peer<'_>, violation: Violation) {
        self.say_close(service, peer, violation.code, violation.reason);
        self.finish(service);
    }

    /// Answers the peer's close with the same code (RFC 6455 §5.5.1).
    pub(super) fn answer_close(&mut self, service: &mut Service, peer: Peer<'_>, code: CloseCode) {
        if let Phase::Open(_) = &self.phase {
            let frame = CloseFrame { code, reason: "" };
            write_close(self.outbox.private(), Some(frame), None);
            service.metrics.closed(code, BY_PEER);
            let who = self.who(peer);
            service.note(who, format_args!("closed by the peer with {}", code.0));
            service.hub.detach(self.subscriber());
        }
        self.finish(service);
    }

    /// Tells the peer that a close comes, as planned, and when to come back: its share of `spread` milliseconds from now.
    pub(in crate::server) fn say_goodbye(&mut self, service: &mut Service, why: &str, spread: u64) {
        let after = self.share_of(spread);
        let Phase::Open(open) = &self.phase else {
            return;
        };
        let Service { text, encoders, .. } = service;
        text.clear();
        if open.speaker.write_goodbye(text, why, after) {
            write_answer(&mut self.outbox, text, open.deflate, encoders);
        }
    }

    /// Everything is said: once it is out, FIN; what still comes is dropped.
    pub(in crate::server) fn finish(&mut self, service: &Service) {
        // What was read and not dealt with is of no interest any more.
        self.aside.take_unread();
        self.flow.remove(Flow::KEPT);
        self.phase = Phase::Draining {
            until: service.now + DRAIN_TIMEOUT_MS,
            fin_sent: false,
        };
        self.end_pauses();
    }

    /// Whatever it was not read for is over.
    fn end_pauses(&mut self) {
        self.flow.remove(Flow::PAUSED);
        self.aside.set_paused_since(NEVER);
    }

    /// Takes an open connection out of its channels and queues a close for it, after which the
    /// peer's is awaited.
    fn say_close(
        &mut self,
        service: &mut Service,
        peer: Peer<'_>,
        code: CloseCode,
        reason: &'static str,
    ) {
        let until = service.now + CLOSE_TIMEOUT_MS;
        let mut told = Cow::Borrowed(reason);
        let draining = Phase::Draining {
            until,
            fin_sent: false,
        };
        self.phase = match std::mem::replace(&mut self.phase, draining) {
            Phase::Open(Open {
                endpoint, speaker, ..
            }) => {
                let max_message = speaker.max_message(&service.config);
                if code == CloseCode::TOO_BIG {
                    told = format!("{reason} of {max_message} bytes").into();
                }
                Phase::Closing {
                    endpoint,
                    max_message,
                    until,
                }
            }
            other => {
                self.phase = other;
                return;
            }
        };
        service.hub.detach(self.subscriber());
        let frame = CloseFrame {
            code,
            reason: &told,
        };
        write_close(self.outbox.private(), Some(frame), None);
        service.metrics.closed(code, reason);
        let who = self.who(peer);
        service.note(who, format_args!("closed with {}: {reason}", code.0));
    }

    /// The connection is about to be dropped.
    pub(in crate::server) fn leave(&mut self, service: &mut Service, peer: Peer<'_>, gone: Gone) {
        self.release(service);
        if self.is_subscriber() {
            service.hub.detach(self.subscriber());
            let why = match gone {
                Gone::Held => "half-sent messages took too much memory",
                Gone::Done | Gone::Lost => "lost",
            };
            service.metrics.closed(CloseCode::ABNORMAL, why);
            let who = self.who(peer);
            service.note(who, format_args!("ended: {why}"));
        }
    }

    /// The peer said FIN. A peer that speaks HTTP may still wait for the answers to its requests.
    pub(in crate::server) fn peer_finished(&mut self, service: &mut Service) -> Option<Gone> {
        self.flow.remove(Flow::READABLE | Flow::HUNG_UP);
        match self.phase {
            // A transport that took all of an answer may hold some of it.
            Phase::Http(_) if !self.takes_messages() => self.finish(service),
            Phase::Open(_) | Phase::Events(_) => return Some(Gone::Lost),
            Phase::Draining { .. } if !self.takes_messages() => {}
            _ => return Some(Gone::Done),
        }
        None
    }
}
