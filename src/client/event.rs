//! What a [`Client`](super::Client) tells its program.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;
use std::{error, fmt};

use super::error::Cause;

/// Something that happened on a client's connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// Somebody published.
    Message {
        /// The channel.
        channel: Arc<str>,
        /// The message's number in the channel's epoch.
        seq: u64,
        /// The JSON value as the publisher wrote it.
        data: String,
    },
    /// These messages will not come; the next one of the channel comes after `to`.
    Gap {
        /// The channel.
        channel: Arc<str>,
        /// What `from` and `to` count in.
        epoch: Arc<str>,
        /// The first that is missing; 0 where the numbering began anew.
        from: u64,
        /// The last that is missing; 0 where the numbering began anew and nothing of it is missing.
        to: u64,
        /// Why.
        reason: GapReason,
    },
    /// A subscription was made. On coming back, subscriptions are resumed without saying so again.
    Subscribed {
        /// The channel.
        channel: Arc<str>,
        /// What the numbers of its messages count in.
        epoch: Arc<str>,
        /// The newest message's number, 0 if there was none yet.
        seq: u64,
        /// Where the subscription began after a known message: whether all since will come.
        recovered: Option<bool>,
    },
    /// A subscription was not made, or not again: it is gone.
    SubscribeRefused {
        /// The channel.
        channel: Arc<str>,
        /// What the server said.
        refusal: Refusal,
    },
    /// A subscription has ended, as asked for.
    Unsubscribed {
        /// The channel.
        channel: Arc<str>,
    },
    /// A message was published.
    Published {
        /// What the program called it.
        tag: u64,
        /// What `seq` counts in.
        epoch: Arc<str>,
        /// Its number.
        seq: u64,
    },
    /// A batch of messages has been dealt with: each was published, or refused with an [`Event::Refused`] before this.
    BatchDone {
        /// What the program called the first and the last.
        tags: RangeInclusive<u64>,
        /// How many they are.
        count: usize,
    },
    /// A message was refused.
    Refused {
        /// What the program called it; `None` for one of a batch.
        tag: Option<u64>,
        /// What the server said.
        refusal: Refusal,
    },
    /// The connection was lost before these messages were answered: each may have been published or not.
    /// They are not sent again, since that could publish them twice.
    Unknown {
        /// What the program called the first and the last.
        tags: RangeInclusive<u64>,
        /// How many they are.
        count: usize,
    },
    /// There is no connection, and there will be another try.
    Reconnecting {
        /// Which try is next, from 1 since a connection last settled.
        attempt: u32,
        /// How long until then.
        wait: Duration,
        /// What happened.
        cause: Arc<Cause>,
    },
    /// The connection is back, and all subscriptions are on their way to be resumed.
    Reconnected,
}

impl Event {
    /// Roughly how many bytes of memory it takes.
    pub(super) fn weight(&self) -> usize {
        let data = match self {
            Self::Message { data, .. } => data.capacity(),
            _ => 0,
        };
        size_of::<Self>() + data
    }
}

/// Why messages will not come.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GapReason {
    /// This subscriber fell behind what the channel holds.
    Slow,
    /// It came back too late.
    Expired,
    /// The numbering began anew.
    Epoch,
    /// The server skipped numbers without saying so, which none should.
    Unannounced,
    /// A reason that this client does not know.
    Other(String),
}

impl GapReason {
    pub(super) fn from_wire(reason: &str) -> Self {
        match reason {
            "slow" => Self::Slow,
            "expired" => Self::Expired,
            "epoch" => Self::Epoch,
            other => Self::Other(other.to_owned()),
        }
    }

    /// The reason as the protocol spells it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Slow => "slow",
            Self::Expired => "expired",
            Self::Epoch => "epoch",
            Self::Unannounced => "unannounced",
            Self::Other(other) => other,
        }
    }
}

impl fmt::Display for GapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a server says when it refuses a request.
#[derive(Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why, for programs: `forbidden`, `bad_json` and others, as `docs/protocol.md` lists them.
    pub code: String,
    /// Why, for people.
    pub message: String,
    /// When to try again, where the server says so.
    pub retry_after: Option<Duration>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message.escape_debug())
    }
}

impl error::Error for Refusal {}

crate::words::in_words!(Refusal);

/// A message that was published: its place in its channel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Published {
    /// What `seq` counts in.
    pub epoch: Arc<str>,
    /// The message's number, from 1.
    pub seq: u64,
}

/// A subscription that was made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subscribed {
    /// What the numbers of the channel's messages count in.
    pub epoch: Arc<str>,
    /// The newest message's number, 0 if there was none yet.
    pub seq: u64,
    /// Where the subscription began after a known message: whether all since will come.
    pub recovered: Option<bool>,
}

/// A place in a channel: where a subscriber is, and from where it can go on.
///
/// Displays as `EPOCH:SEQ`, which is what `fanfare sub --since` takes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// What `seq` counts in.
    pub epoch: Arc<str>,
    /// The newest message that the subscriber had, or knows that it missed.
    pub seq: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.epoch, self.seq)
    }
}
