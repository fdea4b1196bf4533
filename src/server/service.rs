//! The one door to the hub: what a connection may ask of channels, for every dialect and for HTTP.
//!
//! An answer is [`Answer::Done`], or it is [`Answer::Pending`]: then somebody else finishes the request, such as the
//! broker, and the answer comes later under the request's [`Ticket`]. A ticket names the connection and, in the words
//! of its dialect, the request. A connection that is gone takes its tickets with it.
//!
//! The door knows no connection, and of dialects only that the base log's frames are JSON. It keeps what all connections
//! share: the hub, the sums of the [`Ledger`], what the visit under way may cost, and decoders.

use std::collections::VecDeque;
use std::fmt;
#[cfg(test)]
use std::rc::Rc;

use log::{Level, log_enabled};
use mio::Token;

use super::admin::Inside;
use super::allowance::{self, Allowance};
use super::api::Errand;
use super::broker::Broker;
use super::checks::Checks;
use super::date::Date;
use super::encoders::Encoders;
use super::gate::{Access, Gate};
use super::hub_config::{hub_limits, policies};
use super::journal::{Journal, Who};
use super::keys::{Key, Keys, Seen};
#[cfg(test)]
use super::late_broker::Taken;
use super::ledger::Ledger;
use super::metrics::Metrics;
use super::rates::Rates;
pub(super) use super::refusal::{Refusal, Why};
use super::tickets::Ticket;
use super::timers::Millis;
use crate::auth::token::Verifier;
use crate::channel::name::is_daemons_own;
use crate::channel::topic::Topic;
use crate::config::Config;
pub(super) use crate::dialect::json::Publication;
use crate::dialect::json::decode::ValueDecoder;
use crate::dialect::json::{Data, Decoder, MessageFrame};
use crate::hub::{
    self, ChannelId, Epoch, Fed, Hub, NotSubscribed, Numbering, PolicyWalk, Reason, Start,
    SubscriberId,
};
use crate::random::Random;
use crate::ws::deflate::Inflater;

/// How many requests of one connection may be pending before its next ones wait.
pub(super) const TICKETS_MAX: usize = 1_024;

/// What the door says to a request.
#[derive(Debug)]
pub(super) enum Answer<T> {
    /// This is the outcome.
    Done(Result<T, Refusal>),
    /// The outcome comes later, under the request's ticket.
    Pending,
}

/// A publication that has its place in a channel.
#[derive(Clone, Debug)]
pub(super) struct Published {
    pub(super) place: PublishedAt,
    pub(super) seq: u64,
    /// The channel may take no more until its subscribers were swept: the publisher is not read from meanwhile.
    pub(super) congested: bool,
}

/// Where it was published.
#[derive(Clone, Debug)]
pub(super) enum PublishedAt {
    /// In this channel, now.
    Now(ChannelId),
    /// In this epoch, by an earlier publication with the same key.
    Before(Epoch),
}

impl Published {
    /// The epoch, and whether an earlier publication with the same key was the one.
    pub(super) fn epoch<'p>(&'p self, hub: &'p Hub) -> (&'p str, bool) {
        match &self.place {
            PublishedAt::Now(channel) => (hub.epoch(*channel).unwrap_or_default(), false),
            PublishedAt::Before(epoch) => (epoch.as_str(), true),
        }
    }
}

/// A subscription that was made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subscribed {
    pub(super) channel: ChannelId,
    /// The newest message's number; 0 if there was none yet.
    pub(super) seq: u64,
    /// Whether nothing is missing, where it was asked for.
    pub(super) recovered: Option<bool>,
    /// The first and the last message that are missing, and why.
    pub(super) gap: Option<(u64, u64, Reason)>,
    /// Whether there is something for it to get already.
    pub(super) behind: bool,
}

/// The broker cannot take a publication, or its answer will not come.
#[cfg(test)]
fn unavailable() -> Refusal {
    Refusal::new(Why::Unavailable, "the broker is out of reach")
}

/// The outcome of a publication that was pending.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) ticket: Ticket,
    /// The epoch and the number that it got.
    pub(super) outcome: Result<(Epoch, u64), Refusal>,
    /// It repeated another with the same key, whose outcome this is.
    pub(super) duplicate: bool,
    /// The channel may take no more until its subscribers were swept: the publisher is not read from meanwhile.
    pub(super) congested: bool,
}

/// The hub behind its door, and what all connections share.
pub(super) struct Service {
    pub(super) config: Config,
    /// The time, read once a turn.
    pub(super) now: Millis,
    pub(super) hub: Hub,
    pub(super) gate: Gate,
    pub(super) rates: Rates,
    pub(super) checks: Checks,
    pub(super) metrics: Metrics,
    pub(super) inside: Inside,
    pub(super) journal: Journal,
    pub(super) date: Date,
    pub(super) ledger: Ledger,
    /// What the visit under way may still cost.
    pub(super) allowance: Allowance,
    /// Where an answer is written before it is framed.
    pub(super) text: Vec<u8>,
    /// One for everybody: nobody's messages refer to an earlier one.
    pub(super) inflater: Inflater,
    pub(super) encoders: Encoders,
    pub(super) decoder: Decoder,
    pub(super) values: ValueDecoder,
    pub(super) broker: Broker,
    pub(super) keys: Keys,
    /// Outcomes of pending requests that their connections have not been told yet.
    pub(super) finished: VecDeque<Finished>,
    /// What connections have asked for that reaches beyond themselves.
    pub(super) errands: VecDeque<Errand>,
    /// Whether what is dealt with has a credential, so that it is wiped afterwards.
    pub(super) has_secret: bool,
    /// Whether another process has taken over: what is changed here is lost.
    pub(super) has_successor: bool,
    /// Connections that wait for the first keys of tokens.
    pub(super) awaiting_keys: Vec<Token>,
    /// Publishers that wait for a channel's sweep to catch up.
    pub(super) congested: Vec<(ChannelId, Token)>,
    /// The channels that have still to get their policies after a reload.
    pub(super) policies_left: Option<PolicyWalk>,
}

impl Service {
    /// With no broker: the hub numbers all channels.
    pub(super) fn new(config: Config) -> Service {
        Service::with_broker(config, Broker::None)
    }

    /// With a broker, which numbers all channels if there is one.
    pub(super) fn with_broker(config: Config, broker: Broker) -> Service {
        let limits = hub_limits(&config);
        let mut random = Random::new();
        let keys = Keys::new(config.max_keys, random.bytes());
        let checks = Checks::new(random.bytes());
        let hub = Hub::new(
            limits,
            policies(&config),
            match &broker {
                Broker::None => {
                    Box::new(move |_| Numbering::Hub(Epoch::from_random(random.bytes())))
                }
                #[cfg(test)]
                Broker::Late(late) => late.numbering(),
            },
        );
        Service {
            now: 0,
            hub,
            gate: Gate::new(&config, Verifier::default()),
            rates: Rates::new(config.rates),
            checks,
            metrics: Metrics::of(&config.metrics_channels),
            inside: Inside::default(),
            journal: Journal::default(),
            date: Date::default(),
            ledger: Ledger::default(),
            allowance: Allowance::default(),
            text: Vec::new(),
            inflater: Inflater::new(),
            encoders: Encoders::new(config.deflate_level),
            decoder: Decoder::new(),
            values: ValueDecoder::new(),
            broker,
            keys,
            finished: VecDeque::new(),
            errands: VecDeque::new(),
            has_secret: false,
            has_successor: false,
            awaiting_keys: Vec::new(),
            congested: Vec::new(),
            policies_left: None,
            config,
        }
    }

    /// What may wait in one outbox before its connection is no longer read from: less than `--outbox` once all of them
    /// together come near `--outbox-total`, and always room for an answer.
    pub(super) fn outbox_limit(&self) -> usize {
        let left = self.config.outbox_total.left(self.ledger.outbox);
        left.max(Config::OUTBOX_BYTES_MIN).min(self.config.outbox)
    }

    /// Has the configuration's rules hold from now on, and takes tokens that `verifier` finds good.
    pub(super) fn open_gate(&mut self, verifier: Verifier) {
        self.gate.reload(&self.config, verifier);
        self.rates.reload(self.config.rates);
        self.decoder = Decoder::new().with_auth(self.gate.takes_tokens());
    }

    /// Whether somebody may publish in a channel, whatever it is.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn may_publish(&self, access: &Access, name: &str) -> Result<(), Refusal> {
        if is_daemons_own(name) {
            let text = "channels whose names begin with $ are the daemon's own";
            return Err(Refusal::new(Why::Forbidden, text));
        }
        match access.may_publish(name) {
            true => Ok(()),
            false => Err(self.denial(access, "to publish in this channel")),
        }
    }

    /// Whether somebody may do what an administrator does.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn may_administer(&self, access: &Access) -> Result<(), Refusal> {
        if access.may_administer() {
            return Ok(());
        }
        if access.is_open() {
            let text = "administrators alone may do that, and being let in by an open daemon makes nobody one: an [[allow]] block with admin = true \
                        does, and so does the listener of --admin";
            return Err(Refusal::new(Why::Forbidden, text));
        }
        Err(self.denial(access, "to do what an administrator does"))
    }

    /// The refusal of what is not granted.
    #[cold]
    fn denial(&self, access: &Access, what: &str) -> Refusal {
        match &access.identity {
            Some(identity) => {
                let text = format!("{identity} is not allowed {what}");
                Refusal::new(Why::Forbidden, text)
            }
            None if self.gate.knows_people() => {
                let text = format!("nobody is allowed {what} without having shown who it is");
                Refusal::new(Why::Unauthenticated, text)
            }
            None => {
                let text = format!("this connection is not allowed {what}");
                Refusal::new(Why::Forbidden, text)
            }
        }
    }

    /// Publishes something in a channel. What has the key of an earlier publication gets the answer of that one.
    pub(super) fn publish(
        &mut self,
        ticket: Ticket,
        access: &Access,
        what: &Publication<'_>,
    ) -> Answer<Published> {
        if let Err(refusal) = self.may_publish(access, what.channel) {
            return Answer::Done(Err(refusal));
        }
        let Some(name) = what.key else {
            return self.publish_first(ticket, what, None);
        };
        let key = self.keys.key(&access.name(), what.channel, name);
        match self.keys.look_up(key, ticket, self.now) {
            Seen::First => self.publish_first(ticket, what, Some(key)),
            Seen::Waits => Answer::Pending,
            Seen::TooMany => Answer::Done(Err(Refusal::new(
                Why::Limit,
                "too many publications with this key wait for the first one's answer",
            ))),
            Seen::Published(epoch, seq) => Answer::Done(Ok(Published {
                place: PublishedAt::Before(epoch),
                seq,
                congested: false,
            })),
        }
    }

    /// Publishes what is no repeat.
    #[inline]
    fn publish_first(
        &mut self,
        ticket: Ticket,
        what: &Publication<'_>,
        key: Option<Key>,
    ) -> Answer<Published> {
        match &mut self.broker {
            Broker::None => {
                let made = self.append(ticket.connection, None, what.channel, what.data);
                if let Some(key) = key
                    && let Ok(published) = &made
                {
                    self.remember(key, published);
                }
                Answer::Done(made)
            }
            #[cfg(test)]
            Broker::Late(late) if late.is_lost => Answer::Done(Err(unavailable())),
            #[cfg(test)]
            Broker::Late(late) => {
                late.take(ticket, what, key);
                if let Some(key) = key {
                    self.keys.begin(key);
                }
                Answer::Pending
            }
        }
    }

    /// Remembers what was published under a key.
    fn remember(&mut self, key: Key, published: &Published) {
        if let PublishedAt::Now(channel) = published.place
            && let Some(epoch) = self.hub.epoch_of(channel)
        {
            let place = (epoch.clone(), published.seq);
            self.keys.finish(key, Some(place), self.now);
        }
    }

    /// A pending publication has its outcome: that of its repeats is the same.
    #[cfg(test)]
    fn finish(
        &mut self,
        ticket: Ticket,
        key: Option<Key>,
        outcome: Result<(Epoch, u64), Refusal>,
        congested: bool,
    ) {
        let repeats = key.map_or(Vec::new(), |key| {
            self.keys
                .finish(key, outcome.as_ref().ok().cloned(), self.now)
        });
        let first = std::iter::once((ticket, false));
        for (ticket, duplicate) in first.chain(repeats.into_iter().map(|ticket| (ticket, true))) {
            self.finished.push_back(Finished {
                ticket,
                outcome: outcome.clone(),
                duplicate,
                congested: congested && !duplicate,
            });
        }
    }

    /// The tests' broker numbers the first `count` publications that it has taken, and they come back.
    #[cfg(test)]
    pub(super) fn deliver(&mut self, count: usize) {
        let Broker::Late(late) = &mut self.broker else {
            return;
        };
        let count = count.min(late.taken.len());
        let taken: Vec<_> = late.taken.drain(..count).collect();
        let numbers = Rc::clone(&late.numbers);
        for Taken {
            ticket,
            channel,
            encoding,
            data,
            key,
        } in taken
        {
            let (epoch, seq) = numbers.borrow().next();
            let at = Some((&epoch, seq));
            let data = Data {
                encoding,
                raw: &data,
            };
            let appended = self.append(ticket.connection, at, &channel, data);
            numbers.borrow_mut().advance();
            let congested = appended.as_ref().is_ok_and(|made| made.congested);
            let outcome = appended.map(|made| (epoch, made.seq));
            self.finish(ticket, key, outcome, congested);
        }
    }

    /// The tests' broker is lost, with all that it has taken.
    #[cfg(test)]
    pub(super) fn lose_broker(&mut self) {
        let Broker::Late(late) = &mut self.broker else {
            return;
        };
        late.is_lost = true;
        for Taken { ticket, key, .. } in std::mem::take(&mut late.taken) {
            self.finish(ticket, key, Err(unavailable()), false);
        }
    }

    /// Appends a publication to its channel's log. `at` is the broker's epoch and number; without it the hub numbers.
    fn append(
        &mut self,
        publisher: Token,
        at: Option<(&Epoch, u64)>,
        name: &str,
        data: Data<'_>,
    ) -> Result<Published, Refusal> {
        let frame = MessageFrame::new(name, data);
        let made = (self.hub).append_at(at, name, &frame, &mut self.encoders, self.now);
        let made = made.map(|made| (made.channel, made.seq, made.congested, made.fed));
        self.allowance.charge(self.encoders.take_cost());
        match made {
            Ok((channel, seq, congested, fed)) => {
                self.metrics.publish(name, data.raw.len());
                if fed != Fed::default() {
                    let copy = allowance::COPY + data.raw.len();
                    let cost = fed.copies * copy + fed.asked * allowance::PATTERN;
                    self.allowance.charge(cost);
                }
                if congested {
                    self.congested.push((channel, publisher));
                }
                Ok(Published {
                    place: PublishedAt::Now(channel),
                    seq,
                    congested,
                })
            }
            Err(error) => Err(self.publish_refusal(error)),
        }
    }

    /// Whether a publisher waits for the sweep of a channel that it published to.
    pub(super) fn is_congested(&self, publisher: Token) -> bool {
        self.congested.iter().any(|(_, token)| *token == publisher)
    }

    /// Whether somebody may subscribe to a channel or a pattern, and read what it holds.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn may_subscribe(&self, access: &Access, topic: Topic<'_>) -> Result<(), Refusal> {
        if let Topic::Channel(name) = topic
            && is_daemons_own(name)
        {
            return Err(unknown());
        }
        if access.may_subscribe(topic) {
            return Ok(());
        }
        let what = match topic.is_pattern() {
            true => "to subscribe to all that this pattern stands for",
            false => "to subscribe to this channel",
        };
        Err(self.denial(access, what))
    }

    /// Subscribes to a channel or a pattern.
    pub(super) fn subscribe(
        &mut self,
        id: SubscriberId,
        access: &Access,
        topic: Topic<'_>,
        start: Start<'_>,
    ) -> Answer<Subscribed> {
        self.allowance.charge(allowance::SUBSCRIBE);
        if let Err(refusal) = self.may_subscribe(access, topic) {
            return Answer::Done(Err(refusal));
        }
        let made = self.hub.subscribe(id, topic, start, self.now);
        let made = made.map(|made| Subscribed {
            channel: made.channel,
            seq: made.seq,
            recovered: made.recovered,
            gap: made.gap.map(|gap| (gap.from, gap.to, gap.reason)),
            behind: made.behind,
        });
        Answer::Done(made.map_err(|error| self.subscribe_refusal(error)))
    }

    /// Ends a subscription.
    pub(super) fn unsubscribe(&mut self, id: SubscriberId, topic: Topic<'_>) -> Answer<()> {
        self.allowance.charge(allowance::SUBSCRIBE);
        if let Topic::Channel(name) = topic
            && is_daemons_own(name)
        {
            return Answer::Done(Err(unknown()));
        }
        let ended = self.hub.unsubscribe(id, topic);
        Answer::Done(ended.map_err(|NotSubscribed| {
            Refusal::new(
                Why::NotSubscribed,
                "this connection is not subscribed to it",
            )
        }))
    }

    /// Notes what happened on a connection.
    #[inline]
    pub(super) fn note(&mut self, who: Who<'_>, what: fmt::Arguments<'_>) {
        if log_enabled!(Level::Debug) {
            self.journal.write(self.now, Some(who), what);
        }
    }

    /// Notes what happened to a peer that has no connection.
    pub(super) fn note_stranger(&mut self, what: fmt::Arguments<'_>) {
        if log_enabled!(Level::Debug) {
            self.journal.write(self.now, None, what);
        }
    }
}

/// The daemon has no channels of its own yet, so each is unknown.
fn unknown() -> Refusal {
    Refusal::new(Why::BadChannel, "the daemon has no such channel")
}

/// The gap of a subscription that was just made, as the hub says it.
pub(super) fn gap_of<'h>(
    hub: &'h Hub,
    channel: ChannelId,
    (from, to, reason): (u64, u64, Reason),
) -> Option<hub::Gap<'h>> {
    Some(hub::Gap {
        topic: hub.topic(channel)?,
        epoch: hub.epoch(channel)?,
        from,
        to,
        reason,
    })
}
