//! What administrators ask by HTTP: lists, and what clears and ends.

use std::rc::Rc;

use log::info;

use super::api::{Asked, problem};
use super::body::Body;
use super::http::Instead;
use super::lists::{Channels, PAGE, PAGE_MAX};
use super::{Connection, Peer};
use crate::auth::blocked::MAX_BLOCKED;
use crate::auth::token::MAX_SUBJECT_BYTES;
use crate::channel::topic::Topic;
use crate::http::{ContentType, Query, Response, Status};
use crate::hub::Start;
use crate::server::api::{Clear, ERRANDS_MAX, EndSubject, Errand, Page, What};
use crate::server::gate::Access;
use crate::server::journal::Shown;
use crate::server::service::{Service, Why};
use crate::server::tokens::token_by_id;

/// How many a page has, as a request says it.
fn limit(query: Query<'_>) -> Result<u64, String> {
    match query.number("limit")? {
        None => Ok(PAGE),
        Some(limit @ 1..=PAGE_MAX) => Ok(limit),
        Some(_) => Err(format!(
            "The parameter limit is a number from 1 to {PAGE_MAX}."
        )),
    }
}

/// Answers with a page of the list of channels.
pub(super) fn list_channels(access: Rc<Access>, asked: &Asked<'_>) -> Result<Response, Instead> {
    let page = || {
        let (prefix, after) = (asked.query.text("prefix")?, asked.query.text("after")?);
        let prefix = prefix.as_deref().unwrap_or_default();
        let limit = limit(asked.query)?;
        Ok::<_, String>(Channels::new(prefix, after.as_deref(), limit))
    };
    match page() {
        Ok(page) => page_of(asked, |is_chunked| Body::channels(access, page, is_chunked)),
        Err(why) => Ok(Response::bad_request(&why)),
    }
}

/// Answers with a page of the list of connections.
pub(super) fn list_connections(access: Rc<Access>, asked: &Asked<'_>) -> Result<Response, Instead> {
    let page = || {
        let after = asked.query.text("after")?;
        let after = match after.map(|id| token_by_id(&id)) {
            None => None,
            Some(None) => return Err("The parameter after is the id of a connection.".to_owned()),
            Some(token) => token,
        };
        // No loss: it is at most `PAGE_MAX`.
        Ok(Page::new(after, limit(asked.query)? as usize))
    };
    match page() {
        Ok(page) => page_of(asked, |is_chunked| {
            Body::connections(access, page, is_chunked)
        }),
        Err(why) => Ok(Response::bad_request(&why)),
    }
}

/// The response whose body is a page that is made from now on.
fn page_of(asked: &Asked<'_>, body: impl FnOnce(bool) -> Body) -> Result<Response, Instead> {
    let head = &asked.request.head;
    let is_chunked = head.version_minor >= 1;
    let response = Response::stream(ContentType::Json, is_chunked);
    if head.method == "HEAD" {
        return Ok(response);
    }
    Err(Instead::Body(Box::new((response, body(is_chunked)))))
}

fn not_found(why: &str) -> Response {
    Response::problem(Status::NOT_FOUND, "not_found", why)
}

/// The response where too much else waits that administrators have asked for.
fn crowded(service: &Service) -> Option<Response> {
    let why = "too much that administrators have asked for is still being done";
    (service.errands.len() >= ERRANDS_MAX).then(|| problem(Why::Limit, why).with_retry_after(1))
}

impl Connection {
    /// Has an errand run for the request under way, which is answered then.
    fn send(&self, service: &mut Service, what: What) -> Instead {
        let asker = self.token;
        service.errands.push_back(Errand { asker, what });
        Instead::Answer
    }

    /// Lets go of what a channel holds. It goes at once, and what patterns' logs hold of it bit by bit.
    pub(super) fn clear(
        &self,
        service: &mut Service,
        peer: Peer<'_>,
        access: &Access,
        channel: &str,
    ) -> Result<Response, Instead> {
        if let Some(response) = crowded(service) {
            return Ok(response);
        }
        let Some(history) = service.hub.history(Topic::Channel(channel), Start::Live) else {
            let why = "nothing was published in this channel, and nobody is subscribed to it";
            return Ok(not_found(why));
        };
        let (epoch, seq) = (history.epoch.into(), history.newest);
        let Some(clearing) = service.hub.begin_to_clear(channel, service.now) else {
            return Ok(not_found("the channel is gone"));
        };
        self.tell_of(access, peer, "clears the channel", channel);
        let clear = Clear {
            clearing,
            epoch,
            seq,
        };
        Err(self.send(service, What::Clear(clear)))
    }

    /// Ends a connection.
    pub(super) fn end_connection(
        &self,
        service: &mut Service,
        peer: Peer<'_>,
        access: &Access,
        id: &str,
    ) -> Result<Response, Instead> {
        let Some(token) = token_by_id(id) else {
            return Ok(Response::bad_request(
                "The id of a connection is two numbers with a - between them.",
            ));
        };
        if let Some(response) = crowded(service) {
            return Ok(response);
        }
        self.tell_of(access, peer, "disconnects", id);
        Err(self.send(service, What::End(token)))
    }

    /// Ends all connections of a subject, and has its tokens refused that were issued up to now.
    pub(super) fn end_subject(
        &self,
        service: &mut Service,
        peer: Peer<'_>,
        access: &Access,
        subject: &str,
    ) -> Result<Response, Instead> {
        if subject.len() > MAX_SUBJECT_BYTES {
            let why = format!("A subject has at most {MAX_SUBJECT_BYTES} bytes.");
            return Ok(Response::bad_request(&why));
        }
        if let Some(response) = crowded(service) {
            return Ok(response);
        }
        if service.gate.block(subject, service.now).is_err() {
            let why = format!(
                "the older tokens of {MAX_BLOCKED} subjects are refused, and to forget one of them would let those in again: restart the \
                 daemon with other keys"
            );
            return Ok(problem(Why::Limit, &why));
        }
        self.tell_of(access, peer, "disconnects the subject", subject);
        let end = EndSubject::new(subject);
        Err(self.send(service, What::EndSubject(end)))
    }

    /// Says in the log who does what.
    fn tell_of(&self, access: &Access, peer: Peer<'_>, does: &str, what: &str) {
        let name = access.name();
        let name = if name.is_empty() {
            "an administrator"
        } else {
            &name
        };
        info!(
            "{name} at {} {does} {}",
            self.who(peer),
            Shown(what.as_bytes())
        );
    }
}
