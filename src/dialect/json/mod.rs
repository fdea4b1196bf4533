//! `json.fanfare.v1`, the JSON sub-protocol; `docs/protocol.md` is its specification.
//!
//! - [`decode`] reads requests, in place, for the server;
//! - [`encode`] writes replies and events, for the server;
//! - [`request`] writes requests, for clients;
//! - [`event`] reads replies and events, for clients;
//! - [`sample`] makes realistic messages and [`hostile`] others, for benches.
//!
//! Both decoders check a message with one walk over its bytes, which needs no memory.

mod base64;
pub mod batch;
mod bytes;
mod data;
pub mod decode;
pub mod encode;
pub mod event;
mod fault;
pub mod hostile;
mod keys;
mod meter;
mod number;
mod place;
pub mod request;
pub mod sample;
mod strings;
mod unescape;
mod walk;
mod white;

use std::borrow::Cow;
use std::fmt;

pub use crate::channel::topic::Topic;
pub use crate::hub::Start;
pub use data::{Data, Encoding};
pub use decode::{Command, DecodeError, Decoder, Publication, Request, ValueDecoder};
pub use encode::MessageFrame;
pub use event::{Event, EventDecoder, EventError};

/// The name that stands for this dialect in `Sec-WebSocket-Protocol`.
pub const SUB_PROTOCOL: &str = "json.fanfare.v1";

/// How many levels of objects and arrays a message may have, its own object included.
pub const MAX_DEPTH: usize = 64;

/// The longest `id` that is a string, in bytes after unescaping.
pub const MAX_ID_BYTES: usize = 64;

/// The longest `key` of a publication, in bytes after unescaping. The shortest has one.
pub const MAX_KEY_BYTES: usize = 64;

/// The greatest whole number that the protocol carries: 2^53 - 1, beyond which a
/// reader that keeps numbers in doubles (JavaScript's) would lose count.
pub const MAX_WHOLE_NUMBER: u64 = (1 << 53) - 1;

/// The `id` of a request exactly as it was written: digits, or a JSON string with its
/// quotes and escapes. Replies repeat it byte for byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Id<'a>(&'a [u8]);

impl<'a> Id<'a> {
    /// The id that is written so in a request that was read.
    #[cfg(feature = "server")]
    pub(crate) fn as_written(text: &'a [u8]) -> Self {
        Id(text)
    }

    /// The JSON text of the id.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// The id as a number, if it is one.
    pub fn as_number(&self) -> Option<u64> {
        // Sixteen digits hold every whole number up to 2^53 - 1 and cannot overflow.
        if self.0.is_empty() || self.0.len() > 16 {
            return None;
        }
        self.0.iter().try_fold(0u64, |number, digit| {
            digit
                .is_ascii_digit()
                .then(|| number * 10 + u64::from(digit - b'0'))
        })
    }
}

/// Why a request failed, for programs: the `code` of an `error`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorCode {
    /// The message is not JSON as the protocol wants it.
    BadJson,
    /// A member is missing, of the wrong type or repeated, or the message is no object.
    BadRequest,
    /// No request has this `type`.
    UnknownType,
    /// No channel may have this name, or the daemon has none of this name.
    BadChannel,
    /// The text is no pattern, or it begins with `$`: no pattern stands for the daemon's own channels.
    BadPattern,
    /// The connection is not subscribed to the topic.
    NotSubscribed,
    /// The connection is subscribed to the topic already.
    AlreadySubscribed,
    /// The client may not do this.
    Forbidden,
    /// The client must say first who it is.
    Unauthenticated,
    /// The token cannot be accepted.
    TokenInvalid,
    /// The token was good once.
    TokenExpired,
    /// Too many requests; `retry_after_ms` says when to try again.
    RateLimited,
    /// Too many channels, patterns or subscriptions.
    Limit,
    /// A broker behind the daemon is out of reach.
    Unavailable,
}

impl ErrorCode {
    /// The code as the protocol spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadJson => "bad_json",
            Self::BadRequest => "bad_request",
            Self::UnknownType => "unknown_type",
            Self::BadChannel => "bad_channel",
            Self::BadPattern => "bad_pattern",
            Self::NotSubscribed => "not_subscribed",
            Self::AlreadySubscribed => "already_subscribed",
            Self::Forbidden => "forbidden",
            Self::Unauthenticated => "unauthenticated",
            Self::TokenInvalid => "token_invalid",
            Self::TokenExpired => "token_expired",
            Self::RateLimited => "rate_limited",
            Self::Limit => "limit",
            Self::Unavailable => "unavailable",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an `error` says: which request failed, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ErrorReply<'a> {
    /// The request's id, where there was one and it could be read.
    pub id: Option<Id<'a>>,
    /// The channel or the pattern that the request was about, where it named a valid one.
    pub topic: Option<Topic<'a>>,
    /// Why, for programs.
    pub code: ErrorCode,
    /// Why, for people: at most some 300 bytes.
    pub message: Cow<'a, str>,
    /// Where in the message its JSON goes wrong, in bytes from its start, where known.
    pub offset: Option<usize>,
    /// When to try again, in milliseconds from now.
    pub retry_after_ms: Option<u64>,
}

impl<'a> ErrorReply<'a> {
    /// An error about nothing in particular; fill in what is known.
    pub fn new(code: ErrorCode, message: impl Into<Cow<'a, str>>) -> Self {
        Self {
            id: None,
            topic: None,
            code,
            message: message.into(),
            offset: None,
            retry_after_ms: None,
        }
    }
}
