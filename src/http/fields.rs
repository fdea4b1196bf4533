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

/// What of a WebSocket handshake a request has in it, rightly or not.
///
/// Only GET can become a WebSocket (RFC 6455 §4.1). Every other request is what it says it is, whatever its `Upgrade`: a
/// server may ignore that field (RFC 9110 §7.8), and some proxies put it into all that they forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Handshake {
    /// Nothing. `Upgrade: h2c` is none of our business.
    Nothing,
    /// `Upgrade: websocket` alone, which a proxy may have put there.
    Upgrade,
    /// `Sec-WebSocket-Key` or `Sec-WebSocket-Version`, which only a WebSocket client sends. If `Upgrade` is missing, a proxy did
    /// not forward it, and the refusal of the handshake explains that better than a page would.
    Fields,
}

impl Handshake {
    pub(super) fn of(head: &Head<'_>) -> Handshake {
        let has = |name| values(head.headers, name).next().is_some();
        if head.method != "GET" {
            Handshake::Nothing
        } else if has("Sec-WebSocket-Key") || has("Sec-WebSocket-Version") {
            Handshake::Fields
        } else if has_token(head.headers, "Upgrade", "websocket") {
            Handshake::Upgrade
        } else {
            Handshake::Nothing
        }
    }
}

/// Whether the body is coded: compressed, for instance.
pub(super) fn has_content_coding(head: &Head<'_>) -> bool {
    list(head.headers, "Content-Encoding").any(|coding| !coding.eq_ignore_ascii_case(b"identity"))
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
