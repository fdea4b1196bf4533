//! Looking things up in a head's fields.

use super::{Head, Header};

/// The values of every field called `name`, in order.
pub(super) fn values<'a>(headers: &'a [Header<'a>], name: &str) -> impl Iterator<Item = &'a [u8]> {
    headers
        .iter()
        .filter(move |header| header.name.eq_ignore_ascii_case(name))
        .map(|header| header.value)
}

/// The members of the comma-separated list that all fields called `name` make together (RFC 9110 §5.6.1), trimmed and
/// without the empty ones.
pub(super) fn list<'a>(headers: &'a [Header<'a>], name: &str) -> impl Iterator<Item = &'a [u8]> {
    values(headers, name)
        .flat_map(|value| value.split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|member| !member.is_empty())
}

/// Whether the list in the fields called `name` has `token`, in any case.
pub(super) fn has_token(headers: &[Header<'_>], name: &str, token: &str) -> bool {
    list(headers, name).any(|member| member.eq_ignore_ascii_case(token.as_bytes()))
}

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
