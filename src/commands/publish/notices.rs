//! What `fanfare pub` says to people.

use std::fmt::Display;

use indicatif::ProgressBar;

use crate::streams::say;

/// Says things on stderr, around the progress bar if there is one.
#[derive(Clone)]
pub(super) struct Notices {
    /// Lines are published, which are named by their numbers. Else there is one message, which needs no name.
    pub(super) lines: bool,
    pub(super) bar: Option<ProgressBar>,
}

impl Notices {
    pub(super) fn say(&self, notice: &dyn Display) {
        match &self.bar {
            Some(bar) => bar.suspend(|| say(notice)),
            None => say(notice),
        }
    }

    /// Says something of a line.
    pub(super) fn say_of(&self, line: Option<u64>, what: &dyn Display) {
        match line {
            _ if !self.lines => self.say(what),
            Some(number) => self.say(&format_args!("line {number}: {what}")),
            None => self.say(&format_args!("a line: {what}")),
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
