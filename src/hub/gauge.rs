//! What the hub can say of itself without a look at each channel, and what a walk over subscriptions finds, some at a time.

use super::Hub;

/// Sizes that are known at any time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Channels, lingering ones included.
    pub channels: usize,
    /// Patterns, lingering ones included.
    pub patterns: usize,
    /// Bytes of memory that all logs take, those of patterns and indexes included: what `retain_total` bounds.
    pub allocated: usize,
}

/// How far a walk over all subscriptions has come.
#[derive(Clone, Copy, Debug, Default)]
pub struct LagWalk {
    channel: u32,
    sub: usize,
}

/// How far a subscription is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lag {
    /// How many messages its subscriber has not got; those that its channel no longer holds are among them.
    pub messages: u64,
    /// For how many milliseconds the oldest of them that is held has been there.
    pub age_ms: u64,
}

impl Hub {
    /// The sizes that are known at any time.
    pub fn sizes(&self) -> Sizes {
        Sizes {
            channels: self.directory.len(),
            patterns: self.patterns.len(),
            allocated: self.total,
        }
    }

    /// Goes on with a walk over all subscriptions, for `steps` channels and subscriptions together, and reports how far each is behind.
    /// Says whether it came to the end: the next call begins anew. What subscribes or leaves meanwhile may be left out, or be seen
    /// twice.
    pub fn walk_lags(
        &self,
        walk: &mut LagWalk,
        steps: usize,
        now: u64,
        mut report: impl FnMut(Lag),
    ) -> bool {
        let mut steps = steps;
        while steps > 0 {
            if walk.channel >= self.directory.places() {
                *walk = LagWalk::default();
                return true;
            }
            steps -= 1;
            let Some(channel) = self.directory.get(walk.channel) else {
                *walk = LagWalk {
                    channel: walk.channel + 1,
                    sub: 0,
                };
                continue;
            };
            let end = channel.end();
            let rest = channel.subs.get(walk.sub..).unwrap_or_default();
            let looked_at = rest.len().min(steps);
            for sub in &rest[..looked_at] {
                let messages = end.saturating_sub(sub.next);
                let age_ms = match messages {
                    0 => 0,
                    _ => {
                        let since = channel.base.time(sub.next.max(channel.tail));
                        since.map_or(0, |since| now.saturating_sub(since))
                    }
                };
                report(Lag { messages, age_ms });
            }
            steps -= looked_at;
            walk.sub += looked_at;
            if looked_at == rest.len() {
                *walk = LagWalk {
                    channel: walk.channel + 1,
                    sub: 0,
                };
            }
        }
        false
    }
}
