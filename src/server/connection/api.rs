//! What is asked by HTTP: to publish in channels and to read what they hold, and what administrators ask.
//!
//! The same door is asked as by every dialect, with the rights of whoever the request says that it is from.

use std::borrow::Cow;
use std::rc::Rc;

use mio::Token;

use super::administration::{list_channels, list_connections};
use super::admission::unauthorized;
use super::body::Body;
use super::flow::Flow;
use super::http::{Instead, Next};
use super::{Connection, Peer};
use crate::auth::rates::Key;
use crate::channel::name;
use crate::channel::pattern::Pattern;
use crate::channel::topic::Topic;
use crate::dialect::json::{Data, DecodeError, ErrorCode, MAX_KEY_BYTES, Start};
use crate::dialect::sse;
use crate::http::{ContentType, Method, Query, Request, Resource, Response, Status};
use crate::hub::History;
use crate::server::gate::Access;
use crate::server::service::{Answer, Publication, Refusal, Service, Why};
use crate::server::tickets::{RequestKey, Ticket};
use crate::ws::handshake::fields::{list, values};

/// A request that asks something of channels or of connections.
pub(super) struct Asked<'a> {
    pub(super) request: &'a Request<'a>,
    pub(super) resource: &'a Resource<'a>,
    pub(super) method: Method,
    pub(super) query: Query<'a>,
}

/// Where reading begins, as a request says it.
pub(super) enum StartAt<'a> {
    /// With the next message.
    Now,
    /// With the newest so many that are held.
    Last(u64),
    /// After a place.
    Place(Cow<'a, str>, u64),
}

impl StartAt<'_> {
    pub(super) fn start(&self) -> Start<'_> {
        match self {
            StartAt::Now => Start::Live,
            StartAt::Last(count) => Start::Last(*count),
            StartAt::Place(epoch, seq) => Start::Since { epoch, seq: *seq },
        }
    }
}

impl Connection {
    /// The response to a request that asks something of channels or of connections.
    ///
    /// # Errors
    /// What happens instead.
    pub(super) fn ask(
        &mut self,
        service: &mut Service,
        peer: Peer<'_>,
        asked: &Asked<'_>,
    ) -> Result<Response, Instead> {
        let request = asked.request;
        let access = match self.identify(service, peer, request) {
            Ok(access) => access,
            Err(unidentified) => {
                let response = unidentified.response(service);
                return response.ok_or(Instead::Next(Next::Wait));
            }
        };
        if let Err(response) = self.count_request(service, peer, request, &access) {
            return Ok(response);
        }
        if asked.resource.is_for_administrators()
            && let Err(refusal) = service.may_administer(&access)
        {
            return Ok(refused(service, &refusal));
        }
        if let Err(response) = check_name(asked.resource) {
            return Ok(response);
        }
        match (asked.resource, asked.method) {
            (Resource::Channel(channel), Method::Post) => {
                let response = self.publish(service, &access, channel, request);
                response.ok_or(Instead::Answer)
            }
            (Resource::Channel(channel), _) => read_channel(service, access, channel, asked),
            (Resource::Events(channel), _) => {
                self.follow(service, peer, access, Topic::Channel(channel), asked)
            }
            (Resource::PatternEvents(pattern), _) => {
                self.follow(service, peer, access, Topic::pattern(pattern), asked)
            }
            (Resource::Publish, _) => {
                let key = service.gate.rate_key(peer, request.head.headers);
                publish_many(access, key, request)
            }
            (Resource::Channels, _) => list_channels(access, asked),
            (Resource::Connections, _) => list_connections(access, asked),
            (Resource::Messages(channel), _) => self.clear(service, peer, &access, channel),
            (Resource::Connection(id), _) => self.end_connection(service, peer, &access, id),
            (Resource::Subject(name), _) => self.end_subject(service, peer, &access, name),
        }
    }

    /// Publishes the body of a POST. `None`: the answer comes later.
    fn publish(
        &mut self,
        service: &mut Service,
        access: &Access,
        channel: &str,
        request: &Request<'_>,
    ) -> Option<Response> {
        if let Err(refusal) = service.may_publish(access, channel) {
            return Some(refused(service, &refusal));
        }
        let key = match key_of(request) {
            Ok(key) => key,
            Err(why) => return Some(Response::bad_request(&why)),
        };
        let mut values = std::mem::take(&mut service.values);
        let response = match values.decode(&request.body) {
            Ok(data) => self.publish_data(service, access, channel, data, key),
            Err(error) => {
                let (code, why) = explain(error);
                Some(Response::problem(Status::BAD_REQUEST, code, &why))
            }
        };
        service.values = values;
        response
    }

    fn publish_data(
        &mut self,
        service: &mut Service,
        access: &Access,
        channel: &str,
        data: &[u8],
        key: Option<&str>,
    ) -> Option<Response> {
        let what = Publication {
            channel,
            data: Data::json(data),
            key,
        };
        match service.publish(only_ticket(self.token), access, &what) {
            Answer::Done(Ok(published)) => {
                if published.congested {
                    self.pause(service.now, Flow::CONGESTED);
                }
                let (epoch, _) = published.epoch(&service.hub);
                Some(Response::published(epoch, published.seq))
            }
            Answer::Done(Err(refusal)) => Some(refused(service, &refusal)),
            Answer::Pending => None,
        }
    }
}

/// Answers with what becomes of each publication in the body of a POST.
fn publish_many(
    access: Rc<Access>,
    key: Option<Key>,
    request: &Request<'_>,
) -> Result<Response, Instead> {
    if values(request.head.headers, "Idempotency-Key")
        .next()
        .is_some()
    {
        let why = "Many publications have no key in common: each may have a member `key`.";
        return Ok(Response::bad_request(why));
    }
    let is_chunked = request.head.version_minor >= 1;
    let response = Response::stream(ContentType::JsonLines, is_chunked);
    let body = Body::publications(access, key, request.body.to_vec(), is_chunked);
    Err(Instead::Body(Box::new((response, body))))
}

/// Answers with what a channel holds.
fn read_channel(
    service: &mut Service,
    access: Rc<Access>,
    channel: &str,
    asked: &Asked<'_>,
) -> Result<Response, Instead> {
    let topic = Topic::Channel(channel);
    if let Err(refusal) = service.may_subscribe(&access, topic) {
        return Ok(refused(service, &refusal));
    }
    let (from, until, limit) = match span(asked.query) {
        Ok(span) => span,
        Err(why) => return Ok(Response::bad_request(&why)),
    };
    let Some(history) = service.hub.history(topic, from.start()) else {
        let why = "nothing was published in this channel, and nobody is subscribed to it";
        return Ok(Response::problem(Status::NOT_FOUND, "not_found", why));
    };
    let etag = etag(&history, until, limit);
    if matches(asked.request, &etag) {
        return Ok(Response::not_modified(etag));
    }
    let is_chunked = asked.request.head.version_minor >= 1;
    let response = Response::stream(ContentType::Json, is_chunked).with_etag(etag);
    if asked.request.head.method == "HEAD" {
        return Ok(response);
    }
    let body = Body::messages(access, channel, &history, until, limit, is_chunked);
    Err(Instead::Body(Box::new((response, body))))
}

/// What a request asks to read: from where, up to which number, and how many messages at most.
type Span<'a> = (StartAt<'a>, u64, u64);

/// Reads the parameters of a GET of what a channel holds. Without any it is all that is held.
fn span(query: Query<'_>) -> Result<Span<'_>, String> {
    let until = query.number("until")?.unwrap_or(u64::MAX);
    let limit = query.number("limit")?.unwrap_or(u64::MAX);
    let from = match from(query)? {
        StartAt::Now => StartAt::Last(u64::MAX),
        from => from,
    };
    Ok((from, until, limit))
}

/// Reads where reading begins: `since`, or `last`.
pub(super) fn from(query: Query<'_>) -> Result<StartAt<'_>, String> {
    let (since, last) = (query.text("since")?, query.number("last")?);
    match (since, last) {
        (None, None) => Ok(StartAt::Now),
        (None, Some(count)) => Ok(StartAt::Last(count)),
        (Some(_), Some(_)) => Err("The parameters since and last exclude each other.".to_owned()),
        (Some(since), None) => match sse::place(&since) {
            Some((epoch, seq)) => Ok(StartAt::Place(Cow::Owned(epoch.to_owned()), seq)),
            None => Err("The parameter since is an epoch, a colon and a number.".to_owned()),
        },
    }
}

/// The `ETag` of a part of a history: it changes when what is answered does.
fn etag(history: &History<'_>, until: u64, limit: u64) -> String {
    let History {
        epoch,
        newest,
        first,
        ..
    } = history;
    // The number of the newest message is part of the answer, and so is what is missing.
    format!(
        "\"{epoch}.{}.{newest}.{until:x}.{limit:x}\"",
        first.unwrap_or(0)
    )
}

/// Whether the client has what the request asks for already (RFC 9110 §13.1.2).
fn matches(request: &Request<'_>, etag: &str) -> bool {
    let mut tags = list(request.head.headers, "If-None-Match");
    tags.any(|tag| {
        let tag = tag.strip_prefix(b"W/").unwrap_or(tag);
        tag == b"*" || tag == etag.as_bytes()
    })
}

/// The idempotency key of a request, if it has one.
///
/// # Errors
/// It is none, for this reason.
fn key_of<'a>(request: &Request<'a>) -> Result<Option<&'a str>, String> {
    let mut keys = values(request.head.headers, "Idempotency-Key");
    let Some(key) = keys.next() else {
        return Ok(None);
    };
    // The draft of the field has it as a string in quotes; many send it without.
    let key = key
        .strip_prefix(b"\"")
        .and_then(|key| key.strip_suffix(b"\""))
        .unwrap_or(key);
    let key = std::str::from_utf8(key).ok();
    let key = key.filter(|key| (1..=MAX_KEY_BYTES).contains(&key.len()));
    match (key, keys.next()) {
        (Some(key), None) => Ok(Some(key)),
        (_, Some(_)) => Err("There are two Idempotency-Key fields.".to_owned()),
        (None, None) => Err(format!(
            "An Idempotency-Key has 1 to {MAX_KEY_BYTES} bytes of UTF-8."
        )),
    }
}

/// Whether what is asked about can be the name of a channel, or a pattern.
///
/// # Errors
/// The response that says why not.
fn check_name(resource: &Resource<'_>) -> Result<(), Response> {
    let (code, why) = match resource {
        Resource::Channel(name) | Resource::Events(name) | Resource::Messages(name) => {
            match name::check(name) {
                Ok(()) => return Ok(()),
                Err(why) => ("bad_channel", why.explain()),
            }
        }
        Resource::PatternEvents(pattern) => match Pattern::check_wanted(pattern) {
            Ok(()) => return Ok(()),
            Err(why) => ("bad_pattern", why),
        },
        Resource::Publish
        | Resource::Channels
        | Resource::Connections
        | Resource::Connection(_)
        | Resource::Subject(_) => return Ok(()),
    };
    Err(Response::problem(Status::BAD_REQUEST, code, why))
}

/// The ticket of a connection's request. One at a time is awaited, so there is nothing to tell it from.
pub(super) fn only_ticket(connection: Token) -> Ticket {
    Ticket {
        connection,
        request: RequestKey(0),
    }
}

/// What is wrong with a publication that cannot be read: its code, and a sentence.
pub(super) fn explain(error: DecodeError<'_>) -> (&'static str, Cow<'_, str>) {
    match error {
        DecodeError::NotUtf8 => (ErrorCode::BadJson.as_str(), "not UTF-8".into()),
        DecodeError::Refused(error) => {
            let why = match error.offset {
                Some(offset) => format!("{}, at byte {offset}", error.message).into(),
                None => error.message,
            };
            (error.code.as_str(), why)
        }
    }
}

/// The answer to a request that was refused, with the means to be let in where that is missing.
pub(super) fn refused(service: &Service, refusal: &Refusal) -> Response {
    match refusal.why {
        Why::Unauthenticated => unauthorized(service, &refusal.text),
        why => problem(why, &refusal.text),
    }
}

/// The answer to a request that was refused.
pub(super) fn problem(why: Why, text: &str) -> Response {
    let (status, code) = code_of(why);
    Response::problem(status, code, text)
}

/// The status and the error code for a reason to refuse something.
pub(super) fn code_of(why: Why) -> (Status, &'static str) {
    match why {
        Why::Limit => (Status::UNAVAILABLE, "limit"),
        Why::Unavailable => (Status::UNAVAILABLE, "unavailable"),
        Why::Forbidden => (Status::FORBIDDEN, "forbidden"),
        Why::Unauthenticated => (Status::UNAUTHORIZED, "unauthenticated"),
        Why::BadChannel => (Status::NOT_FOUND, "bad_channel"),
        // A request makes no more than one subscription, on a connection of its own.
        Why::AlreadySubscribed | Why::NotSubscribed => (Status::BAD_REQUEST, "bad_request"),
    }
}
