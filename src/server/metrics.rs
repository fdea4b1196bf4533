//! What the daemon counts, and the line that sums it up.

use std::collections::BTreeMap;
use std::fmt;

use crate::ws::close::CloseCode;

/// The reason of closes that the peer began.
pub(super) const BY_PEER: &str = "by the peer";

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
    /// Gaps announced.
    pub(super) gaps: u64,
    /// System calls to send, those among them of a run that found the socket full.
    pub(super) writes: u64,
    /// Bytes that the kernel took.
    pub(super) bytes_sent: u64,
    /// Turns of the loop.
    pub(super) turns: u64,
    /// WebSocket connections and event streams that ended, by reason.
    closes: BTreeMap<(u16, &'static str), u64>,
}

impl Metrics {
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
            self.gaps,
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
