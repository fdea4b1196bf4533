//! What a client says it is: nobody in particular, a user with a password, or the bearer of a token.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::words::in_words;

/// A token that says who a client is. It is wiped from memory when it goes, and `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// The token itself.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it may stand in a header line and in a JSON text as it is: RFC 6750 §2.1 allows less, and servers may allow more.
    fn is_visible(&self) -> bool {
        !self.0.is_empty() && self.0.bytes().all(|byte| byte.is_ascii_graphic())
    }
}

impl From<String> for Token {
    fn from(token: String) -> Self {
        Self(Zeroizing::new(token))
    }
}

impl From<&str> for Token {
    fn from(token: &str) -> Self {
        Self::from(token.to_owned())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Why a token is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenReason {
    /// A connection is about to be opened. The token may be the one that was given before.
    Connect,
    /// The one in use ends soon. The same one again is none: it is asked for again a while later.
    Renew,
    /// The server did not accept the last one. The same one again ends the client.
    Refused,
}

/// What goes wrong with who a client says it is.
#[non_exhaustive]
pub enum CredentialsError {
    /// The program has no token to give: what it says of that.
    Failed(Failure),
    /// The token is empty or has characters that none has: white space, control characters, or some beyond ASCII.
    Token,
    /// The server refused the token, and the one that was given in its place is the same.
    Same,
    /// The user's name has a colon, or name or password have control characters (RFC 7617 §2).
    User,
}

/// What a program says that has no token to give.
type Failure = Box<dyn std::error::Error + Send + Sync>;

impl fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(why) => write!(f, "there is no token to be had: {why}"),
            Self::Token => f.write_str(
                "the token is empty or has characters that no token has: it is one word of ASCII, without white space",
            ),
            Self::Same => f.write_str(
                "the server refused the token, and the one that was given in its place is the same: get a new one",
            ),
            Self::User => f.write_str(
                "a user's name has no colon, and neither name nor password has control characters",
            ),
        }
    }
}

impl std::error::Error for CredentialsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Failed(why) => Some(&**why),
            Self::Token | Self::Same | Self::User => None,
        }
    }
}

in_words!(CredentialsError);

/// The program's way to a token.
type Callback = Box<dyn FnMut(TokenReason) -> Result<Token, Failure> + Send>;

/// What a client says who it is with.
#[derive(Clone, Default)]
pub(super) enum Credentials {
    /// Nothing, or what the program's own header lines say.
    #[default]
    None,
    Basic {
        user: Arc<str>,
        password: Zeroizing<String>,
    },
    /// Shared by all clients of a connector.
    Token(Arc<Mutex<Callback>>),
}

impl Credentials {
    pub(super) fn token<T, E>(
        mut token: impl FnMut(TokenReason) -> Result<T, E> + Send + 'static,
    ) -> Self
    where
        T: Into<Token>,
        E: Into<Failure>,
    {
        let callback = move |reason| -> Result<Token, Failure> {
            token(reason).map(Into::into).map_err(Into::into)
        };
        Self::Token(Arc::new(Mutex::new(Box::new(callback))))
    }

    pub(super) fn basic(user: &str, password: &str) -> Self {
        Self::Basic {
            user: user.into(),
            password: Zeroizing::new(password.to_owned()),
        }
    }

    pub(super) const fn are_some(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// Whether another token can be had.
    pub(super) const fn have_tokens(&self) -> bool {
        matches!(self, Self::Token(_))
    }

    /// A token, if there are any.
    pub(super) fn ask(&self, reason: TokenReason) -> Result<Option<Token>, CredentialsError> {
        let Self::Token(callback) = self else {
            return Ok(None);
        };
        let mut callback = callback.lock().unwrap_or_else(PoisonError::into_inner);
        let token = callback(reason).map_err(CredentialsError::Failed)?;
        match token.is_visible() {
            true => Ok(Some(token)),
            false => Err(CredentialsError::Token),
        }
    }

    /// The value of `Authorization` for a user with a password (RFC 7617 §2), if it is one.
    pub(super) fn user(&self) -> Result<Option<Zeroizing<String>>, CredentialsError> {
        let Self::Basic { user, password } = self else {
            return Ok(None);
        };
        if user.contains(|c: char| c == ':' || c.is_control())
            || password.contains(char::is_control)
        {
            return Err(CredentialsError::User);
        }
        let mut pair = Zeroizing::new(String::with_capacity(user.len() + 1 + password.len()));
        pair.push_str(user);
        pair.push(':');
        pair.push_str(password);
        // With room for all of it: a string that grows leaves copies behind.
        let mut value = with_room("Basic ", pair.len().div_ceil(3) * 4);
        STANDARD.encode_string(pair.as_bytes(), &mut value);
        Ok(Some(value))
    }
}

/// The value of `Authorization` for a token (RFC 6750 §2.1).
pub(super) fn bearer(token: &Token) -> Zeroizing<String> {
    let mut value = with_room("Bearer ", token.as_str().len());
    value.push_str(token.as_str());
    value
}

/// `text`, with room for as many bytes more.
fn with_room(text: &str, more: usize) -> Zeroizing<String> {
    let mut value = Zeroizing::new(String::with_capacity(text.len() + more));
    value.push_str(text);
    value
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Basic { user, .. } => f.debug_tuple("Basic").field(user).finish(),
            Self::Token(_) => f.write_str("Token(…)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_and_a_password_are_sent_as_rfc_7617_has_it() {
        let value = |user, password| {
            let credentials = Credentials::basic(user, password);
            credentials
                .user()
                .map(|value| value.map(|value| value.to_string()))
        };
        let example = value("Aladdin", "open sesame").unwrap();
        assert_eq!(
            example.as_deref(),
            Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
        );
        assert!(value("", ":::").is_ok());
        assert!(value("ä", "ö").is_ok());
        for (user, password) in [("a:b", ""), ("a\n", ""), ("a", "\r\nX: y"), ("a", "\u{7f}")] {
            assert!(matches!(value(user, password), Err(CredentialsError::User)));
        }
    }

    #[test]
    fn what_could_end_a_line_is_no_token() {
        for bad in ["", "a b", "a\r\nX: y", "ä", "a\n"] {
            let credentials = Credentials::token(move |_| Ok::<_, String>(bad));
            let error = credentials.ask(TokenReason::Connect).unwrap_err();
            assert!(matches!(error, CredentialsError::Token), "{bad:?}");
        }
    }

    #[test]
    fn nothing_that_is_secret_is_shown() {
        let token = Token::from("hush");
        let basic = Credentials::basic("me", "hush");
        let with = Credentials::token(|_| Ok::<_, String>("hush"));
        let shown = format!("{token:?} {basic:?} {with:?}");
        assert!(!shown.contains("hush"), "{shown}");
        assert_eq!(bearer(&token).as_str(), "Bearer hush");
    }
}
