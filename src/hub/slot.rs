//! Encodings: a channel has a base log, and a derived log for each slot that somebody uses there.
//!
//! A derived log begins with its first user and goes with its last. It is a cache: whatever is older than the log, or was let
//! go of for want of room, is made from the base log again, and a reader moves from the one to the other at a message boundary.

use super::epoch::Epoch;
use super::log::Log;
use super::payload::Parts;
use crate::channel::topic::Topic;

/// Which encoding a subscriber is served in: a small number that the caller gives a meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub u8);

impl Slot {
    /// The base log: the frames as they were published.
    pub const BASE: Slot = Slot(0);
    /// How many slots there are, the base included.
    pub const COUNT: usize = 8;
}

/// What the hub has to know of a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotConfig {
    /// Whether its readers may be given base frames where the slot's log has none: then nothing is made for one reader alone.
    pub falls_back: bool,
}

/// A message that a slot's bytes are made from.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Whose log it is in: its channel's, or that of a pattern.
    pub topic: Topic<'a>,
    /// The log's epoch.
    pub epoch: &'a str,
    /// The message's number in the log.
    pub seq: u64,
    /// Its frame in the base log.
    pub frame: &'a [u8],
    read: fn(&[u8]) -> Option<Parts<'_>>,
}

impl<'a> Message<'a> {
    /// What the base frame says, as [`super::HubConfig::read`] reads it; nothing if it cannot.
    pub fn parts(&self) -> Option<Parts<'a>> {
        (self.read)(self.frame)
    }
}

/// Makes the bytes of all slots but the base.
pub trait Encode {
    /// Appends to `out` the bytes of `slot` that say what `message` says: at least one byte, and always the same ones for the
    /// same message.
    fn encode(&mut self, slot: Slot, message: &Message<'_>, out: &mut Vec<u8>);
}

/// For a hub whose subscribers all have the base slot: any other slot has the base frames, too.
impl Encode for () {
    fn encode(&mut self, _: Slot, message: &Message<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(message.frame);
    }
}

/// Makes messages of base frames: what they have in common.
#[derive(Clone, Copy)]
pub(super) struct Source<'c> {
    pub(super) topic: Topic<'c>,
    pub(super) epoch: &'c Epoch,
    pub(super) read: fn(&[u8]) -> Option<Parts<'_>>,
}

impl<'c> Source<'c> {
    /// The message numbered `seq`, whose base frame is `frame`.
    pub(super) fn message(self, seq: u64, frame: &'c [u8]) -> Message<'c> {
        Message {
            topic: self.topic,
            epoch: self.epoch.as_str(),
            seq,
            frame,
            read: self.read,
        }
    }
}

/// A channel's messages in a slot that is in use there.
#[derive(Debug)]
pub(super) struct Derived {
    pub(super) slot: Slot,
    pub(super) falls_back: bool,
    /// How many subscriptions read it.
    users: u32,
    pub(super) log: Log,
}

/// The derived logs of a channel.
#[derive(Debug, Default)]
pub(super) struct DerivedLogs(Vec<Derived>);

impl DerivedLogs {
    /// The log of `slot`, if it is in use.
    pub(super) fn find(&self, slot: Slot) -> Option<&Derived> {
        self.0.iter().find(|derived| derived.slot == slot)
    }

    /// All of them.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Derived> {
        self.0.iter_mut()
    }

    /// Counts one more user of `slot`. Its log begins with the message `begin` if this is the first.
    pub(super) fn enter(&mut self, slot: Slot, config: SlotConfig, begin: u64, largest: u32) {
        match self.0.iter_mut().find(|derived| derived.slot == slot) {
            Some(derived) => derived.users += 1,
            None => {
                self.0.reserve_exact(1);
                self.0.push(Derived {
                    slot,
                    falls_back: config.falls_back,
                    users: 1,
                    log: Log::new(begin, largest),
                });
            }
        }
    }

    /// Counts one user of `slot` less. Its log goes with the last.
    pub(super) fn leave(&mut self, slot: Slot) {
        self.0.retain_mut(|derived| {
            derived.users -= u32::from(derived.slot == slot);
            derived.users != 0
        });
    }

    /// Whether no slot is in use.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes of memory that the logs take, indexes included.
    pub(super) fn allocated(&self) -> usize {
        self.0.iter().map(|derived| derived.log.allocated()).sum()
    }

    /// The log whose oldest segment is older than those of the others, and the time of that segment; none if all are empty.
    fn oldest(&mut self) -> Option<(u64, &mut Log)> {
        let logs = self.0.iter_mut().map(|derived| &mut derived.log);
        let oldest = logs.filter_map(|log| Some((log.oldest()?.newest_time(), log)));
        oldest.min_by_key(|(time, _)| *time)
    }

    /// How old the oldest segment of all of them is: the time of its newest message.
    pub(super) fn oldest_time(&self) -> Option<u64> {
        let logs = self.0.iter().map(|derived| &derived.log);
        let oldest = logs.filter_map(|log| log.oldest());
        oldest.map(|segment| segment.newest_time()).min()
    }

    /// Lets go of the oldest segment of all of them; false if they are empty. Its log then begins after it.
    pub(super) fn evict_oldest(&mut self) -> bool {
        let Some((_, log)) = self.oldest() else {
            return false;
        };
        if let Some(next) = log.oldest().map(|segment| segment.next()) {
            log.begin_at(next);
        }
        true
    }

    /// Lets go of all, and leaves the next position out.
    pub(super) fn skip(&mut self) {
        self.0.iter_mut().for_each(|derived| derived.log.skip());
    }

    /// Lets go of the segments that hold nothing from `tail` on.
    pub(super) fn release(&mut self, tail: u64) {
        self.0
            .iter_mut()
            .for_each(|derived| derived.log.release(tail));
    }
}
