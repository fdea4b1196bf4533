//! What half-sent large messages hold on to: segments of logs, which live as long as somebody
//! holds them.

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use super::timers::Millis;

/// The segments that connections hold, each counted once however many hold it, and which of these
/// connections are stalled.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// How many hold the segment at an address, where no other can be as long as anybody does.
    holders: HashMap<*const Vec<u8>, usize>,
    bytes: usize,
    /// The holders whose socket is full, by the time since when it has been.
    stalled: BTreeSet<(Millis, usize)>,
}

impl Held {
    /// Bytes of all segments held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// One more holds `segment`.
    pub(super) fn hold(&mut self, segment: &Rc<Vec<u8>>) {
        let holders = self.holders.entry(Rc::as_ptr(segment)).or_default();
        if *holders == 0 {
            self.bytes += segment.capacity();
        }
        *holders += 1;
    }

    /// One fewer holds `segment`.
    pub(super) fn release(&mut self, segment: &Rc<Vec<u8>>) {
        let address = Rc::as_ptr(segment);
        let Some(holders) = self.holders.get_mut(&address) else {
            return;
        };
        *holders -= 1;
        if *holders == 0 {
            self.bytes -= segment.capacity();
            self.holders.remove(&address);
        }
    }

    /// The socket of the holder at `index` has been full since `since`.
    pub(super) fn stall(&mut self, since: Millis, index: usize) {
        self.stalled.insert((since, index));
    }

    /// The socket of the holder at `index`, full since `since`, no longer is, or it is gone.
    pub(super) fn go_on(&mut self, since: Millis, index: usize) {
        self.stalled.remove(&(since, index));
    }

    /// The holder whose socket has been full for longest.
    pub(super) fn longest_stalled(&self) -> Option<usize> {
        self.stalled.first().map(|&(_, index)| index)
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
    fn who_goes_on_and_stalls_again_has_not_been_stalled_for_longest() {
        let mut held = Held::default();
        held.stall(10, 3);
        held.stall(20, 1);
        assert_eq!(held.longest_stalled(), Some(3));
        held.go_on(10, 3);
        held.stall(30, 3);
        assert_eq!(held.longest_stalled(), Some(1));
        held.go_on(20, 1);
        held.go_on(30, 3);
        assert_eq!(held.longest_stalled(), None);
    }
}
