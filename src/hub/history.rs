//! Reading what a log holds, beside all subscriptions.

use super::channel::Channel;
use super::subscribe::{Placement, Start};
use super::{ChannelId, Hub, Reason};
use crate::channel::topic::Topic;

/// Where reading a log begins, and what it holds from there on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History<'a> {
    /// The log.
    pub channel: ChannelId,
    /// Its epoch.
    pub epoch: &'a str,
    /// The newest message's number; 0 if there was none yet.
    pub newest: u64,
    /// The first and the last message that are missing before what is held, and why.
    pub gap: Option<(u64, u64, Reason)>,
    /// The position to read from.
    pub position: u64,
    /// The number of the message there; `None` if there is none.
    pub first: Option<u64>,
}

impl Hub {
    /// Where reading the log of `topic` begins; `None` if there is no such log.
    pub fn history<'t>(
        &self,
        topic: impl Into<Topic<'t>>,
        start: Start<'_>,
    ) -> Option<History<'_>> {
        let index = self.find(topic.into())?;
        let channel = self.directory.get(index)?;
        let placement = Placement::of(start, channel);
        let position = placement.next;
        Some(History {
            channel: self.directory.id(index),
            epoch: channel.epoch.as_str(),
            newest: channel.newest_seq(),
            gap: placement.gap,
            position,
            first: (position < channel.end()).then(|| channel.seq(position)),
        })
    }

    /// Hands the messages from `position` on to `take`, as number and base frame, until it says false or there are no more. Says at
    /// which position to go on; `None` if the message there is not held any more.
    pub fn read(
        &self,
        id: ChannelId,
        position: u64,
        mut take: impl FnMut(u64, &[u8]) -> bool,
    ) -> Option<u64> {
        let channel: &Channel = self.directory.by_id(id)?;
        if position < channel.tail {
            return None;
        }
        let mut position = position;
        while position < channel.end() {
            let frame = channel.base.message(position)?;
            if !take(channel.seq(position), frame) {
                break;
            }
            position += 1;
        }
        Some(position)
    }
}
