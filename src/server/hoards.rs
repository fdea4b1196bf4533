//! Connections that hoard: they keep more of their input half read than everybody may.
//!
//! `--input-total` bounds all half-read input together. The connection that sends the byte over the limit
//! is most likely not the one to blame, so the connections that have hoarded for longest go first: a
//! message that is sent without a pause is over before its connection's turn comes. Input that waits for
//! the daemon itself is no hoard: it is behind other input in the queue, or waits for a channel's sweep.

use std::collections::BTreeSet;

use super::timers::{Millis, NEVER};

/// What every connection may keep half read, in bytes of memory, however much all keep together.
pub(super) const FREE_BYTES: usize = 4 * 1024;

/// The connections that hold more than [`FREE_BYTES`], by the time since when they have.
#[derive(Debug, Default)]
pub(super) struct Hoards {
    by_age: BTreeSet<(Millis, usize)>,
}

impl Hoards {
    /// The connection at `index` has hoarded since `new` ([`NEVER`]: it does not), and since `old` as far as was known.
    pub(super) fn change(&mut self, index: usize, old: Millis, new: Millis) {
        if old != NEVER {
            self.by_age.remove(&(old, index));
        }
        if new != NEVER {
            self.by_age.insert((new, index));
        }
    }

    /// The connection that has hoarded for longest.
    pub(super) fn first_to_go(&self) -> Option<usize> {
        self.by_age.first().map(|&(_, index)| index)
    }

    /// How many hoard.
    pub(super) fn len(&self) -> usize {
        self.by_age.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_has_hoarded_for_longest_goes_first() {
        let mut hoards = Hoards::default();
        hoards.change(7, NEVER, 30);
        hoards.change(8, NEVER, 20);
        hoards.change(9, NEVER, 20);
        assert_eq!((hoards.first_to_go(), hoards.len()), (Some(8), 3));
        // It has begun another message since, and the next has finished its own.
        hoards.change(8, 20, 40);
        hoards.change(9, 20, NEVER);
        assert_eq!((hoards.first_to_go(), hoards.len()), (Some(7), 2));
        hoards.change(7, 30, NEVER);
        hoards.change(8, 40, NEVER);
        assert_eq!((hoards.first_to_go(), hoards.len()), (None, 0));
    }
}
