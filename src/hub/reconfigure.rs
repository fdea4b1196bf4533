//! Other limits and policies, while the hub is in use.

use super::{Hub, HubConfig, Policy};
use crate::channel::topic::Topic;

/// How far the channels that there are have been given their new policies.
#[derive(Clone, Copy, Debug, Default)]
pub struct PolicyWalk {
    next: u32,
}

impl Hub {
    /// Other limits hold from now on, but for `large`, `slots` and `read`, and other policies for new channels. Those that there are get
    /// theirs by [`Hub::walk_policies`].
    pub fn reconfigure(&mut self, limits: &HubConfig, policies: Box<dyn Fn(Topic<'_>) -> Policy>) {
        self.config.retain_total = limits.retain_total;
        self.config.max_channels = limits.max_channels;
        self.config.max_subscriptions = limits.max_subscriptions;
        self.config.max_patterns = limits.max_patterns;
        self.config.max_patterns_each = limits.max_patterns_each;
        self.config.linger_ms = limits.linger_ms;
        self.policies = policies;
    }

    /// Gives some of the channels that there are, and of the patterns' logs, their policies. The next trim has them keep what they are to keep now. Says
    /// whether all have theirs.
    pub fn walk_policies(&mut self, walk: &mut PolicyWalk, steps: usize) -> bool {
        for _ in 0..steps {
            if walk.next >= self.directory.places() {
                return true;
            }
            let index = walk.next;
            walk.next += 1;
            let Some(channel) = self
                .directory
                .get_mut(index)
                .filter(|channel| !channel.gone)
            else {
                continue;
            };
            channel.policy = (self.policies)(channel.topic());
            if !channel.touched {
                channel.touched = true;
                self.touched.push(index);
            }
            // Where there was no limit, nothing was noted.
            self.note_evictable(index);
            self.note_vacant(index);
        }
        walk.next >= self.directory.places()
    }
}
