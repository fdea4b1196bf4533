//! The client's half of the opening handshake (RFC 6455 §4.1).

mod answer;

use std::time::{Duration, SystemTime};
use std::{error, fmt};

pub use answer::{AnswerError, AnswerReader, Awaited, MAX_HEAD};

use super::fields::{has_token, list, only, values};
use super::{Header, ResponseHead, accept_key, base64_of};
use crate::words::{beginning, in_words, on_one_line};
use crate::ws::extension::{Answer, BadAnswer, Offer};

/// How much of a refusal's body an error carries, in bytes at most.
pub const MAX_BODY: usize = 1 << 10;
/// How much of a header's value an error carries, in bytes at most.
const MAX_VALUE: usize = 512;
/// How many bytes an error shows of a text that the server sent. All that a terminal could obey is escaped.
const MAX_SHOWN: usize = 200;

/// What a client asks for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'r> {
    /// The server's authority, as the URL has it: `example.org:8040`.
    pub host: &'r str,
    /// Path and query, beginning with `/`.
    pub target: &'r str,
    /// The sub-protocols offered, the best first.
    pub protocols: &'r [&'r str],
    /// The permessage-deflate offered, if any (RFC 7692).
    pub deflate: Option<Offer>,
    /// Further header lines: `Origin`, `Authorization`, cookies.
    pub headers: &'r [(&'r str, &'r str)],
}

/// What server and client agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed<'r> {
    /// One of [`Request::protocols`], as it stands there, or none.
    pub protocol: Option<&'r str>,
    /// What the server made of [`Request::deflate`]; `None` where it declined.
    pub deflate: Option<Answer>,
}

/// `Sec-WebSocket-Key`: 16 random bytes in base64 (RFC 6455 §4.1, 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key([u8; 24]);

impl Key {
    /// From 16 bytes that must be new and random for each connection.
    pub fn new(random: [u8; 16]) -> Self {
        Self(base64_of(&random))
    }
}

/// When a server that refuses asks to come back (RFC 9110 §10.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// After this long.
    Delay(Duration),
    /// At this time.
    At(SystemTime),
}

/// A request that cannot be sent: it would not be HTTP, or would contradict itself.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum RequestError {
    /// The host is empty or has characters that no host has.
    Host,
    /// The target does not begin with `/`, or has white space or other characters that must be escaped.
    Target,
    /// A sub-protocol is no token (RFC 9110 §5.6.2), or stands twice.
    Protocol,
    /// A header's name is no token, its value has control characters, or it is one that the handshake writes itself.
    Header,
}

/// A response that does not open a WebSocket, by the first thing wrong with it.
#[derive(Clone, PartialEq, Eq)]
pub enum HandshakeError {
    /// A status other than 101.
    Status {
        /// The status, 100 ..= 999.
        status: u16,
        /// `Retry-After`, where there is a readable one.
        retry_after: Option<RetryAfter>,
        /// `Location`, where the status is a redirection, its first 512 bytes. It is not followed.
        location: Option<String>,
        /// The beginning of the body, at most [`MAX_BODY`] bytes; what is not UTF-8 is replaced. It is
        /// empty, too, where a client tried again and was told the same as the time before.
        body: String,
    },
    /// The response is not HTTP/1.1.
    Version,
    /// `Upgrade` is missing or not `websocket`.
    Upgrade,
    /// `Connection` is missing or lacks `upgrade`.
    Connection,
    /// `Sec-WebSocket-Accept` is missing, repeated, or answers another key.
    Accept,
    /// A sub-protocol that was not asked for, or several: the header's value, its first 512 bytes.
    Protocol(String),
    /// An extension or a parameter that was not asked for, or lacks what was.
    Extension(BadAnswer),
}

/// Appends the opening handshake. `key` must be kept for [`check_response`].
///
/// # Errors
/// A [`RequestError`] for a part that cannot stand in it; nothing is appended then.
pub fn write_request(
    out: &mut Vec<u8>,
    request: &Request<'_>,
    key: &Key,
) -> Result<(), RequestError> {
    check_request(request)?;
    let mut put = |parts: &[&str]| {
        for part in parts {
            out.extend_from_slice(part.as_bytes());
        }
    };
    put(&["GET ", request.target, " HTTP/1.1\r\nHost: ", request.host]);
    put(&["\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13"]);
    for (i, protocol) in request.protocols.iter().enumerate() {
        let before = if i == 0 {
            "\r\nSec-WebSocket-Protocol: "
        } else {
            ", "
        };
        put(&[before, protocol]);
    }
    if let Some(offer) = &request.deflate {
        put(&["\r\nSec-WebSocket-Extensions: ", &offer.to_string()]);
    }
    for (name, value) in request.headers {
        put(&["\r\n", name, ": ", value]);
    }
    out.extend_from_slice(b"\r\nSec-WebSocket-Key: ");
    out.extend_from_slice(&key.0);
    out.extend_from_slice(b"\r\n\r\n");
    Ok(())
}

/// Judges the server's response by RFC 6455 §4.1. `body` is what has arrived after the head, as an [`AnswerReader`] gives it: shown
/// where the server refuses, frames where it agrees.
///
/// # Errors
/// A [`HandshakeError`] that names what was wrong. The connection must be closed then.
pub fn check_response<'r>(
    head: &ResponseHead<'_>,
    body: &[u8],
    request: &Request<'r>,
    key: &Key,
) -> Result<Agreed<'r>, HandshakeError> {
    let headers = head.headers;
    if head.status != 101 {
        return Err(refused(head, body));
    }
    if head.version_minor < 1 {
        return Err(HandshakeError::Version);
    }
    let upgrade = only(headers, "Upgrade");
    if upgrade.is_none_or(|upgrade| !upgrade.eq_ignore_ascii_case(b"websocket")) {
        return Err(HandshakeError::Upgrade);
    }
    if !has_token(headers, "Connection", "upgrade") {
        return Err(HandshakeError::Connection);
    }
    if only(headers, "Sec-WebSocket-Accept") != Some(accept_key(&key.0).as_slice()) {
        return Err(HandshakeError::Accept);
    }
    Ok(Agreed {
        protocol: agreed_protocol(headers, request.protocols)?,
        deflate: agreed_deflate(headers, request.deflate.as_ref())?,
    })
}

/// What the server made of the offer; any extension at all is too much where there was none.
fn agreed_deflate(
    headers: &[Header<'_>],
    offer: Option<&Offer>,
) -> Result<Option<Answer>, HandshakeError> {
    const NAME: &str = "Sec-WebSocket-Extensions";
    let answer = match offer {
        Some(offer) => offer.check_answer(values(headers, NAME)),
        None if list(headers, NAME).next().is_none() => Ok(None),
        None => Err(BadAnswer::NotOffered(joined(headers, NAME))),
    };
    answer.map_err(HandshakeError::Extension)
}

/// The sub-protocol that the server chose, if it chose one that was offered, and once.
fn agreed_protocol<'r>(
    headers: &[Header<'_>],
    offered: &[&'r str],
) -> Result<Option<&'r str>, HandshakeError> {
    const NAME: &str = "Sec-WebSocket-Protocol";
    if values(headers, NAME).next().is_none() {
        return Ok(None);
    }
    let chosen = only(headers, NAME);
    let known = offered.iter().find(|name| Some(name.as_bytes()) == chosen);
    match known {
        Some(&name) => Ok(Some(name)),
        None => Err(HandshakeError::Protocol(joined(headers, NAME))),
    }
}

fn refused(head: &ResponseHead<'_>, body: &[u8]) -> HandshakeError {
    let header = |name| only(head.headers, name).map(String::from_utf8_lossy);
    let redirects = (300..400).contains(&head.status);
    let location = header("Location").filter(|_| redirects);
    HandshakeError::Status {
        status: head.status,
        retry_after: header("Retry-After").and_then(|value| RetryAfter::parse(&value)),
        location: location.map(|location| beginning(&location, MAX_VALUE).to_owned()),
        body: beginning(&String::from_utf8_lossy(body), MAX_BODY).to_owned(),
    }
}

/// What all header lines called `name` say, for an error to show.
fn joined(headers: &[Header<'_>], name: &str) -> String {
    let values: Vec<_> = values(headers, name).map(String::from_utf8_lossy).collect();
    beginning(&values.join(", "), MAX_VALUE).to_owned()
}

/// What is sent was given by a program or a person: nothing of it may end a line or begin a header of its own.
fn check_request(request: &Request<'_>) -> Result<(), RequestError> {
    let visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if request.host.is_empty() || !visible(request.host) || request.host.contains(['/', '@']) {
        return Err(RequestError::Host);
    }
    if !request.target.starts_with('/') || !visible(request.target) || request.target.contains('#')
    {
        return Err(RequestError::Target);
    }
    for (i, protocol) in request.protocols.iter().enumerate() {
        if !is_token(protocol) || request.protocols[..i].contains(protocol) {
            return Err(RequestError::Protocol);
        }
    }
    let sound = |(name, value): &(&str, &str)| {
        let plain = value
            .bytes()
            .all(|byte| byte == b'\t' || !byte.is_ascii_control());
        is_token(name) && plain && !is_ours(name)
    };
    if request.headers.iter().all(sound) {
        Ok(())
    } else {
        Err(RequestError::Header)
    }
}

/// Header lines that the handshake writes itself, or that would give the request a body.
fn is_ours(name: &str) -> bool {
    const OURS: [&str; 5] = [
        "Host",
        "Upgrade",
        "Connection",
        "Content-Length",
        "Transfer-Encoding",
    ];
    const PREFIX: &str = "Sec-WebSocket-";
    OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours))
        || name
            .get(..PREFIX.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

/// RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_tchar)
}

impl RetryAfter {
    fn parse(value: &str) -> Option<Self> {
        if value.bytes().all(|byte| byte.is_ascii_digit()) {
            return value
                .parse()
                .ok()
                .map(|seconds| Self::Delay(Duration::from_secs(seconds)));
        }
        httpdate::parse_http_date(value).ok().map(Self::At)
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "the host is empty or has a character that no host has",
            Self::Target => {
                "the target must begin with / and have no white space or other unescaped character"
            }
            Self::Protocol => "a sub-protocol's name is no token, or stands twice",
            Self::Header => "a header is malformed, or one that the handshake writes itself",
        })
    }
}

impl error::Error for RequestError {}

in_words!(RequestError, HandshakeError);

/// What a refusal's body says to people: the `detail` of problem details (RFC 9457), else all of it.
fn words_of(body: &str) -> String {
    let detail = body
        .starts_with('{')
        .then(|| body.split_once("\"detail\":\""))
        .flatten();
    let Some((_, rest)) = detail else {
        return body.to_owned();
    };
    let mut words = String::new();
    let mut chars = rest.chars();
    // The end may be cut off.
    while let Some(char) = chars.next().filter(|char| *char != '"') {
        let escaped = (char == '\\').then(|| chars.next()).flatten();
        words.extend(
            match escaped {
                // All that a terminal could obey is escaped anyway.
                Some(escape @ ('n' | 'r' | 't' | 'b' | 'f' | 'u')) => [Some('\\'), Some(escape)],
                Some(escaped) => [Some(escaped), None],
                None => [Some(char), None],
            }
            .into_iter()
            .flatten(),
        );
    }
    words
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status {
                status,
                location: Some(location),
                ..
            } => write!(
                f,
                "the server redirects to {} (status {status}), and this client does not follow redirects by itself",
                on_one_line(location, MAX_SHOWN)
            ),
            Self::Status { status, body, .. } => {
                write!(f, "the server answered with status {status} instead of 101")?;
                match body.trim() {
                    "" => Ok(()),
                    body => write!(f, ": {}", on_one_line(&words_of(body), MAX_SHOWN)),
                }
            }
            Self::Version => f.write_str("the server's answer is not HTTP/1.1"),
            Self::Upgrade => f.write_str("the server's answer lacks \"Upgrade: websocket\""),
            Self::Connection => f.write_str("the server's answer lacks \"Connection: Upgrade\""),
            Self::Accept => f.write_str(
                "the server's Sec-WebSocket-Accept is missing or does not answer our key",
            ),
            Self::Protocol(name) => write!(
                f,
                "the server chose a sub-protocol that was not offered: \"{}\"",
                on_one_line(name, MAX_SHOWN)
            ),
            Self::Extension(bad) => {
                write!(
                    f,
                    "the server's Sec-WebSocket-Extensions does not answer our offer: {bad}"
                )
            }
        }
    }
}

impl error::Error for HandshakeError {}

#[cfg(test)]
mod tests;
