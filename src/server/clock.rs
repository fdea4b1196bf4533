//! The daemon's time: it passes only while the loop turns.
//!
//! Every deadline of a client is a time during which the daemon could have read what the client
//! sent. When the process is stopped (SIGSTOP, a debugger, a machine that swaps), it cannot read,
//! so that time must not count. The kernel's monotonic clock leaves out a suspended machine; this
//! one leaves out a stopped process as well.

use std::time::{Duration, Instant};

use super::timers::Millis;

/// A turn that begins later than planned by less than this was merely a busy one. Its lateness
/// counts.
const STALL: Duration = Duration::from_millis(250);

/// Counts milliseconds since the start, less what was lost by stalls.
#[derive(Debug)]
pub(super) struct Clock {
    started: Instant,
    /// The time since `started` as of the last turn.
    last: Duration,
    /// The sum of all stalls.
    lost: Duration,
}

impl Clock {
    pub(super) fn new() -> Self {
        Clock {
            started: Instant::now(),
            last: Duration::ZERO,
            lost: Duration::ZERO,
        }
    }

    /// Begins a turn, for which the poll was to wait for up to `planned` (`None`: for any time). Says
    /// whether it begins so late that the loop must have been stalled.
    pub(super) fn begin_turn(&mut self, planned: Option<Duration>) -> bool {
        self.turn_at(self.started.elapsed(), planned)
    }

    fn turn_at(&mut self, elapsed: Duration, planned: Option<Duration>) -> bool {
        let took = elapsed.saturating_sub(self.last);
        self.last = elapsed;
        let late = planned.map_or(Duration::ZERO, |planned| took.saturating_sub(planned));
        let stalled = late >= STALL;
        if stalled {
            self.lost += late;
        }
        stalled
    }

    /// The time as of the beginning of this turn.
    pub(super) fn turn(&self) -> Millis {
        Self::millis(self.last.saturating_sub(self.lost))
    }

    /// The time now.
    pub(super) fn now(&self) -> Millis {
        Self::millis(self.started.elapsed().saturating_sub(self.lost))
    }

    /// The time since the start, stalls included.
    pub(super) fn since_start(&self) -> Duration {
        self.started.elapsed()
    }

    fn millis(time: Duration) -> Millis {
        // 2^64 milliseconds are more than a process lives.
        time.as_millis() as Millis
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn time_during_which_the_process_was_stopped_does_not_pass() {
        let mut clock = Clock::new();
        assert!(!clock.turn_at(1_000 * MS, Some(1_000 * MS)));
        assert_eq!(clock.turn(), 1_000);
        // Stopped for 5 s in a wait of 20 ms, and then for 3 s within a turn.
        assert!(clock.turn_at(6_020 * MS, Some(20 * MS)));
        assert_eq!(clock.turn(), 1_020);
        assert!(clock.turn_at(9_020 * MS, Some(Duration::ZERO)));
        assert_eq!(clock.turn(), 1_020);
        assert!(!clock.turn_at(9_030 * MS, Some(20 * MS)));
        assert_eq!(clock.turn(), 1_030);
    }

    #[test]
    fn busy_turns_and_waits_without_an_end_count() {
        let mut clock = Clock::new();
        for turn in 1..=100 {
            assert!(!clock.turn_at(200 * turn * MS, Some(Duration::ZERO)));
        }
        assert_eq!(clock.turn(), 20_000);
        assert!(!clock.turn_at(90_000 * MS, None));
        assert_eq!(clock.turn(), 90_000);
    }
}
