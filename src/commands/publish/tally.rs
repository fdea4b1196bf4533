//! What became of what was published.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use fanfare::client::{ClientError, Event, Events};

use super::notices::Notices;
use crate::commands::target;

/// How many keys a server remembers, unless it is told otherwise.
const REMEMBERED: u64 = 100_000;

/// How long it remembers each.
const REMEMBERED_FOR: Duration = Duration::from_secs(300);

/// Counts that one thread makes and another reads.
#[derive(Default)]
pub(super) struct Counts {
    /// Taken by the client, to be sent.
    pub(super) accepted: AtomicU64,
    published: AtomicU64,
    refused: AtomicU64,
    unknown: AtomicU64,
    /// There is no connection at the moment.
    down: AtomicBool,
}

impl Counts {
    /// How many messages were accepted, and have no answer yet.
    pub(super) fn unanswered(&self) -> u64 {
        // The answers first: each comes after its message was accepted.
        let settled = self.answers() + self.unknown.load(Relaxed);
        self.accepted.load(Relaxed).saturating_sub(settled)
    }

    /// How many messages the server has answered.
    pub(super) fn answers(&self) -> u64 {
        self.published.load(Relaxed) + self.refused.load(Relaxed)
    }

    /// Whether there is a connection on which answers can come.
    pub(super) fn is_connected(&self) -> bool {
        !self.down.load(Relaxed)
    }

    /// No answer is waited for any more. How many messages had none.
    pub(super) fn give_up(&self) -> u64 {
        let unanswered = self.unanswered();
        self.unknown.fetch_add(unanswered, Relaxed);
        unanswered
    }

    /// Whether there are messages of which nobody knows whether they were published.
    pub(super) fn has_unknown(&self) -> bool {
        self.unknown.load(Relaxed) > 0
    }

    /// Whether to run the command again that began so long ago, where everything has a key.
    pub(super) fn advice(&self, took: Duration) -> String {
        // Those of before may be forgotten by the time that they come again.
        if self.accepted.load(Relaxed) > REMEMBERED || took >= REMEMBERED_FOR {
            return format!(
                "the same command may publish messages twice: the server remembers a key for five minutes, and the newest {REMEMBERED} unless its --max-keys says otherwise"
            );
        }
        "the same command, if it begins within five minutes after this one began, publishes what is missing and nothing twice, unless the server has forgotten keys over its --max-keys".to_owned()
    }

    /// Whether everything was published that was accepted.
    pub(super) fn is_clean(&self) -> bool {
        self.refused.load(Relaxed) == 0 && self.unknown.load(Relaxed) == 0
    }

    /// How many, how fast. `refused_here`: how many were not even sent.
    pub(super) fn report(&self, refused_here: u64, took: Duration) -> String {
        let published = self.published.load(Relaxed);
        let seconds = took.as_secs_f64();
        let rate = published as f64 / seconds.max(1e-9);
        let mut report = format!("{published} published in {seconds:.2} s, {rate:.0} a second");
        let refused = self.refused.load(Relaxed) + refused_here;
        if refused > 0 {
            report += &format!("; {refused} refused");
        }
        let unknown = self.unknown.load(Relaxed);
        if unknown > 0 {
            report += &format!("; {unknown} unknown");
        }
        report
    }
}

/// Counts answers.
pub(super) struct Tally {
    notices: Notices,
    counts: Arc<Counts>,
    /// Refused in the batch whose end has not come yet.
    refused_in_batch: u64,
}

impl Tally {
    pub(super) fn new(notices: Notices, counts: Arc<Counts>) -> Self {
        Self {
            notices,
            counts,
            refused_in_batch: 0,
        }
    }

    /// Counts until there are no more answers. What ended the connection for good, if it was not closed here.
    pub(super) fn follow(&mut self, events: Events) -> Option<ClientError> {
        for event in events {
            match event {
                Ok(event) => self.count(event),
                Err(error) => return Some(error),
            }
        }
        None
    }

    fn count(&mut self, event: Event) {
        let (notices, counts) = (&self.notices, &self.counts);
        match event {
            Event::Published {
                epoch,
                seq,
                duplicate,
                ..
            } => {
                counts.published.fetch_add(1, Relaxed);
                if !notices.lines {
                    let before = if duplicate {
                        ": the server had it already"
                    } else {
                        ""
                    };
                    notices.say(&format_args!("published as {epoch}:{seq}{before}"));
                }
            }
            Event::BatchDone { count, .. } => {
                let refused = std::mem::take(&mut self.refused_in_batch);
                let published = (count as u64).saturating_sub(refused);
                counts.published.fetch_add(published, Relaxed);
            }
            Event::Refused { tag, refusal } => {
                if tag.is_none() {
                    self.refused_in_batch += 1;
                }
                counts.refused.fetch_add(1, Relaxed);
                notices.say_of(tag, &refusal);
            }
            Event::Unknown { tags, count } => {
                // Those that were refused before are among them, and need no second mention.
                let refused = std::mem::take(&mut self.refused_in_batch);
                let unknown = (count as u64).saturating_sub(refused);
                counts.unknown.fetch_add(unknown, Relaxed);
                if notices.lines {
                    notices.say(&format_args!(
                        "lines {} to {} have no answer: they may be published or not",
                        tags.start(),
                        tags.end()
                    ));
                } else {
                    notices.say(&ClientError::Unknown);
                }
            }
            Event::Reconnecting { wait, cause, .. } => {
                counts.down.store(true, Relaxed);
                notices.say(&target::reconnecting(wait, &cause));
            }
            Event::Reconnected => {
                counts.down.store(false, Relaxed);
                notices.say(&"connected again");
            }
            Event::NotRenewed { why } => notices.say(&target::not_renewed(&why)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use fanfare::config::Config;
    use fanfare::limit::Limit;

    use super::*;

    #[test]
    fn a_server_remembers_as_many_keys_as_is_said() {
        let remembered = Limit::of(REMEMBERED);
        assert_eq!(Config::default().max_keys, remembered);
    }

    #[test]
    fn who_published_more_or_longer_than_a_server_remembers_is_not_told_that_nothing_comes_twice() {
        let advice = |accepted, seconds| {
            let accepted = AtomicU64::new(accepted);
            let counts = Counts {
                accepted,
                ..Counts::default()
            };
            counts.advice(Duration::from_secs(seconds))
        };
        assert!(advice(100_000, 299).contains("nothing twice, unless"));
        for (accepted, seconds) in [(100_001, 1), (1, 300)] {
            let advice = advice(accepted, seconds);
            assert!(advice.contains("may publish messages twice"), "{advice}");
            assert!(advice.contains("--max-keys"), "{advice}");
        }
    }
}
