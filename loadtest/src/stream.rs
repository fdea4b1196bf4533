//! The one stream of bytes that every subscriber of a channel must see.
//!
//! All subscribers of a channel get identical bytes, so only the first one to receive a message has it parsed and
//! checked in full; the others are compared with what it received, which costs a `memcmp`. That is what lets one core
//! check what another one broadcasts.
//!
//! Messages that were sent at the same moment and arrived next to each other form a *group*: latency and skew are
//! recorded a group at a time.

use std::collections::VecDeque;

use anyhow::Result;

use crate::fault::Overloaded;
use crate::latency::Latencies;

/// The most bytes that are kept for the slowest subscriber.
const MAX_HELD: usize = 1 << 30;
/// Bytes that all have seen are dropped once there are this many.
const DROP_AT: usize = 8 << 20;

/// Consecutive messages of one moment.
#[derive(Debug)]
struct Group {
    /// Where its last message ends.
    end: u64,
    messages: u64,
    sent_ns: u64,
    first_received_ns: u64,
    /// How many followers have all of it.
    reached: usize,
    /// Nothing is added to it any more, because somebody has gone past it.
    sealed: bool,
}

/// The bytes of a channel from its first message on.
pub(crate) struct Stream {
    followers: usize,
    bytes: Vec<u8>,
    /// Offset of `bytes[0]`.
    base: u64,
    /// Where each message ends, from the one numbered `ends_base` on.
    ends: VecDeque<u64>,
    ends_base: u64,
    /// Where the last message ends that all have seen.
    seen_end: u64,
    groups: VecDeque<Group>,
    groups_base: u64,
    /// From the first subscriber to receive a message to the last one.
    pub(crate) skew: Latencies,
    /// From sending to receiving.
    pub(crate) latencies: Latencies,
}

/// How far one subscriber has come; the default is the beginning.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Position {
    offset: u64,
    messages: u64,
    group: u64,
}

impl Stream {
    /// An empty stream that `followers` subscribers will follow.
    pub(crate) fn new(followers: usize) -> Self {
        Self {
            followers,
            bytes: Vec::new(),
            base: 0,
            ends: VecDeque::new(),
            ends_base: 0,
            seen_end: 0,
            groups: VecDeque::new(),
            groups_base: 0,
            skew: Latencies::new(),
            latencies: Latencies::new(),
        }
    }

    /// How many messages have been appended since the beginning.
    pub(crate) fn messages(&self) -> u64 {
        self.ends_base + self.ends.len() as u64
    }

    /// Compares `received` with what comes next for `position` and moves on over what is equal; returns how many bytes
    /// that were. Fewer than `received` has: either the stream ends there ([`at_end`](Self::at_end)) or they differ.
    #[inline]
    pub(crate) fn follow(&self, position: &mut Position, received: &[u8]) -> usize {
        // The bytes before the slowest follower's group are dropped, those after it are held.
        let expected = &self.bytes[(position.offset - self.base) as usize..];
        let len = expected.len().min(received.len());
        let equal = if expected[..len] == received[..len] {
            len
        } else {
            expected
                .iter()
                .zip(received)
                .take_while(|(one, other)| one == other)
                .count()
        };
        position.offset += equal as u64;
        equal
    }

    /// Whether nobody has come further than `position`.
    pub(crate) fn at_end(&self, position: &Position) -> bool {
        position.offset == self.base + self.bytes.len() as u64
    }

    /// Moves `position` back to the beginning of the message that it stands in and returns the bytes of it that it had
    /// gone over.
    pub(crate) fn back_to_boundary(&self, position: &mut Position) -> &[u8] {
        let after = self.ends.partition_point(|end| *end <= position.offset);
        // Nobody stands before what all have seen.
        let boundary = match after.checked_sub(1) {
            Some(before) => self.ends[before],
            None => self.seen_end,
        };
        let range = (boundary - self.base) as usize..(position.offset - self.base) as usize;
        position.offset = boundary;
        &self.bytes[range]
    }

    /// Appends the next message, which a follower at the end has received.
    ///
    /// # Errors
    /// The slowest follower is more than 1 GiB behind.
    pub(crate) fn append(&mut self, frame: &[u8], sent_ns: u64, now_ns: u64) -> Result<()> {
        if self.bytes.len() + frame.len() > MAX_HELD {
            return Err(Overloaded::ours(
                "the slowest subscriber is more than 1 GiB behind the fastest: the rate is too high to be checked"
                    .to_owned(),
            ));
        }
        self.bytes.extend_from_slice(frame);
        let end = self.base + self.bytes.len() as u64;
        self.ends.push_back(end);
        match self.groups.back_mut() {
            Some(group) if !group.sealed && group.sent_ns == sent_ns => {
                group.end = end;
                group.messages += 1;
            }
            _ => self.groups.push_back(Group {
                end,
                messages: 1,
                sent_ns,
                first_received_ns: now_ns,
                reached: 0,
                sealed: false,
            }),
        }
        Ok(())
    }

    /// Records what `position` has gone past since it was last asked; returns how many messages.
    #[inline]
    pub(crate) fn settle(&mut self, position: &mut Position, now_ns: u64) -> u64 {
        let before = position.messages;
        let mut at = (before - self.ends_base) as usize;
        while self.ends.get(at).is_some_and(|end| *end <= position.offset) {
            at += 1;
        }
        position.messages = self.ends_base + at as u64;
        while let Some(group) = self
            .groups
            .get_mut((position.group - self.groups_base) as usize)
            && group.end <= position.offset
        {
            group.sealed = true;
            group.reached += 1;
            self.latencies
                .record(now_ns.saturating_sub(group.sent_ns), group.messages);
            if group.reached == self.followers {
                self.skew
                    .record(now_ns.saturating_sub(group.first_received_ns), 1);
            }
            position.group += 1;
        }
        self.drop_seen();
        position.messages - before
    }

    /// Drops the groups that everybody has, and their bytes once there are many.
    fn drop_seen(&mut self) {
        while let Some(group) = self.groups.front()
            && group.reached >= self.followers
        {
            let (end, messages) = (group.end, group.messages);
            self.groups.pop_front();
            self.groups_base += 1;
            self.seen_end = end;
            let seen = (end - self.base) as usize;
            if seen >= DROP_AT && seen * 2 >= self.bytes.len() {
                self.bytes.drain(..seen);
                self.base = end;
            }
            self.ends.drain(..messages as usize);
            self.ends_base += messages;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn followers_are_compared_with_the_first_one() {
        let mut stream = Stream::new(2);
        let (mut first, mut second) = (Position::default(), Position::default());
        assert_eq!(stream.follow(&mut first, b"abc"), 0);
        assert!(stream.at_end(&first));
        stream.append(b"abc", 10, 20).unwrap();
        assert_eq!(stream.follow(&mut first, b"abc"), 3);
        assert_eq!(stream.settle(&mut first, 20), 1);
        assert_eq!(stream.follow(&mut second, b"ab"), 2);
        assert_eq!(stream.settle(&mut second, 21), 0);
        assert_eq!(stream.follow(&mut second, b"X"), 0);
        assert_eq!(stream.back_to_boundary(&mut second), b"ab");
        assert_eq!(stream.follow(&mut second, b"abc"), 3);
        assert_eq!(stream.settle(&mut second, 30), 1);
        assert_eq!(stream.latencies.quantiles().count, 2);
        assert_eq!(stream.skew.quantiles().count, 1);
    }

    #[test]
    fn a_message_begins_where_the_last_one_that_all_have_seen_ends() {
        let mut stream = Stream::new(2);
        let (mut first, mut second) = (Position::default(), Position::default());
        for position in [&mut first, &mut second] {
            if stream.at_end(position) {
                stream.append(b"one", 10, 20).unwrap();
            }
            stream.follow(position, b"one");
            stream.settle(position, 20);
        }
        stream.append(b"two", 30, 40).unwrap();
        assert_eq!(stream.follow(&mut second, b"tw"), 2);
        assert_eq!(stream.back_to_boundary(&mut second), b"tw");
    }

    #[test]
    fn a_group_that_somebody_went_past_gets_no_more_messages() {
        let mut stream = Stream::new(2);
        let (mut first, mut second) = (Position::default(), Position::default());
        for _ in 0..3 {
            stream.append(b"m", 5, 6).unwrap();
            assert_eq!(stream.follow(&mut first, b"m"), 1);
            assert_eq!(stream.settle(&mut first, 6), 1);
        }
        assert_eq!(stream.follow(&mut second, b"mmm"), 3);
        assert_eq!(stream.settle(&mut second, 6), 3);
        assert_eq!(stream.latencies.quantiles().count, 6);
    }

    #[test]
    fn what_everybody_has_seen_is_dropped() {
        let mut stream = Stream::new(1);
        let mut only = Position::default();
        let message = vec![7; 1 << 20];
        for _ in 0..100 {
            stream.append(&message, 1, 2).unwrap();
            assert_eq!(stream.follow(&mut only, &message), message.len());
            stream.settle(&mut only, 3);
        }
        assert_eq!(stream.messages(), 100);
        assert!(stream.bytes.len() <= DROP_AT + message.len());
        assert!(stream.ends.is_empty() && stream.groups.is_empty());
    }
}
