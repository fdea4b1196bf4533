//! When to look at which connection again.
//!
//! A connection has several deadlines (ping, stall, handshake, …), most of which move with every
//! byte. So the queue holds one entry a connection, for the earliest moment at which one of them
//! *could* be due; when it comes, the connection says whether anything is due or when to look
//! again. Reads and writes therefore never touch the queue.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use mio::Token;

/// Milliseconds since the server started.
pub(super) type Millis = u64;

/// "Never": no look is due.
pub(super) const NEVER: Millis = Millis::MAX;

/// A queue of moments at which a connection wants to be looked at.
#[derive(Debug, Default)]
pub(super) struct Timers {
    queue: BinaryHeap<Reverse<(Millis, usize)>>,
    /// How many entries were left by the last [`clear_away`](Self::clear_away).
    kept: usize,
}

/// The queue is not searched for superseded entries before it has this many more than the last search kept.
const SUPERSEDED_MIN: usize = 1024;

impl Timers {
    /// Asks for a look at `at`; one that would never come is not kept. An earlier entry of the same
    /// connection stays in the queue and is told from this one by its time (see
    /// [`pop_due`](Self::pop_due)).
    pub(super) fn push(&mut self, at: Millis, token: Token) {
        if at != NEVER {
            self.queue.push(Reverse((at, token.0)));
        }
    }

    /// The next entry that is due by `now`, with the time that it was made for: an entry whose
    /// time is not its connection's current one has been superseded.
    pub(super) fn pop_due(&mut self, now: Millis) -> Option<(Millis, Token)> {
        let Reverse((at, token)) = *self.queue.peek()?;
        if at > now {
            return None;
        }
        self.queue.pop();
        Some((at, Token(token)))
    }

    /// Drops the entries that `is_current` denies, once they may be more than half of all. An entry
    /// outlives its connection until its time comes: with long timeouts and short connections the
    /// queue would otherwise grow with every connection that was ever there.
    pub(super) fn clear_away(&mut self, mut is_current: impl FnMut(Millis, Token) -> bool) {
        if self.queue.len() < 2 * self.kept + SUPERSEDED_MIN {
            return;
        }
        self.queue
            .retain(|&Reverse((at, token))| is_current(at, Token(token)));
        self.kept = self.queue.len();
    }

    /// When the earliest entry is due.
    pub(super) fn next(&self) -> Option<Millis> {
        self.queue.peek().map(|Reverse((at, _))| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_out_in_order_and_not_before_they_are_due() {
        let mut timers = Timers::default();
        timers.push(30, Token(3));
        timers.push(10, Token(1));
        timers.push(20, Token(2));
        assert_eq!(timers.next(), Some(10));
        assert_eq!(timers.pop_due(9), None);
        assert_eq!(timers.pop_due(20), Some((10, Token(1))));
        assert_eq!(timers.pop_due(20), Some((20, Token(2))));
        assert_eq!(timers.pop_due(20), None);
        assert_eq!(timers.next(), Some(30));
    }

    #[test]
    fn entries_of_connections_that_are_gone_do_not_add_up() {
        let mut timers = Timers::default();
        for connection in 0..100_000 {
            timers.push(1_000_000, Token(connection));
            // Ten are there at a time.
            timers.clear_away(|_, token| token.0 + 10 > connection);
            assert!(timers.queue.len() <= SUPERSEDED_MIN + 2 * 10);
        }
        let left: Vec<_> = std::iter::from_fn(|| timers.pop_due(1_000_000)).collect();
        assert!((99_990..100_000).all(|there| left.contains(&(1_000_000, Token(there)))));
    }

    #[test]
    fn a_look_that_would_never_come_takes_no_memory() {
        let mut timers = Timers::default();
        timers.push(NEVER, Token(3));
        assert_eq!(timers.next(), None);
    }
}
