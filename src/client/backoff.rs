//! How long to wait before the next try: exponential backoff with full jitter. Pure: it is told time and randomness.

use std::time::Duration;

/// How a lost connection is made again.
///
/// The wait before try `n` is random between nothing and `first` doubled `n - 1` times, and never over `max`: "full
/// jitter", so that a thousand clients of a server that came back do not all knock at once.
///
/// ```
/// use std::time::Duration;
/// use fanfare::client::Reconnect;
///
/// let patient = Reconnect {
///     max: Duration::from_secs(120),
///     give_up_after: Some(Duration::from_secs(3600)),
///     ..Reconnect::default()
/// };
/// assert_eq!(patient.first, Duration::from_millis(250));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reconnect {
    /// The longest that the first wait can be.
    pub first: Duration,
    /// The longest that any wait can be, but for one that the server asked for.
    pub max: Duration,
    /// How long a connection must have lasted for the next loss to count as a first one. Without it a server
    /// that takes every connection and drops it at once would be knocked at without pause.
    pub settled_after: Duration,
    /// How long a server may keep this client away with `Retry-After`; a longer wish is cut to it.
    pub retry_after_max: Duration,
    /// When nothing has helped for so long, it is given up. `None`: never.
    pub give_up_after: Option<Duration>,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(250),
            max: Duration::from_secs(30),
            settled_after: Duration::from_secs(1),
            retry_after_max: Duration::from_secs(3600),
            give_up_after: None,
        }
    }
}

/// Counts tries and says how long to wait before each.
#[derive(Debug)]
pub(super) struct Backoff {
    policy: Reconnect,
    /// Tries since a connection last settled.
    tries: u32,
}

impl Backoff {
    pub(super) const fn new(policy: Reconnect) -> Self {
        Self { policy, tries: 0 }
    }

    /// A connection that lasted for `lived` was lost. Whether it had settled.
    pub(super) fn lost(&mut self, lived: Duration) -> bool {
        let settled = lived >= self.policy.settled_after;
        if settled {
            self.tries = 0;
        }
        settled
    }

    /// Which try comes next, from 1, and how long to wait before it. `random` must be evenly distributed. `retry_after`
    /// is what the server asked for: the wait is at least that, and the jitter comes on top.
    pub(super) fn next(&mut self, random: u64, retry_after: Option<Duration>) -> (u32, Duration) {
        // 2^32 times any `first` that makes sense is over any `max` that does.
        let ceiling = self
            .policy
            .first
            .saturating_mul(1_u32.checked_shl(self.tries).unwrap_or(u32::MAX))
            .min(self.policy.max);
        self.tries = self.tries.saturating_add(1);
        let nanos = ceiling.as_nanos().min(u128::from(u64::MAX));
        // Under 2^128, as both are under 2^64; and the quotient is at most `nanos`.
        let jitter = Duration::from_nanos(((nanos * u128::from(random)) >> 64) as u64);
        let asked = retry_after
            .unwrap_or_default()
            .min(self.policy.retry_after_max);
        (self.tries, asked.saturating_add(jitter))
    }

    /// Whether to give up, after so long without a connection.
    pub(super) fn is_over(&self, without: Duration) -> bool {
        self.policy
            .give_up_after
            .is_some_and(|limit| without >= limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u64 = u64::MAX;

    fn waits_ms(backoff: &mut Backoff, random: u64, tries: usize) -> Vec<u128> {
        // Rounded up: the largest random number leaves a nanosecond to the ceiling.
        let wait = |wait: Duration| wait.as_nanos().div_ceil(1_000_000);
        std::iter::repeat_with(|| wait(backoff.next(random, None).1))
            .take(tries)
            .collect()
    }

    #[test]
    fn the_longest_possible_wait_doubles_up_to_its_bound() {
        let mut backoff = Backoff::new(Reconnect::default());
        assert_eq!(
            waits_ms(&mut backoff, MOST, 9),
            [250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]
        );
    }

    #[test]
    fn the_wait_is_anything_from_nothing_to_the_longest() {
        for (random, expected) in [(0, 0), (MOST / 2, 125), (MOST / 4, 63)] {
            let mut backoff = Backoff::new(Reconnect::default());
            assert_eq!(waits_ms(&mut backoff, random, 1), [expected]);
        }
    }

    #[test]
    fn no_number_of_tries_and_no_policy_overflows() {
        let mut backoff = Backoff::new(Reconnect {
            first: Duration::MAX,
            max: Duration::MAX,
            retry_after_max: Duration::MAX,
            ..Reconnect::default()
        });
        for _ in 0..100 {
            backoff.next(MOST, Some(Duration::MAX));
        }
        backoff.tries = u32::MAX;
        assert_eq!(backoff.next(0, None).0, u32::MAX);
    }

    #[test]
    fn what_the_server_asked_for_is_waited_at_least_with_jitter_on_top() {
        let asked = Duration::from_secs(7);
        let mut backoff = Backoff::new(Reconnect::default());
        assert_eq!(backoff.next(0, Some(asked)), (1, asked));
        let (_, wait) = backoff.next(MOST, Some(asked));
        assert!(wait > asked && wait <= asked + Duration::from_millis(500));
    }

    #[test]
    fn a_server_cannot_keep_clients_away_for_ever() {
        let mut backoff = Backoff::new(Reconnect::default());
        let (_, wait) = backoff.next(0, Some(Duration::from_secs(1_000_000)));
        assert_eq!(wait, Duration::from_secs(3600));
    }

    #[test]
    fn only_a_connection_that_lasted_makes_the_next_loss_a_first_one() {
        let mut backoff = Backoff::new(Reconnect::default());
        waits_ms(&mut backoff, 0, 4);
        backoff.lost(Duration::from_millis(999));
        assert_eq!(backoff.next(0, None).0, 5);
        backoff.lost(Duration::from_secs(1));
        assert_eq!(waits_ms(&mut backoff, MOST, 1), [250]);
    }

    #[test]
    fn it_is_given_up_only_where_a_limit_was_set() {
        let day = Duration::from_secs(86400);
        assert!(!Backoff::new(Reconnect::default()).is_over(day));
        let backoff = Backoff::new(Reconnect {
            give_up_after: Some(day),
            ..Reconnect::default()
        });
        assert!(backoff.is_over(day));
        assert!(!backoff.is_over(day - Duration::from_millis(1)));
    }
}
