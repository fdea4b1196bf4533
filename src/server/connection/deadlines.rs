//! When a connection is to be looked at though nothing happens on it, and what is done then.

use super::ends::Gone;
use super::flow::Flow;
use super::phase::{Open, Phase};
use super::seat::Seat;
use super::{Connection, Peer};
use crate::config::Config;
use crate::dialect::sse;
use crate::limit::Limit;
use crate::server::service::Service;
use crate::server::timers::{Millis, NEVER};
use crate::ws::close::CloseCode;
use crate::ws::encode::write_ping;

/// How long a peer may take nothing of what it is told last.
const LAST_BYTES_MS: Limit = Limit::of(60_000);

impl Connection {
    /// When it next has to be looked at if nothing happens until then.
    pub(in crate::server) fn next_deadline(&self, config: &Config) -> Millis {
        match &self.phase {
            // Its requests are here and wait for us, or for room for their answers.
            Phase::Http(_) if self.flow.intersects(Flow::KEPT | Flow::AWAITS) => {
                self.stall_deadline(config).min(self.keys_until())
            }
            Phase::Http(http) => http.deadline.min(self.stall_deadline(config)),
            // What it has still to take may be long. Nobody waits for it on a seat that others wait for.
            Phase::Draining {
                fin_sent: false, ..
            } if self.seat == Seat::Regular => match self.flow.may_write() {
                true => NEVER,
                false => (config.stall_timeout_ms.min(LAST_BYTES_MS)).after(self.blocked_since),
            },
            Phase::Closing { until, .. } | Phase::Draining { until, .. } => *until,
            Phase::Events(events) => (events.auth_until).min(match self.flow.may_write() {
                true => events.comment_at,
                false => self.stall_deadline(config),
            }),
            Phase::Open(open) => self
                .ping_deadline(open, config)
                .min(self.message_deadline(open, config))
                .min(self.stall_deadline(config))
                .min(open.auth_until()),
        }
    }

    /// When a message that has begun has to be whole. Its rest cannot come while we do not read.
    fn message_deadline(&self, open: &Open, config: &Config) -> Millis {
        if open.message_since == NEVER || !self.flow.may_read() {
            NEVER
        } else {
            config.message_timeout_ms.after(open.message_since)
        }
    }

    /// When a ping is due, or an answer to one. While the transport is full neither is: a ping could
    /// not go out, and the stall timeout decides. Nor while the connection is paused: an answer
    /// could not be seen.
    ///
    /// A peer with a backlog in the kernel sees the ping only behind it, and has as long as it would have with a full socket.
    fn ping_deadline(&self, open: &Open, config: &Config) -> Millis {
        if !self.flow.may_write() || !self.flow.may_read() {
            NEVER
        } else if open.pinged_at == NEVER {
            match config.ping_interval_ms.get() {
                Some(interval) => self.silent_since + interval - self.ping_lead(interval),
                None => NEVER,
            }
        } else {
            let patience = if self.flow.contains(Flow::BACKLOG) {
                config.ping_timeout_ms.max(config.stall_timeout_ms)
            } else {
                config.ping_timeout_ms
            };
            patience.after(open.pinged_at)
        }
    }

    fn stall_deadline(&self, config: &Config) -> Millis {
        if self.flow.may_write() {
            NEVER
        } else {
            config.stall_timeout_ms.after(self.blocked_since)
        }
    }

    /// Whether it took nothing for longer than it may.
    fn is_stalled(&self, now: Millis, config: &Config) -> bool {
        self.stall_deadline(config) <= now
    }

    /// Whether it is too early to judge it by its deadline: what it has sent has not been read yet, or the transport has not
    /// been asked since the deadline came. (After TCP's urgent data a read ends short of what is there.) That it
    /// takes nothing shows without that, and a connection that is closing has said all.
    pub(in crate::server) fn is_to_be_heard(&mut self, now: Millis, config: &Config) -> bool {
        let is_silence_judged = match &self.phase {
            Phase::Http(_) => true,
            Phase::Open(open) => {
                open.pinged_at != NEVER || self.message_deadline(open, config) <= now
            }
            Phase::Events(_) | Phase::Closing { .. } | Phase::Draining { .. } => return false,
        };
        if self.is_stalled(now, config) || self.keys_until() <= now {
            return false;
        }
        if self.phase.auth_until() <= now {
            // The leeway was its patience: else a flood would keep a token good for ever.
            return false;
        }
        if self.flow.contains(Flow::IN_READS) {
            return true;
        }
        if !is_silence_judged || self.flow.contains(Flow::ASKED) {
            return false;
        }
        self.flow.insert(Flow::ASKED | Flow::READABLE);
        true
    }

    /// How much earlier than after a whole interval this connection is pinged, so that those
    /// that came in one storm are not pinged in one: nothing up to half an interval.
    pub(super) fn ping_lead(&self, interval: Millis) -> Millis {
        self.share_of(interval / 2)
    }

    /// Something between nothing and `most` that differs from connection to connection.
    pub(super) fn share_of(&self, most: Millis) -> Millis {
        let mixed = (self.token.0 as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        most.saturating_mul(mixed) >> 32
    }

    /// Does what is due. The caller drops the connection if it is told so.
    pub(in crate::server) fn handle_deadline(
        &mut self,
        service: &mut Service,
        peer: Peer<'_>,
    ) -> Option<Gone> {
        let (now, config) = (service.now, &service.config);
        let is_stalled = self.is_stalled(now, config);
        self.flow.remove(Flow::ASKED);
        let is_overdue = match &self.phase {
            Phase::Open(open) => self.message_deadline(open, config) <= now,
            _ => false,
        };
        let misses_keys = self.keys_until() <= now;
        let has_access_ended = self.phase.auth_until() <= now;
        match &mut self.phase {
            Phase::Http(_) if misses_keys && !is_stalled => self.miss_keys(service, peer),
            // Half a request gets an answer, silence none.
            Phase::Http(http) if http.begun && !is_stalled => self.request_timeout(service, peer),
            Phase::Http(_) => {
                let who = self.who(peer);
                service.note(who, format_args!("ended: no request came in time"));
                return Some(Gone::Done);
            }
            Phase::Closing { .. } | Phase::Draining { .. } => return Some(Gone::Done),
            Phase::Open(_) if is_overdue => self.message_timeout(service, peer),
            Phase::Open(_) | Phase::Events(_) if is_stalled => {
                let reason = "the client took nothing for too long";
                self.begin_close(service, peer, CloseCode::TOO_SLOW, reason);
            }
            Phase::Open(_) | Phase::Events(_) if has_access_ended => self.end_access(service, peer),
            Phase::Events(events) => {
                events.comment_at = config.ping_interval_ms.after(now);
                sse::keep_alive(self.outbox.private());
            }
            Phase::Open(open) if open.pinged_at == NEVER => {
                open.pinged_at = now;
                write_ping(self.outbox.private(), &[], None);
            }
            Phase::Open(_) => {
                let reason = "the client did not answer a ping";
                self.begin_close(service, peer, CloseCode::INTERNAL, reason);
            }
        }
        None
    }
}
