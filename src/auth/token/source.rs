//! Keys from a URL, fetched by a thread of their own: an identity provider publishes there which keys sign its tokens now.

mod fetch;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::thread;
use std::time::{Duration, Instant};

use super::jwks;
use super::keys::KeySet;
use crate::words::Shown;
pub use fetch::check_url;

/// How long keys are used before they are fetched again.
const REFRESH: Duration = Duration::from_secs(3600);

/// The least time between the beginnings of two fetches: strangers choose the names of keys in their tokens.
const LEAST: Duration = Duration::from_secs(60);

/// Bytes of an error's text that are logged.
const MAX_ERROR_BYTES: usize = 300;

/// Where keys come from as they change. When it is dropped its thread ends, at the latest after the fetch that is under way.
pub struct KeySource {
    asks: SyncSender<()>,
    sets: Receiver<KeySet>,
}

impl KeySource {
    /// Begins to fetch the keys at `url`, now and then every hour. `wake` is called from the other thread when there is
    /// something to [`poll`](Self::poll).
    ///
    /// # Errors
    /// The URL is none that [`check_url`] takes, or the system gives no thread.
    pub fn start(url: &str, wake: impl Fn() + Send + 'static) -> Result<Self, String> {
        check_url(url)?;
        let fetched = url.to_owned();
        let fetch = move || fetch::fetch(&fetched);
        // Secrets stand in queries at times, and this is for the log.
        let shown = url.split(['?', '#']).next().unwrap_or_default().to_owned();
        let started = Self::start_with(shown, fetch, wake);
        started.map_err(|error| format!("no thread can be started to fetch keys: {error}"))
    }

    fn start_with(
        name: String,
        fetch: impl FnMut() -> Result<Vec<u8>, String> + Send + 'static,
        wake: impl Fn() + Send + 'static,
    ) -> io::Result<Self> {
        // One ask is as good as many.
        let (asks, asked) = mpsc::sync_channel(1);
        let (found, sets) = mpsc::channel();
        let mut following = Following::new(name);
        let thread = thread::Builder::new().name("jwks".into());
        thread.spawn(move || {
            let give = |keys| {
                let is_wanted = found.send(keys).is_ok();
                wake();
                is_wanted
            };
            following.run(fetch, &asked, give);
        })?;
        Ok(Self { asks, sets })
    }

    /// Says that a token named a key that is not known. The keys are fetched again, unless that was done within the last
    /// minute: then as soon as the minute is over.
    pub fn wanted(&self) {
        match self.asks.try_send(()) {
            // The thread has ended only if it panicked, and the keys that there are stay.
            Ok(()) | Err(TrySendError::Full(()) | TrySendError::Disconnected(())) => {}
        }
    }

    /// The newest keys, if they changed since it was asked last.
    pub fn poll(&self) -> Option<KeySet> {
        self.sets.try_iter().last()
    }

    /// The same, and waits for them so long if there are none yet.
    pub fn wait(&self, patience: Duration) -> Option<KeySet> {
        let first = self.sets.recv_timeout(patience).ok()?;
        Some(self.poll().unwrap_or(first))
    }
}

/// When to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Schedule {
    /// When the next fetch is due, …
    next: Instant,
    /// … and when one may begin that was asked for.
    earliest: Instant,
}

impl Schedule {
    /// After a fetch that began then.
    fn after(began: Instant, was_good: bool) -> Self {
        let earliest = began + LEAST;
        let next = if was_good { began + REFRESH } else { earliest };
        Self { next, earliest }
    }

    fn ask(&mut self) {
        self.next = self.next.min(self.earliest);
    }
}

/// What the thread knows.
struct Following {
    /// The URL as the log shows it.
    name: String,
    /// What was fetched last that was good.
    last: Option<Vec<u8>>,
    /// Whether the last fetch failed.
    is_away: bool,
}

impl Following {
    fn new(name: String) -> Self {
        Self {
            name,
            last: None,
            is_away: false,
        }
    }

    /// Fetches until nobody wants the keys any more.
    fn run(
        &mut self,
        mut fetch: impl FnMut() -> Result<Vec<u8>, String>,
        asked: &Receiver<()>,
        give: impl Fn(KeySet) -> bool,
    ) {
        loop {
            let began = Instant::now();
            let result = fetch();
            let taken = self.take(result);
            let was_good = taken.is_ok();
            if let Ok(Some(keys)) = taken
                && !give(keys)
            {
                return;
            }
            if was_good {
                // What was asked for meanwhile is here now.
                let _ = asked.try_recv();
            }
            let mut schedule = Schedule::after(began, was_good);
            loop {
                let left = schedule.next.saturating_duration_since(Instant::now());
                match asked.recv_timeout(left) {
                    Ok(()) => schedule.ask(),
                    Err(RecvTimeoutError::Timeout) => break,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        }
    }

    /// The keys in what was fetched, if they are others than before; an error if there are none. It logs changes only: a URL
    /// may be away for days.
    fn take(&mut self, fetched: Result<Vec<u8>, String>) -> Result<Option<KeySet>, ()> {
        let read = fetched.and_then(|body| {
            if self.last.as_ref() == Some(&body) {
                return Ok(None);
            }
            let set = jwks::read(&body, jwks::From::Url)?;
            self.last = Some(body);
            Ok(Some(set))
        });
        let set = match read {
            Ok(set) => set,
            Err(why) => {
                if !self.is_away {
                    log::warn!(
                        "the keys of tokens can't be fetched from {}: {}; {}",
                        self.name,
                        Shown::new(why, MAX_ERROR_BYTES),
                        match self.last {
                            Some(_) =>
                                "those fetched before hold, and it is tried again every minute",
                            None => "it is tried again every minute",
                        }
                    );
                }
                self.is_away = true;
                return Err(());
            }
        };
        if self.is_away {
            log::info!("the keys of tokens are fetched from {} again", self.name);
        }
        self.is_away = false;
        Ok(set.map(|set| {
            let count = set.keys.len();
            log::info!("{count} keys of tokens were fetched from {}", self.name);
            for note in &set.notes {
                log::warn!("{}: {note}", self.name);
            }
            KeySet::of(set.keys)
        }))
    }
}
