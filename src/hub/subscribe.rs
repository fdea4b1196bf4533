//! The subscriptions, and where a new cursor is placed.

use std::fmt;

use super::channel::Channel;
use super::cursor::{Sub, history, slot_flag};
use super::slot::Slot;
use super::subscriber::{Link, Links, QUEUED};
use super::{ChannelId, Gap, Hub, Reason, SubscriberId};
use crate::channel::topic::Topic;

/// Where a subscription begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start<'a> {
    /// With the next message.
    Live,
    /// After message `seq` of that epoch, if everything since is still held.
    Since {
        /// The epoch that `seq` belongs to.
        epoch: &'a str,
        /// The last message that the subscriber had.
        seq: u64,
    },
    /// With the newest so many that are held.
    Last(u64),
}

/// A subscription that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribed<'a> {
    /// The channel, or the pattern's log.
    pub channel: ChannelId,
    /// Its epoch.
    pub epoch: &'a str,
    /// The seq of the newest message, held or not. If there was none yet: 0, or the `after` of [`super::Numbering::Broker`].
    pub seq: u64,
    /// With [`Start::Since`]: whether nothing is missing.
    pub recovered: Option<bool>,
    /// What is missing: to be told after the reply and before the next message.
    pub gap: Option<Gap<'a>>,
    /// Whether there is something for it to get already. If it is not blocked, [`Hub::next_behind`] will name it.
    pub behind: bool,
}

/// Why a subscription was not made. Nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SubscribeError {
    /// It exists already.
    AlreadySubscribed,
    /// The channel does not exist, there are `max_channels`, and all of them have subscribers.
    TooManyChannels,
    /// The subscriber has `max_subscriptions`.
    TooManySubscriptions,
    /// The pattern has no log, there are `max_patterns`, and all of them have subscribers.
    TooManyPatterns,
    /// The subscriber is subscribed to `max_patterns_each`.
    TooManyPatternsEach,
}

impl fmt::Display for SubscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlreadySubscribed => "there is a subscription to this channel or pattern already",
            Self::TooManyChannels => {
                "there are as many channels as max_channels allows, and all of them have subscribers"
            }
            Self::TooManySubscriptions => {
                "there are as many subscriptions as max_subscriptions allows to one connection"
            }
            Self::TooManyPatterns => {
                "there are as many patterns as max_patterns allows, and all of them have subscribers"
            }
            Self::TooManyPatternsEach => {
                "there are as many patterns as max_patterns_each allows to one connection"
            }
        })
    }
}

impl std::error::Error for SubscribeError {}

crate::words::in_words!(SubscribeError);

/// There is no such subscription.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct NotSubscribed;

impl fmt::Display for NotSubscribed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no subscription to this channel or pattern")
    }
}

impl std::error::Error for NotSubscribed {}

crate::words::in_words!(NotSubscribed);

/// Where a new cursor goes.
pub(super) struct Placement {
    pub(super) next: u64,
    recovered: Option<bool>,
    pub(super) gap: Option<(u64, u64, Reason)>,
}

impl Placement {
    pub(super) fn of(start: Start<'_>, channel: &Channel) -> Self {
        let (tail, end) = (channel.tail, channel.end());
        let (lost, newest) = (channel.lost_seq(), channel.newest_seq());
        let whole = |next, recovered| Self {
            next,
            recovered,
            gap: None,
        };
        let holed = |from, reason| Self {
            next: tail,
            recovered: Some(false),
            gap: Some((from, lost, reason)),
        };
        match start {
            Start::Live => whole(end, None),
            // `end` is at least 1, so a huge count means everything that is held.
            Start::Last(count) => whole(end.saturating_sub(count).max(tail), None),
            Start::Since { epoch, seq } if epoch != channel.epoch.as_str() || seq > newest => {
                holed(0, Reason::Epoch)
            }
            Start::Since { seq, .. } if seq < lost => holed(seq + 1, Reason::Expired),
            Start::Since { seq, .. } => whole(channel.position_after(seq), Some(true)),
        }
    }
}

impl Hub {
    /// Makes `id` known, not blocked and without subscriptions, to be served in `slot`, which is below [`Slot::COUNT`]. Whatever
    /// had that id before has to be detached.
    pub fn attach(&mut self, id: SubscriberId, slot: Slot) {
        debug_assert!(usize::from(slot.0) < Slot::COUNT);
        self.detach(id);
        self.subscriber(id).slot = slot;
    }

    /// Forgets `id`, all its subscriptions and whether it is blocked.
    pub fn detach(&mut self, id: SubscriberId) {
        self.blocked.set(id.0, false);
        let Some(subscriber) = self.subscribers.get_mut(id.0 as usize) else {
            return;
        };
        let links = std::mem::take(&mut subscriber.links);
        subscriber.first = 0;
        subscriber.patterns = 0;
        // Its place in the queue of those owed a visit stays; whoever gets the id next takes it over.
        subscriber.flags &= QUEUED;
        for link in links.from(0) {
            self.leave(link);
        }
        self.apart.forget(id.0);
        self.end_plan(id.0);
    }

    /// Subscribes `id` to a channel or a pattern from `start` on; it comes into being if there is none.
    ///
    /// # Errors
    ///
    /// If it is subscribed already, or a limit of [`super::HubConfig`] is reached.
    pub fn subscribe<'t>(
        &mut self,
        id: SubscriberId,
        topic: impl Into<Topic<'t>>,
        start: Start<'_>,
        now: u64,
    ) -> Result<Subscribed<'_>, SubscribeError> {
        self.now = self.now.max(now);
        let topic = topic.into();
        let (most, most_patterns) = (self.config.max_subscriptions, self.config.max_patterns_each);
        let existing = self.find(topic);
        let subscriber = self.subscriber(id);
        let links = &subscriber.links;
        if existing.is_some_and(|index| links.contains(index)) {
            return Err(SubscribeError::AlreadySubscribed);
        }
        if !most.admits_size(links.len() + 1) {
            return Err(SubscribeError::TooManySubscriptions);
        }
        if topic.is_pattern() && !most_patterns.admits_size(usize::from(subscriber.patterns) + 1) {
            return Err(SubscribeError::TooManyPatternsEach);
        }
        let index = match existing {
            Some(index) => index,
            None => {
                let channel = self.new_channel(topic);
                self.admit(channel).ok_or(match topic {
                    Topic::Channel(_) => SubscribeError::TooManyChannels,
                    Topic::Pattern(..) => SubscribeError::TooManyPatterns,
                })?
            }
        };
        if topic.is_pattern() {
            let patterns = &mut self.subscriber(id).patterns;
            *patterns = patterns.saturating_add(1);
        }
        let placement = self.join(id, index, start);
        let channel_id = self.directory.id(index);
        // It was found or made just above.
        let Some(channel) = self.directory.get(index) else {
            return Err(SubscribeError::TooManyChannels);
        };
        let epoch = channel.epoch.as_str();
        Ok(Subscribed {
            channel: channel_id,
            epoch,
            seq: channel.newest_seq(),
            recovered: placement.recovered,
            gap: placement.gap.map(|(from, to, reason)| Gap {
                topic: channel.topic(),
                epoch,
                from,
                to,
                reason,
            }),
            behind: placement.next < channel.end(),
        })
    }

    /// Places a cursor in the channel at `index`.
    fn join(&mut self, id: SubscriberId, index: u32, start: Start<'_>) -> Placement {
        let blocked = self.blocked.get(id.0);
        let mut slot = self.subscriber(id).slot;
        let config = self.config.slots.get(usize::from(slot.0));
        let config = config.copied().unwrap_or_default();
        let Some(channel) = self.directory.get_mut(index) else {
            return Placement {
                next: 0,
                recovered: None,
                gap: None,
            };
        };
        if channel.is_pattern() && config.falls_back {
            // What such a slot saves its readers is not worth what it would cost the publishers for each pattern.
            slot = Slot::BASE;
        }
        let placement = Placement::of(start, channel);
        channel.enter(slot, config);
        let behind = placement.next < channel.end();
        let flags = slot_flag(slot) | history(channel.end() - placement.next);
        let place = channel.push(Sub {
            subscriber: id.0,
            flags,
            next: placement.next,
        });
        let is_first = channel.subs.len() == 1;
        let subscriber = self.subscriber(id);
        subscriber.links.insert(Link {
            channel: index,
            index: place,
        });
        if behind && let Some(subscriber) = self.subscribers.get_mut(id.0 as usize) {
            self.apart.note(id.0, subscriber, index);
            if !blocked {
                self.owe(id.0);
            }
        }
        if is_first {
            self.note_vacant(index);
        }
        placement
    }

    /// Ends the subscription of `id` to a channel or a pattern. Nothing of it is gathered for `id` any more.
    ///
    /// # Errors
    ///
    /// If there is no such subscription.
    pub fn unsubscribe<'t>(
        &mut self,
        id: SubscriberId,
        topic: impl Into<Topic<'t>>,
    ) -> Result<(), NotSubscribed> {
        let topic = topic.into();
        let index = self.find(topic).ok_or(NotSubscribed)?;
        let subscriber = self
            .subscribers
            .get_mut(id.0 as usize)
            .ok_or(NotSubscribed)?;
        let link = subscriber.links.remove(index).ok_or(NotSubscribed)?;
        if topic.is_pattern() {
            subscriber.patterns = subscriber.patterns.saturating_sub(1);
        }
        self.leave(link);
        self.end_plan(id.0);
        Ok(())
    }

    /// What `id` is subscribed to: the channels and the patterns' logs.
    pub fn subscriptions(&self, id: SubscriberId) -> Vec<ChannelId> {
        let subscriber = self.subscribers.get(id.0 as usize);
        let links = subscriber.map(|subscriber| subscriber.links.from(0));
        let channels = links.into_iter().flatten();
        channels
            .map(|link| self.directory.id(link.channel))
            .collect()
    }

    /// Whether `id` is subscribed to a channel or a pattern.
    pub fn is_subscribed<'t>(&self, id: SubscriberId, topic: impl Into<Topic<'t>>) -> bool {
        let Some(subscriber) = self.subscribers.get(id.0 as usize) else {
            return false;
        };
        !matches!(subscriber.links, Links::None)
            && self
                .find(topic.into())
                .is_some_and(|index| subscriber.links.contains(index))
    }

    /// Takes a subscription out of its channel's list.
    fn leave(&mut self, link: Link) {
        let Some(channel) = self.directory.get_mut(link.channel) else {
            return;
        };
        let subscribers = &mut self.subscribers;
        let removed = channel.remove(link.index, |sub, index| {
            if let Some(moved) = subscribers.get_mut(sub.subscriber as usize) {
                moved.links.relocate(link.channel, index);
            }
        });
        let before = channel.allocated();
        if let Some(sub) = removed {
            channel.leave(sub.slot());
        }
        let (after, is_last) = (channel.allocated(), channel.subs.is_empty());
        let is_idle = channel.is_idle();
        if is_idle {
            channel.idle_since = self.now;
        }
        self.account(before, after);
        if is_idle {
            self.schedule(link.channel);
        }
        if is_last {
            self.note_vacant(link.channel);
            self.note_evictable(link.channel);
        }
    }
}
