//! Requests that wait for their answers, found by their ids.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::Tag;
use crate::client::feature::Features;
use crate::client::topic_name::TopicName;

/// What waits for an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    Publish(Publish),
    Batch(Batch),
    Subscribe(Target),
    Unsubscribe(Target),
    /// A token, which is sent anew with the next connection.
    Auth,
}

/// A publish with an id of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Publish {
    pub(super) tag: Tag,
    /// What it takes to repeat it after a loss, where that is done.
    pub(super) kept: Option<Box<Kept>>,
}

/// A request that is repeated after a loss.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    text: Box<[u8]>,
    /// What the server must have for it.
    needs: Features,
    /// When it went out first; `None` where it did not yet.
    sent: Option<Instant>,
}

/// A subscription: what it is to and its number, since that may be subscribed to again before an old answer comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) topic: TopicName,
    pub(super) number: u64,
}

/// Publishes without ids of their own, whose end a ping with the batch's id marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    /// What the program called the first and the last.
    pub(super) first: u64,
    pub(super) last: u64,
    /// How many they are.
    pub(super) count: usize,
}

/// From this many bytes of repeated requests on, their answers are waited for before more are repeated: a server stops reading from
/// a client that asks without end and takes no answers.
const REPEATED_AT_ONCE: usize = 32 << 10;

/// What a request that is kept takes beside its bytes.
const KEPT_BESIDE: usize = 96;

/// How long after it went out first a request is repeated at most: a server remembers a key for five minutes, and a repeat takes a while.
const KEYS_LAST: Duration = Duration::from_secs(240);

/// The requests. Ids are given out in order and answered nearly so: a ring that begins with the oldest one unanswered
/// finds each at once.
#[derive(Debug, Default)]
pub(super) struct Unanswered {
    /// The id of `ring[0]`.
    oldest: u64,
    /// `None` where the answer came already; never at the front.
    ring: VecDeque<Option<Waiting>>,
    /// The batch under way: not ended, not sent, and the newest of the ring's batches.
    open_batch: Option<u64>,
    /// How many publishes wait, each of a batch counted.
    publishes: usize,
    /// How many subscribes wait.
    subscribes: usize,
    /// How many messages of batches wait.
    batched: usize,
    /// How many requests wait that are no publishes.
    others: usize,
    /// What the requests take that are kept.
    kept_bytes: usize,
    /// How many are kept.
    kept: usize,
    /// The ids of those that this connection is to be sent again, and was not yet.
    to_repeat: Range<u64>,
    /// What the requests take that were sent again and wait.
    repeated_bytes: usize,
}

/// An answer whose kind does not fit the request that has its id.
#[derive(Debug)]
pub(super) struct Misfit;

impl Unanswered {
    /// How many publishes wait, each of a batch counted.
    pub(super) fn publishes(&self) -> usize {
        self.publishes
    }

    /// How many subscribes wait.
    pub(super) fn subscribes(&self) -> usize {
        self.subscribes
    }

    /// How many messages of batches wait.
    pub(super) fn batched(&self) -> usize {
        self.batched
    }

    /// What the requests take that are kept, in bytes.
    pub(super) fn kept_bytes(&self) -> usize {
        self.kept_bytes
    }

    /// Whether requests are kept.
    pub(super) fn has_kept(&self) -> bool {
        self.kept > 0
    }

    /// Whether there may be requests to send again.
    pub(super) fn has_to_repeat(&self) -> bool {
        !self.to_repeat.is_empty()
    }

    /// The next request to send again; nothing if there is none, or if answers must come first.
    pub(super) fn repeat(&mut self) -> Option<&[u8]> {
        if self.repeated_bytes >= REPEATED_AT_ONCE {
            return None;
        }
        let id = self.next_to_repeat()?;
        self.to_repeat.start = id + 1;
        let at = usize::try_from(id - self.oldest).ok()?;
        let waiting = self.ring.get(at)?.as_ref()?;
        self.repeated_bytes += waiting.kept_bytes();
        Some(&waiting.kept()?.text)
    }

    /// The id of the next request to send again. Some may be answered already, whatever the server means by that.
    fn next_to_repeat(&mut self) -> Option<u64> {
        let start = self.to_repeat.start.max(self.oldest);
        let at = usize::try_from(start - self.oldest).ok()?;
        let mut waiting = (start..self.to_repeat.end).zip(self.ring.iter().skip(at));
        let found = waiting.find(|(_, slot)| slot.as_ref().is_some_and(|it| it.kept().is_some()));
        let id = found.map(|(id, _)| id);
        self.to_repeat.start = id.unwrap_or(self.to_repeat.end);
        id
    }

    /// How many ids are between the oldest request that waits and the newest. A server that never answers one of them keeps all of
    /// these in memory.
    pub(super) fn span(&self) -> usize {
        self.ring.len()
    }

    /// Whether a request waits that was sent; publishes from `unsent` on were not.
    pub(super) fn is_owed_an_answer(&self, unsent: Option<u64>) -> bool {
        let sent = !self.ring.is_empty() && unsent.is_none_or(|unsent| self.oldest < unsent);
        sent || self.others > 0
    }

    /// The id that the next request gets.
    pub(super) fn next_id(&self) -> u64 {
        self.oldest + self.ring.len() as u64
    }

    /// Notes a request; its id.
    pub(super) fn add(&mut self, waiting: Waiting) -> u64 {
        let id = self.next_id();
        self.publishes += waiting.publishes();
        self.subscribes += waiting.subscribes();
        self.batched += waiting.batched();
        self.others += waiting.others();
        self.kept += usize::from(waiting.kept().is_some());
        self.kept_bytes += waiting.kept_bytes();
        self.ring.push_back(Some(waiting));
        id
    }

    /// Notes a publish in the batch under way, or begins one; the batch's id.
    pub(super) fn add_to_batch(&mut self, tag: u64) -> u64 {
        if let Some(id) = self.open_batch
            && let Some(Some(Waiting::Batch(batch))) = self.slot(id)
        {
            batch.last = tag;
            batch.count += 1;
            self.publishes += 1;
            self.batched += 1;
            return id;
        }
        let id = self.add(Waiting::Batch(Batch {
            first: tag,
            last: tag,
            count: 1,
        }));
        self.open_batch = Some(id);
        id
    }

    /// Ends the batch under way; the id of the request that does it.
    pub(super) fn end_batch(&mut self) -> Option<u64> {
        self.open_batch.take()
    }

    /// The request that an answer belongs to, if that `fits`: nothing if its answer came before, or if `id` was never given out.
    ///
    /// # Errors
    /// [`Misfit`], and the request goes on to wait.
    pub(super) fn answered(
        &mut self,
        id: Option<u64>,
        fits: impl Fn(&Waiting) -> bool,
    ) -> Result<Option<Waiting>, Misfit> {
        match id.and_then(|id| self.slot(id)) {
            Some(Some(waiting)) if !fits(waiting) => Err(Misfit),
            Some(Some(_)) => Ok(self.take(id)),
            Some(None) | None => Ok(None),
        }
    }

    fn take(&mut self, id: Option<u64>) -> Option<Waiting> {
        let id = id?;
        let waiting = self.slot(id)?.take()?;
        self.publishes -= waiting.publishes();
        self.subscribes -= waiting.subscribes();
        self.batched -= waiting.batched();
        self.others -= waiting.others();
        self.kept -= usize::from(waiting.kept().is_some());
        self.kept_bytes -= waiting.kept_bytes();
        if id < self.to_repeat.start {
            self.repeated_bytes = self.repeated_bytes.saturating_sub(waiting.kept_bytes());
        }
        while let Some(None) = self.ring.front() {
            self.ring.pop_front();
            self.oldest += 1;
        }
        Some(waiting)
    }

    /// Whether a batch waits that has this id.
    pub(super) fn is_batch(&mut self, id: u64) -> bool {
        matches!(self.slot(id), Some(Some(Waiting::Batch(_))))
    }

    /// Takes a publish that was not sent and never will be.
    pub(super) fn give_up(&mut self, id: u64) -> Option<Waiting> {
        self.take(Some(id))
    }

    /// The connection is gone: takes all requests, in order, but those that are kept, which the next connection is to be sent
    /// again, and the publishes with ids from `unsent` on.
    pub(super) fn lose(&mut self, unsent: Option<u64>) -> Vec<Waiting> {
        let unsent = unsent.unwrap_or(u64::MAX);
        let lost = self.take_all(|id, waiting| match waiting {
            Waiting::Publish(publish) => id < unsent && publish.kept.is_none(),
            Waiting::Batch(_) => id < unsent,
            Waiting::Subscribe(_) | Waiting::Unsubscribe(_) | Waiting::Auth => true,
        });
        self.to_repeat = self.oldest..unsent.clamp(self.oldest, self.next_id());
        self.repeated_bytes = 0;
        lost
    }

    /// Publishes with ids from `unsent` on go out now.
    pub(super) fn note_sent(&mut self, unsent: u64, now: Instant) {
        if self.kept == 0 {
            return;
        }
        let at = usize::try_from(unsent.saturating_sub(self.oldest)).unwrap_or(usize::MAX);
        for slot in self.ring.iter_mut().skip(at) {
            if let Some(Waiting::Publish(publish)) = slot
                && let Some(kept) = &mut publish.kept
            {
                kept.sent.get_or_insert(now);
            }
        }
    }

    /// Takes those to be sent again whose keys the server may have forgotten, in order.
    pub(super) fn forget_old(&mut self, now: Instant) -> Vec<Waiting> {
        let mut old = Vec::new();
        // They went out in the order of their ids: behind one that is young enough all are.
        while let Some(id) = self.next_to_repeat() {
            let slot = self.slot(id).and_then(|slot| slot.as_ref());
            let kept = slot.and_then(Waiting::kept);
            if !kept.is_some_and(|kept| kept.is_old(now)) {
                break;
            }
            old.extend(self.take(Some(id)));
            self.to_repeat.start = id + 1;
        }
        old
    }

    /// When the newest that is kept is too old.
    pub(super) fn all_old(&self) -> Option<Instant> {
        let mut waiting = self.ring.iter().rev().flatten();
        let newest = waiting.find_map(Waiting::kept)?;
        newest.sent?.checked_add(KEYS_LAST)
    }

    /// Takes those to be sent again that a server with these features does not take, or that have more than `max` bytes, in order.
    pub(super) fn forget_untaken(&mut self, features: Features, max: usize) -> Vec<Waiting> {
        let ids = self.to_repeat.clone();
        self.take_all(|id, waiting| {
            let kept = waiting.kept().filter(|_| ids.contains(&id));
            kept.is_some_and(|kept| {
                kept.text.len() > max || kept.needs.missing_in(features).is_some()
            })
        })
    }

    /// Takes all requests, in order.
    pub(super) fn end(&mut self) -> Vec<Waiting> {
        self.take_all(|_, _| true)
    }

    fn take_all(&mut self, takes: impl Fn(u64, &Waiting) -> bool) -> Vec<Waiting> {
        let ids = self.oldest..self.next_id();
        let taken: Vec<u64> = ids
            .zip(&self.ring)
            .filter(|(id, slot)| slot.as_ref().is_some_and(|waiting| takes(*id, waiting)))
            .map(|(id, _)| id)
            .collect();
        taken
            .into_iter()
            .filter_map(|id| self.take(Some(id)))
            .collect()
    }

    fn slot(&mut self, id: u64) -> Option<&mut Option<Waiting>> {
        let at = usize::try_from(id.checked_sub(self.oldest)?).ok()?;
        self.ring.get_mut(at)
    }
}

impl Kept {
    /// One that did not go out yet.
    pub(super) fn new(text: &[u8], needs: Features) -> Self {
        let (text, sent) = (text.into(), None);
        Self { text, needs, sent }
    }

    /// Whether the server may have forgotten its key.
    fn is_old(&self, now: Instant) -> bool {
        let age = self.sent.map(|sent| now.saturating_duration_since(sent));
        age.is_some_and(|age| age >= KEYS_LAST)
    }
}

impl Waiting {
    fn publishes(&self) -> usize {
        match self {
            Self::Batch(batch) => batch.count,
            Self::Publish(_) => 1,
            Self::Subscribe(_) | Self::Unsubscribe(_) | Self::Auth => 0,
        }
    }

    fn subscribes(&self) -> usize {
        usize::from(matches!(self, Self::Subscribe(_)))
    }

    fn batched(&self) -> usize {
        match self {
            Self::Batch(batch) => batch.count,
            _ => 0,
        }
    }

    /// What is kept of it, where something is.
    fn kept(&self) -> Option<&Kept> {
        match self {
            Self::Publish(publish) => publish.kept.as_deref(),
            _ => None,
        }
    }

    fn kept_bytes(&self) -> usize {
        self.kept().map_or(0, |kept| kept.text.len() + KEPT_BESIDE)
    }

    fn others(&self) -> usize {
        usize::from(matches!(
            self,
            Self::Subscribe(_) | Self::Unsubscribe(_) | Self::Auth
        ))
    }
}
