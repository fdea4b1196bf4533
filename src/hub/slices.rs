//! What goes into one write.

use std::io::IoSlice;
use std::ops::Range;

use super::segment::Segment;

/// What goes into one write: at most [`Slices::MOST`] slices and [`Slices::MOST_BYTES`] bytes, but at least one message.
#[derive(Debug)]
pub struct Slices<'a> {
    slices: [IoSlice<'a>; Slices::MOST],
    len: usize,
    bytes: usize,
}

impl<'a> Slices<'a> {
    /// How many slices a write takes at most.
    pub const MOST: usize = 64;
    /// How many bytes a write takes, unless a single message is longer.
    pub const MOST_BYTES: usize = 256 * 1024;

    /// None yet. What a connection has to send of its own goes in first.
    pub fn new() -> Self {
        Self {
            slices: [IoSlice::new(&[]); Self::MOST],
            len: 0,
            bytes: 0,
        }
    }

    /// Adds `bytes`; false if there is no place left. An empty slice takes none.
    pub fn push(&mut self, bytes: &'a [u8]) -> bool {
        if bytes.is_empty() {
            return true;
        }
        let Some(place) = self.slices.get_mut(self.len) else {
            return false;
        };
        *place = IoSlice::new(bytes);
        self.len += 1;
        self.bytes += bytes.len();
        true
    }

    /// The slices, in order.
    pub fn as_slice(&self) -> &[IoSlice<'a>] {
        &self.slices[..self.len]
    }

    /// How many slices there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many bytes they have together.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a slice of `bytes` bytes still goes in.
    pub(super) fn fits(&self, bytes: usize) -> bool {
        let room = Self::MOST_BYTES.saturating_sub(self.bytes);
        self.len == 0 || (self.len < Self::MOST && bytes <= room)
    }

    /// Which messages of `segment`, from `next` on and before `until`, still go in: the position after them and their bytes.
    pub(super) fn choose(
        &self,
        segment: &Segment,
        next: u64,
        until: u64,
    ) -> Option<(u64, Range<usize>)> {
        if self.len == Self::MOST {
            return None;
        }
        let from = next.checked_sub(segment.first)? as usize;
        let mut to = (until.min(segment.next()) - segment.first) as usize;
        let start = segment.start(from);
        let room = Self::MOST_BYTES.saturating_sub(self.bytes);
        if segment.start(to) - start > room {
            to = segment.message_at(from, start + room);
            if to == from {
                if self.len != 0 {
                    return None;
                }
                to += 1;
            }
        }
        (to > from).then(|| (segment.first + to as u64, start..segment.start(to)))
    }
}

impl Default for Slices<'_> {
    fn default() -> Self {
        Self::new()
    }
}
