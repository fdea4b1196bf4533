//! Clearing a channel: what it holds goes at once, and what patterns' logs hold of it bit by bit, since they have to be searched.

use super::channel::Channel;
use super::payload::Parts;
use super::{ChannelId, Hub};

/// Bytes of a message that cost as much to read as one look at a message.
const BYTES_A_LOOK: usize = 64;

/// How far the search for a channel's newest message has come in the patterns' logs.
#[derive(Debug)]
pub struct Clearing {
    name: Box<str>,
    /// The logs that are still to be searched, each with the position before which it is.
    logs: Vec<(ChannelId, u64)>,
}

impl Hub {
    /// Lets go of all that the channel `name` holds. A subscriber that has still to get any of that is told a gap. What patterns' logs hold
    /// up to the channel's newest message there is let go of by [`Hub::go_on_clearing`]. `None`: there is no such channel.
    pub fn begin_to_clear(&mut self, name: &str, now: u64) -> Option<Clearing> {
        self.now = self.now.max(now);
        let index = self.directory.find(name)?;
        let mut logs = Vec::new();
        self.patterns.matching(name, |&log| {
            let end = self.directory.by_id(log).map(Channel::end);
            logs.extend(end.map(|end| (log, end)));
        });
        if let Some(channel) = self.directory.get_mut(index) {
            channel.clear(channel.end());
        }
        self.release(index);
        self.schedule(index);
        Some(Clearing {
            name: name.into(),
            logs,
        })
    }

    /// Goes on clearing until so many messages were looked at, which are taken off `looks`. Says whether that was all.
    ///
    /// It looks for the channel's newest message in each of those logs ([`super::HubConfig::read`]). What was published since the clearing
    /// began stays.
    pub fn go_on_clearing(&mut self, clearing: &mut Clearing, looks: &mut usize) -> bool {
        let read = self.config.read;
        while let Some((log, before)) = clearing.logs.last_mut() {
            let Some(channel) = self.directory.by_id(*log) else {
                clearing.logs.pop();
                continue;
            };
            let Some(found) = channel.search_back(&clearing.name, before, looks, read) else {
                return false;
            };
            let index = log.index;
            clearing.logs.pop();
            if let Some(newest) = found
                && let Some(channel) = self.directory.get_mut(index)
            {
                channel.clear(newest + 1);
                self.release(index);
            }
        }
        true
    }

    /// Lets go of all that the channel `name` holds, and of what patterns' logs hold up to its newest message there, in one go. Says whether
    /// there is such a channel.
    pub fn clear(&mut self, name: &str, now: u64) -> bool {
        let Some(mut clearing) = self.begin_to_clear(name, now) else {
            return false;
        };
        let mut looks = usize::MAX;
        self.go_on_clearing(&mut clearing, &mut looks)
    }
}

impl Channel {
    /// Looks in a pattern's log for the newest message that was published to the channel `name` and has a position under `before`, which
    /// goes down. `None`: there is more to look at; else the position, if there is one.
    fn search_back(
        &self,
        name: &str,
        before: &mut u64,
        looks: &mut usize,
        read: fn(&[u8]) -> Option<Parts<'_>>,
    ) -> Option<Option<u64>> {
        while *before > self.tail {
            if *looks == 0 {
                return None;
            }
            *before -= 1;
            let frame = self.base.message(*before);
            // A long one takes longer to read.
            let cost = 1 + frame.map_or(0, <[u8]>::len) / BYTES_A_LOOK;
            *looks = looks.saturating_sub(cost);
            let parts = frame.and_then(read);
            if parts.is_some_and(|parts| parts.channel == name) {
                return Some(Some(*before));
            }
        }
        Some(None)
    }
}
