//! What a [`Client`](super::Client) tells its program.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use super::error::Cause;
use super::payload::Payload;
use super::refusal::Refusal;
use super::topic_name::TopicName;
use crate::words::Shown;

/// Something that happened on a client's connection.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// Somebody published.
    Message {
        /// The channel that it was published to.
        channel: Arc<str>,
        /// The message's number in the subscription's epoch: greater than that of the message before it, but not always by one.
        seq: u64,
        /// What was published.
        data: Payload,
        /// The pattern, if it comes for a subscription to one: then `seq` counts the pattern's messages.
        pattern: Option<Arc<str>>,
        /// The message's number in its channel, as [`Published`] has it. Without a pattern it is `seq`.
        channel_seq: u64,
    },
    /// The messages from `from` to `to`, both included, will not come. Not every number in between need be that of a message.
    /// The next message of the subscription has a number greater than `to`.
    Gap {
        /// What the subscription is to.
        topic: TopicName,
        /// What `from` and `to` count in.
        epoch: Arc<str>,
        /// No missing message has a smaller number; 0 where the numbering began anew.
        from: u64,
        /// No missing message has a greater number. It is not less than `from`, and 0 where the numbering began anew and nothing of it is missing.
        to: u64,
        /// Why.
        reason: GapReason,
    },
    /// A subscription was made. On coming back, subscriptions are resumed without saying so again.
    Subscribed {
        /// What it is to.
        topic: TopicName,
        /// What the numbers of its messages count in.
        epoch: Arc<str>,
        /// The newest message's number, 0 if there was none yet.
        seq: u64,
        /// Where the subscription began after a known message: whether all since will come.
        recovered: Option<bool>,
    },
    /// A subscription was not made, or not again: it is gone.
    SubscribeRefused {
        /// What it was to.
        topic: TopicName,
        /// What the server said; or `unsupported`, where the server of a new connection has no patterns and was not asked.
        refusal: Refusal,
    },
    /// A subscription has ended, as asked for.
    Unsubscribed {
        /// What it was to.
        topic: TopicName,
    },
    /// The server ended a subscription by itself: nothing of it comes any more, and the subscription is not taken up again
    /// after a loss.
    SubscriptionEnded {
        /// What it was to.
        topic: TopicName,
        /// Why, where the server says so: `forbidden`, for one. At most 64 bytes.
        reason: Option<String>,
    },
    /// A message was published.
    Published {
        /// What the program called it.
        tag: u64,
        /// What `seq` counts in.
        epoch: Arc<str>,
        /// Its number.
        seq: u64,
        /// It was published before, with the same key: this is where.
        duplicate: bool,
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
        /// What the server said; or `unsupported`, where the server of a new connection has no keys or no encodings or takes
        /// shorter requests only, and it was not sent.
        refusal: Refusal,
    },
    /// The connection was lost before these messages were answered: each may have been published or not.
    /// They are not sent again, since that could publish them twice. One with a [key](super::Publication#keys) is seldom among them.
    Unknown {
        /// What the program called the first and the last.
        tags: RangeInclusive<u64>,
        /// How many they are.
        count: usize,
    },
    /// There is no connection, and there will be another try. Of several in a row that came while a call waited, the last one is kept.
    Reconnecting {
        /// Which try is next, from 1 since a connection last settled.
        attempt: u32,
        /// How long until then.
        wait: Duration,
        /// What happened.
        cause: Arc<Cause>,
    },
    /// The [token](super::Connector::token) in use was not renewed. The connection goes on until that ends, and another one is asked for before.
    NotRenewed {
        /// What the program's callback or the server said; at most 1 KiB.
        why: String,
    },
    /// The connection is back: all subscriptions have been asked for again, and requests go out.
    Reconnected,
}

impl Event {
    /// How many bytes of memory it takes, at most: itself, twice, since a queue may have as much room again; what it points to; and
    /// [`ALLOCATION`] for each of that.
    pub(super) fn weight(&self) -> usize {
        let texts: [usize; 2] = match self {
            Self::Message {
                channel,
                data,
                pattern,
                ..
            } => [
                channel.len() + pattern.as_ref().map_or(0, |text| text.len()),
                data.capacity(),
            ],
            Self::Gap {
                topic,
                epoch,
                reason,
                ..
            } => [topic.text().len() + reason.as_str().len(), epoch.len()],
            Self::Subscribed { topic, epoch, .. } => [topic.text().len(), epoch.len()],
            Self::SubscribeRefused { topic, refusal } => [topic.text().len(), refusal.weight()],
            Self::Unsubscribed { topic } => [topic.text().len(), 0],
            Self::SubscriptionEnded { topic, reason } => {
                [topic.text().len(), reason.as_ref().map_or(0, String::len)]
            }
            Self::Published { epoch, .. } => [epoch.len(), 0],
            Self::Refused { refusal, .. } => [refusal.weight(), 0],
            Self::NotRenewed { why } => [why.capacity(), 0],
            Self::Reconnecting { cause, .. } => [CAUSE, cause.text_bytes()],
            Self::BatchDone { .. } | Self::Unknown { .. } | Self::Reconnected => [0, 0],
        };
        2 * size_of::<Self>() + texts.iter().sum::<usize>() + 3 * ALLOCATION
    }
}

/// What an allocation costs beside its bytes.
const ALLOCATION: usize = 32;

/// What a [`Cause`] takes without the texts that a server can make long.
const CAUSE: usize = 1024;

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
    /// The server said that something is missing and not what, which none should.
    Unannounced,
    /// A reason that this client does not know: its first 64 bytes.
    Other(String),
}

impl GapReason {
    /// The reason that the protocol spells like this; `other` makes what is kept of one that is not known.
    pub(super) fn from_wire(reason: &str, other: impl FnOnce(&str) -> String) -> Self {
        match reason {
            "slow" => Self::Slow,
            "expired" => Self::Expired,
            "epoch" => Self::Epoch,
            unknown => Self::Other(other(unknown)),
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

/// All of what a server said: its length was bounded when it came.
fn shown(text: &str) -> Shown<&str> {
    Shown::new(text, usize::MAX)
}

impl fmt::Display for GapReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shown(self.as_str()).fmt(f)
    }
}

/// A message that was published: its place in its channel.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Published {
    /// What `seq` counts in.
    pub epoch: Arc<str>,
    /// The message's number, from 1.
    pub seq: u64,
    /// It was published before, with the same key: this is where.
    pub duplicate: bool,
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

/// A place in a channel, or among the messages of a pattern: where a subscriber is, and from where it can go on.
///
/// Displays as `EPOCH:SEQ`, which is what `fanfare sub --since` takes; what steers a terminal is escaped.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// What `seq` counts in.
    pub epoch: Arc<str>,
    /// The newest message that the subscriber had, or knows that it missed.
    pub seq: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", shown(&self.epoch), self.seq)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_displayed_without_what_steers_a_terminal() {
        let evil = "\u{1b}[2J\u{7}\r\n\u{9b}";
        let position = Position {
            epoch: evil.into(),
            seq: 1,
        };
        for shown in [
            GapReason::Other(evil.to_owned()).to_string(),
            position.to_string(),
        ] {
            assert!(!shown.contains(char::is_control), "{shown:?}");
        }
        let position = Position {
            epoch: "LDXqtbGl60-QU7Bo".into(),
            seq: 2,
        };
        assert_eq!(position.to_string(), "LDXqtbGl60-QU7Bo:2");
    }

    #[test]
    fn an_event_weighs_at_least_what_it_and_all_that_it_points_to_take() {
        let text = |len: usize| -> Arc<str> { "x".repeat(len).into() };
        let string = |len: usize| "x".repeat(len);
        let refusal = Refusal {
            code: string(60),
            message: string(1000),
            retry_after: None,
        };
        let (channel, epoch) = (text(255), text(64));
        let topic = TopicName::Pattern(channel.clone());
        for (event, bytes) in [
            (
                Event::Message {
                    channel: channel.clone(),
                    seq: 1,
                    data: Payload::Text(string(5000)),
                    pattern: None,
                    channel_seq: 1,
                },
                5255,
            ),
            (
                Event::Message {
                    channel: channel.clone(),
                    seq: 1,
                    data: Payload::Bytes(vec![0; 5000]),
                    pattern: Some(text(200)),
                    channel_seq: 1,
                },
                5455,
            ),
            (
                Event::Gap {
                    topic: topic.clone(),
                    epoch: epoch.clone(),
                    from: 1,
                    to: 1,
                    reason: GapReason::Other(string(64)),
                },
                383,
            ),
            (
                Event::SubscribeRefused {
                    topic: topic.clone(),
                    refusal: refusal.clone(),
                },
                1315,
            ),
            (Event::Refused { tag: None, refusal }, 1060),
            (
                Event::SubscriptionEnded {
                    topic,
                    reason: Some(string(64)),
                },
                319,
            ),
            (
                Event::Published {
                    tag: 1,
                    epoch,
                    seq: 1,
                    duplicate: false,
                },
                64,
            ),
            (Event::Reconnected, 0),
        ] {
            let least = bytes + size_of::<Event>();
            assert!(event.weight() >= least, "{event:?}");
        }
    }
}
