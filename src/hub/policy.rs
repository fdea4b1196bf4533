//! What a channel keeps, and what happens to a subscriber that falls behind it.

use crate::limit::Limit;

/// What becomes of a subscriber whose next message is no longer held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnLag {
    /// It goes on with the oldest message held, after a gap.
    #[default]
    Skip,
    /// It goes on with the newest message held, after a gap: for those to whom only the current value matters.
    Latest,
    /// Its connection is closed as too slow.
    Close,
}

/// The retention window of a channel: it holds what all three limits allow, so the smallest of them decides.
///
/// The newest message is exempt from `retain_messages` and `retain_bytes`, not from `retain_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How many messages are held.
    pub retain_messages: Limit,
    /// How many bytes are held, counted as frames of the base log.
    pub retain_bytes: Limit,
    /// How many milliseconds a message is held.
    pub retain_ms: Limit,
    /// What becomes of a subscriber that the window has left behind.
    pub on_lag: OnLag,
}

impl Default for Policy {
    /// 1 MiB, any number of messages, 300 seconds, skip.
    fn default() -> Self {
        Self {
            retain_messages: Limit::NONE,
            retain_bytes: Limit::of(1 << 20),
            retain_ms: Limit::of(300_000),
            on_lag: OnLag::Skip,
        }
    }
}
