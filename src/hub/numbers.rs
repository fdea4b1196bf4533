//! A broker's numbers: what clients see in place of positions where a broker numbers a channel.
//!
//! A broker counts the messages of many channels together, so one channel's numbers are not consecutive. Everything in the
//! hub counts by positions all the same, and the numbers stand beside the messages held. A message that is no longer held
//! has no number here, and a cursor may rest just there: so the numbers go only after those whose cursors they leave behind
//! have been given theirs ([`Numbers::release`]).

use std::collections::{BTreeMap, VecDeque};

use super::Reason;

/// The numbers of one channel in one epoch of a broker. A channel that the hub numbers has none: there, a message's position
/// is its seq.
#[derive(Debug)]
pub(super) struct Numbers {
    /// The seqs of the messages held, oldest first.
    held: VecDeque<u64>,
    /// The position of the first of them: the channel's tail.
    tail: u64,
    /// The seq of the newest message, held or not; before the first message, the seq after which the epoch's begin.
    newest: u64,
    /// All of the epoch's messages after this seq are held.
    lost: u64,
    /// The epoch's first position. A cursor before it comes from another epoch.
    begin: u64,
    /// No cursor before this position still has its number to be given: see [`Numbers::release`].
    least: u64,
    /// The seq of the first message that a lapped subscription does not get, by subscriber.
    missed: BTreeMap<u32, u64>,
}

impl Numbers {
    /// The numbers of an epoch whose first message has the position `begin` and a seq above `after`.
    pub(super) fn new(begin: u64, after: u64) -> Self {
        Self {
            held: VecDeque::new(),
            tail: begin,
            newest: after,
            lost: after,
            begin,
            least: begin,
            missed: BTreeMap::new(),
        }
    }

    /// Adds the number of the message that was appended, which is above [`Numbers::newest`].
    pub(super) fn push(&mut self, seq: u64) {
        self.held.push_back(seq);
        self.newest = seq;
    }

    /// The seq of the newest message, held or not.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// The seq after which all messages are held.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// The seq of the oldest message held; none if nothing is held.
    pub(super) fn oldest(&self) -> Option<u64> {
        self.held.front().copied()
    }

    /// The seq of the message at `position`, which is held.
    pub(super) fn at(&self, position: u64) -> u64 {
        let held = position.checked_sub(self.tail).map(|at| at as usize);
        let seq = held.and_then(|at| self.held.get(at)).copied();
        seq.unwrap_or(self.newest)
    }

    /// The position of the first message above `seq`; the tail if messages in between are no longer held.
    pub(super) fn after(&self, seq: u64) -> u64 {
        self.tail + self.held.partition_point(|&held| held <= seq) as u64
    }

    /// Notes that a cursor was placed at `next`, which is the tail or after it.
    pub(super) fn place(&mut self, next: u64) {
        self.least = self.least.min(next);
    }

    /// Lets go of the numbers before the position `tail`. `cursors` are the channel's subscribers with their cursors: those
    /// that the tail passes now are noted, with what they begin to miss.
    ///
    /// `cursors` is gone through only if one of them may be before the tail. Where nobody is slow, that is once for as many
    /// messages as are held.
    pub(super) fn release(&mut self, tail: u64, cursors: impl Iterator<Item = (u32, u64)>) {
        if tail <= self.tail {
            return;
        }
        if self.least < tail {
            self.least = u64::MAX;
            for (subscriber, next) in cursors {
                if next >= tail {
                    self.least = self.least.min(next);
                } else if next >= self.tail {
                    self.missed.insert(subscriber, self.at(next));
                }
            }
        }
        self.lost = self.before(tail);
        let gone = (tail - self.tail) as usize;
        self.held.drain(..gone.min(self.held.len()));
        self.tail = tail;
        if self.held.len() * 4 < self.held.capacity() {
            self.held.shrink_to(self.held.len() * 2);
        }
    }

    /// The seq of the newest message before `position`, which is the tail or after it.
    fn before(&self, position: u64) -> u64 {
        if position <= self.tail {
            return self.lost;
        }
        self.at(position - 1)
    }

    /// The cursor of `subscriber` was lapped at `from` and goes on at `to`: what it misses, from the first to the last, and why.
    pub(super) fn settle(&mut self, subscriber: u32, from: u64, to: u64) -> (u64, u64, Reason) {
        self.place(to);
        let first = self.missed.remove(&subscriber);
        let last = self.before(to);
        if from < self.begin {
            return (0, last, Reason::Epoch);
        }
        (first.unwrap_or(last), last, Reason::Slow)
    }

    /// Whether a cursor at `next` comes from another epoch.
    pub(super) fn is_foreign(&self, next: u64) -> bool {
        next < self.begin
    }

    /// Forgets what was noted for `subscriber`.
    pub(super) fn forget(&mut self, subscriber: u32) {
        self.missed.remove(&subscriber);
    }

    /// Bytes of memory that the numbers held take.
    pub(super) fn allocated(&self) -> usize {
        self.held.capacity() * size_of::<u64>()
    }
}

/// The most memory that the numbers of `messages` messages take, once those before them have gone.
pub(super) fn most_allocated(messages: usize) -> usize {
    4 * messages * size_of::<u64>()
}
