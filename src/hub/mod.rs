//! Channels: a channel is a log, a subscriber is a cursor. No sockets, no frames' meaning; time is an argument.
//!
//! Publishing appends a message once to its channel's log, whatever the number of subscribers. A subscriber is a number for
//! each of its channels: the position of the next message it gets. What it gets is read from the log when it is visited.
//! So a slow subscriber costs nothing, and history, resuming and "the current value" are cursors placed further back.
//!
//! # A turn
//!
//! The caller owns the sockets. In each turn of its loop it
//!
//! 1. calls [`Hub::handle_timeout`], which tells the hub what time it is and costs nothing if nothing is due;
//! 2. calls [`Hub::publish`], [`Hub::subscribe`], [`Hub::unsubscribe`], … as requests come in;
//! 3. sweeps: visits each subscriber that [`Hub::next_behind`] names, until that says `None` or the budget is spent;
//! 4. calls [`Hub::trim`], and reads again from the publishers of the channels it reports;
//! 5. waits for events, until [`Hub::next_timeout`] at most, and not at all while [`Hub::has_work`].
//!
//! Or it calls [`Hub::run`] instead of `next_behind`, which makes the commonest visits in one go.
//!
//! A caller that wants to decide when the subscribers of *large* channels ([`HubConfig::large`]) are visited calls
//! [`Hub::begin_circles`] for each circle.
//!
//! **A visit** is [`Hub::contiguous`] or [`Hub::gather`] (and [`Hub::render`], where `gather` says so), one write, [`Hub::advance`]. The
//! caller has to visit a subscriber that was named, unless it was blocked or detached. It may visit any subscriber of its own accord
//! at any time.
//!
//! # What holds
//!
//! - A cursor rests on a message boundary. What is left of a half-sent frame goes to the caller ([`Remainder`]), so that
//!   unsubscribing, trimming and removing a channel touch nothing but the hub.
//! - A subscriber that is not blocked and was at the head on its last visit is never lapped; neither is one whose visit was cut
//!   by its limits. Before the window or `retain_total` would need that, publishing reports `congested`. See `channel.rs` for how that is
//!   known.
//! - A subscriber that `subscribe` placed behind is lapped like one that is blocked, until it has had what was there then:
//!   history never makes a publisher wait.
//! - A subscriber that is not blocked and is behind will be named by `next_behind`: because its channel is dirty and its round
//!   has not come to it, or because it is owed a visit (cut, unblocked, or placed behind by `subscribe`).
//! - The newest message of a channel is held until it expires or all logs together are over `retain_total`. Then messages
//!   of channels without subscribers go first, the oldest before the rest. After that the oldest of the others go, and their
//!   newest messages last. Only a message that is too long by itself is refused.
//! - Everything counts by *positions*: the messages of a channel are 1, 2, 3, … in its logs. What clients see is the seq. It is
//!   the position where the hub numbers the channel, and stands beside the message where a broker does (`numbers.rs`).
//! - Among `max_channels` channels, one without subscribers makes room for a new one. If there is none, the new one is refused.
//! - A pattern is one more log, to which each message is appended that is published to a channel it stands for. It begins with its
//!   first subscriber. Those who read it make no publisher wait: they are lapped once they have more than `retain_bytes` to get (`feeds.rs`).

mod apart;
mod channel;
mod clearing;
mod cursor;
mod directory;
mod dirty;
mod epoch;
mod feeds;
mod gather;
mod gauge;
mod history;
mod listing;
mod log;
mod numbers;
mod payload;
mod piece;
mod policy;
mod publish;
mod queue;
mod rate;
mod reading;
mod reconfigure;
mod render;
mod room;
mod run;
mod segment;
mod slices;
mod slot;
#[cfg(feature = "server")]
pub(crate) mod snapshot;
mod subscribe;
mod subscriber;
mod sweep;
#[cfg(test)]
mod testing;
mod trim;

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;

use self::apart::Apart;
use self::channel::Channel;
use self::directory::Directory;
use self::dirty::Dirty;
use self::feeds::FeedLists;
use self::gather::Plan;
use self::log::largest_segment;
use self::queue::ChannelQueue;
use self::render::Rendered;
use self::subscriber::{Bits, Subscriber};

use crate::channel::patterns::Patterns;
use crate::channel::topic::Topic;
use crate::limit::Limit;

pub use self::clearing::Clearing;
pub use self::directory::ChannelId;
pub use self::epoch::{Epoch, Numbering};
pub use self::feeds::Fed;
pub use self::gather::{Advanced, Gathered};
pub use self::gauge::{Lag, LagWalk, Sizes};
pub use self::history::History;
pub use self::listing::{Listed, ListedTo, Listing};
pub use self::payload::{Parts, Payload};
pub use self::piece::Remainder;
pub use self::policy::{OnLag, Policy};
pub use self::publish::{Frame, Place, PublishError, Published};
pub use self::reconfigure::PolicyWalk;
pub use self::run::Run;
pub use self::slices::Slices;
pub use self::slot::{Encode, Message, Slot, SlotConfig};
pub use self::subscribe::{NotSubscribed, Start, SubscribeError, Subscribed};
pub use self::sweep::TooSlow;

/// A connection: a small number that the caller chooses and uses again once it is detached, such as its place in a slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriberId(pub u32);

/// Why messages are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The subscriber fell behind what the channel holds.
    Slow,
    /// It came back too late.
    Expired,
    /// The numbering began anew, or it asked for what lies beyond the newest message.
    Epoch,
}

impl Reason {
    /// The reason as the protocol spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Slow => "slow",
            Self::Expired => "expired",
            Self::Epoch => "epoch",
        }
    }
}

/// Messages that a subscriber will not get. It has to learn of them before it gets the next one of that channel or pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap<'a> {
    /// The channel, or the pattern in whose log they are missing.
    pub topic: Topic<'a>,
    /// The epoch that the numbers belong to: the present one.
    pub epoch: &'a str,
    /// The first seq that may be missing; 0 if the reason is [`Reason::Epoch`].
    pub from: u64,
    /// The last seq that may be missing; 0 if the reason is [`Reason::Epoch`] and all of the epoch's messages are held.
    pub to: u64,
    /// Why they are missing.
    pub reason: Reason,
}

/// The limits over all channels, and their encodings. For the limits of a channel see [`Policy`].
#[derive(Clone, Copy, Debug)]
pub struct HubConfig {
    /// Bytes of memory that all logs may take together, indexes included.
    pub retain_total: Limit,
    /// How many channels there may be. One without subscribers goes for a new one.
    pub max_channels: Limit,
    /// How many channels and patterns one subscriber may be subscribed to.
    pub max_subscriptions: Limit,
    /// How many patterns there may be. One without subscribers goes for a new one.
    pub max_patterns: Limit,
    /// How many patterns one subscriber may be subscribed to.
    pub max_patterns_each: Limit,
    /// Milliseconds for which a channel's name, epoch and seq outlive its last subscriber and message, and a pattern's log its last
    /// subscriber; `u64::MAX` for ever, or until there are `max_channels` or `max_patterns`.
    pub linger_ms: u64,
    /// Channels of at least so many subscribers begin a circle when the caller says so ([`Hub::begin_circles`]), and not of
    /// their own accord; 0 means none.
    pub large: usize,
    /// The slots, by number. What it says of the base is of no account.
    pub slots: [SlotConfig; Slot::COUNT],
    /// Reads a base frame, for [`Message::parts`].
    pub read: fn(&[u8]) -> Option<Parts<'_>>,
}

impl Default for HubConfig {
    /// 256 MiB, a million channels, 10,000 subscriptions, 256 patterns and 16 of them for one subscriber, ten minutes; no channel counts as large, no slot falls
    /// back, and nothing is read from a base frame.
    fn default() -> Self {
        Self {
            retain_total: Limit::of(256 << 20),
            max_channels: Limit::of(1_000_000),
            max_subscriptions: Limit::of(10_000),
            max_patterns: Limit::of(256),
            max_patterns_each: Limit::of(16),
            linger_ms: 600_000,
            large: 0,
            slots: [SlotConfig::default(); Slot::COUNT],
            read: |_| None,
        }
    }
}

/// What the hub holds at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Channels, lingering ones included.
    pub channels: usize,
    /// Patterns, lingering ones included.
    pub patterns: usize,
    /// Messages held in all channels.
    pub messages: u64,
    /// Their framed bytes in the base logs.
    pub bytes: u64,
    /// Bytes of memory that all logs take, those of patterns and indexes included: what `retain_total` bounds.
    pub allocated: usize,
}

/// All channels and their subscribers.
pub struct Hub {
    config: HubConfig,
    policies: Box<dyn Fn(Topic<'_>) -> Policy>,
    numberings: Box<dyn FnMut(Topic<'_>) -> Numbering>,
    directory: Directory,
    /// The patterns that have a log.
    patterns: Patterns<ChannelId>,
    feed_lists: FeedLists,
    subscribers: Vec<Subscriber>,
    blocked: Bits,

    /// The dirty channels, and what is left of the turn of the first.
    dirty: Dirty,
    budget: u32,
    /// Messages published to large channels, ever.
    large_published: u64,
    /// Subscribers that are owed a visit, and how many of them are served before the next dirty channel.
    due: VecDeque<u32>,
    due_budget: u32,
    /// Where those with many subscriptions are behind, outside the dirty channels.
    apart: Apart,
    /// What the last `gather` promised to the caller's write.
    plan: Plan,
    /// What was made for one subscriber alone, for its next `gather`.
    rendered: Rendered,
    /// An encoded message, on its way to a derived log.
    scratch: Vec<u8>,

    /// Channels to trim.
    touched: Vec<u32>,
    /// When each channel is looked at for expiry.
    times: ChannelQueue,
    /// Which channel is the next to lose something when all logs together are too big; empty without `retain_total`.
    evictions: ChannelQueue,
    /// Which channel without subscribers is the next to go for another; empty without `max_channels`.
    vacancies: ChannelQueue,
    /// The same for patterns.
    vacant_patterns: ChannelQueue,
    /// Bytes of memory that all logs take.
    total: usize,
    /// Whether the last trim could not bring the logs under `retain_total`, because of those who can't be lapped or because
    /// it would have taken too long.
    over_total: bool,
    /// Whether it would have taken too long: the next trim goes on.
    evicts_on: bool,
    /// The latest time anybody told.
    now: u64,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("config", &self.config)
            .field("channels", &self.directory.len())
            .finish_non_exhaustive()
    }
}

impl Hub {
    /// A hub without channels.
    ///
    /// `policies` and `numberings` are asked once for each channel and pattern that comes into being. Times given to the hub are
    /// milliseconds since any moment, the same for all calls, and never go back.
    pub fn new(
        config: HubConfig,
        policies: Box<dyn Fn(Topic<'_>) -> Policy>,
        numberings: Box<dyn FnMut(Topic<'_>) -> Numbering>,
    ) -> Self {
        Self {
            config,
            policies,
            numberings,
            directory: Directory::default(),
            patterns: Patterns::default(),
            feed_lists: FeedLists::default(),
            subscribers: Vec::new(),
            blocked: Bits::default(),
            dirty: Dirty::default(),
            budget: 0,
            large_published: 0,
            due: VecDeque::new(),
            due_budget: 0,
            apart: Apart::default(),
            plan: Plan::default(),
            rendered: Rendered::default(),
            scratch: Vec::new(),
            touched: Vec::new(),
            times: ChannelQueue::default(),
            evictions: ChannelQueue::default(),
            vacancies: ChannelQueue::default(),
            vacant_patterns: ChannelQueue::default(),
            total: 0,
            over_total: false,
            evicts_on: false,
            now: 0,
        }
    }

    /// What the hub holds at the moment. Looks at every channel: for a log line or a scrape, not for the hot path.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats {
            channels: self.directory.len(),
            patterns: self.patterns.len(),
            allocated: self.total,
            ..Stats::default()
        };
        for channel in self.directory.iter() {
            stats.messages += channel.messages();
            stats.bytes += channel.bytes();
        }
        stats
    }

    /// What a log is of, if it still exists.
    pub fn topic(&self, id: ChannelId) -> Option<Topic<'_>> {
        self.directory.by_id(id).map(Channel::topic)
    }

    /// The epoch of a channel or a pattern's log, if it still exists.
    pub fn epoch(&self, id: ChannelId) -> Option<&str> {
        self.directory
            .by_id(id)
            .map(|channel| channel.epoch.as_str())
    }

    /// The same, to be kept.
    pub fn epoch_of(&self, id: ChannelId) -> Option<&Epoch> {
        self.directory.by_id(id).map(|channel| &channel.epoch)
    }

    /// The seqs from that of the oldest message that the log of `topic` holds to just after that of the newest; `None` if there
    /// is no such log. Where a broker numbers it, not each of them is a message's.
    pub fn held<'t>(&self, topic: impl Into<Topic<'t>>) -> Option<Range<u64>> {
        let channel = self.directory.get(self.find(topic.into())?)?;
        let oldest = channel.oldest_seq();
        Some(oldest..channel.newest_seq().saturating_add(1))
    }

    /// A channel or a pattern's log, not among the others yet.
    fn new_channel(&mut self, topic: Topic<'_>) -> Channel {
        let policy = (self.policies)(topic);
        let largest = largest_segment(policy.retain_bytes, self.config.retain_total);
        Channel::new(topic, (self.numberings)(topic), policy, largest, self.now)
    }

    /// The subscriber `id`, made if it was never seen.
    fn subscriber(&mut self, id: SubscriberId) -> &mut Subscriber {
        let at = id.0 as usize;
        if at >= self.subscribers.len() {
            self.subscribers.resize_with(at + 1, Subscriber::default);
        }
        &mut self.subscribers[at]
    }

    /// Corrects the sum over all logs by what a change did to one channel's.
    fn account(&mut self, before: usize, after: usize) {
        self.total = self.total + after - before;
    }
}
