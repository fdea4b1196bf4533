//! What a head's fields say.

use super::Head;
pub(super) use crate::ws::handshake::fields::{has_token, list, values};

/// Whether the client would go on after this request (RFC 9112 §9.3).
pub(super) fn keep_alive(head: &Head<'_>) -> bool {
    if has_token(head.headers, "Connection", "close") {
        return false;
    }
    head.version_minor >= 1 || has_token(head.headers, "Connection", "keep-alive")
}

/// Whether the request means to become a WebSocket, rightly or not.
///
/// A key without `Upgrade` counts: that is what is left of a handshake behind a proxy that was not told to forward the
/// hop-by-hop fields, and the handshake's refusal explains that better than a page would. `Upgrade: h2c` does not.
pub(super) fn wants_websocket(head: &Head<'_>) -> bool {
    has_token(head.headers, "Upgrade", "websocket")
        || values(head.headers, "Sec-WebSocket-Key").next().is_some()
}

/// Whether `Accept` names HTML. A client that takes anything (`*/*`, as `curl` does) is not asking for markup.
pub(super) fn accepts_html(head: &Head<'_>) -> bool {
    list(head.headers, "Accept").any(|range| {
        let mut parts = range.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let is_html = parts
            .next()
            .is_some_and(|media| media.eq_ignore_ascii_case(b"text/html"));
        is_html
            && !parts
                .any(|parameter| matches!(parameter, b"q=0" | b"q=0.0" | b"q=0.00" | b"q=0.000"))
    })
}
