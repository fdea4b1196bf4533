//! What was published, as a subscriber gets it.

use std::fmt;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;

use crate::dialect::json::Data;
use crate::hub;
use crate::words::Shown;

/// What was published.
///
/// `Display` shows JSON and texts as they are, with escapes in place of what steers a terminal, and bytes in base64.
///
/// ```
/// use fanfare::client::Payload;
///
/// let payload = Payload::Text("tea".to_owned());
/// assert_eq!((payload.as_bytes(), payload.as_str()), (&b"tea"[..], Some("tea")));
/// assert_eq!(payload.as_json(), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Payload {
    /// A JSON value as the publisher wrote it.
    Json(String),
    /// A text.
    Text(String),
    /// Any bytes.
    Bytes(Vec<u8>),
}

impl Payload {
    /// What stands in a message; nothing if that is not what its encoding wants.
    pub(super) fn read(data: Data<'_>) -> Option<Self> {
        Some(match data.payload()? {
            hub::Payload::Json(json) => Self::Json(str::from_utf8(json).ok()?.to_owned()),
            hub::Payload::Text(text) => Self::Text(text.into_owned()),
            hub::Payload::Bytes(bytes) => Self::Bytes(bytes.into_owned()),
        })
    }

    /// The bytes of the payload: of JSON and of a text its UTF-8.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Json(text) | Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }

    /// The characters of the payload, if it is JSON or a text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Json(text) | Self::Text(text) => Some(text),
            Self::Bytes(_) => None,
        }
    }

    /// The JSON value as the publisher wrote it, if the payload is one.
    pub fn as_json(&self) -> Option<&str> {
        match self {
            Self::Json(json) => Some(json),
            Self::Text(_) | Self::Bytes(_) => None,
        }
    }

    /// The text, if the payload was published as one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Json(_) | Self::Bytes(_) => None,
        }
    }

    /// How many bytes the payload has.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether the payload has no bytes.
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }

    /// Bytes of memory that it points to.
    pub(super) fn capacity(&self) -> usize {
        match self {
            Self::Json(text) | Self::Text(text) => text.capacity(),
            Self::Bytes(bytes) => bytes.capacity(),
        }
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(text) | Self::Text(text) => Shown::new(text, usize::MAX).fmt(f),
            Self::Bytes(bytes) => Base64Display::new(bytes, &STANDARD).fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::json::Encoding;

    fn read(encoding: Encoding, raw: &str) -> Option<Payload> {
        let raw = raw.as_bytes();
        Payload::read(Data { encoding, raw })
    }

    #[test]
    fn what_stands_in_a_message_is_read_as_its_encoding_says() {
        let json = read(Encoding::Json, "[0.10, 1]").expect("it is JSON");
        assert_eq!(json, Payload::Json("[0.10, 1]".to_owned()));
        let text = read(Encoding::Text, r#""a\n\"\u00e9\u0000""#).expect("it is a string");
        assert_eq!(text, Payload::Text("a\n\"é\0".to_owned()));
        let bytes = read(Encoding::Base64, "\"AP8=\"");
        assert_eq!(bytes, Some(Payload::Bytes(vec![0, 255])));
        assert_eq!(read(Encoding::Base64, "\"AP8\""), None, "without padding");
        assert_eq!(read(Encoding::Base64, "\"A P8=\""), None);
        assert_eq!(read(Encoding::Text, "7"), None);
    }

    #[test]
    fn a_payload_is_displayed_without_what_steers_a_terminal() {
        let shown = Payload::Text("\u{1b}[2J\u{7}".to_owned()).to_string();
        assert!(!shown.contains(char::is_control), "{shown:?}");
        assert_eq!(Payload::Bytes(vec![0, 255]).to_string(), "AP8=");
        assert_eq!(Payload::Json("[1, 2]".to_owned()).to_string(), "[1, 2]");
    }
}
