//! What a channel keeps, what happens to a subscriber that falls behind it, and for which channels that holds.

pub use crate::channel::pattern::Pattern;
pub use crate::hub::{OnLag, Policy};

/// The policy of all channels whose name a pattern matches.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelRule {
    /// Which channels.
    pub pattern: Pattern,
    /// What holds for them.
    pub policy: Policy,
}
