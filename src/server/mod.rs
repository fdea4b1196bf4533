//! The only place with I/O: the loop, connections, outbox, sweep, listener, timers.
//!
//! A turn of the loop: poll, accept (bounded), read (bounded per connection and in all), timers,
//! sweep (bounded), trim. Nothing acts the moment an event arrives: events are noted in queues,
//! and the loop works the queues off in this order. The loop is edge-triggered: a connection whose
//! visit a bound stops before the kernel says `WouldBlock` stays in its queue for the next turn.
//!
//! What the parts promise, from the bottom up:
//! - `service`: the one door to the hub, and what all connections share: sums (`ledger`), encodings (`encoders`), and what
//!   numbers publications (`broker`);
//! - `connection`: a connection as a state machine without a socket;
//! - `connections`: all of them; after each change the sums, the hub and the queues (`work`) agree with it;
//! - `accept`: from the listener to a registered connection; `seats`: how many there may be, and which are answered beyond that;
//! - `read`: bytes are read and given to their connections, in the order of `reads`;
//! - `sweep`: one write for each connection that has something to get; `pace`: when large channels begin their circles;
//! - `ending`: the daemon's own end;
//! - `journal`: log lines about single connections.
//!
//! [`Server`] ties them together and has no methods but those of the turn.
//!
//! Deliberately absent: threads, a runtime, and any knowledge of how a log or a frame is built.

mod accept;
mod allowance;
mod broker;
mod clock;
mod connection;
mod connections;
mod date;
mod encoders;
mod ending;
mod held;
mod hoards;
mod journal;
#[cfg(test)]
mod late_broker;
mod ledger;
mod listener;
mod metrics;
mod outbox;
mod pace;
mod read;
mod reads;
mod seats;
mod service;
mod sweep;
mod tickets;
mod timers;
mod tokens;
mod work;

#[cfg(test)]
mod tests;

use std::io;
use std::time::{Duration, Instant};

use log::{info, warn};
use mio::{Events, Poll, Token};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook_mio::v1_0::Signals;

use self::accept::Accepting;
use self::clock::Clock;
use self::connection::flow::Flow;
use self::connections::Connections;
use self::ending::Shutdown;
use self::listener::Listener;
use self::pace::Pace;
use self::read::Reader;
use self::sweep::Sweep;
use self::tokens::index_of;
use crate::config::Config;

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
    clock: Clock,
    accepting: Accepting,
    connections: Connections,
    reader: Reader,
    sweep: Sweep,
    shutdown: Option<Shutdown>,
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
        let pace = Pace::new(Duration::from_millis(config.coalesce_ms));
        Ok(Server {
            poll,
            signals,
            clock: Clock::new(),
            accepting: Accepting::new(listeners),
            connections: Connections::new(config, limit),
            reader: Reader::new(),
            sweep: Sweep::new(pace),
            shutdown: None,
        })
    }

    fn announce(&self) {
        for listener in &self.accepting.listeners {
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
        while !self.has_ended() {
            let timeout = self.poll_timeout();
            self.poll(&mut events, timeout);
            let stalled = self.clock.begin_turn(timeout);
            self.turn(&mut events, stalled);
        }
        let service = &mut self.connections.service;
        service.journal.finish();
        info!(
            "ended after {:.1} s: {}",
            self.clock.since_start().as_secs_f64(),
            service.metrics
        );
    }

    /// One time around the loop, with the events of a poll.
    fn turn(&mut self, events: &mut Events, stalled: bool) {
        let service = &mut self.connections.service;
        service.now = self.clock.turn();
        service.metrics.turns += 1;
        // Before anything else, so that the hub knows the time: what is unsubscribed now lingers from now.
        service.hub.handle_timeout(service.now);
        self.note_all(events, stalled);
        self.work();
    }

    /// The turn's work, once its events are noted.
    fn work(&mut self) {
        let connections = &mut self.connections;
        let registry = self.poll.registry();
        self.accepting.accept(connections, registry);
        self.reader.read(connections);
        connections.answer_tickets();
        connections.handle_timeouts();
        if let Some(shutdown) = &mut self.shutdown {
            shutdown.step(connections, &mut self.sweep);
        }
        self.sweep.sweep(connections);
        self.accepting.admit_held_back(connections, registry);
        connections.drop_stalled();
        self.sweep.trim(connections);
        connections.check_sums();
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
            let now = self.connections.service.now;
            let next = self.connections.work.timers.next();
            let is_due = next.is_some_and(|next| next <= now);
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
        if let Some(listener) = listener_index(token, self.accepting.listeners.len()) {
            self.accepting.listeners[listener].ready = true;
            return;
        }
        let Some(connection) = self.connections.find(token) else {
            return;
        };
        let has_ended = event.is_read_closed() || event.is_error();
        if event.is_readable() || has_ended {
            connection.flow.insert(Flow::READABLE);
            connection.flow.set(
                Flow::HUNG_UP,
                connection.flow.contains(Flow::HUNG_UP) || has_ended,
            );
            self.connections.touch(index_of(token));
        }
        if event.is_writable()
            && self.connections.unblock(token)
            && let Some(shutdown) = &mut self.shutdown
        {
            shutdown.go_on(token);
        }
    }

    /// How long the poll may wait: not at all while anything is left to do.
    fn poll_timeout(&self) -> Option<Duration> {
        let now = self.clock.now();
        let Connections { work, service, .. } = &self.connections;
        let is_busy = !work.reads.is_empty()
            || !work.visits.is_empty()
            || !service.finished.is_empty()
            || service.hub.has_work()
            || self.sweep.has_work()
            || self.accepting.has_work(now);
        if is_busy {
            return Some(Duration::ZERO);
        }
        let next = [
            work.timers.next(),
            service.hub.next_timeout(),
            self.accepting.next_timeout(),
            self.shutdown.as_ref().map(|s| s.next_step(now)),
        ];
        let next = next.into_iter().flatten().min();
        let next = next.map(|next| Duration::from_millis(next.saturating_sub(now)));
        let circles = service.hub.has_waiting();
        let circles = circles.then(|| self.sweep.pace.remaining(Instant::now()));
        next.into_iter().chain(circles).min()
    }

    fn handle_signals(&mut self) {
        let signals: Vec<_> = self.signals.pending().collect();
        let metrics = &self.connections.service.metrics;
        for signal in signals {
            match signal {
                SIGUSR1 => info!("{metrics}; {}", self.state()),
                SIGHUP => info!("SIGHUP: options are read at the start only; nothing changes"),
                _ if self.shutdown.is_some() => {
                    info!("second signal: ending at once: {metrics}");
                    std::process::exit(1);
                }
                _ => {
                    info!("ending: closing {} connections", self.connections.len());
                    self.accepting.listeners.clear();
                    self.shutdown = Some(Shutdown::begin(&self.connections));
                }
            }
        }
    }

    /// What there is now, for the log line that SIGUSR1 asks for.
    fn state(&self) -> String {
        let Connections { service, .. } = &self.connections;
        let (hub, ledger) = (service.hub.stats(), &service.ledger);
        format!(
            "connections {}, channels {}, messages held {}, bytes held {}, half-read bytes {}, outbox bytes {}, half-sent bytes {}",
            self.connections.len(),
            hub.channels,
            hub.messages,
            hub.bytes,
            ledger.input,
            ledger.outbox,
            ledger.held.bytes(),
        )
    }

    /// Whether the daemon may end: it was told to, and everybody is gone or had time enough.
    fn has_ended(&self) -> bool {
        let Some(shutdown) = &self.shutdown else {
            return false;
        };
        self.connections.len() == 0 || shutdown.is_over(self.connections.service.now)
    }
}

fn listener_token(index: usize) -> Token {
    Token(SIGNALS.0 - 1 - index)
}

fn listener_index(token: Token, listeners: usize) -> Option<usize> {
    let index = (SIGNALS.0 - 1).checked_sub(token.0)?;
    (index < listeners).then_some(index)
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
