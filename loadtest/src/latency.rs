//! Latencies: from the moment a message was (to be) sent to the moment a subscriber had it.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// The shortest and the longest latency that are told apart, in nanoseconds.
const SHORTEST_NS: u64 = 1_000;
const LONGEST_NS: u64 = 120_000_000_000;

/// A distribution of latencies, exact to 0.1 %.
pub(crate) struct Latencies(Histogram<u64>);

/// What is reported of a distribution, in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Quantiles {
    /// How many were measured.
    pub(crate) count: u64,
    /// Half were at most this.
    pub(crate) p50_ms: f64,
    /// Nine in ten were at most this.
    pub(crate) p90_ms: f64,
    /// 99 in 100 were at most this.
    pub(crate) p99_ms: f64,
    /// 999 in 1,000 were at most this.
    pub(crate) p999_ms: f64,
    /// The longest.
    pub(crate) max_ms: f64,
    /// Points of the whole distribution for the chart: (share at most, milliseconds).
    pub(crate) curve: Vec<(f64, f64)>,
}

impl Latencies {
    /// An empty distribution.
    pub(crate) fn new() -> Self {
        // The bounds are constants that hdrhistogram accepts.
        Self(
            Histogram::new_with_bounds(SHORTEST_NS, LONGEST_NS, 3)
                .expect("constant bounds are valid"),
        )
    }

    /// Counts `count` messages of one latency.
    #[inline]
    pub(crate) fn record(&mut self, latency_ns: u64, count: u64) {
        self.0
            .saturating_record_n(latency_ns.max(SHORTEST_NS), count);
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.0.reset();
    }

    /// What is reported of it.
    pub(crate) fn quantiles(&self) -> Quantiles {
        let at = |share: f64| self.0.value_at_quantile(share) as f64 / 1e6;
        // Ever closer to 1 in steps of equal width on the chart's axis, as far as there are samples.
        let nines = (self.0.len().max(1) as f64).log10();
        let curve = (0..=60)
            .map(|step| nines * f64::from(step) / 60.0)
            .map(|nines| 1.0 - 10f64.powf(-nines))
            .map(|share| (share, at(share)))
            .collect();
        Quantiles {
            count: self.0.len(),
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: if self.0.is_empty() {
                0.0
            } else {
                self.0.max() as f64 / 1e6
            },
            curve,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_what_was_recorded() {
        let mut latencies = Latencies::new();
        latencies.record(1_000_000, 99);
        latencies.record(50_000_000, 1);
        let quantiles = latencies.quantiles();
        assert_eq!(quantiles.count, 100);
        assert!((quantiles.p50_ms - 1.0).abs() < 0.01);
        assert!((quantiles.max_ms - 50.0).abs() < 0.1);
    }
}
