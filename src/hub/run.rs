//! The commonest visits, one after the other in a tight loop.
//!
//! A broadcast leaves everybody in its channel behind by the same messages, and most of them have no other channel. So a run
//! finds the bytes once, and hands them to one subscriber after the other. A subscriber that needs more thought than that is left to an
//! ordinary visit, and so is everybody outside the channel at the front.

use super::cursor::STRAGGLES;
use super::gather::Advanced;
use super::piece::Piece;
use super::reading::{Logs, Whole};
use super::slot::Slot;
use super::subscriber::{CAUGHT_UP, Link, Links};
use super::sweep::{LOOKS_IN_VAIN, VISIT};
use super::{Hub, SubscriberId};

/// What ended a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Run {
    /// Nobody is behind.
    Done,
    /// As many visits were made as the caller wanted, or so many looked at who need none that it may want to look at the
    /// clock.
    Paused,
    /// This one is to be visited in the ordinary way: it has more than one piece to get, or the caller declined.
    Visit(SubscriberId),
    /// Not all of what was handed out for this one was written: it is now taken for blocked.
    Short(SubscriberId, Advanced),
}

impl Hub {
    /// Visits up to `most` subscribers of the dirty channel at the front that have one piece of one log to get, and then
    /// goes on as [`Hub::next_behind`] does. Adds to `delivered` the messages that are no longer behind; a half-sent one counts.
    ///
    /// `write` is given each one's bytes, writes them at once and says how many went out: fewer than all means that the socket
    /// is full. `None` if it wrote nothing because something else has to go out first: then the run ends with a
    /// [`Run::Visit`] to that one.
    pub fn run(
        &mut self,
        most: u32,
        delivered: &mut u64,
        write: impl FnMut(SubscriberId, &[u8]) -> Option<usize>,
    ) -> Run {
        let front = match self.dirty.queue.front() {
            Some(&index) if self.due_budget == 0 => index,
            _ => return self.ordinary(),
        };
        let mut visits = 0;
        let short = self.run_through(front, most, &mut visits, delivered, write);
        match short {
            Some((id, piece, written)) => {
                let advanced = self.stop(id, piece, written);
                *delivered += advanced.delivered;
                Run::Short(id, advanced)
            }
            None if visits == most => Run::Paused,
            None => self.ordinary(),
        }
    }

    /// Makes up to `most` visits in the channel at `front`, and counts them and the messages that they deliver.
    ///
    /// Ends at the first subscriber that needs an ordinary visit, and at the first short write: whose that was, what it was
    /// given, and how many bytes went out.
    // Inlined, since the loop is the hottest there is, and a call would move what it counts out of registers.
    #[inline]
    fn run_through(
        &mut self,
        front: u32,
        most: u32,
        visits: &mut u32,
        delivered: &mut u64,
        mut write: impl FnMut(SubscriberId, &[u8]) -> Option<usize>,
    ) -> Option<(SubscriberId, Piece, usize)> {
        let channel = self.directory.get_mut(front)?;
        let end = channel.end();
        let logs = Logs {
            base: &channel.base,
            derived: channel.derived.as_deref(),
            tail: channel.tail,
        };
        // What the subscriber before got, and where its cursor and flags stood: mostly it is the same again.
        let (mut next, mut flags) = (u64::MAX, 0);
        let mut whole = Whole::default();
        // The same for each slot, so that it pays where slots take turns.
        let mut wholes = [(u64::MAX, whole); Slot::COUNT];
        while *visits < most && self.budget > VISIT && channel.left != 0 {
            let at = channel.walked;
            let sub = channel.subs.get_mut(at as usize)?;
            let subscriber = self.subscribers.get_mut(sub.subscriber as usize)?;
            let is_ordinary = sub.next >= end
                || sub.flags & STRAGGLES != 0
                || !matches!(subscriber.links, Links::One(_))
                || self.blocked.get(sub.subscriber);
            if is_ordinary {
                return None;
            }
            if sub.next != next || sub.flags != flags {
                let known = &mut wholes[usize::from(sub.slot().0)];
                if known.0 != sub.next {
                    *known = (sub.next, logs.whole(*sub)?);
                }
                (next, flags, whole) = (sub.next, sub.flags, known.1);
            }
            let id = SubscriberId(sub.subscriber);
            let written = write(id, whole.bytes)?;
            if at == 0 {
                channel.circle = end;
            }
            channel.walked = at + 1;
            channel.left -= 1;
            self.budget -= VISIT + 1;
            *visits += 1;
            if written < whole.bytes.len() {
                let link = Link {
                    channel: front,
                    index: at,
                };
                let piece = Piece {
                    link,
                    from: next,
                    to: whole.until,
                    bytes: whole.bytes.len(),
                    slot: whole.slot,
                    is_rendered: false,
                };
                return Some((id, piece, written));
            }
            sub.next = whole.until;
            subscriber.flags &= !CAUGHT_UP;
            *delivered += whole.until - next;
        }
        None
    }

    fn ordinary(&mut self) -> Run {
        match self.next_within(LOOKS_IN_VAIN) {
            Some(id) => Run::Visit(id),
            None if self.has_work() => Run::Paused,
            None => Run::Done,
        }
    }
}
