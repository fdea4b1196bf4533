//! Publishing: one append, whatever the number of subscribers.

use std::fmt;

use super::channel::Channel;
use super::log::Grown;
use super::slot::Encode;
use super::{ChannelId, Hub};

/// A message that knows how to write itself as the frame that all subscribers of the base slot get.
pub trait Frame {
    /// The length of the frame in bytes, if the message gets this seq. Must be what [`Frame::write`] appends.
    fn len(&self, seq: u64) -> usize;
    /// Appends the frame to `out`, which has room for it.
    fn write(&self, seq: u64, out: &mut Vec<u8>);
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
    /// The channel holds more than its window, for the sake of subscribers that read but have not been visited yet: its
    /// publishers are not to be read from until [`Hub::trim`] reports it as decongested.
    pub congested: bool,
}

/// Why a message was not published. No seq was given out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PublishError {
    /// The channel does not exist, there are `max_channels`, and all of them have subscribers.
    TooManyChannels,
    /// The message by itself is too big for `retain_total`.
    RetainTotal,
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooManyChannels => "too many channels, and all of them have subscribers",
            Self::RetainTotal => "the message by itself is too big for retain-total",
        })
    }
}

impl std::error::Error for PublishError {}

crate::words::in_words!(PublishError);

/// Scratch space beyond this is given back after use.
const SCRATCH: usize = 64 * 1024;

impl Hub {
    /// Publishes `message` in the channel `name`, which comes into being if there is none.
    ///
    /// `encode` is called once for each slot that subscribers of the channel are served in, but for the base. Nothing is trimmed before the next [`Hub::trim`]: call it once a turn.
    ///
    /// # Errors
    ///
    /// If there are `max_channels` and all have subscribers, or if the message alone is over `retain_total`. Frames over 4 GiB are
    /// taken for too big. A message that is refused makes no channel.
    pub fn publish(
        &mut self,
        name: &str,
        message: &impl Frame,
        encode: &mut dyn Encode,
        now: u64,
    ) -> Result<Published<'_>, PublishError> {
        self.now = self.now.max(now);
        let now = self.now;
        let index = match self.directory.find(name) {
            Some(index) => index,
            None => {
                let channel = self.new_channel(name);
                if !has_room(
                    &channel,
                    message.len(channel.end()),
                    now,
                    self.config.retain_total,
                ) {
                    return Err(PublishError::RetainTotal);
                }
                self.admit(channel).ok_or(PublishError::TooManyChannels)?
            }
        };
        let channel_id = self.directory.id(index);
        let Some(channel) = self.directory.get_mut(index) else {
            return Err(PublishError::TooManyChannels);
        };
        let seq = channel.end();
        let len = message.len(seq);
        if !has_room(channel, len, now, self.config.retain_total) {
            return Err(PublishError::RetainTotal);
        }
        let written = channel.base.written();
        let grown = channel.base.append(len, now, |out| message.write(seq, out));
        let soiled = channel.begin_round(seq, written);
        if !channel.touched {
            channel.touched = true;
            self.touched.push(index);
        }
        if self.over_total || channel.is_crowded() {
            channel.congested = true;
        }
        let congested = channel.congested;
        let first = channel.messages() == 1;
        let is_derived = channel.derived.is_some();
        if soiled {
            self.soil(index);
        }
        if congested && self.has_waiting() {
            // Its publishers would wait for as long as it does.
            self.begin_circles();
        }
        if let Some(Grown { before, after }) = grown {
            self.account(before, after);
            self.note_evictable(index);
        }
        if first {
            // Nothing older has set the clock.
            self.schedule(index);
            self.note_vacant(index);
        }
        if is_derived {
            self.append_derived(index, seq, encode);
        }
        let Some(channel) = self.directory.get(index) else {
            return Err(PublishError::TooManyChannels);
        };
        self.large_published += u64::from(channel.large);
        Ok(Published {
            channel: channel_id,
            epoch: channel.epoch.as_str(),
            seq,
            congested,
        })
    }

    /// Appends the newest message of the base log, which is `seq`, to the derived logs.
    fn append_derived(&mut self, index: u32, seq: u64, encode: &mut dyn Encode) {
        let now = self.now;
        let Some(channel) = self.directory.get_mut(index) else {
            return;
        };
        let Some(mut logs) = channel.derived.take() else {
            return;
        };
        let message = channel.messages_of(self.config.payload);
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

/// Whether a frame of `len` bytes fits into `most` bytes (0: no limit), once everything had gone that can go.
fn has_room(channel: &Channel, len: usize, now: u64, most: usize) -> bool {
    if most == 0 {
        return u32::try_from(len).is_ok();
    }
    u32::try_from(len).is_ok() && channel.base.newest_with(len, now) <= most
}
