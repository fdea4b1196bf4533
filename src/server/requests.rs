//! HTTP requests on a connection: the bytes of an incomplete one, and the answer to a whole one.

use super::allowance;
use super::connection::{Connection, Dialect, Open, Phase};
use super::journal::Who;
use super::seats::{Seat, full};
use super::session::{Core, DEFLATE};
use super::timers::Millis;
use super::{Server, queue_visit, subscriber};
use crate::http::{
    CONTINUE, HttpLimits, HttpParser, NO_HEADERS, Progress, Response, Route, Site, Status,
    is_head_request,
};
use crate::hub::{ChannelId, Slot};
use crate::ws::deflate::WindowBits;

/// What a connection keeps while it speaks HTTP.
#[derive(Debug)]
pub(super) struct HttpConnection {
    parser: HttpParser,
    /// What came of a request that is not whole yet; empty where nothing did.
    bytes: Vec<u8>,
    /// When the request has to be whole, or the next one to begin.
    pub(super) deadline: Millis,
    /// Since when bytes of a request have been kept that is not whole.
    pub(super) since: Millis,
    /// Whether a request has begun that is not whole.
    pub(super) begun: bool,
    /// Whether the head of that request is whole.
    body_begun: bool,
    /// Whether requests wait that were not looked at: the connection is paused, or its visit has cost enough.
    pub(super) waiting: bool,
}

impl HttpConnection {
    pub(super) fn new(deadline: Millis) -> Self {
        HttpConnection {
            parser: HttpParser::new(),
            bytes: Vec::new(),
            deadline,
            since: 0,
            begun: false,
            body_begun: false,
            waiting: false,
        }
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.bytes.capacity() + self.parser.held_bytes()
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
            let consumed = self.http_bytes(index, buffer, end);
            self.keep_request(index, buffer[consumed..end].to_vec(), true);
        } else {
            kept.extend_from_slice(&buffer[..end]);
            let end = kept.len();
            let consumed = self.http_bytes(index, &mut kept, end);
            // Where nothing was consumed this copies nothing: a body may come byte by byte.
            kept.drain(..consumed);
            self.keep_request(index, kept, consumed > 0);
        }
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        connection.outbox.count(&mut self.core.outbox_bytes);
        queue_visit(connection, &mut self.visits);
        let token = connection.token;
        self.schedule(token);
    }

    /// Answers the requests in `bytes[..end]` and says how many of the bytes are done with.
    fn http_bytes(&mut self, index: usize, bytes: &mut [u8], end: usize) -> usize {
        let connection = &mut self.connections[index];
        self.accepting.seats.promote(connection);
        let mut progress = Answered::default();
        let held_before = connection.half_read_bytes();
        let next = answer_requests(connection, &mut self.core, &bytes[..end], &mut progress);
        // The bytes themselves are with us, but a chunked body grows in the parser as well.
        self.core.input_held = self.core.input_held - held_before + connection.half_read_bytes();
        if let Some(channel) = progress.congested {
            self.congested.push((channel, connection.token));
        }
        match next {
            Next::Stay => return progress.consumed,
            Next::Finish => self.finish(index),
            Next::Open(open) => {
                if open.dialect == Dialect::Json {
                    // The deflate slot has the largest window; who negotiated a smaller one gets
                    // broadcasts uncompressed, which is always legal (RFC 7692 §6).
                    let slot = match open.deflate {
                        Some(WindowBits::MAX) => DEFLATE,
                        _ => Slot::BASE,
                    };
                    let id = subscriber(index);
                    self.core.hub.attach(id, slot);
                    // Answers to earlier requests may have filled the socket.
                    self.core.hub.set_blocked(id, connection.is_blocked());
                }
                connection.phase = Phase::Open(open);
                self.core.metrics.upgraded += 1;
                self.first_ws_input(index, bytes, progress.consumed, end);
            }
        }
        end
    }

    /// Keeps the bytes of a request that is not whole, or was not looked at; `new` if it began in what came last.
    fn keep_request(&mut self, index: usize, mut bytes: Vec<u8>, new: bool) {
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
        if new {
            http.since = now;
        }
        if !http.begun && !http.waiting {
            http.begun = http.parser.has_begun(&bytes);
            http.deadline = self.core.head_deadline(connection.seat);
        }
        if http.parser.awaits_body() && !http.body_begun {
            http.body_begun = true;
            http.deadline = now + config.message_timeout_ms;
        }
        if bytes.capacity() > 4 * bytes.len() {
            // What remains of many requests.
            bytes.shrink_to_fit();
        }
        http.bytes = bytes;
        self.core.input_held += http.bytes.capacity();
    }

    /// Says 503 to a request that is not whole, since all half-read input together is too much.
    pub(super) fn refuse_request(&mut self, index: usize) {
        let response = Response::problem(
            Status::UNAVAILABLE,
            "limit",
            "the server has too many half-read requests and messages at the moment",
        );
        let connection = &mut self.connections[index];
        let is_head = asks_for_head(connection);
        let response = response.with_retry_after(1).closing();
        let response = response.for_head_request(is_head);
        respond(connection, &mut self.core, &response, false);
        self.finish(index);
    }

    /// Says 408 to a request that was not whole in time.
    pub(super) fn request_timeout(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        let is_head = asks_for_head(connection);
        let response = Response::request_timeout().for_head_request(is_head);
        respond(connection, &mut self.core, &response, false);
        self.finish(index);
    }
}

/// Whether the request that is not whole is for a head alone.
fn asks_for_head(connection: &Connection) -> bool {
    match &connection.phase {
        Phase::Http(http) => is_head_request(&http.bytes),
        _ => false,
    }
}

/// How far the answering of requests came.
#[derive(Debug, Default)]
struct Answered {
    /// Bytes of whole requests.
    consumed: usize,
    /// One of them published to this channel, which may take no more for now.
    congested: Option<ChannelId>,
}

/// Answers the whole requests in `bytes`, up to one that ends HTTP on this connection or after
/// which it has to be paused.
fn answer_requests(
    connection: &mut Connection,
    core: &mut Core,
    bytes: &[u8],
    answered: &mut Answered,
) -> Next {
    let limits = HttpLimits {
        max_head: core.config.max_header,
        max_body: core.config.max_message,
    };
    let site = Site {
        echo: core.config.echo,
        secure: false,
    };
    while answered.consumed < bytes.len() {
        if connection.outbox.private_bytes() > core.outbox_limit() {
            // It asks without reading the answers.
            connection.pause(core.now, |paused| paused.outbox = true);
            connection.outbox.shrink();
        }
        let is_paused = connection.paused.any();
        let Phase::Http(http) = &mut connection.phase else {
            return Next::Stay;
        };
        http.waiting = is_paused || core.allowance.is_spent();
        if http.waiting {
            connection.heavy |= !is_paused;
            return Next::Stay;
        }
        let mut slots = NO_HEADERS;
        let request =
            match http
                .parser
                .next_request(&bytes[answered.consumed..], &mut slots, &limits)
            {
                Progress::Incomplete | Progress::ExpectContinue
                    if connection.seat == Seat::Lobby && http.parser.awaits_body() =>
                {
                    // Whatever it is, it is refused: a body is not waited for.
                    core.metrics.refused += 1;
                    let is_head = is_head_request(&bytes[answered.consumed..]);
                    respond(connection, core, &full().for_head_request(is_head), false);
                    return Next::Finish;
                }
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
        answered.consumed += request.consumed;
        core.allowance.charge(allowance::REQUEST + request.consumed);
        http.begun = false;
        http.body_begun = false;
        http.deadline = core.now + core.config.http_idle_timeout_ms;
        let response = match core.route(connection.seat, &request, &site) {
            Route::Answer(response) => response,
            Route::Publish { channel } => {
                core.publish_body(&channel, &request.body, &mut answered.congested)
            }
            Route::WebSocket(path) => {
                match core.shake_hands(&request, path, connection.token, &mut connection.outbox) {
                    Ok(open) => {
                        let who = Who {
                            token: connection.token,
                            transport: &connection.transport,
                        };
                        core.note_opened(who, &request.head, &open);
                        return Next::Open(open);
                    }
                    Err(response) => response,
                }
            }
        };
        if answered.congested.is_some() {
            connection.pause(core.now, |paused| paused.congestion = true);
        }
        let keep_alive = request.keep_alive && !response.closes() && connection.seat.keeps_alive();
        respond(connection, core, &response, keep_alive);
        if !keep_alive {
            return Next::Finish;
        }
    }
    Next::Stay
}

fn respond(connection: &mut Connection, core: &mut Core, response: &Response, keep_alive: bool) {
    core.metrics.requests += 1;
    core.note_answer(connection.who(), response);
    let date = core.date.at(core.now);
    response.write(connection.outbox.private(), date, keep_alive);
}
