//! A timer that is finer than the poll's.
//!
//! `epoll_wait` takes whole milliseconds, and a rest between two circles is a few of them at most. So the end of a rest is a
//! `timerfd`'s event.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Instant;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// Wakes the poll at a certain time, once for each time that it is set to.
#[derive(Debug)]
pub(super) struct Alarm {
    timer: OwnedFd,
    /// When it is to go off, or went off last.
    at: Option<Instant>,
}

impl Alarm {
    /// An alarm whose event has this token. It is not set.
    ///
    /// # Errors
    /// If there are as many files open as the process may have.
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Alarm> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        registry.register(&mut SourceFd(&timer.as_raw_fd()), token, Interest::READABLE)?;
        Ok(Alarm { timer, at: None })
    }

    /// Wakes the poll at `at`, which is later than `now`, and not at the time that was set before.
    pub(super) fn set(&mut self, at: Instant, now: Instant) {
        if self.at.replace(at) == Some(at) {
            return;
        }
        let wait = at.saturating_duration_since(now);
        let never = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let once = Itimerspec {
            it_interval: never,
            // Nothing at all would mean never.
            it_value: Timespec {
                tv_sec: wait.as_secs() as i64,
                tv_nsec: i64::from(wait.subsec_nanos().max(1)),
            },
        };
        // It cannot fail: the times are good, and the file is a timer. If it did, the poll's own time would end the wait. It need not
        // be read from: each time that it goes off is an edge.
        let _ = timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mio::{Events, Poll};

    use super::*;

    #[test]
    fn it_wakes_the_poll_once_for_each_time_that_it_is_set() {
        let mut poll = Poll::new().expect("a poll");
        let mut alarm = Alarm::new(poll.registry(), Token(7)).expect("a timer");
        let mut events = Events::with_capacity(4);
        for _ in 0..3 {
            let now = Instant::now();
            for _ in 0..2 {
                alarm.set(now + Duration::from_micros(300), now);
            }
            let patience = Some(Duration::from_secs(20));
            poll.poll(&mut events, patience).expect("it polls");
            let tokens: Vec<_> = events.iter().map(|event| event.token()).collect();
            assert_eq!(tokens, [Token(7)]);
            poll.poll(&mut events, Some(Duration::ZERO))
                .expect("it polls");
            assert!(events.is_empty());
        }
    }
}
