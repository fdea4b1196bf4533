//! The load client: many connections on one thread, driven by one poll.
//!
//! It must be far cheaper than the server that it loads: one large buffer for all connections, one `recv` for each
//! readiness, and no allocation while messages flow.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use socket2::{Domain, Socket, Type};

use crate::dialect::{Dialect, Role};
use crate::fault::check_interruption;
use crate::pattern::{Listener, Topic};
use crate::progress::Progress;
use crate::reader::Reader;
use crate::receive::{Follower, Shared};

/// Connections that may be under way at once, so that the server's backlog is never the subject.
const OPENING_MAX: usize = 1_000;
/// Connections from one address.
const CROWD: usize = 4_000;
/// Bytes taken from a socket at once.
const BUFFER: usize = 512 << 10;
/// Events taken from the poll at once.
const EVENTS: usize = 4_096;
/// How many sent bytes are kept before those that are not, lest they be moved all the time.
const SENT_MAX: usize = 1 << 20;
/// How long opening all connections may take.
const OPEN_TIMEOUT: Duration = Duration::from_secs(60);
/// The largest answer to a handshake.
pub(crate) const MAX_HEAD: usize = 16 << 10;

/// What a connection does with messages.
enum Receiver {
    /// It sees what all others of its channel see.
    Follower(Follower),
    /// It looks at each message.
    Reader(Reader),
    /// It looks at each message of a pattern, or of the channel beside it.
    Listener(Listener),
}

impl Receiver {
    /// The one that fits a wish; its connection is begun at `now_ns`.
    fn of(wish: &Wish, now_ns: u64) -> Self {
        let channel = wish.channels.start;
        Self::Reader(match wish.receives {
            Receives::TheSame => return Self::Follower(Follower::default()),
            Receives::Everything(topic) => return Self::Listener(Listener::new(topic)),
            Receives::ItsOwn => Reader::of(wish.channels.clone()),
            Receives::Newest(last) => Reader::returning(channel, last, now_ns),
            Receives::NowAndThen => Reader::apart(channel),
        })
    }

    fn take(
        &mut self,
        received: &[u8],
        now_ns: u64,
        shared: &mut Shared,
        reply: &mut Vec<u8>,
    ) -> Result<()> {
        match self {
            Self::Follower(follower) => follower.take(received, now_ns, shared, reply),
            Self::Reader(reader) => reader.take(received, now_ns, shared, reply),
            Self::Listener(listener) => listener.take(received, now_ns, shared, reply),
        }
    }

    /// Subscriptions confirmed so far.
    fn subscribed(&self) -> u64 {
        match self {
            Self::Follower(follower) => follower.subscribed,
            Self::Reader(reader) => reader.subscribed,
            Self::Listener(listener) => listener.subscribed(),
        }
    }
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Connecting,
    /// The request is sent, the answer is not whole.
    Requested,
    /// The handshake is done, some subscriptions are not confirmed.
    Subscribing,
    Open,
}

/// Which messages a connection is to receive, which decides how they are checked.
#[derive(Clone, Copy, Debug)]
enum Receives {
    /// All of one channel, like many others.
    TheSame,
    /// All of its channels.
    ItsOwn,
    /// The newest so many of one channel, then nothing.
    Newest(u64),
    /// Those of one channel while it is subscribed.
    NowAndThen,
    /// All that is published, from the first publication on.
    Everything(Topic),
}

/// What a connection asks for before it counts as open.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    role: Role,
    /// The channels that it subscribes to; the first one names the path where the dialect has channels in paths.
    channels: Range<usize>,
    receives: Receives,
}

impl Wish {
    fn new(role: Role, channels: Range<usize>, receives: Receives) -> Self {
        Self {
            role,
            channels,
            receives,
        }
    }

    /// One that publishes.
    pub(crate) fn publisher() -> Self {
        // A path names the channel that is published to; nothing is subscribed.
        Self::new(Role::Publisher, 0..1, Receives::ItsOwn)
    }

    /// One of many subscribers of the first channel, who must all see the same.
    pub(crate) fn follower() -> Self {
        Self::new(Role::Subscriber, 0..1, Receives::TheSame)
    }

    /// A subscriber of some channels, or of none.
    pub(crate) fn reader(channels: Range<usize>) -> Self {
        Self::new(Role::Subscriber, channels, Receives::ItsOwn)
    }

    /// A subscriber of the first channel that asks for the newest `last` messages.
    pub(crate) fn returning(last: u64) -> Self {
        Self::new(Role::Subscriber, 0..1, Receives::Newest(last))
    }

    /// A subscriber of the first channel that comes and goes.
    pub(crate) fn churner() -> Self {
        Self::new(Role::Subscriber, 0..1, Receives::NowAndThen)
    }

    /// A subscriber of the first channel, or of the pattern that stands for all of them.
    pub(crate) fn listener(topic: Topic) -> Self {
        Self::new(Role::Subscriber, 0..1, Receives::Everything(topic))
    }

    /// How many messages it asks for with a subscription.
    fn last(&self) -> Option<u64> {
        match self.receives {
            Receives::Newest(last) => Some(last),
            _ => None,
        }
    }
}

/// One connection.
pub(crate) struct Link {
    socket: TcpStream,
    state: State,
    wish: Wish,
    /// Subscriptions whose answers are awaited.
    awaited: u64,
    /// What it does with messages.
    receiver: Receiver,
    /// The answer to the handshake while it is not whole.
    head: Vec<u8>,
    /// What is to be sent, and how much of it is.
    out: Vec<u8>,
    sent: usize,
    /// When its handshake was done, in nanoseconds of the client's clock.
    pub(crate) opened_ns: u64,
}

/// All connections and what they share.
pub(crate) struct Client {
    poll: Poll,
    events: Events,
    /// The connections; a token is an index.
    pub(crate) links: Vec<Link>,
    /// What subscribers share.
    pub(crate) shared: Shared,
    buffer: Vec<u8>,
    reply: Vec<u8>,
    address: SocketAddr,
    path: String,
    /// What times count from.
    pub(crate) begun: Instant,
    /// Calls of `send` so far.
    pub(crate) sends: u64,
    /// Bytes received so far.
    pub(crate) received_bytes: u64,
    /// Time spent in polls that were not to wait and found nothing.
    pub(crate) idle_ns: u64,
    /// Whether another thread of ours needs the core now and then.
    pub(crate) yields: bool,
    /// Connections that are not open yet.
    opening: usize,
}

impl Client {
    /// A client without connections.
    ///
    /// # Errors
    /// The system has no poll left.
    pub(crate) fn new(address: SocketAddr, path: &str, shared: Shared) -> Result<Self> {
        Ok(Self {
            poll: Poll::new().context("no poll")?,
            events: Events::with_capacity(EVENTS),
            links: Vec::new(),
            shared,
            buffer: vec![0; BUFFER],
            reply: Vec::new(),
            address,
            path: path.to_owned(),
            begun: Instant::now(),
            sends: 0,
            received_bytes: 0,
            idle_ns: 0,
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
            .any(|link| link.state == State::Connecting || !link.out.is_empty())
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
        let receiver = Receiver::of(&wish, self.now_ns());
        let mut socket = connect(self.address, self.links.len()).context("can't connect")?;
        let token = Token(self.links.len());
        self.poll.registry().register(
            &mut socket,
            token,
            Interest::READABLE | Interest::WRITABLE,
        )?;
        let mut out = Vec::new();
        let host = self.address.to_string();
        self.shared.dialect.handshake(
            &mut out,
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
            out,
            sent: 0,
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
                self.idle_ns += began.elapsed().as_nanos() as u64;
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
                if let Some(error) = link.socket.take_error()? {
                    return Err(error).context("can't connect");
                }
                // Disabling Nagle can't fail on a connected TCP socket.
                let _ = link.socket.set_nodelay(true);
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
        let link = &mut self.links[at];
        while link.sent < link.out.len() {
            match link.socket.write(&link.out[link.sent..]) {
                Ok(len) => {
                    self.sends += 1;
                    link.sent += len;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if link.sent > SENT_MAX {
                        link.out.drain(..link.sent);
                        link.sent = 0;
                    }
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("can't send"),
            }
        }
        link.out.clear();
        link.sent = 0;
        Ok(())
    }

    /// How many bytes wait to be sent on a connection.
    pub(crate) fn unsent(&self, at: usize) -> usize {
        let link = &self.links[at];
        link.out.len() - link.sent
    }

    /// Whether who comes and goes at `at` has subscribed so often and has all messages up to `newest`.
    pub(crate) fn has_settled(&self, at: usize, subscriptions: u64, newest: u64) -> bool {
        match &self.links[at].receiver {
            Receiver::Reader(reader) => reader.has_settled(subscriptions, newest),
            Receiver::Follower(_) | Receiver::Listener(_) => false,
        }
    }

    /// The bytes that wait to be sent on a connection.
    pub(crate) fn outbox(&mut self, at: usize) -> &mut Vec<u8> {
        &mut self.links[at].out
    }

    fn read(&mut self, at: usize) -> Result<()> {
        loop {
            let link = &mut self.links[at];
            let len = match link.socket.read(&mut self.buffer) {
                Ok(0) => bail!("closed without a close frame"),
                Ok(len) => len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("can't receive"),
            };
            self.received_bytes += len as u64;
            // Out of `self` while `received` is a part of it.
            let buffer = std::mem::take(&mut self.buffer);
            let result = self.received(at, &buffer[..len]);
            self.buffer = buffer;
            result?;
            // epoll(7): a short read means that the socket is empty, and that more will be another event.
            if len < BUFFER {
                return Ok(());
            }
        }
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
            link.out.append(&mut self.reply);
            self.flush(at)?;
        }
        Ok(())
    }

    fn received_head(&mut self, at: usize, bytes: &[u8], now_ns: u64) -> Result<()> {
        let link = &mut self.links[at];
        link.head.extend_from_slice(bytes);
        let offer = self.shared.offer(link.wish.role);
        let Some(end) = Dialect::agreed(&link.head, offer)? else {
            if link.head.len() > MAX_HEAD {
                bail!("the answer to the handshake has no end");
            }
            return Ok(());
        };
        link.opened_ns = now_ns;
        let head = std::mem::take(&mut link.head);
        if let Receives::Everything(topic) = link.wish.receives {
            topic.subscribe(&mut link.out);
            link.awaited += 1;
        } else if link.wish.role == Role::Subscriber {
            for channel in link.wish.channels.clone() {
                if self
                    .shared
                    .dialect
                    .subscribe(&mut link.out, channel, link.wish.last())
                {
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
        self.poll
            .registry()
            .deregister(&mut self.links[at].socket)
            .context("deregister")
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
            // Failing that, the port is merely busy for a minute.
            let _ = socket2::SockRef::from(&link.socket).set_linger(Some(Duration::ZERO));
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.abort_from(0);
    }
}

/// Begins the connection numbered `at`. Each crowd of them comes from a loopback address of its own: the kernel's search for
/// a free port slows down long before an address has none left.
fn connect(address: SocketAddr, at: usize) -> std::io::Result<TcpStream> {
    let crowd = at / CROWD;
    if crowd == 0 || !address.ip().is_loopback() || address.is_ipv6() {
        return TcpStream::connect(address);
    }
    let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking().cloexec(), None)?;
    // Some 250 crowds of 4,000 are more than any process may have files.
    let source = Ipv4Addr::new(127, 0, 0, 1 + crowd.min(250) as u8);
    socket.bind(&SocketAddr::from((source, 0)).into())?;
    match socket.connect(&address.into()) {
        Err(error)
            if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) =>
        {
            Err(error)
        }
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}
