//! Making room: for bytes under `retain_total`, and for names under `max_channels`.
//!
//! Both go by a queue of channels whose entries may come too early, never too late (see `queue.rs`): what raises a channel's
//! rank, such as another message, leaves its entry as it is, and whoever finds the entry first in the queue puts it right. So
//! nothing is paid for until there is no room, and then at most O(log n) for each message that came since. How many entries are
//! looked at in one call is bounded all the same.

use super::Hub;
use super::channel::Channel;

/// How many entries of the queue are looked at in one [`Hub::trim`]. If that is not enough, publishers wait for the next one.
const EVICTION_LOOKS: usize = 2048;
/// How many channels are looked at to find one that goes for another.
const VACANCY_LOOKS: usize = 64;

/// Times are below this, so that a kind above it makes a rank.
const KIND: u64 = 1 << 61;

impl Channel {
    /// The rank of what this channel loses first when all logs together are too big: the least of all channels goes. Nothing
    /// if it holds nothing.
    ///
    /// First go the derived logs, which can be made again, and then patterns' logs, which hold copies. Then goes what nobody subscribes
    /// to, then what is not a channel's newest segment, then the newest segments. Within each kind goes what is oldest. A segment
    /// is as old as its newest message.
    fn eviction_rank(&self) -> Option<u64> {
        let derived = self.derived.as_ref();
        if let Some(time) = derived.and_then(|logs| logs.oldest_time()) {
            return Some(time.min(KIND - 1));
        }
        let oldest = self.base.oldest()?;
        let kind = match (self.subs.is_empty(), self.base.has_older()) {
            _ if self.is_pattern() => KIND,
            (true, _) => 2 * KIND,
            (false, true) => 3 * KIND,
            (false, false) => 4 * KIND,
        };
        Some(kind + oldest.newest_time().min(KIND - 1))
    }

    /// The rank of a channel or pattern without subscribers when there are too many: the least goes. Nothing if it has subscribers.
    ///
    /// First go channels without messages, the one that is idle for longest; then the one whose newest message is oldest. Of the
    /// patterns that goes which was left first.
    fn vacancy_rank(&self) -> Option<u64> {
        if !self.subs.is_empty() || self.gone {
            return None;
        }
        Some(match self.messages() {
            _ if self.is_pattern() => self.idle_since,
            0 => self.idle_since.min(KIND - 1),
            _ => KIND + self.base.last().newest_time().min(KIND - 1),
        })
    }
}

impl Hub {
    /// Notes that a channel has something that can go, or has something that can go sooner, when the logs are too big.
    pub(super) fn note_evictable(&mut self, index: u32) {
        if self.config.retain_total.is_none() {
            return;
        }
        if let Some(rank) = self.directory.get(index).and_then(Channel::eviction_rank) {
            self.evictions.lower(index, rank);
        }
    }

    /// Notes that a channel may go for another, and how soon, or that it may not any more. Its entry may come too early later
    /// on, because more is published, but nothing that has subscribers has one.
    pub(super) fn note_vacant(&mut self, index: u32) {
        let Some(channel) = self.directory.get(index) else {
            return;
        };
        let (most, vacancies) = match channel.matcher {
            None => (self.config.max_channels, &mut self.vacancies),
            Some(_) => (self.config.max_patterns, &mut self.vacant_patterns),
        };
        if most.is_none() {
            return;
        }
        vacancies.set(index, channel.vacancy_rank().unwrap_or(u64::MAX));
    }

    /// Adds a new channel or pattern, if need be in the place of one without subscribers; `None` if all have some.
    pub(super) fn admit(&mut self, channel: Channel) -> Option<u32> {
        if channel.is_pattern() {
            return self.admit_pattern(channel);
        }
        let most = self.config.max_channels;
        if !most.admits_size(self.directory.len() + 1) {
            let index = self.find_vacancy()?;
            self.forget(index);
        }
        Some(self.directory.insert(channel))
    }

    /// The channel that goes for another, by [`Channel::vacancy_rank`]. If too many entries come too early, the first of those
    /// looked at.
    fn find_vacancy(&mut self) -> Option<u32> {
        let mut least: Option<(u64, u32)> = None;
        for _ in 0..VACANCY_LOOKS {
            let (key, index) = self.vacancies.first()?;
            let rank = self.directory.get(index).and_then(Channel::vacancy_rank);
            if rank == Some(key) {
                return Some(index);
            }
            self.vacancies.set(index, rank.unwrap_or(u64::MAX));
            if let Some(rank) = rank
                && least.is_none_or(|least| (rank, index) < least)
            {
                least = Some((rank, index));
            }
        }
        least.map(|(_, index)| index)
    }

    /// Forgets a channel or a pattern without subscribers: name, epoch, numbering and messages.
    pub(super) fn forget(&mut self, index: u32) {
        self.forget_topic(index);
        if let Some(channel) = self.directory.get_mut(index) {
            channel.gone = true;
            channel.tail = channel.end();
        }
        self.release(index);
        self.times.remove(index);
        self.evictions.remove(index);
        self.vacancies.remove(index);
        self.vacant_patterns.remove(index);
        self.bury(index);
    }

    /// Removes a channel that is forgotten, once no queue has its number any more.
    pub(super) fn bury(&mut self, index: u32) {
        let channel = self.directory.get(index);
        if channel.is_some_and(|channel| channel.gone && !channel.dirty && !channel.touched) {
            self.directory.remove(index);
        }
    }

    /// Lets go of segments while all logs together are too big, in the order of [`Channel::eviction_rank`]. What somebody who
    /// reads has still to get stays.
    pub(super) fn evict(&mut self) {
        let most = self.config.retain_total;
        self.over_total = false;
        self.evicts_on = false;
        if most.admits_size(self.total) {
            return;
        }
        let mut protected = Vec::new();
        let mut looks = EVICTION_LOOKS;
        while !most.admits_size(self.total) && looks != 0 {
            let Some((key, index)) = self.evictions.first() else {
                break;
            };
            looks -= 1;
            let rank = self.directory.get(index).and_then(Channel::eviction_rank);
            if rank != Some(key) {
                self.evictions.set(index, rank.unwrap_or(u64::MAX));
            } else if !self.evict_oldest(index) {
                self.evictions.remove(index);
                protected.push((key, index));
            }
        }
        // What is protected can go once it has been delivered, and publishers wait for that.
        self.over_total = !most.admits_size(self.total) && (looks == 0 || !protected.is_empty());
        self.evicts_on = self.over_total && looks == 0;
        for (key, index) in protected {
            self.evictions.lower(index, key);
        }
    }

    /// Lets go of the oldest segment of a channel's derived logs, or of its base log if they are empty; false if somebody who reads
    /// has still to get something of that.
    fn evict_oldest(&mut self, index: u32) -> bool {
        let Some(channel) = self.directory.get_mut(index) else {
            return true;
        };
        let before = channel.allocated();
        let derived = channel.derived.as_mut();
        if derived.is_some_and(|logs| logs.evict_oldest()) {
            let after = channel.allocated();
            self.account(before, after);
            self.rank_again(index);
            return true;
        }
        let Some(next) = channel.base.oldest().map(|oldest| oldest.next()) else {
            return true;
        };
        if channel.floor() < next && !channel.is_pattern() {
            return false;
        }
        channel.tail = channel.tail.max(next);
        self.release(index);
        self.rank_again(index);
        true
    }

    /// Puts a channel that lost something where it belongs among those that lose something next.
    fn rank_again(&mut self, index: u32) {
        if let Some(rank) = self.directory.get(index).and_then(Channel::eviction_rank) {
            self.evictions.set(index, rank);
        } else {
            self.evictions.remove(index);
            self.schedule(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Byte, plain_hub};
    use super::super::{HubConfig, Slot, Start, SubscriberId};
    use super::*;
    use crate::limit::Limit;

    fn hub(max_channels: u64, retain_total: u64) -> Hub {
        let config = HubConfig {
            max_channels: Limit::from(max_channels),
            retain_total: Limit::from(retain_total),
            ..HubConfig::default()
        };
        plain_hub(config)
    }

    fn publish(hub: &mut Hub, name: &str) {
        hub.publish(name, &Byte, &mut (), 0).expect("there is room");
    }

    /// A channel that is dirty, was published to since the last trim, and has lost its subscriber.
    fn deserted(hub: &mut Hub) {
        hub.attach(SubscriberId(0), Slot::BASE);
        hub.subscribe(SubscriberId(0), "a", Start::Live, 0)
            .expect("there is room");
        publish(hub, "a");
        hub.detach(SubscriberId(0));
    }

    #[test]
    fn a_channel_that_went_for_another_leaves_its_place_once_no_queue_has_its_number() {
        for trim_first in [true, false] {
            let mut hub = hub(2, 0);
            deserted(&mut hub);
            publish(&mut hub, "b");
            publish(&mut hub, "c");
            let place = |hub: &Hub, name| hub.directory.find(name);
            assert_eq!((place(&hub, "a"), place(&hub, "c")), (None, Some(2)));
            for trims in [trim_first, !trim_first] {
                if trims {
                    hub.trim(0, &mut Vec::new());
                } else {
                    assert_eq!(hub.next_behind(), None);
                }
            }
            assert!(hub.directory.get(0).is_none());
        }
    }

    #[test]
    fn without_the_limits_no_queue_is_kept_for_them() {
        let mut hub = hub(0, 0);
        deserted(&mut hub);
        (0..100).for_each(|_| publish(&mut hub, "b"));
        hub.trim(0, &mut Vec::new());
        assert_eq!((hub.evictions.first(), hub.vacancies.first()), (None, None));
    }
}
