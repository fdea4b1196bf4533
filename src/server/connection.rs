//! One connection: its socket, the phase of its life, and what is known of it.
//!
//! handshake ([`Phase::Http`]) → open ([`Phase::Open`]) → closing ([`Phase::Closing`], a close
//! was sent and the peer's is awaited) → draining ([`Phase::Draining`], all was said, FIN sent;
//! what still comes is read and dropped so that the kernel does not answer it with a reset that
//! would destroy what we said last).

use mio::Token;

use super::journal::Who;
use super::outbox::Outbox;
use super::requests::HttpConnection;
use super::seats::Seat;
use super::stream::Stream;
use super::timers::{Millis, NEVER};
use crate::config::Config;
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
    /// When the first byte came of the message that is not complete yet, or [`NEVER`].
    pub(super) message_since: Millis,
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
    pub(super) stream: Stream,
    pub(super) token: Token,
    pub(super) seat: Seat,
    pub(super) phase: Phase,
    pub(super) outbox: Outbox,
    /// When the peer last sent a byte. What it is sent says nothing: the kernel takes small messages for a peer that has
    /// vanished until its buffer is full.
    pub(super) silent_since: Millis,
    /// Messages have gone to it since: an answer to a ping may have to wait behind them.
    pub(super) has_backlog: bool,
    /// Since when the socket has been full, or [`NEVER`] where it can be written to.
    pub(super) blocked_since: Millis,
    /// The time of this connection's entry in the timers.
    pub(super) wake_at: Millis,
    pub(super) paused: Paused,
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
    #[inline]
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked_since != NEVER
    }

    /// Whom a log line about it is about.
    pub(super) fn who(&self) -> Who<'_> {
        Who {
            token: self.token,
            stream: &self.stream,
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

    /// When a message that has begun has to be whole. While we do not read, its rest cannot come.
    pub(super) fn message_deadline(&self, open: &Open, config: &Config) -> Millis {
        if open.message_since == NEVER || self.paused.any() {
            NEVER
        } else {
            open.message_since + config.message_timeout_ms
        }
    }

    /// It has sent something.
    pub(super) fn heard_of(&mut self, now: Millis) {
        self.silent_since = now;
        self.has_backlog = false;
    }

    /// It is read from, or can be written to, again: the time during which it was not does not
    /// count against it.
    pub(super) fn restart_clocks(&mut self, now: Millis) {
        self.heard_of(now);
        if let Phase::Open(open) = &mut self.phase {
            open.pinged_at = NEVER;
            if open.message_since != NEVER {
                open.message_since = now;
            }
        }
    }

    /// When a ping is due, or an answer to one. While the socket is full neither is: a ping could
    /// not go out, and the stall timeout has the say. Nor while we do not read: an answer could
    /// not be seen.
    ///
    /// Whoever has a backlog in the kernel sees the ping only behind it, and has as long as a full socket would give it.
    pub(super) fn ping_deadline(&self, open: &Open, config: &Config) -> Millis {
        if self.is_blocked() || self.paused.any() {
            NEVER
        } else if open.pinged_at == NEVER {
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

    /// How much earlier than after a whole interval this connection is pinged: something between
    /// nothing and half an interval that differs from connection to connection, so that those
    /// that came in one storm are not pinged in one.
    fn ping_lead(&self, config: &Config) -> u64 {
        let mixed = (self.token.0 as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        (config.ping_interval_ms / 2).saturating_mul(mixed) >> 32
    }
}
