//! What all connections together hold of the daemon's memory.
//!
//! A charge belongs to its owner: it says how much of a sum is the owner's. It is set anew whenever the owner may
//! have grown or shrunk, and set to nothing when the owner goes. So a sum is always that of its charges.

use super::held::Held;
use super::hoards::Hoards;

/// Bytes that somebody holds, as part of a sum.
#[derive(Debug, Default)]
pub(super) struct Charge(usize);

impl Charge {
    /// From now on the owner holds `bytes`.
    #[inline]
    pub(super) fn set(&mut self, sum: &mut usize, bytes: usize) {
        if bytes != self.0 {
            *sum = *sum - self.0 + bytes;
            self.0 = bytes;
        }
    }

    /// How many bytes it is.
    pub(super) fn bytes(&self) -> usize {
        self.0
    }
}

/// The sums over all connections.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Bytes of memory of input that is half read or waits to be dealt with: `--input-total`.
    pub(super) input: usize,
    /// Bytes of memory that the outboxes take: `--outbox-total`.
    pub(super) outbox: usize,
    /// Log segments that half-sent messages hold by reference: `--held-total`.
    pub(super) held: Held,
    /// The connections that keep much of their input half read.
    pub(super) hoards: Hoards,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_that_of_its_charges_whatever_each_was_before() {
        let mut sum = 0;
        let (mut one, mut other) = (Charge::default(), Charge::default());
        one.set(&mut sum, 100);
        other.set(&mut sum, 50);
        one.set(&mut sum, 30);
        one.set(&mut sum, 30);
        assert_eq!(sum, 80);
        other.set(&mut sum, 0);
        one.set(&mut sum, 0);
        assert_eq!(sum, 0);
    }
}
