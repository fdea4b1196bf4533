//! A visit: what is behind, as slices for one write, and what the write made of it.

use super::channel::Channel;
use super::cursor::{STRAGGLES, Sub};
use super::directory::Directory;
use super::piece::{Piece, Remainder};
use super::reading::{Reading, Whole};
use super::render::Rendered;
use super::slices::Slices;
use super::subscriber::{APART, CAUGHT_UP, LAGS, Link, Links};
use super::{Hub, SubscriberId};

/// How many subscriptions whose messages have to be rendered a visit passes over to get to others. With thousands of them a
/// visit would otherwise look at each.
const PASSED_OVER: u32 = 16;

/// What `gather` found besides the slices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gathered {
    /// Some subscriptions have been lapped and were left out: call [`Hub::settle`], send its gaps first, and gather again.
    pub lapped: bool,
    /// In a subscription messages come next that have to be made for this subscriber alone: call [`Hub::render`] and gather
    /// again, or [`Hub::postpone`]. Other subscriptions went in all the same. Never so in a slot that falls back.
    pub unrendered: bool,
    /// Not everything went in. If all that did is written and [`Hub::advance`] hears of it, be it nothing, `next_behind` will
    /// name the subscriber again.
    pub more: bool,
}

/// What [`Hub::advance`] made of a write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Advanced {
    /// What is left of a message that went out in part: to be sent before anything else on that connection.
    pub rest: Option<Remainder>,
    /// All was written but more is behind: `next_behind` will name the subscriber again.
    pub more: bool,
    /// How many messages are no longer behind; a half-sent one counts.
    pub delivered: u64,
}

/// What the last gathering promised, until `advance` is told what became of it. One for the hub, nothing for a connection.
#[derive(Debug, Default)]
pub(super) struct Plan {
    owner: u32,
    /// What `contiguous` promised, if it was the last to promise anything.
    single: Piece,
    is_single: bool,
    /// What `gather` promised.
    pieces: Vec<Piece>,
    /// Something was left out.
    more: bool,
    /// The last subscription whose next messages were found to be rendered first, and how many there were before it.
    unrendered: Option<Link>,
    passed_over: u32,
    /// The subscribers and subscriptions that have had their history in this visit and were still behind then.
    past_history: Vec<(u32, Link)>,
}

/// How much of a subscription went in.
enum Share {
    All,
    Part,
    Nothing,
    /// Its next messages have to be rendered.
    Unrendered,
}

impl Plan {
    fn begin(&mut self, owner: u32) {
        self.owner = owner;
        self.is_single = false;
        self.pieces.clear();
        self.more = false;
        self.unrendered = None;
        self.passed_over = 0;
    }

    /// The subscription of `id` that the last gathering found unrendered.
    pub(super) fn unrendered(&self, id: u32) -> Option<Link> {
        self.unrendered.filter(|_| self.owner == id)
    }

    /// Notes that the subscription `link` of `id` has had its history and is still behind. The end of the visit says whether it
    /// lags.
    pub(super) fn note_past_history(&mut self, id: u32, link: Link) {
        self.past_history.push((id, link));
    }

    fn forget(&mut self, id: u32) {
        if self.owner == id {
            self.begin(id);
        }
    }

    /// Adds what is behind in one subscription, as far as it goes in. Once nothing more does, the channel that the next visit
    /// begins with.
    fn take<'a>(
        &mut self,
        directory: &'a Directory,
        rendered: &'a Rendered,
        link: Link,
        slices: &mut Slices<'a>,
        gathered: &mut Gathered,
    ) -> Option<u32> {
        let channel = directory.get(link.channel)?;
        let sub = *channel.subs.get(link.index as usize)?;
        if sub.next >= channel.end() {
            return None;
        }
        if sub.next < channel.tail {
            gathered.lapped = true;
            gathered.more = true;
            return None;
        }
        let share = self.collect(channel, rendered, link, sub, slices);
        match share {
            Share::All => None,
            Share::Part => Some(link.channel.wrapping_add(1)),
            Share::Nothing => Some(link.channel),
            Share::Unrendered => {
                gathered.unrendered = true;
                gathered.more = true;
                self.passed_over += 1;
                (self.passed_over > PASSED_OVER).then_some(link.channel)
            }
        }
    }

    /// Adds what is behind in one subscription.
    fn collect<'a>(
        &mut self,
        channel: &'a Channel,
        rendered: &'a Rendered,
        link: Link,
        mut sub: Sub,
        slices: &mut Slices<'a>,
    ) -> Share {
        let (begun, end) = (sub.next, channel.end());
        while sub.next < end {
            let reading = channel.reading(sub);
            let chosen = if reading.is_private {
                self.choose_rendered(rendered, link, sub, slices)
            } else {
                choose(reading, sub, slices)
            };
            let Some((to, bytes)) = chosen else {
                return if self.unrendered == Some(link) {
                    Share::Unrendered
                } else if sub.next > begun {
                    Share::Part
                } else {
                    Share::Nothing
                };
            };
            slices.push(bytes);
            self.pieces.push(Piece {
                link,
                from: sub.next,
                to,
                bytes: bytes.len(),
                slot: reading.slot,
                is_rendered: reading.is_private,
            });
            sub.next = to;
        }
        Share::All
    }

    /// The messages that were rendered for the subscription `link`, if they still go in: the position after them and their bytes.
    #[cold]
    fn choose_rendered<'a>(
        &mut self,
        rendered: &'a Rendered,
        link: Link,
        sub: Sub,
        slices: &Slices<'a>,
    ) -> Option<(u64, &'a [u8])> {
        let Some(bytes) = rendered.find(self.owner, link, sub.next) else {
            self.unrendered = Some(link);
            return None;
        };
        slices.fits(bytes.len()).then(|| (rendered.next(), bytes))
    }
}

/// The next messages of `sub` in the log that it reads, as many as are in one segment and still go in: the position after them and
/// their bytes.
#[inline]
fn choose<'a>(reading: Reading<'a>, sub: Sub, slices: &Slices<'a>) -> Option<(u64, &'a [u8])> {
    let segment = reading.log.find(sub.next)?;
    let (to, range) = slices.choose(segment, sub.next, reading.until)?;
    Some((to, segment.slice(range)))
}

impl Hub {
    /// What is behind, in the commonest case: one subscription, and all that is behind in one piece. Then it is worth a plain
    /// `write` and no list of slices. Else nothing, which says nothing: call [`Hub::gather`].
    ///
    /// Like `gather`, it is followed by [`Hub::advance`].
    pub fn contiguous(&mut self, id: SubscriberId) -> Option<&[u8]> {
        let Links::One(link) = self.subscribers.get(id.0 as usize)?.links else {
            return None;
        };
        let channel = self.directory.get(link.channel)?;
        let sub = *channel.subs.get(link.index as usize)?;
        let Whole { bytes, until, slot } = channel.logs().whole(sub)?;
        self.plan.owner = id.0;
        self.plan.is_single = true;
        self.plan.single = Piece {
            link,
            from: sub.next,
            to: until,
            bytes: bytes.len(),
            slot,
            is_rendered: false,
        };
        Some(bytes)
    }

    /// Adds to `slices` what is behind in each subscription of `id`, as far as it goes in.
    ///
    /// Write them at once and tell [`Hub::advance`] how much of what was added here has gone out. When visits are cut, each
    /// begins with another subscription.
    pub fn gather<'a>(&'a mut self, id: SubscriberId, slices: &mut Slices<'a>) -> Gathered {
        let (directory, plan) = (&self.directory, &mut self.plan);
        let rendered = &self.rendered;
        plan.begin(id.0);
        let Some(subscriber) = self.subscribers.get_mut(id.0 as usize) else {
            return Gathered::default();
        };
        let mut gathered = Gathered::default();
        let mut take = |link| plan.take(directory, rendered, link, slices, &mut gathered);
        let cut = if self.dirty.are_few(subscriber) {
            let mut links = self.apart.and_dirty(&self.dirty, id.0, subscriber);
            links.find_map(&mut take)
        } else {
            subscriber.links.from(subscriber.first).find_map(&mut take)
        };
        if let Some(next) = cut {
            gathered.more = true;
            subscriber.first = next;
        }
        plan.more = gathered.more;
        gathered
    }

    /// Moves the cursors of `id` past what was written: `written` bytes of what the last `contiguous` or `gather` found for it.
    ///
    /// A short write means that the socket is full: the hub then takes `id` for blocked until [`Hub::set_blocked`] says
    /// otherwise.
    pub fn advance(&mut self, id: SubscriberId, written: usize) -> Advanced {
        if self.plan.owner != id.0 {
            return Advanced::default();
        }
        // The common case: all of what `contiguous` found was written.
        let plan = &mut self.plan;
        let piece = &plan.single;
        if plan.is_single
            && written >= piece.bytes
            && let Some(channel) = self.directory.get_mut(piece.link.channel)
            && let Some(sub) = channel.subs.get_mut(piece.link.index as usize)
            && let Some(subscriber) = self.subscribers.get_mut(id.0 as usize)
            && sub.flags & STRAGGLES == 0
        {
            sub.next = piece.to;
            subscriber.flags &= !CAUGHT_UP;
            plan.is_single = false;
            return Advanced {
                rest: None,
                more: false,
                delivered: piece.to - piece.from,
            };
        }
        self.advance_gathered(id, written)
    }

    #[inline(never)]
    fn advance_gathered(&mut self, id: SubscriberId, mut written: usize) -> Advanced {
        let mut delivered = 0;
        if std::mem::take(&mut self.plan.is_single) {
            self.plan.pieces.clear();
            self.plan.pieces.push(self.plan.single);
            self.plan.more = false;
        }
        for i in 0..self.plan.pieces.len() {
            let piece = self.plan.pieces[i];
            if written < piece.bytes {
                let mut advanced = self.stop(id, piece, written);
                advanced.delivered += delivered;
                return advanced;
            }
            written -= piece.bytes;
            delivered += piece.to - piece.from;
            self.move_cursor(piece.link, piece.to);
        }
        let more = self.plan.more;
        self.end_history(id.0, more);
        self.end_plan(id.0);
        if more {
            self.lag(id);
        } else if let Some(subscriber) = self.subscribers.get_mut(id.0 as usize) {
            if subscriber.is(APART) {
                self.apart.forget(id.0);
            }
            subscriber.flags &= !CAUGHT_UP;
        }
        Advanced {
            rest: None,
            more,
            delivered,
        }
    }

    /// The socket was full after `written` bytes of `piece`.
    #[cold]
    pub(super) fn stop(&mut self, id: SubscriberId, piece: Piece, written: usize) -> Advanced {
        let (rest, delivered) = self.stop_inside(piece, written);
        self.end_history(id.0, false);
        self.end_plan(id.0);
        self.set_blocked(id, true);
        Advanced {
            rest,
            more: false,
            delivered,
        }
    }

    /// Puts off the visit for which the last `gather` for `id` found nothing but what has to be rendered: the caller comes back to
    /// it by itself. Until then what `id` has to get is not trimmed, but for history.
    #[cold]
    pub fn postpone(&mut self, id: SubscriberId) {
        self.end_history(id.0, true);
        self.end_plan(id.0);
        self.note_lag(id);
    }

    /// Drops what was promised to `id`: it was written, or its subscriptions are not where they were.
    pub(super) fn end_plan(&mut self, id: u32) {
        self.plan.forget(id);
        self.rendered.clear();
    }

    /// Marks as lagging the subscriptions of `id` that had their history in this visit and are still behind, where it was cut.
    ///
    /// Not before that, since nobody waits for a subscriber that comes to the head, or is blocked, in the same visit.
    fn end_history(&mut self, id: u32, is_cut: bool) {
        let mut lags = false;
        for (owner, link) in self.plan.past_history.drain(..) {
            if is_cut
                && owner == id
                && let Some(channel) = self.directory.get_mut(link.channel)
                && let Some(sub) = channel.subs.get(link.index as usize)
                && sub.subscriber == id
            {
                lags |= channel.lag(link.index);
            }
        }
        if lags && let Some(subscriber) = self.subscribers.get_mut(id as usize) {
            subscriber.flags |= LAGS;
        }
    }

    #[inline]
    fn move_cursor(&mut self, link: Link, to: u64) {
        let Some(channel) = self.directory.get_mut(link.channel) else {
            return;
        };
        if let Some(sub) = channel.subs.get_mut(link.index as usize) {
            let from = std::mem::replace(&mut sub.next, to);
            let subscriber = sub.subscriber;
            if sub.flags & STRAGGLES != 0 && channel.passed(link.index, to - from) {
                self.plan.note_past_history(subscriber, link);
            }
        }
    }

    /// Moves a cursor past the messages of `piece` of which any byte went out: the rest of the last, and their number.
    fn stop_inside(&mut self, piece: Piece, written: usize) -> (Option<Remainder>, u64) {
        let Some((rest, next)) = self.rest_of(piece, written) else {
            return (None, 0);
        };
        self.move_cursor(piece.link, next);
        (rest, next - piece.from)
    }

    /// What is left of the message of `piece` that byte `written` falls into, and the position after it.
    fn rest_of(&self, piece: Piece, written: usize) -> Option<(Option<Remainder>, u64)> {
        if piece.is_rendered {
            return self.rendered.rest_of(piece, written);
        }
        let channel = self.directory.get(piece.link.channel)?;
        let segment = channel.log(piece.slot).find(piece.from)?;
        let from = (piece.from - segment.first) as usize;
        let offset = segment.start(from) + written;
        let message = segment.message_at(from, offset);
        let mut next = segment.first + message as u64;
        let mut rest = None;
        if offset > segment.start(message) {
            next += 1;
            let range = offset..segment.start(message + 1);
            rest = Some(match segment.share() {
                Some(segment) => Remainder::Held { segment, range },
                None => Remainder::Copied(segment.slice(range).to_vec()),
            });
        }
        Some((rest, next))
    }
}
