//! The broker: it numbers what is published through it, in all its channels together, and answers late.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use fanfare::hub::{Epoch, Numbering, PublishError};

use super::Run;
use super::frame::{Encoder, TestFrame};
use super::topics::name;

/// What the broker has numbered.
struct Numbered {
    epoch: u8,
    seq: u64,
    frame: TestFrame,
}

/// How far the link to the broker has come: an epoch, and the last number in it.
#[derive(Clone, Default)]
pub(super) struct Link(Rc<Cell<(u8, u64)>>);

impl Link {
    /// How a channel is numbered that comes into being now.
    pub(super) fn numbering(&self) -> Numbering {
        let (number, after) = self.0.get();
        Numbering::Broker {
            epoch: epoch(number),
            after,
        }
    }
}

fn epoch(number: u8) -> Epoch {
    Epoch::from_random([number, b'b', 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])
}

/// The broker, and the link to it.
#[derive(Default)]
pub(super) struct Broker {
    epoch: u8,
    seq: u64,
    link: Link,
    /// What it has numbered and not delivered.
    pending: VecDeque<Numbered>,
    /// What it delivered last, if that was taken.
    last: Option<Numbered>,
}

impl Broker {
    pub(super) fn link(&self) -> Link {
        self.link.clone()
    }

    /// Numbers a message.
    pub(super) fn take(&mut self, frame: TestFrame) {
        // Others publish meanwhile, in channels that nobody here has heard of.
        self.seq += 1 + frame.id % 7 / 2;
        self.pending.push_back(Numbered {
            epoch: self.epoch,
            seq: self.seq,
            frame,
        });
    }

    /// The number after which a channel begins that comes into being in `asked`; none if the link is in another epoch.
    pub(super) fn after(&self, asked: &str) -> Option<u64> {
        let (number, after) = self.link.0.get();
        (asked == epoch(number).as_str()).then_some(after)
    }

    /// Everything begins anew, but what was numbered is still delivered.
    fn begin_epoch(&mut self) {
        if self.epoch < u8::MAX {
            self.epoch += 1;
            self.seq = u64::from(self.epoch % 3) * 5;
        }
    }
}

impl Run {
    /// See [`Run::step`]: something comes from the broker.
    pub fn hear(&mut self, what: u8, count: u8) {
        match what % 16 {
            0 => self.broker.begin_epoch(),
            1 => self.deliver_again(),
            _ => {}
        }
        self.deliver(usize::from(count % 12));
    }

    /// Delivers up to `most` messages, in the order of their numbers.
    pub fn deliver(&mut self, most: usize) {
        for _ in 0..most {
            let Some(numbered) = self.broker.pending.pop_front() else {
                break;
            };
            let (number, seq) = (numbered.epoch, numbered.seq);
            let was_taken = self.append(Some((&epoch(number), seq)), &numbered.frame);
            self.broker.link.0.set((number, seq));
            self.broker.last = was_taken.then_some(numbered);
        }
    }

    /// Delivers the last message once more: that is refused.
    fn deliver_again(&mut self) {
        let Some(last) = &self.broker.last else {
            return;
        };
        let (epoch, name) = (epoch(last.epoch), name(last.frame.channel));
        let (before, stats) = (self.hub.held(&*name), self.hub.stats());
        let again = self.hub.append_at(
            Some((&epoch, last.seq)),
            &name,
            &last.frame,
            &mut Encoder,
            self.now,
        );
        assert_eq!(again, Err(PublishError::NotNewer));
        assert_eq!((self.hub.held(&*name), self.hub.stats()), (before, stats));
    }

    /// A message of `epoch` comes to a channel. If the channel was there and had another one, all its subscribers have to be
    /// told, and nothing is left of what it held.
    pub(super) fn note_epoch(&mut self, channel: u8, existed: bool, epoch: &str, after: u64) {
        let Some(naive) = self.channels.get_mut(&channel) else {
            return;
        };
        if !existed || naive.epoch == epoch {
            return;
        }
        naive.begin_epoch(epoch, after);
        for client in &mut self.clients {
            if let Some(subscription) = client.subscriptions.get_mut(&channel) {
                subscription.begin_epoch();
            }
        }
    }
}
