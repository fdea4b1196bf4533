//! Event streams: a GET that is answered for as long as the client stays (see `dialect::sse`).
//!
//! A stream is a subscriber with one subscription, in a slot of its own, so that all streams of a channel get the same bytes. The
//! response ends with the connection: then a client that lost it comes back by itself and says what it had last.

use std::borrow::Cow;
use std::rc::Rc;

use super::api::{Asked, StartAt, from, refused};
use super::http::{Instead, Next};
use super::phase::{Events, Phase};
use super::{Connection, Peer};
use crate::channel::topic::Topic;
use crate::dialect::sse;
use crate::http::{ContentType, Request, Response};
use crate::server::encoders::EVENTS;
use crate::server::gate::Access;
use crate::server::journal::{Origins, Shown};
use crate::server::service::{Answer, Service, Subscribed, gap_of};
use crate::server::timers::NEVER;
use crate::ws::close::CloseCode;
use crate::ws::handshake::fields::values;

/// After how many milliseconds the first client comes back that lost its stream.
const RETRY_MS: u64 = 1_000;

/// Over how many milliseconds the others are spread, so that those who lost their streams together do not come together.
const RETRY_SPREAD_MS: u64 = 4_000;

/// What a place is called that the daemon cannot have given: it is in no epoch.
const NOWHERE: &str = "";

impl Connection {
    /// Begins a stream of what is published to `topic`.
    ///
    /// # Errors
    /// What happens instead of a response that is whole: mostly the stream.
    pub(super) fn follow(
        &mut self,
        service: &mut Service,
        peer: Peer<'_>,
        access: Rc<Access>,
        topic: Topic<'_>,
        asked: &Asked<'_>,
    ) -> Result<Response, Instead> {
        if let Err(refusal) = service.may_subscribe(&access, topic) {
            return Ok(refused(service, &refusal));
        }
        let request = asked.request;
        let from = match last_event(request).map_or_else(|| from(asked.query), Ok) {
            Ok(from) => from,
            Err(why) => return Ok(Response::bad_request(&why)),
        };
        let response = Response::stream(ContentType::EventStream, false)
            // nginx keeps what it passes on, and its reader waits, unless it is told so.
            .with_header("X-Accel-Buffering", "no");
        if request.head.method == "HEAD" {
            return Ok(response);
        }
        let id = self.subscriber();
        service.hub.attach(id, EVENTS);
        let Answer::Done(made) = service.subscribe(id, &access, topic, from.start()) else {
            service.hub.detach(id);
            return Ok(Response::bad_request("a stream cannot wait"));
        };
        let made = match made {
            Ok(made) => made,
            Err(refusal) => {
                service.hub.detach(id);
                return Ok(refused(service, &refusal));
            }
        };
        self.access = access;
        self.respond(service, peer, &response, false);
        self.open_events(service, &from, &made);
        let (text, origins) = (Shown(topic.text().as_bytes()), Origins(&request.head));
        let what = format_args!(
            "follows {} {text} as an event stream{origins}",
            topic.kind()
        );
        service.note(self.who(peer), what);
        let interval = service.config.ping_interval_ms;
        let lead = interval
            .get()
            .map_or(0, |interval| self.ping_lead(interval));
        let comment_at = interval.after(service.now) - lead;
        service.metrics.streams += 1;
        Err(Instead::Next(Next::Follow(Events {
            comment_at,
            auth_until: NEVER,
        })))
    }

    /// Writes what a stream begins with, and what is missing before its first message.
    fn open_events(&mut self, service: &mut Service, from: &StartAt<'_>, made: &Subscribed) {
        let epoch = service.hub.epoch(made.channel).unwrap_or_default();
        let place = match from {
            _ if made.gap.is_some() => None,
            StartAt::Place(epoch, seq) => Some((&**epoch, *seq)),
            // The first message that it gets says more than this would.
            StartAt::Last(_) if made.behind => None,
            StartAt::Now | StartAt::Last(_) => Some((epoch, made.seq)),
        };
        let retry_ms = self.retry_ms();
        let out = self.outbox.private();
        sse::opening(out, retry_ms, place);
        if let Some(gap) = (made.gap).and_then(|gap| gap_of(&service.hub, made.channel, gap)) {
            service.metrics.gap(gap.reason);
            sse::gap(out, &gap);
        }
    }

    /// When the client comes back if it loses its stream.
    fn retry_ms(&self) -> u64 {
        RETRY_MS + self.share_of(RETRY_SPREAD_MS)
    }

    /// Ends the stream, and says why.
    pub(super) fn end_events(
        &mut self,
        service: &mut Service,
        peer: Peer<'_>,
        code: CloseCode,
        reason: &'static str,
    ) {
        service.hub.detach(self.subscriber());
        let retry_ms = self.retry_ms();
        sse::ending(self.outbox.private(), retry_ms, reason);
        service.metrics.closed(code, reason);
        service.note(self.who(peer), format_args!("its stream ended: {reason}"));
        self.finish(service);
    }

    /// What its reader may do was decided anew: goes on, or ends.
    pub(super) fn follow_on(&mut self, service: &mut Service, peer: Peer<'_>) {
        let topics = service.hub.subscriptions(self.subscriber());
        let topic = (topics.first()).and_then(|id| service.hub.topic(*id));
        let may_be_here = !service.gate.is_admin(self.access.door) || self.access.may_administer();
        if may_be_here && topic.is_some_and(|topic| self.access.may_subscribe(topic)) {
            let comment_by = service.config.ping_interval_ms.after(service.now);
            if let Phase::Events(events) = &mut self.phase {
                events.comment_at = events.comment_at.min(comment_by);
            }
            self.time_access(service);
        } else {
            let reason = "the subscription is not granted any more";
            self.begin_close(service, peer, CloseCode::FORBIDDEN, reason);
        }
    }
}

/// The place of the last event that the client had before it came back (HTML standard, §9.2.4).
fn last_event<'a>(request: &Request<'a>) -> Option<StartAt<'a>> {
    let value = values(request.head.headers, "Last-Event-ID").next()?;
    if value.is_empty() {
        return None;
    }
    let place = std::str::from_utf8(value).ok().and_then(sse::place);
    // What cannot be read is not of here. The client learns by a gap that it may have missed something.
    let (epoch, seq) = place.unwrap_or((NOWHERE, 0));
    Some(StartAt::Place(Cow::Borrowed(epoch), seq))
}
