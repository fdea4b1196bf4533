//! The connections: their sockets, and what each has received.

use std::collections::HashMap;

use fanfare::hub::Encoding;

use super::frame::HEAD;
use super::naive::Naive;

/// A socket that takes whatever it is given.
pub(super) const ENDLESS: usize = usize::MAX;

/// The seq that has to come next in a subscription: between the two, until the first message settles it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    pub(super) least: u64,
    pub(super) most: u64,
}

impl Expected {
    pub(super) fn exactly(seq: u64) -> Self {
        Self {
            least: seq,
            most: seq,
        }
    }

    pub(super) fn allows(self, seq: u64) -> bool {
        (self.least..=self.most).contains(&seq)
    }
}

/// A subscription as its client has it.
pub(super) struct Subscription {
    pub(super) expected: Expected,
    /// Whether its socket was full since it was last served, or it reads history: only then may it be lapped.
    pub(super) excused: bool,
    /// The end of the channel when it was placed behind: until it is there it reads history, and nobody waits for it.
    pub(super) history_until: u64,
    /// Whether deflated messages have begun; there is no way back.
    pub(super) deflated: bool,
    /// From here on messages have to come deflated.
    pub(super) deflated_from: u64,
}

impl Subscription {
    pub(super) fn reads_history(&self) -> bool {
        self.expected.least < self.history_until
    }
}

/// A connection: its socket, what was left of a half-sent message, and what it has subscribed to.
pub(super) struct Client {
    pub(super) encoding: Encoding,
    pub(super) room: usize,
    pub(super) rest: usize,
    pub(super) blocked: bool,
    pub(super) stream: Vec<u8>,
    pub(super) subscriptions: HashMap<u8, Subscription>,
    pub(super) closed: usize,
}

impl Client {
    pub(super) fn new(encoding: Encoding) -> Self {
        Self {
            encoding,
            room: ENDLESS,
            rest: 0,
            blocked: false,
            stream: Vec::new(),
            subscriptions: HashMap::new(),
            closed: 0,
        }
    }

    pub(super) fn take(&mut self, offered: usize) -> usize {
        let taken = offered.min(self.room);
        if self.room != ENDLESS {
            self.room -= taken;
        }
        taken
    }

    /// Parses what it has received: whole frames, in order, each hole announced. Returns how many there were.
    pub(super) fn read(&mut self, channels: &HashMap<u8, Naive>) -> u64 {
        let stream = std::mem::take(&mut self.stream);
        let mut rest = &stream[..];
        let mut frames = 0;
        while !rest.is_empty() {
            let number =
                |at: usize| u64::from_le_bytes(rest[at..at + 8].try_into().expect("eight bytes"));
            let (tag, channel, id, seq) = (rest[0], rest[1], number(2), number(10));
            let len = u32::from_le_bytes(rest[18..22].try_into().expect("four bytes")) as usize;
            assert!(rest.len() >= len, "half a frame");
            assert!(rest[HEAD..len] == vec![id as u8; len - HEAD]);
            assert_eq!(channels[&channel].messages[seq as usize - 1].id, id);
            self.receive(tag == b'D', channel, seq);
            frames += 1;
            rest = &rest[len..];
        }
        frames
    }

    /// Holds a message against what had to come next.
    fn receive(&mut self, deflated: bool, channel: u8, seq: u64) {
        let subscription = self
            .subscriptions
            .get_mut(&channel)
            .expect("a message of a channel that it is not subscribed to");
        let expected = subscription.expected;
        assert!(
            expected.allows(seq),
            "got {seq} of channel {channel} instead of {expected:?}"
        );
        subscription.expected = Expected::exactly(seq + 1);
        if deflated {
            assert_eq!(self.encoding, Encoding::Deflate);
            subscription.deflated = true;
        } else {
            assert!(!subscription.deflated, "back to plain in the middle");
            assert!(
                seq < subscription.deflated_from,
                "plain although there is a deflate log"
            );
        }
    }
}
