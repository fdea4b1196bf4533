//! One subscription: what it began with, and where it is.
//!
//! The numbers of a channel's messages grow, but not always by one: nothing here takes a number that did not come for a message
//! that is missing, unless the server has said that some are.

use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::client::event::{Position, Subscribed};
use crate::dialect::json::Start;

/// One subscription, across connections.
#[derive(Debug)]
pub(super) struct Subscription {
    /// Tells this subscription from earlier ones to the same channel.
    number: u64,
    /// What the program asked for, until a position is known.
    asked: Asked,
    /// The epoch that the messages that come now belong to.
    epoch: Option<Arc<str>>,
    /// The newest message that came, or is known to be missed, or was there before the first that will come.
    position: Option<Position>,
    /// What comes after `position`.
    next: Next,
    /// The program has been told that it was made.
    made: bool,
    /// The server has made it on this connection.
    live: bool,
    /// The program wants it to end.
    ending: bool,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// A message after the position, or a gap.
    Any,
    /// A gap, since the server could not go on where the subscription was.
    Gap,
}

/// [`Start`], owned.
#[derive(Debug)]
enum Asked {
    Live,
    Since(Position),
    Last(u64),
}

/// What a message is to a subscription.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It comes next.
    Next,
    /// It comes next, and the server has not said which of those before it are missing.
    After(RangeInclusive<u64>),
    /// It came before, or it comes from a server that has not made the subscription.
    Nowhere,
}

impl Subscription {
    pub(super) fn new(start: Start<'_>, number: u64) -> Self {
        let asked = match start {
            Start::Live => Asked::Live,
            Start::Last(count) => Asked::Last(count),
            Start::Since { epoch, seq } => Asked::Since(Position {
                epoch: epoch.into(),
                seq,
            }),
        };
        Self {
            number,
            asked,
            epoch: None,
            position: None,
            next: Next::Any,
            made: false,
            live: false,
            ending: false,
        }
    }

    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// What to ask a connection for.
    pub(super) fn start(&self) -> Start<'_> {
        match self.since() {
            Some(position) => Start::Since {
                epoch: &position.epoch,
                seq: position.seq,
            },
            None => match self.asked {
                Asked::Last(count) => Start::Last(count),
                _ => Start::Live,
            },
        }
    }

    /// The message after which to begin, where one is known.
    fn since(&self) -> Option<&Position> {
        match (&self.position, &self.asked) {
            (Some(position), _) | (None, Asked::Since(position)) => Some(position),
            (None, _) => None,
        }
    }

    pub(super) fn position(&self) -> Option<Position> {
        self.position.clone()
    }

    pub(super) const fn was_made(&self) -> bool {
        self.made
    }

    pub(super) const fn is_live(&self) -> bool {
        self.live
    }

    pub(super) const fn is_ending(&self) -> bool {
        self.ending
    }

    /// The program wants it to end.
    pub(super) const fn end(&mut self) {
        self.ending = true;
    }

    /// The connection is gone.
    pub(super) const fn lose(&mut self) {
        self.live = false;
    }

    /// The epoch of the message that came last.
    pub(super) fn epoch(&self) -> Arc<str> {
        self.epoch.clone().unwrap_or_default()
    }

    /// The server has made it. Whether the program should hear of that: it does once, not each time it is resumed.
    ///
    /// # Errors
    /// What is wrong with the answer.
    pub(super) fn begin(&mut self, subscribed: &Subscribed) -> Result<bool, &'static str> {
        let (next, position) = match (self.since(), subscribed.recovered) {
            (Some(since), Some(true)) => {
                if since.epoch != subscribed.epoch || since.seq > subscribed.seq {
                    return Err("a recovery of messages that it does not have");
                }
                (Next::Any, since.clone())
            }
            // Until the gap has come, the old position is the one to ask for.
            (Some(since), Some(false)) => (Next::Gap, since.clone()),
            (Some(_), None) => return Err("a `subscribed` without `recovered`"),
            (None, _) => {
                // Which number the first of the newest has, that message will tell.
                let seq = match self.asked {
                    Asked::Last(1..) => 0,
                    _ => subscribed.seq,
                };
                let position = Position {
                    epoch: subscribed.epoch.clone(),
                    seq,
                };
                (Next::Any, position)
            }
        };
        self.next = next;
        self.position = Some(position);
        self.epoch = Some(subscribed.epoch.clone());
        self.live = true;
        Ok(!std::mem::replace(&mut self.made, true))
    }

    /// Message `seq` came.
    pub(super) fn advance(&mut self, seq: u64) -> Place {
        if !self.live {
            return Place::Nowhere;
        }
        let epoch = self.epoch();
        let place = match &self.position {
            // The gap that says that the numbering began anew has not come.
            Some(position) if position.epoch != epoch && seq > 0 => Place::After(0..=seq - 1),
            Some(position) if seq <= position.seq => return Place::Nowhere,
            Some(position) if self.next == Next::Gap && seq > position.seq + 1 => {
                Place::After(position.seq + 1..=seq - 1)
            }
            _ => Place::Next,
        };
        self.position = Some(Position { epoch, seq });
        self.next = Next::Any;
        place
    }

    /// The messages `from` to `to` of `epoch` will not come. Those of them that were not had, or known to be missed, already.
    pub(super) fn skip(
        &mut self,
        epoch: Arc<str>,
        from: u64,
        to: u64,
    ) -> Option<RangeInclusive<u64>> {
        if !self.live {
            return None;
        }
        let from = match &self.position {
            // From 0 on, the numbering began anew.
            Some(position) if from > 0 && position.epoch == epoch => {
                if to <= position.seq {
                    return None;
                }
                from.max(position.seq + 1)
            }
            _ => from,
        };
        self.epoch = Some(epoch.clone());
        self.position = Some(Position { epoch, seq: to });
        self.next = Next::Any;
        Some(from..=to)
    }
}
