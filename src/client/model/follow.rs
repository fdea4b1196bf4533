//! What a subscriber was told of one channel, held against what must be.

use crate::client::event::Subscribed;

pub(super) struct Follow {
    epoch: String,
    last: Last,
}

/// The newest message that was told or is missing.
enum Last {
    Is(u64),
    /// The first one to come tells, after this one.
    AtLeast(u64),
}

impl Follow {
    pub(super) fn new(subscribed: &Subscribed, last: Option<u8>) -> Self {
        let newest = subscribed.seq;
        Self {
            epoch: subscribed.epoch.to_string(),
            last: match last {
                Some(1..) if newest > 0 => {
                    Last::AtLeast(newest.saturating_sub(last.unwrap_or(0).into()))
                }
                _ => Last::Is(newest),
            },
        }
    }

    /// A message came; its epoch.
    pub(super) fn message(&mut self, seq: u64) -> String {
        match self.last {
            Last::Is(last) => assert_eq!(seq, last + 1),
            Last::AtLeast(last) => assert!(seq > last),
        }
        self.last = Last::Is(seq);
        self.epoch.clone()
    }

    pub(super) fn gap(&mut self, epoch: &str, from: u64, to: u64) {
        if from == 0 {
            assert_ne!(self.epoch, epoch, "the numbering did not begin anew");
        } else {
            assert_eq!(self.epoch, epoch);
            assert!(from <= to);
            match self.last {
                Last::Is(last) => assert_eq!(from, last + 1),
                Last::AtLeast(last) => assert!(from > last),
            }
        }
        self.epoch = epoch.to_owned();
        self.last = Last::Is(to);
    }

    pub(super) fn is_at(&self, (epoch, newest): &(String, u64)) -> bool {
        self.epoch == *epoch && matches!(self.last, Last::Is(last) if last == *newest)
    }
}
