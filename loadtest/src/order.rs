//! Which messages each channel has, in which order, as the first subscriber to receive each of them saw it.
//!
//! The first one to receive a message has it checked in full: somebody published it, to this channel, and it is the next one
//! of its publisher there. All others must get the same message under the same sequence number. Together with a subscriber's
//! own sequence numbers, which must leave nothing out, that is: each message once, in order, unchanged.
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
    number: u64,
    first_received_ns: u64,
    reached: u64,
}

/// One channel's messages.
#[derive(Debug, Default)]
struct Channel {
    /// Those that are remembered, in order.
    seen: VecDeque<Seen>,
    /// The sequence number of the first of them; of the next message if there are none; 0 before the first message.
    first_seq: u64,
    /// The numbers of messages that who comes and goes has got before anybody else, by sequence number.
    ahead: BTreeMap<u64, u64>,
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

    /// Checks a message that somebody has received who must get all of them.
    ///
    /// # Errors
    /// It belongs to another channel, is not its publisher's next one there, or others got another one in its place.
    #[inline]
    pub(crate) fn check(
        &mut self,
        channel: usize,
        seq: u64,
        origin: Origin,
        now_ns: u64,
    ) -> Result<()> {
        let number = origin.index * self.publishers + origin.publisher as u64;
        let count = self.channels.len() as u64;
        let Some(list) = self.channels.get_mut(channel) else {
            bail!("channel {channel}: nothing is published there");
        };
        let next = list.first_seq + list.seen.len() as u64;
        if seq == next || next == 0 {
            in_turn(&mut self.newest, count, self.step, channel, origin, number)?;
            list.append(channel, seq, number, now_ns)?;
        } else if seq > next {
            bail!("channel {channel}: seq {seq} arrived before anybody got {next}");
        }
        let Some(at) = seq.checked_sub(list.first_seq) else {
            bail!("channel {channel}: seq {seq} arrived more often than it has subscribers");
        };
        let seen = &mut list.seen[at as usize];
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
}

impl Order {
    /// Checks a message that somebody has received who comes and goes: what others get, or will get.
    ///
    /// # Errors
    /// Others get another message under this sequence number.
    pub(crate) fn compare(&mut self, channel: usize, seq: u64, origin: Origin) -> Result<()> {
        let number = origin.index * self.publishers + origin.publisher as u64;
        let Some(list) = self.channels.get_mut(channel) else {
            bail!("channel {channel}: nothing is published there");
        };
        let at = seq.checked_sub(list.first_seq).map(|at| at as usize);
        match at.and_then(|at| list.seen.get(at)) {
            Some(seen) => same(channel, seq, number, seen.number),
            None => same(
                channel,
                seq,
                number,
                *list.ahead.entry(seq).or_insert(number),
            ),
        }
    }

    /// The sequence number that a channel's next message will have, once all that was received before the others got it
    /// has reached them; `None` until then.
    pub(crate) fn next_seq(&self, channel: usize) -> Option<u64> {
        let list = self.channels.get(channel)?;
        list.ahead
            .is_empty()
            .then_some(list.first_seq + list.seen.len() as u64)
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
        if self.seen.is_empty() {
            self.first_seq = seq;
        }
        if let Some(before) = self.ahead.remove(&seq) {
            same(channel, seq, number, before)?;
        }
        self.seen.push_back(Seen {
            number,
            first_received_ns: now_ns,
            reached: 0,
        });
        Ok(())
    }

    fn drop_reached(&mut self, fan: u64) {
        while self.seen.front().is_some_and(|seen| seen.reached >= fan) {
            self.seen.pop_front();
            self.first_seq += 1;
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
        order.check(0, 7, A, 10).unwrap();
        order.check(0, 8, B, 10).unwrap();
        order.check(0, 7, A, 15).unwrap();
        assert!(order.check(0, 8, A, 15).is_err());
        order.check(0, 8, B, 20).unwrap();
        assert_eq!(order.skew.quantiles().count, 2);
        assert!(order.channels[0].seen.is_empty());
    }

    #[test]
    fn a_publication_under_two_sequence_numbers_is_a_fault() {
        let mut order = Order::new(1, 1, Keep::Until(1));
        order.check(0, 1, A, 0).unwrap();
        assert!(order.check(0, 2, A, 0).is_err());
    }

    #[test]
    fn a_publication_left_out_is_a_fault_though_the_sequence_numbers_have_no_gap() {
        let mut order = Order::new(1, 1, Keep::Until(1));
        order.check(0, 1, A, 0).unwrap();
        assert!(order.check(0, 2, origin(0, 2), 0).is_err());
        assert!(Order::new(1, 1, Keep::All).check(0, 1, B, 0).is_err());
    }

    #[test]
    fn a_message_of_another_channel_is_a_fault() {
        let mut order = Order::new(1, 2, Keep::Until(1));
        assert!(order.check(1, 1, A, 0).is_err());
        assert!(order.check(2, 1, A, 0).is_err());
        order.check(1, 1, B, 0).unwrap();
    }

    #[test]
    fn each_publishers_messages_are_in_turn_whatever_the_others_do() {
        // Numbers 0 to 5 are (0,0), (1,0), (0,1), (1,1), (0,2), (1,2), on channels 0, 1, 2, 0, 1, 2.
        let mut order = Order::new(2, 3, Keep::Until(1));
        order.check(0, 1, origin(1, 1), 0).unwrap();
        order.check(0, 2, origin(0, 0), 0).unwrap();
        order.check(0, 3, origin(0, 3), 0).unwrap();
        assert!(order.check(0, 4, origin(1, 7), 0).is_err());
        let mut order = Order::new(2, 3, Keep::Until(1));
        assert!(order.check(0, 1, origin(0, 3), 0).is_err());
    }

    #[test]
    fn a_sequence_number_that_nobody_got_yet_is_not_skipped() {
        let mut order = Order::new(1, 1, Keep::All);
        order.check(0, 1, A, 0).unwrap();
        assert!(order.check(0, 3, B, 0).is_err());
    }

    #[test]
    fn who_comes_and_goes_may_be_the_first_but_gets_what_others_get() {
        let mut order = Order::new(1, 1, Keep::All);
        order.compare(0, 2, B).unwrap();
        assert_eq!(order.next_seq(0), None, "nobody else has it");
        order.check(0, 1, A, 0).unwrap();
        order.compare(0, 1, A).unwrap();
        assert!(order.compare(0, 1, B).is_err());
        assert!(order.compare(0, 2, A).is_err());
        order.check(0, 2, B, 0).unwrap();
        assert_eq!(order.next_seq(0), Some(3));
        order.compare(0, 3, A).unwrap();
        assert!(order.check(0, 3, origin(0, 2), 0).is_err());
    }

    #[test]
    fn a_message_that_all_have_does_not_come_again() {
        let mut order = Order::new(1, 1, Keep::Until(1));
        order.check(0, 1, A, 0).unwrap();
        assert!(order.check(0, 1, A, 0).is_err());
    }
}
