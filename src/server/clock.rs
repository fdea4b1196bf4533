//! The daemon's time: it passes only while the loop turns.
//!
//! Every deadline of a client is a time during which the daemon could have read what the client
//! sent. When the process is stopped (SIGSTOP, a debugger, a machine that swaps), it cannot read,
//! so that time must not count. The kernel's monotonic clock leaves out a suspended machine; this
//! one leaves out a stopped process as well. A turn that takes long because it has much to do is no stop: its time
//! counts, or a client that keeps the daemon busy would put off every deadline.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::timers::Millis;

/// A turn that begins later than planned by less than this was merely a busy one. Its lateness
/// counts.
const STALL: Duration = Duration::from_millis(250);

/// How old the last look at the processor's time may be. A look is a system call.
const LOOK: Duration = Duration::from_millis(50);

/// Counts milliseconds since the start, less what was lost by stalls.
#[derive(Debug)]
pub(super) struct Clock {
    started: Instant,
    /// The time that it was at the start, which may be so much before 0.
    base: Millis,
    /// The time since `started` as of the last turn.
    last: Duration,
    /// The sum of all stalls.
    lost: Duration,
    /// When the processor's time was last looked at, and what it was.
    looked_at: Duration,
    worked: Duration,
}

impl Clock {
    pub(super) fn new() -> Self {
        Clock {
            started: Instant::now(),
            base: 0,
            last: Duration::ZERO,
            lost: Duration::ZERO,
            looked_at: Duration::ZERO,
            worked: worked(),
        }
    }

    /// Begins a turn, for which the poll was to wait for up to `planned` (`None`: for any time). Says
    /// whether it begins so late that input may have come in the meantime which nobody knows of.
    pub(super) fn begin_turn(&mut self, planned: Option<Duration>) -> bool {
        self.turn_at(self.started.elapsed(), planned, worked)
    }

    fn turn_at(
        &mut self,
        elapsed: Duration,
        planned: Option<Duration>,
        worked: impl FnOnce() -> Duration,
    ) -> bool {
        let took = elapsed.saturating_sub(self.last);
        self.last = elapsed;
        let late = planned.map_or(Duration::ZERO, |planned| took.saturating_sub(planned));
        let is_late = late >= STALL;
        if is_late || elapsed.saturating_sub(self.looked_at) >= LOOK {
            let before = std::mem::replace(&mut self.worked, worked());
            self.looked_at = elapsed;
            // Some of that work may be of the turn before. It is little.
            let idle = late.saturating_sub(self.worked.saturating_sub(before));
            if is_late && idle >= STALL {
                self.lost += idle;
            }
        }
        is_late
    }

    /// The time as of the beginning of this turn.
    pub(super) fn turn(&self) -> Millis {
        self.base
            .wrapping_add(Self::millis(self.last.saturating_sub(self.lost)))
    }

    /// The time now.
    pub(super) fn now(&self) -> Millis {
        let since = self.started.elapsed().saturating_sub(self.lost);
        self.base.wrapping_add(Self::millis(since))
    }

    /// It is `now`, as in the process that this one takes over from. Whatever passed until now is no stop.
    pub(super) fn set(&mut self, now: Millis) {
        self.last = self.started.elapsed();
        self.lost = Duration::ZERO;
        self.base = now.wrapping_sub(Self::millis(self.last));
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

/// The time for which this thread has had a processor.
fn worked() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn time_during_which_the_process_was_stopped_does_not_pass() {
        let mut clock = Clock::new();
        clock.worked = Duration::ZERO;
        let worked = || Duration::ZERO;
        assert!(!clock.turn_at(1_000 * MS, Some(1_000 * MS), worked));
        assert_eq!(clock.turn(), 1_000);
        // Stopped for 5 s in a wait of 20 ms, and then for 3 s within a turn.
        assert!(clock.turn_at(6_020 * MS, Some(20 * MS), worked));
        assert_eq!(clock.turn(), 1_020);
        assert!(clock.turn_at(9_020 * MS, Some(Duration::ZERO), worked));
        assert_eq!(clock.turn(), 1_020);
        assert!(!clock.turn_at(9_030 * MS, Some(20 * MS), worked));
        assert_eq!(clock.turn(), 1_030);
    }

    #[test]
    fn busy_turns_and_waits_without_an_end_count() {
        let mut clock = Clock::new();
        clock.worked = Duration::ZERO;
        for turn in 1..=100 {
            assert!(!clock.turn_at(200 * turn * MS, Some(Duration::ZERO), || 200 * turn * MS));
        }
        assert_eq!(clock.turn(), 20_000);
        assert!(!clock.turn_at(90_000 * MS, None, || 20_000 * MS));
        assert_eq!(clock.turn(), 90_000);
    }

    #[test]
    fn however_long_each_turn_works_time_passes_and_only_the_stops_between_are_left_out() {
        let mut clock = Clock::new();
        clock.worked = Duration::ZERO;
        // Every turn works for 700 ms and is stopped for 1 s.
        for turn in 1..=10 {
            assert!(clock.turn_at(1_700 * turn * MS, Some(Duration::ZERO), || 700 * turn * MS));
            assert_eq!(clock.turn(), 700 * u64::from(turn));
        }
    }
}
