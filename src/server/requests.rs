//! HTTP requests on a connection: the bytes that wait for a whole one, and what is done about it.

use super::connection::{Connection, Dialect, Open, Phase};
use super::http::{
    CONTINUE, HttpLimits, HttpParser, NO_HEADERS, Progress, Response, Route, Site, Status, route,
};
use super::session::Core;
use super::timers::Millis;
use super::{Server, queue_visit, subscriber};
use crate::hub::Encoding;
use crate::ws::deflate::WindowBits;
use crate::ws::endpoint::PADDING;

/// What a connection keeps while it speaks HTTP.
#[derive(Debug)]
pub(super) struct HttpConnection {
    parser: HttpParser,
    /// What came of a request that is not whole yet; empty where nothing did.
    bytes: Vec<u8>,
    /// When the request has to be whole, or the next one to begin.
    pub(super) deadline: Millis,
    /// Whether a request has begun that is not whole.
    pub(super) begun: bool,
    /// Whether the head of that request is whole.
    body_begun: bool,
    /// Whether whole requests wait that were not looked at for want of room for their answers.
    pub(super) waiting: bool,
}

impl HttpConnection {
    pub(super) fn new(deadline: Millis) -> Self {
        HttpConnection {
            parser: HttpParser::new(),
            bytes: Vec::new(),
            deadline,
            begun: false,
            body_begun: false,
            waiting: false,
        }
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.bytes.capacity()
    }
}

/// What is to become of a connection after its requests were looked at.
enum Next {
    /// It stays with HTTP.
    Stay,
    /// The answer was its last.
    Finish,
    /// It is a WebSocket from the byte after what was consumed on.
    Open(Open),
}

impl Server {
    /// Goes on with a connection's requests: `buffer[..end]` came in after what it keeps.
    pub(super) fn http_input(&mut self, index: usize, buffer: &mut [u8], end: usize) {
        let connection = &mut self.connections[index];
        let Phase::Http(http) = &mut connection.phase else {
            return;
        };
        let mut kept = std::mem::take(&mut http.bytes);
        self.core.input_held -= kept.capacity();
        if kept.is_empty() {
            self.http_bytes(index, buffer, end);
        } else {
            kept.extend_from_slice(&buffer[..end]);
            let end = kept.len();
            // A handshake may have frames behind it, whose parser reads over the end.
            kept.resize(end + PADDING, 0);
            self.http_bytes(index, &mut kept, end);
        }
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        queue_visit(connection, &mut self.visits);
        let token = connection.token;
        self.schedule(token);
    }

    fn http_bytes(&mut self, index: usize, bytes: &mut [u8], end: usize) {
        let connection = &mut self.connections[index];
        let mut consumed = 0;
        match answer_requests(connection, &mut self.core, &bytes[..end], &mut consumed) {
            Next::Stay => self.keep_request(index, &bytes[consumed..end]),
            Next::Finish => self.finish(index),
            Next::Open(open) => {
                if open.dialect == Dialect::Json {
                    // The deflate logs have the largest window; who negotiated a smaller one gets
                    // broadcasts uncompressed, which is always legal (RFC 7692 §6).
                    let encoding = match open.deflate {
                        Some(WindowBits::MAX) => Encoding::Deflate,
                        _ => Encoding::Plain,
                    };
                    self.core.hub.attach(subscriber(index), encoding);
                }
                connection.phase = Phase::Open(open);
                self.core.metrics.upgraded += 1;
                self.ws_input(index, bytes, consumed, end);
            }
        }
    }

    /// Keeps the bytes of a request that is not whole.
    fn keep_request(&mut self, index: usize, bytes: &[u8]) {
        let now = self.core.now;
        let config = &self.core.config;
        let connection = &mut self.connections[index];
        let Phase::Http(http) = &mut connection.phase else {
            return;
        };
        if bytes.is_empty() {
            http.begun = false;
            return;
        }
        if !http.begun {
            http.begun = http.parser.has_begun(bytes);
            http.deadline = now + config.handshake_timeout_ms;
        }
        if http.parser.awaits_body() && !http.body_begun {
            http.body_begun = true;
            http.deadline = now + config.message_timeout_ms;
        }
        if self.core.input_held + bytes.len() > config.input_total {
            let response = Response::problem(
                Status::UNAVAILABLE,
                "limit",
                "too many half-read requests and messages at the moment",
            );
            respond(
                connection,
                &mut self.core,
                &response.with_retry_after(1).closing(),
                false,
            );
            self.finish(index);
            return;
        }
        http.bytes = bytes.to_vec();
        self.core.input_held += http.bytes.capacity();
    }

    /// Says 408 to a request that was not whole in time.
    pub(super) fn request_timeout(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        respond(
            connection,
            &mut self.core,
            &Response::request_timeout(),
            false,
        );
        self.finish(index);
    }
}

/// Answers the whole requests in `bytes`, up to one that ends HTTP on this connection.
fn answer_requests(
    connection: &mut Connection,
    core: &mut Core,
    bytes: &[u8],
    consumed: &mut usize,
) -> Next {
    let limits = HttpLimits {
        max_head: core.config.max_header,
        max_body: core.config.max_message,
    };
    let site = Site {
        echo: core.config.echo,
        secure: false,
    };
    while *consumed < bytes.len() {
        if connection.outbox.private_bytes() > core.config.outbox {
            // It asks without reading the answers.
            connection.paused.outbox = true;
        }
        let Phase::Http(http) = &mut connection.phase else {
            return Next::Stay;
        };
        http.waiting = connection.paused.outbox;
        if http.waiting {
            return Next::Stay;
        }
        let mut slots = NO_HEADERS;
        let request = match http
            .parser
            .next_request(&bytes[*consumed..], &mut slots, &limits)
        {
            Progress::Incomplete => return Next::Stay,
            Progress::ExpectContinue => {
                connection.outbox.private().extend_from_slice(CONTINUE);
                return Next::Stay;
            }
            Progress::Refuse(response) => {
                respond(connection, core, &response, false);
                return Next::Finish;
            }
            Progress::Request(request) => request,
        };
        *consumed += request.consumed;
        http.begun = false;
        http.body_begun = false;
        http.deadline = core.now + core.config.http_idle_timeout_ms;
        let response = match route(&request, &site) {
            Route::Answer(response) => response,
            Route::Publish { channel } => core.publish_body(&channel, &request.body),
            Route::WebSocket(path) => {
                match core.shake_hands(&request, path, &mut connection.outbox) {
                    Ok(open) => return Next::Open(open),
                    Err(response) => response,
                }
            }
        };
        let keep_alive = request.keep_alive && !response.closes();
        respond(connection, core, &response, keep_alive);
        if !keep_alive {
            return Next::Finish;
        }
    }
    Next::Stay
}

fn respond(connection: &mut Connection, core: &mut Core, response: &Response, keep_alive: bool) {
    core.metrics.requests += 1;
    let date = core.date.at(core.now);
    response.write(connection.outbox.private(), date, keep_alive);
}
