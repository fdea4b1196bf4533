//! Requests as JSON text, for clients: appended to a buffer, without WebSocket framing.
//!
//! Ids are numbers here, up to [`MAX_WHOLE_NUMBER`](super::MAX_WHOLE_NUMBER): a client
//! that makes its own needs no strings.

use crate::hub::Start;

use super::encode::{key, number_member, open, string, text_member};

/// Appends a `subscribe`.
pub fn subscribe(out: &mut Vec<u8>, id: Option<u64>, channel: &str, start: &Start<'_>) {
    begin(out, "subscribe", id);
    text_member(out, "channel", channel);
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
pub fn unsubscribe(out: &mut Vec<u8>, id: Option<u64>, channel: &str) {
    begin(out, "unsubscribe", id);
    text_member(out, "channel", channel);
    out.push(b'}');
}

/// Appends a `publish`. `data` is the text of one JSON value: it is not checked here.
pub fn publish(out: &mut Vec<u8>, id: Option<u64>, channel: &str, data: &[u8]) {
    begin(out, "publish", id);
    text_member(out, "channel", channel);
    key(out, "data");
    out.extend_from_slice(data);
    out.push(b'}');
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
