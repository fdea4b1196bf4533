//! The load client: many connections on one thread, driven by one poll.
//!
//! It must be far cheaper than the server that it loads: one large buffer for all connections, one `recv` for each
//! readiness, and no allocation while messages flow.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::{Events, Poll, Token};
use rustls::ClientConfig;

use crate::dialect::Role;
use crate::fault::check_interruption;
pub(crate) use crate::link::Wish;
use crate::link::{Link, Receiver, Receives, State};
use crate::meter::Own;
use crate::progress::Progress;
use crate::receive::Shared;
use crate::server::Server;
use crate::socket::Socket;

/// Connections that may be under way at once, so that the server's backlog is never the subject.
const OPENING_MAX: usize = 1_000;
/// Bytes taken from a socket at once.
const BUFFER: usize = 512 << 10;
/// Events taken from the poll at once.
const EVENTS: usize = 4_096;
/// How long opening all connections may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(60);
/// The largest answer to a handshake.
pub(crate) const MAX_HEAD: usize = 16 << 10;

/// All connections and what they share.
pub(crate) struct Client {
    poll: Poll,
    events: Events,
    /// The connections; a token is an index.
    pub(crate) links: Vec<Link>,
    /// What subscribers share.
    pub(crate) shared: Shared,
    buffer: Vec<u8>,
    /// What was decrypted of it, over TLS.
    plaintext: Vec<u8>,
    reply: Vec<u8>,
    address: SocketAddr,
    path: String,
    /// How TLS is spoken, if it is.
    tls: Option<Arc<ClientConfig>>,
    /// What times count from.
    pub(crate) begun: Instant,
    /// What it has counted so far.
    pub(crate) own: Own,
    /// Whether another thread of ours needs the core now and then.
    pub(crate) yields: bool,
    /// Connections that are not open yet.
    opening: usize,
}

impl Client {
    /// A client of a server, without connections.
    ///
    /// # Errors
    /// The system has no poll left.
    pub(crate) fn new(server: &Server, shared: Shared) -> Result<Self> {
        Ok(Self {
            poll: Poll::new().context("no poll")?,
            events: Events::with_capacity(EVENTS),
            links: Vec::new(),
            shared,
            buffer: vec![0; BUFFER],
            plaintext: Vec::new(),
            reply: Vec::new(),
            address: server.address,
            path: server.path.clone(),
            tls: server.tls(),
            begun: Instant::now(),
            own: Own::default(),
            yields: false,
            opening: 0,
        })
    }

    /// Nanoseconds since the client was made.
    pub(crate) fn now_ns(&self) -> u64 {
        self.begun.elapsed().as_nanos() as u64
    }

    /// Opens connections, as many as `wishes` has, and waits until each is open and subscribed.
    ///
    /// # Errors
    /// One is refused, or not all are open after a minute.
    pub(crate) fn open(&mut self, wishes: impl IntoIterator<Item = Wish>) -> Result<()> {
        let mut wishes = wishes.into_iter().peekable();
        let until = Instant::now() + OPEN_TIMEOUT;
        let first = self.links.len();
        let mut progress = Progress::from(self.now_ns());
        while wishes.peek().is_some() || self.opening > 0 {
            let now_ns = self.now_ns();
            progress.show(now_ns, || {
                format!(
                    "{} connections open",
                    self.links.len() - self.opening - first
                )
            });
            while self.opening < OPENING_MAX
                && let Some(wish) = wishes.next()
            {
                self.begin(wish)?;
            }
            self.turn_until(until)?;
        }
        Ok(())
    }

    /// Begins connections and sends their requests while nobody answers: `release` lets the server go on, and from then
    /// on it finds all of them before it. Returns when all are open.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(crate) fn open_crowd(
        &mut self,
        wishes: impl IntoIterator<Item = Wish>,
        release: impl FnOnce(&Self) -> Result<()>,
    ) -> Result<()> {
        let first = self.links.len();
        let until = Instant::now() + OPEN_TIMEOUT;
        for wish in wishes {
            self.begin(wish)?;
        }
        while self.links[first..]
            .iter()
            .any(|link| link.state == State::Connecting || link.socket.has_unsent())
        {
            self.turn_until(until)?;
        }
        release(self)?;
        while self.opening > 0 {
            self.turn_until(until)?;
        }
        Ok(())
    }

    /// A turn that does not wait, until `until`.
    fn turn_until(&mut self, until: Instant) -> Result<()> {
        if Instant::now() > until {
            bail!(
                "{} of {} connections are not open after {OPEN_TIMEOUT:?}",
                self.opening,
                self.links.len()
            );
        }
        self.turn(Duration::ZERO)
    }

    fn begin(&mut self, wish: Wish) -> Result<()> {
        let dialect = self.shared.dialect_of(wish.role);
        let receiver = Receiver::of(&wish, dialect, self.now_ns());
        let at = self.links.len();
        let mut socket = Socket::connect(self.address, at, self.tls.as_ref())?;
        socket.register(self.poll.registry(), Token(at))?;
        let host = self.address.to_string();
        dialect.handshake(
            &mut socket.out,
            &host,
            &self.path,
            wish.role,
            wish.channels.start,
            self.shared.offer(wish.role),
        )?;
        self.opening += 1;
        self.links.push(Link {
            socket,
            state: State::Connecting,
            awaited: 0,
            wish,
            receiver,
            head: Vec::new(),
            opened_ns: 0,
        });
        Ok(())
    }

    /// Waits for whatever comes, at most `timeout`, and handles it.
    ///
    /// # Errors
    /// A connection is lost, or what it received is wrong.
    pub(crate) fn turn(&mut self, timeout: Duration) -> Result<()> {
        check_interruption()?;
        let began = Instant::now();
        match self.poll.poll(&mut self.events, Some(timeout)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            other => other.context("poll")?,
        }
        if self.events.is_empty() {
            if timeout.is_zero() {
                self.own.idle_ns += began.elapsed().as_nanos() as u64;
            }
            if self.yields {
                std::thread::yield_now();
            }
            return Ok(());
        }
        // Taken out while the connections, which are in `self` too, are worked on.
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let mut result = Ok(());
        for event in &events {
            let at = event.token().0;
            result = self.ready(
                at,
                event.is_readable() || event.is_error(),
                event.is_writable(),
            );
            if result.is_err() {
                result = result.with_context(|| format!("connection {at} of {}", self.links.len()));
                break;
            }
        }
        self.events = events;
        result
    }

    fn ready(&mut self, at: usize, readable: bool, writable: bool) -> Result<()> {
        if writable {
            let link = &mut self.links[at];
            if link.state == State::Connecting {
                link.socket.is_connected()?;
                link.state = State::Requested;
            }
            self.flush(at)?;
        }
        if readable && self.links[at].state != State::Connecting {
            self.read(at)?;
        }
        Ok(())
    }

    /// Sends what is to be sent on a connection, as far as its socket takes it.
    ///
    /// # Errors
    /// The connection is lost.
    pub(crate) fn flush(&mut self, at: usize) -> Result<()> {
        self.own.sends += self.links[at].socket.flush()?;
        Ok(())
    }

    /// How many bytes wait to be sent on a connection.
    pub(crate) fn unsent(&self, at: usize) -> usize {
        self.links[at].socket.unsent()
    }

    /// Whether who comes and goes at `at` has subscribed so often and has all messages up to `newest`.
    pub(crate) fn has_settled(&self, at: usize, subscriptions: u64, newest: u64) -> bool {
        match &self.links[at].receiver {
            Receiver::Reader(reader) => reader.has_settled(subscriptions, newest),
            Receiver::Follower(_) | Receiver::Listener(_) | Receiver::Answers(_) => false,
        }
    }

    /// The bytes that wait to be sent on a connection.
    pub(crate) fn outbox(&mut self, at: usize) -> &mut Vec<u8> {
        &mut self.links[at].socket.out
    }

    fn read(&mut self, at: usize) -> Result<()> {
        loop {
            let socket = &mut self.links[at].socket;
            let len = match socket.receive(&mut self.buffer) {
                Ok(0) => bail!("closed without a close frame"),
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("can't receive"),
            };
            self.own.received_bytes += len as u64;
            if socket.is_encrypted() {
                self.decrypt(at, len)?;
            } else {
                // Out of `self` while `received` is a part of it.
                let buffer = std::mem::take(&mut self.buffer);
                let result = self.received(at, &buffer[..len]);
                self.buffer = buffer;
                result?;
            }
            // epoll(7): a short read means that the socket is empty, and that more will be another event.
            if len < BUFFER {
                return Ok(());
            }
        }
    }

    /// Takes the first `len` bytes of the buffer as what TLS made of what was sent.
    fn decrypt(&mut self, at: usize, len: usize) -> Result<()> {
        let mut plaintext = std::mem::take(&mut self.plaintext);
        plaintext.clear();
        let socket = &mut self.links[at].socket;
        socket.decrypt(&mut self.buffer[..len], &mut plaintext)?;
        // What the handshake has to say goes out by itself.
        if socket.has_unsent() {
            self.flush(at)?;
        }
        let result = match plaintext.is_empty() {
            true => Ok(()),
            false => self.received(at, &plaintext),
        };
        self.plaintext = plaintext;
        result
    }

    fn received(&mut self, at: usize, bytes: &[u8]) -> Result<()> {
        let now_ns = self.now_ns();
        let link = &mut self.links[at];
        if link.state == State::Requested {
            return self.received_head(at, bytes, now_ns);
        }
        link.receiver
            .take(bytes, now_ns, &mut self.shared, &mut self.reply)?;
        if link.state == State::Subscribing && link.receiver.subscribed() >= link.awaited {
            link.state = State::Open;
            self.opening -= 1;
        }
        if !self.reply.is_empty() {
            link.socket.out.append(&mut self.reply);
            self.flush(at)?;
        }
        Ok(())
    }

    fn received_head(&mut self, at: usize, bytes: &[u8], now_ns: u64) -> Result<()> {
        let link = &mut self.links[at];
        link.head.extend_from_slice(bytes);
        let offer = self.shared.offer(link.wish.role);
        let dialect = self.shared.dialect_of(link.wish.role);
        let Some(end) = dialect.agreed(&link.head, offer)? else {
            if link.head.len() > MAX_HEAD {
                bail!("the answer to the handshake has no end");
            }
            return Ok(());
        };
        link.opened_ns = now_ns;
        let head = std::mem::take(&mut link.head);
        if let Receives::Everything(topic) = link.wish.receives {
            topic.subscribe(&mut link.socket.out);
            link.awaited += 1;
        } else if link.wish.role == Role::Subscriber {
            for channel in link.wish.channels.clone() {
                if dialect.subscribe(&mut link.socket.out, channel, link.wish.last()) {
                    link.awaited += 1;
                }
            }
        }
        link.state = if link.awaited > 0 {
            State::Subscribing
        } else {
            State::Open
        };
        if link.state == State::Open {
            self.opening -= 1;
        }
        self.flush(at)?;
        let rest = &head[end..];
        if rest.is_empty() {
            Ok(())
        } else {
            self.received(at, rest)
        }
    }

    /// No longer looks at what arrives on a connection, as if its process were stopped.
    ///
    /// # Errors
    /// The poll refuses.
    pub(crate) fn stall(&mut self, at: usize) -> Result<()> {
        self.links[at].socket.deregister(self.poll.registry())
    }

    /// Handles what comes for so long.
    ///
    /// # Errors
    /// As [`turn`](Self::turn).
    pub(crate) fn linger(&mut self, time: Duration) -> Result<()> {
        let until = self.now_ns() + time.as_nanos() as u64;
        while self.now_ns() < until {
            self.turn(Duration::from_millis(10))?;
        }
        Ok(())
    }

    /// Closes connections from `first` on at once, without a closing handshake and without leaving ports in
    /// `TIME_WAIT`.
    pub(crate) fn abort_from(&mut self, first: usize) {
        for link in self.links.drain(first..) {
            link.socket.abort();
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.abort_from(0);
    }
}
