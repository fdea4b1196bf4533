//! Replies and events as JSON text, appended to a buffer. No WebSocket framing, except
//! for [`MessageFrame`], which is what a channel's log holds.
//!
//! Nothing here allocates but the buffer itself when it has to grow.

use std::str;

use crate::channel::topic::Topic;
use crate::hub::{Frame, Parts, Place};
use crate::ws::frame::{Opcode, header_len, parse_header, write_header};

use super::data::unescaped;
use super::{Data, Encoding, ErrorReply, Id, SUB_PROTOCOL};

/// The first message on a connection.
#[derive(Clone, Copy, Debug)]
pub struct Welcome<'a> {
    /// Name and version of the server: `fanfare/0.1.0`.
    pub server: &'a str,
    /// A name for this connection, for people who read logs.
    pub session: &'a str,
    /// The longest message that the server takes, in bytes.
    pub max_message: u64,
    /// The optional parts of the protocol that the server has.
    pub features: &'a [&'a str],
    /// What the client is known as, if the handshake said so.
    pub subject: Option<&'a str>,
    /// When that ends, in seconds since 1970, if it does.
    pub expires: Option<u64>,
}

/// Appends a `welcome`.
pub fn welcome(out: &mut Vec<u8>, welcome: &Welcome<'_>) {
    open(out, "welcome");
    text_member(out, "protocol", SUB_PROTOCOL);
    text_member(out, "server", welcome.server);
    text_member(out, "session", welcome.session);
    number_member(out, "max_message", welcome.max_message);
    key(out, "features");
    out.push(b'[');
    for (index, feature) in welcome.features.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        string(out, feature);
    }
    out.push(b']');
    if let Some(subject) = welcome.subject {
        text_member(out, "subject", subject);
    }
    if let Some(expires) = welcome.expires {
        number_member(out, "expires", expires);
    }
    out.push(b'}');
}

/// Appends an `authenticated`: the client is `subject` until `expires`, in seconds since 1970, or for as long as it stays.
pub fn authenticated(out: &mut Vec<u8>, id: Option<Id<'_>>, subject: &str, expires: Option<u64>) {
    open(out, "authenticated");
    id_member(out, id);
    text_member(out, "subject", subject);
    if let Some(expires) = expires {
        number_member(out, "expires", expires);
    }
    out.push(b'}');
}

/// Appends a `subscribed`. `seq` is the newest message's, 0 when there was none yet;
/// `recovered` is given where the request had `since`.
pub fn subscribed(
    out: &mut Vec<u8>,
    id: Option<Id<'_>>,
    topic: Topic<'_>,
    epoch: &str,
    seq: u64,
    recovered: Option<bool>,
) {
    open(out, "subscribed");
    id_member(out, id);
    topic_member(out, topic);
    text_member(out, "epoch", epoch);
    number_member(out, "seq", seq);
    if let Some(recovered) = recovered {
        key(out, "recovered");
        out.extend_from_slice(if recovered { b"true" } else { b"false" });
    }
    out.push(b'}');
}

/// Appends an `unsubscribed`.
pub fn unsubscribed(out: &mut Vec<u8>, id: Option<Id<'_>>, topic: Topic<'_>) {
    open(out, "unsubscribed");
    id_member(out, id);
    topic_member(out, topic);
    out.push(b'}');
}

/// Appends an `unsubscribed` that nobody asked for: the server has ended the subscription, for this reason.
pub fn subscription_ended(out: &mut Vec<u8>, topic: Topic<'_>, reason: &str) {
    open(out, "unsubscribed");
    topic_member(out, topic);
    text_member(out, "reason", reason);
    out.push(b'}');
}

/// Appends a `published`: the message became number `seq` of `epoch`. It is a `duplicate` where an earlier request with
/// the same key did that.
pub fn published(
    out: &mut Vec<u8>,
    id: Option<Id<'_>>,
    channel: &str,
    epoch: &str,
    seq: u64,
    duplicate: bool,
) {
    open(out, "published");
    id_member(out, id);
    text_member(out, "channel", channel);
    text_member(out, "epoch", epoch);
    number_member(out, "seq", seq);
    if duplicate {
        key(out, "duplicate");
        out.extend_from_slice(b"true");
    }
    out.push(b'}');
}

/// Appends a `pong`.
pub fn pong(out: &mut Vec<u8>, id: Option<Id<'_>>) {
    open(out, "pong");
    id_member(out, id);
    out.push(b'}');
}

/// Appends a `gap`: messages `from` to `to` of `epoch`, both included, will not come.
/// The reasons are `slow`, `expired` and `epoch`.
pub fn gap(out: &mut Vec<u8>, topic: Topic<'_>, epoch: &str, from: u64, to: u64, reason: &str) {
    open(out, "gap");
    topic_member(out, topic);
    text_member(out, "epoch", epoch);
    out.push(b',');
    gap_members(out, from, to, reason);
    out.push(b'}');
}

/// Appends the members that say what is missing, and why, without a comma before them.
pub(crate) fn gap_members(out: &mut Vec<u8>, from: u64, to: u64, reason: &str) {
    out.extend_from_slice(b"\"from\":");
    number(out, from);
    number_member(out, "to", to);
    text_member(out, "reason", reason);
}

/// Appends an `error`.
pub fn error(out: &mut Vec<u8>, error: &ErrorReply<'_>) {
    open(out, "error");
    id_member(out, error.id);
    if let Some(topic) = error.topic {
        topic_member(out, topic);
    }
    text_member(out, "code", error.code.as_str());
    text_member(out, "message", &error.message);
    if let Some(offset) = error.offset {
        number_member(out, "offset", offset as u64);
    }
    if let Some(wait) = error.retry_after_ms {
        number_member(out, "retry_after_ms", wait);
    }
    out.push(b'}');
}

/// Appends a `goodbye`: the connection is about to be closed, as planned.
pub fn goodbye(out: &mut Vec<u8>, reason: &str, reconnect_after_ms: u64) {
    open(out, "goodbye");
    text_member(out, "reason", reason);
    number_member(out, "reconnect_after_ms", reconnect_after_ms);
    out.push(b'}');
}

const MESSAGE: &[u8] = br#"{"type":"message","channel":"#;
const PATTERN_MESSAGE: &[u8] = br#"{"type":"message","pattern":"#;
const CHANNEL: &[u8] = br#","channel":"#;
const SEQ: &[u8] = br#","seq":"#;
const CHANNEL_SEQ: &[u8] = br#","channel_seq":"#;
const ENCODING: &[u8] = br#","encoding":""#;
const DATA: &[u8] = br#","data":"#;
const END: &[u8] = b"}";

/// A publication as every plain-JSON subscriber of its channel, or of a pattern, gets it: one unmasked, final WebSocket text
/// frame (RFC 6455 §5.2) with the `message` in it.
#[derive(Clone, Copy, Debug)]
pub struct MessageFrame<'a> {
    channel: &'a str,
    data: Data<'a>,
    /// The channel's length as a JSON string.
    quoted_len: usize,
}

impl<'a> MessageFrame<'a> {
    /// Of a channel's name and what was published there, which stands in the frame as it is.
    pub fn new(channel: &'a str, data: Data<'a>) -> Self {
        Self {
            channel,
            data,
            quoted_len: quoted_len(channel),
        }
    }

    /// Appends the `message` alone, without the frame around it.
    #[inline]
    pub fn write_text(&self, place: Place<'_>, out: &mut Vec<u8>) {
        match place {
            Place::Channel { seq } => {
                out.extend_from_slice(MESSAGE);
                self.write_channel(out);
                out.extend_from_slice(SEQ);
                number(out, seq);
            }
            Place::Pattern {
                pattern,
                seq,
                channel_seq,
            } => {
                out.extend_from_slice(PATTERN_MESSAGE);
                string(out, pattern);
                out.extend_from_slice(SEQ);
                number(out, seq);
                out.extend_from_slice(CHANNEL);
                self.write_channel(out);
                out.extend_from_slice(CHANNEL_SEQ);
                number(out, channel_seq);
            }
        }
        data_members(out, self.data);
        out.extend_from_slice(END);
    }

    #[inline]
    fn write_channel(&self, out: &mut Vec<u8>) {
        if self.quoted_len == self.channel.len() + 2 {
            out.push(b'"');
            out.extend_from_slice(self.channel.as_bytes());
            out.push(b'"');
        } else {
            string(out, self.channel);
        }
    }

    #[inline]
    fn payload_len(&self, place: Place<'_>) -> usize {
        const FIXED: usize = MESSAGE.len() + SEQ.len() + DATA.len() + END.len();
        const PATTERN_FIXED: usize = PATTERN_MESSAGE.len()
            + SEQ.len()
            + CHANNEL.len()
            + CHANNEL_SEQ.len()
            + DATA.len()
            + END.len();
        let envelope = match place {
            Place::Channel { seq } => FIXED + digits(seq),
            Place::Pattern {
                pattern,
                seq,
                channel_seq,
            } => PATTERN_FIXED + quoted_len(pattern) + digits(seq) + digits(channel_seq),
        };
        let encoding = self.data.encoding.as_str();
        let encoding = encoding.map_or(0, |name| ENCODING.len() + name.len() + 1);
        envelope + self.quoted_len + encoding + self.data.raw.len()
    }
}

/// Appends the members that say what was published: `encoding` where it is no JSON, and `data`.
#[inline]
pub(crate) fn data_members(out: &mut Vec<u8>, data: Data<'_>) {
    if let Some(encoding) = data.encoding.as_str() {
        out.extend_from_slice(ENCODING);
        out.extend_from_slice(encoding.as_bytes());
        out.push(b'"');
    }
    out.extend_from_slice(DATA);
    out.extend_from_slice(data.raw);
}

/// How many digits a number has.
fn digits(number: u64) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

impl Frame for MessageFrame<'_> {
    #[inline]
    fn len(&self, place: Place<'_>) -> usize {
        let payload = self.payload_len(place);
        header_len(payload, false) + payload
    }

    #[inline]
    fn write(&self, place: Place<'_>, out: &mut Vec<u8>) {
        let payload = self.payload_len(place);
        write_header(out, true, false, Opcode::Text, payload, None);
        self.write_text(place, out);
    }
}

/// What a frame says that [`MessageFrame`] wrote; nothing if it is another's.
pub fn read_frame(frame: &[u8]) -> Option<Parts<'_>> {
    let (channel, seq, data) = take_frame(frame)?;
    Some(Parts {
        channel: unescaped(channel)?,
        seq,
        payload: data.payload()?,
    })
}

/// The data of a frame that [`MessageFrame`] wrote; nothing if it is another's.
pub fn data_of_frame(frame: &[u8]) -> Option<Data<'_>> {
    take_frame(frame).map(|(_, _, data)| data)
}

/// The channel of a frame as it is written there, its number in that channel, and its data.
fn take_frame(frame: &[u8]) -> Option<(&[u8], u64, Data<'_>)> {
    let (header, header_len) = parse_header(frame).ok()??;
    let text = frame.get(header_len..)?;
    // What is cut off may end as a whole message does.
    if header.len != text.len() as u64 {
        return None;
    }
    let (channel, seq, rest) = match text.strip_prefix(MESSAGE) {
        Some(rest) => {
            let (channel, rest) = take_string(rest)?;
            let (seq, rest) = take_number(rest.strip_prefix(SEQ)?)?;
            (channel, seq, rest)
        }
        None => {
            let (_, rest) = take_string(text.strip_prefix(PATTERN_MESSAGE)?)?;
            let (_, rest) = take_number(rest.strip_prefix(SEQ)?)?;
            let (channel, rest) = take_string(rest.strip_prefix(CHANNEL)?)?;
            let (seq, rest) = take_number(rest.strip_prefix(CHANNEL_SEQ)?)?;
            (channel, seq, rest)
        }
    };
    let (encoding, rest) = match rest.strip_prefix(ENCODING) {
        None => (Encoding::Json, rest),
        Some(rest) => {
            let (name, rest) = rest.split_at(memchr::memchr(b'"', rest)?);
            (Encoding::named(name)?, rest.strip_prefix(b"\"")?)
        }
    };
    let raw = rest.strip_prefix(DATA)?.strip_suffix(END)?;
    Some((channel, seq, Data { encoding, raw }))
}

/// A string at the beginning of `text`, without its quotes and as it is written, and what is behind it.
fn take_string(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let string = text.strip_prefix(b"\"")?;
    let mut end = 0;
    loop {
        match string.get(end)? {
            b'"' => return Some((&string[..end], &string[end + 1..])),
            b'\\' => end += 2,
            _ => end += 1,
        }
    }
}

/// A number at the beginning of `text`, and what is behind it.
fn take_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at(digits);
    Some((str::from_utf8(number).ok()?.parse().ok()?, rest))
}

/// Begins an object with its `type`, which needs no escapes.
pub(super) fn open(out: &mut Vec<u8>, kind: &str) {
    out.extend_from_slice(br#"{"type":""#);
    out.extend_from_slice(kind.as_bytes());
    out.push(b'"');
}

/// A comma and a key, which needs no escapes.
pub(super) fn key(out: &mut Vec<u8>, key: &str) {
    out.extend_from_slice(br#",""#);
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(br#"":"#);
}

pub(crate) fn text_member(out: &mut Vec<u8>, name: &str, text: &str) {
    key(out, name);
    string(out, text);
}

pub(crate) fn number_member(out: &mut Vec<u8>, name: &str, value: u64) {
    key(out, name);
    number(out, value);
}

/// `channel` or `pattern`, with its text.
pub(super) fn topic_member(out: &mut Vec<u8>, topic: Topic<'_>) {
    text_member(out, topic.kind(), topic.text());
}

fn id_member(out: &mut Vec<u8>, id: Option<Id<'_>>) {
    if let Some(id) = id {
        key(out, "id");
        out.extend_from_slice(id.as_bytes());
    }
}

pub(crate) fn number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// The escapes of two bytes: what stands for a byte behind a backslash.
const SHORT: [(u8, u8); 7] = [
    (b'"', b'"'),
    (b'\\', b'\\'),
    (b'\n', b'n'),
    (b'\r', b'r'),
    (b'\t', b't'),
    (0x08, b'b'),
    (0x0C, b'f'),
];

/// How a byte stands in a JSON string: 0 as it is, 2 behind a backslash, 6 as `\u00XX`.
static ESCAPED_LEN: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = 6;
        byte += 1;
    }
    let mut short = 0;
    while short < SHORT.len() {
        table[SHORT[short].0 as usize] = 2;
        short += 1;
    }
    table
};

/// The length of `text` as [`string`] writes it.
pub(super) fn quoted_len(text: &str) -> usize {
    let added: usize = text
        .bytes()
        .map(|byte| usize::from(ESCAPED_LEN[usize::from(byte)]).saturating_sub(1))
        .sum();
    text.len() + added + 2
}

/// Appends `text` as a JSON string, with no more and no longer escapes than JSON demands.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest
        .iter()
        .position(|&byte| ESCAPED_LEN[usize::from(byte)] != 0)
    {
        let (plain, escaped) = rest.split_at(at);
        out.extend_from_slice(plain);
        // `position` found a byte, so `escaped` begins with it.
        let byte = escaped[0];
        match SHORT.iter().find(|(stands_for, _)| *stands_for == byte) {
            Some(&(_, letter)) => out.extend_from_slice(&[b'\\', letter]),
            None => {
                let [high, low] = [byte >> 4, byte & 15].map(|half| HEX[usize::from(half)]);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
            }
        }
        rest = &escaped[1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

#[cfg(test)]
mod tests;
