//! The only place with I/O: the loop, connections, outbox, sweep, listener, timers.
//!
//! A turn of the loop: poll, accept (bounded), read (bounded per connection and in all), timers,
//! sweep (bounded), trim. Nothing acts the moment an event arrives: events are noted in queues,
//! and the loop works the queues off in this order. The loop is edge-triggered: a connection whose
//! visit a bound stops before the kernel says `WouldBlock` stays in its queue for the next turn.
//!
//! What the parts promise, from the bottom up:
//! - `gate`: who somebody is and what it may do;
//! - `checks`: passwords, which helper threads check;
//! - `service`: the one door to the hub, and what all connections share: sums (`ledger`), encodings (`encoders`), and what
//!   numbers publications (`broker`);
//! - `connection`: a connection as a state machine without a socket;
//! - `connections`: all of them; after each change the sums, the hub and the queues (`work`) agree with it;
//! - `admin`: what is asked of the server as a whole;
//! - `accept`: from the listener to a registered connection; `seats`: how many there may be, and which are answered beyond that;
//! - `read`: bytes are read and given to their connections, in the order of `reads`;
//! - `sweep`: one write for each connection that has something to get; `pace`: when large channels begin their circles;
//! - `api`: what an administrator asks by HTTP that reaches beyond the asker's own connection;
//! - `ending`: the daemon's own end;
//! - `engine`: the turn's work without a poll, a clock and listeners, so that it can be simulated;
//! - `handover`, `restart`: the next process goes on with everything; `state`: what outlives the daemon in a file;
//! - `journal`: log lines about single connections;
//! - `service_manager`: what the system's service manager is told, and the sockets that it gives.
//!
//! [`Server`] ties them together and has no methods but those of the turn.
//!
//! Deliberately absent: a runtime, threads but for what would make the loop wait (passwords, the keys of tokens from a URL),
//! and any knowledge of how a log or a frame is built.

mod accept;
mod admin;
mod alarm;
mod allowance;
mod api;
mod broker;
mod checks;
mod clock;
mod connection;
mod connections;
mod date;
mod encoders;
mod ending;
mod engine;
mod first_process;
mod gate;
mod handover;
mod handshakes;
mod held;
mod hoards;
mod hub_config;
mod journal;
mod keys;
#[cfg(test)]
mod late_broker;
mod ledger;
mod listener;
mod metrics;
mod outbox;
mod pace;
mod preflight;
mod rates;
mod read;
mod reads;
mod refusal;
mod reload;
mod restart;
mod seats;
mod service;
mod service_manager;
#[cfg(any(test, fuzzing))]
pub mod simulation;
mod state;
mod sweep;
mod tickets;
mod timers;
mod tokens;
mod watch;
mod work;

#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{info, warn};
use mio::{Events, Poll, Token, Waker};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook_mio::v1_0::Signals;

use self::accept::Accepting;
use self::admin::Standing;
use self::alarm::Alarm;
use self::clock::Clock;
use self::engine::{Engine, Ready};
use self::first_process::Supervisor;
use self::gate::refuse_accidents;
pub use self::handover::request_restart;
use self::handover::{Handover, Program};
use self::listener::Listener;
use self::pace::Pace;
use self::preflight::check_state;
pub use self::preflight::{Preflight, check};
pub use self::reload::{ReadConfig, Reloading};
use self::reload::{Reloaded, fetch_keys, load_passwords, load_terms, start_checks, watched_files};
use self::service_manager::ServiceManager;
pub use self::service_manager::sockets::{GivenDoors, GivenSockets};
use self::watch::Watch;
use crate::auth::token::{KeySource, Verifier};
use crate::config::Config;

/// How long the reads of one turn may take, and then the sweep, before the others have their turn. One connection more is
/// read from where those with little to read have taken all of it.
const TURN_BUDGET: Duration = Duration::from_millis(1);

/// Events taken from one poll.
const EVENTS: usize = 1024;

/// The tokens of the signals, of the alarm, of what wakes the loop for other threads and of a restart under way; listeners count down from the one below. Connections' tokens are an
/// index with a generation above it, which does not come that far.
const SIGNALS: Token = Token(usize::MAX);
const ALARM: Token = Token(SIGNALS.0 - 1);
const WAKER: Token = Token(ALARM.0 - 1);
const HANDOVER: Token = Token(WAKER.0 - 1);

/// The daemon: everything that lives as long as the process.
pub struct Server {
    poll: Poll,
    signals: Signals,
    /// For the rests between circles.
    alarm: Alarm,
    clock: Clock,
    accepting: Accepting,
    engine: Engine,
    /// The files that are read again when they change.
    watch: Watch,
    /// Where keys of tokens are fetched, if they are.
    key_source: Option<KeySource>,
    /// For threads that have something for the loop.
    waker: Arc<Waker>,
    /// How to read the configuration again.
    reloading: Option<Reloading>,
    /// The service manager, which is told how things stand.
    manager: ServiceManager,
    /// What runs next, on SIGUSR2.
    program: Program,
    /// Which sockets the service manager has given.
    given: GivenDoors,
    /// The restart that is under way, and whether it goes on without waiting.
    handover: Option<Handover>,
    hands_over_on: bool,
    /// In a container: where its first process is told who serves, and what it is there for after a restart, if this is it.
    link: Option<OwnedFd>,
    supervisor: Option<Supervisor>,
}

/// Runs the daemon until it is told to end. It listens by `sockets` where they are for the configuration's addresses, and binds others. On
/// SIGHUP the configuration is read again, where `reloading` says how. On SIGUSR2 the program that this process was started from is started again,
/// with the same arguments, and goes on with everything: then this process ends.
///
/// # Errors
/// A sentence for people, where it could not start: an address is taken, a limit does not let it.
pub fn run(
    config: Config,
    mut sockets: GivenSockets,
    reloading: Option<Reloading>,
) -> Result<(), String> {
    let (given, predecessor) = (sockets.doors(), sockets.take_predecessor());
    let mut server = Server::new(config, sockets)?;
    server.reloading = reloading;
    server.given = given;
    match predecessor {
        Some(predecessor) => {
            server.take_over(predecessor)?;
            server
                .accepting
                .listeners
                .iter_mut()
                .for_each(Listener::own);
        }
        None => server.load_state()?,
    }
    server.announce();
    server.turn_until_ended();
    server.supervise();
    Ok(())
}

impl Server {
    fn new(config: Config, sockets: GivenSockets) -> Result<Server, String> {
        let file_limit = raise_file_limit();
        let limit = config.connection_limit(file_limit);
        let poll = Poll::new().map_err(|error| format!("cannot poll: {error}"))?;
        let mut signals =
            heed_signals().map_err(|error| format!("cannot listen for signals: {error}"))?;
        let watch = Watch::new(watched_files(&config));
        refuse_accidents(&config)?;
        check_state(&config)?;
        let terms = load_terms(&config.tls)?;
        let verifier = Verifier::load(&config.token).map_err(|errors| errors.join("\n"))?;
        let passwords = load_passwords(&config).map_err(|errors| errors.join("\n"))?;
        let mut listeners = Listener::open_all(&config, sockets)?;
        let registry = poll.registry();
        registry
            .register(&mut signals, SIGNALS, mio::Interest::READABLE)
            .map_err(|error| format!("cannot listen for signals: {error}"))?;
        let alarm =
            Alarm::new(registry, ALARM).map_err(|error| format!("cannot make a timer: {error}"))?;
        for listener in &mut listeners {
            listener
                .register(registry, listener_token(listener.door))
                .map_err(|error| format!("cannot poll {}: {error}", listener.name))?;
        }
        info!("files: at most {file_limit} open; connections: at most {limit}");
        for sentence in config.lowered_limits(file_limit) {
            warn!("{sentence}");
        }
        let pace = Pace::new(Duration::from_millis(config.coalesce_ms));
        let mut engine = Engine::new(config, limit, pace);
        let waker = Waker::new(registry, WAKER);
        let waker = Arc::new(waker.map_err(|error| format!("cannot be woken: {error}"))?);
        let service = &mut engine.connections.service;
        service.gate.take_terms(terms.clone());
        service.open_gate(verifier);
        start_checks(service, passwords.as_ref(), &waker)?;
        service.take_passwords(passwords.map(Arc::new));
        let service = &engine.connections.service;
        let key_source = fetch_keys(&service.config, &waker)?;
        info!("{}", service.gate);
        Ok(Server {
            poll,
            signals,
            alarm,
            clock: Clock::new(),
            accepting: Accepting::new(listeners, terms),
            engine,
            watch,
            key_source,
            waker,
            reloading: None,
            manager: ServiceManager::of_environment(),
            program: Program::of_this_process(),
            given: GivenDoors::default(),
            handover: None,
            hands_over_on: false,
            link: None,
            supervisor: None,
        })
    }

    fn announce(&mut self) {
        for listener in &self.accepting.listeners {
            let (name, reach) = (&listener.name, listener.reach);
            match listener.is_admin {
                true => {
                    let name = name.replacen("ws://", "http://", 1);
                    info!("administration on {name} ({reach})");
                }
                false => info!(
                    "fanfare/{} listening on {name} ({reach})",
                    env!("CARGO_PKG_VERSION")
                ),
            }
        }
        self.engine.connections.service.inside.standing = Standing::Ready;
        self.manager.say_ready(&self.accepting.names());
    }

    fn turn_until_ended(&mut self) {
        let mut events = Events::with_capacity(EVENTS);
        while !self.engine.has_ended() {
            let timeout = self.poll_timeout();
            self.poll(&mut events, timeout);
            let stalled = self.clock.begin_turn(timeout);
            self.turn(&mut events, stalled);
        }
        self.save_state();
        let service = &mut self.engine.connections.service;
        service.journal.finish();
        info!(
            "ended after {:.1} s: {}",
            self.clock.since_start().as_secs_f64(),
            service.metrics
        );
    }

    /// One time around the loop, with the events of a poll.
    fn turn(&mut self, events: &mut Events, stalled: bool) {
        self.engine.begin_turn(self.clock.turn());
        self.note_all(events, stalled);
        self.follow_keys();
        if self.watch.look(self.engine.connections.service.now) {
            // The log has what is wrong.
            let _ = self.reload_files("a file has changed");
        }
        let registry = self.poll.registry();
        self.accepting
            .accept(&mut self.engine.connections, registry);
        self.engine.work();
        self.accepting
            .admit_held_back(&mut self.engine.connections, registry);
        self.answer_asked();
        self.step_handover();
        let (connections, accepting) = (&self.engine.connections, &self.accepting);
        self.manager
            .keep_alive(|| format!("{} connections; {}", connections.len(), accepting.names()));
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
        let mut polls = self.engine.connections.len() / EVENTS + 1;
        let mut may_be_more = stalled;
        loop {
            let mut count = 0;
            for event in &*events {
                self.note(event);
                count += 1;
            }
            may_be_more |= count >= EVENTS;
            let now = self.engine.connections.service.now;
            let next = self.engine.connections.work.timers.next();
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
        if token == ALARM || token == WAKER || token == HANDOVER {
            // It has woken the poll, and that is all that it is for.
            return;
        }
        if let Some(door) = listener_door(token, self.accepting.doors) {
            self.accepting.wake(door);
            return;
        }
        let ready = Ready {
            readable: event.is_readable(),
            writable: event.is_writable(),
            ended: event.is_read_closed() || event.is_error(),
            lost: event.is_write_closed(),
        };
        self.engine.note(token, ready);
    }

    /// How long the poll may wait: not at all while anything is left to do.
    fn poll_timeout(&mut self) -> Option<Duration> {
        let now = self.clock.now();
        if self.engine.is_busy() || self.accepting.has_work(now) || self.hands_over_on {
            return Some(Duration::ZERO);
        }
        let next = [
            self.engine.next_timeout(now),
            self.accepting.next_timeout(),
            self.watch.next_look(),
        ];
        let next = next.into_iter().flatten().min();
        let next = next.map(|next| Duration::from_millis(next.saturating_sub(now)));
        let handover = self.handover.as_ref().map(Handover::next_timeout);
        let others = self.manager.next_timeout().into_iter().chain(handover);
        let next = next.into_iter().chain(others).min();
        if !self.engine.connections.service.hub.has_waiting() {
            return next;
        }
        let now = Instant::now();
        let Some(until) = self
            .engine
            .sweep
            .pace
            .rests_until()
            .filter(|until| *until > now)
        else {
            return Some(Duration::ZERO);
        };
        self.alarm.set(until, now);
        // The poll's own time is longer by up to a millisecond, and comes only where the alarm does not.
        let rest = until - now;
        Some(next.map_or(rest, |next| next.min(rest)))
    }

    fn handle_signals(&mut self) {
        let signals: Vec<_> = self.signals.pending().collect();
        for signal in signals {
            if self.pass_on(signal) {
                // It is for the process that serves, which is another one by now.
                continue;
            }
            let connections = &self.engine.connections;
            let metrics = &connections.service.metrics;
            match signal {
                SIGUSR2 => self.begin_handover(),
                // How a process ended that was to take over is asked elsewhere.
                SIGCHLD if self.handover.is_some() => {}
                SIGUSR1 => info!("{metrics}; {}", self.state()),
                SIGCHLD => first_process::let_go_of_the_dead(),
                SIGHUP => {
                    // The log has what is wrong.
                    let _ = self.reload("SIGHUP");
                }
                _ if self.engine.is_ending() => {
                    info!("second signal: ending at once: {metrics}");
                    std::process::exit(1);
                }
                _ => {
                    let sentence = format!("ending: closing {} connections", connections.len());
                    info!("{sentence}");
                    self.manager.say_stopping(&sentence);
                    if self.handover.is_some() {
                        self.give_handover_up("the daemon is told to end");
                    }
                    self.accepting.listeners.clear();
                    self.engine.connections.service.inside.standing = Standing::Ending;
                    self.engine.shut_down();
                }
            }
        }
    }

    /// Reads the configuration again, and tells the service manager of it.
    fn reload(&mut self, why: &str) -> Result<Reloaded, Vec<String>> {
        self.manager.say_reloading();
        let reloaded = self.reload_all(why);
        self.manager.say_ready(&self.accepting.names());
        reloaded
    }

    /// What there is now, for the log line that SIGUSR1 asks for.
    fn state(&self) -> String {
        let connections = &self.engine.connections;
        let service = &connections.service;
        let (hub, ledger) = (service.hub.stats(), &service.ledger);
        format!(
            "connections {}, channels {}, patterns {}, messages held {}, bytes held {}, half-read bytes {}, outbox bytes {}, half-sent bytes {}",
            connections.len(),
            hub.channels,
            hub.patterns,
            hub.messages,
            hub.bytes,
            ledger.input,
            ledger.outbox,
            ledger.held.bytes(),
        )
    }
}

/// Has the loop hear the signals that it knows.
fn heed_signals() -> io::Result<Signals> {
    let is_first = first_process::is_this();
    let of_children = is_first.then_some(SIGCHLD);
    let all = [SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGHUP].into_iter();
    let signals = Signals::new(all.chain(of_children))?;
    if is_first {
        // Some may have ended before there was a handler.
        first_process::let_go_of_the_dead();
    }
    Ok(signals)
}

fn listener_token(door: usize) -> Token {
    Token(HANDOVER.0 - 1 - door)
}

/// The door whose listener has this token, of so many.
fn listener_door(token: Token, doors: usize) -> Option<usize> {
    let door = (HANDOVER.0 - 1).checked_sub(token.0)?;
    (door < doors).then_some(door)
}

/// Raises the soft limit on open files to the hard one and says what it is now.
fn raise_file_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        // Where a filter of system calls forbids to ask for it, there is nothing to warn of.
        return limit.current.unwrap_or(u64::MAX);
    }
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
