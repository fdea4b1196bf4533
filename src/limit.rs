//! The most that there may be of something, or no limit.

use std::fmt;

/// The most that there may be of something: bytes, things, milliseconds. Or there is no limit.
///
/// Where a person writes it as a number, 0 stands for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Limit(u64);

impl Limit {
    /// Any amount is within it, and it is greater than any other.
    pub const NONE: Limit = Limit(u64::MAX);

    /// At most so much. 0 allows nothing.
    pub const fn of(most: u64) -> Limit {
        Limit(most)
    }

    /// Whether there is none.
    pub const fn is_none(self) -> bool {
        self.0 == u64::MAX
    }

    /// The limit as a number, if there is one.
    pub fn get(self) -> Option<u64> {
        (!self.is_none()).then_some(self.0)
    }

    /// Whether there may be so much.
    #[inline]
    pub const fn admits(self, amount: u64) -> bool {
        amount <= self.0
    }

    /// Whether there may be so many bytes or things of the memory's.
    #[inline]
    pub const fn admits_size(self, amount: usize) -> bool {
        // A size has no more bits than that.
        self.admits(amount as u64)
    }

    /// What may still be added to `amount`. Without a limit it is as much as a size can say.
    pub fn left(self, amount: usize) -> usize {
        usize::try_from(self.0.saturating_sub(amount as u64)).unwrap_or(usize::MAX)
    }

    /// The time at which a limit on a span ends that began at `since`: `u64::MAX` without a limit.
    #[inline]
    pub const fn after(self, since: u64) -> u64 {
        since.saturating_add(self.0)
    }
}

/// As a person writes it: 0 stands for no limit.
impl From<u64> for Limit {
    fn from(number: u64) -> Limit {
        match number {
            0 => Limit::NONE,
            most => Limit(most),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.get() {
            Some(most) => most.fmt(f),
            None => f.write_str("no limit"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_admits_what_is_not_above_it_and_none_admits_everything() {
        let limits = [(Limit::of(0), 0), (Limit::of(7), 7), (7.into(), 7)];
        for (limit, most) in limits {
            assert!(limit.admits(most) && !limit.admits(most + 1));
            assert_eq!((limit.get(), limit.after(100)), (Some(most), 100 + most));
            assert!(limit < Limit::NONE);
        }
        for none in [Limit::NONE, 0.into()] {
            assert!(none.admits(u64::MAX) && none.admits_size(usize::MAX));
            assert_eq!((none.get(), none.after(100)), (None, u64::MAX));
            assert_eq!(
                (none.left(5), none.to_string()),
                (usize::MAX - 5, "no limit".into())
            );
        }
        assert_eq!((Limit::of(7).left(5), Limit::of(7).left(9)), (2, 0));
    }
}
