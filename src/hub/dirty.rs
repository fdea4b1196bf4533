//! The channels in which somebody may be behind.

use std::collections::VecDeque;

use super::subscriber::{Link, SCATTERED, Subscriber};

/// To find a subscription by its channel costs about as much as to look at so many in a row.
const LOOKS: usize = 4;

/// The dirty channels: those in which not everybody has been looked at since the newest message.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    /// Those whose subscribers are being visited, in turn.
    pub(super) queue: VecDeque<u32>,
    /// How many of these are large and in a circle.
    pub(super) large: usize,
    /// The large ones that wait to begin their next circle.
    pub(super) waiting: Vec<u32>,
}

impl Dirty {
    /// Lets those that wait go on.
    pub(super) fn begin_circles(&mut self) {
        self.large += self.waiting.len();
        self.queue.extend(self.waiting.drain(..));
    }

    /// Whether it is quicker to look for `subscriber` in each dirty channel than to look at each of its subscriptions, and
    /// comes to the same: it is behind in no other but those that are noted for it.
    pub(super) fn are_few(&self, subscriber: &Subscriber) -> bool {
        self.len() < subscriber.links.len() / LOOKS && !subscriber.is(SCATTERED)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.queue.len() + self.waiting.len()
    }

    /// The subscriptions of `subscriber` to dirty channels.
    pub(super) fn links(&self, subscriber: &Subscriber) -> impl Iterator<Item = Link> {
        let channels = self.queue.iter().chain(&self.waiting);
        channels.filter_map(|&channel| subscriber.links.find(channel))
    }
}
