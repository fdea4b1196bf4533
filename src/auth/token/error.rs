//! Why a token is refused.

use std::borrow::Cow;
use std::fmt;

/// Why a token is refused: the first reason that was found.
///
/// The sentence that it gives shows nothing of the token, and may go to its owner and to the log.
#[derive(Clone, PartialEq, Eq)]
pub enum TokenError {
    /// It is not a token in the compact form of RFC 7515, or says what the server does not know.
    Malformed(&'static str),
    /// No key of the server has the `kid` of the token.
    UnknownKey,
    /// Its algorithm is not one that the key is for.
    Algorithm,
    /// The key did not sign this.
    Signature,
    /// It was good once.
    Expired,
    /// It will be good.
    NotYet,
    /// It is of another issuer, or of none.
    Issuer,
    /// It is for another audience, or for none.
    Audience,
    /// It was issued before its subject was disconnected.
    Withdrawn,
    /// A claim is missing, or is not as it must be.
    Claims(Cow<'static, str>),
}

impl TokenError {
    pub(super) fn claims(why: impl Into<Cow<'static, str>>) -> Self {
        Self::Claims(why.into())
    }

    /// Whether it was good once: a client gets a new one, and is told `token_expired` and not `token_invalid`.
    pub fn is_expired(&self) -> bool {
        matches!(self, Self::Expired)
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed(why) => return write!(f, "the token can't be read: {why}"),
            Self::UnknownKey => "the token is signed by a key that the server does not know",
            Self::Algorithm => "the token's `alg` is not one that the server's key is for",
            Self::Signature => "the token's signature is wrong",
            Self::Expired => "the token has ended: its `exp` is in the past",
            Self::NotYet => "the token is not valid yet: its `nbf` is in the future",
            Self::Issuer => "the token's `iss` is not the issuer whose tokens the server takes",
            Self::Audience => "the token's `aud` does not name this server",
            Self::Withdrawn => {
                "the token was issued before its subject was disconnected, and a new one is needed"
            }
            Self::Claims(why) => return write!(f, "the token's claims can't be taken: {why}"),
        })
    }
}

impl std::error::Error for TokenError {}

crate::words::in_words!(TokenError);
