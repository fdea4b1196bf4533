//! The checks of passwords, which take too long for the loop.
//!
//! Helper threads check; the loop keeps who waits. A check waits in a [`Queue`] that is bounded and fair by address until a helper is
//! idle. A client that sends the same name and password meanwhile waits for the same check. The outcome is a [`Verdict`], which the
//! connections that wait are told. A password that was right is remembered for a minute ([`Cache`]).
//!
//! What is remembered, and what waits, is known by a keyed hash, whose secret is another in every run of the daemon.
//!
//! After a reload nothing that was found out before counts, and what is under way is checked anew.

mod cache;
mod helpers;
mod queue;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::hash::Hasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use mio::Token;
use siphasher::sip128::{Hasher128, SipHasher13};
use zeroize::Zeroizing;

use self::cache::Cache;
use self::helpers::{Check, Helpers};
use self::queue::Queue;
use super::service::Service;
use super::timers::Millis;
use crate::auth::passwords::{Credentials, Passwords};
use crate::auth::rates::Key;

/// How many connections may wait for checks: each keeps its request.
const WAITING_MAX: usize = 1_024;

/// How many of them may wait for the same name and password: one stranger can send these as often as it likes.
const WAITING_FOR_ONE: usize = 64;

/// A name with a password, as a keyed hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Mark(u128);

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The password is right.
    Right,
    /// It is wrong, or there is no such name.
    Wrong,
    /// It was not checked, since too many wait.
    Crowded,
}

/// What a connection is told that waited for a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    mark: Mark,
    outcome: Outcome,
    /// How many reloads there had been.
    reloads: u32,
}

/// What is known of a name and a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// This.
    Known(Outcome),
    /// Nothing yet: the connection is told the verdict on this mark.
    Waits(Mark),
}

/// Where a connection comes from, for what is shared out by address. The clients of unix sockets have no address, and are one.
type Source = Option<Key>;

/// A check that waits or is under way.
struct Job {
    credentials: Credentials,
    source: Source,
    /// The connections that wait for it, each once.
    waiting: Vec<Token>,
    is_running: bool,
}

impl Service {
    /// These names with passwords hold from now on; `None`: no passwords are taken.
    pub(super) fn take_passwords(&mut self, passwords: Option<Arc<Passwords>>) {
        self.checks.reload(passwords.clone());
        self.gate.take_passwords(passwords);
    }
}

/// All checks.
pub(super) struct Checks {
    passwords: Option<Arc<Passwords>>,
    reloads: u32,
    secret: [u8; 16],
    jobs: HashMap<Mark, Job, RandomState>,
    /// The jobs that are not running.
    queue: Queue,
    /// How many connections wait.
    waiting: usize,
    cache: Cache,
    helpers: Helpers,
    /// Verdicts that connections have not been told yet.
    done: VecDeque<(Token, Verdict)>,
}

impl Checks {
    /// With no passwords yet. `secret` is random.
    pub(super) fn new(secret: [u8; 16]) -> Self {
        Checks {
            passwords: None,
            reloads: 0,
            secret,
            jobs: HashMap::default(),
            queue: Queue::default(),
            waiting: 0,
            cache: Cache::default(),
            helpers: Helpers::None,
            done: VecDeque::new(),
        }
    }

    /// Starts the threads that check, if they do not run. `wake` is called from them when there is something to
    /// [`collect`](Self::collect).
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(&mut self, wake: impl Fn() + Send + Sync + 'static) -> Result<(), String> {
        match self.helpers {
            Helpers::None => {
                let threads = helpers::Threads::start(wake);
                let threads = threads.map_err(|error| {
                    format!("no thread can be started to check passwords: {error}")
                })?;
                self.helpers = Helpers::Threads(threads);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// These passwords hold from now on. What was found out before is forgotten.
    pub(super) fn reload(&mut self, passwords: Option<Arc<Passwords>>) {
        self.passwords = passwords;
        self.reloads = self.reloads.wrapping_add(1);
        self.cache.clear();
        if self.passwords.is_some() {
            return;
        }
        self.queue = Queue::default();
        let jobs: Vec<Mark> = self.jobs.keys().copied().collect();
        for mark in jobs {
            self.conclude(mark, Outcome::Wrong);
        }
    }

    fn mark(&self, credentials: &Credentials) -> Mark {
        let mut hasher = SipHasher13::new_with_key(&self.secret);
        for part in [credentials.name.as_bytes(), &credentials.password] {
            hasher.write_usize(part.len());
            hasher.write(part);
        }
        Mark(hasher.finish128().as_u128())
    }

    /// Whether a password is right. `told` is the verdict that the connection was told for this request, if it was told one.
    pub(super) fn ask(
        &mut self,
        token: Token,
        source: Source,
        credentials: Credentials,
        told: Option<Verdict>,
        now: Millis,
    ) -> Asked {
        let mark = self.mark(&credentials);
        if let Some(told) = told
            && (told.mark, told.reloads) == (mark, self.reloads)
        {
            return Asked::Known(told.outcome);
        }
        if self.cache.has(mark, now) {
            return Asked::Known(Outcome::Right);
        }
        if self.passwords.is_none() {
            return Asked::Known(Outcome::Wrong);
        }
        if self.waiting >= WAITING_MAX {
            return Asked::Known(Outcome::Crowded);
        }
        if let Some(job) = self.jobs.get_mut(&mark) {
            if job.waiting.len() >= WAITING_FOR_ONE {
                return Asked::Known(Outcome::Crowded);
            }
            job.waiting.push(token);
        } else {
            match self.queue.push(source, mark) {
                Err(queue::Full) => return Asked::Known(Outcome::Crowded),
                Ok(None) => {}
                // It is of another source, which has more than this one.
                Ok(Some(gives_way)) => self.conclude(gives_way, Outcome::Crowded),
            }
            let job = Job {
                credentials,
                source,
                waiting: vec![token],
                is_running: false,
            };
            self.jobs.insert(mark, job);
        }
        self.waiting += 1;
        self.give_out();
        Asked::Waits(mark)
    }

    /// A connection waits no longer. A check that nobody waits for is not made, if it has not begun.
    pub(super) fn give_up(&mut self, token: Token, mark: Mark) {
        let Some(job) = self.jobs.get_mut(&mark) else {
            return;
        };
        let Some(at) = job.waiting.iter().position(|waits| *waits == token) else {
            return;
        };
        job.waiting.swap_remove(at);
        self.waiting -= 1;
        if job.waiting.is_empty() && !job.is_running {
            self.queue.remove(job.source, mark);
            self.jobs.remove(&mark);
        }
    }

    /// Takes what the threads have found out.
    pub(super) fn collect(&mut self, now: Millis) {
        while let Some(checked) = self.helpers.next_checked() {
            self.finish(&checked, now);
        }
    }

    fn finish(&mut self, checked: &helpers::Checked, now: Millis) {
        self.helpers.be_idle();
        if checked.reloads != self.reloads {
            self.make_again(checked.mark);
        } else if self.jobs.contains_key(&checked.mark) {
            let outcome = match checked.is_right {
                true => Outcome::Right,
                false => Outcome::Wrong,
            };
            if checked.is_right {
                self.cache.put(checked.mark, now);
            }
            self.conclude(checked.mark, outcome);
        }
        self.give_out();
    }

    /// A check was made with passwords that do not hold any more: makes it again, if anybody waits for it.
    fn make_again(&mut self, mark: Mark) {
        match self.jobs.get(&mark) {
            // One that is not running is another one, which has its turn.
            Some(job) if job.is_running && job.waiting.is_empty() => {
                self.jobs.remove(&mark);
            }
            Some(job) if job.is_running => self.give(mark),
            _ => {}
        }
    }

    /// Tells everybody who waits for a check how it ended.
    fn conclude(&mut self, mark: Mark, outcome: Outcome) {
        let Some(job) = self.jobs.remove(&mark) else {
            return;
        };
        self.waiting -= job.waiting.len();
        let verdict = Verdict {
            mark,
            outcome,
            reloads: self.reloads,
        };
        let told = job.waiting.into_iter().map(|token| (token, verdict));
        self.done.extend(told);
    }

    /// Gives idle helpers what waits.
    fn give_out(&mut self) {
        while self.helpers.has_idle()
            && let Some(mark) = self.queue.pop()
        {
            self.give(mark);
        }
    }

    fn give(&mut self, mark: Mark) {
        let (Some(job), Some(passwords)) = (self.jobs.get_mut(&mark), &self.passwords) else {
            return;
        };
        job.is_running = true;
        let check = Check {
            mark,
            reloads: self.reloads,
            name: job.credentials.name.clone(),
            password: Zeroizing::clone(&job.credentials.password),
            passwords: Arc::clone(passwords),
        };
        self.helpers.give(check);
    }

    /// The next verdict, and the connection that is to be told.
    pub(super) fn next_told(&mut self) -> Option<(Token, Verdict)> {
        self.done.pop_front()
    }

    /// Whether there are verdicts to be told.
    pub(super) fn has_told(&self) -> bool {
        !self.done.is_empty()
    }

    /// For simulations: no thread checks, and [`Checks::check_by_hand`] does.
    #[cfg(test)]
    pub(super) fn be_driven_by_hand(&mut self, helpers: usize) {
        self.helpers = Helpers::ByHand {
            given: VecDeque::new(),
            idle: helpers,
        };
    }

    /// For simulations: makes the check that was given out first. Says of which name.
    #[cfg(test)]
    pub(super) fn check_by_hand(&mut self, now: Millis) -> Option<Box<str>> {
        let Helpers::ByHand { given, .. } = &mut self.helpers else {
            return None;
        };
        let check = given.pop_front()?;
        let checked = check.make();
        self.finish(&checked, now);
        Some(check.name)
    }
}
