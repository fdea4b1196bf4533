//! A broker for tests that answers when it is told to, numbers all channels together and may change their epoch.

use std::collections::VecDeque;

use super::tickets::Ticket;

/// A publication that the broker has taken and not numbered.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) ticket: Ticket,
    pub(super) channel: String,
    pub(super) data: Vec<u8>,
}

/// The broker's end of the link.
#[derive(Debug, Default)]
pub(super) struct LateBroker {
    pub(super) taken: VecDeque<Taken>,
}

impl LateBroker {
    /// Takes a publication.
    pub(super) fn take(&mut self, ticket: Ticket, channel: &str, data: &[u8]) {
        self.taken.push_back(Taken {
            ticket,
            channel: channel.to_owned(),
            data: data.to_vec(),
        });
    }
}
