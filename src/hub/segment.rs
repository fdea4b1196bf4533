//! A run of a log's messages in one piece of memory.

use std::ops::Range;
use std::rc::Rc;

/// A frame longer than this has a segment of its own, so that its rest can be held by reference after a short write.
pub(super) const LONG: usize = 4096;
/// The most entries that an index is made with. One tiny frame says little about those that follow, and it doubles by itself.
const MOST_ENTRIES: usize = 512;

/// Where a message ends in its segment's bytes, and when it was published.
#[derive(Clone, Copy, Debug)]
struct Entry {
    end: u32,
    /// Milliseconds after the segment's first message.
    time: u32,
}

#[derive(Debug)]
enum Bytes {
    /// Frames up to [`LONG`] each; never reallocated, since a segment is given its capacity at birth.
    Short(Vec<u8>),
    /// One frame over [`LONG`], which a connection may still hold after the log has let go of it.
    Long(Rc<Vec<u8>>),
}

/// Consecutive messages, their frames one after the other.
#[derive(Debug)]
pub(super) struct Segment {
    /// The position of the first message.
    pub(super) first: u64,
    /// How many bytes of its log came before this segment.
    pub(super) offset: u64,
    /// When the first message was published.
    since: u64,
    bytes: Bytes,
    index: Vec<Entry>,
}

impl Segment {
    /// A segment without room, for a log that holds nothing.
    pub(super) fn none(first: u64, offset: u64) -> Self {
        Self {
            first,
            offset,
            since: 0,
            bytes: Bytes::Short(Vec::new()),
            index: Vec::new(),
        }
    }

    /// An empty segment for frames of about `typical` bytes, `capacity` bytes in all.
    pub(super) fn short(
        first: u64,
        offset: u64,
        now: u64,
        capacity: usize,
        typical: usize,
    ) -> Self {
        Self {
            first,
            offset,
            since: now,
            bytes: Bytes::Short(Vec::with_capacity(capacity)),
            index: Vec::with_capacity(entries_for(capacity, typical)),
        }
    }

    /// The segment of one frame over [`LONG`].
    pub(super) fn long(first: u64, offset: u64, now: u64, frame: Vec<u8>) -> Self {
        Self {
            first,
            offset,
            since: now,
            index: vec![Entry {
                end: end_of(&frame),
                time: 0,
            }],
            bytes: Bytes::Long(Rc::new(frame)),
        }
    }

    /// Whether a frame of `len` bytes published at `now` goes here.
    pub(super) fn fits(&self, len: usize, now: u64) -> bool {
        match &self.bytes {
            Bytes::Short(bytes) => {
                len <= bytes.capacity() - bytes.len()
                    && now.saturating_sub(self.since) <= u64::from(u32::MAX)
            }
            Bytes::Long(_) => false,
        }
    }

    /// Appends the frame that `write` writes; says whether that took memory. The segment of a long frame takes no second one.
    pub(super) fn append(&mut self, now: u64, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let Bytes::Short(bytes) = &mut self.bytes else {
            return false;
        };
        let before = (bytes.capacity(), self.index.capacity());
        write(bytes);
        self.index.push(Entry {
            end: end_of(bytes),
            time: now.saturating_sub(self.since) as u32,
        });
        (bytes.capacity(), self.index.capacity()) != before
    }

    /// How many bytes more its index takes once it holds another message: it doubles when it is full.
    pub(super) fn index_growth(&self) -> usize {
        match (self.index.len(), self.index.capacity()) {
            (len, capacity) if len < capacity => 0,
            // A `Vec` begins with room for four.
            (_, capacity) => {
                (capacity * 2).max(4) * size_of::<Entry>() - capacity * size_of::<Entry>()
            }
        }
    }

    /// How many messages it holds.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// The position after its last message.
    pub(super) fn next(&self) -> u64 {
        self.first + self.index.len() as u64
    }

    /// Where its `i`th message begins in its bytes; the end of the bytes if there is none such.
    pub(super) fn start(&self, i: usize) -> usize {
        if i == 0 {
            return 0;
        }
        match self.index.get(i - 1) {
            Some(entry) => entry.end as usize,
            None => self.as_slice().len(),
        }
    }

    /// When its `i`th message was published; the present end of time if there is none such.
    pub(super) fn time(&self, i: usize) -> u64 {
        match self.index.get(i) {
            Some(entry) => self.since + u64::from(entry.time),
            None => u64::MAX,
        }
    }

    /// When its newest message was published; the present end of time if it is empty.
    pub(super) fn newest_time(&self) -> u64 {
        match self.index.last() {
            Some(entry) => self.since + u64::from(entry.time),
            None => u64::MAX,
        }
    }

    /// The first message, at `from` or later, that ends after `offset`.
    pub(super) fn message_at(&self, from: usize, offset: usize) -> usize {
        let tail = self.index.get(from..).unwrap_or(&[]);
        from + tail.partition_point(|entry| entry.end as usize <= offset)
    }

    /// The first message, at `from` or later, for which `drop` does not hold; it must hold for none after that.
    pub(super) fn first_kept(&self, from: usize, drop: impl Fn(usize) -> bool) -> usize {
        // Mostly little goes: find the end in growing steps before halving.
        let (mut low, mut high, mut step) = (from, self.index.len(), 1);
        while low + step < high {
            if !drop(low + step - 1) {
                high = low + step - 1;
                break;
            }
            low += step;
            step *= 2;
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if drop(middle) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// All its frames.
    pub(super) fn as_slice(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Short(bytes) => bytes,
            Bytes::Long(bytes) => bytes,
        }
    }

    /// A reference to the frame of a long segment that outlives it.
    pub(super) fn share(&self) -> Option<Rc<Vec<u8>>> {
        match &self.bytes {
            Bytes::Short(_) => None,
            Bytes::Long(bytes) => Some(Rc::clone(bytes)),
        }
    }

    /// The frames of message `i` and all after it.
    // Always inlined, since it is part of every visit, and a call costs more than what it does.
    #[inline(always)]
    pub(super) fn from(&self, i: usize) -> &[u8] {
        let bytes = self.as_slice();
        bytes.get(self.start(i)..).unwrap_or(&[])
    }

    /// The frames in `range`; nothing if it reaches beyond them.
    pub(super) fn slice(&self, range: Range<usize>) -> &[u8] {
        self.as_slice().get(range).unwrap_or(&[])
    }

    /// What it costs in memory, index and itself included.
    pub(super) fn allocated(&self) -> usize {
        let bytes = match &self.bytes {
            Bytes::Short(bytes) => bytes.capacity(),
            Bytes::Long(bytes) => bytes.capacity(),
        };
        if bytes == 0 {
            return 0;
        }
        cost(bytes, self.index.capacity())
    }
}

/// How many entries the index of a new segment has room for.
pub(super) fn entries_for(capacity: usize, typical: usize) -> usize {
    (capacity / typical.max(1)).clamp(1, MOST_ENTRIES)
}

/// What a segment of `bytes` bytes and `entries` messages costs in memory.
pub(super) fn cost(bytes: usize, entries: usize) -> usize {
    bytes + entries * size_of::<Entry>() + size_of::<Segment>()
}

/// The end of the newest frame. Publishing refuses frames over `u32::MAX`, and a segment of several has 64 KiB at most.
fn end_of(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}
