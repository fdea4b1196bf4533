//! The list of channels, page by page and bit by bit: each call looks at a bounded number of channels and cursors, whatever there is.
//!
//! Channels are listed in the order of their names, so a list goes on after a name even if the channel of that name is gone. What
//! comes and goes meanwhile is listed or not, and everything else is listed once.

use std::ops::Bound;

use super::channel::Channel;
use super::{ChannelId, Hub, SubscriberId};

/// What looking at a channel costs, in looks at a cursor: its place in the list, and its log.
const CHANNEL_LOOKS: usize = 64;

/// What is known of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed<'a> {
    /// Its name.
    pub name: &'a str,
    /// How many subscribers it has. Those of patterns are none of them.
    pub subscribers: usize,
    /// Messages that it holds.
    pub messages: u64,
    /// Their framed bytes in the base log.
    pub bytes: u64,
    /// Messages published in a hundred seconds, by the last ten to twenty.
    pub rate: u64,
    /// How many messages the subscriber that is farthest behind has still to get.
    pub lag: u64,
}

/// How far a list has come.
#[derive(Debug)]
pub struct Listing {
    prefix: Box<str>,
    /// The name after which the list goes on.
    after: Option<Box<str>>,
    /// The channel whose cursors are being looked at.
    under_way: Option<Worst>,
}

/// How far behind the subscribers of a channel are, as far as they were looked at.
#[derive(Clone, Copy, Debug)]
struct Worst {
    channel: ChannelId,
    /// The place of the next cursor.
    next: usize,
    lag: u64,
}

/// How a call of [`Hub::list`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListedTo {
    /// There may be more. `looks` are spent, or `take` wanted no more.
    Here,
    /// There are no more channels.
    End,
}

impl Listing {
    /// All channels whose names begin with `prefix` and come after the name `after`.
    pub fn new(prefix: &str, after: Option<&str>) -> Self {
        Listing {
            prefix: prefix.into(),
            after: after.map(Box::from),
            under_way: None,
        }
    }

    /// The name of the last channel that was listed, or what the list began after.
    pub fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// Where the next name stands in the order of names.
    fn bound(&self) -> Bound<&str> {
        match self.after.as_deref() {
            Some(after) if after >= &*self.prefix => Bound::Excluded(after),
            _ => Bound::Included(&self.prefix),
        }
    }
}

impl Worst {
    /// Looks at cursors until `looks` are spent. Says whether that was all of them.
    fn look(&mut self, channel: &Channel, looks: &mut usize) -> bool {
        let left = channel.subs.get(self.next..).unwrap_or_default();
        let some = &left[..left.len().min(*looks)];
        let end = channel.end();
        let lags = some.iter().map(|sub| end.saturating_sub(sub.next));
        self.lag = lags.fold(self.lag, u64::max);
        self.next += some.len();
        *looks -= some.len();
        some.len() == left.len()
    }
}

impl Hub {
    /// Hands the next channels of a list on to `take`, until it says false or so many `looks` are spent, which are taken off. One look is
    /// at a cursor, and a channel costs some dozens of them. What `take` says false to was not listed.
    pub fn list(
        &self,
        listing: &mut Listing,
        looks: &mut usize,
        mut take: impl FnMut(Listed<'_>) -> bool,
    ) -> ListedTo {
        let mut last = None;
        let mut to = ListedTo::End;
        for (name, index) in self.directory.names_from(listing.bound()) {
            if !name.starts_with(&*listing.prefix) {
                break;
            }
            let Some(channel) = self.directory.get(index) else {
                continue;
            };
            to = ListedTo::Here;
            let id = self.directory.id(index);
            let began = listing.under_way.take().filter(|worst| worst.channel == id);
            if began.is_none() {
                if *looks < CHANNEL_LOOKS {
                    break;
                }
                *looks -= CHANNEL_LOOKS;
            }
            let mut worst = began.unwrap_or(Worst {
                channel: id,
                next: 0,
                lag: 0,
            });
            if !worst.look(channel, looks) {
                listing.under_way = Some(worst);
                break;
            }
            if !take(channel.listed(worst.lag, self.now)) {
                break;
            }
            last = Some(name);
            to = ListedTo::End;
        }
        if let Some(name) = last {
            listing.after = Some(name.into());
        }
        to
    }

    /// Whether a list goes on.
    pub fn lists_on(&self, listing: &Listing) -> bool {
        let mut names = self.directory.names_from(listing.bound());
        names
            .next()
            .is_some_and(|(name, _)| name.starts_with(&*listing.prefix))
    }

    /// How many channels and patterns `id` is subscribed to.
    pub fn subscription_count(&self, id: SubscriberId) -> usize {
        let subscriber = self.subscribers.get(id.0 as usize);
        subscriber.map_or(0, |subscriber| subscriber.links.len())
    }

    /// Looks how far `id` is behind in the channels and patterns that it is subscribed to, from the place `from` on, until `looks` are spent,
    /// which are taken off. `lag` becomes the most messages that it has still to get in one of them. Says where to go on; `None`: that
    /// was all.
    pub fn look_for_lag(
        &self,
        id: SubscriberId,
        from: u32,
        looks: &mut usize,
        lag: &mut u64,
    ) -> Option<u32> {
        let subscriber = self.subscribers.get(id.0 as usize)?;
        // They go around after the last.
        let links = subscriber.links.from(from);
        for link in links.take_while(|link| link.channel >= from) {
            if *looks == 0 {
                return Some(link.channel);
            }
            *looks -= 1;
            let channel = self.directory.get(link.channel);
            let behind = channel.and_then(|channel| {
                let sub = channel.subs.get(link.index as usize)?;
                Some(channel.end().saturating_sub(sub.next))
            });
            *lag = behind.map_or(*lag, |behind| behind.max(*lag));
        }
        None
    }
}

impl Channel {
    fn listed(&self, lag: u64, now: u64) -> Listed<'_> {
        Listed {
            name: &self.name,
            subscribers: self.subs.len(),
            messages: self.messages(),
            bytes: self.bytes(),
            rate: self.rate.per_hundred_seconds(self.end(), now),
            lag,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Byte, plain_hub};
    use super::super::{HubConfig, Slot, Start, SubscriberId};
    use super::*;
    use crate::channel::topic::Topic;

    fn hub() -> Hub {
        plain_hub(HubConfig::default())
    }

    fn publish(hub: &mut Hub, name: &str, now: u64) {
        hub.publish(name, &Byte, &mut (), now)
            .expect("there is room");
    }

    fn subscribe(hub: &mut Hub, id: u32, name: &str) {
        hub.attach(SubscriberId(id), Slot::BASE);
        hub.subscribe(SubscriberId(id), name, Start::Live, 0)
            .expect("there is room");
    }

    /// The names of the next channels, `limit` at most, with so many looks.
    fn names(
        hub: &Hub,
        listing: &mut Listing,
        limit: usize,
        mut looks: usize,
    ) -> (Vec<String>, ListedTo) {
        let mut names = Vec::new();
        let to = hub.list(listing, &mut looks, |listed| {
            let is_wanted = names.len() < limit;
            if is_wanted {
                names.push(listed.name.to_owned());
            }
            is_wanted
        });
        (names, to)
    }

    #[test]
    fn channels_are_listed_by_name_and_a_list_goes_on_after_one_that_is_gone() {
        let mut hub = hub();
        for name in ["b", "a.2", "a.10", "c", "a.1"] {
            publish(&mut hub, name, 0);
        }
        let all = &mut Listing::new("", None);
        let (first, to) = names(&hub, all, 2, 10_000);
        assert_eq!(
            (first, to),
            (vec!["a.1".into(), "a.10".into()], ListedTo::Here)
        );
        assert_eq!(all.after(), Some("a.10"));
        let gone = hub.directory.find("a.10").expect("it is there");
        hub.forget(gone);
        publish(&mut hub, "a.11", 0);
        let (rest, to) = names(&hub, all, 9, 10_000);
        assert_eq!(rest.join(" "), "a.11 a.2 b c");
        assert_eq!((to, hub.lists_on(all)), (ListedTo::End, false));
    }

    #[test]
    fn a_prefix_lists_what_begins_with_it_and_patterns_are_no_channels() {
        let mut hub = hub();
        for name in ["a", "b", "b.1", "b.2", "c"] {
            publish(&mut hub, name, 0);
        }
        hub.attach(SubscriberId(0), Slot::BASE);
        let pattern = Topic::pattern("b.*");
        hub.subscribe(SubscriberId(0), pattern, Start::Live, 0)
            .expect("there is room");
        for (prefix, after, wanted) in [
            ("b", None, "b b.1 b.2"),
            ("b.", None, "b.1 b.2"),
            ("b", Some("a"), "b b.1 b.2"),
            ("b", Some("b.1"), "b.2"),
            ("b", Some("c"), ""),
            ("", Some("b.2"), "c"),
            ("d", None, ""),
        ] {
            let listing = &mut Listing::new(prefix, after);
            let (names, to) = names(&hub, listing, 9, 10_000);
            assert_eq!((names.join(" "), to), (wanted.to_owned(), ListedTo::End));
        }
    }

    #[test]
    fn each_call_looks_at_no_more_than_it_may_however_many_channels_and_subscribers_there_are() {
        let mut hub = hub();
        for i in 0..100_000 {
            publish(&mut hub, &format!("c{i:06}"), 0);
        }
        const CROWD: u32 = 10_000;
        (0..CROWD).for_each(|id| subscribe(&mut hub, id, "c050000"));
        publish(&mut hub, "c050000", 0);
        const LOOKS: usize = 1_000;
        let listing = &mut Listing::new("", None);
        let (mut count, mut calls, mut lag) = (0, 0, 0);
        loop {
            let mut looks = LOOKS;
            let mut taken = 0;
            let to = hub.list(listing, &mut looks, |listed| {
                taken += 1;
                lag = lag.max(listed.lag);
                true
            });
            assert!(taken <= LOOKS / CHANNEL_LOOKS);
            count += taken;
            calls += 1;
            if to == ListedTo::End {
                break;
            }
        }
        assert_eq!((count, lag), (100_000, 1));
        let least = 100_000 / (LOOKS / CHANNEL_LOOKS);
        assert!((least..=least + 20).contains(&calls), "{calls}");
    }

    #[test]
    fn what_is_listed_of_a_channel_is_what_it_holds_and_how_far_its_subscribers_are_behind() {
        let mut hub = hub();
        subscribe(&mut hub, 0, "a");
        (0..3).for_each(|_| publish(&mut hub, "a", 0));
        subscribe(&mut hub, 1, "a");
        publish(&mut hub, "a", 0);
        let mut listed = Vec::new();
        hub.list(&mut Listing::new("", None), &mut 1_000, |channel| {
            let Listed {
                subscribers,
                messages,
                bytes,
                lag,
                ..
            } = channel;
            listed.push((subscribers, messages, bytes, lag));
            true
        });
        assert_eq!(listed, [(2, 4, 4, 4)]);
        assert_eq!(hub.subscription_count(SubscriberId(1)), 1);
        let mut lag = 0;
        assert_eq!(
            hub.look_for_lag(SubscriberId(1), 0, &mut 0, &mut lag),
            Some(0)
        );
        assert_eq!(hub.look_for_lag(SubscriberId(1), 0, &mut 1, &mut lag), None);
        assert_eq!(lag, 1);
    }
}
