//! The `Date` of HTTP responses, formatted once a second.

use std::time::SystemTime;

use super::timers::Millis;

/// The time of day in the form of RFC 9110 §5.6.7.
#[derive(Debug, Default)]
pub(super) struct Date {
    text: String,
    formatted_at: Millis,
}

impl Date {
    /// The date, at most a second old. `now` is the loop's time.
    pub(super) fn at(&mut self, now: Millis) -> &str {
        if self.text.is_empty() || now - self.formatted_at >= 1_000 {
            self.text = httpdate::fmt_http_date(SystemTime::now());
            self.formatted_at = now;
        }
        &self.text
    }
}
