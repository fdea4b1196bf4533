//! Channels as bytes, for the process that goes on with them, and back.
//!
//! What a channel holds is copied piece by piece while it is published to: a [`Copied`] knows how far that has come, so that in the end only the rest has to be
//! copied while everything stands still. Base logs alone are copied. Derived ones are made anew, since they are a cache.
//!
//! A snapshot names a channel by its place, which is not its place in the hub that reads it: a [`Restored`] knows both. Times are those of the hub that wrote it,
//! so the one that reads it has to have the same clock. Channels that a broker numbers are left out: the broker has them.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::channel::Channel;
use super::cursor::{HISTORY, LAGGING, Sub, history, slot_flag};
use super::epoch::Epoch;
use super::rate::Rate;
use super::slot::Slot;
use super::subscriber::{Link, SCATTERED};
use super::{ChannelId, Hub, SubscriberId};
use crate::channel::matcher::Matcher;
use crate::channel::name;
use crate::channel::pattern::Pattern;
use crate::channel::topic::Topic;
use crate::snapshot::{Damaged, Reader, put, put_bytes, put_len};

/// What a record says of a channel.
const NEW: u8 = 1;
const MORE: u8 = 2;
const STANDS: u8 = 3;
const GONE: u8 = 4;

/// How many channels one call looks at that have nothing new to copy.
const LOOKS: usize = 4096;

/// Positions beyond this are in no log.
const POSITION_MAX: u64 = 1 << 60;

/// How far the channels have been copied.
#[derive(Debug, Default)]
pub(crate) struct Copied {
    /// By place: the generation of the channel that was there, and the position of its next message to copy. 0: none was.
    channels: Vec<(u32, u64)>,
    /// The place at which to go on.
    place: u32,
}

impl Copied {
    /// Goes through all channels once more, from the first on.
    pub(crate) fn begin_pass(&mut self) {
        self.place = 0;
    }
}

/// The channels that were read, by their places in the hub that wrote them.
#[derive(Debug, Default)]
pub(crate) struct Restored(HashMap<u32, ChannelId, RandomState>);

impl Restored {
    /// The channel that had this place.
    pub(crate) fn find(&self, place: u32) -> Option<ChannelId> {
        self.0.get(&place).copied()
    }
}

impl ChannelId {
    /// That of no channel.
    pub(crate) const NONE: ChannelId = ChannelId {
        index: u32::MAX,
        generation: u32::MAX,
    };
}

impl Hub {
    /// Takes it to be so late. Nothing is done that was due until then.
    pub(crate) fn set_time(&mut self, now: u64) {
        self.now = self.now.max(now);
    }

    /// The place of a channel, if it is still there and is copied.
    pub(crate) fn place_of(&self, channel: ChannelId) -> Option<u32> {
        let found = self.directory.by_id(channel)?;
        found.numbers.is_none().then_some(channel.index)
    }

    /// Appends to `out` what there is to copy, until it has `most` bytes or much was looked at in vain. True: all channels have been gone through since
    /// [`Copied::begin_pass`].
    pub(crate) fn copy(&self, copied: &mut Copied, most: usize, out: &mut Vec<u8>) -> bool {
        let mut looks = LOOKS;
        while copied.place < self.directory.places() {
            if out.len() >= most || looks == 0 {
                return false;
            }
            looks -= 1;
            let place = copied.place;
            if let Some(channel) = self.directory.get(place)
                && !channel.gone
                && channel.numbers.is_none()
                && !self.copy_channel(channel, copied, most, out)
            {
                return false;
            }
            copied.place += 1;
        }
        true
    }

    /// Appends what is new of a channel. True: that was all.
    fn copy_channel(
        &self,
        channel: &Channel,
        copied: &mut Copied,
        most: usize,
        out: &mut Vec<u8>,
    ) -> bool {
        let place = copied.place as usize;
        if copied.channels.len() <= place {
            copied.channels.resize(place + 1, (0, 0));
        }
        let generation = self.directory.id(copied.place).generation;
        let (of, next) = copied.channels[place];
        let is_new = next == 0 || of != generation;
        if is_new {
            out.push(NEW);
            put_len(out, place);
            out.push(matcher_number(channel.matcher));
            put_bytes(out, channel.name.as_bytes());
            put_bytes(out, channel.epoch.as_str().as_bytes());
        } else if next == channel.end() {
            return true;
        } else {
            out.push(MORE);
            put_len(out, place);
        }
        let first = if is_new {
            channel.tail
        } else {
            next.max(channel.tail)
        };
        let end = put_messages(channel, first, most, out);
        copied.channels[place] = (generation, end);
        end == channel.end()
    }

    /// Appends how each channel stands that was copied, once nothing changes any more.
    pub(crate) fn conclude_copy(&self, copied: &Copied, out: &mut Vec<u8>) {
        for (place, &(generation, next)) in copied.channels.iter().enumerate() {
            if next == 0 {
                continue;
            }
            let index = place as u32;
            let id = ChannelId { index, generation };
            match self.directory.by_id(id) {
                Some(channel) => {
                    out.push(STANDS);
                    put_len(out, place);
                    put(out, channel.tail);
                    put(out, channel.idle_since);
                }
                None => {
                    out.push(GONE);
                    put_len(out, place);
                }
            }
        }
    }

    /// Does what records say that [`Hub::copy`] and [`Hub::conclude_copy`] have written.
    ///
    /// # Errors
    /// They make no sense. What was read of them stays.
    pub(crate) fn restore(&mut self, bytes: &[u8], restored: &mut Restored) -> Result<(), Damaged> {
        let mut reader = Reader::new(bytes);
        while !reader.is_at_end() {
            let kind = reader.byte()?;
            let place = reader.small()?;
            match kind {
                NEW => self.restore_new(place, &mut reader, restored)?,
                MORE => self.restore_messages(known(restored, place)?, &mut reader)?,
                STANDS => self.restore_standing(known(restored, place)?, &mut reader)?,
                GONE => {
                    let id = restored.0.remove(&place);
                    self.forget_again(id.ok_or(UNKNOWN)?);
                }
                _ => return Err(Damaged("a channel's record is of no kind that there is")),
            }
        }
        Ok(())
    }

    fn restore_new(
        &mut self,
        place: u32,
        reader: &mut Reader<'_>,
        restored: &mut Restored,
    ) -> Result<(), Damaged> {
        let matcher = matcher_of(reader.byte()?)?;
        let text = reader.text()?;
        let epoch = reader.text()?;
        let epoch = Epoch::as_written(epoch).ok_or(Damaged("an epoch is none"))?;
        let topic = topic_of(matcher, text)?;
        // Another one had its name before, or its place, and went while it was copied.
        if let Some(before) = restored.0.remove(&place) {
            self.forget_again(before);
        }
        if let Some(index) = self.find(topic) {
            self.forget_again(self.directory.id(index));
        }
        let mut channel = self.new_channel(topic);
        if channel.numbers.is_some() {
            return Err(Damaged("a broker numbers the channels now"));
        }
        channel.epoch = epoch;
        let index = match channel.is_pattern() {
            true => self.insert_pattern(channel),
            false => self.directory.insert(channel),
        };
        let id = self.directory.id(index);
        restored.0.insert(place, id);
        self.restore_messages(id, reader)
    }

    fn restore_messages(&mut self, id: ChannelId, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        let (first, count) = (reader.number()?, reader.number()?);
        let now = self.now;
        let Some(channel) = self.directory.get_mut(id.index) else {
            return Err(UNKNOWN);
        };
        if first < channel.end() || first > POSITION_MAX || count > POSITION_MAX {
            return Err(Damaged("a message's position makes no sense"));
        }
        let before = channel.allocated();
        if first > channel.end() || channel.messages() == 0 {
            // Nothing of what was copied before is held any more.
            channel.begin_at(first);
        }
        let mut read = || {
            let mut time = 0;
            for _ in 0..count {
                time = reader.number()?.clamp(time, now);
                let frame = reader.bytes()?;
                if frame.is_empty() || u32::try_from(frame.len()).is_err() {
                    return Err(Damaged("a message's length makes no sense"));
                }
                let write = |out: &mut Vec<u8>| out.extend_from_slice(frame);
                channel.base.append(frame.len(), time, write);
            }
            Ok(())
        };
        let read = read();
        let after = channel.allocated();
        if !channel.touched {
            channel.touched = true;
            self.touched.push(id.index);
        }
        self.account(before, after);
        self.note_evictable(id.index);
        read
    }

    fn restore_standing(&mut self, id: ChannelId, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        let (tail, idle_since) = (reader.number()?, reader.number()?);
        let now = self.now;
        let Some(channel) = self.directory.get_mut(id.index) else {
            return Err(UNKNOWN);
        };
        if tail > channel.end() {
            return Err(Damaged("a channel holds nothing that it could hold"));
        }
        channel.clear(tail);
        channel.rate = Rate::new(channel.end(), now);
        channel.idle_since = idle_since.min(now);
        self.release(id.index);
        if let Some(channel) = self.directory.get_mut(id.index) {
            channel.idle_since = idle_since.min(now);
        }
        self.schedule(id.index);
        self.note_vacant(id.index);
        Ok(())
    }

    /// Forgets a channel that was read, and has no subscribers.
    fn forget_again(&mut self, id: ChannelId) {
        if let Some(channel) = self.directory.by_id(id)
            && channel.subs.is_empty()
        {
            self.forget(id.index);
        }
    }

    /// Appends what `id` is subscribed to, and how far it is.
    pub(crate) fn save_subscriptions(&self, id: SubscriberId, out: &mut Vec<u8>) {
        let Some(subscriber) = self.subscribers.get(id.0 as usize) else {
            return put_len(out, 0);
        };
        let subs = || {
            let links = subscriber.links.from(0);
            links.filter_map(|link| {
                let channel = self.directory.get(link.channel)?;
                let sub = channel.subs.get(link.index as usize)?;
                channel.numbers.is_none().then_some((link.channel, *sub))
            })
        };
        put_len(out, subs().count());
        for (place, sub) in subs() {
            put(out, u64::from(place));
            put(out, u64::from((sub.flags & HISTORY) / (LAGGING << 1)));
            put(out, sub.next);
        }
    }

    /// Makes `id` known, to be served in `slot`, with the subscriptions that [`Hub::save_subscriptions`] has written. What it has still to get is
    /// held for it, but for history.
    ///
    /// # Errors
    /// They make no sense. Those that were read before that stay.
    pub(crate) fn restore_subscriptions(
        &mut self,
        id: SubscriberId,
        slot: Slot,
        reader: &mut Reader<'_>,
        restored: &Restored,
    ) -> Result<(), Damaged> {
        self.attach(id, slot);
        for _ in 0..reader.number()? {
            let channel = known(restored, reader.small()?)?;
            let (unread, next) = (reader.number()?, reader.number()?);
            self.restore_subscription(id, channel.index, unread, next)?;
        }
        self.subscriber(id).flags |= SCATTERED;
        if self.is_behind(id) {
            self.lag(id);
        }
        Ok(())
    }

    fn restore_subscription(
        &mut self,
        id: SubscriberId,
        index: u32,
        unread: u64,
        next: u64,
    ) -> Result<(), Damaged> {
        let subscriber = self.subscriber(id);
        let mut slot = subscriber.slot;
        if subscriber.links.contains(index) {
            return Err(Damaged("a connection is subscribed twice to one channel"));
        }
        let config = self.config.slots.get(usize::from(slot.0));
        let config = config.copied().unwrap_or_default();
        let Some(channel) = self.directory.get_mut(index) else {
            return Err(UNKNOWN);
        };
        let is_pattern = channel.is_pattern();
        if is_pattern && config.falls_back {
            slot = Slot::BASE;
        }
        let next = next.clamp(1, channel.end());
        let unread = unread.min(channel.end() - next);
        channel.enter(slot, config);
        let place = channel.push(Sub {
            subscriber: id.0,
            flags: slot_flag(slot) | history(unread),
            next,
        });
        let link = Link {
            channel: index,
            index: place,
        };
        let subscriber = self.subscriber(id);
        subscriber.links.insert(link);
        subscriber.patterns = subscriber.patterns.saturating_add(u16::from(is_pattern));
        if place == 0 {
            self.note_vacant(index);
        }
        Ok(())
    }
}

const UNKNOWN: Damaged = Damaged("it speaks of a channel that is not there");

fn known(restored: &Restored, place: u32) -> Result<ChannelId, Damaged> {
    restored.find(place).ok_or(UNKNOWN)
}

/// Appends the messages from `first` on, until `out` has `most` bytes. Where the next one to copy is.
fn put_messages(channel: &Channel, first: u64, most: usize, out: &mut Vec<u8>) -> u64 {
    let (mut end, mut bytes) = (first, 0);
    let room = most.saturating_sub(out.len());
    let frame = |position| channel.base.message(position).unwrap_or_default();
    // At least one, or there would be no end.
    while end < channel.end() && (end == first || bytes < room) {
        bytes += frame(end).len() + 8;
        end += 1;
    }
    put(out, first);
    put(out, end - first);
    out.reserve(bytes);
    for position in first..end {
        put(out, channel.base.time(position).unwrap_or_default());
        put_bytes(out, frame(position));
    }
    end
}

fn matcher_number(matcher: Option<Matcher>) -> u8 {
    match matcher {
        None => 0,
        Some(Matcher::Parts) => 1,
        Some(Matcher::PartsAndParent) => 2,
        Some(Matcher::Prefix) => 3,
    }
}

fn matcher_of(number: u8) -> Result<Option<Matcher>, Damaged> {
    Ok(match number {
        0 => None,
        1 => Some(Matcher::Parts),
        2 => Some(Matcher::PartsAndParent),
        3 => Some(Matcher::Prefix),
        _ => return Err(Damaged("a pattern is of no kind that there is")),
    })
}

/// What a channel's record is of.
fn topic_of(matcher: Option<Matcher>, text: &str) -> Result<Topic<'_>, Damaged> {
    let is_good = match matcher {
        None => name::check(text).is_ok(),
        Some(Matcher::Parts) => Pattern::check(text).is_ok(),
        Some(Matcher::PartsAndParent | Matcher::Prefix) => text.len() <= name::MAX_BYTES,
    };
    match is_good {
        true => Ok(matcher.map_or(Topic::Channel(text), |matcher| {
            Topic::Pattern(matcher, text)
        })),
        false => Err(Damaged("a channel has a name that none can have")),
    }
}

#[cfg(test)]
mod tests;
