//! The `data` of a message, and what it stands for.

use std::borrow::Cow;
use std::str;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::decode::ValueDecoder;
use super::encode::{quoted_len, string};
use super::place::Text;
use super::unescape::in_place;
use crate::hub::Payload;

/// How `data` says what the payload is: the member `encoding`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Without the member: `data` is the payload, a JSON value.
    #[default]
    Json,
    /// `data` is a string: the payload's characters.
    Text,
    /// `data` is a string: the payload's bytes in base64 (RFC 4648 §4), padded.
    Base64,
}

impl Encoding {
    /// The member's value; none where the member is left out.
    pub const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Json => None,
            Self::Text => Some("text"),
            Self::Base64 => Some("base64"),
        }
    }

    /// The encoding that the member's value `name` stands for, if there is one.
    pub fn named(name: &[u8]) -> Option<Self> {
        let named = [Self::Text, Self::Base64];
        (named.into_iter()).find(|encoding| encoding.as_str().map(str::as_bytes) == Some(name))
    }
}

/// The `data` of a message as it stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data<'a> {
    /// How to read it.
    pub encoding: Encoding,
    /// One JSON value as it was written, without white space around it: a string unless the encoding is [`Encoding::Json`].
    pub raw: &'a [u8],
}

impl<'a> Data<'a> {
    /// A JSON value that is the payload.
    pub const fn json(raw: &'a [u8]) -> Self {
        Self {
            encoding: Encoding::Json,
            raw,
        }
    }

    /// Bytes that are published and come from elsewhere than a JSON `publish`. The `room` is where what has to be written
    /// anew stands; what it held before is gone.
    ///
    /// Valid JSON by the protocol's limits without white space around it is `data` as it is. Any other UTF-8 without NUL is
    /// a text, if that is no longer than base64; all else is base64. So [`payload`](Self::payload) gives the bytes back
    /// unchanged, and `data` is longer than they are by a third and 5 bytes at most.
    pub fn of_bytes(payload: &'a [u8], room: &'a mut Vec<u8>) -> Self {
        let json = ValueDecoder::new().decode(payload);
        if json.is_ok_and(|value| value.len() == payload.len()) {
            return Data::json(payload);
        }
        room.clear();
        let base64_len = 2 + payload.len().div_ceil(3) * 4;
        let encoding = match str::from_utf8(payload) {
            Ok(text) if !text.contains('\0') && quoted_len(text) <= base64_len => {
                room.reserve_exact(quoted_len(text));
                string(room, text);
                Encoding::Text
            }
            _ => {
                room.resize(base64_len, b'"');
                let digits = room.get_mut(1..base64_len - 1).unwrap_or_default();
                // There is room for all, so nothing is left out.
                let written = STANDARD.encode_slice(payload, digits);
                debug_assert_eq!(written, Ok(base64_len - 2), "no room for base64");
                Encoding::Base64
            }
        };
        Data {
            encoding,
            raw: room,
        }
    }

    /// What was published; nothing if `raw` is not what the encoding wants, which the decoders refuse.
    pub fn payload(self) -> Option<Payload<'a>> {
        Some(match self.encoding {
            Encoding::Json => Payload::Json(self.raw),
            Encoding::Text => Payload::Text(unescaped(self.quoted()?)?),
            Encoding::Base64 => {
                let text = unescaped(self.quoted()?)?;
                Payload::Bytes(Cow::Owned(STANDARD.decode(text.as_bytes()).ok()?))
            }
        })
    }

    /// What stands between the quotes.
    fn quoted(self) -> Option<&'a [u8]> {
        self.raw.strip_prefix(b"\"")?.strip_suffix(b"\"")
    }
}

/// What a good JSON string says, that is given without its quotes.
pub(super) fn unescaped(string: &[u8]) -> Option<Cow<'_, str>> {
    if memchr::memchr(b'\\', string).is_none() {
        return Some(Cow::Borrowed(str::from_utf8(string).ok()?));
    }
    let mut bytes = string.to_vec();
    let mut text = Text {
        start: 0,
        end: bytes.len(),
        escaped: true,
    };
    in_place(&mut bytes, &mut text);
    bytes.truncate(text.end);
    Some(Cow::Owned(String::from_utf8(bytes).ok()?))
}

#[cfg(test)]
mod tests;
