//! One connection of the load client: what it was opened for, where it stands, and what it does with messages.

use std::ops::Range;

use anyhow::Result;

use crate::dialect::{Dialect, Role};
use crate::pattern::{Listener, Topic};
use crate::post::Answers;
use crate::reader::Reader;
use crate::receive::{Follower, Shared};
use crate::socket::Socket;

/// What a connection does with messages.
pub(crate) enum Receiver {
    /// It sees what all others of its channel see.
    Follower(Follower),
    /// It looks at each message.
    Reader(Reader),
    /// It looks at each message of a pattern, or of the channel beside it.
    Listener(Listener),
    /// It publishes by HTTP.
    Answers(Answers),
}

impl Receiver {
    /// The one that fits a wish. The server is spoken to in `dialect`, and the connection is begun at `now_ns`.
    pub(crate) fn of(wish: &Wish, dialect: Dialect, now_ns: u64) -> Self {
        if matches!(dialect, Dialect::Post | Dialect::Batch) {
            return Self::Answers(Answers::default());
        }
        let channel = wish.channels.start;
        let reader = match wish.receives {
            Receives::TheSame => return Self::Follower(Follower::default()),
            Receives::Everything(topic) => return Self::Listener(Listener::new(topic)),
            Receives::ItsOwn => Reader::of(wish.channels.clone()),
            Receives::Newest(last) => Reader::returning(channel, last, now_ns),
            Receives::NowAndThen => Reader::apart(channel),
        };
        Self::Reader(reader.spoken_to(dialect))
    }

    /// Takes what was received; appends to `reply` what must be answered.
    ///
    /// # Errors
    /// Something arrived that should not have.
    pub(crate) fn take(
        &mut self,
        received: &[u8],
        now_ns: u64,
        shared: &mut Shared,
        reply: &mut Vec<u8>,
    ) -> Result<()> {
        match self {
            Self::Follower(follower) => follower.take(received, now_ns, shared, reply),
            Self::Reader(reader) => reader.take(received, now_ns, shared, reply),
            Self::Listener(listener) => listener.take(received, now_ns, shared, reply),
            Self::Answers(answers) => answers.take(received),
        }
    }

    /// Subscriptions confirmed so far.
    pub(crate) fn subscribed(&self) -> u64 {
        match self {
            Self::Follower(follower) => follower.subscribed,
            Self::Reader(reader) => reader.subscribed,
            Self::Listener(listener) => listener.subscribed(),
            Self::Answers(_) => 0,
        }
    }
}

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The socket is not connected.
    Connecting,
    /// The request is sent, the answer is not whole.
    Requested,
    /// The handshake is done, some subscriptions are not confirmed.
    Subscribing,
    /// It does what it was opened for.
    Open,
}

/// Which messages a connection is to receive, which decides how they are checked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Receives {
    /// All of one channel, like many others.
    TheSame,
    /// All of its channels.
    ItsOwn,
    /// The newest so many of one channel, then nothing.
    Newest(u64),
    /// Those of one channel while it is subscribed.
    NowAndThen,
    /// All that is published, from the first publication on.
    Everything(Topic),
}

/// What a connection asks for before it counts as open.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    /// What it is for.
    pub(crate) role: Role,
    /// The channels that it subscribes to; the first one names the path where the dialect has channels in paths.
    pub(crate) channels: Range<usize>,
    /// Which messages it is to receive.
    pub(crate) receives: Receives,
}

impl Wish {
    fn new(role: Role, channels: Range<usize>, receives: Receives) -> Self {
        Self {
            role,
            channels,
            receives,
        }
    }

    /// One that publishes.
    pub(crate) fn publisher() -> Self {
        // A path names the channel that is published to; nothing is subscribed.
        Self::new(Role::Publisher, 0..1, Receives::ItsOwn)
    }

    /// One of many subscribers of the first channel, who must all see the same.
    pub(crate) fn follower() -> Self {
        Self::new(Role::Subscriber, 0..1, Receives::TheSame)
    }

    /// A subscriber of some channels, or of none.
    pub(crate) fn reader(channels: Range<usize>) -> Self {
        Self::new(Role::Subscriber, channels, Receives::ItsOwn)
    }

    /// A subscriber of the first channel that asks for the newest `last` messages.
    pub(crate) fn returning(last: u64) -> Self {
        Self::new(Role::Subscriber, 0..1, Receives::Newest(last))
    }

    /// A subscriber of the first channel that comes and goes.
    pub(crate) fn churner() -> Self {
        Self::new(Role::Subscriber, 0..1, Receives::NowAndThen)
    }

    /// A subscriber of the first channel, or of the pattern that stands for all of them.
    pub(crate) fn listener(topic: Topic) -> Self {
        Self::new(Role::Subscriber, 0..1, Receives::Everything(topic))
    }

    /// How many messages it asks for with a subscription.
    pub(crate) fn last(&self) -> Option<u64> {
        match self.receives {
            Receives::Newest(last) => Some(last),
            _ => None,
        }
    }
}

/// One connection.
pub(crate) struct Link {
    /// Its bytes.
    pub(crate) socket: Socket,
    /// Where it stands.
    pub(crate) state: State,
    /// What it was opened for.
    pub(crate) wish: Wish,
    /// Subscriptions whose answers are awaited.
    pub(crate) awaited: u64,
    /// What it does with messages.
    pub(crate) receiver: Receiver,
    /// The answer to the handshake while it is not whole.
    pub(crate) head: Vec<u8>,
    /// When its handshake was done, in nanoseconds of the client's clock.
    pub(crate) opened_ns: u64,
}
