//! The order of visits.
//!
//! Two queues take turns. The dirty channels, each with its round (see `channel.rs`), bring everybody an append left behind.
//! The due subscribers are those behind that no round would bring: their visit was cut by its limits, they were blocked and
//! are not any more, or `subscribe` placed them behind.

use std::fmt;

use super::channel::Walked;
use super::subscriber::{APART, DUE, LAGS, Link, MARKED, QUEUED, SCATTERED};
use super::{Gap, Hub, OnLag, SubscriberId};

/// What a dirty channel spends before the next one's turn: a look costs 1, a visit 64. So 64 visits, or a walk over 4,096 that
/// need none.
const TURN: u32 = 4096;
/// What a visit costs beyond the look.
pub(super) const VISIT: u32 = 63;
/// How many looks that find nobody a run makes before its caller looks at the clock: most of a millisecond's worth. The
/// beginning of a channel's turn counts as [`TURN_BEGINS`] of them.
pub(super) const LOOKS_IN_VAIN: u32 = 16 * TURN;
/// What it costs to begin with another channel, in looks.
const TURN_BEGINS: u32 = 16;
/// How many due subscribers are visited between two dirty channels' turns. Their visits are large, and those who ask for history
/// should not keep those waiting who have what is new to get.
const DUE_TURN: u32 = 16;
/// How many gaps a visit reports at most, so that one with thousands of lapped subscriptions does not fill its outbox.
const GAPS: usize = 64;

/// A subscriber fell behind on a channel whose policy is to close then.
#[derive(Clone, PartialEq, Eq)]
pub struct TooSlow {
    /// The channel's name or the pattern's text.
    pub topic: Box<str>,
    /// Whether it is a pattern.
    pub is_pattern: bool,
}

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_pattern {
            "pattern"
        } else {
            "channel"
        };
        write!(
            f,
            "the subscriber fell behind what {kind} {} holds",
            self.topic
        )
    }
}

impl std::error::Error for TooSlow {}

crate::words::in_words!(TooSlow);

impl Hub {
    /// The next subscriber to visit: it is not blocked and probably behind. `None` when there is nobody left.
    ///
    /// It has to be visited, blocked or detached before the next call.
    pub fn next_behind(&mut self) -> Option<SubscriberId> {
        self.next_within(u32::MAX)
    }

    /// The same, but `None` also after about so many looks that found nobody: then [`Hub::has_work`] says that there are
    /// more to look at.
    #[inline]
    pub(super) fn next_within(&mut self, looks: u32) -> Option<SubscriberId> {
        // The common case: the next in the front channel's list is behind and can be written to.
        if self.due_budget == 0
            && let Some(&index) = self.dirty.queue.front()
            && let Some(channel) = self.directory.get_mut(index)
            && self.budget > VISIT
            && let Some(subscriber) = channel.step(&self.blocked)
        {
            self.budget -= VISIT + 1;
            return Some(SubscriberId(subscriber));
        }
        self.next_turn(looks)
    }

    /// Goes on to the due and to the next dirty channel, until there is somebody to visit or too many looks were in vain.
    #[inline(never)]
    fn next_turn(&mut self, mut looks: u32) -> Option<SubscriberId> {
        while looks != 0 {
            if self.due_budget != 0 {
                self.due_budget -= 1;
                if let Some(id) = self.next_due() {
                    return Some(id);
                }
                self.due_budget = 0;
            }
            let Some(&index) = self.dirty.queue.front() else {
                return self.next_due();
            };
            let budget = self.budget;
            let walked = self.walk(index);
            looks = looks.saturating_sub(budget - self.budget);
            match walked {
                Walked::To(subscriber) => {
                    self.budget = self.budget.saturating_sub(VISIT);
                    return Some(SubscriberId(subscriber));
                }
                Walked::Spent => self.dirty.queue.push_back(index),
                Walked::Around => {
                    self.dirty.large -= self.leave_circle(index);
                    if !self.waits(index) {
                        continue;
                    }
                }
                Walked::Clean => {
                    self.dirty.large -= self.leave_circle(index);
                    self.bury(index);
                }
            }
            self.dirty.queue.pop_front();
            self.budget = TURN;
            self.due_budget = DUE_TURN;
            looks = looks.saturating_sub(TURN_BEGINS);
        }
        None
    }

    /// Goes on in a dirty channel.
    fn walk(&mut self, index: u32) -> Walked {
        let Some(channel) = self.directory.get_mut(index) else {
            return Walked::Clean;
        };
        let walked = channel.walk(&mut self.budget, &self.blocked);
        if walked == Walked::Clean {
            channel.end_round();
        }
        walked
    }

    /// A channel is at the end of its round or circle: says how many large ones, 0 or 1, are in a circle no longer.
    fn leave_circle(&mut self, index: u32) -> usize {
        let channel = self.directory.get_mut(index);
        channel.map_or(0, |channel| usize::from(std::mem::take(&mut channel.large)))
    }

    /// Has a channel at the beginning of a circle wait for [`Hub::begin_circles`], if it is large: says whether it does.
    fn waits(&mut self, index: u32) -> bool {
        let large = self.config.large;
        let Some(channel) = self.directory.get_mut(index) else {
            return false;
        };
        channel.large = large != 0 && channel.subs.len() >= large;
        if !channel.large {
            return false;
        }
        // If its publishers wait for it, it does not wait.
        if channel.congested {
            self.dirty.large += 1;
            return false;
        }
        self.dirty.waiting.push(index);
        true
    }

    /// Queues a channel that has just become dirty.
    pub(super) fn soil(&mut self, index: u32) {
        if !self.waits(index) {
            self.dirty.queue.push_back(index);
        }
    }

    /// Begins a circle in each large channel that was published to: those of its subscribers that are behind will be
    /// named, and get what is published until their turn has come. Does nothing without [`super::HubConfig::large`].
    pub fn begin_circles(&mut self) {
        self.dirty.begin_circles();
    }

    /// Whether there are large channels that wait for [`Hub::begin_circles`].
    pub fn has_waiting(&self) -> bool {
        !self.dirty.waiting.is_empty()
    }

    /// Whether a circle that [`Hub::begin_circles`] began is not over.
    pub fn is_in_circle(&self) -> bool {
        self.dirty.large != 0
    }

    /// How many messages were ever published to channels that were large at that moment.
    pub fn large_published(&self) -> u64 {
        self.large_published
    }

    /// Whether `next_behind` may have somebody to name: then the caller should not wait for events before it sweeps again.
    /// Nobody is named for the sake of a channel that waits for `begin_circles`.
    pub fn has_work(&self) -> bool {
        !self.dirty.queue.is_empty() || !self.due.is_empty()
    }

    fn next_due(&mut self) -> Option<SubscriberId> {
        while let Some(id) = self.due.pop_front() {
            let Some(subscriber) = self.subscribers.get_mut(id as usize) else {
                continue;
            };
            let due = subscriber.is(DUE);
            subscriber.flags &= !(QUEUED | DUE);
            // A blocked subscriber gets in again when it no longer is blocked.
            if due && !self.blocked.get(id) {
                return Some(SubscriberId(id));
            }
        }
        None
    }

    /// Queues a visit to `id`.
    pub(super) fn owe(&mut self, id: u32) {
        if let Some(subscriber) = self.subscribers.get_mut(id as usize) {
            subscriber.flags |= DUE;
            if !subscriber.is(QUEUED) {
                subscriber.flags |= QUEUED;
                self.due.push_back(id);
            }
        }
    }

    /// Says whether `id` can't be written to, because its socket is full or something else has to go out first.
    ///
    /// A blocked subscriber is not named by `next_behind` and may be lapped. Once it no longer is blocked and there is something for it,
    /// it will be named.
    pub fn set_blocked(&mut self, id: SubscriberId, blocked: bool) {
        if self.blocked.get(id.0) == blocked {
            return;
        }
        self.blocked.set(id.0, blocked);
        let Some(subscriber) = self.subscribers.get_mut(id.0 as usize) else {
            return;
        };
        if blocked {
            let mut unlag = |link: Link| {
                if let Some(channel) = self.directory.get_mut(link.channel) {
                    channel.unlag(link.index);
                }
            };
            if subscriber.is(LAGS) && subscriber.is(APART) {
                let links = self.apart.links(id.0, subscriber, 0);
                links.for_each(&mut unlag);
            } else if subscriber.is(LAGS) {
                subscriber.links.from(0).for_each(&mut unlag);
            }
            if subscriber.is(APART) {
                self.apart.forget(id.0);
            }
            subscriber.flags &= !(LAGS | MARKED | APART);
            subscriber.flags |= SCATTERED;
        } else if self.is_behind(id) {
            self.owe(id.0);
        }
    }

    /// Whether `id` can't be written to, as far as the hub was told.
    pub fn is_blocked(&self, id: SubscriberId) -> bool {
        self.blocked.get(id.0)
    }

    /// Whether there is something for `id`. Looks at each of its subscriptions.
    pub fn is_behind(&self, id: SubscriberId) -> bool {
        let Some(subscriber) = self.subscribers.get(id.0 as usize) else {
            return false;
        };
        subscriber.links.from(0).any(|link| {
            let channel = self.directory.get(link.channel);
            channel.is_some_and(|channel| channel.is_behind(link.index))
        })
    }

    /// Owes `id` another visit, since the last left something. What it still has to get is not trimmed, but for history.
    pub(super) fn lag(&mut self, id: SubscriberId) {
        self.note_lag(id);
        self.owe(id.0);
    }

    /// Notes where `id` is behind after a visit. What it still has to get is not trimmed, but for history.
    pub(super) fn note_lag(&mut self, id: SubscriberId) {
        let Some(subscriber) = self.subscribers.get_mut(id.0 as usize) else {
            return;
        };
        let (mut lags, mut behind) = (false, Vec::new());
        let mut lag = |link: Link| {
            if let Some(channel) = self.directory.get_mut(link.channel) {
                lags |= channel.lag(link.index);
                if channel.is_behind(link.index) {
                    behind.push(link.channel);
                }
            }
        };
        let unmarked = subscriber.flags & (SCATTERED | MARKED) == SCATTERED;
        if unmarked || subscriber.links.len() <= self.dirty.len() {
            subscriber.links.from(0).for_each(&mut lag);
        } else {
            // Where else it is behind, it is marked already.
            self.dirty.links(subscriber).for_each(&mut lag);
        }
        if unmarked {
            subscriber.flags |= MARKED;
        }
        if lags {
            subscriber.flags |= LAGS;
        }
        for channel in behind {
            self.apart.note(id.0, subscriber, channel);
        }
    }

    /// Places the cursors of `id` that have been lapped as their channels' policies say, and reports what they miss.
    ///
    /// The gaps have to go out before what `gather` then finds. At most 64 a call, so that a subscriber lapped on thousands
    /// of channels does not fill its outbox; it gets another visit for the rest.
    ///
    /// # Errors
    ///
    /// If the policy of any of these channels is to close. Then nothing was reported, and its cursors are where they were; it
    /// should be detached.
    pub fn settle(
        &mut self,
        id: SubscriberId,
        mut report: impl FnMut(Gap<'_>),
    ) -> Result<(), TooSlow> {
        let lapped = self.lapped(id)?;
        if lapped.is_empty() {
            return Ok(());
        }
        self.end_plan(id.0);
        for link in lapped {
            let Some(channel) = self.directory.get_mut(link.channel) else {
                continue;
            };
            let (tail, end) = (channel.tail, channel.end());
            let Some(sub) = channel.subs.get_mut(link.index as usize) else {
                continue;
            };
            let to = match channel.policy.on_lag {
                OnLag::Skip | OnLag::Close => tail,
                // The newest, or the head if even that is no longer held.
                OnLag::Latest => (end - 1).max(tail),
            };
            let from = std::mem::replace(&mut sub.next, to);
            if channel.passed(link.index, to - from) {
                self.plan.note_past_history(id.0, link);
            }
            let (from, to, reason) = channel.missed(id.0, from, to);
            report(Gap {
                topic: channel.topic(),
                epoch: channel.epoch.as_str(),
                from,
                to,
                reason,
            });
        }
        Ok(())
    }

    /// The subscriptions of `id` that have been lapped, as many as a visit reports.
    fn lapped(&self, id: SubscriberId) -> Result<Vec<Link>, TooSlow> {
        let mut lapped = Vec::new();
        let Some(subscriber) = self.subscribers.get(id.0 as usize) else {
            return Ok(lapped);
        };
        let mut look = |link: Link| {
            let Some(channel) = self.directory.get(link.channel) else {
                return Ok(());
            };
            let Some(sub) = channel.subs.get(link.index as usize) else {
                return Ok(());
            };
            if sub.next >= channel.tail {
                return Ok(());
            }
            if channel.policy.on_lag == OnLag::Close && !channel.is_foreign(sub.next) {
                return Err(TooSlow {
                    topic: (*channel.name).into(),
                    is_pattern: channel.is_pattern(),
                });
            }
            if lapped.len() < GAPS {
                lapped.push(link);
            }
            Ok(())
        };
        if self.dirty.are_few(subscriber) {
            let mut links = self.apart.and_dirty(&self.dirty, id.0, subscriber);
            links.try_for_each(&mut look)?;
        } else {
            subscriber.links.from(0).try_for_each(&mut look)?;
        }
        Ok(lapped)
    }
}
