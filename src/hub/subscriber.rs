//! A connection, as the hub has it: its subscriptions and what is owed to it.

use std::collections::BTreeMap;

use super::slot::Slot;

/// A subscription, as its subscriber has it: which channel, and the place in that channel's list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) channel: u32,
    pub(super) index: u32,
}

/// Up to so many subscriptions are kept in one sorted list. To insert one there moves half of them, which takes less than to
/// find its place in a tree.
const LISTED: usize = 1024;

/// A subscriber's subscriptions, by channel. The first costs nothing beyond the subscriber itself.
#[derive(Debug, Default)]
pub(super) enum Links {
    #[default]
    None,
    One(Link),
    /// Sorted by channel.
    Many(Vec<Link>),
    /// More than [`LISTED`].
    Tree(Box<Tree>),
}

/// Subscriptions by channel: the place of each in that channel's list. They take about as much memory as in a sorted list.
#[derive(Debug)]
pub(super) struct Tree(BTreeMap<u32, u32>);

impl Links {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Links::Tree(tree) => tree.0.len(),
            _ => self.listed().len(),
        }
    }

    /// All of them, unless they are in a tree.
    fn listed(&self) -> &[Link] {
        match self {
            Links::None | Links::Tree(_) => &[],
            Links::One(link) => std::slice::from_ref(link),
            Links::Many(links) => links,
        }
    }

    /// All subscriptions by channel, from `first` on and around.
    pub(super) fn from(&self, first: u32) -> impl Iterator<Item = Link> {
        let links = self.listed();
        let at = match first {
            0 => 0,
            first => links.partition_point(|link| link.channel < first),
        };
        let (before, after) = links.split_at(at);
        let tree = match self {
            Links::Tree(tree) => Some(&tree.0),
            _ => None,
        };
        let tree = tree.into_iter();
        let tree = tree.flat_map(move |tree| tree.range(first..).chain(tree.range(..first)));
        let tree = tree.map(|(&channel, &index)| Link { channel, index });
        after.iter().chain(before).copied().chain(tree)
    }

    /// The subscription to `channel`.
    pub(super) fn find(&self, channel: u32) -> Option<Link> {
        match self {
            Links::Tree(tree) => {
                let &index = tree.0.get(&channel)?;
                Some(Link { channel, index })
            }
            _ => Some(self.listed()[self.search(channel).ok()?]),
        }
    }

    /// The place in the list of the subscription to `channel`, or where it would be.
    fn search(&self, channel: u32) -> Result<usize, usize> {
        let links = self.listed();
        links.binary_search_by_key(&channel, |link| link.channel)
    }

    pub(super) fn contains(&self, channel: u32) -> bool {
        self.find(channel).is_some()
    }

    /// Adds a subscription to a channel that is not in it.
    pub(super) fn insert(&mut self, link: Link) {
        match self {
            Links::None => *self = Links::One(link),
            Links::One(other) => {
                let mut links = vec![*other, link];
                links.sort_unstable_by_key(|link| link.channel);
                *self = Links::Many(links);
            }
            Links::Many(links) if links.len() < LISTED => {
                let at = links.partition_point(|other| other.channel < link.channel);
                links.insert(at, link);
            }
            Links::Many(links) => {
                let links = links.iter().chain([&link]);
                let tree = links.map(|link| (link.channel, link.index)).collect();
                *self = Links::Tree(Box::new(Tree(tree)));
            }
            Links::Tree(tree) => {
                tree.0.insert(link.channel, link.index);
            }
        }
    }

    /// Removes the subscription to `channel`, and gives memory back that is no longer needed.
    pub(super) fn remove(&mut self, channel: u32) -> Option<Link> {
        let link = self.find(channel)?;
        match self {
            Links::None => {}
            Links::One(_) => *self = Links::None,
            Links::Many(links) => {
                links.remove(links.partition_point(|link| link.channel < channel));
                if let [only] = links[..] {
                    *self = Links::One(only);
                } else if links.len() * 4 < links.capacity() {
                    links.shrink_to(links.len() * 2);
                }
            }
            Links::Tree(tree) => {
                tree.0.remove(&channel);
                // Only at half of it, so that one subscription that comes and goes does not build a tree each time.
                if tree.0.len() <= LISTED / 2 {
                    *self = Links::Many(self.from(0).collect());
                }
            }
        }
        Some(link)
    }

    /// Notes that the subscription to `channel` has another place in the channel's list.
    pub(super) fn relocate(&mut self, channel: u32, index: u32) {
        let at = self.search(channel);
        match (self, at) {
            (Links::One(link), Ok(_)) => link.index = index,
            (Links::Many(links), Ok(at)) => links[at].index = index,
            (Links::Tree(tree), _) => {
                if let Some(place) = tree.0.get_mut(&channel) {
                    *place = index;
                }
            }
            _ => {}
        }
    }
}

/// Some of its subscriptions may be lagging.
pub(super) const LAGS: u8 = 2;
/// It is owed a visit that no channel's round would bring.
pub(super) const DUE: u8 = 4;
/// It is in the queue of those owed a visit, or was when it was detached.
pub(super) const QUEUED: u8 = 8;

/// It may be behind in any channel, also in those that are not dirty, because it was blocked, cut, or placed behind by
/// `subscribe`.
pub(super) const SCATTERED: u8 = 16;
/// All its subscriptions that are behind in channels that are not dirty are marked as lagging or reading history.
pub(super) const MARKED: u8 = 32;
/// The channels that are not dirty and in which it may be behind are noted: see [`Apart`](super::apart::Apart). It is not
/// scattered.
pub(super) const APART: u8 = 64;
/// What no longer holds once it is at the head everywhere.
pub(super) const CAUGHT_UP: u8 = DUE | LAGS | SCATTERED | MARKED | APART;

/// A connection, as the hub has it.
#[derive(Debug, Default)]
pub(super) struct Subscriber {
    pub(super) links: Links,
    /// The channel that the next visit begins with, so that none starves when visits are cut.
    pub(super) first: u32,
    pub(super) flags: u8,
    /// How many of its subscriptions are to patterns.
    pub(super) patterns: u16,
    /// The slot that all its subscriptions are served in.
    pub(super) slot: Slot,
}

impl Subscriber {
    pub(super) fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// A set of small numbers. The sweep asks it about everybody who is behind, so it is dense: 100,000 take 12.5 KB.
#[derive(Debug, Default)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    pub(super) fn get(&self, i: u32) -> bool {
        self.0
            .get((i / 64) as usize)
            .is_some_and(|word| word >> (i % 64) & 1 != 0)
    }

    pub(super) fn set(&mut self, i: u32, to: bool) {
        let at = (i / 64) as usize;
        if at >= self.0.len() {
            if !to {
                return;
            }
            self.0.resize(at + 1, 0);
        }
        let bit = 1 << (i % 64);
        if to {
            self.0[at] |= bit;
        } else {
            self.0[at] &= !bit;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::cursor::Sub;
    use super::*;

    #[test]
    fn a_subscription_costs_24_bytes_and_a_subscriber_32() {
        assert_eq!(size_of::<Sub>(), 16);
        assert_eq!(size_of::<Link>(), 8);
        assert!(size_of::<Subscriber>() <= 32);
    }

    fn link(channel: u32) -> Link {
        Link {
            channel,
            index: channel * 10,
        }
    }

    #[test]
    fn links_stay_sorted_and_the_last_one_gives_its_memory_back() {
        let mut links = Links::default();
        for channel in [5, 1, 9, 3] {
            links.insert(link(channel));
        }
        assert!(links.from(0).is_sorted_by_key(|link| link.channel));
        links.relocate(9, 7);
        assert_eq!(links.remove(9).map(|link| link.index), Some(7));
        assert_eq!(links.remove(9), None);
        links.remove(1);
        links.remove(5);
        assert!(matches!(
            links,
            Links::One(Link {
                channel: 3,
                index: 30
            })
        ));
    }

    #[test]
    fn however_many_links_there_are_they_are_found_moved_and_gone_around_alike() {
        let mut links = Links::default();
        // In no order, and far beyond what is kept in a list.
        let channels = || (0..5000u32).map(|i| i * 7919 % 5003);
        for (count, channel) in channels().enumerate() {
            assert!(!links.contains(channel));
            links.insert(link(channel));
            assert_eq!(links.len(), count + 1);
            assert_eq!(links.find(channel), Some(link(channel)));
        }
        assert!(matches!(links, Links::Tree(_)));
        links.relocate(2500, 1);
        assert_eq!(links.find(2500).map(|link| link.index), Some(1));
        links.relocate(2500, 25_000);
        let around: Vec<u32> = links.from(2500).map(|link| link.channel).collect();
        assert_eq!((around.len(), around[0], around[4999]), (5000, 2500, 2499));
        for channel in channels().take(4990) {
            assert_eq!(links.remove(channel), Some(link(channel)));
            assert_eq!(links.remove(channel), None);
        }
        assert!(matches!(links, Links::Many(_)));
        let around: Vec<u32> = links.from(2500).map(|link| link.channel).collect();
        let mut left: Vec<u32> = channels().skip(4990).collect();
        left.sort_unstable();
        let at = left.partition_point(|&channel| channel < 2500);
        left.rotate_left(at);
        assert_eq!(around, left);
    }
}
