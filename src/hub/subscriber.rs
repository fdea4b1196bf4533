//! A connection, as the hub has it: its subscriptions and what is owed to it.

/// A subscription, as its subscriber has it: which channel, and the place in that channel's list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) channel: u32,
    pub(super) index: u32,
}

/// A subscriber's subscriptions, sorted by channel. The first costs nothing beyond the subscriber itself.
#[derive(Debug, Default)]
pub(super) enum Links {
    #[default]
    None,
    One(Link),
    Many(Vec<Link>),
}

impl Links {
    pub(super) fn as_slice(&self) -> &[Link] {
        match self {
            Links::None => &[],
            Links::One(link) => std::slice::from_ref(link),
            Links::Many(links) => links,
        }
    }

    fn as_mut_slice(&mut self) -> &mut [Link] {
        match self {
            Links::None => &mut [],
            Links::One(link) => std::slice::from_mut(link),
            Links::Many(links) => links,
        }
    }

    /// All subscriptions, each with its place, from the one at `first` on and around.
    pub(super) fn from(&self, first: usize) -> impl Iterator<Item = (usize, Link)> {
        let links = self.as_slice();
        let first = if first < links.len() { first } else { 0 };
        let (before, after) = links.split_at(first);
        let around = (first..).zip(after).chain((0..).zip(before));
        around.map(|(at, &link)| (at, link))
    }

    /// The subscription to `channel`, with its place among the others.
    pub(super) fn find(&self, channel: u32) -> Option<(usize, Link)> {
        let at = self.search(channel).ok()?;
        Some((at, self.as_slice()[at]))
    }

    /// The place of the subscription to `channel`, or where it would be.
    fn search(&self, channel: u32) -> Result<usize, usize> {
        self.as_slice()
            .binary_search_by_key(&channel, |link| link.channel)
    }

    pub(super) fn contains(&self, channel: u32) -> bool {
        self.search(channel).is_ok()
    }

    /// Adds a subscription to a channel that is not in it.
    pub(super) fn insert(&mut self, link: Link) {
        let Err(at) = self.search(link.channel) else {
            return;
        };
        match self {
            Links::None => *self = Links::One(link),
            Links::One(other) => {
                let mut links = vec![*other];
                links.insert(at, link);
                *self = Links::Many(links);
            }
            Links::Many(links) => links.insert(at, link),
        }
    }

    /// Removes the subscription to `channel`, and gives memory back that is no longer needed.
    pub(super) fn remove(&mut self, channel: u32) -> Option<Link> {
        let at = self.search(channel).ok()?;
        match self {
            Links::None => None,
            Links::One(link) => {
                let link = *link;
                *self = Links::None;
                Some(link)
            }
            Links::Many(links) => {
                let link = links.remove(at);
                if let [only] = links[..] {
                    *self = Links::One(only);
                } else if links.len() * 4 < links.capacity() {
                    links.shrink_to(links.len() * 2);
                }
                Some(link)
            }
        }
    }

    /// Notes that the subscription to `channel` has another place in the channel's list.
    pub(super) fn relocate(&mut self, channel: u32, index: u32) {
        if let Ok(at) = self.search(channel) {
            self.as_mut_slice()[at].index = index;
        }
    }
}

/// It receives deflated messages.
pub(super) const INFLATES: u8 = 1;
/// Some of its subscriptions may be lagging.
pub(super) const LAGS: u8 = 2;
/// It is owed a visit that no channel's round would bring.
pub(super) const DUE: u8 = 4;
/// It is in the queue of those owed a visit, or was when it was detached.
pub(super) const QUEUED: u8 = 8;

/// It may be behind in channels that are not dirty, because it was blocked, cut, or placed behind by `subscribe`.
pub(super) const SCATTERED: u8 = 16;
/// All its subscriptions that are behind in channels that are not dirty are marked as lagging.
pub(super) const MARKED: u8 = 32;
/// What no longer holds once it is at the head everywhere.
pub(super) const CAUGHT_UP: u8 = DUE | LAGS | SCATTERED | MARKED;

/// A connection, as the hub has it.
#[derive(Debug, Default)]
pub(super) struct Subscriber {
    pub(super) links: Links,
    /// The subscription that the next visit begins with, so that no channel starves when visits are cut.
    pub(super) first: u32,
    pub(super) flags: u8,
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
    use super::super::channel::Sub;
    use super::*;

    #[test]
    fn a_subscription_costs_24_bytes_and_a_subscriber_32() {
        assert_eq!(size_of::<Sub>(), 16);
        assert_eq!(size_of::<Link>(), 8);
        assert!(size_of::<Subscriber>() <= 32);
    }

    #[test]
    fn links_stay_sorted_and_the_last_one_gives_its_memory_back() {
        let mut links = Links::default();
        for channel in [5, 1, 9, 3] {
            links.insert(Link {
                channel,
                index: channel * 10,
            });
        }
        assert!(links.as_slice().is_sorted_by_key(|link| link.channel));
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
}
