//! Plain HTTP/1.1 (RFC 9110, RFC 9112) without sockets: bytes in, requests out, responses as bytes.
//!
//! A WebSocket starts life as an HTTP request, so whatever talks to the port talks to this part first: browsers that
//! want the page at `/`, probes that ask for `/healthz`, `curl` that publishes, and the handshakes themselves.
//!
//! What it promises:
//! - Nothing is guessed about where a request ends. A head that two readers could cut differently (two lengths, a
//!   length beside a transfer coding, a bare CR or LF, folded lines) is refused and the connection closed, because
//!   behind a proxy such a guess is how requests are smuggled (RFC 9112 §11.2).
//! - The work is linear in the bytes received, however slowly they come, and bounded by [`HttpLimits`].
//! - No input makes it panic.
//!
//! What it knows nothing about: sockets, clocks (the `Date` is handed in), what a channel is, and what the WebSocket
//! handshake requires beyond being asked for: [`Route::WebSocket`] says "check it there".
//!
//! There is no CORS here: no response carries `Access-Control-*`, and a preflight is answered without them. The server adds
//! that, since it knows which pages may read a response.

mod body;
mod fields;
mod page;
mod query;
mod request;
mod response;
mod routes;
mod target;
#[cfg(test)]
mod tests;

pub use crate::ws::handshake::{Head, Header};
pub use query::Query;
pub use request::{HeaderSlots, HttpParser, NO_HEADERS, Progress, Request, is_head_request};
pub use response::{
    CONTINUE, ContentType, LAST_CHUNK, Response, Status, write_chunk, write_published,
};
pub(crate) use routes::check_method;
pub use routes::{Method, Resource, Route, Site, SocketPath, is_health_check, route};
pub use target::Target;
pub(crate) use target::percent_decode;

/// How large a request may be before it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpLimits {
    /// Bytes of the head: request line, fields and the empty line that ends them. A request line alone over it is
    /// answered with 414, a longer head with 431.
    pub max_head: usize,
    /// Bytes of the body after any transfer coding is taken off; over it is answered with 413.
    pub max_body: usize,
    /// The same of a body that has many publications in it ([`Resource::Publish`]).
    pub max_batch: usize,
}

impl HttpLimits {
    /// The default of [`HttpLimits::max_head`]: 8 KiB.
    pub const DEFAULT_MAX_HEAD: usize = 8 * 1024;

    /// Those of a request for `target`.
    fn of(&self, target: Target<'_>) -> Self {
        let max_body = match routes::is_batch(target) {
            true => self.max_batch,
            false => self.max_body,
        };
        Self { max_body, ..*self }
    }

    /// The most bytes that the caller ever has to hold for one request: beyond it [`HttpParser`] refuses rather than
    /// ask for more. A chunked body may carry as much framing as body and a head's worth on top, and a trailer field
    /// counts only when it is whole.
    pub fn max_held(&self) -> usize {
        let heads = self.max_head.saturating_mul(3);
        let bodies = self.max_body.max(self.max_batch).saturating_mul(2);
        heads
            .saturating_add(bodies)
            .saturating_add(request::MAX_EMPTY_LINES * 2)
    }
}
