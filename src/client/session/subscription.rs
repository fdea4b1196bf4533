//! One subscription: what it began with, and where it is.

use std::ops::Range;
use std::sync::Arc;

use crate::client::event::{Position, Subscribed};
use crate::dialect::json::Start;

/// One subscription, across connections.
#[derive(Debug)]
pub(super) struct Subscription {
    /// What the program asked for, until a position is known.
    asked: Asked,
    /// The epoch that the messages that come now belong to.
    epoch: Option<Arc<str>>,
    /// The newest message that came, or is known to be missed, or was there before the first that will come.
    position: Option<Position>,
    /// The next message is `position.seq + 1`, unless a gap says otherwise.
    exact: bool,
    /// The program has been told that it was made.
    made: bool,
}

/// [`Start`], owned.
#[derive(Debug)]
enum Asked {
    Live,
    Since(Position),
    Last(u64),
}

impl Subscription {
    pub(super) fn new(start: Start<'_>) -> Self {
        let asked = match start {
            Start::Live => Asked::Live,
            Start::Last(count) => Asked::Last(count),
            Start::Since { epoch, seq } => Asked::Since(Position {
                epoch: epoch.into(),
                seq,
            }),
        };
        Self {
            asked,
            epoch: None,
            position: None,
            exact: false,
            made: false,
        }
    }

    /// What to ask a connection for.
    pub(super) fn start(&self) -> Start<'_> {
        match (&self.position, &self.asked) {
            (Some(position), _) | (None, Asked::Since(position)) => Start::Since {
                epoch: &position.epoch,
                seq: position.seq,
            },
            (None, Asked::Live) => Start::Live,
            (None, Asked::Last(count)) => Start::Last(*count),
        }
    }

    pub(super) fn position(&self) -> Option<Position> {
        self.position.clone()
    }

    pub(super) const fn was_made(&self) -> bool {
        self.made
    }

    /// The epoch of the message that came last.
    pub(super) fn epoch(&self) -> Arc<str> {
        self.epoch.clone().unwrap_or_default()
    }

    /// The server has made it. Whether the program should hear of that: it does once, not each time it is resumed.
    pub(super) fn begin(&mut self, subscribed: &Subscribed) -> bool {
        self.epoch = Some(subscribed.epoch.clone());
        let newest = |seq| Position {
            epoch: subscribed.epoch.clone(),
            seq,
        };
        match (subscribed.recovered, &self.position, &self.asked) {
            // What was asked for is what comes.
            (Some(true), None, Asked::Since(position)) => {
                self.position = Some(position.clone());
                self.exact = true;
            }
            (Some(true), ..) => self.exact = true,
            // A gap follows, which says where it goes on; until it has come, the old position is the one to ask for.
            (Some(false), ..) => self.exact = false,
            (None, _, Asked::Last(count)) => {
                // How many of them are still held, the first message will tell.
                self.position = Some(newest(subscribed.seq.saturating_sub(*count)));
                self.exact = *count == 0 || subscribed.seq == 0;
            }
            (None, ..) => {
                self.position = Some(newest(subscribed.seq));
                self.exact = true;
            }
        }
        !std::mem::replace(&mut self.made, true)
    }

    /// Message `seq` came. Those before it that should have come and did not, or `None` if it came before.
    pub(super) fn advance(&mut self, seq: u64) -> Option<Range<u64>> {
        let epoch = self.epoch();
        let missed = match &self.position {
            Some(position) if self.exact => {
                let expected = position.seq.saturating_add(1);
                if seq < expected {
                    return None;
                }
                expected..seq
            }
            _ => seq..seq,
        };
        self.position = Some(Position { epoch, seq });
        self.exact = true;
        Some(missed)
    }

    /// The messages up to `to` of `epoch` will not come.
    pub(super) fn skip(&mut self, epoch: Arc<str>, to: u64) {
        self.epoch = Some(epoch.clone());
        self.position = Some(Position { epoch, seq: to });
        self.exact = true;
    }
}
