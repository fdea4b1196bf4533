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
//! holds `retain_bytes`, whatever else its policy says. A reader that has more than that to get is lapped.

use std::collections::HashSet;
use std::rc::Rc;

use foldhash::fast::RandomState;

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
    logs: Option<Rc<[ChannelId]>>,
}

/// The lists that channels have in this generation. Channels with the same list share it, so that a hundred thousand of them do not
/// have as many.
#[derive(Debug, Default)]
pub(super) struct FeedLists {
    generation: u64,
    lists: HashSet<Rc<[ChannelId]>, RandomState>,
}

impl FeedLists {
    /// The list of these logs; none if there are none.
    fn share(&mut self, generation: u64, logs: &[ChannelId]) -> Option<Rc<[ChannelId]>> {
        if self.generation != generation {
            self.generation = generation;
            self.lists.clear();
        }
        if logs.is_empty() {
            return None;
        }
        if let Some(list) = self.lists.get(logs) {
            return Some(Rc::clone(list));
        }
        let list: Rc<[ChannelId]> = logs.into();
        self.lists.insert(Rc::clone(&list));
        Some(list)
    }
}

/// What patterns made of a publication.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fed {
    /// To how many patterns' logs it was appended as well.
    pub copies: usize,
    /// How many patterns were asked whether they stand for its channel: none, unless one came or went or the channel is new.
    pub asked: usize,
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
        Some(self.insert_pattern(channel))
    }

    /// Adds a new pattern's log.
    pub(super) fn insert_pattern(&mut self, channel: Channel) -> u32 {
        let index = self.directory.insert_unnamed(channel);
        let id = self.directory.id(index);
        if let Some(Topic::Pattern(matcher, text)) = self.directory.get(index).map(Channel::topic) {
            self.patterns.insert(matcher, text, id);
        }
        index
    }

    /// Sees to it that what is at `index` is found no more, so that there may be another of that name or pattern. The log itself
    /// stays until it is removed.
    pub(super) fn forget_topic(&mut self, index: u32) {
        match self.directory.get(index).map(Channel::topic) {
            Some(Topic::Pattern(matcher, text)) => {
                self.patterns.remove(matcher, text);
            }
            Some(Topic::Channel(_)) => self.directory.forget_name(index),
            None => {}
        }
    }

    /// Appends the newest message of a channel, whose number is `seq`, to each pattern's log that takes it.
    #[inline]
    pub(super) fn feed(
        &mut self,
        index: u32,
        at: Option<At<'_>>,
        seq: u64,
        message: &impl Frame,
        encode: &mut dyn Encode,
    ) -> Fed {
        let generation = self.patterns.generation();
        let Some(channel) = self.directory.get(index) else {
            return Fed::default();
        };
        let is_known = channel.feeds.generation == generation;
        if is_known && channel.feeds.logs.is_none() {
            return Fed::default();
        }
        let mut fed = Fed::default();
        if !is_known {
            fed.asked = self.patterns.len();
            self.find_feeds(index);
        }
        let channel = self.directory.get(index);
        let Some(logs) = channel.and_then(|channel| channel.feeds.logs.clone()) else {
            return fed;
        };
        for log in &*logs {
            self.append_copy(log.index, at, seq, message, encode);
        }
        fed.copies = logs.len();
        fed
    }

    /// Asks the patterns which of them stand for a channel.
    #[cold]
    fn find_feeds(&mut self, index: u32) {
        let Some(channel) = self.directory.get_mut(index) else {
            return;
        };
        let mut logs = Vec::new();
        self.patterns.matching(&channel.name, |&log| logs.push(log));
        logs.sort_unstable();
        let generation = self.patterns.generation();
        channel.feeds = Feeds {
            generation,
            logs: self.feed_lists.share(generation, &logs),
        };
    }

    /// Appends a message to a pattern's log. One that is too long for the log by itself is left out, which its readers are told.
    fn append_copy(
        &mut self,
        index: u32,
        at: Option<At<'_>>,
        channel_seq: u64,
        message: &impl Frame,
        encode: &mut dyn Encode,
    ) {
        let Some(channel) = self.directory.get(index) else {
            return;
        };
        let Ok((seq, begun)) = channel.next_seq(at) else {
            // A broker's numbers grow over all channels of an epoch, so this is a message that the log has had.
            return;
        };
        let len = message.len(place(&channel.name, seq, Some(channel_seq)));
        let has_room = has_room(channel, len, self.now, self.config.retain_total);
        if let Some(epoch) = begun {
            self.begin_epoch(index, epoch, seq - 1);
        }
        if !has_room {
            return self.leave_out(index, seq);
        }
        self.append(index, seq, len, message, Some(channel_seq));
        self.append_derived(index, seq, encode);
        if let Some(channel) = self.directory.get(index) {
            self.large_published += u64::from(channel.large);
        }
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
}
