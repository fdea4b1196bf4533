//! The connections: their sockets, and what each has received.

use std::collections::HashMap;

use fanfare::hub::Slot;

use super::frame::{HALVES, HEAD, PARTS, head, number};
use super::naive::Naive;
use super::topics::is_pattern;

/// A socket that takes whatever it is given.
pub(super) const ENDLESS: usize = usize::MAX;

/// The position of the message that has to come next in a subscription: between the two, until the first message settles it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    pub(super) least: u64,
    pub(super) most: u64,
}

impl Expected {
    pub(super) fn exactly(position: u64) -> Self {
        Self {
            least: position,
            most: position,
        }
    }

    pub(super) fn allows(self, position: u64) -> bool {
        (self.least..=self.most).contains(&position)
    }
}

/// A subscription as its client has it.
pub(super) struct Subscription {
    pub(super) expected: Expected,
    /// Whether another epoch began, of which it has to be told before the next message.
    pub(super) is_foreign: bool,
    /// Whether its socket was full since it was last served, or it reads history: only then may it be lapped.
    pub(super) excused: bool,
    /// The end of the channel when it was placed behind: until it is there it reads history, and nobody waits for it.
    pub(super) history_until: u64,
    /// Whether messages from its slot's log have begun; only for want of room there is a way back.
    pub(super) has_begun: bool,
    /// From here on messages have to come from its slot's log.
    pub(super) begins_at: u64,
}

impl Subscription {
    /// Another epoch began in its channel, and all that it holds is in its slot's log.
    pub(super) fn begin_epoch(&mut self) {
        self.is_foreign = true;
        self.expected = Expected::exactly(1);
        self.history_until = 1;
        self.begins_at = 1;
    }

    pub(super) fn reads_history(&self) -> bool {
        self.expected.least < self.history_until
    }
}

/// A connection: its socket, what was left of a half-sent message, and what it has subscribed to.
pub(super) struct Client {
    pub(super) slot: Slot,
    pub(super) room: usize,
    pub(super) rest: usize,
    pub(super) blocked: bool,
    pub(super) stream: Vec<u8>,
    pub(super) subscriptions: HashMap<u8, Subscription>,
    pub(super) closed: usize,
}

impl Client {
    pub(super) fn new(slot: Slot) -> Self {
        Self {
            slot,
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
    pub(super) fn read(&mut self, channels: &HashMap<u8, Naive>, evicts: bool) -> u64 {
        let stream = std::mem::take(&mut self.stream);
        let mut rest = &stream[..];
        let mut frames = 0;
        while !rest.is_empty() {
            let (tag, channel, id, seq) = (rest[0], rest[1], number(rest, 2), number(rest, 10));
            let len = u32::from_le_bytes(rest[18..22].try_into().expect("four bytes")) as usize;
            assert!(rest.len() >= len, "half a frame");
            let head = head(channel);
            assert!(rest[head..len] == vec![id as u8; len - head]);
            let naive = &channels[&channel];
            let position = naive.position_after(seq - 1);
            let message = &naive.messages[position as usize - 1];
            assert_eq!((message.id, message.seq), (id, seq));
            let origin = is_pattern(channel).then(|| (rest[HEAD], number(rest, HEAD + 1)));
            assert_eq!(message.origin, origin);
            assert!(position >= naive.cleared, "it was cleared");
            self.receive(tag, channel, position, evicts);
            frames += 1;
            rest = &rest[len..];
        }
        frames
    }

    /// Holds a message against what had to come next. `evicts`: a derived log may go for want of room.
    fn receive(&mut self, tag: u8, channel: u8, position: u64, evicts: bool) {
        let subscription = self
            .subscriptions
            .get_mut(&channel)
            .expect("a message of a channel that it is not subscribed to");
        assert!(!subscription.is_foreign, "no word of the other epoch");
        let expected = subscription.expected;
        assert!(
            expected.allows(position),
            "got {position} of channel {channel} instead of {expected:?}"
        );
        subscription.expected = Expected::exactly(position + 1);
        match self.slot {
            Slot::BASE => assert_eq!(tag, b'B'),
            PARTS => assert_eq!(tag, b'P', "a byte of another encoding"),
            _ if tag == b'H' => {
                assert_eq!(self.slot, HALVES);
                subscription.has_begun = true;
            }
            _ if is_pattern(channel) => assert_eq!(tag, b'B', "it is made for each pattern"),
            _ => {
                assert_eq!(tag, b'B');
                let may_fall_back = !subscription.has_begun && position < subscription.begins_at;
                assert!(
                    evicts || may_fall_back,
                    "a base frame although there is a log"
                );
            }
        }
    }
}
