//! The numbering of a channel: by the hub or by a broker, and the name of one run of it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The name of one run of a channel's numbering: opaque, and never used twice, not even after a restart.
///
/// A channel that comes back after it was forgotten counts from 1 again, under another epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch(Box<str>);

impl Epoch {
    /// The epoch that 96 random bits spell: 16 characters that need no escaping in JSON or in a URL.
    ///
    /// The bits have to come from a generator that does not repeat itself after a restart.
    pub fn from_random(bits: [u8; 12]) -> Self {
        Self(URL_SAFE_NO_PAD.encode(bits).into_boxed_str())
    }

    /// An epoch that was given out before, as it was written; `None`: it is none.
    #[cfg(feature = "server")]
    pub(crate) fn as_written(text: &str) -> Option<Self> {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let is_epoch = (1..=64).contains(&text.len()) && text.bytes().all(is_part);
        is_epoch.then(|| Self(text.into()))
    }

    /// The epoch as clients see it: 16 characters of `A-Z a-z 0-9 - _`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// How the messages of a channel that comes into being are numbered, and in which epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Numbering {
    /// The hub does: 1, 2, 3, … in an epoch of the channel's own.
    Hub(Epoch),
    /// A broker does, in an epoch of its own: see [`Hub::append_at`](super::Hub::append_at).
    Broker {
        /// The broker's epoch.
        epoch: Epoch,
        /// The channel's messages up to this number, if there are any, are not here: the next has a greater one.
        after: u64,
    },
}
