//! A channel's messages in one encoding: a short list of segments, appended to at one end and let go of at the other.

use std::collections::VecDeque;

use super::segment::{LONG, Segment, cost, entries_for};
use crate::limit::Limit;

/// The capacity that a log's first segment has: 100,000 channels of one small message each stay small.
const SMALLEST: usize = 256;
/// The capacity up to which segments double.
const BIGGEST: usize = 64 * 1024;
/// The segments of a log that may take this share of the memory of all logs are small enough for two of them to fit in it, with
/// their indexes.
const SHARE_OF_TOTAL: usize = 8;

/// The capacity up to which segments of short frames double, in bytes: a quarter of the channel's window, and a small
/// part of what all logs may take together.
pub(super) fn largest_segment(window: Limit, total: Limit) -> u32 {
    let part = |whole: Limit, parts: usize| whole.left(0) / parts;
    let largest = part(window, 4).min(part(total, SHARE_OF_TOTAL));
    largest.clamp(SMALLEST, BIGGEST) as u32
}

/// The memory of a log before and after a change, in bytes, indexes included.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grown {
    pub(super) before: usize,
    pub(super) after: usize,
}

/// The messages of one channel in one encoding.
#[derive(Debug)]
pub(super) struct Log {
    /// The newest segment, where nearly everybody reads; empty, and without memory of its own, if nothing is held.
    newest: Segment,
    /// Those before it, oldest first.
    older: VecDeque<Segment>,
    /// The position of the first message that this log was ever given, or that has stayed when it had to make room.
    pub(super) begin: u64,
    /// The position that the next message gets.
    next: u64,
    /// How many bytes were ever appended.
    written: u64,
    allocated: usize,
    /// Capacity of the newest segment of short frames, and the limit to its doubling.
    capacity: u32,
    largest: u32,
}

impl Log {
    /// A log whose first message will be `begin`, and whose segments double up to `largest` bytes: see [`largest_segment`].
    pub(super) fn new(begin: u64, largest: u32) -> Self {
        Self {
            newest: Segment::none(begin, 0),
            older: VecDeque::new(),
            begin,
            next: begin,
            written: 0,
            allocated: 0,
            capacity: 0,
            largest,
        }
    }

    /// Up to how many bytes its segments double.
    pub(super) fn largest(&self) -> u32 {
        self.largest
    }

    /// The position that the next message gets.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// How many bytes were ever appended.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Whether a frame of `len` bytes goes into the newest segment.
    pub(super) fn fits(&self, len: usize, now: u64) -> bool {
        len <= LONG && self.newest.fits(len, now)
    }

    /// How many bytes of memory the newest segment takes once it holds a frame of `len` bytes as the newest: all older ones
    /// can go.
    pub(super) fn newest_with(&self, len: usize, now: u64) -> usize {
        if self.fits(len, now) {
            return self.newest.allocated() + self.newest.index_growth();
        }
        if len > LONG {
            return cost(len, 1);
        }
        let capacity = self.next_capacity(len);
        cost(capacity, entries_for(capacity, len))
    }

    /// Appends the frame of `len` bytes that `write` writes; says what changed if the footprint did.
    pub(super) fn append(
        &mut self,
        len: usize,
        now: u64,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Option<Grown> {
        if self.fits(len, now) {
            let last = &mut self.newest;
            let (start, cost) = (last.as_slice().len(), last.allocated());
            let grew = last.append(now, write);
            self.next += 1;
            self.written += (last.as_slice().len() - start) as u64;
            return grew.then(|| self.regrown(cost));
        }
        Some(self.append_segment(len, now, write))
    }

    /// The newest segment's index doubled; the segment cost `before`.
    #[cold]
    fn regrown(&mut self, before: usize) -> Grown {
        let old = self.allocated;
        self.allocated = self.allocated + self.newest.allocated() - before;
        Grown {
            before: old,
            after: self.allocated,
        }
    }

    #[cold]
    fn append_segment(&mut self, len: usize, now: u64, write: impl FnOnce(&mut Vec<u8>)) -> Grown {
        let before = self.allocated;
        let had_newest = self.newest.len() != 0;
        let segment = if len > LONG {
            let mut frame = Vec::with_capacity(len);
            write(&mut frame);
            Segment::long(self.next, self.written, now, frame)
        } else {
            let capacity = self.next_capacity(len);
            self.capacity = capacity as u32;
            let mut segment = Segment::short(self.next, self.written, now, capacity, len);
            segment.append(now, write);
            segment
        };
        self.next += 1;
        self.written += segment.as_slice().len() as u64;
        self.allocated += segment.allocated();
        let old = std::mem::replace(&mut self.newest, segment);
        if had_newest {
            self.older.push_back(old);
        }
        Grown {
            before,
            after: self.allocated,
        }
    }

    /// Segments double, up to a quarter of the window, and not much beyond what is held: a window of ten small messages
    /// should not occupy two segments of 64 KiB.
    fn next_capacity(&self, len: usize) -> usize {
        let oldest = self.older.front().unwrap_or(&self.newest);
        let held = (self.written - oldest.offset) as usize;
        (self.capacity as usize * 2)
            .min((held / 2).next_power_of_two())
            .clamp(SMALLEST, self.largest as usize)
            .max(len)
    }

    /// The segment that holds the message at `position`.
    pub(super) fn find(&self, position: u64) -> Option<&Segment> {
        if position >= self.newest.first {
            return (position < self.next).then_some(&self.newest);
        }
        let after = self
            .older
            .partition_point(|segment| segment.first <= position);
        self.older.get(after.checked_sub(1)?)
    }

    /// The frame of the message at `position`, if it is still here.
    pub(super) fn message(&self, position: u64) -> Option<&[u8]> {
        let segment = self.find(position)?;
        let i = (position - segment.first) as usize;
        Some(segment.slice(segment.start(i)..segment.start(i + 1)))
    }

    /// The newest segment; it may be empty.
    pub(super) fn last(&self) -> &Segment {
        &self.newest
    }

    /// The newest message's frame; nothing if there is none.
    pub(super) fn newest(&self) -> &[u8] {
        let last = &self.newest;
        last.slice(last.start(last.len().saturating_sub(1))..last.as_slice().len())
    }

    /// How many bytes of the log come before the message at `position`.
    pub(super) fn offset(&self, position: u64) -> u64 {
        match self.find(position) {
            Some(segment) => {
                segment.offset + segment.start((position - segment.first) as usize) as u64
            }
            None => self.written,
        }
    }

    /// When the message at `position` was published, if it is still here.
    pub(super) fn time(&self, position: u64) -> Option<u64> {
        let segment = self.find(position)?;
        Some(segment.time((position - segment.first) as usize))
    }

    /// Lets go of all before message `begin`, as if it had begun there.
    pub(super) fn begin_at(&mut self, begin: u64) {
        self.begin = self.begin.max(begin);
        self.release(begin);
    }

    /// Lets go of the segments that hold nothing from `tail` on.
    pub(super) fn release(&mut self, tail: u64) {
        while let Some(first) = self.older.front()
            && first.next() <= tail
        {
            self.allocated -= first.allocated();
            self.older.pop_front();
        }
        if self.older.is_empty() && self.next <= tail {
            self.allocated = 0;
            self.newest = Segment::none(self.next, self.written);
        }
        if self.older.len() * 4 < self.older.capacity() {
            self.older.shrink_to(self.older.len() * 2);
        }
    }

    /// Lets go of all, and leaves the next position out.
    pub(super) fn skip(&mut self) {
        self.release(self.next);
        self.next += 1;
        self.begin = self.next;
        self.newest = Segment::none(self.next, self.written);
    }

    /// The segment that goes first; none if nothing is held.
    pub(super) fn oldest(&self) -> Option<&Segment> {
        match self.older.front() {
            None if self.newest.len() == 0 => None,
            None => Some(&self.newest),
            oldest => oldest,
        }
    }

    /// Whether it has a segment besides the newest.
    pub(super) fn has_older(&self) -> bool {
        !self.older.is_empty()
    }

    /// Bytes of memory that it takes at the moment, indexes included.
    pub(super) fn allocated(&self) -> usize {
        self.allocated
    }
}
