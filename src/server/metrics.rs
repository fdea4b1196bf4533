//! What the daemon counts, and the line that sums it up.

pub(super) mod kind;
pub(super) mod lags;
pub(super) mod powers;
mod snapshot;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use self::kind::Kinds;
use self::lags::Lags;
use self::powers::Powers;
use crate::config::Pattern;
use crate::hub::Reason;
use crate::ws::close::CloseCode;

/// The reason of closes that the peer began.
pub(super) const BY_PEER: &str = "by the peer";

/// What stands for the status of an answer where a TLS handshake failed, which ends before there is one.
pub(super) const TLS_FAILED: u16 = 0;

/// Sums since the start. Written by the loop only.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// Sockets accepted.
    pub(super) accepted: u64,
    /// Connections turned away, with 503 or without a word, because there were as many as allowed.
    pub(super) refused: u64,
    /// Handshakes that became a WebSocket.
    pub(super) upgraded: u64,
    /// Event streams begun.
    pub(super) streams: u64,
    /// HTTP requests answered, upgrades not among them.
    pub(super) requests: u64,
    /// Messages published.
    pub(super) published: u64,
    /// Messages that went out to a subscriber, half-sent ones included.
    pub(super) delivered: u64,
    /// Gaps announced, by reason.
    gaps: [u64; 3],
    /// System calls to send, those among them of a run that found the socket full.
    pub(super) writes: u64,
    /// Bytes that the kernel took.
    pub(super) bytes_sent: u64,
    /// Bytes read, as they came out of TLS.
    pub(super) bytes_received: u64,
    /// Whole messages of WebSockets.
    pub(super) messages_received: u64,
    /// Turns of the loop.
    pub(super) turns: u64,
    /// How long the reads of a turn took, its sweep, and both together, in microseconds.
    pub(super) read_us: Powers<24>,
    pub(super) sweep_us: Powers<24>,
    pub(super) turn_us: Powers<24>,
    /// The connections there are.
    pub(super) kinds: Kinds,
    /// How far subscribers are behind.
    pub(super) lags: Lags,
    /// Handshakes that were refused, by the status of the answer; those of TLS by [`TLS_FAILED`].
    handshakes_refused: BTreeMap<u16, u64>,
    /// Responses by the first digit of their status.
    responses: [u64; 6],
    /// The channels that are counted apart.
    pub(super) channels: Vec<ChannelCount>,
    /// WebSocket connections and event streams that ended, by reason.
    closes: BTreeMap<(u16, &'static str), u64>,
}

/// What was published in the channels of a pattern.
#[derive(Debug)]
pub(super) struct ChannelCount {
    pub(super) pattern: Pattern,
    pub(super) published: u64,
    pub(super) bytes: u64,
}

/// The reasons of gaps, in the order in which they are counted.
const GAPS: [Reason; 3] = [Reason::Slow, Reason::Expired, Reason::Epoch];

impl Metrics {
    /// Counts the channels of these patterns apart.
    pub(super) fn of(patterns: &[Pattern]) -> Metrics {
        let channels = patterns.iter().map(|pattern| ChannelCount {
            pattern: pattern.clone(),
            published: 0,
            bytes: 0,
        });
        Metrics {
            channels: channels.collect(),
            ..Metrics::default()
        }
    }

    /// A message of so many bytes was published in a channel.
    #[inline]
    pub(super) fn publish(&mut self, channel: &str, bytes: usize) {
        self.published += 1;
        if !self.channels.is_empty() {
            self.publish_apart(channel, bytes);
        }
    }

    #[cold]
    fn publish_apart(&mut self, channel: &str, bytes: usize) {
        let mut counts = self.channels.iter_mut();
        if let Some(count) = counts.find(|count| count.pattern.matches(channel)) {
            count.published += 1;
            count.bytes += bytes as u64;
        }
    }

    /// A gap was announced.
    pub(super) fn gap(&mut self, reason: Reason) {
        self.gaps[reason as usize] += 1;
    }

    /// The gaps announced, by reason.
    pub(super) fn gaps(&self) -> impl Iterator<Item = (&'static str, u64)> {
        GAPS.iter()
            .map(|reason| (reason.as_str(), self.gaps[*reason as usize]))
    }

    /// A response with this status was written.
    pub(super) fn respond(&mut self, status: u16, is_handshake: bool) {
        self.requests += 1;
        self.responses[usize::from(status / 100).min(5)] += 1;
        if is_handshake && status >= 400 {
            *self.handshakes_refused.entry(status).or_default() += 1;
        }
    }

    /// A TLS handshake failed: the peer broke TLS, agreed to nothing that the daemon speaks, or has no certificate that is good.
    #[cold]
    pub(super) fn tls_failed(&mut self) {
        *self.handshakes_refused.entry(TLS_FAILED).or_default() += 1;
    }

    /// The responses by the first digit of their status, from 2 on.
    pub(super) fn responses(&self) -> impl Iterator<Item = (usize, u64)> {
        self.responses.iter().copied().enumerate().skip(2)
    }

    /// The handshakes that were refused, by the status of the answer; those of TLS by [`TLS_FAILED`].
    pub(super) fn handshakes_refused(&self) -> impl Iterator<Item = (u16, u64)> {
        self.handshakes_refused
            .iter()
            .map(|(status, count)| (*status, *count))
    }

    /// The ends of WebSockets and event streams, by code and reason.
    pub(super) fn closes(&self) -> impl Iterator<Item = ((u16, &'static str), u64)> {
        self.closes.iter().map(|(why, count)| (*why, *count))
    }

    /// The reads of a turn, and its sweep, took so long.
    #[inline]
    pub(super) fn time_turn(&mut self, reads: Duration, sweep: Duration) {
        let micros = |time: Duration| time.as_secs() * 1_000_000 + u64::from(time.subsec_micros());
        let (reads, sweep) = (micros(reads), micros(sweep));
        self.read_us.add(reads, 1);
        self.sweep_us.add(sweep, 1);
        self.turn_us.add(reads + sweep, 1);
    }

    /// Counts the end of a WebSocket connection or of an event stream.
    ///
    /// Codes of an application's own are the peer's choice and counted as one, so that a stranger
    /// cannot make this list long.
    pub(super) fn closed(&mut self, code: CloseCode, reason: &'static str) {
        let code = if code.0 >= 3000 && reason == BY_PEER {
            3000
        } else {
            code.0
        };
        *self.closes.entry((code, reason)).or_default() += 1;
    }
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "accepted {}, refused {}, websockets {}, streams {}, requests {}, messages {}, deliveries {}, \
             gaps {}, writes {}, bytes {}, turns {}, closes",
            self.accepted,
            self.refused,
            self.upgraded,
            self.streams,
            self.requests,
            self.published,
            self.delivered,
            self.gaps.iter().sum::<u64>(),
            self.writes,
            self.bytes_sent,
            self.turns,
        )?;
        if self.closes.is_empty() {
            return f.write_str(" none");
        }
        for ((code, reason), count) in &self.closes {
            write!(f, " [{code} {reason}: {count}]")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_names_each_reason_of_closing_with_its_count() {
        let mut metrics = Metrics::default();
        metrics.closed(CloseCode::NORMAL, BY_PEER);
        metrics.closed(CloseCode::PROTOCOL, "unmasked frame");
        metrics.closed(CloseCode::NORMAL, BY_PEER);
        metrics.closed(CloseCode(3017), BY_PEER);
        metrics.closed(CloseCode(4018), BY_PEER);
        let line = metrics.to_string();
        let closes = "closes [1000 by the peer: 2] [1002 unmasked frame: 1] [3000 by the peer: 2]";
        assert!(line.ends_with(closes), "{line}");
    }
}
