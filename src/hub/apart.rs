//! Where those with many subscriptions are behind, outside the dirty channels.
//!
//! A visit looks for a subscriber in the dirty channels and in the channels that are noted here, and so need not look at each of
//! its subscriptions. That matters where it has thousands: every request could make it behind in another one.

use std::collections::{BTreeSet, HashMap};

use foldhash::fast::RandomState;

use super::dirty::Dirty;
use super::subscriber::{APART, Link, MARKED, SCATTERED, Subscriber};

/// A visit looks at all subscriptions of a subscriber that has no more than this.
const MANY: usize = 64;
/// More channels than this are not noted for one subscriber: then all its subscriptions are looked at, which costs little
/// for each of so many.
const MOST: usize = 1024;

/// For each subscriber that is [`APART`]: the channels in which it may be behind though they are not dirty.
#[derive(Debug, Default)]
pub(super) struct Apart(HashMap<u32, BTreeSet<u32>, RandomState>);

impl Apart {
    /// Notes that `id` is behind in `channel`, reading history or lagging; does nothing if all its subscriptions are to be looked
    /// at anyway.
    pub(super) fn note(&mut self, id: u32, subscriber: &mut Subscriber, channel: u32) {
        if subscriber.is(SCATTERED) {
            return;
        }
        let mut is_noted = false;
        if subscriber.links.len() > MANY {
            let channels = self.0.entry(id).or_default();
            if !subscriber.is(APART) {
                // What is left of an earlier time.
                channels.clear();
            }
            channels.insert(channel);
            is_noted = channels.len() <= MOST;
        }
        if is_noted {
            subscriber.flags |= APART;
        } else {
            self.forget(id);
            subscriber.flags &= !APART;
            // A subscription that is behind elsewhere is lagging already or reads history.
            subscriber.flags |= SCATTERED | MARKED;
        }
    }

    /// Drops what was noted for `id`.
    pub(super) fn forget(&mut self, id: u32) {
        self.0.remove(&id);
    }

    /// The subscriptions of `subscriber`, whose number is `id`, in the channels noted for it, from the channel `first` on and
    /// around.
    pub(super) fn links(
        &self,
        id: u32,
        subscriber: &Subscriber,
        first: u32,
    ) -> impl Iterator<Item = Link> {
        let noted = subscriber.is(APART).then(|| self.0.get(&id)).flatten();
        let around = noted
            .into_iter()
            .flat_map(move |channels| channels.range(first..).chain(channels.range(..first)));
        around.filter_map(|&channel| subscriber.links.find(channel))
    }

    /// The subscriptions of `subscriber` in the dirty channels and in those noted for it, each once.
    pub(super) fn and_dirty(
        &self,
        dirty: &Dirty,
        id: u32,
        subscriber: &Subscriber,
    ) -> impl Iterator<Item = Link> {
        let noted = subscriber.is(APART).then(|| self.0.get(&id)).flatten();
        let others = dirty.links(subscriber);
        let others =
            others.filter(move |link| noted.is_none_or(|noted| !noted.contains(&link.channel)));
        self.links(id, subscriber, subscriber.first).chain(others)
    }
}
