//! Publishing: one append, whatever the number of subscribers.

use std::fmt;

use super::channel::Channel;
use super::log::Grown;
use super::{ChannelId, Hub};

/// A message that knows how to write itself as the frame that all subscribers of its channel get.
pub trait Frame {
    /// The length of the frame in bytes, if the message gets this seq. Must be what [`Frame::write`] appends.
    fn len(&self, seq: u64) -> usize;
    /// Appends the frame to `out`, which has room for it.
    fn write(&self, seq: u64, out: &mut Vec<u8>);
}

/// Makes a frame of the deflate log from one of the plain log.
pub trait Recode {
    /// Appends to `out` the frame that says the same as `plain_frame`; `plain_frame` itself, if nothing is gained.
    fn recode(&mut self, plain_frame: &[u8], out: &mut Vec<u8>);
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
    /// `recode` is called only if some subscriber of the channel is served deflated messages; without one they are
    /// served plain. Nothing is trimmed before the next [`Hub::trim`]: call it once a turn.
    ///
    /// # Errors
    ///
    /// If there are `max_channels` and all have subscribers, or if the message alone is over `retain_total`. Frames over 4 GiB are
    /// taken for too big. A message that is refused makes no channel.
    pub fn publish(
        &mut self,
        name: &str,
        message: &impl Frame,
        recode: Option<&mut dyn Recode>,
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
        let written = channel.plain.written();
        let grown = channel
            .plain
            .append(len, now, |out| message.write(seq, out));
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
        let deflates = channel.deflate.is_some();
        if soiled {
            self.soil(index);
        }
        if congested && self.has_waiting() {
            // Its publishers would wait for as long as it does.
            self.begin_rounds();
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
        if deflates {
            self.append_recoded(index, recode, now);
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

    /// Appends the newest message of the plain log to the deflate log.
    fn append_recoded(&mut self, index: u32, recode: Option<&mut dyn Recode>, now: u64) {
        let Some(channel) = self.directory.get_mut(index) else {
            return;
        };
        let Some(deflate) = &mut channel.deflate else {
            return;
        };
        let plain = channel.plain.newest();
        let grown = match recode {
            Some(recode) => {
                self.scratch.clear();
                recode.recode(plain, &mut self.scratch);
                deflate.append(self.scratch.len(), now, |out| {
                    out.extend_from_slice(&self.scratch)
                })
            }
            None => deflate.append(plain.len(), now, |out| out.extend_from_slice(plain)),
        };
        if self.scratch.capacity() > SCRATCH {
            self.scratch = Vec::new();
        }
        if let Some(Grown { before, after }) = grown {
            self.account(before, after);
        }
    }
}

/// Whether a frame of `len` bytes fits into `most` bytes (0: no limit), in both logs, once everything had gone that can go.
fn has_room(channel: &Channel, len: usize, now: u64, most: usize) -> bool {
    if most == 0 {
        return u32::try_from(len).is_ok();
    }
    let plain = channel.plain.newest_with(len, now);
    // Recoding makes no frame longer.
    let deflate = channel.deflate.as_ref();
    let deflate = deflate.map_or(0, |log| log.newest_with_at_most(len, now));
    u32::try_from(len).is_ok() && plain + deflate <= most
}
