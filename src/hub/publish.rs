//! Publishing: one append, whatever the number of subscribers.

use std::fmt;

use super::channel::Channel;
use super::epoch::Epoch;
use super::feeds::Fed;
use super::log::Grown;
use super::slot::Encode;
use super::{ChannelId, Hub};
use crate::channel::topic::Topic;
use crate::limit::Limit;

/// A message that knows how to write itself as the frame that all subscribers of the base slot get.
pub trait Frame {
    /// The length of the frame in bytes, if the message gets this place. Must be what [`Frame::write`] appends.
    fn len(&self, place: Place<'_>) -> usize;
    /// Appends the frame to `out`, which has room for it.
    fn write(&self, place: Place<'_>, out: &mut Vec<u8>);
}

/// Where a message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// In its channel.
    Channel {
        /// Its number there.
        seq: u64,
    },
    /// In a pattern's log.
    Pattern {
        /// The pattern's text.
        pattern: &'a str,
        /// The message's number there.
        seq: u64,
        /// Its number in its channel.
        channel_seq: u64,
    },
}

/// A message that was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published<'a> {
    /// The channel.
    pub channel: ChannelId,
    /// The channel's epoch.
    pub epoch: &'a str,
    /// The message's seq.
    pub seq: u64,
    /// Subscribers that read but have not been visited yet have more to get than half of the channel's window, or there is no room
    /// for it: its publishers are not to be read from until [`Hub::trim`] reports it as decongested.
    pub congested: bool,
    /// What patterns made of it.
    pub fed: Fed,
}

/// Why a message was not published. No seq was given out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PublishError {
    /// The channel does not exist, there are `max_channels`, and all of them have subscribers.
    TooManyChannels,
    /// The message by itself is too big for `retain_total`.
    RetainTotal,
    /// A broker's number that is not above that of the channel's newest message: the channel has, or had, the message already.
    NotNewer,
    /// The hub was to number a message in a channel that a broker numbers.
    BrokerNumbers,
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooManyChannels => {
                "there are as many channels as max_channels allows, and all of them have subscribers"
            }
            Self::RetainTotal => "the message by itself takes more memory than retain_total allows",
            Self::NotNewer => "the message's number is not above that of the channel's newest message",
            Self::BrokerNumbers => "a broker numbers this channel's messages",
        })
    }
}

impl std::error::Error for PublishError {}

crate::words::in_words!(PublishError);

/// Scratch space beyond this is given back after use.
const SCRATCH: usize = 64 * 1024;

/// Where a broker places a message: its epoch, and its number there.
pub(super) type At<'a> = (&'a Epoch, u64);

impl Channel {
    /// The seq of the message that is to be appended, and the epoch that begins with it, if one does.
    pub(super) fn next_seq<'a>(
        &self,
        at: Option<At<'a>>,
    ) -> Result<(u64, Option<&'a Epoch>), PublishError> {
        let Some((epoch, seq)) = at else {
            return match self.numbers {
                None => Ok((self.end(), None)),
                Some(_) => Err(PublishError::BrokerNumbers),
            };
        };
        let is_same = self.numbers.is_some() && *epoch == self.epoch;
        let newest = if is_same { self.newest_seq() } else { 0 };
        if seq <= newest {
            return Err(PublishError::NotNewer);
        }
        Ok((seq, (!is_same).then_some(epoch)))
    }
}

impl Hub {
    /// Publishes `message` in the channel `name`, which comes into being if there is none. The hub numbers it.
    ///
    /// `encode` is called once for each slot that subscribers of the channel are served in, but for the base. Nothing is trimmed
    /// before the next [`Hub::trim`]: call it once a turn.
    ///
    /// # Errors
    ///
    /// If there are `max_channels` and all have subscribers, if the message alone is over `retain_total`, or if a broker numbers
    /// the channel. Frames over 4 GiB are taken for too big. A message that is refused makes no channel.
    pub fn publish(
        &mut self,
        name: &str,
        message: &impl Frame,
        encode: &mut dyn Encode,
        now: u64,
    ) -> Result<Published<'_>, PublishError> {
        self.append_at(None, name, message, encode, now)
    }

    /// Like [`Hub::publish`], but a broker numbers the message if `at` says its epoch and its number, which is at least 1.
    ///
    /// Each number is above that of the message before it in the channel, and where patterns are subscribed to, above those of
    /// all messages before it in the epoch, whatever their channels: a pattern's log has the broker's numbers, too. A jump is no
    /// hole: the numbers in between are no messages.
    ///
    /// If `at` says another epoch than the channel's, or the hub numbered the channel until now, that epoch begins: what the
    /// channel holds goes, and each subscriber gets a [`Gap`](super::Gap) with the reason [`Epoch`](super::Reason::Epoch)
    /// before the next message, whatever the policy says of those who fall behind. An epoch that has ended must not come back.
    ///
    /// # Errors
    ///
    /// As for `publish`, and if the number is not above that of the channel's newest message: what a broker delivers once more
    /// is refused so, and nothing has changed. What is refused for want of room is a hole of which nobody is told.
    pub fn append_at(
        &mut self,
        at: Option<(&Epoch, u64)>,
        name: &str,
        message: &impl Frame,
        encode: &mut dyn Encode,
        now: u64,
    ) -> Result<Published<'_>, PublishError> {
        self.now = self.now.max(now);
        let index = match self.directory.find(name) {
            Some(index) => index,
            None => self.make_for(at, name, message)?,
        };
        let Some(channel) = self.directory.get(index) else {
            return Err(PublishError::TooManyChannels);
        };
        let (seq, begun) = channel.next_seq(at)?;
        let len = message.len(Place::Channel { seq });
        if !has_room(channel, len, self.now, self.config.retain_total) {
            return Err(PublishError::RetainTotal);
        }
        if let Some(epoch) = begun {
            self.begin_epoch(index, epoch, seq - 1);
        }
        self.append(index, seq, len, message, None);
        self.append_derived(index, seq, encode);
        let fed = self.feed(index, at, seq, message, encode);
        let channel_id = self.directory.id(index);
        let Some(channel) = self.directory.get(index) else {
            return Err(PublishError::TooManyChannels);
        };
        self.large_published += u64::from(channel.large);
        Ok(Published {
            channel: channel_id,
            epoch: channel.epoch.as_str(),
            seq,
            congested: channel.congested,
            fed,
        })
    }

    /// Makes the channel `name` for its first message, unless that is refused.
    fn make_for(
        &mut self,
        at: Option<At<'_>>,
        name: &str,
        message: &impl Frame,
    ) -> Result<u32, PublishError> {
        let channel = self.new_channel(Topic::Channel(name));
        let (seq, _) = channel.next_seq(at)?;
        let (len, most) = (
            message.len(Place::Channel { seq }),
            self.config.retain_total,
        );
        if !has_room(&channel, len, self.now, most) {
            return Err(PublishError::RetainTotal);
        }
        self.admit(channel).ok_or(PublishError::TooManyChannels)
    }

    /// Begins a broker's epoch in a channel, whose numbers are above `after`.
    #[cold]
    pub(super) fn begin_epoch(&mut self, index: u32, epoch: &Epoch, after: u64) {
        let Some(channel) = self.directory.get_mut(index) else {
            return;
        };
        let before = channel.allocated();
        channel.begin_epoch(epoch.clone(), after);
        let after = channel.allocated();
        self.account(before, after);
    }

    /// Appends `message`, whose frame has `len` bytes, to the base log, and sees to it that its subscribers are visited. In a
    /// pattern's log it is the copy of one that has the number `copy_of` in its channel.
    pub(super) fn append(
        &mut self,
        index: u32,
        seq: u64,
        len: usize,
        message: &impl Frame,
        copy_of: Option<u64>,
    ) {
        let now = self.now;
        let Some(channel) = self.directory.get_mut(index) else {
            return;
        };
        let (end, written) = (channel.end(), channel.base.written());
        channel.rate.count(end, now);
        let place = place(&channel.name, seq, copy_of);
        let grown = channel
            .base
            .append(len, now, |out| message.write(place, out));
        let numbered = channel.number(seq);
        let soiled = channel.begin_round(end, written);
        if !channel.touched {
            channel.touched = true;
            self.touched.push(index);
        }
        let crowded = channel.is_crowded();
        channel.congested |= copy_of.is_none() && (crowded || self.over_total);
        let hurries = channel.congested || crowded;
        let first = channel.messages() == 1;
        if soiled {
            self.soil(index);
        }
        if hurries && self.has_waiting() {
            // Its publishers would wait for as long as it does, and a pattern's readers might be lapped.
            self.begin_circles();
        }
        self.account(0, numbered);
        if let Some(Grown { before, after }) = grown {
            self.account(before, after);
            self.note_evictable(index);
        }
        if first {
            // Nothing older has set the clock.
            self.schedule(index);
            self.note_vacant(index);
        }
    }

    /// Appends the newest message of the base log, whose number is `seq`, to the derived logs.
    pub(super) fn append_derived(&mut self, index: u32, seq: u64, encode: &mut dyn Encode) {
        let now = self.now;
        let Some(channel) = self.directory.get_mut(index) else {
            return;
        };
        let Some(mut logs) = channel.derived.take() else {
            return;
        };
        let message = channel.messages_of(self.config.read);
        let message = message.message(seq, channel.base.newest());
        let before = logs.allocated();
        for derived in logs.iter_mut() {
            self.scratch.clear();
            encode.encode(derived.slot, &message, &mut self.scratch);
            let len = self.scratch.len();
            derived
                .log
                .append(len, now, |out| out.extend_from_slice(&self.scratch));
        }
        if self.scratch.capacity() > SCRATCH {
            self.scratch = Vec::new();
        }
        let after = logs.allocated();
        channel.derived = Some(logs);
        if before != after {
            self.account(before, after);
            self.note_evictable(index);
        }
    }
}

/// Where a message stands that has the number `seq` in the log of `name`; `copy_of` as for [`Hub::append`].
#[inline]
pub(super) fn place(name: &str, seq: u64, copy_of: Option<u64>) -> Place<'_> {
    match copy_of {
        None => Place::Channel { seq },
        Some(channel_seq) => Place::Pattern {
            pattern: name,
            seq,
            channel_seq,
        },
    }
}

/// Whether a frame of `len` bytes is within `most` bytes, once everything had gone that can go.
pub(super) fn has_room(channel: &Channel, len: usize, now: u64, most: Limit) -> bool {
    u32::try_from(len).is_ok() && (most.is_none() || most.admits_size(channel.least_with(len, now)))
}
