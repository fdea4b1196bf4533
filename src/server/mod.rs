//! The only place with I/O: the loop, connections, outbox, sweep, listener, timers.
//!
//! A turn of the loop: poll, accept (bounded), read (bounded per connection and in all), timers,
//! sweep (bounded), trim. Nothing acts the moment an event arrives: events are noted in queues,
//! and the loop works the queues off in this order. The loop is edge-triggered: a connection whose
//! visit a bound stops before the kernel says `WouldBlock` stays in its queue for the next turn.
//!
//! What the parts hold:
//! - `accept`: from the listener to a registered connection; `seats`: how many there may be, and which are answered beyond that;
//! - `input`: bytes read become requests and events; `session` carries them out on the hub;
//! - `sweep`: one write for each connection that has something to get;
//! - `ending`: closes, timeouts, the shutdown;
//! - `journal`: log lines about single connections.
//!
//! Deliberately absent: threads, a runtime, and any knowledge of how a log or a frame is built.

mod accept;
mod allowance;
mod clock;
mod connection;
mod date;
mod ending;
mod held;
mod hoards;
mod input;
mod journal;
mod listener;
mod metrics;
mod outbox;
mod pace;
mod reads;
mod requests;
mod seats;
mod session;
mod sweep;
mod timers;

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use log::{info, warn};
use mio::{Events, Poll, Token};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook_mio::v1_0::Signals;
use slab::Slab;

use self::accept::Accepting;
use self::clock::Clock;
use self::connection::Connection;
use self::ending::Shutdown;
use self::held::Held;
use self::hoards::Hoards;
use self::input::Unread;
use self::listener::Listener;
use self::pace::Pace;
use self::reads::Reads;
use self::session::Core;
use self::timers::{NEVER, Timers};
use crate::config::Config;
use crate::hub::{ChannelId, SubscriberId};

/// Size of the loop's one read buffer, in bytes: the most that one connection is read from in one turn.
const READ_BYTES: usize = 64 * 1024;

/// How long the reads of one turn may take, and then the sweep, before the others have their turn. One connection more is
/// read from where those with little to read have taken all of it.
const TURN_BUDGET: Duration = Duration::from_millis(1);

/// Events taken from one poll.
const EVENTS: usize = 1024;

/// The signals' token; listeners count down from the one below it. Connections' tokens are an
/// index with a generation above it, which does not come that far.
const SIGNALS: Token = Token(usize::MAX);

/// The daemon: everything that lives as long as the process.
pub struct Server {
    poll: Poll,
    signals: Signals,
    listeners: Vec<Listener>,
    accepting: Accepting,
    connections: Slab<Connection>,
    timers: Timers,
    /// What a request may touch beyond its own connection.
    core: Core,
    /// The loop's read buffer.
    buffer: Vec<u8>,
    /// Connections whose transport became full in the run that is under way.
    became_full: Vec<usize>,
    /// Where small slices are copied together for one write.
    joined: Vec<u8>,
    /// Connections that may have bytes to read.
    reads: Reads,
    /// Connections with private bytes, or that can be written to again.
    visits: VecDeque<Token>,
    /// What was read of paused connections and waits until they no longer are.
    unread: HashMap<Token, Unread>,
    /// When large channels begin their circles.
    pace: Pace,
    /// Publishers that wait for a channel's sweep to catch up.
    congested: Vec<(ChannelId, Token)>,
    /// Where the hub reports channels that were caught up with.
    decongested: Vec<ChannelId>,
    /// Log segments that half-sent messages hold by reference.
    held: Held,
    /// Connections that keep much of their input half read.
    hoards: Hoards,
    shutdown: Option<Shutdown>,
    clock: Clock,
    /// Whether transports keep bytes as TLS does.
    #[cfg(test)]
    withholds: bool,
}

/// Runs the daemon until it is told to end.
///
/// # Errors
/// A sentence for people, where it could not start: an address is taken, a limit does not let it.
pub fn run(config: Config) -> Result<(), String> {
    let mut server = Server::new(config)?;
    server.announce();
    server.turn_until_ended();
    Ok(())
}

impl Server {
    fn new(config: Config) -> Result<Server, String> {
        let file_limit = raise_file_limit();
        let limit = config.connection_limit(file_limit);
        let poll = Poll::new().map_err(|error| format!("cannot poll: {error}"))?;
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGUSR1, SIGHUP])
            .map_err(|error| format!("cannot listen for signals: {error}"))?;
        let mut listeners = Listener::bind_all(&config)?;
        let registry = poll.registry();
        registry
            .register(&mut signals, SIGNALS, mio::Interest::READABLE)
            .map_err(|error| format!("cannot listen for signals: {error}"))?;
        for (index, listener) in listeners.iter_mut().enumerate() {
            listener
                .register(registry, listener_token(index))
                .map_err(|error| format!("cannot poll {}: {error}", listener.name))?;
        }
        info!("files: at most {file_limit} open; connections: at most {limit}");
        for sentence in config.lowered_limits(file_limit) {
            warn!("{sentence}");
        }
        Ok(Server {
            poll,
            signals,
            listeners,
            accepting: Accepting::new(limit),
            connections: Slab::new(),
            timers: Timers::default(),
            buffer: vec![0; READ_BYTES],
            became_full: Vec::new(),
            joined: Vec::new(),
            pace: Pace::new(Duration::from_millis(config.coalesce_ms)),
            core: Core::new(config),
            reads: Reads::default(),
            visits: VecDeque::new(),
            unread: HashMap::new(),
            congested: Vec::new(),
            decongested: Vec::new(),
            held: Held::default(),
            hoards: Hoards::default(),
            shutdown: None,
            clock: Clock::new(),
            #[cfg(test)]
            withholds: false,
        })
    }

    fn announce(&self) {
        for listener in &self.listeners {
            info!(
                "fanfare/{} listening on {} ({})",
                env!("CARGO_PKG_VERSION"),
                listener.name,
                listener.reach,
            );
        }
    }

    fn turn_until_ended(&mut self) {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            let timeout = self.poll_timeout();
            self.poll(&mut events, timeout);
            let stalled = self.clock.begin_turn(timeout);
            self.core.now = self.clock.turn();
            self.core.metrics.turns += 1;
            // Before anything else, so that the hub knows the time: what is unsubscribed now lingers from now.
            self.core.hub.handle_timeout(self.core.now);
            self.note_all(&mut events, stalled);
            self.accept();
            self.read();
            self.handle_timeouts();
            self.sweep();
            self.admit_held_back();
            self.drop_stalled();
            self.trim();
            self.check_sums();
            if self.has_ended() {
                break;
            }
        }
        self.core.journal.finish();
        info!(
            "ended after {:.1} s: {}",
            self.clock.since_start().as_secs_f64(),
            self.core.metrics
        );
    }

    /// Waits for events. A signal or the end of a stop (SIGCONT) interrupts the wait without telling what
    /// happened, so it is asked for once more.
    fn poll(&mut self, events: &mut Events, mut timeout: Option<Duration>) {
        while let Err(error) = self.poll.poll(events, timeout) {
            timeout = Some(Duration::ZERO);
            if error.kind() != io::ErrorKind::Interrupted {
                // Nothing that a client does leads here; try again, but not at full speed.
                warn!("poll: {error}");
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }

    /// Notes all events of a poll. Where a deadline is due, everything is noted that the kernel has to
    /// tell: one poll has room for [`EVENTS`], and nobody is late whose bytes are here.
    fn note_all(&mut self, events: &mut Events, stalled: bool) {
        // Whatever is ready now is told within so many polls.
        let mut polls = self.connections.len() / EVENTS + 1;
        let mut may_be_more = stalled;
        loop {
            let mut count = 0;
            for event in &*events {
                self.note(event);
                count += 1;
            }
            may_be_more |= count >= EVENTS;
            let is_due = self.timers.next().is_some_and(|next| next <= self.core.now);
            if !may_be_more || !is_due || polls == 0 {
                return;
            }
            polls -= 1;
            may_be_more = false;
            self.poll(events, Some(Duration::ZERO));
        }
    }

    /// Notes what an event says; nothing is done about it yet.
    fn note(&mut self, event: &mio::event::Event) {
        let token = event.token();
        if token == SIGNALS {
            self.handle_signals();
            return;
        }
        if let Some(listener) = listener_index(token, self.listeners.len()) {
            self.listeners[listener].ready = true;
            return;
        }
        let Some(connection) = find(&mut self.connections, token) else {
            return;
        };
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            connection.hung_up |= event.is_read_closed() || event.is_error();
            queue_read(connection, &mut self.reads);
        }
        if event.is_writable() {
            self.unblock(token);
        }
    }

    /// How long the poll may wait: not at all while anything is left to do.
    fn poll_timeout(&self) -> Option<Duration> {
        let now = self.clock.now();
        let busy = !self.reads.is_empty()
            || !self.visits.is_empty()
            || self.core.hub.has_work()
            || (self.accepting.is_open(now) && self.listeners.iter().any(|l| l.ready));
        if busy {
            return Some(Duration::ZERO);
        }
        let next = [
            self.timers.next(),
            self.core.hub.next_timeout(),
            self.accepting.next_timeout(),
            self.shutdown.as_ref().map(|s| s.next_step(now)),
        ];
        let next = next.into_iter().flatten().min();
        let next = next.map(|next| Duration::from_millis(next.saturating_sub(now)));
        let circles = self.core.hub.has_waiting();
        let circles = circles.then(|| self.pace.remaining(Instant::now()));
        next.into_iter().chain(circles).min()
    }

    fn handle_signals(&mut self) {
        let signals: Vec<_> = self.signals.pending().collect();
        for signal in signals {
            match signal {
                SIGUSR1 => info!("{}; {}", self.core.metrics, self.state()),
                SIGHUP => info!("SIGHUP: options are read at the start only; nothing changes"),
                _ if self.shutdown.is_some() => {
                    info!("second signal: ending at once: {}", self.core.metrics);
                    std::process::exit(1);
                }
                _ => self.begin_shutdown(),
            }
        }
    }

    /// What there is now, for the log line that SIGUSR1 asks for.
    fn state(&self) -> String {
        let hub = self.core.hub.stats();
        format!(
            "connections {}, channels {}, messages held {}, bytes held {}, half-read bytes {}, outbox bytes {}, half-sent bytes {}",
            self.connections.len(),
            hub.channels,
            hub.messages,
            hub.bytes,
            self.core.input_held,
            self.core.outbox_bytes,
            self.held.bytes(),
        )
    }

    /// Whether what is counted as it comes and goes is what is there.
    fn check_sums(&self) {
        // Looks at every connection: for tests, which have few.
        if cfg!(debug_assertions) && self.connections.len() < 64 {
            let half_read: usize = self.connections.iter().map(|c| c.1.half_read_bytes()).sum();
            let unread: usize = self.unread.values().map(Unread::held_bytes).sum();
            assert_eq!(self.core.input_held, half_read + unread);
            let hoarding = self
                .connections
                .iter()
                .filter(|c| c.1.hoards_since != NEVER);
            assert_eq!(self.hoards.len(), hoarding.count());
            let outboxes = self.connections.iter().filter_map(|c| c.1.outbox.held());
            let mut segments: Vec<_> = outboxes.map(|s| (Rc::as_ptr(s), s.capacity())).collect();
            segments.sort_unstable();
            segments.dedup();
            let held = segments.iter().map(|segment| segment.1);
            assert_eq!(self.held.bytes(), held.sum::<usize>());
            let counted = self.connections.iter().map(|c| c.1.outbox.counted_bytes());
            assert_eq!(self.core.outbox_bytes, counted.sum::<usize>());
        }
    }
}

fn listener_token(index: usize) -> Token {
    Token(SIGNALS.0 - 1 - index)
}

fn listener_index(token: Token, listeners: usize) -> Option<usize> {
    let index = (SIGNALS.0 - 1).checked_sub(token.0)?;
    (index < listeners).then_some(index)
}

/// The slab's index in a connection's token.
#[inline]
fn index_of(token: Token) -> usize {
    token.0 & 0xFFFF_FFFF
}

/// The connection that this token was given to, if it is still there: an index is used again, a
/// token is not.
#[inline]
fn find(connections: &mut Slab<Connection>, token: Token) -> Option<&mut Connection> {
    let connection = connections.get_mut(index_of(token))?;
    (connection.token == token).then_some(connection)
}

/// A connection's name in the hub: its place in the slab.
#[inline]
fn subscriber(index: usize) -> SubscriberId {
    // There are fewer connections than files, of which there are fewer than 2^32.
    SubscriberId(index as u32)
}

fn queue_read(connection: &mut Connection, reads: &mut Reads) {
    if !connection.in_reads && !connection.paused.any() {
        connection.in_reads = true;
        reads.push(connection.token, connection.standing());
    }
}

fn queue_visit(connection: &mut Connection, visits: &mut VecDeque<Token>) {
    if !connection.in_visits && !connection.is_blocked() {
        connection.in_visits = true;
        visits.push_back(connection.token);
    }
}

/// Raises the soft limit on open files to the hard one and says what it is now.
fn raise_file_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, wanted) {
        let number = |limit: Option<u64>| limit.map_or("no limit".to_owned(), |n| n.to_string());
        let (from, to) = (number(limit.current), number(limit.maximum));
        warn!("cannot raise the limit on open files from {from} to {to}: {error}");
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
