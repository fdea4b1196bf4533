//! Opening connections, step by step, each with a timeout.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use socket2::Socket;

use super::backoff::Reconnect;
use super::error::{ConnectError, Step};
use super::opening;
use super::socket;
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
    /// The opening handshake; with a [`Client`](super::Client) also the wait for `welcome`.
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
///     .header("Authorization", "Bearer …")
///     .timeouts(Timeouts { connect: Duration::from_secs(2), ..Timeouts::default() })
///     .max_message(1 << 20);
/// let client = connector.client()?;           // speaks json.fanfare.v1
/// let plain = connector.websocket()?;         // speaks whatever you like
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
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
        })
    }

    /// Sends this header line with the handshake: `Origin`, `Authorization`, a cookie. None by default.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
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
        self.open(&protocols)
    }

    /// The same, with these sub-protocols.
    pub(super) fn open(&self, protocols: &[&str]) -> Result<WebSocket, ConnectError> {
        let headers: Vec<(&str, &str)> = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let request = Request {
            host: self.url.authority(),
            target: self.url.target(),
            protocols,
            deflate: self.deflate,
            headers: &headers,
        };
        let key = Key::new(Random::new().bytes());
        let mut wire = Vec::new();
        // Before anything is connected: what cannot be sent needs no server to say so.
        write_request(&mut wire, &request, &key).map_err(ConnectError::Request)?;
        let stream = self.connect()?;
        let opened = opening::run(&stream, self.timeouts.handshake, &wire, &request, &key)?;
        stream
            .set_read_timeout(None)
            .and_then(|()| stream.set_write_timeout(Some(self.timeouts.write)))
            .map_err(ConnectError::Broken)?;
        Ok(WebSocket::new(
            Arc::new(stream),
            opened,
            self.max_message,
            self.timeouts.close,
        ))
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
