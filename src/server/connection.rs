//! One connection: its socket, the phase of its life, and what is known of it.
//!
//! handshake ([`Phase::Http`]) → open ([`Phase::Open`]) → closing ([`Phase::Closing`]: the daemon has sent
//! a close and waits for the peer's) → draining ([`Phase::Draining`]: the daemon has sent everything and
//! FIN. It reads and drops what still comes, so that the kernel does not answer it with a reset that
//! would destroy the last bytes sent).

use mio::Token;

use super::journal::Who;
use super::outbox::Outbox;
use super::reads::Standing;
use super::requests::HttpConnection;
use super::seats::Seat;
use super::timers::{Millis, NEVER};
use crate::config::{Config, NEVER_MS};
use crate::transport::Transport;
use crate::ws::deflate::WindowBits;
use crate::ws::endpoint::Endpoint;

/// How long a peer may take to answer a close, or to take one.
pub(super) const CLOSE_TIMEOUT_MS: u64 = 5_000;

/// How long what a peer still sends is read and dropped after all was said.
pub(super) const DRAIN_TIMEOUT_MS: u64 = 2_000;

/// Which sub-protocol an open connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Json,
    Echo,
}

/// What was agreed on in the handshake, and the frames' state.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) endpoint: Endpoint,
    pub(super) dialect: Dialect,
    /// The window of what is compressed for this peer; `None`: nothing is.
    pub(super) deflate: Option<WindowBits>,
    /// When the ping was sent since which nothing was read, or [`NEVER`].
    pub(super) pinged_at: Millis,
    /// When the first byte came of the message that is not complete yet, or [`NEVER`]. The time during which the
    /// connection was paused is added to it, so that it does not count.
    pub(super) message_since: Millis,
    /// How often the connection was read from since that message became overdue.
    pub(super) late_visits: usize,
}

#[derive(Debug)]
pub(super) enum Phase {
    Http(Box<HttpConnection>),
    Open(Open),
    /// Our close is said or on its way; until the peer's comes, its other frames are dropped.
    Closing {
        endpoint: Endpoint,
        dialect: Dialect,
        until: Millis,
    },
    /// Everything is said or on its way, and nothing more is believed of what the peer sends
    /// (RFC 6455 §7.1.7).
    Draining {
        until: Millis,
        fin_sent: bool,
    },
}

/// Why a connection is not read from for now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Paused {
    /// It asks without reading the answers: its outbox is full.
    pub(super) outbox: bool,
    /// It publishes to a channel whose subscribers have not been swept yet.
    pub(super) congestion: bool,
}

impl Paused {
    pub(super) fn any(self) -> bool {
        self.outbox || self.congestion
    }
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) transport: Transport,
    pub(super) token: Token,
    pub(super) seat: Seat,
    pub(super) phase: Phase,
    pub(super) outbox: Outbox,
    /// Since when the peer's silence counts: since its last byte, or since we can hear and ask it again. What it is sent
    /// says nothing: the kernel takes small messages for a peer that has vanished until its buffer is full.
    pub(super) silent_since: Millis,
    /// Messages have gone to it since its last byte: an answer to a ping may have to wait behind them.
    pub(super) has_backlog: bool,
    /// Since when the socket has been full, or [`NEVER`] where it can be written to.
    pub(super) blocked_since: Millis,
    /// The time of this connection's entry in the timers.
    pub(super) wake_at: Millis,
    pub(super) paused: Paused,
    /// Since when it has been paused; of no meaning while it is not.
    pub(super) paused_since: Millis,
    /// Since when it has kept more of its input waiting than everybody may, or [`NEVER`] while it does not.
    pub(super) hoards_since: Millis,
    /// It used up what one visit may cost and had more to read: it waits behind those who did not.
    pub(super) heavy: bool,
    /// The event said that the peer finished writing: read until that is seen.
    pub(super) hung_up: bool,
    /// Some of what was read waits, beside the connection, until it is no longer paused.
    pub(super) has_unread: bool,
    /// It stands in the queue of those to read from.
    pub(super) in_reads: bool,
    /// It stands in the queue of those to visit.
    pub(super) in_visits: bool,
}

impl Connection {
    /// One that was just accepted, at `now`, and whose first request has to be whole at `deadline`.
    pub(super) fn new(
        transport: Transport,
        token: Token,
        seat: Seat,
        now: Millis,
        deadline: Millis,
    ) -> Self {
        Connection {
            transport,
            token,
            seat,
            phase: Phase::Http(Box::new(HttpConnection::new(deadline))),
            outbox: Outbox::default(),
            silent_since: now,
            has_backlog: false,
            blocked_since: NEVER,
            wake_at: NEVER,
            paused: Paused::default(),
            paused_since: now,
            hoards_since: NEVER,
            heavy: false,
            hung_up: false,
            has_unread: false,
            in_reads: false,
            in_visits: false,
        }
    }

    #[inline]
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked_since != NEVER
    }

    /// Whom a log line about it is about.
    pub(super) fn who(&self) -> Who<'_> {
        Who {
            token: self.token,
            transport: &self.transport,
        }
    }

    /// Bytes that are kept of a request or a message that is not whole yet.
    pub(super) fn half_read_bytes(&self) -> usize {
        match &self.phase {
            Phase::Http(http) => http.held_bytes(),
            Phase::Open(open) => open.endpoint.held_bytes(),
            Phase::Closing { endpoint, .. } => endpoint.held_bytes(),
            Phase::Draining { .. } => 0,
        }
    }

    /// In which order it is read from.
    pub(super) fn standing(&self) -> Standing {
        if self.heavy {
            Standing::Heavy
        } else if self.hung_up {
            Standing::Gone
        } else {
            Standing::Light
        }
    }

    /// Whether the next bytes may complete a message or a body of more than `much` bytes.
    pub(super) fn completes_much(&self, much: usize) -> bool {
        let bytes = self.half_read_bytes();
        bytes > if self.inflates() { 0 } else { much }
    }

    /// Whether what it sends may be compressed.
    pub(super) fn inflates(&self) -> bool {
        match &self.phase {
            Phase::Open(Open { endpoint, .. }) | Phase::Closing { endpoint, .. } => {
                endpoint.deflates()
            }
            Phase::Http(_) | Phase::Draining { .. } => false,
        }
    }

    /// Whether frames that it sends are still looked at.
    pub(super) fn takes_frames(&self) -> bool {
        matches!(self.phase, Phase::Open(_) | Phase::Closing { .. })
    }

    /// When it next has to be looked at if nothing happens until then.
    pub(super) fn next_deadline(&self, config: &Config) -> Millis {
        match &self.phase {
            // Its requests are here and wait for us, or for room for their answers.
            Phase::Http(http) if http.waiting => self.stall_deadline(config),
            Phase::Http(http) => http.deadline.min(self.stall_deadline(config)),
            Phase::Closing { until, .. } | Phase::Draining { until, .. } => *until,
            Phase::Open(open) => self
                .ping_deadline(open, config)
                .min(self.message_deadline(open, config))
                .min(self.stall_deadline(config)),
        }
    }

    /// When a message that has begun has to be whole. Its rest cannot come while we do not read.
    pub(super) fn message_deadline(&self, open: &Open, config: &Config) -> Millis {
        if open.message_since == NEVER || self.paused.any() {
            NEVER
        } else {
            open.message_since + config.message_timeout_ms
        }
    }

    /// The peer has sent something. Only this clears `has_backlog`.
    pub(super) fn heard_of(&mut self, now: Millis) {
        self.silent_since = now;
        self.has_backlog = false;
    }

    /// Stops reading from it.
    pub(super) fn pause(&mut self, now: Millis, pause: impl FnOnce(&mut Paused)) {
        if !self.paused.any() {
            self.paused_since = now;
        }
        pause(&mut self.paused);
    }

    /// Takes one reason to be paused away. Once none is left it is read from again, and the time
    /// during which it was not does not count against it: its message has as much time left as it
    /// had, and it is pinged anew, since an answer could not be seen.
    pub(super) fn resume(&mut self, now: Millis, resume: impl FnOnce(&mut Paused)) {
        let was_paused = self.paused.any();
        resume(&mut self.paused);
        if !was_paused || self.paused.any() {
            return;
        }
        self.silent_since = now;
        let paused_for = now.saturating_sub(self.paused_since);
        if let Phase::Open(open) = &mut self.phase {
            open.pinged_at = NEVER;
            if open.message_since != NEVER {
                // A message that began after the pause did is as old as it was.
                open.message_since = (open.message_since + paused_for).min(now);
            }
        }
    }

    /// The socket can be written to again. The peer has taken something and said nothing: what is
    /// still in the kernel stands before the next ping.
    pub(super) fn unblock(&mut self, now: Millis) {
        self.blocked_since = NEVER;
        self.silent_since = now;
        self.has_backlog = true;
        if let Phase::Open(open) = &mut self.phase {
            open.pinged_at = NEVER;
        }
    }

    /// When a ping is due, or an answer to one. While the socket is full neither is: a ping could
    /// not go out, and the stall timeout decides. Nor while the connection is paused: an answer
    /// could not be seen.
    ///
    /// A peer with a backlog in the kernel sees the ping only behind it, and has as long as it would have with a full socket.
    pub(super) fn ping_deadline(&self, open: &Open, config: &Config) -> Millis {
        if self.is_blocked() || self.paused.any() {
            NEVER
        } else if open.pinged_at == NEVER {
            if config.ping_interval_ms >= NEVER_MS {
                return NEVER;
            }
            self.silent_since + config.ping_interval_ms - self.ping_lead(config)
        } else {
            let patience = if self.has_backlog {
                config.ping_timeout_ms.max(config.stall_timeout_ms)
            } else {
                config.ping_timeout_ms
            };
            open.pinged_at + patience
        }
    }

    pub(super) fn stall_deadline(&self, config: &Config) -> Millis {
        if self.is_blocked() {
            self.blocked_since + config.stall_timeout_ms
        } else {
            NEVER
        }
    }

    /// Whether it took nothing for longer than it may.
    pub(super) fn stalled(&self, now: Millis, config: &Config) -> bool {
        self.stall_deadline(config) <= now
    }

    /// Whether it is too early to judge it by its deadline: what it has sent has not been read yet.
    /// That it takes nothing shows without that, and a connection that is closing has said all.
    pub(super) fn is_to_be_heard(&self, now: Millis, config: &Config) -> bool {
        self.in_reads
            && !self.stalled(now, config)
            && matches!(self.phase, Phase::Http(_) | Phase::Open(_))
    }

    /// How much earlier than after a whole interval this connection is pinged: something between
    /// nothing and half an interval that differs from connection to connection, so that those
    /// that came in one storm are not pinged in one.
    fn ping_lead(&self, config: &Config) -> u64 {
        let mixed = (self.token.0 as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        (config.ping_interval_ms / 2).saturating_mul(mixed) >> 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ws::endpoint::Role;

    fn connection() -> Connection {
        let (ours, _theirs) = mio::net::UnixStream::pair().expect("two sockets");
        let open = Open {
            endpoint: Endpoint::new(Role::Server, false, true),
            dialect: Dialect::Json,
            deflate: None,
            pinged_at: NEVER,
            message_since: NEVER,
            late_visits: 0,
        };
        Connection {
            phase: Phase::Open(open),
            ..Connection::new(Transport::Unix(ours), Token(7), Seat::Regular, 0, 0)
        }
    }

    fn begin_message(connection: &mut Connection, now: Millis) {
        if let Phase::Open(open) = &mut connection.phase {
            open.message_since = now;
        }
    }

    #[test]
    fn who_is_never_pinged_has_no_deadline() {
        for token in 0..100 {
            let mut connection = connection();
            connection.token = Token(token);
            let config = Config {
                ping_interval_ms: NEVER_MS,
                ..Config::default()
            };
            assert_eq!(connection.next_deadline(&config), NEVER);
        }
    }

    #[test]
    fn pauses_do_not_count_for_a_message_and_the_time_between_them_does() {
        let config = Config {
            ping_interval_ms: NEVER_MS,
            message_timeout_ms: 1_000,
            ..Config::default()
        };
        let mut connection = connection();
        begin_message(&mut connection, 0);
        // Read from for 100 ms, then paused for 10 s, and so on.
        for round in 0..9 {
            let paused = round * 10_100 + 100;
            connection.pause(paused, |paused| paused.outbox = true);
            connection.pause(paused + 5_000, |paused| paused.congestion = true);
            assert_eq!(connection.next_deadline(&config), NEVER);
            connection.resume(paused + 9_000, |paused| paused.outbox = false);
            assert_eq!(connection.next_deadline(&config), NEVER);
            connection.resume(paused + 10_000, |paused| paused.congestion = false);
            let left = 1_000 - 100 * (round + 1);
            assert_eq!(connection.next_deadline(&config), paused + 10_000 + left);
        }
    }

    #[test]
    fn only_what_the_peer_sends_says_that_nothing_waits_before_a_ping() {
        let mut connection = connection();
        connection.blocked_since = 5;
        connection.unblock(10);
        assert!(connection.has_backlog);
        connection.pause(20, |paused| paused.outbox = true);
        connection.resume(30, |paused| paused.outbox = false);
        assert!(connection.has_backlog);
        connection.heard_of(40);
        assert!(!connection.has_backlog);
    }

    #[test]
    fn to_take_something_gives_no_message_more_time() {
        let config = Config {
            ping_interval_ms: NEVER_MS,
            message_timeout_ms: 1_000,
            ..Config::default()
        };
        let mut connection = connection();
        begin_message(&mut connection, 0);
        for now in (100..900).step_by(100) {
            connection.blocked_since = now;
            connection.unblock(now + 50);
        }
        assert_eq!(connection.next_deadline(&config), 1_000);
    }
}
