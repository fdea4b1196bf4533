//! A histogram whose bounds are powers of two: to count one takes a few instructions.

use crate::snapshot::{Damaged, Reader, put};

/// How often something had a value from a power of two up to the next.
#[derive(Clone, Debug)]
pub(in crate::server) struct Powers<const N: usize> {
    /// The first counts 0, each other one the values with so many binary digits, and the last those with more, too.
    counts: [u64; N],
    sum: u64,
}

impl<const N: usize> Default for Powers<N> {
    fn default() -> Self {
        Powers {
            counts: [0; N],
            sum: 0,
        }
    }
}

impl<const N: usize> Powers<N> {
    /// Counts a value so many times.
    #[inline]
    pub(in crate::server) fn add(&mut self, value: u64, times: u64) {
        let digits = (u64::BITS - value.leading_zeros()) as usize;
        self.counts[digits.min(N - 1)] += times;
        self.sum = self.sum.wrapping_add(value.wrapping_mul(times));
    }

    /// Appends what it has counted.
    pub(super) fn save(&self, out: &mut Vec<u8>) {
        self.counts.iter().for_each(|count| put(out, *count));
        put(out, self.sum);
    }

    /// Adds what another one has counted, which was [saved](Powers::save).
    ///
    /// # Errors
    /// The bytes make no sense.
    pub(super) fn restore(&mut self, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        for count in self.counts.iter_mut().chain([&mut self.sum]) {
            *count = count.wrapping_add(reader.number()?);
        }
        Ok(())
    }

    /// The sum of all values.
    pub(in crate::server) fn sum(&self) -> u64 {
        self.sum
    }

    /// The greatest value that each counts, and how often there was one of those; the last has no bound.
    pub(in crate::server) fn buckets(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        let counts = self.counts.iter().enumerate();
        counts.map(|(digits, count)| {
            let bound = (digits + 1 < N).then(|| (1u64 << digits.min(63)) - 1);
            (bound, *count)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_counts_below_the_next_power_of_two_and_what_is_too_large_at_the_end() {
        let mut powers = Powers::<5>::default();
        for (value, times) in [
            (0, 1),
            (1, 2),
            (2, 3),
            (3, 4),
            (4, 5),
            (7, 6),
            (8, 7),
            (100, 8),
        ] {
            powers.add(value, times);
        }
        let buckets: Vec<_> = powers.buckets().collect();
        let bounds = [
            (Some(0), 1),
            (Some(1), 2),
            (Some(3), 7),
            (Some(7), 11),
            (None, 15),
        ];
        assert_eq!(buckets, bounds);
        assert_eq!(powers.sum(), 2 + 6 + 12 + 20 + 42 + 56 + 800);
        powers.add(u64::MAX, 1);
        assert_eq!(powers.buckets().last(), Some((None, 16)));
    }
}
