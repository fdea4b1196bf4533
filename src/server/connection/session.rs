//! What a dialect may touch while it carries out a message: one connection's place in the hub, its outbox, and the door.

use std::rc::Rc;

use crate::auth::rates::RetryAfterMs;
use crate::channel::topic::Topic;
use crate::hub::SubscriberId;
use crate::server::allowance;
use crate::server::encoders::Encoders;
use crate::server::gate::Access;
use crate::server::journal::{Shown, Who};
use crate::server::outbox::Outbox;
use crate::server::rates::{Doings, Judged};
use crate::server::service::Service;
use crate::server::tickets::{RequestKey, Ticket};
use crate::server::tokens::subscriber;
use crate::ws::close::CloseCode;
use crate::ws::deflate::WindowBits;
use crate::ws::encode::{write_message, write_message_deflated};

/// What a connection's messages led to.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Outcome {
    /// The peer said close, with this code.
    pub(super) peer_closed: Option<CloseCode>,
    /// At least one message was whole.
    pub(super) got_message: bool,
    /// It published to a channel that may take no more until its subscribers were swept.
    pub(super) congested: bool,
    /// The peer showed who it is.
    pub(super) identified: bool,
    /// The peer may not be here, for this reason.
    pub(super) barred: Option<(CloseCode, &'static str)>,
}

/// One connection's requests, as far as they reach.
pub(in crate::server) struct Session<'s> {
    pub(super) service: &'s mut Service,
    pub(super) who: Who<'s>,
    pub(super) subscriber: SubscriberId,
    pub(super) outbox: &'s mut Outbox,
    /// The window of what is compressed for it, if anything is.
    pub(super) deflate: Option<WindowBits>,
    /// What the peer is known as, and what it may do.
    pub(super) access: &'s mut Rc<Access>,
    /// What the peer has done, where that is counted.
    pub(super) doings: Option<&'s mut Doings>,
    /// The message comes too soon, and is refused for so many milliseconds.
    pub(super) limited: Option<u64>,
    pub(super) outcome: Outcome,
}

impl<'s> Session<'s> {
    /// That of the connection with this token, before its messages led to anything.
    pub(super) fn new(
        service: &'s mut Service,
        who: Who<'s>,
        outbox: &'s mut Outbox,
        deflate: Option<WindowBits>,
        access: &'s mut Rc<Access>,
    ) -> Self {
        Session {
            service,
            who,
            subscriber: subscriber(who.token),
            outbox,
            deflate,
            access,
            doings: None,
            limited: None,
            outcome: Outcome::default(),
        }
    }

    /// Whether it may ask for nothing more at the moment: this visit has cost enough, it published to
    /// a channel that is congested, or it does not read the answers.
    pub(super) fn has_to_wait(&self) -> bool {
        self.service.allowance.is_spent()
            || self.outcome.congested
            || self.outcome.barred.is_some()
            || self.outbox.private_bytes() > self.service.outbox_limit()
    }

    /// Counts a message of so many bytes, or a ping, where they are counted. A ping that comes too soon is answered all the same, as RFC
    /// 6455 §5.5.2 has it, but whoever goes on is closed.
    #[inline]
    pub(super) fn count(&mut self, bytes: usize) {
        if self.service.rates.count_requests() {
            self.count_doings((1, bytes as u64));
        }
    }

    /// Counts a pong of so many bytes. One that answers the daemon's pings has none.
    #[inline]
    pub(super) fn count_pong(&mut self, bytes: usize) {
        if bytes > 0 && self.service.rates.count_requests() {
            self.count_doings((0, bytes as u64));
        }
    }

    #[cold]
    fn count_doings(&mut self, what: (u64, u64)) {
        let Some(doings) = &mut self.doings else {
            return;
        };
        let (name, now) = (self.access.name(), self.service.now);
        let verdict = (self.service.rates).request(doings, &name, what, now);
        self.limited = None;
        self.obey(verdict);
    }

    /// Notes what is to be said to a message.
    fn obey(&mut self, verdict: Judged) {
        match verdict {
            Judged::Fine => {}
            Judged::Refused(ms) => self.limited = Some(ms),
            Judged::Abusive => {
                let reason = "the client goes on although it was told to wait";
                self.outcome.barred = Some((CloseCode::ABUSIVE, reason));
                self.limited = Some(1_000);
            }
        }
    }

    /// Whether the peer may present a token: if its address has failed too often, the message counts as one that comes too soon.
    pub(super) fn may_present(&mut self) -> bool {
        let key = self.doings.as_ref().and_then(|doings| doings.key());
        let may = self.service.rates.may_present(key, self.service.now);
        if let (Err(RetryAfterMs(ms)), Some(doings)) = (may, &mut self.doings) {
            let verdict = doings.refuse(ms);
            self.obey(verdict);
            return false;
        }
        true
    }

    /// The token that the peer presented does not hold.
    pub(super) fn note_failure(&mut self) {
        let key = self.doings.as_ref().and_then(|doings| doings.key());
        self.service.rates.note_failure(key, self.service.now);
    }

    /// The ticket of one of its requests.
    pub(super) fn ticket(&self, request: RequestKey) -> Ticket {
        Ticket {
            connection: self.who.token,
            request,
        }
    }

    /// Queues the text message that `write` writes.
    pub(super) fn answer(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let service = &mut *self.service;
        service.text.clear();
        write(&mut service.text);
        self.send_text();
    }

    /// Queues the service's text as a message.
    pub(super) fn send_text(&mut self) {
        let Service { text, encoders, .. } = &mut *self.service;
        write_answer(self.outbox, text, self.deflate, encoders);
    }

    /// Queues a message of bytes or of text.
    pub(super) fn send(&mut self, is_text: bool, payload: &[u8]) {
        let out = self.outbox.private();
        match self.deflate {
            Some(window) => {
                let deflater = self.service.encoders.deflater(window);
                write_message_deflated(out, is_text, payload, None, deflater);
            }
            None => write_message(out, is_text, payload, None),
        }
    }

    /// Ends the subscriptions that the peer's access does not allow any more. `tell` says so for each.
    pub(super) fn end_forbidden(&mut self, tell: impl Fn(&mut Session<'s>, Topic<'_>)) {
        if self.access.is_open() {
            return;
        }
        for id in self.service.hub.subscriptions(self.subscriber) {
            self.service.allowance.charge(allowance::SUBSCRIBE);
            let Some(topic) = self.service.hub.topic(id) else {
                continue;
            };
            let text = topic.text().to_owned();
            let topic = match topic {
                Topic::Channel(_) => Topic::Channel(&text),
                Topic::Pattern(matcher, _) => Topic::Pattern(matcher, &text),
            };
            if !self.access.may_subscribe(topic)
                && self.service.hub.unsubscribe(self.subscriber, topic).is_ok()
            {
                self.note_topic("lost", topic);
                if self.outbox.private_bytes() > self.service.outbox_limit() {
                    let reason = "much is not granted any more, and the client does not read";
                    self.outcome.barred = Some((CloseCode::FORBIDDEN, reason));
                    return;
                }
                tell(self, topic);
            }
        }
    }

    /// Notes what was `done` with a channel or a pattern.
    #[inline]
    pub(super) fn note_topic(&mut self, done: &str, topic: Topic<'_>) {
        let text = Shown(topic.text().as_bytes());
        match topic {
            Topic::Channel(_) => self.service.note(self.who, format_args!("{done} {text}")),
            Topic::Pattern(..) => {
                let what = format_args!("{done} pattern {text}");
                self.service.note(self.who, what);
            }
        }
    }

    /// Notes a request that was refused.
    pub(super) fn note_refusal(&mut self, topic: Option<Topic<'_>>, code: &str, why: &str) {
        match topic {
            Some(topic) => {
                let (kind, text) = (topic.kind(), Shown(topic.text().as_bytes()));
                let what = format_args!("refused with {code}: {why}, {kind} {text}");
                self.service.note(self.who, what);
            }
            None => {
                let what = format_args!("refused with {code}: {why}");
                self.service.note(self.who, what);
            }
        }
    }
}

/// Queues a text message for one connection alone, compressed if that is agreed.
pub(super) fn write_answer(
    outbox: &mut Outbox,
    text: &[u8],
    window: Option<WindowBits>,
    encoders: &mut Encoders,
) {
    let out = outbox.private();
    match window {
        Some(window) => write_message_deflated(out, true, text, None, encoders.deflater(window)),
        None => write_message(out, true, text, None),
    }
}
