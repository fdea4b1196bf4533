//! The bytes for one connection alone: the rest of a half-sent message, then replies, errors,
//! gaps, pongs and the close.
//!
//! Nearly every connection has nothing here at nearly every moment, so an empty outbox is one
//! null pointer and owns no buffer.

use std::rc::Rc;

use super::ledger::Charge;
use crate::hub::Remainder;

#[derive(Debug, Default)]
struct Queue {
    /// The part of a log's message that a short write left over. It goes out before anything
    /// else, so that a private frame never lands in the middle of a shared one.
    rest: Option<Remainder>,
    /// How much of `rest` the kernel has taken.
    rest_sent: usize,
    private: Vec<u8>,
    /// How much of `private` the kernel has taken.
    private_sent: usize,
    /// What it takes of the sum over all outboxes.
    charge: Charge,
}

impl Queue {
    /// Bytes of memory that its buffers take.
    fn memory(&self) -> usize {
        let copied = match &self.rest {
            Some(Remainder::Copied(bytes)) => bytes.capacity(),
            Some(Remainder::Held { .. }) | None => 0,
        };
        copied + self.private.capacity()
    }
}

/// Private bytes that wait for the socket.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    queue: Option<Box<Queue>>,
}

impl Outbox {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_none()
    }

    /// Bytes of replies, errors, gaps, pongs and closes that wait; a half-sent message's rest is
    /// not among them (it is bounded by the size of a message).
    pub(super) fn private_bytes(&self) -> usize {
        self.queue
            .as_ref()
            .map_or(0, |queue| queue.private.len() - queue.private_sent)
    }

    /// The log's segment that the rest of a half-sent large message holds on to.
    pub(super) fn held(&self) -> Option<&Rc<Vec<u8>>> {
        match self.queue.as_ref()?.rest.as_ref()? {
            Remainder::Held { segment, .. } => Some(segment),
            Remainder::Copied(_) => None,
        }
    }

    /// Brings `sum`, over all outboxes, up to date with the memory that this one owns: a segment that it holds is not
    /// its own.
    pub(super) fn count(&mut self, sum: &mut usize) {
        if let Some(queue) = &mut self.queue {
            let bytes = queue.memory();
            queue.charge.set(sum, bytes);
        }
    }

    /// Gives back memory that nothing waits in. For when nothing will be added for a while: the peer does not read.
    pub(super) fn shrink(&mut self) {
        if let Some(queue) = &mut self.queue {
            queue.private.drain(..queue.private_sent);
            queue.private_sent = 0;
            queue.private.shrink_to_fit();
        }
    }

    /// Takes what is counted of this outbox off `sum`.
    pub(super) fn uncount(&mut self, sum: &mut usize) {
        if let Some(queue) = &mut self.queue {
            queue.charge.set(sum, 0);
        }
    }

    /// How much of this outbox is counted in the sum.
    pub(super) fn counted_bytes(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.charge.bytes())
    }

    /// The end of the private bytes, to write one or more whole frames to.
    pub(super) fn private(&mut self) -> &mut Vec<u8> {
        &mut self.queue.get_or_insert_default().private
    }

    /// Takes the rest of a half-sent message.
    ///
    /// # Panics
    /// In debug builds, if the outbox is not empty: a log's bytes are only written behind it.
    pub(super) fn set_rest(&mut self, rest: Remainder) {
        debug_assert!(self.is_empty(), "log bytes went out before the outbox");
        let queue = self.queue.get_or_insert_default();
        queue.rest = Some(rest);
        queue.rest_sent = 0;
    }

    /// What waits, in the order in which it has to go out; either part may be empty.
    pub(super) fn slices(&self) -> [&[u8]; 2] {
        let Some(queue) = &self.queue else {
            return [&[], &[]];
        };
        let rest = queue.rest.as_ref().map_or(&[][..], Remainder::as_slice);
        [
            &rest[queue.rest_sent..],
            &queue.private[queue.private_sent..],
        ]
    }

    /// Forgets the first `written` bytes of what waits, and says how many of them were not ours. What is left is counted
    /// in `sum`.
    pub(super) fn advance(&mut self, written: usize, sum: &mut usize) -> usize {
        self.uncount(sum);
        let beyond = self.forget(written);
        self.count(sum);
        beyond
    }

    fn forget(&mut self, mut written: usize) -> usize {
        let Some(queue) = &mut self.queue else {
            return written;
        };
        if let Some(rest) = &queue.rest {
            let left = rest.as_slice().len() - queue.rest_sent;
            let taken = left.min(written);
            queue.rest_sent += taken;
            written -= taken;
            if taken == left {
                queue.rest = None;
                queue.rest_sent = 0;
            }
        }
        let left = queue.private.len() - queue.private_sent;
        let taken = left.min(written);
        queue.private_sent += taken;
        written -= taken;
        if queue.rest.is_none() && taken == left {
            self.queue = None;
        } else if queue.private_sent > 64 * 1024 {
            // So that a long queue of which the front went out does not keep that front.
            queue.private.drain(..queue.private_sent);
            queue.private_sent = 0;
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(outbox: &Outbox) -> Vec<u8> {
        outbox
            .slices()
            .iter()
            .flat_map(|slice| slice.to_vec())
            .collect()
    }

    #[test]
    fn an_empty_outbox_is_one_pointer() {
        assert_eq!(size_of::<Outbox>(), size_of::<usize>());
    }

    #[test]
    fn the_rest_of_a_message_goes_before_private_bytes_whatever_the_writes() {
        for step in 1..12 {
            let mut outbox = Outbox::default();
            outbox.set_rest(Remainder::Held {
                segment: Rc::new(b"xxrestxx".to_vec()),
                range: 2..6,
            });
            outbox.private().extend_from_slice(b"private");
            let mut sum = 0;
            outbox.count(&mut sum);
            let mut got = Vec::new();
            while !outbox.is_empty() {
                let waiting = text(&outbox);
                let n = step.min(waiting.len());
                got.extend_from_slice(&waiting[..n]);
                assert_eq!(outbox.advance(n, &mut sum), 0);
                assert_eq!(sum, outbox.counted_bytes());
            }
            assert_eq!(sum, 0);
            assert_eq!(got, b"restprivate");
        }
    }

    #[test]
    fn an_outbox_is_counted_once_however_often_it_grows() {
        let mut sum = 100;
        let mut outbox = Outbox::default();
        for len in [3000, 6000] {
            outbox.private().extend_from_slice(&[0; 3000]);
            outbox.shrink();
            outbox.count(&mut sum);
            assert_eq!((sum, outbox.counted_bytes()), (100 + len, len));
        }
        outbox.uncount(&mut sum);
        assert_eq!((sum, outbox.counted_bytes()), (100, 0));
    }

    #[test]
    fn what_an_outbox_counts_is_its_memory_and_the_copy_of_a_half_sent_message_is_part_of_it() {
        let mut sum = 0;
        let mut outbox = Outbox::default();
        outbox.set_rest(Remainder::Copied(vec![0; 1000]));
        outbox.private().reserve_exact(5000);
        outbox.private().extend_from_slice(b"abc");
        outbox.count(&mut sum);
        assert_eq!(sum, 6000);
        outbox.advance(999, &mut sum);
        assert_eq!(sum, 6000, "a part that was sent takes its room still");
        outbox.advance(1, &mut sum);
        assert_eq!(sum, 5000);
    }

    #[test]
    fn an_outbox_that_shrinks_keeps_what_waits_and_nothing_else() {
        let mut sum = 0;
        let mut outbox = Outbox::default();
        outbox.private().reserve_exact(5000);
        outbox.private().extend_from_slice(&[b'x'; 2000]);
        outbox.private().extend_from_slice(b"private");
        outbox.advance(2000, &mut sum);
        outbox.shrink();
        outbox.count(&mut sum);
        assert_eq!((sum, &*text(&outbox)), (7, &b"private"[..]));
    }

    #[test]
    fn bytes_beyond_the_outbox_are_handed_back() {
        let mut outbox = Outbox::default();
        outbox.private().extend_from_slice(b"abc");
        assert_eq!(outbox.advance(10, &mut 0), 7);
        assert!(outbox.is_empty());
    }
}
