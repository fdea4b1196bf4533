//! Requests as JSON text, for clients: appended to a buffer, without WebSocket framing.
//!
//! Ids are numbers here, up to [`MAX_WHOLE_NUMBER`](super::MAX_WHOLE_NUMBER): a client
//! that makes its own needs no strings.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::channel::topic::Topic;
use crate::hub::Start;

use super::Data;
use super::encode::{data_members, key, number_member, open, string, text_member, topic_member};

/// Appends a `subscribe`. Of patterns the protocol has those of parts only.
pub fn subscribe<'a>(
    out: &mut Vec<u8>,
    id: Option<u64>,
    topic: impl Into<Topic<'a>>,
    start: &Start<'_>,
) {
    begin(out, "subscribe", id);
    topic_member(out, topic.into());
    match *start {
        Start::Live => {}
        Start::Since { epoch, seq } => {
            key(out, "since");
            out.extend_from_slice(br#"{"epoch":"#);
            string(out, epoch);
            number_member(out, "seq", seq);
            out.push(b'}');
        }
        Start::Last(count) => number_member(out, "last", count),
    }
    out.push(b'}');
}

/// Appends an `unsubscribe`.
pub fn unsubscribe<'a>(out: &mut Vec<u8>, id: Option<u64>, topic: impl Into<Topic<'a>>) {
    begin(out, "unsubscribe", id);
    topic_member(out, topic.into());
    out.push(b'}');
}

/// Appends a `publish`. `data` is not checked here, and neither is the length of the key.
pub fn publish(
    out: &mut Vec<u8>,
    id: Option<u64>,
    channel: &str,
    data: Data<'_>,
    publication_key: Option<&str>,
) {
    begin(out, "publish", id);
    text_member(out, "channel", channel);
    if let Some(text) = publication_key {
        text_member(out, "key", text);
    }
    data_members(out, data);
    out.push(b'}');
}

/// A text as `data` has it with the encoding `text`.
pub fn text_data(text: &str) -> Vec<u8> {
    let mut data = Vec::with_capacity(text.len() + 2);
    string(&mut data, text);
    data
}

/// Bytes as `data` has them with the encoding `base64`.
pub fn bytes_data(bytes: &[u8]) -> Vec<u8> {
    let mut data = String::from("\"");
    STANDARD.encode_string(bytes, &mut data);
    data.push('"');
    data.into_bytes()
}

/// Appends an `auth`.
pub fn auth(out: &mut Vec<u8>, id: Option<u64>, token: &str) {
    begin(out, "auth", id);
    text_member(out, "token", token);
    out.push(b'}');
}

/// Appends a `ping`.
pub fn ping(out: &mut Vec<u8>, id: Option<u64>) {
    begin(out, "ping", id);
    out.push(b'}');
}

fn begin(out: &mut Vec<u8>, kind: &str, id: Option<u64>) {
    open(out, kind);
    if let Some(id) = id {
        number_member(out, "id", id);
    }
}
