//! The segments that half-sent messages over 4 KiB hold on to: a segment of a log lives as long as a
//! connection holds it.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use super::timers::Millis;

/// The connections whose socket is full, by the time since when it has been.
type Stalled = BTreeSet<(Millis, usize)>;

/// A segment that somebody holds.
#[derive(Debug, Default)]
struct Holders {
    count: usize,
    stalled: Stalled,
}

/// The segments that connections hold, each counted once however many hold it, and which of these
/// connections are stalled.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// The holders of the segment at an address. No other segment can be there as long as it is held.
    holders: HashMap<*const Vec<u8>, Holders>,
    bytes: usize,
    /// All stalled holders.
    stalled: Stalled,
    /// Those of them that are alone with their segment.
    alone: Stalled,
}

impl Held {
    /// Bytes of all segments held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// One more holds `segment`.
    pub(super) fn hold(&mut self, segment: &Rc<Vec<u8>>) {
        let holders = self.holders.entry(Rc::as_ptr(segment)).or_default();
        holders.count += 1;
        match holders.count {
            1 => self.bytes += segment.capacity(),
            2 => {
                for company in &holders.stalled {
                    self.alone.remove(company);
                }
            }
            _ => {}
        }
    }

    /// One fewer holds `segment`: one that is not stalled, or [no longer](Self::go_on).
    pub(super) fn release(&mut self, segment: &Rc<Vec<u8>>) {
        let address = Rc::as_ptr(segment);
        let Some(holders) = self.holders.get_mut(&address) else {
            return;
        };
        holders.count -= 1;
        match holders.count {
            0 => {
                self.bytes -= segment.capacity();
                self.holders.remove(&address);
            }
            1 => self.alone.extend(&holders.stalled),
            _ => {}
        }
    }

    /// The socket of the connection at `index`, which holds `segment`, has been full since `since`.
    pub(super) fn stall(&mut self, segment: &Rc<Vec<u8>>, since: Millis, index: usize) {
        let Some(holders) = self.holders.get_mut(&Rc::as_ptr(segment)) else {
            return;
        };
        holders.stalled.insert((since, index));
        self.stalled.insert((since, index));
        if holders.count == 1 {
            self.alone.insert((since, index));
        }
    }

    /// The socket of the connection at `index`, which holds `segment` and has been full since `since`, no longer is, or the
    /// connection is about to go.
    pub(super) fn go_on(&mut self, segment: &Rc<Vec<u8>>, since: Millis, index: usize) {
        if let Some(holders) = self.holders.get_mut(&Rc::as_ptr(segment)) {
            holders.stalled.remove(&(since, index));
        }
        self.stalled.remove(&(since, index));
        self.alone.remove(&(since, index));
    }

    /// The connection to drop where too much is held: of those that are alone with their segment, which goes with them, the one that
    /// has been stalled for longest; where there is none, of all.
    pub(super) fn first_to_go(&self) -> Option<usize> {
        let first = self.alone.first().or(self.stalled.first());
        first.map(|&(_, index)| index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_that_several_hold_counts_once_until_the_last_lets_go() {
        let (one, other) = (Rc::new(vec![0; 5000]), Rc::new(vec![0; 7000]));
        let mut held = Held::default();
        held.hold(&one);
        held.hold(&other);
        held.hold(&one);
        assert_eq!(held.bytes(), 12_000);
        held.release(&one);
        assert_eq!(held.bytes(), 12_000);
        held.release(&one);
        assert_eq!(held.bytes(), 7000);
        held.release(&other);
        assert_eq!(held.bytes(), 0);
    }

    #[test]
    fn a_connection_that_goes_on_and_stalls_again_has_not_been_stalled_for_longest() {
        let segments = [Rc::new(vec![0; 10]), Rc::new(vec![0; 10])];
        let mut held = Held::default();
        segments.iter().for_each(|segment| held.hold(segment));
        held.stall(&segments[0], 10, 3);
        held.stall(&segments[1], 20, 1);
        assert_eq!(held.first_to_go(), Some(3));
        held.go_on(&segments[0], 10, 3);
        held.stall(&segments[0], 30, 3);
        assert_eq!(held.first_to_go(), Some(1));
        held.go_on(&segments[1], 20, 1);
        held.go_on(&segments[0], 30, 3);
        assert_eq!(held.first_to_go(), None);
    }

    #[test]
    fn a_connection_that_shares_a_segment_stays_while_another_has_one_alone() {
        let (shared, own) = (Rc::new(vec![0; 10]), Rc::new(vec![0; 10]));
        let mut held = Held::default();
        held.hold(&shared);
        held.stall(&shared, 1, 1);
        assert_eq!(held.first_to_go(), Some(1), "alone so far");
        held.hold(&shared);
        held.stall(&shared, 2, 2);
        assert_eq!(held.first_to_go(), Some(1), "the longest, where all share");
        held.hold(&own);
        held.stall(&own, 3, 3);
        assert_eq!(held.first_to_go(), Some(3));
        held.go_on(&shared, 1, 1);
        held.release(&shared);
        assert_eq!(held.first_to_go(), Some(2), "alone by now");
    }
}
