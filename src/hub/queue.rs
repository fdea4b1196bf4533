//! An indexed priority queue of channels: who comes first, and at most one entry a channel.
//!
//! Keys may be kept up lazily: an entry that comes too early is harmless as long as whoever takes the first one looks up what
//! its key should be and puts it back where it belongs. So a channel that is busy needs no upkeep.

use std::collections::BTreeSet;

/// The key of a channel without an entry.
const ABSENT: u64 = u64::MAX;

/// Channels by key, the least first; of equal keys the least channel.
#[derive(Debug, Default)]
pub(super) struct ChannelQueue {
    order: BTreeSet<(u64, u32)>,
    /// Each channel's key, by the channel's index.
    keys: Vec<u64>,
}

impl ChannelQueue {
    /// The first entry: its key and its channel.
    pub(super) fn first(&self) -> Option<(u64, u32)> {
        self.order.first().copied()
    }

    fn key(&self, channel: u32) -> u64 {
        self.keys.get(channel as usize).copied().unwrap_or(ABSENT)
    }

    /// Gives `channel` this key, whatever it had before; `u64::MAX` removes it.
    pub(super) fn set(&mut self, channel: u32, key: u64) {
        let old = self.key(channel);
        if old == key {
            return;
        }
        if old != ABSENT {
            self.order.remove(&(old, channel));
        }
        let at = channel as usize;
        if at >= self.keys.len() {
            self.keys.resize(at + 1, ABSENT);
        }
        self.keys[at] = key;
        if key != ABSENT {
            self.order.insert((key, channel));
        }
    }

    /// Sees to it that `channel` comes no later than `key` says; `u64::MAX` changes nothing.
    pub(super) fn lower(&mut self, channel: u32, key: u64) {
        if key < self.key(channel) {
            self.set(channel, key);
        }
    }

    /// Removes the entry of `channel`, if it has one.
    pub(super) fn remove(&mut self, channel: u32) {
        self.set(channel, ABSENT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_key_is_first_and_a_channel_has_one_entry() {
        let mut queue = ChannelQueue::default();
        queue.lower(7, 30);
        queue.lower(2, 20);
        queue.lower(7, 40);
        assert_eq!(queue.first(), Some((20, 2)));
        queue.lower(7, 10);
        assert_eq!(queue.first(), Some((10, 7)));
        queue.set(7, 50);
        assert_eq!(queue.first(), Some((20, 2)));
        queue.remove(2);
        assert_eq!(queue.first(), Some((50, 7)));
        queue.remove(7);
        queue.remove(9);
        assert_eq!(queue.first(), None);
    }

    #[test]
    fn a_channel_that_waits_for_no_time_has_no_entry() {
        let mut queue = ChannelQueue::default();
        queue.lower(1, u64::MAX);
        assert_eq!(queue.first(), None);
        assert!(queue.keys.is_empty());
    }
}
