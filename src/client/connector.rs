//! Opening connections, step by step, each with a timeout.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
#[cfg(feature = "tls")]
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};
use std::{error, fmt, io};

use socket2::Socket;
use zeroize::Zeroizing;

use super::backoff::Reconnect;
use super::credentials::{Credentials, Token, TokenReason};
use super::deadline;
use super::error::{ConnectError, Step};
use super::identity::Identity;
use super::opening;
use super::socket;
use super::tls::Encryption;
#[cfg(feature = "tls")]
use super::tls::Options;
use super::transport::Transport;
use super::url::{Url, UrlError};
use super::websocket::WebSocket;
use crate::random::Random;
use crate::ws::extension::Offer;
use crate::ws::handshake::client::{Key, Request, write_request};

/// How long each step may take. With [`Duration::MAX`] it may take for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Looking the host's name up. The system does that, on a thread of its own, and it cannot be stopped: the thread ends
    /// when the system has an answer, perhaps after this timeout.
    pub resolve: Duration,
    /// The connection, whichever of the host's addresses it is to. They are tried side by side, each 250 ms after the one
    /// before it or as soon as that one fails (RFC 8305), and the first that opens is taken.
    pub connect: Duration,
    /// The opening handshake, with that of TLS before it; with a [`Client`](super::Client) the wait for `welcome` has as long again.
    pub handshake: Duration,
    /// How long a message may wait for the peer to take something of it.
    pub write: Duration,
    /// How long the server of a [`Client`](super::Client) may owe answers to requests without giving any. After that the connection counts
    /// as lost: it may take twice as long until that is noticed, if another thread asks. The time begins anew with each answer and
    /// each write, and a write that takes long has a second more for each 16 KiB.
    pub answer: Duration,
    /// The closing handshake.
    pub close: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            resolve: Duration::from_secs(10),
            connect: Duration::from_secs(10),
            handshake: Duration::from_secs(10),
            write: Duration::from_secs(30),
            answer: Duration::from_secs(30),
            close: Duration::from_secs(5),
        }
    }
}

/// Everything that a connection needs to know before it is opened.
///
/// ```no_run
/// use std::time::Duration;
/// use fanfare::client::{Connector, Timeouts};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let connector = Connector::new("ws://127.0.0.1:8040")?
///     .header("Origin", "https://example.org")
///     .token(|_| std::fs::read_to_string("token").map(|token| token.trim_end().to_owned()))
///     .timeouts(Timeouts { connect: Duration::from_secs(2), ..Timeouts::default() })
///     .max_message(1 << 20);
/// let client = connector.client()?;           // speaks json.fanfare.v1
/// let plain = connector.websocket()?;         // speaks whatever you like
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Connector {
    pub(super) url: Url,
    pub(super) headers: Vec<(String, String)>,
    pub(super) protocols: Vec<String>,
    pub(super) deflate: Option<Offer>,
    pub(super) timeouts: Timeouts,
    pub(super) max_message: usize,
    pub(super) reconnect: Reconnect,
    pub(super) ping_after: Duration,
    pub(super) window: usize,
    pub(super) backlog: usize,
    pub(super) credentials: Credentials,
    #[cfg(feature = "tls")]
    tls: Options,
}

impl Connector {
    /// A connector to `url` with the defaults of each method below.
    ///
    /// # Errors
    /// A [`UrlError`] that says what is wrong with the URL.
    pub fn new(url: &str) -> Result<Self, UrlError> {
        Ok(Self {
            url: url.parse()?,
            headers: Vec::new(),
            protocols: Vec::new(),
            deflate: Some(Offer::default()),
            timeouts: Timeouts::default(),
            max_message: 64 << 20,
            reconnect: Reconnect::default(),
            ping_after: Duration::from_secs(25),
            window: 16_384,
            backlog: 64 << 20,
            credentials: Credentials::None,
            #[cfg(feature = "tls")]
            tls: Options::default(),
        })
    }

    /// Sends this header line with the handshake: `Origin`, a cookie. None by default. An `Authorization` is not sent where there is
    /// a [token](Self::token) or a [user](Self::basic).
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Says who this is with tokens, which `token` gives when it is asked. A token goes with the handshake of each connection
    /// (`Authorization: Bearer`). A [`Client`](super::Client) asks for another one before it ends, and sends it on the connection that it
    /// has; and after the server refused one. The same one again is then no other, and ends the client.
    ///
    /// It is asked on the thread that waits for the connection, which meanwhile answers no pings: it should know within a few seconds.
    /// An error of its own counts as a try that failed.
    #[must_use]
    pub fn token<T, E>(
        mut self,
        token: impl FnMut(TokenReason) -> Result<T, E> + Send + 'static,
    ) -> Self
    where
        T: Into<Token>,
        E: Into<Box<dyn error::Error + Send + Sync>>,
    {
        self.credentials = Credentials::token(token);
        self
    }

    /// Says who this is with a user's name and password (HTTP Basic, RFC 7617), in place of a [token](Self::token). The password is wiped from
    /// memory when the last clone of this goes; the caller's copy is the caller's.
    #[must_use]
    pub fn basic(mut self, user: &str, password: &str) -> Self {
        self.credentials = Credentials::basic(user, password);
        self
    }

    /// Trusts the authorities whose certificates are in this file, in PEM, in place of the system's: a server's certificate must be
    /// signed by one of them, or be in the file itself. The file is read when a connection is opened, and again for each one after
    /// that; what it said before holds while it cannot be read.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn ca_file(mut self, path: impl AsRef<Path>) -> Self {
        self.tls = self.tls.with_authorities(path.as_ref());
        self
    }

    /// Shows this certificate to a server that asks for one: a file with it and the certificates between it and its authority, in PEM,
    /// and one with its private key, in PEM without a password. It may be the same file. They are read as [`ca_file`](Self::ca_file) is.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn client_certificate(
        mut self,
        certificate: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Self {
        let (certificate, key) = (certificate.as_ref(), key.as_ref());
        self.tls = self.tls.with_certificate(certificate, key);
        self
    }

    /// Accepts any certificate of any server. A stranger between it and this machine can then read and change everything, tokens
    /// and passwords included: this is for tests.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn insecure(mut self) -> Self {
        self.tls = self.tls.with_anybody();
        self
    }

    /// Offers this sub-protocol, after those offered already. A [`Client`](super::Client) offers its own instead.
    #[must_use]
    pub fn protocol(mut self, name: &str) -> Self {
        self.protocols.push(name.to_owned());
        self
    }

    /// What permessage-deflate to offer (RFC 7692), `None` for none. By default [`Offer::default`]. A server that keeps its
    /// window from message to message, which an offer can allow, compresses better and costs 32 KiB more memory here.
    #[must_use]
    pub const fn deflate(mut self, offer: Option<Offer>) -> Self {
        self.deflate = offer;
        self
    }

    /// How long each step may take.
    #[must_use]
    pub const fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// The longest message to take, in bytes, inflated; by default 64 MiB. One that is longer ends the connection with 1009. While it arrives,
    /// a message can take three times as much memory.
    #[must_use]
    pub const fn max_message(mut self, bytes: usize) -> Self {
        self.max_message = bytes;
        self
    }

    /// How a [`Client`](super::Client) comes back after a loss.
    #[must_use]
    pub const fn reconnect(mut self, reconnect: Reconnect) -> Self {
        self.reconnect = reconnect;
        self
    }

    /// After how long a silence a [`Client`](super::Client) pings; after as long a silence again the connection counts as
    /// lost. By default 25 s.
    #[must_use]
    pub const fn ping_after(mut self, silence: Duration) -> Self {
        self.ping_after = silence;
        self
    }

    /// How many publishes of a [`Client`](super::Client) may wait for their answers, at least 1; by default 16,384.
    /// This bounds its memory: a program that publishes more has to wait. So it has where [publications with
    /// keys](super::Publication#keys) of more than 16 MiB wait.
    #[must_use]
    pub const fn window(mut self, requests: usize) -> Self {
        self.window = if requests == 0 { 1 } else { requests };
        self
    }

    /// How many bytes of events may wait in a [`Client`](super::Client) while a call of it waits for an answer; by
    /// default 64 MiB. Everything that an event holds counts. The event that goes over it is kept, and the call fails.
    #[must_use]
    pub const fn backlog(mut self, bytes: usize) -> Self {
        self.backlog = bytes;
        self
    }

    /// Opens a WebSocket.
    ///
    /// # Errors
    /// A [`ConnectError`] that says which step failed and how.
    pub fn websocket(&self) -> Result<WebSocket, ConnectError> {
        let protocols: Vec<&str> = self.protocols.iter().map(String::as_str).collect();
        let mut identity = Identity::new(self.credentials.clone());
        identity.present(|authorization| self.open(&protocols, authorization))
    }

    /// The same, with these sub-protocols and this value of `Authorization`.
    pub(super) fn open(
        &self,
        protocols: &[&str],
        authorization: Option<&str>,
    ) -> Result<WebSocket, ConnectError> {
        let given = self.headers.iter();
        let given = given.map(|(name, value)| (name.as_str(), value.as_str()));
        let headers: Vec<(&str, &str)> = given
            .filter(|(name, _)| !self.credentials.are_some() || !is_authorization(name))
            .chain(authorization.map(|value| (AUTHORIZATION, value)))
            .collect();
        let request = Request {
            host: self.url.authority(),
            target: self.url.target(),
            protocols,
            deflate: self.deflate,
            headers: &headers,
        };
        let key = Key::new(Random::new().bytes());
        // It may have a token or a password in it. With room for all of it: a vector that grows leaves copies behind.
        let lens = headers.iter().map(|(name, value)| name.len() + value.len());
        let mut wire = Zeroizing::new(Vec::with_capacity(4096 + lens.sum::<usize>()));
        // Before anything is connected: what cannot be sent needs no server to say so.
        write_request(&mut wire, &request, &key).map_err(ConnectError::Request)?;
        let encryption = self.encryption()?;
        let socket = self.connect()?;
        let deadline = deadline::after(Instant::now(), self.timeouts.handshake);
        let stream = match encryption {
            Some(encryption) => encryption.over(socket, deadline)?,
            None => Arc::new(socket) as Arc<dyn Transport>,
        };
        let opened = opening::run(&*stream, deadline, &wire, &request, &key)?;
        stream
            .set_read_timeout(None)
            .and_then(|()| stream.set_write_timeout(Some(self.timeouts.write)))
            .map_err(ConnectError::Broken)?;
        Ok(WebSocket::new(
            stream,
            opened,
            self.max_message,
            self.timeouts.close,
        ))
    }

    /// How the connection is encrypted, where the URL says so.
    #[cfg(feature = "tls")]
    fn encryption(&self) -> Result<Option<Encryption>, ConnectError> {
        if !self.url.is_encrypted() {
            return Ok(None);
        }
        let encryption = Encryption::new(&self.tls, self.url.host());
        encryption.map(Some).map_err(ConnectError::Tls)
    }

    /// How the connection is encrypted. Without the feature `tls` no URL says so.
    #[cfg(not(feature = "tls"))]
    #[allow(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "with the feature it can fail"
    )]
    fn encryption(&self) -> Result<Option<Encryption>, ConnectError> {
        Ok(None)
    }

    /// Connects to the first of the host's addresses that opens, or to the unix socket.
    fn connect(&self) -> Result<Socket, ConnectError> {
        match self.url.socket() {
            Some(path) => socket::unix(path, self.timeouts.connect),
            None => socket::tcp(
                resolve(&self.url, self.timeouts.resolve)?,
                self.timeouts.connect,
            ),
        }
    }
}

/// The header line that says who a client is (RFC 9110 §11.6.2).
const AUTHORIZATION: &str = "Authorization";

fn is_authorization(name: &str) -> bool {
    name.eq_ignore_ascii_case(AUTHORIZATION)
}

/// Shows the names of header lines only: what they say may be a secret.
impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Connector")
            .field("url", &self.url)
            .field("headers", &headers)
            .field("protocols", &self.protocols)
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

impl WebSocket {
    /// Opens a connection with the defaults of a [`Connector`], which is there for everything else.
    ///
    /// # Errors
    /// A [`ConnectError`].
    pub fn connect(url: &str) -> Result<Self, ConnectError> {
        Connector::new(url)?.websocket()
    }
}

/// The host's addresses, in the system's order (RFC 6724). The system knows the zones of IPv6 addresses, too. Its resolver
/// cannot be told how long it may take, so a name is looked up on a thread that is left behind if it takes too long.
fn resolve(url: &Url, timeout: Duration) -> Result<Vec<SocketAddr>, ConnectError> {
    if let Ok(ip) = url.host().parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, url.port())]);
    }
    let (answer, answered) = channel();
    let (host, port) = (url.host().to_owned(), url.port());
    let look_up = move || {
        let addresses = (host.as_str(), port).to_socket_addrs();
        // Nobody listens any more where it took too long.
        let _ = answer.send(addresses.map(Iterator::collect));
    };
    thread::Builder::new()
        .name("resolve".to_owned())
        .spawn(look_up)
        .map_err(ConnectError::Resolve)?;
    match answered.recv_timeout(timeout) {
        Ok(addresses) => addresses.map_err(ConnectError::Resolve),
        Err(RecvTimeoutError::Timeout) => Err(ConnectError::TimedOut(Step::Resolve)),
        Err(RecvTimeoutError::Disconnected) => Err(ConnectError::Resolve(io::Error::other(
            "the look-up ended without an answer",
        ))),
    }
}
