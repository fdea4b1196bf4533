//! What the load tester says to people while it works: a line that is renewed on a terminal, and notices.
//!
//! Whatever becomes of stderr, the measurement goes on: what can't be written is dropped.

use std::fmt::Display;
use std::io::{IsTerminal, Write};

/// How often it is renewed.
const PERIOD_NS: u64 = 500_000_000;

/// Says something on stderr.
pub(crate) fn say(notice: impl Display) {
    let _ = writeln!(std::io::stderr(), "{notice}");
}

/// The line. It is wiped when this is dropped.
pub(crate) struct Progress {
    terminal: bool,
    shown: bool,
    next_ns: u64,
}

impl Progress {
    /// Nothing shown yet; the first line comes half a second after `now_ns`, so that what is quick shows none.
    pub(crate) fn from(now_ns: u64) -> Self {
        Self {
            terminal: std::io::stderr().is_terminal(),
            shown: false,
            next_ns: now_ns + PERIOD_NS,
        }
    }

    /// Shows a line if it is time for one.
    #[inline]
    pub(crate) fn show(&mut self, now_ns: u64, line: impl FnOnce() -> String) {
        if self.terminal && now_ns >= self.next_ns {
            // The terminal may be gone.
            let _ = write!(std::io::stderr(), "\r\x1b[K{}", line());
            self.next_ns = now_ns + PERIOD_NS;
            self.shown = true;
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
