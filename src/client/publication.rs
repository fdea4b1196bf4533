//! What a program publishes.

use std::borrow::Cow;

use super::error::Invalid;
use super::feature::Features;
use super::payload::Payload;
use crate::dialect::json::{Data, Encoding, MAX_KEY_BYTES, request};

/// What a program publishes: JSON, a text or bytes, perhaps with a key.
///
/// What is not said to be a text or bytes is JSON: `"[1, 2]"` is the same as `Publication::json("[1, 2]")`.
///
/// ```no_run
/// use fanfare::client::{Client, Publication};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut client = Client::connect("ws://127.0.0.1:8040")?;
/// client.publish("prices", "[1, 2]")?;
/// client.publish("notes", Publication::text("two \"lines\"\nof text"))?;
/// client.publish("images", Publication::bytes([0, 1, 2]))?;
/// client.publish("orders", Publication::json(r#"{"oak":3}"#).with_key("order-17"))?;
/// # Ok(())
/// # }
/// ```
///
/// # Keys
///
/// A server publishes what has the same key on the same channel once within five minutes. It answers a repeat as it
/// answered the first one. So the client repeats a publication with a key by itself after a lost connection, before
/// anything new, and tells its fate once it is known. Only where that takes more than four minutes after it was sent first, or no
/// connection comes back, or the next server does not take it, since it is an older one or takes shorter requests only, it is unknown as that of any other publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication<'a> {
    encoding: Encoding,
    /// One JSON value; a JSON string unless the encoding is [`Encoding::Json`].
    raw: Cow<'a, [u8]>,
    key: Option<Cow<'a, str>>,
}

impl<'a> Publication<'a> {
    /// A JSON value of at most 63 levels, which is relayed as it is written. It is checked when it is published.
    pub fn json(json: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        Self::new(Encoding::Json, Cow::Borrowed(json.as_ref()))
    }

    /// A text. The server must have [`Feature::Encoding`](super::Feature::Encoding).
    pub fn text(text: impl AsRef<str>) -> Publication<'static> {
        let raw = request::text_data(text.as_ref());
        Publication::new(Encoding::Text, Cow::Owned(raw))
    }

    /// Any bytes. They take a third more on their way. The server must have [`Feature::Encoding`](super::Feature::Encoding).
    pub fn bytes(bytes: impl AsRef<[u8]>) -> Publication<'static> {
        let raw = request::bytes_data(bytes.as_ref());
        Publication::new(Encoding::Base64, Cow::Owned(raw))
    }

    /// The same with a key of 1 to 64 bytes. The server must have [`Feature::Key`](super::Feature::Key).
    #[must_use]
    pub fn with_key(mut self, key: impl Into<Cow<'a, str>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The key.
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The payload as it stands in the request.
    pub fn data(&self) -> Data<'_> {
        Data {
            encoding: self.encoding,
            raw: &self.raw,
        }
    }

    const fn new(encoding: Encoding, raw: Cow<'a, [u8]>) -> Self {
        Self {
            encoding,
            raw,
            key: None,
        }
    }

    /// What the server must have for it.
    pub(super) fn needs(&self) -> Features {
        Features::needed(self.encoding, self.key.is_some())
    }

    pub(super) fn check_key(&self) -> Result<(), Invalid> {
        match &self.key {
            Some(key) if key.is_empty() || key.len() > MAX_KEY_BYTES => {
                Err(Invalid::Key(key.len()))
            }
            _ => Ok(()),
        }
    }
}

/// JSON.
impl<'a, T: AsRef<[u8]> + ?Sized> From<&'a T> for Publication<'a> {
    fn from(json: &'a T) -> Self {
        Self::json(json)
    }
}

/// JSON.
impl From<String> for Publication<'_> {
    fn from(json: String) -> Self {
        json.into_bytes().into()
    }
}

/// JSON.
impl From<Vec<u8>> for Publication<'_> {
    fn from(json: Vec<u8>) -> Self {
        Self::new(Encoding::Json, Cow::Owned(json))
    }
}

/// The same payload again.
impl<'a> From<&'a Payload> for Publication<'a> {
    fn from(payload: &'a Payload) -> Self {
        match payload {
            Payload::Json(json) => Self::json(json),
            Payload::Text(text) => Publication::text(text),
            Payload::Bytes(bytes) => Publication::bytes(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn came_back(publication: &Publication<'_>) -> Option<Payload> {
        Payload::read(publication.data())
    }

    proptest! {
        #[test]
        fn any_text_and_any_bytes_come_back_unchanged(text in any::<String>(), bytes in any::<Vec<u8>>()) {
            prop_assert_eq!(came_back(&Publication::text(&text)), Some(Payload::Text(text)));
            let payload = Payload::Bytes(bytes);
            let again = came_back(&Publication::from(&payload));
            prop_assert_eq!(again, Some(payload));
        }
    }

    #[test]
    fn every_byte_below_a_space_comes_back_in_a_text() {
        let text: String = (0..=127_u8).map(char::from).collect();
        let publication = Publication::text(&text);
        assert_eq!(came_back(&publication), Some(Payload::Text(text)));
    }

    #[test]
    fn what_is_not_said_to_be_anything_else_is_json_as_it_is_written() {
        let written = "[0.10, 1]";
        for publication in [
            Publication::from(written),
            written.to_owned().into(),
            written.as_bytes().to_vec().into(),
            Publication::json(written.as_bytes()),
        ] {
            assert_eq!(publication.data(), Data::json(written.as_bytes()));
            assert!(publication.needs().are_none());
        }
    }

    #[test]
    fn a_key_has_1_to_64_bytes() {
        let with = |key: String| Publication::json("1").with_key(key).check_key();
        assert_eq!(with("k".repeat(64)), Ok(()));
        assert_eq!(with("é".repeat(33)), Err(Invalid::Key(66)));
        assert_eq!(with(String::new()), Err(Invalid::Key(0)));
    }
}
