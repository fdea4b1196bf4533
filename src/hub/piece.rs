//! A piece of a write: some messages of one subscription, and what a short write leaves of one.

use std::ops::Range;
use std::rc::Rc;

use super::slot::Slot;
use super::subscriber::Link;

/// The part of a frame that a short write left over. The hub keeps nothing of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remainder {
    /// That of a frame of at most 4 KiB.
    Copied(Vec<u8>),
    /// That of a longer one, which lives as long as somebody holds it.
    Held {
        /// The whole frame.
        segment: Rc<Vec<u8>>,
        /// What is still to be sent.
        range: Range<usize>,
    },
}

impl Remainder {
    /// The bytes still to be sent.
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Copied(bytes) => bytes,
            Self::Held { segment, range } => segment.get(range.clone()).unwrap_or(&[]),
        }
    }
}

/// Consecutive messages of one subscription in one slice.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Piece {
    pub(super) link: Link,
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) bytes: usize,
    /// Whose log it is from.
    pub(super) slot: Slot,
    /// It is from no log: it was made for this subscription alone.
    pub(super) is_rendered: bool,
}
