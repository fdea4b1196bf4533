//! What became of what was published.

use std::fmt::Display;
use std::time::Duration;

use fanfare::client::{ClientError, Event, Events};
use indicatif::ProgressBar;

use crate::commands::Exit;
use crate::commands::target;

/// Says things on stderr, around the progress bar if there is one.
#[derive(Clone)]
pub(super) struct Notices {
    bar: Option<ProgressBar>,
}

impl Notices {
    pub(super) fn new(bar: Option<ProgressBar>) -> Self {
        Self { bar }
    }

    pub(super) fn say(&self, notice: &dyn Display) {
        let say = || eprintln!("fanfare: {notice}");
        match &self.bar {
            Some(bar) => bar.suspend(say),
            None => say(),
        }
    }

    /// So many bytes of the input are through.
    pub(super) fn progress(&self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(bytes);
        }
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Counts answers.
pub(super) struct Tally {
    notices: Notices,
    published: usize,
    refused: usize,
    unknown: usize,
    /// Refused in the batch whose end has not come yet.
    refused_in_batch: usize,
    /// What ended the connection for good.
    ended: Option<ClientError>,
}

impl Tally {
    pub(super) fn new(notices: Notices) -> Self {
        Self {
            notices,
            published: 0,
            refused: 0,
            unknown: 0,
            refused_in_batch: 0,
            ended: None,
        }
    }

    /// Counts until there are no more answers.
    pub(super) fn follow(&mut self, events: Events) {
        for event in events {
            match event {
                Ok(event) => self.count(event),
                Err(error) => {
                    self.notices.say(&error);
                    self.ended = Some(error);
                }
            }
        }
    }

    fn count(&mut self, event: Event) {
        match event {
            Event::Published { .. } => self.published += 1,
            Event::BatchDone { count, .. } => {
                let refused = std::mem::take(&mut self.refused_in_batch);
                self.published += count.saturating_sub(refused);
            }
            Event::Refused {
                tag: Some(line),
                refusal,
            } => {
                self.refused += 1;
                self.notices.say(&format_args!("line {line}: {refusal}"));
            }
            Event::Refused { tag: None, refusal } => {
                self.refused += 1;
                self.refused_in_batch += 1;
                self.notices.say(&format_args!("a line: {refusal}"));
            }
            Event::Unknown { tags, count } => {
                // Those that were refused before are among them, and need no second mention.
                let refused = std::mem::take(&mut self.refused_in_batch);
                self.unknown += count.saturating_sub(refused);
                self.notices.say(&format_args!(
                    "lines {} to {} had no answer yet: published or not, nobody knows",
                    tags.start(),
                    tags.end()
                ));
            }
            Event::Reconnecting { wait, cause, .. } => {
                self.notices.say(&target::reconnecting(wait, &cause));
            }
            Event::Reconnected => self.notices.say(&"connected again"),
            _ => {}
        }
    }

    /// The exit code, where not all was published.
    pub(super) fn exit(&self) -> Option<Exit> {
        match &self.ended {
            Some(error) => Some(target::exit_code(error)),
            None if self.refused > 0 || self.unknown > 0 => Some(Exit::Refused),
            None => None,
        }
    }

    /// Says how many, how fast. `refused_here`: what was not even sent.
    pub(super) fn report(&self, refused_here: u64, took: Duration) {
        let seconds = took.as_secs_f64();
        let rate = self.published as f64 / seconds.max(1e-9);
        let mut report = format!(
            "{} published in {seconds:.2} s, {rate:.0} a second",
            self.published
        );
        let refused = self.refused as u64 + refused_here;
        if refused > 0 {
            report += &format!("; {refused} refused");
        }
        if self.unknown > 0 {
            report += &format!("; {} unknown", self.unknown);
        }
        self.notices.say(&report);
    }
}
