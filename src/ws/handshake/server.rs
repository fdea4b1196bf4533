//! The server's half of the opening handshake (RFC 6455 §4.2).

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::fields::{has_token, list, only, values};
use super::{AcceptKey, Head, accept_key};
use crate::ws::extension;

/// What this server offers to a client.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms<'t> {
    /// The sub-protocols it speaks; names are compared byte by byte.
    pub protocols: &'t [&'t str],
    /// Whether it compresses messages with a client that offers permessage-deflate (RFC 7692).
    pub deflate: bool,
}

/// A handshake that holds: what was agreed, for [`write_accept`] to say and for the connection to keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accept<'h, 't> {
    /// The value of `Sec-WebSocket-Accept`.
    pub key: AcceptKey,
    /// The sub-protocol: the first of the client's that is in [`Terms::protocols`], as it stands there. `None` where
    /// the client offered none at all; the response must not name one then.
    pub protocol: Option<&'t str>,
    /// The permessage-deflate that was agreed on, if it was.
    pub deflate: Option<extension::Agreed>,
    /// The `Origin` that a browser sent: the page that opened the connection. Handed on for policy, not judged here.
    pub origin: Option<&'h [u8]>,
}

/// A handshake that does not hold, and the HTTP response that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// 400, 405 or 426.
    pub status: u16,
    /// Header lines that this status owes, besides the usual ones.
    pub headers: &'static [(&'static str, &'static str)],
    /// One sentence for people, without a line's end.
    pub body: Cow<'static, str>,
}

/// Judges a client's opening handshake by RFC 6455 §4.2.1 and chooses by §4.2.2.
///
/// # Errors
/// A [`Refusal`]: 405 for a method other than GET, 426 without `Upgrade: websocket` or with another version than 13, and 400 for
/// HTTP/1.0, a body, `Host` not exactly once, `Connection` without `upgrade`, a key that is not 16 bytes of base64, and for
/// sub-protocols of which this server speaks none.
pub fn check<'h, 't>(head: &Head<'h>, terms: &Terms<'t>) -> Result<Accept<'h, 't>, Refusal> {
    let headers = head.headers;
    if head.method != "GET" {
        return Err(Refusal {
            status: 405,
            headers: &[("Allow", "GET")],
            body: "A WebSocket handshake is a GET request.".into(),
        });
    }
    if head.version_minor < 1 {
        return Err(bad_request("A WebSocket handshake needs HTTP/1.1."));
    }
    if only(headers, "Host").is_none_or(<[u8]>::is_empty) {
        return Err(bad_request("A request has exactly one Host header."));
    }
    if !has_token(headers, "Upgrade", "websocket") {
        return Err(upgrade_required(
            "This is a WebSocket: the request lacks \"Upgrade: websocket\".",
        ));
    }
    if !has_token(headers, "Connection", "upgrade") {
        return Err(bad_request(
            "A WebSocket handshake has \"Connection: Upgrade\".",
        ));
    }
    // The version before the key: another version may well have another kind of key.
    if only(headers, "Sec-WebSocket-Version") != Some(b"13") {
        return Err(upgrade_required(
            "This server speaks version 13 of the WebSocket protocol: \"Sec-WebSocket-Version: 13\".",
        ));
    }
    let key = only(headers, "Sec-WebSocket-Key").filter(|key| is_key(key));
    let Some(key) = key else {
        return Err(bad_request(
            "A WebSocket handshake has one Sec-WebSocket-Key, 16 bytes in base64.",
        ));
    };
    if has_body(head) {
        return Err(bad_request("A WebSocket handshake carries no body."));
    }
    let offers = values(headers, "Sec-WebSocket-Extensions");
    Ok(Accept {
        key: accept_key(key),
        protocol: choose_protocol(head, terms.protocols)?,
        deflate: terms
            .deflate
            .then(|| extension::negotiate(offers))
            .flatten(),
        origin: only(headers, "Origin"),
    })
}

/// Appends the `101` that agrees. `date`: the time as an HTTP date, for a caller that has a clock.
pub fn write_accept(out: &mut Vec<u8>, accept: &Accept<'_, '_>, date: Option<&str>) {
    out.extend_from_slice(
        b"HTTP/1.1 101 Switching Protocols\r\n\
          Upgrade: websocket\r\n\
          Connection: Upgrade\r\n\
          Sec-WebSocket-Accept: ",
    );
    out.extend_from_slice(&accept.key);
    if let Some(protocol) = accept.protocol {
        out.extend_from_slice(b"\r\nSec-WebSocket-Protocol: ");
        out.extend_from_slice(protocol.as_bytes());
    }
    if let Some(agreed) = accept.deflate {
        out.extend_from_slice(b"\r\nSec-WebSocket-Extensions: ");
        out.extend_from_slice(agreed.to_string().as_bytes());
    }
    if let Some(date) = date {
        out.extend_from_slice(b"\r\nDate: ");
        out.extend_from_slice(date.as_bytes());
    }
    out.extend_from_slice(b"\r\n\r\n");
}

/// Whether a `Sec-WebSocket-Key` is 16 bytes in base64.
fn is_key(text: &[u8]) -> bool {
    // `decode_slice` wants room by estimate, which is a little more than the 16 bytes of 24 characters.
    let mut bytes = [0; 18];
    text.len() == 24 && STANDARD.decode_slice(text, &mut bytes) == Ok(16)
}

/// A body would be taken for frames after the `101`, so a request that announces one is not let through.
fn has_body(head: &Head<'_>) -> bool {
    values(head.headers, "Content-Length").any(|len| len != b"0")
        || values(head.headers, "Transfer-Encoding").next().is_some()
}

/// The first sub-protocol of the client's, in its order of preference, that is known here.
fn choose_protocol<'t>(head: &Head<'_>, known: &'t [&'t str]) -> Result<Option<&'t str>, Refusal> {
    let mut offered = list(head.headers, "Sec-WebSocket-Protocol").peekable();
    if offered.peek().is_none() {
        return Ok(None);
    }
    let chosen = offered.find_map(|offer| known.iter().find(|name| name.as_bytes() == offer));
    match chosen {
        Some(&name) => Ok(Some(name)),
        None if known.is_empty() => Err(bad_request(
            "This server speaks no sub-protocol here: offer none.",
        )),
        None => Err(bad_request(format!(
            "This server speaks none of the offered sub-protocols. Known: {}.",
            known.join(", ")
        ))),
    }
}

fn bad_request(body: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal {
        status: 400,
        headers: &[],
        body: body.into(),
    }
}

/// RFC 9110 §15.5.22 wants `Upgrade` in a 426, RFC 6455 §4.4 the version.
fn upgrade_required(body: &'static str) -> Refusal {
    Refusal {
        status: 426,
        headers: &[("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")],
        body: body.into(),
    }
}

#[cfg(test)]
mod tests;
