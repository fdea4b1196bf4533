//! What a channel keeps, what happens to who falls behind it, and the patterns that say so for
//! channels by name.

use std::fmt;

/// What happens to a subscriber whose next message is no longer held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnLag {
    /// It goes on with the oldest message held, after a `gap`.
    Skip,
    /// It goes on with the newest message, after a `gap`.
    Latest,
    /// Its connection is closed with 4508.
    Close,
}

/// How a channel keeps its messages: the window is the smallest of the three limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Messages held at most, or `u64::MAX`: no limit.
    pub retain_messages: u64,
    /// Bytes of framed plain JSON held at most, or [`NO_LIMIT`](super::NO_LIMIT). The newest message is held in any
    /// case.
    pub retain_bytes: usize,
    /// How long a message is held, in milliseconds, or [`NEVER_MS`](super::NEVER_MS).
    pub retain_ms: u64,
    /// What happens to who falls behind the window.
    pub on_lag: OnLag,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy {
            retain_messages: u64::MAX,
            retain_bytes: 1 << 20,
            retain_ms: 300_000,
            on_lag: OnLag::Skip,
        }
    }
}

/// The policy of all channels whose name a pattern matches.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelRule {
    /// Which channels.
    pub pattern: Pattern,
    /// What holds for them.
    pub policy: Policy,
}

/// Which channel names a rule is for: parts separated by `.`, where `*` stands for exactly one part
/// and `>`, as the last part, for one or more.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern(String);

impl Pattern {
    /// Whether the channel of this name is meant.
    pub fn matches(&self, name: &str) -> bool {
        let mut parts = name.split('.');
        for wanted in self.0.split('.') {
            match (wanted, parts.next()) {
                (">", Some(_)) => return true,
                ("*", Some(_)) => {}
                (literal, Some(part)) if literal == part => {}
                _ => return false,
            }
        }
        parts.next().is_none()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
