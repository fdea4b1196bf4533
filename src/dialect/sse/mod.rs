//! Server-Sent Events: what a log says as a stream of text, as a browser's `EventSource` reads it (HTML standard, §9.2).
//!
//! An event is a block of lines that ends with an empty one. Its `id` is `EPOCH:SEQ`, the place of the message in the log that
//! the stream is of: a client that comes back with it as `Last-Event-ID` goes on after that message. What was published stands
//! in lines of `data`: the payload in a channel's stream, `{"channel":…,"data":…}` in a pattern's. JSON is an event of the
//! default type, text one of the type `text`, bytes one of the type `base64`. What is missing is an event of the type `gap`.
//!
//! The format knows line breaks, not which ones: a client reads CR, LF and CR LF as LF. In JSON that changes nothing. A text with
//! a CR comes as `base64`, so that nobody gets another text than was published.

#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::json::encode::{gap_members, number, string};
use crate::channel::topic::Topic;
use crate::hub::{Gap, Parts, Payload};

/// The media type of a stream, which is UTF-8 by definition.
pub const MEDIA_TYPE: &str = "text/event-stream";

/// Appends what a stream begins with: after how many milliseconds a client that lost it comes back, and the place that the stream
/// begins after, where that is known. So a client that has had no event yet comes back to the right place, too.
pub fn opening(out: &mut Vec<u8>, retry_ms: u64, place: Option<(&str, u64)>) {
    out.extend_from_slice(b"retry: ");
    number(out, retry_ms);
    out.push(b'\n');
    if let Some((epoch, seq)) = place {
        id(out, epoch, seq);
    }
    out.push(b'\n');
}

/// Appends what a stream ends with: after how many milliseconds a client comes back, and why it ends, for people.
pub fn ending(out: &mut Vec<u8>, retry_ms: u64, why: &str) {
    out.extend_from_slice(b"retry: ");
    number(out, retry_ms);
    out.extend_from_slice(b"\n: ");
    out.extend_from_slice(why.as_bytes());
    out.extend_from_slice(b"\n\n");
}

/// Appends a comment, which a client passes over: it says that both are still there.
pub fn keep_alive(out: &mut Vec<u8>) {
    out.extend_from_slice(b":\n\n");
}

/// Appends what has the number `seq` in the log of `topic`.
pub fn message(out: &mut Vec<u8>, topic: Topic<'_>, epoch: &str, seq: u64, parts: &Parts<'_>) {
    id(out, epoch, seq);
    let is_pattern = topic.is_pattern();
    let kind = match &parts.payload {
        Payload::Json(_) => None,
        Payload::Text(text) if !is_pattern && text.contains('\r') => Some("base64"),
        Payload::Text(_) => Some("text"),
        Payload::Bytes(_) => Some("base64"),
    };
    if let Some(kind) = kind {
        event_type(out, kind);
    }
    if is_pattern {
        of_pattern(out, &parts.channel, &parts.payload);
    } else {
        match &parts.payload {
            Payload::Json(json) => data(out, json),
            Payload::Text(text) if text.contains('\r') => base64_data(out, text.as_bytes()),
            Payload::Text(text) => data(out, text.as_bytes()),
            Payload::Bytes(bytes) => base64_data(out, bytes),
        }
    }
    out.push(b'\n');
}

/// Appends a gap. Its `id` is the place of the last message that is missing, so that nobody is told of it twice.
pub fn gap(out: &mut Vec<u8>, gap: &Gap<'_>) {
    id(out, gap.epoch, gap.to);
    event_type(out, "gap");
    out.extend_from_slice(b"data: {\"epoch\":");
    string(out, gap.epoch);
    out.push(b',');
    gap_members(out, gap.from, gap.to, gap.reason.as_str());
    out.extend_from_slice(b"}\n\n");
}

/// The place that an `id` names, or a `since`: `EPOCH:SEQ`.
pub fn place(text: &str) -> Option<(&str, u64)> {
    let (epoch, seq) = text.rsplit_once(':')?;
    let is_number = !seq.is_empty() && seq.bytes().all(|byte| byte.is_ascii_digit());
    if epoch.is_empty() || !is_number {
        return None;
    }
    Some((epoch, seq.parse().ok()?))
}

/// Appends what a message of a pattern says.
fn of_pattern(out: &mut Vec<u8>, channel: &str, payload: &Payload<'_>) {
    out.extend_from_slice(b"data: {\"channel\":");
    string(out, channel);
    out.extend_from_slice(b",\"data\":");
    match payload {
        Payload::Json(json) => lines(out, json),
        Payload::Text(text) => string(out, text),
        Payload::Bytes(bytes) => {
            out.push(b'"');
            base64(out, bytes);
            out.push(b'"');
        }
    }
    out.extend_from_slice(b"}\n");
}

fn id(out: &mut Vec<u8>, epoch: &str, seq: u64) {
    out.extend_from_slice(b"id: ");
    out.extend_from_slice(epoch.as_bytes());
    out.push(b':');
    number(out, seq);
    out.push(b'\n');
}

fn event_type(out: &mut Vec<u8>, kind: &str) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(kind.as_bytes());
    out.push(b'\n');
}

/// Appends lines of `data` that say `payload`.
fn data(out: &mut Vec<u8>, payload: &[u8]) {
    out.extend_from_slice(b"data: ");
    lines(out, payload);
    out.push(b'\n');
}

/// Goes on with a line of `data`: each line break of `payload` begins a new one.
fn lines(out: &mut Vec<u8>, payload: &[u8]) {
    let mut rest = payload;
    while let Some(end) = memchr::memchr2(b'\r', b'\n', rest) {
        out.extend_from_slice(&rest[..end]);
        out.extend_from_slice(b"\ndata: ");
        let is_pair = rest[end..].starts_with(b"\r\n");
        rest = &rest[end + 1 + usize::from(is_pair)..];
    }
    out.extend_from_slice(rest);
}

fn base64_data(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(b"data: ");
    base64(out, bytes);
    out.push(b'\n');
}

fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    let begin = out.len();
    out.resize(begin + bytes.len().div_ceil(3) * 4, 0);
    // There is room for exactly what is written.
    let written = STANDARD.encode_slice(bytes, &mut out[begin..]);
    out.truncate(begin + written.unwrap_or_default());
}
