//! A channel: its logs, its subscribers' cursors, and how far the sweep has come among them.
//!
//! # The round and the circle
//!
//! The sweep walks over `subs` again and again, from `walked` on. Two things are counted:
//!
//! - **The round** says when the channel is clean. An append sets `left` to the number of subscribers; each look takes one
//!   off; at 0 everybody has been looked at since the newest message.
//! - **The circle** says what may be trimmed. It goes from the first subscriber to the last. Everybody in it was at the head
//!   as it stood at the circle's start, or was brought there by a visit, or is blocked, or *reads history*, or is *lagging*:
//!   behind although its socket is not full, because a visit was cut by its limits. So once around, `floor` rises to the head
//!   at the circle's start or to the last of those that lag. Nothing from the floor on is ever trimmed.
//!
//! A subscriber that **reads history** was placed behind by `subscribe`, and has not had all that was there then. It never
//! holds the floor: if it did, strangers could make publishers wait by asking for history again and again. The walk goes past
//! it, so that the others do not wait for it, either. It is owed a visit, which it gets in the next sweep, before anything is
//! trimmed, unless the sweep is cut short. Messages that are trimmed before it gets to them are a gap for it.
//!
//! Both must stay true while subscribers come and go in the middle of a walk: see [`Channel::remove`].
//!
//! A **large** channel waits at the end of each circle, and before the first, until it is told to go on: then the next circle
//! serves what came meanwhile in the same writes.

use std::rc::Rc;

use super::Reason;
use super::cursor::{HISTORY, LAGGING, Sub, history};
use super::epoch::{Epoch, Numbering};
use super::feeds::Feeds;
use super::log::Log;
use super::numbers::{Numbers, most_allocated};
use super::payload::Parts;
use super::policy::Policy;
use super::rate::Rate;
use super::reading::{Logs, Reading};
use super::slot::{DerivedLogs, Slot, SlotConfig, Source};
use super::subscriber::Bits;
use crate::channel::matcher::Matcher;
use crate::channel::topic::Topic;

/// Where a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Walked {
    /// At this subscriber, who is behind.
    To(u32),
    /// At the end of the budget.
    Spent,
    /// At the end of a circle, but not of the round.
    Around,
    /// Everybody has been looked at since the newest message.
    Clean,
}

#[derive(Debug)]
pub(super) struct Channel {
    /// Its name, which the directory has as well; a pattern's text.
    pub(super) name: Rc<str>,
    /// How the text stands for names, if this is a pattern's log.
    pub(super) matcher: Option<Matcher>,
    pub(super) epoch: Epoch,
    pub(super) policy: Policy,
    /// Its messages as they were published.
    pub(super) base: Log,
    /// Its messages in the other slots, where one is in use.
    pub(super) derived: Option<Box<DerivedLogs>>,
    /// What clients see in place of positions, where a broker numbers it.
    pub(super) numbers: Option<Box<Numbers>>,
    /// The patterns' logs that its messages go to as well.
    pub(super) feeds: Feeds,
    /// The position of the oldest message held; that of the next if none is.
    pub(super) tail: u64,
    pub(super) subs: Vec<Sub>,

    /// Where the sweep looks next.
    pub(super) walked: u32,
    /// How many are to be looked at until all have been since the newest message.
    pub(super) left: u32,
    /// How many are lagging.
    pub(super) lagging: u32,
    /// The end as it was when the circle began.
    pub(super) circle: u64,
    /// Nothing from this position on is trimmed, and how many bytes of the base log come before it.
    floor: u64,
    floor_offset: u64,

    /// Whether it is in the queue of dirty channels, or waits to go back into it.
    pub(super) dirty: bool,
    /// Whether it had many subscribers when it last began a circle: it waits before the next.
    pub(super) large: bool,
    /// Whether it is in the list of those to trim.
    pub(super) touched: bool,
    /// Whether it has been forgotten, and is only there until the queues that have its number have dropped it.
    pub(super) gone: bool,
    /// Whether its publishers were told to wait.
    pub(super) congested: bool,
    /// Since when it is [idle](Channel::is_idle), if it is.
    pub(super) idle_since: u64,
    /// How fast is published there.
    pub(super) rate: Rate,
}

impl Channel {
    /// An empty channel. Its logs' segments double up to `largest` bytes.
    pub(super) fn new(
        topic: Topic<'_>,
        numbering: Numbering,
        policy: Policy,
        largest: u32,
        now: u64,
    ) -> Self {
        let (epoch, numbers) = match numbering {
            Numbering::Hub(epoch) => (epoch, None),
            Numbering::Broker { epoch, after } => (epoch, Some(Box::new(Numbers::new(1, after)))),
        };
        Self {
            name: topic.text().into(),
            matcher: match topic {
                Topic::Channel(_) => None,
                Topic::Pattern(matcher, _) => Some(matcher),
            },
            epoch,
            policy,
            base: Log::new(1, largest),
            derived: None,
            numbers,
            feeds: Feeds::default(),
            tail: 1,
            subs: Vec::new(),
            walked: 0,
            left: 0,
            lagging: 0,
            circle: 1,
            floor: 1,
            floor_offset: 0,
            dirty: false,
            large: false,
            touched: false,
            gone: false,
            congested: false,
            idle_since: now,
            rate: Rate::new(1, now),
        }
    }

    /// Begins anew at `position`, without messages. It has no subscribers.
    #[cfg(feature = "server")]
    pub(super) fn begin_at(&mut self, position: u64) {
        self.base = Log::new(position, self.base.largest());
        (self.tail, self.circle) = (position, position);
        self.set_floor(position);
    }

    /// What it is the log of.
    pub(super) fn topic(&self) -> Topic<'_> {
        match self.matcher {
            None => Topic::Channel(&self.name),
            Some(matcher) => Topic::Pattern(matcher, &self.name),
        }
    }

    /// Whether it is a pattern's log. Its readers hold no publisher, and no more of it than [`Channel::trim`] allows.
    pub(super) fn is_pattern(&self) -> bool {
        self.matcher.is_some()
    }

    /// Whether nobody needs it: a channel has neither message nor subscriber, a pattern's log has no subscriber.
    pub(super) fn is_idle(&self) -> bool {
        self.subs.is_empty() && (self.is_pattern() || self.messages() == 0)
    }

    /// The position that the next message gets: where the cursor of somebody at the head stands.
    pub(super) fn end(&self) -> u64 {
        self.base.next()
    }

    /// How many messages it holds.
    pub(super) fn messages(&self) -> u64 {
        self.end() - self.tail
    }

    /// The framed bytes of the messages it holds.
    pub(super) fn bytes(&self) -> u64 {
        self.base.written() - self.base.offset(self.tail)
    }

    /// Bytes of memory that its logs take, indexes included.
    pub(super) fn allocated(&self) -> usize {
        let derived = self.derived.as_ref();
        let numbers = self.numbers.as_ref();
        self.base.allocated()
            + derived.map_or(0, |logs| logs.allocated())
            + numbers.map_or(0, |numbers| numbers.allocated())
    }

    /// The seq of the message at `position`, which is held.
    pub(super) fn seq(&self, position: u64) -> u64 {
        let numbers = self.numbers.as_ref();
        numbers.map_or(position, |numbers| numbers.at(position))
    }

    /// The seq of the newest message, held or not; before the first, the seq after which the epoch's begin.
    pub(super) fn newest_seq(&self) -> u64 {
        let numbers = self.numbers.as_ref();
        numbers.map_or(self.end() - 1, |numbers| numbers.newest())
    }

    /// The seq of the oldest message held; if none is, the one after the newest.
    pub(super) fn oldest_seq(&self) -> u64 {
        let Some(numbers) = &self.numbers else {
            return self.tail;
        };
        numbers
            .oldest()
            .unwrap_or(numbers.newest().saturating_add(1))
    }

    /// The seq after which all of the epoch's messages are held.
    pub(super) fn lost_seq(&self) -> u64 {
        let numbers = self.numbers.as_ref();
        numbers.map_or(self.tail - 1, |numbers| numbers.lost())
    }

    /// The position of the first message after `seq`, which is neither before [`Channel::lost_seq`] nor after
    /// [`Channel::newest_seq`].
    pub(super) fn position_after(&self, seq: u64) -> u64 {
        let numbers = self.numbers.as_ref();
        numbers.map_or(seq + 1, |numbers| numbers.after(seq))
    }

    /// Whether a cursor at `next` comes from another epoch.
    pub(super) fn is_foreign(&self, next: u64) -> bool {
        let numbers = self.numbers.as_ref();
        numbers.is_some_and(|numbers| numbers.is_foreign(next))
    }

    /// The cursor of `subscriber` was lapped at `from` and goes on at `to`: the seqs that it misses, from the first to the
    /// last, and why.
    pub(super) fn missed(&mut self, subscriber: u32, from: u64, to: u64) -> (u64, u64, Reason) {
        match &mut self.numbers {
            None => (from, to - 1, Reason::Slow),
            Some(numbers) => numbers.settle(subscriber, from, to),
        }
    }

    /// Gives the newest message its number, where a broker does; says how many bytes that took.
    pub(super) fn number(&mut self, seq: u64) -> usize {
        let Some(numbers) = &mut self.numbers else {
            return 0;
        };
        let before = numbers.allocated();
        numbers.push(seq);
        numbers.allocated() - before
    }

    /// How many bytes of memory it takes at most once it holds a frame of `len` bytes as the newest, and nothing that can
    /// go.
    pub(super) fn least_with(&self, len: usize, now: u64) -> usize {
        let numbers = match &self.numbers {
            None => 0,
            Some(_) if self.base.fits(len, now) => most_allocated(self.base.last().len() + 1),
            Some(_) => most_allocated(1),
        };
        self.base.newest_with(len, now) + numbers
    }

    /// Begins an epoch in which a broker numbers it from after `after` on. What it holds goes, and every cursor is lapped.
    pub(super) fn begin_epoch(&mut self, epoch: Epoch, after: u64) {
        // No message has the position that is left out, so cursors at the head are before the tail, too.
        self.base.skip();
        if let Some(derived) = &mut self.derived {
            derived.skip();
        }
        self.tail = self.end();
        self.set_floor(self.tail);
        self.epoch = epoch;
        self.numbers = Some(Box::new(Numbers::new(self.tail, after)));
    }

    /// Lets go of all before `position`, be somebody behind or not.
    pub(super) fn clear(&mut self, position: u64) {
        self.tail = self.tail.max(position);
        if self.floor < self.tail {
            self.set_floor(self.tail);
        }
    }

    /// Leaves out a message that has the number `seq`, with all before it. A subscriber that has still to get any is lapped. True if the
    /// channel was clean, and has to be queued.
    pub(super) fn leave_out(&mut self, seq: u64) -> bool {
        let (end, written) = (self.end(), self.base.written());
        self.base.skip();
        if let Some(derived) = &mut self.derived {
            derived.skip();
        }
        if let Some(numbers) = &mut self.numbers {
            numbers.push(seq);
        }
        let soiled = self.begin_round(end, written);
        self.clear(self.end());
        self.release();
        soiled
    }

    /// Gives back the segments and the numbers before the tail.
    pub(super) fn release(&mut self) {
        let tail = self.tail;
        self.base.release(tail);
        if let Some(derived) = &mut self.derived {
            derived.release(tail);
        }
        if let Some(numbers) = &mut self.numbers {
            let cursors = self.subs.iter().map(|sub| (sub.subscriber, sub.next));
            numbers.release(tail, cursors);
        }
    }

    /// Counts one more user of `slot`, whose log begins at the head if there is none.
    pub(super) fn enter(&mut self, slot: Slot, config: SlotConfig) {
        if slot != Slot::BASE {
            let (end, largest) = (self.end(), self.base.largest());
            let derived = self.derived.get_or_insert_default();
            derived.enter(slot, config, end, largest);
        }
    }

    /// Counts one user of `slot` less.
    pub(super) fn leave(&mut self, slot: Slot) {
        if slot != Slot::BASE
            && let Some(derived) = &mut self.derived
        {
            derived.leave(slot);
            if derived.is_empty() {
                self.derived = None;
            }
        }
    }

    /// What its messages have in common.
    pub(super) fn messages_of(&self, read: fn(&[u8]) -> Option<Parts<'_>>) -> Source<'_> {
        Source {
            topic: self.topic(),
            epoch: &self.epoch,
            read,
        }
    }

    /// Adds a subscription, at the head or reading history, and returns its place.
    pub(super) fn push(&mut self, sub: Sub) -> u32 {
        if self.subs.is_empty() {
            self.set_floor(self.end());
            // Most channels of a daemon with very many have one subscriber.
            self.subs.reserve_exact(1);
        }
        if let Some(numbers) = &mut self.numbers {
            numbers.place(sub.next);
        }
        self.subs.push(sub);
        if self.dirty {
            // The walk may have to go past the newcomer to those it has not seen.
            self.left = (self.left + 1).min(self.subs.len() as u32);
        }
        (self.subs.len() - 1) as u32
    }

    /// Removes the subscription at `index` and tells `moved` of each that changed its place, with the new one.
    ///
    /// Those the walk has passed in this circle stay before `walked` and the others stay behind it, so that nobody is
    /// missed: a hole among the former is filled from just before `walked`, and only the hole at the border from the end.
    /// The round may get one look longer than need be, never shorter.
    pub(super) fn remove(&mut self, index: u32, mut moved: impl FnMut(Sub, u32)) -> Option<Sub> {
        let mut hole = index as usize;
        let removed = *self.subs.get(hole)?;
        if removed.flags & LAGGING != 0 {
            self.lagging -= 1;
        }
        if let Some(numbers) = &mut self.numbers {
            numbers.forget(removed.subscriber);
        }
        let last = self.subs.len() - 1;
        if index < self.walked {
            self.walked -= 1;
            let border = self.walked as usize;
            if border != hole {
                self.subs[hole] = self.subs[border];
                moved(self.subs[hole], hole as u32);
                hole = border;
            }
        }
        self.subs.swap_remove(hole);
        if hole != last {
            moved(self.subs[hole], hole as u32);
        }
        self.left = (self.left + 1).min(last as u32);
        if !self.dirty {
            self.left = 0;
        }
        if last * 4 < self.subs.capacity() {
            self.subs.shrink_to(last * 2);
        }
        Some(removed)
    }

    /// Begins a round after an append; true if the channel was clean, and has to be queued.
    pub(super) fn begin_round(&mut self, end_before: u64, written_before: u64) -> bool {
        self.left = self.subs.len() as u32;
        if self.dirty || self.subs.is_empty() {
            return false;
        }
        if self.lagging == 0 {
            // It was clean: whoever can be written to was at the head.
            self.floor = end_before;
            self.floor_offset = written_before;
        }
        self.walked = 0;
        self.dirty = true;
        true
    }

    /// The shortest way [`Channel::walk`] can go: one look, in the middle of a circle, that finds somebody to visit. Without
    /// that nothing changes.
    #[inline]
    pub(super) fn step(&mut self, blocked: &Bits) -> Option<u32> {
        let sub = self.subs.get(self.walked as usize)?;
        let found =
            sub.next < self.base.next() && sub.flags & HISTORY == 0 && !blocked.get(sub.subscriber);
        if !found || self.walked == 0 || self.left == 0 {
            return None;
        }
        self.walked += 1;
        self.left -= 1;
        Some(sub.subscriber)
    }

    /// Looks for the next subscriber that is behind, not blocked and does not read history; takes the looks off `budget`.
    pub(super) fn walk(&mut self, budget: &mut u32, blocked: &Bits) -> Walked {
        let end = self.end();
        while self.left != 0 {
            if *budget == 0 {
                return Walked::Spent;
            }
            let Some(&sub) = self.subs.get(self.walked as usize) else {
                self.walked = 0;
                self.raise_floor(self.circle);
                return Walked::Around;
            };
            if self.walked == 0 {
                self.circle = end;
            }
            self.walked += 1;
            self.left -= 1;
            *budget -= 1;
            if sub.next < end && sub.flags & HISTORY == 0 && !blocked.get(sub.subscriber) {
                return Walked::To(sub.subscriber);
            }
        }
        Walked::Clean
    }

    /// Leaves the dirty queue. The last look's visit is over, so the floor rises to the head or to those who lag.
    pub(super) fn end_round(&mut self) {
        self.dirty = false;
        self.walked = 0;
        self.raise_floor(self.end());
    }

    /// Moves the floor up to `reached`, or to the last of those who lag.
    #[cold]
    fn raise_floor(&mut self, reached: u64) {
        let mut floor = reached;
        if self.lagging != 0 {
            for sub in &self.subs {
                if sub.flags & LAGGING != 0 {
                    floor = floor.min(sub.next);
                }
            }
        }
        // Between two walks it can only have risen; who began to lag further behind lowered it when that happened.
        self.set_floor(floor.max(self.floor));
    }

    /// Marks the subscription at `index` as lagging if it is behind and does not read history; true if it is. One that was lapped
    /// has nothing to lose, unless it was by another epoch: then what is held of that is still to be got.
    pub(super) fn lag(&mut self, index: u32) -> bool {
        let (end, tail) = (self.end(), self.tail);
        let Some(sub) = self.subs.get_mut(index as usize) else {
            return false;
        };
        if sub.next >= end || sub.flags & HISTORY != 0 {
            return false;
        }
        let numbers = self.numbers.as_ref();
        if sub.next < tail && !numbers.is_some_and(|numbers| numbers.is_foreign(sub.next)) {
            return false;
        }
        let next = sub.next.max(tail);
        if sub.flags & LAGGING == 0 {
            sub.flags |= LAGGING;
            self.lagging += 1;
        }
        if next < self.floor {
            self.set_floor(next);
        }
        true
    }

    /// Notes that the subscription at `index` has got past `messages` more, and takes off the marks that hold no longer. True if
    /// it read history until now and is still behind: then it may have to lag.
    #[cold]
    pub(super) fn passed(&mut self, index: u32, messages: u64) -> bool {
        let end = self.end();
        let Some(sub) = self.subs.get_mut(index as usize) else {
            return false;
        };
        let read_history = sub.flags & HISTORY != 0;
        let unread = (sub.flags & HISTORY).saturating_sub(history(messages));
        sub.flags = (sub.flags & !HISTORY) | unread;
        if sub.next >= end {
            sub.flags &= !HISTORY;
            self.unlag(index);
            return false;
        }
        read_history
    }

    /// Whether the subscription at `index` is behind.
    pub(super) fn is_behind(&self, index: u32) -> bool {
        let sub = self.subs.get(index as usize);
        sub.is_some_and(|sub| sub.next < self.end())
    }

    /// Takes the mark of lagging off the subscription at `index`.
    pub(super) fn unlag(&mut self, index: u32) {
        if let Some(sub) = self.subs.get_mut(index as usize)
            && sub.flags & LAGGING != 0
        {
            sub.flags &= !LAGGING;
            self.lagging -= 1;
        }
    }

    /// A position from which on nothing is trimmed, as of the last circle. The true floor may be higher.
    pub(super) fn known_floor(&self) -> u64 {
        self.floor
    }

    /// The position from which on nothing is trimmed.
    pub(super) fn floor(&mut self) -> u64 {
        if self.subs.is_empty() {
            self.set_floor(self.end());
        } else if !self.dirty {
            self.raise_floor(self.end());
        }
        self.floor
    }

    fn set_floor(&mut self, floor: u64) {
        if floor != self.floor {
            self.floor = floor;
            self.floor_offset = self.base.offset(floor);
        }
    }

    /// Whether those who read have more to get than half of the window: then its publishers wait for the sweep, if it is a channel.
    ///
    /// The other half is for those whose socket is full for a moment. Nobody waits for them, and at the very end of the
    /// window they would be lapped at once. A pattern's log holds `retain_bytes` for those who read, whatever else its policy says.
    pub(super) fn is_crowded(&self) -> bool {
        let protected = self.end().saturating_sub(self.floor);
        let bytes = self.base.written().saturating_sub(self.floor_offset);
        let Policy {
            retain_messages,
            retain_bytes,
            ..
        } = self.policy;
        protected > 1
            && !self.subs.is_empty()
            && (!retain_bytes.admits(bytes.saturating_mul(2))
                || (!retain_messages.admits(protected.saturating_mul(2)) && !self.is_pattern()))
    }

    /// The log that a subscription reads its next message from.
    #[inline]
    pub(super) fn reading(&self, sub: Sub) -> Reading<'_> {
        self.logs().reading(sub)
    }

    /// What there is to read from.
    #[inline]
    pub(super) fn logs(&self) -> Logs<'_> {
        Logs {
            base: &self.base,
            derived: self.derived.as_deref(),
            tail: self.tail,
        }
    }

    /// The log of `slot`; the base log if that slot is not in use.
    pub(super) fn log(&self, slot: Slot) -> &Log {
        let derived = self.derived.as_ref().and_then(|logs| logs.find(slot));
        derived.map_or(&self.base, |derived| &derived.log)
    }
}
