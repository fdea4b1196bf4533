//! The channels there are, by name and by number, and patterns' logs by number.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::channel::Channel;

/// A channel, for as long as it exists. A later channel in the same place has another id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelId {
    pub(super) index: u32,
    pub(super) generation: u32,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    /// Boxed, so that the list of slots doubles without moving the channels.
    channel: Option<Box<Channel>>,
}

/// All channels. A name is stored once, in its channel; strangers choose names, so the hash is seeded at random.
#[derive(Debug, Default)]
pub(super) struct Directory {
    slots: Vec<Slot>,
    free: Vec<u32>,
    names: HashTable<u32>,
    hasher: RandomState,
}

impl Directory {
    /// How many channels there are; patterns' logs are none.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// One more than the greatest index that was ever in use.
    #[cfg(feature = "server")]
    pub(super) fn places(&self) -> usize {
        self.slots.len()
    }

    /// The channel of that name.
    pub(super) fn find(&self, name: &str) -> Option<u32> {
        let slots = &self.slots;
        let is_it = |&index: &u32| match slots.get(index as usize) {
            Some(Slot {
                channel: Some(channel),
                ..
            }) => *channel.name == *name,
            _ => false,
        };
        self.names.find(self.hasher.hash_one(name), is_it).copied()
    }

    /// Adds what is found by other means than a channel's name.
    pub(super) fn insert_unnamed(&mut self, channel: Channel) -> u32 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as u32
        });
        self.slots[index as usize].channel = Some(Box::new(channel));
        index
    }

    /// Adds a channel whose name is not in use.
    pub(super) fn insert(&mut self, channel: Channel) -> u32 {
        let hash = self.hasher.hash_one(&*channel.name);
        let index = self.insert_unnamed(channel);
        let (slots, hasher) = (&self.slots, &self.hasher);
        self.names
            .insert_unique(hash, index, |&other| match &slots[other as usize].channel {
                Some(channel) => hasher.hash_one(&*channel.name),
                None => 0,
            });
        index
    }

    /// Takes a channel's name away, so that there may be another of that name. The channel itself stays until it is removed.
    pub(super) fn forget_name(&mut self, index: u32) {
        let Some(channel) = self.get(index) else {
            return;
        };
        let hash = self.hasher.hash_one(&*channel.name);
        if let Ok(entry) = self.names.find_entry(hash, |&other| other == index) {
            entry.remove();
        }
    }

    /// Removes a channel whose name is forgotten; its index is used again.
    pub(super) fn remove(&mut self, index: u32) {
        if let Some(slot) = self.slots.get_mut(index as usize)
            && slot.channel.take().is_some()
        {
            slot.generation = slot.generation.wrapping_add(1);
            self.free.push(index);
        }
    }

    pub(super) fn get(&self, index: u32) -> Option<&Channel> {
        self.slots.get(index as usize)?.channel.as_deref()
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Channel> {
        self.slots.get_mut(index as usize)?.channel.as_deref_mut()
    }

    /// The id of the channel at `index`.
    pub(super) fn id(&self, index: u32) -> ChannelId {
        let generation = self
            .slots
            .get(index as usize)
            .map_or(0, |slot| slot.generation);
        ChannelId { index, generation }
    }

    /// The channel of that id, if it still exists and is not forgotten.
    pub(super) fn by_id(&self, id: ChannelId) -> Option<&Channel> {
        let slot = self.slots.get(id.index as usize)?;
        if slot.generation != id.generation {
            return None;
        }
        slot.channel.as_deref().filter(|channel| !channel.gone)
    }

    /// Every channel that is not forgotten; no pattern's log.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Channel> {
        let channels = self.slots.iter().filter_map(|slot| slot.channel.as_deref());
        channels.filter(|channel| !channel.gone && !channel.is_pattern())
    }
}
