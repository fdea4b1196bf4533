//! How far subscribers are behind.

use super::powers::Powers;

/// What is known of it. At each visit it is counted how much a subscriber gets; a walk over all subscriptions, some in a turn, finds those
/// whose sockets are full, too.
#[derive(Debug, Default)]
pub(in crate::server) struct Lags {
    /// Messages that a visit brought its subscriber.
    pub(in crate::server) visits: Powers<24>,
    /// For how long the next message of a subscription has been there, in milliseconds; 0: it has all.
    pub(in crate::server) ages_ms: Powers<24>,
    /// The worst of the walk under way, and of the last whole one: messages, and milliseconds.
    walk: (u64, u64),
    last: (u64, u64),
}

impl Lags {
    /// Some visits in a row delivered so many messages together.
    // A call for some visits costs less than what it would take of the registers of the loop over them.
    #[inline(never)]
    pub(in crate::server) fn visited(&mut self, visits: u64, delivered: u64) {
        // The commonest by far, and a division costs more than all the rest.
        if visits == delivered {
            self.visits.add(1, visits);
        } else if let Some(each) = delivered.checked_div(visits) {
            self.visits.add(each, visits);
        }
    }

    /// The walk has found a subscription behind by this.
    #[inline]
    pub(in crate::server) fn found(&mut self, messages: u64, age_ms: u64) {
        self.ages_ms.add(age_ms, 1);
        self.walk.0 = self.walk.0.max(messages);
        self.walk.1 = self.walk.1.max(age_ms);
    }

    /// The walk has seen all subscriptions, and begins anew.
    pub(in crate::server) fn walked(&mut self) {
        self.last = std::mem::take(&mut self.walk);
    }

    /// The worst that is known, in messages and in milliseconds.
    pub(in crate::server) fn worst(&self) -> (u64, u64) {
        let (walk, last) = (self.walk, self.last);
        (walk.0.max(last.0), walk.1.max(last.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_is_forgotten_once_a_whole_walk_has_not_found_it_again() {
        let mut lags = Lags::default();
        lags.found(7, 900);
        lags.found(9, 20);
        assert_eq!(lags.worst(), (9, 900));
        lags.walked();
        lags.found(0, 0);
        assert_eq!(lags.worst(), (9, 900));
        lags.walked();
        assert_eq!(lags.worst(), (0, 0));
        lags.visited(0, 0);
        lags.visited(4, 8);
        assert_eq!(lags.visits.buckets().nth(2), Some((Some(3), 4)));
    }
}
