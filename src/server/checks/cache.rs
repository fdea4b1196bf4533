//! Passwords that were found right, for a minute.

use std::collections::{HashSet, VecDeque};

use foldhash::fast::RandomState;

use super::Mark;
use crate::server::timers::Millis;

/// How long one is remembered, in milliseconds.
pub(super) const REMEMBERED_MS: Millis = 60_000;

/// How many are remembered; the oldest is forgotten first.
pub(super) const MOST: usize = 10_000;

/// Those that are remembered.
#[derive(Debug, Default)]
pub(super) struct Cache {
    marks: HashSet<Mark, RandomState>,
    /// The oldest first, and when they were found right.
    order: VecDeque<(Millis, Mark)>,
}

impl Cache {
    /// Whether a password was found right within the last minute.
    pub(super) fn has(&mut self, mark: Mark, now: Millis) -> bool {
        while let Some((since, _)) = self.order.front()
            && since + REMEMBERED_MS <= now
        {
            self.forget_oldest();
        }
        self.marks.contains(&mark)
    }

    /// A password was found right. What is remembered already is so no longer than it was.
    pub(super) fn put(&mut self, mark: Mark, now: Millis) {
        if !self.marks.insert(mark) {
            return;
        }
        self.order.push_back((now, mark));
        if self.order.len() > MOST {
            self.forget_oldest();
        }
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        *self = Cache::default();
    }

    fn forget_oldest(&mut self) {
        if let Some((_, mark)) = self.order.pop_front() {
            self.marks.remove(&mark);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_remembered_for_a_minute_and_not_longer_for_being_used() {
        let mut cache = Cache::default();
        cache.put(Mark(1), 10);
        assert!(cache.has(Mark(1), 10 + REMEMBERED_MS - 1));
        assert!(!cache.has(Mark(2), 10));
        cache.put(Mark(1), 10 + REMEMBERED_MS - 1);
        assert!(!cache.has(Mark(1), 10 + REMEMBERED_MS));
        assert!(cache.marks.is_empty() && cache.order.is_empty());
    }

    #[test]
    fn the_oldest_is_forgotten_first_and_a_reload_forgets_all() {
        let mut cache = Cache::default();
        for mark in 0..MOST as u128 + 1 {
            cache.put(Mark(mark), 0);
        }
        assert!(!cache.has(Mark(0), 0) && cache.has(Mark(1), 0));
        assert_eq!((cache.marks.len(), cache.order.len()), (MOST, MOST));
        cache.clear();
        assert!(!cache.has(Mark(1), 0));
    }
}
