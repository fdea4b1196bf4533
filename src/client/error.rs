//! What can go wrong: one enum for each audience.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use std::{error, fmt, io};

use super::credentials::CredentialsError;
use super::feature::Feature;
use super::refusal::Refusal;
use super::tls::TlsError;
use super::url::UrlError;
use crate::channel::name::Why;
use crate::dialect::json::EventError;
use crate::words::{in_words, on_one_line};
use crate::ws::close::CloseCode;
use crate::ws::handshake::client::{AnswerError, HandshakeError, RequestError, RetryAfter};
use crate::ws::violation::Violation;

/// A part of opening a connection that has a timeout of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Looking the host's name up.
    Resolve,
    /// The TCP connection.
    Connect,
    /// The handshakes: that of TLS, where there is one, and the opening handshake (RFC 6455 §4.1).
    Handshake,
}

/// Why a connection could not be opened.
pub enum ConnectError {
    /// The URL makes no sense.
    Url(UrlError),
    /// What was to be sent cannot be: a header or a sub-protocol makes no sense.
    Request(RequestError),
    /// This client could not say who it is.
    Credentials(CredentialsError),
    /// The host's name could not be looked up, or has no address.
    Resolve(io::Error),
    /// No address of the host took the connection; this is what the last one said.
    Tcp {
        /// The last address tried.
        address: SocketAddr,
        /// What it said.
        source: io::Error,
    },
    /// The unix socket did not take the connection.
    Unix {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A step took longer than its timeout.
    TimedOut(Step),
    /// The connection broke in the middle of the handshake.
    Broken(io::Error),
    /// There is no encrypted connection.
    Tls(TlsError),
    /// The server ended the connection before its answer was whole.
    NoAnswer,
    /// The answer is not HTTP.
    NotHttp(httparse::Error),
    /// The head of the answer is longer than 16 KiB, with the interim answers (1xx) before it.
    HeadTooLong,
    /// The server answered, and its answer does not open a WebSocket.
    Handshake(HandshakeError),
    /// The server opened a WebSocket, but does not speak `json.fanfare.v1` on it. Only a
    /// [`Client`](super::Client) asks for that.
    NotFanfare,
    /// The WebSocket was lost before the server said its `welcome`. Only a [`Client`](super::Client) waits for that.
    Welcome(Arc<Cause>),
}

impl ConnectError {
    /// The connection broke with `error`.
    pub(super) fn broken(error: io::Error) -> Self {
        let source = error.get_ref();
        match source.and_then(|source| source.downcast_ref::<TlsError>()) {
            Some(error) => Self::Tls(error.clone()),
            None => Self::Broken(error),
        }
    }

    /// Whether the same try can succeed later without anything being changed: the server is not there or has no time.
    ///
    /// This is for a first connection: docs/client.md has the table. A [`Client`](super::Client) that had a connection is more
    /// patient, see [`comes_back_once_open`](Self::comes_back_once_open).
    pub fn comes_back(&self) -> bool {
        match self {
            Self::Resolve(_)
            | Self::Tcp { .. }
            | Self::Unix { .. }
            | Self::TimedOut(_)
            | Self::Broken(_)
            | Self::NoAnswer => true,
            Self::Handshake(HandshakeError::Status { status, .. }) => {
                matches!(status, 408 | 425 | 429 | 500..=599)
            }
            Self::Welcome(cause) => cause.comes_back(),
            // The maker of tokens may be out of reach for a while.
            Self::Credentials(error) => matches!(error, CredentialsError::Failed(_)),
            Self::Url(_)
            | Self::Request(_)
            | Self::Tls(_)
            | Self::NotHttp(_)
            | Self::HeadTooLong
            | Self::Handshake(_)
            | Self::NotFanfare => false,
        }
    }

    /// The same after a connection that once worked. The URL is right then, and what a proxy answers in place of a server that
    /// restarts passes as well: a page (2xx), a redirection (3xx), 403 and 404. So does a certificate that has expired and is renewed.
    pub fn comes_back_once_open(&self) -> bool {
        let from_a_proxy = |status| matches!(status, 200..=399 | 403 | 404);
        match self {
            Self::Handshake(HandshakeError::Status { status, .. }) if from_a_proxy(*status) => true,
            Self::Tls(error) => error.may_pass(),
            _ => self.comes_back(),
        }
    }

    /// Whether the server refused who this client says it is: the next try needs another token.
    pub(super) fn refuses_identity(&self) -> bool {
        match self {
            Self::Handshake(HandshakeError::Status { status, .. }) => *status == 401,
            Self::Welcome(cause) => cause.refuses_identity(),
            _ => false,
        }
    }

    /// Leaves out the body of a refusal if it is the same as `last`, which is the body of the refusal before it: retries show
    /// it once.
    pub(super) fn without_repeated_body(mut self, last: &mut String) -> Self {
        if let Self::Handshake(HandshakeError::Status { body, .. }) = &mut self {
            if body == last {
                body.clear();
            } else {
                last.clone_from(body);
            }
        }
        self
    }

    /// How long the server asks to stay away, where it does, if it is `now`.
    pub(super) fn retry_after(&self, now: SystemTime) -> Option<Duration> {
        match self {
            Self::Handshake(HandshakeError::Status { retry_after, .. }) => match *retry_after {
                Some(RetryAfter::Delay(delay)) => Some(delay),
                Some(RetryAfter::At(time)) => time.duration_since(now).ok(),
                None => None,
            },
            Self::Welcome(cause) => cause.retry_after(now),
            _ => None,
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(error) => error.fmt(f),
            Self::Request(error) => error.fmt(f),
            Self::Credentials(error) => error.fmt(f),
            Self::Resolve(error) => write!(f, "the host's name cannot be looked up: {error}"),
            Self::Tcp { address, source } => write!(f, "{address}: {source}"),
            Self::Unix { path, source } => write!(f, "{}: {source}", path.display()),
            Self::TimedOut(Step::Resolve) => f.write_str("the look-up of the host takes too long"),
            Self::TimedOut(Step::Connect) => f.write_str("the host does not answer in time"),
            Self::TimedOut(Step::Handshake) => {
                f.write_str("the server does not finish the handshake in time")
            }
            Self::Broken(error) => write!(f, "the connection broke in the handshake: {error}"),
            Self::Tls(error) => error.fmt(f),
            Self::NoAnswer => f.write_str("the server ended the connection without an answer"),
            Self::NotHttp(error) => write!(f, "the server's answer is not HTTP: {error}"),
            Self::HeadTooLong => f.write_str("the head of the server's answer is over 16 KiB"),
            Self::Handshake(error) => error.fmt(f),
            Self::NotFanfare => f.write_str("the server does not speak json.fanfare.v1"),
            Self::Welcome(cause) => write!(f, "lost before the welcome: {cause}"),
        }
    }
}

impl error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Url(error) => Some(error),
            Self::Request(error) => Some(error),
            Self::Credentials(error) => Some(error),
            Self::Resolve(error)
            | Self::Broken(error)
            | Self::Tcp { source: error, .. }
            | Self::Unix { source: error, .. } => Some(error),
            Self::Tls(error) => Some(error),
            Self::NotHttp(error) => Some(error),
            Self::Handshake(error) => Some(error),
            Self::Welcome(cause) => Some(cause),
            Self::TimedOut(_) | Self::NoAnswer | Self::HeadTooLong | Self::NotFanfare => None,
        }
    }
}

impl From<UrlError> for ConnectError {
    fn from(error: UrlError) -> Self {
        Self::Url(error)
    }
}

impl From<AnswerError> for ConnectError {
    fn from(error: AnswerError) -> Self {
        match error {
            AnswerError::NotHttp(error) => Self::NotHttp(error),
            AnswerError::TooLong => Self::HeadTooLong,
        }
    }
}

impl From<HandshakeError> for ConnectError {
    fn from(error: HandshakeError) -> Self {
        Self::Handshake(error)
    }
}

/// What ends an open connection, or keeps a call on it from being done.
pub enum Error {
    /// The connection is over: the peer closed it, or it just ended, which counts as
    /// [`CloseCode::ABNORMAL`].
    Closed {
        /// Why, for programs. [`CloseCode::NO_STATUS`] where the peer gave none.
        code: CloseCode,
        /// Why, for people; often empty.
        reason: String,
    },
    /// The peer broke the protocol or a limit. It has been told so, and the connection is over.
    Violation(Violation),
    /// The connection broke, and is over.
    Io(io::Error),
    /// Nothing came within the time that was set. The connection is as it was.
    TimedOut,
    /// This side has closed already: nothing can be sent any more.
    Closing,
}

impl Error {
    /// Whether a client comes back after this by itself.
    pub fn comes_back(&self) -> bool {
        match self {
            Self::Closed { code, .. } => code.comes_back(),
            Self::Io(_) | Self::TimedOut => true,
            Self::Violation(_) | Self::Closing => false,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed { code, reason } if reason.is_empty() => write!(f, "closed with {code}"),
            Self::Closed { code, reason } => {
                // RFC 6455 §5.5: it has at most 123 bytes.
                write!(f, "closed with {code}: {}", on_one_line(reason, 200))
            }
            Self::Violation(violation) => {
                write!(f, "the server broke the protocol: {violation}")
            }
            Self::Io(error) => error.fmt(f),
            Self::TimedOut => f.write_str("nothing came in time"),
            Self::Closing => f.write_str("closed by this side"),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Violation(violation) => Some(violation),
            Self::Io(error) => Some(error),
            Self::Closed { .. } | Self::TimedOut | Self::Closing => None,
        }
    }
}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

/// Why a [`Client`](super::Client) has no connection, for a while or for good.
pub enum Cause {
    /// This program closed it.
    Closed,
    /// The connection was lost.
    Lost(Error),
    /// Nothing came for so long that the connection counts as lost, a ping notwithstanding.
    Silent,
    /// It could not be opened again.
    Connect(ConnectError),
    /// The server said what `json.fanfare.v1` does not have.
    Message(EventError),
    /// The server sent a binary message, which `json.fanfare.v1` does not have either.
    Binary,
    /// The server broke `json.fanfare.v1`: what it sent that it may not send.
    Protocol(&'static str),
    /// The server owed answers and gave none for as long as [`Timeouts::answer`](super::Timeouts::answer).
    Unanswered,
    /// The server had no time to take a subscription up again.
    Resubscription(Refusal),
    /// The server announced that it would go, and asks to stay away this long.
    Goodbye(Duration),
}

impl Cause {
    /// Whether a client comes back after this by itself.
    pub fn comes_back(&self) -> bool {
        match self {
            Self::Closed | Self::Message(_) | Self::Binary | Self::Protocol(_) => false,
            Self::Lost(error) => error.comes_back(),
            // It comes from a try to come back.
            Self::Connect(error) => error.comes_back_once_open(),
            Self::Silent | Self::Unanswered | Self::Resubscription(_) | Self::Goodbye(_) => true,
        }
    }

    /// Whether the server does not know any more, or does not believe, who this client is: the next connection needs another token.
    pub(super) const fn refuses_identity(&self) -> bool {
        match self {
            Self::Lost(Error::Closed { code, .. }) => {
                matches!(*code, CloseCode::UNAUTHENTICATED | CloseCode::TOKEN_EXPIRED)
            }
            _ => false,
        }
    }

    /// Bytes of the texts in it that a server can make long.
    pub(super) fn text_bytes(&self) -> usize {
        match self {
            Self::Connect(ConnectError::Handshake(HandshakeError::Status { body, .. })) => {
                body.capacity()
            }
            Self::Resubscription(refusal) => refusal.weight(),
            _ => 0,
        }
    }

    /// How long the server asks to stay away, where it does, if it is `now`.
    pub(super) fn retry_after(&self, now: SystemTime) -> Option<Duration> {
        match self {
            Self::Connect(error) => error.retry_after(now),
            Self::Resubscription(refusal) => refusal.retry_after,
            Self::Goodbye(wait) => Some(*wait),
            Self::Closed
            | Self::Lost(_)
            | Self::Silent
            | Self::Unanswered
            | Self::Message(_)
            | Self::Binary
            | Self::Protocol(_) => None,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed by this side"),
            Self::Lost(error) => error.fmt(f),
            Self::Silent => f.write_str("the server is silent and does not answer pings"),
            Self::Connect(error) => error.fmt(f),
            Self::Message(error) => write!(f, "the server sent {error}"),
            Self::Binary => f.write_str("the server sent a binary message"),
            Self::Protocol(what) => write!(f, "the server broke the protocol: it sent {what}"),
            Self::Unanswered => f.write_str("the server does not answer requests"),
            Self::Resubscription(refusal) => {
                write!(f, "the server could not subscribe anew: {refusal}")
            }
            Self::Goodbye(_) => f.write_str("the server said goodbye"),
        }
    }
}

impl error::Error for Cause {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Lost(error) => Some(error),
            Self::Connect(error) => Some(error),
            Self::Message(error) => Some(error),
            Self::Resubscription(refusal) => Some(refusal),
            Self::Closed
            | Self::Silent
            | Self::Unanswered
            | Self::Binary
            | Self::Protocol(_)
            | Self::Goodbye(_) => None,
        }
    }
}

/// Why a request was not sent: it could not have succeeded.
#[derive(Clone, PartialEq, Eq)]
pub enum Invalid {
    /// No channel has such a name.
    Channel(Why),
    /// It is no pattern: what is wrong with it, and what is allowed.
    Pattern(String),
    /// A key has 1 to 64 bytes, and this one has so many.
    Key(usize),
    /// The server does not have this optional part of the protocol.
    Unsupported(Feature),
    /// The data is not JSON, or not as the protocol wants it.
    Data {
        /// What is wrong.
        message: String,
        /// Where, in bytes, if that is known.
        offset: Option<usize>,
    },
    /// The whole request would have `len` bytes, and the server takes `max`.
    TooLong {
        /// How many bytes it would have.
        len: usize,
        /// How many the server takes: its `max_message`.
        max: usize,
    },
    /// There is a subscription to this channel or pattern already.
    AlreadySubscribed,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Channel(why) => why.fmt(f),
            Self::Pattern(why) => f.write_str(why),
            Self::Key(len) => write!(f, "the key has {len} bytes: a key has 1 to 64"),
            Self::Unsupported(feature) => f.write_str(feature.is_missing()),
            Self::Data {
                message,
                offset: Some(offset),
            } => write!(f, "{message}, at byte {offset}"),
            Self::Data { message, .. } => f.write_str(message),
            Self::TooLong { len, max } => write!(
                f,
                "the request would have {len} bytes, and the server takes {max}"
            ),
            Self::AlreadySubscribed => f.write_str("there is a subscription to it already"),
        }
    }
}

impl error::Error for Invalid {}

/// Why a call of a [`Client`](super::Client) did not do what it should.
#[derive(Clone)]
#[non_exhaustive]
pub enum ClientError {
    /// The request makes no sense. Nothing was sent.
    Invalid(Invalid),
    /// The server refused. Nothing else about the connection changed.
    Refused(Refusal),
    /// The connection was lost before the answer came: it may have been done or not. It is not tried again, since
    /// that could do it twice.
    Unknown,
    /// The events that arrived while this call waited for its answer are over the limit: take some first.
    Backlog,
    /// The server took requests for as long as [`Timeouts::answer`](super::Timeouts::answer) and answered none. What was asked for may
    /// still be done: a subscription is asked for again, and what was not sent yet goes out with the next connection.
    TimedOut,
    /// There is no connection any more, and it does not come back by itself.
    Over(Arc<Cause>),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(invalid) => invalid.fmt(f),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Unknown => f.write_str(
                "the connection was lost before the answer came: the request may be done or not",
            ),
            Self::Backlog => f.write_str("too many events wait to be taken"),
            Self::TimedOut => f.write_str("the server does not answer"),
            Self::Over(cause) => cause.fmt(f),
        }
    }
}

impl error::Error for ClientError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Invalid(invalid) => Some(invalid),
            Self::Refused(refusal) => Some(refusal),
            Self::Over(cause) => Some(&**cause),
            Self::Unknown | Self::Backlog | Self::TimedOut => None,
        }
    }
}

impl From<Invalid> for ClientError {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

in_words!(ConnectError, Error, Cause, Invalid, ClientError);

#[cfg(test)]
mod tests;
