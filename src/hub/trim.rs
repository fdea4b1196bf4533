//! What the logs let go of: messages outside a channel's window, the oldest of all when together they are too big, and
//! channels that nobody needs.

use super::channel::{Channel, NEVER};
use super::log::Footprint;
use super::{ChannelId, Hub};

/// How many channels [`Hub::handle_timeout`] looks at in one call.
const EXPIRIES: usize = 256;
/// How many protected segments are passed over in one call when room is needed.
const PROTECTED: usize = 4096;

/// A plain log's segment that is not its newest: it can go when all logs together are too big.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sealed {
    pub(super) channel: ChannelId,
    /// The segment's first message.
    pub(super) first: u64,
}

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
        let wanted = self.wanted_tail(now);
        if wanted <= self.tail {
            return Window::Kept;
        }
        if wanted <= self.known_floor() {
            self.tail = wanted;
            return Window::Kept;
        }
        let floor = self.floor();
        self.tail = wanted.min(floor).max(self.tail);
        if wanted > floor {
            Window::Exceeded
        } else {
            Window::Kept
        }
    }

    /// Where the tail would be if only the window mattered.
    fn wanted_tail(&self, now: u64) -> u64 {
        let (end, policy) = (self.end(), self.policy);
        let written = self.plain.written();
        let mut tail = self.tail;
        // Drops from the front hold for a first part of the messages only, so they can be searched for.
        while let Some(segment) = self.plain.find(tail) {
            let outside = |i: usize| {
                let seq = segment.first + i as u64;
                let bytes = written - segment.position - segment.start(i) as u64;
                let over = (policy.retain_messages != 0 && end - seq > policy.retain_messages)
                    || (policy.retain_bytes != 0 && bytes > policy.retain_bytes);
                let old = policy.retain_ms != 0
                    && now.saturating_sub(segment.time(i)) >= policy.retain_ms;
                old || (over && seq + 1 != end)
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

    /// Gives back the segments before the tail.
    fn release(&mut self) {
        self.plain.release(self.tail);
        if let Some(deflate) = &mut self.deflate {
            deflate.release(self.tail);
        }
    }

    /// When it has to be looked at for expiry.
    fn expiry(&self, linger_ms: u64) -> u64 {
        if self.messages() != 0 {
            return match (self.policy.retain_ms, self.plain.time(self.tail)) {
                (0, _) | (_, None) => NEVER,
                (retain, Some(time)) => time.saturating_add(retain),
            };
        }
        if self.subs.is_empty() {
            self.idle_since.saturating_add(linger_ms)
        } else {
            NEVER
        }
    }
}

impl Hub {
    /// Lets go of what is outside the windows of the channels published to since the last call, and of the oldest of all while
    /// the logs are over `retain_total`. Call it after each sweep.
    ///
    /// Who was at the head on its last visit and is not blocked is never lapped by it. Adds to `decongested` the channels
    /// whose publishers may be read from again.
    pub fn trim(&mut self, now: u64, decongested: &mut Vec<ChannelId>) {
        self.now = self.now.max(now);
        let mut touched = std::mem::take(&mut self.touched);
        let mut exceeded = 0;
        for i in 0..touched.len() {
            // Those whose window is exceeded gather at the front; the order is of no importance.
            if self.trim_channel(touched[i]) == Window::Exceeded {
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
            if channel.congested && self.over_total {
                touched.swap(kept, i);
                kept += 1;
                continue;
            }
            channel.touched = false;
            if std::mem::take(&mut channel.congested) {
                decongested.push(id);
            }
            self.schedule(index);
        }
        touched.truncate(kept);
        self.touched = touched;
    }

    /// When [`Hub::handle_timeout`] has something to do: milliseconds, as all times. It may be over.
    pub fn next_timeout(&self) -> Option<u64> {
        self.times.first().map(|&(time, _)| time)
    }

    /// Lets go of messages that have expired and of channels that nobody needed for `linger_ms`. A bounded number of them; if
    /// there are more, [`Hub::next_timeout`] says so.
    pub fn handle_timeout(&mut self, now: u64) {
        self.now = self.now.max(now);
        for _ in 0..EXPIRIES {
            match self.times.first() {
                Some(&(time, index)) if time <= self.now => {
                    self.times.pop_first();
                    self.expire(index);
                }
                _ => break,
            }
        }
    }

    fn expire(&mut self, index: u32) {
        let Some(channel) = self.directory.get_mut(index) else {
            return;
        };
        channel.timer = NEVER;
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
        } else if channel.dirty || channel.touched {
            // A queue still has its number; the sweep or `trim` will take it out.
            channel.timer = now + 1;
            self.times.insert((now + 1, index));
        } else if let Some(channel) = self.directory.remove(index) {
            self.account(channel.footprint(), Footprint::default());
        }
    }

    /// Sees to it that the channel is looked at when its next message expires or it has lingered.
    pub(super) fn schedule(&mut self, index: u32) {
        let Some(channel) = self.directory.get_mut(index) else {
            return;
        };
        let time = channel.expiry(self.config.linger_ms);
        // A time that is too early is harmless: then the right one is found out. So busy channels need no upkeep.
        if time < channel.timer {
            let old = std::mem::replace(&mut channel.timer, time);
            if old != NEVER {
                self.times.remove(&(old, index));
            }
            self.times.insert((time, index));
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

    /// Gives back the memory before a channel's tail.
    fn release(&mut self, index: u32) {
        let now = self.now;
        let Some(channel) = self.directory.get_mut(index) else {
            return;
        };
        let before = channel.footprint();
        channel.release();
        let after = channel.footprint();
        if channel.messages() == 0 {
            channel.idle_since = now;
        }
        if before != after {
            self.account(before, after);
        }
    }

    /// Notes a segment that can go, and now and then forgets those that have gone.
    pub(super) fn remember_sealed(&mut self, sealed: Sealed) {
        self.sealed.push_back(sealed);
        if self.sealed.len() > 2 * self.total.sealed + 1024 {
            let directory = &self.directory;
            self.sealed.retain(|&sealed| {
                directory
                    .by_id(sealed.channel)
                    .is_some_and(|channel| channel.plain.find(sealed.first).is_some())
            });
        }
    }

    /// Lets go of the oldest segments while all logs together are too big.
    fn evict(&mut self) {
        let most = self.config.retain_total;
        self.over_total = false;
        if most == 0 || self.total.allocated <= most {
            return;
        }
        let mut protected = Vec::new();
        while self.total.allocated > most && protected.len() < PROTECTED {
            let Some(sealed) = self.sealed.pop_front() else {
                break;
            };
            if !self.evict_segment(sealed) {
                protected.push(sealed);
            }
        }
        // If nothing is left that could go later, waiting helps nobody: then publishing says that there is no room.
        self.over_total = self.total.allocated > most && !protected.is_empty();
        for sealed in protected.into_iter().rev() {
            self.sealed.push_front(sealed);
        }
    }

    /// Lets go of a segment, if it has not gone yet; false if somebody who reads has still to get it.
    fn evict_segment(&mut self, sealed: Sealed) -> bool {
        if self.directory.by_id(sealed.channel).is_none() {
            return true;
        }
        let index = sealed.channel.index;
        let Some(channel) = self.directory.get_mut(index) else {
            return true;
        };
        let Some(segment) = channel.plain.find(sealed.first) else {
            return true;
        };
        let next = segment.next();
        if channel.floor() < next {
            return false;
        }
        channel.tail = channel.tail.max(next);
        self.release(index);
        true
    }
}
