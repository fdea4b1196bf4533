//! Patterns' logs.
//!
//! A pattern is one more log: each message of a channel that the pattern stands for is appended to it as well, as long as anybody is
//! subscribed to the pattern, and for `linger_ms` after. So a subscription costs the same however many channels the pattern stands
//! for, what is delivered is contiguous, and resuming works as for a channel. The messages of a pattern are in the order in which they
//! were published, over all its channels.
//!
//! Each channel keeps the list of those logs that it feeds, and asks the patterns again only when one of them came or went. So
//! publishing costs nothing more where no pattern matches.
//!
//! Its readers make no publisher wait: one subscription to everything would otherwise throttle everybody. For those who read, the log
//! holds `retain_bytes`, whatever else its policy says. Who has more than that to get is lapped.

use super::Hub;
use super::channel::Channel;
use super::directory::ChannelId;
use super::publish::{At, Frame, has_room, place};
use super::slot::Encode;
use crate::channel::topic::Topic;

/// The patterns' logs that a channel feeds, as of one generation of the patterns.
#[derive(Debug, Default)]
pub(super) struct Feeds {
    generation: u64,
    /// Sorted by log.
    logs: Vec<Feed>,
}

/// A pattern's log that a channel feeds.
#[derive(Clone, Copy, Debug)]
struct Feed {
    log: ChannelId,
    /// The position of the channel's newest message there; 0 if there is none.
    newest: u64,
}

impl Feeds {
    /// Whether there are none, as of `generation`.
    #[inline]
    fn are_none(&self, generation: u64) -> bool {
        self.generation == generation && self.logs.is_empty()
    }

    /// The position of the channel's newest message in `log`; 0 if there is none.
    fn newest_in(&self, log: ChannelId) -> u64 {
        let at = self.logs.binary_search_by_key(&log, |feed| feed.log);
        at.map_or(0, |at| self.logs[at].newest)
    }
}

impl Hub {
    /// The place of a channel or of a pattern's log.
    pub(super) fn find(&self, topic: Topic<'_>) -> Option<u32> {
        match topic {
            Topic::Channel(name) => self.directory.find(name),
            Topic::Pattern(matcher, text) => Some(self.patterns.get(matcher, text)?.index),
        }
    }

    /// Adds a pattern's log, if need be in the place of one without subscribers; `None` if all have some.
    pub(super) fn admit_pattern(&mut self, channel: Channel) -> Option<u32> {
        if !(self.config.max_patterns).admits_size(self.patterns.len() + 1) {
            let (_, vacant) = self.vacant_patterns.first()?;
            self.forget(vacant);
        }
        let index = self.directory.insert_unnamed(channel);
        let id = self.directory.id(index);
        if let Some(Topic::Pattern(matcher, text)) = self.directory.get(index).map(Channel::topic) {
            self.patterns.insert(matcher, text, id);
        }
        Some(index)
    }

    /// Takes a pattern away whose log is at `index`; does nothing to a channel. The log itself stays until it is removed.
    pub(super) fn forget_pattern(&mut self, index: u32) {
        if let Some(Topic::Pattern(matcher, text)) = self.directory.get(index).map(Channel::topic) {
            self.patterns.remove(matcher, text);
        }
    }

    /// Appends the newest message of a channel, whose number is `seq`, to each pattern's log that takes it. Says how many do.
    #[inline]
    pub(super) fn feed(
        &mut self,
        index: u32,
        at: Option<At<'_>>,
        seq: u64,
        message: &impl Frame,
        encode: &mut dyn Encode,
    ) -> usize {
        let generation = self.patterns.generation();
        let Some(channel) = self.directory.get_mut(index) else {
            return 0;
        };
        if channel.feeds.are_none(generation) {
            return 0;
        }
        let mut feeds = std::mem::take(&mut channel.feeds);
        if feeds.generation != generation {
            feeds = self.feeds_of(index, &feeds);
        }
        for feed in &mut feeds.logs {
            if let Some(position) = self.append_copy(feed.log.index, at, seq, message, encode) {
                feed.newest = position;
            }
        }
        let copies = feeds.logs.len();
        if let Some(channel) = self.directory.get_mut(index) {
            channel.feeds = feeds;
        }
        copies
    }

    /// The logs that a channel feeds now. `before` are those that it fed until now.
    #[cold]
    fn feeds_of(&self, index: u32, before: &Feeds) -> Feeds {
        let mut logs = Vec::new();
        if let Some(channel) = self.directory.get(index) {
            self.patterns.matching(&channel.name, |&log| {
                let newest = before.newest_in(log);
                logs.push(Feed { log, newest });
            });
        }
        logs.sort_unstable_by_key(|feed| feed.log);
        logs.shrink_to_fit();
        Feeds {
            generation: self.patterns.generation(),
            logs,
        }
    }

    /// Appends a message to a pattern's log, and says at which position. One that is too long for the log by itself is left out,
    /// which its readers are told.
    fn append_copy(
        &mut self,
        index: u32,
        at: Option<At<'_>>,
        channel_seq: u64,
        message: &impl Frame,
        encode: &mut dyn Encode,
    ) -> Option<u64> {
        let channel = self.directory.get_mut(index)?;
        let (seq, begun) = channel.next_seq(at).ok()?;
        let len = message.len(place(&channel.name, seq, Some(channel_seq)));
        let has_room = has_room(channel, len, self.now, self.config.retain_total);
        if let Some(epoch) = begun {
            self.begin_epoch(index, epoch, seq - 1);
        }
        if !has_room {
            self.leave_out(index, seq);
            return None;
        }
        self.append(index, seq, len, message, Some(channel_seq));
        self.append_derived(index, seq, encode);
        let channel = self.directory.get(index)?;
        self.large_published += u64::from(channel.large);
        Some(channel.end() - 1)
    }

    /// Leaves a message out of a pattern's log, with all before it.
    #[cold]
    fn leave_out(&mut self, index: u32, seq: u64) {
        let Some(channel) = self.directory.get_mut(index) else {
            return;
        };
        let before = channel.allocated();
        let soiled = channel.leave_out(seq);
        let after = channel.allocated();
        self.account(before, after);
        if soiled {
            self.soil(index);
        }
    }

    /// Lets go of all that the channel `name` holds, and of what patterns' logs hold up to its newest message there. Whoever has
    /// still to get any of that is told a gap. Says whether there is such a channel.
    pub fn clear(&mut self, name: &str, now: u64) -> bool {
        self.now = self.now.max(now);
        let Some(index) = self.directory.find(name) else {
            return false;
        };
        let Some(channel) = self.directory.get_mut(index) else {
            return false;
        };
        channel.clear(channel.end());
        let copies = channel.feeds.logs.clone();
        self.release(index);
        self.schedule(index);
        for Feed { log, newest } in copies {
            // A list that is out of date may name logs that are gone.
            if self.directory.by_id(log).is_some()
                && let Some(channel) = self.directory.get_mut(log.index)
            {
                channel.clear(newest + 1);
                self.release(log.index);
            }
        }
        true
    }
}
