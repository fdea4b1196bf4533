//! What the hub is told of the configuration: at the start, and after a reload.

use super::encoders::slots;
use super::service::Service;
use crate::channel::topic::Topic;
use crate::config::Config;
use crate::dialect::json::encode;
use crate::hub::{HubConfig, Policy, PolicyWalk};
use crate::limit::Limit;

/// So many subscribers make a channel large: a circle takes most of a millisecond, or more.
const LARGE_CHANNEL: usize = 256;

/// How many channels get their policies in a turn after a reload.
const POLICIES_A_TURN: usize = 256;

/// The limits over all channels, as a configuration has them.
pub(super) fn hub_limits(config: &Config) -> HubConfig {
    HubConfig {
        retain_total: config.retain_total,
        max_channels: config.max_channels,
        max_subscriptions: config.max_subscriptions,
        max_patterns: config.max_patterns,
        max_patterns_each: Limit::of(Config::PATTERNS_EACH),
        linger_ms: config.channel_linger_ms,
        large: if config.coalesce_ms == 0 {
            0
        } else {
            LARGE_CHANNEL
        },
        slots: slots(),
        read: encode::read_frame,
    }
}

/// The policy of each channel, as a configuration has it.
pub(super) fn policies(config: &Config) -> Box<dyn Fn(Topic<'_>) -> Policy> {
    let config = config.clone();
    Box::new(move |topic| config.policy_for(topic))
}

impl Service {
    /// Has the configuration's limits of channels, and their policies, hold from now on.
    pub(super) fn reconfigure_hub(&mut self) {
        let (limits, policies) = (hub_limits(&self.config), policies(&self.config));
        self.hub.reconfigure(&limits, policies);
        self.policies_left = Some(PolicyWalk::default());
    }

    /// Goes on with giving channels their policies after a reload, for as many as a turn has time for.
    pub(super) fn walk_policies(&mut self) {
        if let Some(walk) = &mut self.policies_left
            && self.hub.walk_policies(walk, POLICIES_A_TURN)
        {
            self.policies_left = None;
        }
    }
}
