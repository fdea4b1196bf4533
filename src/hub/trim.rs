//! What the logs let go of: messages outside a channel's window, and channels that nobody needs. For what goes when all logs
//! together are too big, see `room.rs`.

use super::channel::Channel;
use super::policy::Policy;
use super::{ChannelId, Hub};
use crate::limit::Limit;

/// A channel that waits for no time.
const NEVER: u64 = u64::MAX;

/// How many channels [`Hub::handle_timeout`] looks at in one call.
const EXPIRIES: usize = 256;

/// What became of a channel's window.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Window {
    /// It holds no more than it should.
    Kept,
    /// Some that can't be lapped need more.
    Exceeded,
}

impl Channel {
    /// Moves the tail as the window demands, as far as the floor allows.
    fn trim(&mut self, now: u64) -> Window {
        let wanted = self.wanted_tail(self.policy, now);
        if wanted <= self.tail {
            return Window::Kept;
        }
        if wanted <= self.known_floor() {
            self.tail = wanted;
            return Window::Kept;
        }
        let floor = self.floor().max(self.least_floor(now));
        self.tail = wanted.min(floor).max(self.tail);
        if wanted > floor {
            Window::Exceeded
        } else {
            Window::Kept
        }
    }

    /// The position before which nothing is held for those who read: 0 for a channel, whose publishers wait. A pattern's log holds
    /// `retain_bytes` for them, whatever else its policy says.
    fn least_floor(&self, now: u64) -> u64 {
        if !self.is_pattern() {
            return 0;
        }
        let by_bytes = Policy {
            retain_messages: Limit::NONE,
            retain_ms: Limit::NONE,
            ..self.policy
        };
        self.wanted_tail(by_bytes, now)
    }

    /// Where the tail would be if only the window of `policy` mattered.
    fn wanted_tail(&self, policy: Policy, now: u64) -> u64 {
        let end = self.end();
        let written = self.base.written();
        let mut tail = self.tail;
        // Drops from the front hold for a first part of the messages only, so they can be searched for.
        while let Some(segment) = self.base.find(tail) {
            let outside = |i: usize| {
                let position = segment.first + i as u64;
                let bytes = written - segment.offset - segment.start(i) as u64;
                let over = !policy.retain_messages.admits(end - position)
                    || !policy.retain_bytes.admits(bytes);
                let old = policy.retain_ms.after(segment.time(i)) <= now;
                old || (over && position + 1 != end)
            };
            let from = (tail - segment.first) as usize;
            // In the common case nothing or little goes.
            if !outside(from) {
                break;
            }
            tail = segment.first + segment.first_kept(from, outside) as u64;
            if tail < segment.next() {
                break;
            }
        }
        tail
    }

    /// When it has to be looked at for expiry.
    fn expiry(&self, linger_ms: u64) -> u64 {
        let oldest = match self.messages() {
            0 => None,
            _ => self.base.time(self.tail),
        };
        let idle = match self.is_idle() {
            true => self.idle_since.saturating_add(linger_ms),
            false => NEVER,
        };
        oldest.map_or(idle, |time| self.policy.retain_ms.after(time).min(idle))
    }
}

impl Hub {
    /// Lets go of what is outside the windows of the channels published to since the last call, and while the logs are over
    /// `retain_total`, of what nobody subscribes to, and then of what is oldest. Call it after each sweep.
    ///
    /// A subscriber that was at the head on its last visit and is not blocked is never lapped by it. Adds to `decongested` the channels
    /// whose publishers may be read from again.
    pub fn trim(&mut self, now: u64, decongested: &mut Vec<ChannelId>) {
        self.now = self.now.max(now);
        let mut touched = std::mem::take(&mut self.touched);
        let mut exceeded = 0;
        for i in 0..touched.len() {
            // Those whose window is exceeded gather at the front; the order is of no importance.
            if self.trim_channel(touched[i]) == Window::Exceeded
                || self.holds_publishers(touched[i])
            {
                touched.swap(exceeded, i);
                exceeded += 1;
            }
        }
        self.evict();
        let mut kept = exceeded;
        for i in exceeded..touched.len() {
            let index = touched[i];
            let id = self.directory.id(index);
            let Some(channel) = self.directory.get_mut(index) else {
                continue;
            };
            if channel.congested && self.over_total && !channel.gone {
                touched.swap(kept, i);
                kept += 1;
                continue;
            }
            channel.touched = false;
            if std::mem::take(&mut channel.congested) {
                decongested.push(id);
            }
            if channel.gone {
                self.bury(index);
            } else {
                self.schedule(index);
            }
        }
        touched.truncate(kept);
        self.touched = touched;
    }

    /// When [`Hub::handle_timeout`] has something to do: milliseconds, as all times. It may be over.
    pub fn next_timeout(&self) -> Option<u64> {
        if self.evicts_on {
            // The next `trim` goes on with it.
            return Some(self.now);
        }
        self.times.first().map(|(time, _)| time)
    }

    /// Lets go of messages that have expired and of channels that nobody needed for `linger_ms`. A bounded number of them; if
    /// there are more, [`Hub::next_timeout`] says so.
    pub fn handle_timeout(&mut self, now: u64) {
        self.now = self.now.max(now);
        for _ in 0..EXPIRIES {
            match self.times.first() {
                Some((time, index)) if time <= self.now => {
                    self.times.remove(index);
                    self.expire(index);
                }
                _ => break,
            }
        }
    }

    fn expire(&mut self, index: u32) {
        let window = self.trim_channel(index);
        let (now, linger) = (self.now, self.config.linger_ms);
        let Some(channel) = self.directory.get_mut(index) else {
            return;
        };
        if window == Window::Exceeded {
            // Somebody who reads has still to get it: `trim` looks again after the sweep.
            if !channel.touched {
                channel.touched = true;
                self.touched.push(index);
            }
        } else if channel.expiry(linger) > now {
            self.schedule(index);
        } else {
            self.forget(index);
        }
    }

    /// Sees to it that the channel is looked at when its next message expires or it has lingered.
    pub(super) fn schedule(&mut self, index: u32) {
        if let Some(channel) = self.directory.get(index) {
            // A time that is too early is harmless: then the right one is found out. So busy channels need no upkeep.
            let time = channel.expiry(self.config.linger_ms);
            self.times.lower(index, time);
        }
    }

    /// Trims a channel to its window.
    fn trim_channel(&mut self, index: u32) -> Window {
        let now = self.now;
        let Some(channel) = self.directory.get_mut(index) else {
            return Window::Kept;
        };
        let tail = channel.tail;
        let window = channel.trim(now);
        if channel.tail != tail {
            self.release(index);
        }
        window
    }

    /// Whether the publishers of a channel wait and have reason to: those who read have still much to get.
    fn holds_publishers(&mut self, index: u32) -> bool {
        let channel = self.directory.get_mut(index);
        channel.is_some_and(|channel| {
            channel.congested && !channel.gone && {
                channel.floor();
                channel.is_crowded()
            }
        })
    }

    /// Gives back the memory before a channel's tail.
    pub(super) fn release(&mut self, index: u32) {
        let now = self.now;
        let Some(channel) = self.directory.get_mut(index) else {
            return;
        };
        let before = channel.allocated();
        channel.release();
        let after = channel.allocated();
        let is_empty = channel.messages() == 0;
        if is_empty && !channel.is_pattern() {
            channel.idle_since = now;
        }
        self.account(before, after);
        if is_empty {
            self.note_vacant(index);
        }
    }
}
