//! Which messages each channel has, in which order, as the first subscriber to receive each of them saw it.
//!
//! The first one to receive a message has it checked in full: somebody published it, to this channel, and it is the next one
//! of its publisher there. All others must get the same message under the same sequence number, and nothing that others got may
//! lie between it and the one that they had before. Together that is: each message once, in order, unchanged. Sequence numbers
//! only grow; nobody counts them.
//!
//! Messages are told apart by their *number*: publications are numbered over all publishers in the order of sending, and
//! go to publishers and channels in turn.

use std::collections::{BTreeMap, HashMap, VecDeque};

use anyhow::{Result, bail};

use crate::latency::Latencies;
use crate::payload::Origin;

/// How long a channel's messages are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Until so many have it.
    Until(u64),
    /// For good: who will ask for them is not known.
    All,
}

/// A message that was received at least once.
#[derive(Debug)]
struct Seen {
    seq: u64,
    number: u64,
    first_received_ns: u64,
    reached: u64,
}

/// A message that a subscriber that comes and goes has got before anybody else.
#[derive(Debug)]
struct Ahead {
    number: u64,
    /// Nothing was published between this sequence number and the message's: the lowest that such a subscriber had before it.
    after: u64,
}

/// One channel's messages.
#[derive(Debug, Default)]
struct Channel {
    /// Those that are remembered, in order.
    seen: VecDeque<Seen>,
    /// The sequence number of the newest message, 0 before the first.
    newest: u64,
    /// What was received ahead of the others, by sequence number.
    ahead: BTreeMap<u64, Ahead>,
}

/// What is known of all channels' messages.
pub(crate) struct Order {
    publishers: u64,
    keep: Keep,
    channels: Vec<Channel>,
    /// The number of the newest message of a publisher on a channel, by both.
    newest: HashMap<(usize, usize), u64>,
    /// How far apart the numbers of a publisher's messages on one channel are.
    step: u64,
    /// From the first subscriber to receive a message to the last one, where there are several.
    pub(crate) skew: Latencies,
}

impl Order {
    /// Nothing received yet. Publications go to `channels` and come from `publishers` in turn.
    pub(crate) fn new(publishers: usize, channels: usize, keep: Keep) -> Self {
        Self {
            publishers: publishers as u64,
            keep,
            channels: (0..channels).map(|_| Channel::default()).collect(),
            newest: HashMap::new(),
            step: least_common_multiple(publishers as u64, channels as u64),
            skew: Latencies::new(),
        }
    }

    /// Checks a message that a subscriber has received that must get all of them, `after` the one with that sequence number.
    ///
    /// # Errors
    /// It belongs to another channel, is not its publisher's next one there, others got another one in its place, or others got
    /// one between `after` and this one.
    #[inline]
    pub(crate) fn check(
        &mut self,
        channel: usize,
        after: u64,
        seq: u64,
        origin: Origin,
        now_ns: u64,
    ) -> Result<()> {
        let number = origin.index * self.publishers + origin.publisher as u64;
        let count = self.channels.len() as u64;
        let Some(list) = self.channels.get_mut(channel) else {
            bail!("channel {channel}: nothing is published there");
        };
        if seq > list.newest {
            in_turn(&mut self.newest, count, self.step, channel, origin, number)?;
            list.append(channel, seq, number, now_ns)?;
        }
        let at = list.place(channel, seq)?;
        list.follows(channel, after, at)?;
        let seen = &mut list.seen[at];
        same(channel, seq, number, seen.number)?;
        seen.reached += 1;
        if let Keep::Until(fan) = self.keep
            && seen.reached >= fan
        {
            if fan > 1 {
                self.skew
                    .record(now_ns.saturating_sub(seen.first_received_ns), 1);
            }
            list.drop_reached(fan);
        }
        Ok(())
    }

    /// Checks a message that follows all that anybody has received.
    ///
    /// # Errors
    /// As [`check`](Self::check).
    pub(crate) fn check_newest(
        &mut self,
        channel: usize,
        seq: u64,
        origin: Origin,
        now_ns: u64,
    ) -> Result<()> {
        self.check(channel, self.newest_seq(channel), seq, origin, now_ns)
    }

    /// Checks a message that a subscriber that comes and goes has received `after` another: what others get, or will get.
    ///
    /// # Errors
    /// Others get another message under this sequence number, or one between `after` and this one.
    pub(crate) fn compare(
        &mut self,
        channel: usize,
        after: u64,
        seq: u64,
        origin: Origin,
    ) -> Result<()> {
        let number = origin.index * self.publishers + origin.publisher as u64;
        let Some(list) = self.channels.get_mut(channel) else {
            bail!("channel {channel}: nothing is published there");
        };
        if seq > list.newest {
            let ahead = list.ahead.entry(seq).or_insert(Ahead { number, after });
            ahead.after = ahead.after.min(after);
            return same(channel, seq, number, ahead.number);
        }
        let at = list.place(channel, seq)?;
        list.follows(channel, after, at)?;
        same(channel, seq, number, list.seen[at].number)
    }

    /// The sequence number of a channel's newest message, 0 before the first, of those that have reached a subscriber that must get all.
    pub(crate) fn newest_seq(&self, channel: usize) -> u64 {
        self.channels.get(channel).map_or(0, |list| list.newest)
    }

    /// The same, once all that was received ahead of the others has reached them; `None` until then.
    pub(crate) fn settled_seq(&self, channel: usize) -> Option<u64> {
        let list = self.channels.get(channel)?;
        list.ahead.is_empty().then_some(list.newest)
    }

    /// The sequence number after which `count` messages follow up to `seq`, of those that are remembered; 0 if they are fewer.
    pub(crate) fn before_newest(&self, channel: usize, seq: u64, count: u64) -> u64 {
        if count == 0 {
            return seq;
        }
        let Some(list) = self.channels.get(channel) else {
            return seq;
        };
        let end = list.seen.partition_point(|seen| seen.seq <= seq);
        let before = end.checked_sub(
            usize::try_from(count).map_or(usize::MAX, |count| count.saturating_add(1)),
        );
        before.map_or(0, |at| list.seen[at].seq)
    }
}

/// Checks that a message is the one that others got.
fn same(channel: usize, seq: u64, number: u64, others: u64) -> Result<()> {
    if number != others {
        bail!(
            "channel {channel}: seq {seq} is number {number} of all, where others got number {others}"
        );
    }
    Ok(())
}

/// Checks that a message is the next one of its publisher on its channel, and notes it.
fn in_turn(
    newest: &mut HashMap<(usize, usize), u64>,
    channels: u64,
    step: u64,
    channel: usize,
    origin: Origin,
    number: u64,
) -> Result<()> {
    if number % channels != channel as u64 {
        bail!(
            "channel {channel}: {origin:?} was published to channel {}",
            number % channels
        );
    }
    let before = newest.insert((channel, origin.publisher), number);
    match before {
        None if number >= step => {
            bail!("channel {channel}: {origin:?} arrived before others of its publisher")
        }
        Some(before) if number != before + step => bail!(
            "channel {channel}: {origin:?}, number {number} of all, arrived where number {} was due",
            before + step
        ),
        _ => Ok(()),
    }
}

impl Channel {
    fn append(&mut self, channel: usize, seq: u64, number: u64, now_ns: u64) -> Result<()> {
        if let Some((&first, _)) = self.ahead.first_key_value()
            && first < seq
        {
            bail!("channel {channel}: seq {seq} arrived where {first} was due, which others got");
        }
        if let Some(ahead) = self.ahead.remove(&seq) {
            same(channel, seq, number, ahead.number)?;
            if self.newest > ahead.after {
                bail!(
                    "channel {channel}: others got seq {seq} right after {}, without {}",
                    ahead.after,
                    self.newest
                );
            }
        }
        self.newest = seq;
        self.seen.push_back(Seen {
            seq,
            number,
            first_received_ns: now_ns,
            reached: 0,
        });
        Ok(())
    }

    /// Where a message is that was received before.
    #[inline]
    fn place(&self, channel: usize, seq: u64) -> Result<usize> {
        let Some(first) = self.seen.front() else {
            bail!("channel {channel}: seq {seq} arrived more often than it has subscribers");
        };
        // Mostly they are numbered one by one.
        let guess = seq.wrapping_sub(first.seq) as usize;
        if self.seen.get(guess).is_some_and(|seen| seen.seq == seq) {
            return Ok(guess);
        }
        match self.seen.binary_search_by_key(&seq, |seen| seen.seq) {
            Ok(at) => Ok(at),
            Err(0) => {
                bail!("channel {channel}: seq {seq} arrived more often than it has subscribers")
            }
            Err(_) => bail!("channel {channel}: seq {seq} arrived, which others did not get"),
        }
    }

    /// Checks that the message at a place is the next one after the one with a sequence number.
    #[inline]
    fn follows(&self, channel: usize, after: u64, at: usize) -> Result<()> {
        if let Some(before) = at.checked_sub(1).and_then(|at| self.seen.get(at))
            && before.seq > after
        {
            bail!(
                "channel {channel}: seq {} arrived right after {after}, without {}, which others got",
                self.seen[at].seq,
                before.seq
            );
        }
        Ok(())
    }

    fn drop_reached(&mut self, fan: u64) {
        while self.seen.front().is_some_and(|seen| seen.reached >= fan) {
            self.seen.pop_front();
        }
    }
}

fn least_common_multiple(one: u64, other: u64) -> u64 {
    let (mut divisor, mut rest) = (one, other);
    while rest > 0 {
        (divisor, rest) = (rest, divisor % rest);
    }
    one / divisor * other
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Origin = origin(0, 0);
    const B: Origin = origin(0, 1);

    const fn origin(publisher: usize, index: u64) -> Origin {
        Origin { publisher, index }
    }

    #[test]
    fn what_the_first_subscriber_saw_is_what_all_must_see() {
        let mut order = Order::new(1, 1, Keep::Until(2));
        order.check(0, 0, 7, A, 10).unwrap();
        order.check(0, 7, 20, B, 10).unwrap();
        order.check(0, 0, 7, A, 15).unwrap();
        assert!(order.check(0, 7, 20, A, 15).is_err());
        order.check(0, 7, 20, B, 20).unwrap();
        assert_eq!(order.skew.quantiles().count, 2);
        assert!(order.channels[0].seen.is_empty());
    }

    #[test]
    fn a_publication_under_two_sequence_numbers_is_a_fault() {
        let mut order = Order::new(1, 1, Keep::Until(1));
        order.check(0, 0, 1, A, 0).unwrap();
        assert!(order.check(0, 1, 2, A, 0).is_err());
    }

    #[test]
    fn a_publication_left_out_is_a_fault_whatever_the_sequence_numbers_are() {
        for seq in [2, 3, 40] {
            let mut order = Order::new(1, 1, Keep::Until(1));
            order.check(0, 0, 1, A, 0).unwrap();
            assert!(order.check(0, 1, seq, origin(0, 2), 0).is_err());
            let mut order = Order::new(1, 1, Keep::Until(1));
            order.check(0, 0, 1, A, 0).unwrap();
            order.check(0, 1, seq, B, 0).unwrap();
        }
        assert!(Order::new(1, 1, Keep::All).check(0, 0, 1, B, 0).is_err());
    }

    #[test]
    fn a_message_that_others_got_is_not_left_out() {
        let mut order = Order::new(1, 1, Keep::Until(2));
        for (after, seq, index) in [(0, 3, 0), (3, 9, 1), (9, 10, 2)] {
            order.check(0, after, seq, origin(0, index), 0).unwrap();
        }
        order.check(0, 0, 3, A, 0).unwrap();
        assert!(order.check(0, 3, 10, origin(0, 2), 0).is_err());
        assert!(order.check(0, 3, 11, origin(0, 3), 0).is_err());
        order.check(0, 3, 9, B, 0).unwrap();
    }

    #[test]
    fn a_number_between_those_that_others_got_is_a_fault() {
        let mut order = Order::new(1, 1, Keep::Until(2));
        order.check(0, 0, 3, A, 0).unwrap();
        order.check(0, 3, 9, B, 0).unwrap();
        assert!(order.check(0, 3, 5, B, 0).is_err());
    }

    #[test]
    fn a_message_of_another_channel_is_a_fault() {
        let mut order = Order::new(1, 2, Keep::Until(1));
        assert!(order.check(1, 0, 1, A, 0).is_err());
        assert!(order.check(2, 0, 1, A, 0).is_err());
        order.check(1, 0, 1, B, 0).unwrap();
    }

    #[test]
    fn each_publishers_messages_are_in_turn_whatever_the_others_do() {
        // Numbers 0 to 5 are (0,0), (1,0), (0,1), (1,1), (0,2), (1,2), on channels 0, 1, 2, 0, 1, 2.
        let mut order = Order::new(2, 3, Keep::Until(1));
        order.check(0, 0, 1, origin(1, 1), 0).unwrap();
        order.check(0, 1, 2, origin(0, 0), 0).unwrap();
        order.check(0, 2, 3, origin(0, 3), 0).unwrap();
        assert!(order.check(0, 3, 4, origin(1, 7), 0).is_err());
        let mut order = Order::new(2, 3, Keep::Until(1));
        assert!(order.check(0, 0, 1, origin(0, 3), 0).is_err());
    }

    #[test]
    fn a_subscriber_that_comes_and_goes_may_be_the_first_but_gets_what_others_get() {
        let mut order = Order::new(1, 1, Keep::All);
        order.compare(0, 1, 5, B).unwrap();
        assert_eq!(order.settled_seq(0), None, "nobody else has it");
        order.check(0, 0, 1, A, 0).unwrap();
        order.compare(0, 0, 1, A).unwrap();
        assert!(order.compare(0, 0, 1, B).is_err());
        assert!(order.compare(0, 1, 5, A).is_err());
        order.check(0, 1, 5, B, 0).unwrap();
        assert_eq!(order.settled_seq(0), Some(5));
        order.compare(0, 5, 6, A).unwrap();
        assert!(order.check(0, 5, 6, origin(0, 2), 0).is_err());
    }

    #[test]
    fn a_message_that_only_those_that_come_and_go_left_out_is_a_fault() {
        // Behind the others, and ahead of them.
        let mut order = Order::new(1, 1, Keep::All);
        order.check(0, 0, 1, A, 0).unwrap();
        order.check(0, 1, 4, B, 0).unwrap();
        assert!(order.compare(0, 0, 4, B).is_err());
        order.compare(0, 4, 9, origin(0, 3)).unwrap();
        assert!(
            order.check(0, 4, 10, origin(0, 2), 0).is_err(),
            "9 was due before"
        );
        let mut order = Order::new(1, 1, Keep::All);
        order.check(0, 0, 1, A, 0).unwrap();
        order.compare(0, 1, 9, origin(0, 2)).unwrap();
        order.check(0, 1, 4, B, 0).unwrap();
        assert!(order.check(0, 4, 9, origin(0, 2), 0).is_err(), "without 4");
    }

    #[test]
    fn the_newest_messages_begin_after_the_one_before_them() {
        let mut order = Order::new(1, 1, Keep::All);
        for (after, seq, index) in [(0, 3, 0), (3, 9, 1), (9, 10, 2), (10, 30, 3)] {
            order.check(0, after, seq, origin(0, index), 0).unwrap();
        }
        for (seq, count, before) in [(30, 2, 9), (10, 1, 9), (30, 3, 3), (30, 4, 0), (30, 0, 30)] {
            assert_eq!(order.before_newest(0, seq, count), before, "{seq} {count}");
        }
    }

    #[test]
    fn a_message_that_all_have_does_not_come_again() {
        let mut order = Order::new(1, 1, Keep::Until(1));
        order.check(0, 0, 1, A, 0).unwrap();
        assert!(order.check(0, 1, 1, A, 0).is_err());
    }
}
