//! What the visit of one connection may cost before the others have their turn.
//!
//! The number of bytes read says little about their cost: 4 KiB of compressed frames may inflate to
//! megabytes, and 40 bytes may subscribe to a channel. So each message is charged with a rough cost
//! in units of about a nanosecond: a byte of it is one, and what else it makes the daemon do is
//! given in round figures. A visit stops between two messages. One message is never divided, so a
//! visit may take as long as the longest message does (`--max-message`).

use std::time::Instant;

/// What a message costs beside its bytes.
pub(super) const MESSAGE: usize = 256;

/// What a compressed message costs beside its bytes, once inflated.
pub(super) const INFLATE: usize = 1_024;

/// What to subscribe costs beside the message, and what to unsubscribe.
pub(super) const SUBSCRIBE: usize = 1_024;

/// What it costs to ask a pattern whether it stands for a channel, where strangers have chosen both.
pub(super) const PATTERN: usize = 512;

/// What it costs to append a publication to a pattern's log as well, beside its bytes.
pub(super) const COPY: usize = 256;

/// What an HTTP request costs beside its bytes.
pub(super) const REQUEST: usize = 2_048;

/// What it costs to check a token: to verify a signature takes as long as a hundred requests.
pub(super) const TOKEN: usize = 256 * 1024;

/// What it costs to compress a publication for its subscribers: for each of them, and for a byte.
pub(super) const DEFLATE: usize = 8_192;
pub(super) const DEFLATE_BYTE: usize = 8;

/// What the light visits of one turn may cost together, if they are not too many for that.
const LIGHT_TURN: usize = 1_000_000;

/// The least that a light visit may cost: a few dozen small messages.
const LIGHT_MIN: usize = 16 * 1024;

/// The most.
const LIGHT_MAX: usize = 256 * 1024;

/// What a longer visit may cost between two looks at the clock.
const LOOK: usize = 16 * 1024;

/// What a light visit may cost in a turn that makes so many of them.
pub(super) fn light_share(visits: usize) -> usize {
    (LIGHT_TURN / visits.max(1)).clamp(LIGHT_MIN, LIGHT_MAX)
}

/// What is left of one visit's allowance.
#[derive(Debug, Default)]
pub(super) struct Allowance {
    /// Units until it is spent, or until the next look at the clock.
    left: usize,
    /// Until when the visit may go on after that; `None` for a light visit, which may not.
    until: Option<Instant>,
}

impl Allowance {
    /// For a light visit, which may cost `share` units.
    pub(super) fn light(share: usize) -> Self {
        Allowance {
            left: share,
            until: None,
        }
    }

    /// For a visit that may go on until a certain time, and costs [`LOOK`] at least.
    pub(super) fn until(until: Instant) -> Self {
        Allowance {
            left: LOOK,
            until: Some(until),
        }
    }

    /// Takes `cost` off. A message may cost more than there is: it is whole before anybody knows.
    #[inline]
    pub(super) fn charge(&mut self, cost: usize) {
        match self.left.checked_sub(cost) {
            Some(left) if left > 0 => self.left = left,
            _ => self.look(),
        }
    }

    /// Takes all that is left.
    pub(super) fn spend(&mut self) {
        *self = Allowance::default();
    }

    /// Whether the visit has to end.
    #[inline]
    pub(super) fn is_spent(&self) -> bool {
        self.left == 0
    }

    #[cold]
    fn look(&mut self) {
        self.left = match self.until {
            Some(until) if Instant::now() < until => LOOK,
            _ => 0,
        };
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn messages(allowance: &mut Allowance, cost: usize) -> usize {
        let charged = (0..1_000_000).take_while(|_| {
            let goes_on = !allowance.is_spent();
            allowance.charge(cost);
            goes_on
        });
        charged.count()
    }

    #[test]
    fn a_light_visit_ends_by_its_cost_alone() {
        let light = || Allowance::light(LIGHT_MIN);
        assert_eq!(messages(&mut light(), MESSAGE), LIGHT_MIN / MESSAGE);
        assert_eq!(messages(&mut light(), 64 * 1024), 1);
        assert_eq!(messages(&mut light(), usize::MAX), 1);
    }

    #[test]
    fn the_more_light_visits_a_turn_makes_the_less_each_may_cost() {
        assert_eq!(light_share(0), LIGHT_MAX);
        assert_eq!(light_share(10), 100_000);
        assert_eq!(light_share(400), LIGHT_MIN);
    }

    #[test]
    fn a_longer_visit_ends_by_the_clock() {
        let now = Instant::now();
        let over = &mut Allowance::until(now);
        assert_eq!(messages(over, MESSAGE), LOOK / MESSAGE);
        assert!(over.is_spent());
        let hour = &mut Allowance::until(now + Duration::from_secs(3_600));
        assert_eq!(messages(hour, MESSAGE), 1_000_000);
        hour.spend();
        hour.charge(1);
        assert!(hour.is_spent());
    }
}
