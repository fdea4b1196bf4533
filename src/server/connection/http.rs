//! HTTP requests on a connection: the bytes of an incomplete one, and the answer to a whole one.

use std::rc::Rc;

use zeroize::{Zeroize as _, Zeroizing};

use super::admission::{Barred, readable};
use super::api::Asked;
use super::body::Body;
use super::flow::Flow;
use super::phase::{Events, Open, Phase};
use super::seat::{Seat, full};
use super::session::write_answer;
use super::speaker::Speaker;
use super::{Connection, Peer, READ_BYTES_KEPT};
use crate::http::{
    CONTINUE, HttpLimits, Method, NO_HEADERS, Progress, Request, Response, Route, Site, SocketPath,
    Status, is_head_request, is_health_check,
};
use crate::server::journal::{Origins, Shown};
use crate::server::service::Service;
use crate::server::timers::Millis;
use crate::server::{admin, allowance};
use crate::ws::endpoint::{Endpoint, Role};
use crate::ws::extension::Agreed;
use crate::ws::handshake::server as handshake;

/// What is to become of a connection after its requests were looked at.
pub(super) enum Next {
    /// It stays with HTTP.
    Stay,
    /// The answer was its last.
    Finish,
    /// It is a WebSocket from the byte after what was consumed on. The peer may have to be told at once that it may not be here.
    Open(Open, Option<Barred>),
    /// It is an event stream, whatever follows the request.
    Follow(Events),
    /// It stays, and the request has not been dealt with: it waits for what says who sent it.
    Wait,
}

/// What happens in place of a response to a request.
pub(super) enum Instead {
    /// The answer comes later: the next request waits for it.
    Answer,
    /// A response with a body that goes on.
    Body(Box<(Response, Body)>),
    /// This becomes of the connection.
    Next(Next),
}

/// Appends bytes. What grows leaves no copy behind.
fn append(kept: &mut Zeroizing<Vec<u8>>, more: &[u8]) {
    let len = kept.len() + more.len();
    if len > kept.capacity() {
        let mut grown = Zeroizing::new(Vec::with_capacity(len.max(2 * kept.capacity())));
        grown.extend_from_slice(kept);
        *kept = grown;
    }
    kept.extend_from_slice(more);
}

/// When the head of a request has to be whole that begins now.
pub(in crate::server) fn head_deadline(service: &Service, seat: Seat) -> Millis {
    seat.head_timeout_ms(&service.config).after(service.now)
}

fn limits(service: &Service) -> HttpLimits {
    HttpLimits {
        max_head: service.config.max_header,
        max_body: service.config.max_message,
        max_batch: service.config.max_batch,
    }
}

impl Connection {
    /// Goes on with the connection's requests: `buffer[..end]` came in after what it keeps.
    pub(super) fn http_input(
        &mut self,
        service: &mut Service,
        peer: Peer<'_>,
        buffer: &mut [u8],
        end: usize,
    ) {
        let Phase::Http(http) = &mut self.phase else {
            return;
        };
        let mut kept = std::mem::take(&mut http.bytes);
        let is_copied = if kept.is_empty() {
            let consumed = self.requests(service, peer, buffer, end);
            self.keep_request(service, buffer[consumed..end].to_vec().into(), true);
            consumed < end
        } else {
            append(&mut kept, &buffer[..end]);
            let end = kept.len();
            let consumed = self.requests(service, peer, &mut kept, end);
            // Where nothing was consumed this copies nothing: a body may come byte by byte.
            kept.drain(..consumed);
            self.keep_request(service, kept, consumed > 0);
            true
        };
        if std::mem::take(&mut service.has_secret) || is_copied {
            // The loop's buffer goes on to others, and what was read of this one may be a credential.
            buffer[..end].zeroize();
        }
        if self.is_too_late(service) {
            self.request_timeout(service, peer);
        }
    }

    /// Answers the requests in `bytes[..end]` and says how many of the bytes are done with.
    fn requests(
        &mut self,
        service: &mut Service,
        peer: Peer<'_>,
        bytes: &mut [u8],
        end: usize,
    ) -> usize {
        let mut consumed = 0;
        match self.answer_requests(service, peer, &bytes[..end], &mut consumed) {
            Next::Stay | Next::Wait => return consumed,
            Next::Finish => self.finish(service),
            Next::Follow(events) => {
                self.flow.remove(Flow::WITHHELD);
                self.phase = Phase::Events(events);
                self.time_access(service);
            }
            Next::Open(open, barred) => {
                let slot = open.speaker.slot(open.deflate);
                service.hub.attach(self.subscriber(), slot);
                self.flow.remove(Flow::WITHHELD);
                self.phase = Phase::Open(open);
                service.metrics.upgraded += 1;
                if let Some((code, reason)) = barred {
                    self.begin_close(service, peer, code, reason);
                }
                self.time_access(service);
                self.ws_input(service, peer, bytes, consumed, end);
            }
        }
        end
    }

    /// Keeps the bytes of a request that is not whole, or was not looked at; `new` if it began in what came last.
    fn keep_request(&mut self, service: &Service, mut bytes: Zeroizing<Vec<u8>>, new: bool) {
        let Phase::Http(http) = &mut self.phase else {
            return;
        };
        if bytes.is_empty() {
            http.begun = false;
            return;
        }
        let now = service.now;
        if new {
            http.since = now;
        }
        if !http.begun && !self.flow.contains(Flow::KEPT) {
            http.begun = http.parser.has_begun(&bytes);
            http.deadline = head_deadline(service, self.seat);
        }
        if http.parser.awaits_body() && !http.body_begun {
            http.body_begun = true;
            http.deadline = service.config.message_timeout_ms.after(now);
        }
        if bytes.capacity() > 4 * bytes.len() {
            // What remains of many requests.
            bytes = bytes.to_vec().into();
        }
        http.bytes = bytes;
    }

    /// Whether a request has been under way for too long although all of it that may have waited for us has been read.
    fn is_too_late(&mut self, service: &Service) -> bool {
        let Phase::Http(http) = &mut self.phase else {
            return false;
        };
        if !http.begun || self.flow.contains(Flow::KEPT) || http.deadline > service.now {
            http.late_visits = 0;
            return false;
        }
        http.late_visits += 1;
        // As much as may be held of it: a peer that sends without an end is not waited for without one.
        let visits = limits(service).max_held() / READ_BYTES_KEPT + 1;
        http.late_visits as usize > visits
    }

    /// Answers the whole requests in `bytes`, up to one that ends HTTP on this connection or after
    /// which it has to be paused.
    fn answer_requests(
        &mut self,
        service: &mut Service,
        peer: Peer<'_>,
        bytes: &[u8],
        consumed: &mut usize,
    ) -> Next {
        let limits = limits(service);
        self.flow.remove(Flow::KEPT);
        loop {
            if let Some(next) = self.go_on_with_body(service) {
                return next;
            }
            if *consumed == bytes.len() {
                return Next::Stay;
            }
            if self.outbox.private_bytes() > service.outbox_limit() {
                // It asks without reading the answers.
                self.pause(service.now, Flow::OUTBOX_FULL);
                self.outbox.shrink();
            }
            if self.has_to_stop(service) {
                return Next::Stay;
            }
            let Phase::Http(http) = &mut self.phase else {
                return Next::Stay;
            };
            let rest = &bytes[*consumed..];
            let mut slots = NO_HEADERS;
            let request = match http.parser.next_request(rest, &mut slots, &limits) {
                Progress::Request(request) => request,
                progress => return self.await_request(service, peer, progress, rest),
            };
            *consumed += request.consumed;
            service
                .allowance
                .charge(allowance::REQUEST + request.consumed);
            http.expect_next(service.config.http_idle_timeout_ms.after(service.now));
            match self.answer_request(service, peer, &request) {
                None => {}
                Some(Next::Wait) => {
                    // It is read once more, from its first byte, as if it had just come.
                    *consumed -= request.consumed;
                    self.flow.insert(Flow::KEPT);
                    self.pause(service.now, Flow::AWAITS);
                    return Next::Wait;
                }
                Some(next) => return next,
            }
        }
    }

    /// Whether it may go on neither with requests nor with an answer now: it is paused, or its visit has cost enough. It goes on later.
    pub(super) fn has_to_stop(&mut self, service: &Service) -> bool {
        let may_read = self.flow.may_read();
        if may_read && !service.allowance.is_spent() {
            return false;
        }
        self.flow.insert(Flow::KEPT);
        if may_read {
            self.flow.insert(Flow::HEAVY);
        }
        true
    }

    /// The request in `bytes` is not whole, or never will be.
    fn await_request(
        &mut self,
        service: &mut Service,
        peer: Peer<'_>,
        progress: Progress<'_>,
        bytes: &[u8],
    ) -> Next {
        let awaits_body = match &self.phase {
            Phase::Http(http) => http.parser.awaits_body(),
            _ => false,
        };
        match progress {
            Progress::Incomplete | Progress::ExpectContinue
                if self.seat == Seat::Lobby && awaits_body =>
            {
                // Whatever it is, it is refused: a body is not waited for.
                service.metrics.refused += 1;
                let response = full().for_head_request(is_head_request(bytes));
                self.respond(service, peer, &response, false);
                Next::Finish
            }
            Progress::ExpectContinue => {
                self.outbox.private().extend_from_slice(CONTINUE);
                Next::Stay
            }
            Progress::Refuse(response) => {
                self.respond(service, peer, &response, false);
                Next::Finish
            }
            Progress::Incomplete | Progress::Request(_) => Next::Stay,
        }
    }

    /// Answers one request, or sees to it that it is answered later. `None`: the next may follow.
    fn answer_request(
        &mut self,
        service: &mut Service,
        peer: Peer<'_>,
        request: &Request<'_>,
    ) -> Option<Next> {
        let may_keep_alive = request.keep_alive && self.seat.keeps_alive();
        match self.response_to(service, peer, request) {
            Ok(response) => {
                let keep_alive = may_keep_alive && !response.closes();
                self.respond(service, peer, &response, keep_alive);
                (!keep_alive).then_some(Next::Finish)
            }
            Err(Instead::Answer) => {
                self.await_answer(service.now, may_keep_alive);
                None
            }
            Err(Instead::Body(begun)) => {
                let (response, body) = *begun;
                let keep_alive = may_keep_alive && !response.closes();
                self.respond(service, peer, &response, keep_alive);
                self.begin_body(service, body, keep_alive);
                None
            }
            Err(Instead::Next(next)) => Some(next),
        }
    }

    /// The response to a request.
    ///
    /// # Errors
    /// What happens instead of a response that is there now.
    fn response_to(
        &mut self,
        service: &mut Service,
        peer: Peer<'_>,
        request: &Request<'_>,
    ) -> Result<Response, Instead> {
        let is_head = request.head.method == "HEAD";
        let client = service.gate.client(peer, &request.head);
        let is_admin = service.gate.is_admin(self.access.door);
        let site = Site {
            echo: service.config.echo,
            secure: self.carrier.is_encrypted() || client.is_https,
            admin: is_admin,
        };
        if let Some(resource) = admin::Resource::of(request, is_admin) {
            return self.look_inside(service, peer, &client, request, resource);
        }
        let Some(route) = self.seat.route(request, &site) else {
            service.metrics.refused += 1;
            return Ok(full().for_head_request(is_head));
        };
        let changes = matches!(
            route,
            Route::WebSocket(_) | Route::Ask(_, Method::Post | Method::Delete, _)
        );
        if let (Phase::Http(http), Route::WebSocket(_)) = (&mut self.phase, &route) {
            http.asks_upgrade = true;
        }
        let takes_page = self.takes_origin(service, &client, request);
        self.note_reader(request, takes_page);
        let checked = self
            .count_connection(service, peer, request)
            .and_then(|()| self.check_site(service, &client, request, takes_page || !changes));
        if let Err(response) = checked {
            return Ok(response.for_head_request(is_head));
        }
        match route {
            Route::Ask(resource, method, query) => {
                let asked = Asked {
                    request,
                    resource: &resource,
                    method,
                    query,
                };
                let response = self.ask(service, peer, &asked);
                response.map(|response| response.for_head_request(is_head))
            }
            Route::Answer(response) if is_health_check(request) && !is_admin => Ok(response),
            Route::Answer(response) => {
                let access = match is_admin {
                    true => match self.identify(service, peer, request) {
                        Ok(access) => access,
                        Err(unidentified) => {
                            let response = unidentified.response(service);
                            return response.ok_or(Instead::Next(Next::Wait));
                        }
                    },
                    false => Rc::clone(&self.access),
                };
                let counted = self.count_request(service, peer, request, &access);
                Ok(match counted {
                    Ok(()) => response,
                    Err(limited) => limited.for_head_request(is_head),
                })
            }
            Route::WebSocket(path) => self.open_socket(service, peer, request, path),
        }
    }

    /// Makes a WebSocket of the connection, if the handshake holds.
    fn open_socket(
        &mut self,
        service: &mut Service,
        peer: Peer<'_>,
        request: &Request<'_>,
        path: SocketPath,
    ) -> Result<Response, Instead> {
        let (open, barred) = match self.shake_hands(service, peer, request, path) {
            Ok(opened) => opened,
            Err(response) => return response.ok_or(Instead::Next(Next::Wait)),
        };
        let deflate = if open.deflate.is_some() {
            ", deflate"
        } else {
            ""
        };
        let (name, origins) = (open.speaker.name(), Origins(&request.head));
        let what = format_args!("opened a WebSocket ({name}{deflate}){origins}");
        service.note(self.who(peer), what);
        Err(Instead::Next(Next::Open(open, barred)))
    }

    /// The next request waits until the answer to this one is there: answers are in the order of requests.
    fn await_answer(&mut self, now: Millis, keep_alive: bool) {
        if let Phase::Http(http) = &mut self.phase {
            http.keep_alive_after_answer = Some(keep_alive);
            self.pause(now, Flow::AWAITS);
        }
    }

    /// Sends the answer that a request has waited for.
    pub(in crate::server) fn answer_late(
        &mut self,
        service: &mut Service,
        peer: Peer<'_>,
        response: &Response,
    ) {
        let Phase::Http(http) = &mut self.phase else {
            return;
        };
        let Some(keep_alive) = http.keep_alive_after_answer.take() else {
            return;
        };
        http.deadline = service.config.http_idle_timeout_ms.after(service.now);
        self.resume(service.now, Flow::AWAITS);
        let keep_alive = keep_alive && !response.closes();
        self.respond(service, peer, response, keep_alive);
        if !keep_alive {
            self.finish(service);
        }
    }

    /// Judges an opening handshake, and queues the answer and the first message if it holds.
    ///
    /// # Errors
    /// The response that says what is wrong with it; `None`: it waits for what says who sent it.
    fn shake_hands(
        &mut self,
        service: &mut Service,
        peer: Peer<'_>,
        request: &Request<'_>,
        path: SocketPath,
    ) -> Result<(Open, Option<Barred>), Option<Response>> {
        let terms = handshake::Terms {
            protocols: Speaker::protocols(path),
            deflate: service.config.deflate,
        };
        let accept = handshake::check(&request.head, &terms);
        let accept = accept.map_err(Response::from)?;
        let barred = self.admit(service, peer, request)?;
        handshake::write_accept(self.outbox.private(), &accept, None);
        let window = accept.deflate.map(Agreed::window);
        let speaker = Speaker::choose(path, accept.protocol);
        if speaker.greets(service, self.token, &self.access) {
            write_answer(
                &mut self.outbox,
                &service.text,
                window,
                &mut service.encoders,
            );
        }
        // The JSON parser would find bad UTF-8 too, but only when the message is whole.
        let check_utf8 = true;
        let endpoint = Endpoint::new(Role::Server, window.is_some(), check_utf8);
        let mut open = Open::new(endpoint, speaker, window);
        if let Some(doings) = self.doings(service, peer, request) {
            open.count(doings);
        }
        Ok((open, barred))
    }

    /// Says 503 to a request that is not whole, since all half-read input together is too much.
    pub(super) fn refuse_request(&mut self, service: &mut Service, peer: Peer<'_>) {
        let response = Response::problem(
            Status::UNAVAILABLE,
            "limit",
            "the server has too many half-read requests and messages at the moment",
        );
        let response = response.with_retry_after(1).closing();
        self.answer_unfinished(service, peer, response);
    }

    /// Says 408 to a request that was not whole in time.
    pub(super) fn request_timeout(&mut self, service: &mut Service, peer: Peer<'_>) {
        self.answer_unfinished(service, peer, Response::request_timeout());
    }

    /// Answers a request that is not whole, or is not to be dealt with, and waits for no more of it.
    pub(super) fn answer_unfinished(
        &mut self,
        service: &mut Service,
        peer: Peer<'_>,
        response: Response,
    ) {
        let is_head = match &self.phase {
            Phase::Http(http) => is_head_request(&http.bytes),
            _ => false,
        };
        self.respond(service, peer, &response.for_head_request(is_head), false);
        self.finish(service);
    }

    pub(super) fn respond(
        &mut self,
        service: &mut Service,
        peer: Peer<'_>,
        response: &Response,
        keep_alive: bool,
    ) {
        let status = response.status().0;
        let asks_upgrade = match &mut self.phase {
            Phase::Http(http) => std::mem::take(&mut http.asks_upgrade),
            _ => false,
        };
        service.metrics.respond(status, asks_upgrade);
        if status >= 400 {
            let what = format_args!("answered {status}, {}", Shown(response.body()));
            service.note(self.who(peer), what);
        }
        let date = service.date.at(service.now);
        let out = self.outbox.private();
        let reader = match &mut self.phase {
            Phase::Http(http) => http.reader.take(),
            _ => None,
        };
        match reader {
            Some(reader) => {
                let has_cookie = service.gate.token_cookie().is_some();
                readable(response.clone(), &reader, has_cookie).write(out, date, keep_alive);
            }
            None => response.write(out, date, keep_alive),
        }
    }
}
