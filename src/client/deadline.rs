//! Deadlines, for timeouts of any length.

use std::time::{Duration, Instant};

/// A hundred years: longer than any process, and within what every system's clock can tell.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The moment that is `wait` after `now`. A program that wants no timeout says [`Duration::MAX`], which is more than an
/// [`Instant`] holds: then it is one that never comes.
pub(super) fn after(now: Instant, wait: Duration) -> Instant {
    now + wait.min(FOR_EVER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_as_far_off_as_it_should_be_and_no_wait_is_too_long() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        assert_eq!(after(now, second), now + second);
        assert_eq!(after(now, Duration::MAX), now + FOR_EVER);
        assert_eq!(after(now, Duration::ZERO), now);
    }
}
