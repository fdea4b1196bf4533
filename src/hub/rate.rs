//! How fast is published in a channel.

/// How long the messages of a channel are counted together, in milliseconds.
const SPAN_MS: u64 = 10_000;

/// A channel's messages of the span of time under way and of the one before. The channel's positions count them, so that a publication costs
/// one comparison.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    /// When the span under way began.
    since: u64,
    /// The position of its first message.
    begin: u64,
    /// How many messages the span before had.
    before: u64,
}

impl Rate {
    /// That of a channel that comes into being at `now`, and whose first message has the position `begin`.
    pub(super) fn new(begin: u64, now: u64) -> Self {
        Rate {
            since: now,
            begin,
            before: 0,
        }
    }

    /// A message is about to get the position `end`.
    #[inline]
    pub(super) fn count(&mut self, end: u64, now: u64) {
        if now.saturating_sub(self.since) >= SPAN_MS {
            *self = self.at(end, now);
        }
    }

    /// What it is at `now`, while the next message would get the position `end`.
    fn at(self, end: u64, now: u64) -> Self {
        let spans = now.saturating_sub(self.since) / SPAN_MS;
        match spans {
            0 => self,
            spans => Rate {
                since: self.since + spans * SPAN_MS,
                begin: end,
                before: if spans == 1 { end - self.begin } else { 0 },
            },
        }
    }

    /// How many messages are published in a hundred seconds, by those of the span under way and of as much of the one before as makes a whole
    /// span with it.
    pub(super) fn per_hundred_seconds(self, end: u64, now: u64) -> u64 {
        let Rate {
            since,
            begin,
            before,
        } = self.at(end, now);
        let left = SPAN_MS - now.saturating_sub(since).min(SPAN_MS);
        let messages = before.saturating_mul(left) / SPAN_MS + (end - begin);
        messages.saturating_mul(100_000 / SPAN_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_span_and_goes_to_nothing_in_silence() {
        let mut rate = Rate::new(1, 0);
        let mut end = 1;
        // Five a second.
        for now in (0..60_000).step_by(200) {
            rate.count(end, now);
            end += 1;
        }
        assert_eq!(rate.per_hundred_seconds(end, 60_000), 500);
        let half = rate.per_hundred_seconds(end, 65_000);
        assert!((240..=260).contains(&half), "{half}");
        assert_eq!(rate.per_hundred_seconds(end, 70_000), 0);
        assert_eq!(rate.per_hundred_seconds(end, 1 << 50), 0);
    }

    #[test]
    fn a_time_that_goes_back_is_no_harm() {
        let mut rate = Rate::new(1, 5_000);
        rate.count(1, 0);
        assert_eq!(rate.per_hundred_seconds(2, 0), 10);
    }
}
