//! The threads that check passwords.

#[cfg(test)]
use std::collections::VecDeque;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use zeroize::Zeroizing;

use super::Mark;
use crate::auth::passwords::Passwords;

/// How many threads there are at most. What they do with more is taken from the loop.
const THREADS_MAX: usize = 2;

/// How much less the threads matter than the loop, in steps of `nice`.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// A check that is to be made.
pub(super) struct Check {
    pub(super) mark: Mark,
    pub(super) reloads: u32,
    pub(super) name: Box<str>,
    pub(super) password: Zeroizing<Vec<u8>>,
    pub(super) passwords: Arc<Passwords>,
}

impl Check {
    /// Makes it. It takes as long as bcrypt does.
    pub(super) fn make(&self) -> Checked {
        Checked {
            mark: self.mark,
            reloads: self.reloads,
            is_right: self.passwords.check(&self.name, &self.password),
        }
    }
}

/// A check that was made.
pub(super) struct Checked {
    pub(super) mark: Mark,
    /// How many reloads there had been when it was given out.
    pub(super) reloads: u32,
    pub(super) is_right: bool,
}

/// What makes checks.
pub(super) enum Helpers {
    /// Nobody yet.
    None,
    Threads(Threads),
    /// A test.
    #[cfg(test)]
    ByHand {
        given: VecDeque<Check>,
        idle: usize,
    },
}

impl Helpers {
    /// Whether one has nothing to do.
    pub(super) fn has_idle(&self) -> bool {
        match self {
            Helpers::None => false,
            Helpers::Threads(threads) => threads.idle > 0,
            #[cfg(test)]
            Helpers::ByHand { idle, .. } => *idle > 0,
        }
    }

    /// Gives one of them a check.
    pub(super) fn give(&mut self, check: Check) {
        match self {
            Helpers::None => {}
            Helpers::Threads(threads) => {
                threads.idle = threads.idle.saturating_sub(1);
                // The threads end only with this.
                let _ = threads.checks.send(check);
            }
            #[cfg(test)]
            Helpers::ByHand { given, idle } => {
                *idle = idle.saturating_sub(1);
                given.push_back(check);
            }
        }
    }

    /// What one of them has found out, if anything is new.
    pub(super) fn next_checked(&self) -> Option<Checked> {
        match self {
            Helpers::Threads(threads) => threads.checked.try_recv().ok(),
            _ => None,
        }
    }

    /// One of them has made a check, and has nothing to do.
    pub(super) fn be_idle(&mut self) {
        match self {
            Helpers::None => {}
            Helpers::Threads(threads) => threads.idle += 1,
            #[cfg(test)]
            Helpers::ByHand { idle, .. } => *idle += 1,
        }
    }
}

/// Threads, which end when this goes.
pub(super) struct Threads {
    checks: Sender<Check>,
    checked: Receiver<Checked>,
    idle: usize,
}

impl Threads {
    /// Starts them. `wake` is called from them when there is something to take.
    pub(super) fn start(wake: impl Fn() + Send + Sync + 'static) -> io::Result<Threads> {
        Threads::start_with(Check::make, wake)
    }

    /// The same, which make checks by `make`.
    pub(super) fn start_with(
        make: fn(&Check) -> Checked,
        wake: impl Fn() + Send + Sync + 'static,
    ) -> io::Result<Threads> {
        let (checks, given) = mpsc::channel();
        let (found, checked) = mpsc::channel();
        let (given, wake) = (Arc::new(Mutex::new(given)), Arc::new(wake));
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let idle = cores.min(THREADS_MAX);
        for _ in 0..idle {
            let (given, found, wake) = (Arc::clone(&given), found.clone(), Arc::clone(&wake));
            let thread = thread::Builder::new().name("passwords".into());
            thread.spawn(move || run(make, &given, &found, &*wake))?;
        }
        Ok(Threads {
            checks,
            checked,
            idle,
        })
    }
}

/// Makes checks until there will be no more.
fn run(
    make: fn(&Check) -> Checked,
    given: &Mutex<Receiver<Check>>,
    found: &Sender<Checked>,
    wake: &(impl Fn() + ?Sized),
) {
    stand_back();
    loop {
        let next = given.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(check) = next else {
            return;
        };
        // Each client that waits for a check is told something, and the thread goes on, whatever happens in it.
        let made = panic::catch_unwind(AssertUnwindSafe(|| make(&check)));
        let checked = made.unwrap_or_else(|_| {
            log::error!("the check of a password has failed, and the password counts as wrong");
            Checked {
                mark: check.mark,
                reloads: check.reloads,
                is_right: false,
            }
        });
        drop(check);
        if found.send(checked).is_err() {
            return;
        }
        wake();
    }
}

/// Lets the loop go first where there is not enough for all.
fn stand_back() {
    // On Linux this is of the thread alone. Where it is forbidden, things are as they are.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, NICENESS);
}
