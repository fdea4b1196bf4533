//! `json.fanfare.v1` on a connection: its requests carried out, the answers queued.

use std::collections::VecDeque;

use mio::Token;
use zeroize::Zeroize as _;

use crate::auth::identity::Means;
use crate::dialect::json::{
    self, Command, DecodeError, ErrorCode, ErrorReply, Id, Request, Topic, encode,
};
use crate::hub::{Gap, Start};
use crate::server::allowance;
use crate::server::connection::credentials::KEYLESS;
use crate::server::connection::session::Session;
use crate::server::gate::Access;
use crate::server::service::{
    Answer, Finished, Publication, Refusal, Service, Subscribed, Why, gap_of,
};
use crate::server::tickets::RequestKey;
use crate::ws::close::CloseCode;
use crate::ws::encode::write_message;
use crate::ws::violation::Violation;

/// Name and version, as the `welcome` says it.
const SERVER: &str = concat!("fanfare/", env!("CARGO_PKG_VERSION"));

/// The optional parts of the protocol that the daemon has. The last is there where tokens are taken.
const FEATURES: &[&str] = &["patterns", "encoding", "key", "goodbye", "auth"];

/// A publication whose outcome is not known yet.
#[derive(Debug)]
struct Awaited {
    key: RequestKey,
    /// The request's id as it was written; empty where it had none.
    id: Box<[u8]>,
    channel: Box<str>,
}

/// The requests that are pending, in the order in which they came.
#[derive(Debug, Default)]
struct Requests {
    next_key: u32,
    awaited: VecDeque<Awaited>,
}

/// One connection's side of the dialect.
#[derive(Debug, Default)]
pub(in crate::server) struct Json {
    /// There are none as long as everything is answered at once.
    requests: Option<Box<Requests>>,
}

impl Json {
    /// Carries out one message and queues its answer.
    ///
    /// # Errors
    /// If it is binary, or text that is not UTF-8.
    #[inline]
    pub(super) fn message(
        &mut self,
        session: &mut Session<'_>,
        is_text: bool,
        message: &mut [u8],
    ) -> Result<(), Violation> {
        if !is_text {
            return Err(Violation {
                code: CloseCode::UNSUPPORTED,
                reason: "json.fanfare.v1 has text messages only",
            });
        }
        match session.service.decoder.decode(message) {
            Ok(request) => {
                let has_secret = matches!(request.command, Command::Auth { .. });
                self.carry_out(session, request);
                if has_secret {
                    message.zeroize();
                }
            }
            Err(DecodeError::NotUtf8) => {
                return Err(Violation::invalid_data("text that is not UTF-8"));
            }
            // What makes no sense costs as much as what does.
            Err(DecodeError::Refused(error)) => match session.limited {
                Some(ms) => fail_limited(session, error.id, ms),
                None => refuse(session, &error),
            },
        }
        Ok(())
    }

    fn carry_out(&mut self, session: &mut Session<'_>, request: Request<'_>) {
        let id = request.id;
        if let Some(ms) = session.limited {
            return fail_limited(session, id, ms);
        }
        match request.command {
            Command::Publish { channel, data, key } => {
                self.publish(session, id, &Publication { channel, data, key });
            }
            Command::Subscribe { topic, start } => subscribe(session, id, topic, start),
            Command::Unsubscribe { topic } => unsubscribe(session, id, topic),
            Command::Ping => session.answer(|text| encode::pong(text, id)),
            Command::Auth { token } => authenticate(session, id, token),
        }
    }

    fn publish(&mut self, session: &mut Session<'_>, id: Option<Id<'_>>, what: &Publication<'_>) {
        let channel = what.channel;
        let key = RequestKey(
            self.requests
                .as_ref()
                .map_or(0, |requests| requests.next_key),
        );
        let ticket = session.ticket(key);
        match session.service.publish(ticket, session.access, what) {
            Answer::Done(Ok(published)) => {
                session.outcome.congested |= published.congested;
                if id.is_some() {
                    let Service { hub, text, .. } = &mut *session.service;
                    let (epoch, duplicate) = published.epoch(hub);
                    text.clear();
                    encode::published(text, id, channel, epoch, published.seq, duplicate);
                    session.send_text();
                }
            }
            Answer::Done(Err(refusal)) => refuse_with(session, id, channel.into(), &refusal),
            Answer::Pending => {
                let requests = self.requests.get_or_insert_default();
                requests.next_key = key.0.wrapping_add(1);
                requests.awaited.push_back(Awaited {
                    key,
                    id: id.map_or(&[][..], |id| id.as_bytes()).into(),
                    channel: channel.into(),
                });
            }
        }
    }

    /// How many publications are pending.
    #[inline]
    pub(super) fn pending(&self) -> usize {
        (self.requests.as_ref()).map_or(0, |requests| requests.awaited.len())
    }

    /// Queues the answer to a publication that was pending.
    pub(super) fn answer(&mut self, session: &mut Session<'_>, finished: Finished) {
        let Some(requests) = &mut self.requests else {
            return;
        };
        let is_it = |awaited: &Awaited| awaited.key == finished.ticket.request;
        let Some(at) = requests.awaited.iter().position(is_it) else {
            return;
        };
        let Some(awaited) = requests.awaited.remove(at) else {
            return;
        };
        let id = (!awaited.id.is_empty()).then(|| Id::as_written(&awaited.id));
        match finished.outcome {
            Ok((epoch, seq)) if id.is_some() => session.answer(|text| {
                let duplicate = finished.duplicate;
                encode::published(text, id, &awaited.channel, epoch.as_str(), seq, duplicate);
            }),
            Ok(_) => {}
            Err(refusal) => refuse_with(session, id, (&*awaited.channel).into(), &refusal),
        }
    }
}

fn subscribe(session: &mut Session<'_>, id: Option<Id<'_>>, topic: Topic<'_>, start: Start<'_>) {
    let Answer::Done(answer) =
        (session.service).subscribe(session.subscriber, session.access, topic, start)
    else {
        return;
    };
    match answer {
        Ok(made) => {
            tell_subscribed(session, id, topic, &made);
            session.note_topic("subscribed to", topic);
        }
        Err(refusal) => refuse_with(session, id, topic, &refusal),
    }
}

fn tell_subscribed(
    session: &mut Session<'_>,
    id: Option<Id<'_>>,
    topic: Topic<'_>,
    made: &Subscribed,
) {
    let Service { hub, text, .. } = &mut *session.service;
    let epoch = hub.epoch(made.channel).unwrap_or_default();
    text.clear();
    encode::subscribed(text, id, topic, epoch, made.seq, made.recovered);
    session.send_text();
    let Service {
        hub, text, metrics, ..
    } = &mut *session.service;
    if let Some(gap) = made.gap.and_then(|gap| gap_of(hub, made.channel, gap)) {
        metrics.gap(gap.reason);
        write_gap(session.outbox.private(), text, &gap);
    }
}

fn unsubscribe(session: &mut Session<'_>, id: Option<Id<'_>>, topic: Topic<'_>) {
    let Answer::Done(answer) = session.service.unsubscribe(session.subscriber, topic) else {
        return;
    };
    match answer {
        Ok(()) => {
            session.note_topic("unsubscribed from", topic);
            session.answer(|text| encode::unsubscribed(text, id, topic));
        }
        Err(refusal) => refuse_with(session, id, topic, &refusal),
    }
}

/// Takes the token with which a client says who it is, or who it is still.
#[cold]
fn authenticate(session: &mut Session<'_>, id: Option<Id<'_>>, token: &str) {
    if !session.may_present() {
        let ms = session.limited.take().unwrap_or_default();
        return fail_limited(session, id, ms);
    }
    session.service.allowance.charge(allowance::TOKEN);
    let (service, now) = (&*session.service, session.service.now);
    let identity = match service.gate.identify_token(token, now) {
        Ok(identity) => identity,
        Err(error) if service.gate.may_hold_later(&error) => {
            return fail(session, id, None, ErrorCode::Unavailable, KEYLESS);
        }
        Err(error) => {
            let code = match error.is_expired() {
                true => ErrorCode::TokenExpired,
                false => ErrorCode::TokenInvalid,
            };
            session.note_failure();
            return fail(session, id, None, code, &error.to_string());
        }
    };
    // A certificate is weaker than a token, so a token may take its place.
    if let Some(before) = &session.access.identity
        && before.means != Means::Certificate
        && (before.means, &before.subject) != (identity.means, &identity.subject)
    {
        let why = "a connection stays with the subject that it has: this token is for another";
        return fail(session, id, None, ErrorCode::TokenInvalid, why);
    }
    let (door, expires) = (session.access.door, identity.expires);
    let subject = identity.subject.clone();
    let access = service.gate.admit(door, Some(identity));
    *session.access = access;
    session.answer(|text| encode::authenticated(text, id, &subject, expires));
    let who = session.who;
    session
        .service
        .note(who, format_args!("is {}", session.access.name()));
    session.outcome.identified = true;
    if session.access.is_barred() {
        let reason = "nothing is granted to this subject";
        session.outcome.barred = Some((CloseCode::FORBIDDEN, reason));
    }
    session.end_forbidden(end_subscription);
}

/// Tells the client that a subscription is not allowed any more, and over.
pub(super) fn end_subscription(session: &mut Session<'_>, topic: Topic<'_>) {
    session.answer(|text| encode::subscription_ended(text, topic, "forbidden"));
}

fn refuse_with(session: &mut Session<'_>, id: Option<Id<'_>>, topic: Topic<'_>, refusal: &Refusal) {
    let code = match refusal.why {
        // What is no channel is not repeated.
        Why::BadChannel => {
            return fail(session, id, None, ErrorCode::BadChannel, &refusal.text);
        }
        Why::Forbidden => ErrorCode::Forbidden,
        Why::Unauthenticated => ErrorCode::Unauthenticated,
        Why::AlreadySubscribed => ErrorCode::AlreadySubscribed,
        Why::NotSubscribed => ErrorCode::NotSubscribed,
        Why::Limit => ErrorCode::Limit,
        Why::Unavailable => ErrorCode::Unavailable,
    };
    fail(session, id, Some(topic), code, &refusal.text);
}

/// Refuses a request that comes too soon.
#[cold]
fn fail_limited(session: &mut Session<'_>, id: Option<Id<'_>>, retry_after_ms: u64) {
    let error = ErrorReply {
        id,
        retry_after_ms: Some(retry_after_ms),
        ..ErrorReply::new(ErrorCode::RateLimited, "too many requests: wait a while")
    };
    refuse(session, &error);
}

fn fail(
    session: &mut Session<'_>,
    id: Option<Id<'_>>,
    topic: Option<Topic<'_>>,
    code: ErrorCode,
    why: &str,
) {
    let error = ErrorReply {
        id,
        topic,
        ..ErrorReply::new(code, why)
    };
    refuse(session, &error);
}

fn refuse(session: &mut Session<'_>, error: &ErrorReply<'_>) {
    session.note_refusal(error.topic, error.code.as_str(), &error.message);
    session.answer(|text| encode::error(text, error));
}

/// Writes the first message of a connection into the service's text.
pub(super) fn welcome(service: &mut Service, token: Token, access: &Access) {
    let session = service.journal.session(token);
    let identity = access.identity.as_ref();
    let welcome = encode::Welcome {
        server: SERVER,
        session: &session,
        max_message: service.config.max_message as u64,
        features: &FEATURES[..FEATURES.len() - usize::from(!service.gate.takes_tokens())],
        subject: identity.map(|identity| &*identity.subject),
        expires: identity.and_then(|identity| identity.expires),
    };
    service.text.clear();
    encode::welcome(&mut service.text, &welcome);
}

/// Appends a gap as a frame; `text` is where it is written first.
pub(super) fn write_gap(out: &mut Vec<u8>, text: &mut Vec<u8>, gap: &Gap<'_>) {
    text.clear();
    let reason = gap.reason.as_str();
    json::encode::gap(text, gap.topic, gap.epoch, gap.from, gap.to, reason);
    write_message(out, true, text, None);
}
