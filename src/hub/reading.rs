//! Which log a subscription reads from, and how far.

use super::cursor::Sub;
use super::log::Log;
use super::slot::{DerivedLogs, Slot};

/// A channel's logs, apart from its subscribers: so that a walk over these can read from those.
#[derive(Clone, Copy)]
pub(super) struct Logs<'c> {
    pub(super) base: &'c Log,
    pub(super) derived: Option<&'c DerivedLogs>,
    pub(super) tail: u64,
}

/// The log that a subscription reads its next message from.
#[derive(Clone, Copy)]
pub(super) struct Reading<'c> {
    pub(super) log: &'c Log,
    pub(super) slot: Slot,
    /// The position up to which it reads that log.
    pub(super) until: u64,
    /// The log is the base log, and its frames have to be encoded for this reader alone.
    pub(super) is_private: bool,
}

/// All that a subscription is behind, in one piece.
#[derive(Clone, Copy, Default)]
pub(super) struct Whole<'c> {
    pub(super) bytes: &'c [u8],
    /// The position after the last message.
    pub(super) until: u64,
    /// Whose log it is from.
    pub(super) slot: Slot,
}

impl<'c> Logs<'c> {
    /// The log that `sub` reads its next message from.
    #[inline]
    pub(super) fn reading(self, sub: Sub) -> Reading<'c> {
        let slot = sub.slot();
        if slot != Slot::BASE {
            return self.reading_derived(slot, sub.next);
        }
        Reading {
            log: self.base,
            slot,
            until: self.base.next(),
            is_private: false,
        }
    }

    fn reading_derived(self, slot: Slot, next: u64) -> Reading<'c> {
        let derived = self.derived.and_then(|logs| logs.find(slot));
        match derived {
            Some(derived) if next >= derived.log.begin => Reading {
                log: &derived.log,
                slot,
                until: derived.log.next(),
                is_private: false,
            },
            _ => Reading {
                log: self.base,
                slot: Slot::BASE,
                until: derived.map_or(self.base.next(), |derived| derived.log.begin),
                is_private: derived.is_none_or(|derived| !derived.falls_back),
            },
        }
    }

    /// Everything that `sub` is behind, if it is in the newest segment of one log.
    #[inline]
    pub(super) fn whole(self, sub: Sub) -> Option<Whole<'c>> {
        let Reading {
            log,
            slot,
            until,
            is_private,
        } = self.reading(sub);
        let segment = log.last();
        let from = sub.next.wrapping_sub(segment.first) as usize;
        let newest = sub.next >= segment.first && until == segment.next();
        if from >= segment.len() || !newest || is_private || sub.next < self.tail {
            return None;
        }
        Some(Whole {
            bytes: segment.from(from),
            until,
            slot,
        })
    }
}
