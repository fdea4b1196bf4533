//! What a peer did wrong, with the close code that answers it.

use std::{error, fmt};

use super::close_code::CloseCode;
use crate::words::in_words;

/// A breach of RFC 6455 or RFC 7692, or of a limit, by the peer.
///
/// The connection *fails* with it (RFC 6455 §7.1.7): a close frame with `code` and `reason` may be sent, and
/// nothing that arrives after the offending byte is looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Violation {
    /// The code for the close frame that answers the breach.
    pub code: CloseCode,
    /// One sentence for people, at most 123 bytes, so that it fits a close frame whole.
    pub reason: &'static str,
}

impl Violation {
    /// A breach of the framing rules: close code 1002.
    pub const fn protocol(reason: &'static str) -> Self {
        Self {
            code: CloseCode::PROTOCOL,
            reason,
        }
    }

    /// Text that is not UTF-8, or compressed data that does not inflate: close code 1007.
    pub const fn invalid_data(reason: &'static str) -> Self {
        Self {
            code: CloseCode::INVALID_DATA,
            reason,
        }
    }

    /// A message over the limit: close code 1009.
    pub const fn too_big(reason: &'static str) -> Self {
        Self {
            code: CloseCode::TOO_BIG,
            reason,
        }
    }
}

in_words!(Violation);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (close code {})", self.reason, self.code)
    }
}

impl error::Error for Violation {}
