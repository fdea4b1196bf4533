//! A broker for tests that answers when it is told to, numbers all channels together and may change their epoch.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use super::keys::Key;
use super::service::Publication;
use super::tickets::Ticket;
use crate::channel::topic::Topic;
use crate::dialect::json::Encoding;
use crate::hub::{Epoch, Numbering};

/// A publication that the broker has taken and not numbered.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) ticket: Ticket,
    pub(super) channel: String,
    pub(super) encoding: Encoding,
    pub(super) data: Vec<u8>,
    pub(super) key: Option<Key>,
}

/// How the broker numbers: all channels together, in one epoch.
#[derive(Debug)]
pub(super) struct Numbers {
    epochs: u8,
    newest: u64,
}

impl Numbers {
    fn epoch(&self) -> Epoch {
        Epoch::from_random([self.epochs; 12])
    }

    /// The epoch and the number of the next message.
    pub(super) fn next(&self) -> (Epoch, u64) {
        (self.epoch(), self.newest + 1)
    }

    /// That message is in its channel.
    pub(super) fn advance(&mut self) {
        self.newest += 1;
    }

    /// Begins another epoch.
    pub(super) fn begin_epoch(&mut self) {
        self.epochs += 1;
        self.newest = 0;
    }
}

/// The broker's end of the link.
#[derive(Debug)]
pub(super) struct LateBroker {
    pub(super) taken: VecDeque<Taken>,
    pub(super) numbers: Rc<RefCell<Numbers>>,
    /// It is out of reach.
    pub(super) is_lost: bool,
}

impl LateBroker {
    pub(super) fn new() -> Self {
        let numbers = Numbers {
            epochs: 0,
            newest: 0,
        };
        LateBroker {
            taken: VecDeque::new(),
            numbers: Rc::new(RefCell::new(numbers)),
            is_lost: false,
        }
    }

    /// How a channel that comes into being is numbered: by the broker.
    pub(super) fn numbering(&self) -> Box<dyn FnMut(Topic<'_>) -> Numbering> {
        let numbers = Rc::clone(&self.numbers);
        Box::new(move |_| {
            let numbers = numbers.borrow();
            Numbering::Broker {
                epoch: numbers.epoch(),
                after: numbers.newest,
            }
        })
    }

    /// Takes a publication.
    pub(super) fn take(&mut self, ticket: Ticket, what: &Publication<'_>, key: Option<Key>) {
        self.taken.push_back(Taken {
            ticket,
            channel: what.channel.to_owned(),
            encoding: what.data.encoding,
            data: what.data.raw.to_vec(),
            key,
        });
    }
}
