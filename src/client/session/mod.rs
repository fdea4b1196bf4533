//! What a client is subscribed to, what it has asked for, and what that means after a loss. Pure: texts in, texts
//! out; no sockets, no clock.
//!
//! It outlives connections. [`Session::lost`] says what became of the requests that were under way, [`Session::ask`] what
//! the next connection has to be asked for, and [`Session::take`] what the server's words mean.

mod answers;
mod subscription;
#[cfg(test)]
mod tests;
mod unanswered;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use subscription::Subscription;
use unanswered::{Target, Unanswered, Waiting};

use super::error::Invalid;
use super::event::{Event, Position, Published};
use super::refusal::Refusal;
use super::websocket::Texts;
use crate::channel::name;
use crate::dialect::json::{Start, request};

/// Something for the program.
#[derive(Debug)]
pub(super) enum Told {
    /// For whoever takes events.
    Event(Event),
    /// For the call with this number, which waits for it.
    Answer(u64, Answer),
}

/// What became of a publish whose caller waits.
#[derive(Debug)]
pub(super) enum Answer {
    Published(Published),
    Refused(Refusal),
    Unknown,
}

/// How the answer to a publish is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// As an event with this number.
    Event(u64),
    /// As an [`Answer`] to the call with this number.
    Call(u64),
}

/// How many subscriptions may wait for their answers.
const ASKED_AT_ONCE: usize = 128;

/// How many ids there may be from the oldest request that waits to the newest, at least; with a window of more than an eighth of it, eight
/// windows. Over that the server has left out an answer, and nothing is published before it comes or its time is up.
const SPAN: usize = 1 << 16;

/// The state of one client, whatever connection it has or has not.
#[derive(Default)]
pub(super) struct Session {
    subscriptions: BTreeMap<Arc<str>, Subscription>,
    /// How many subscriptions there have been.
    numbered: u64,
    unanswered: Unanswered,
    /// Told and not taken yet.
    ready: VecDeque<Told>,
    /// Subscriptions for which this connection has not been asked yet. Some may be gone since.
    unasked: VecDeque<Arc<str>>,
    welcomed: bool,
    /// The longest request that the server takes, in bytes; 0 before the first welcome.
    max_request: usize,
    /// The epoch that was named last: nearly always the next one to be named, too.
    epoch: Option<Arc<str>>,
    /// How many answers have come.
    answers: u64,
    /// Refusals told of the batch that is answered next.
    refused_in_batch: usize,
}

impl Session {
    /// Whether the server has said its welcome on this connection.
    pub(super) const fn is_welcomed(&self) -> bool {
        self.welcomed
    }

    /// The longest request that the server takes, in bytes; 0 before the first welcome.
    pub(super) const fn max_request(&self) -> usize {
        self.max_request
    }

    /// How many messages wait for their answers, those that were not sent yet included.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.unanswered.publishes()
    }

    /// Whether another message may be published, with at most `window` waiting for their answers.
    pub(super) fn has_room(&self, window: usize) -> bool {
        self.unanswered.publishes() < window
            && self.unanswered.span() < window.saturating_mul(8).max(SPAN)
    }

    /// How many answers have come.
    pub(super) const fn answers(&self) -> u64 {
        self.answers
    }

    /// Whether the server owes an answer; publishes from `unsent` on were not sent.
    pub(super) fn is_owed_an_answer(&self, unsent: Option<u64>) -> bool {
        self.unanswered.is_owed_an_answer(unsent)
    }

    /// The next thing to tell.
    pub(super) fn next_told(&mut self) -> Option<Told> {
        self.ready.pop_front()
    }

    /// Takes back what was told, to tell it again before anything else.
    pub(super) fn untell(&mut self, events: VecDeque<Event>) {
        for event in events.into_iter().rev() {
            self.ready.push_front(Told::Event(event));
        }
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.ready.push_back(Told::Event(event));
    }

    /// Where a subscription is, once it was made.
    pub(super) fn position(&self, channel: &str) -> Option<Position> {
        self.subscriptions.get(channel)?.position()
    }

    /// Notes a subscription, for which [`ask`](Self::ask) asks the server.
    pub(super) fn subscribe(&mut self, channel: &str, start: Start<'_>) -> Result<(), Invalid> {
        name::check(channel).map_err(Invalid::Channel)?;
        if self.subscriptions.contains_key(channel) {
            return Err(Invalid::AlreadySubscribed);
        }
        let channel: Arc<str> = channel.into();
        self.unasked.push_back(channel.clone());
        self.numbered += 1;
        let subscription = Subscription::new(start, self.numbered);
        self.subscriptions.insert(channel, subscription);
        Ok(())
    }

    /// Whether there are subscriptions that this connection has not been asked for.
    pub(super) fn has_unasked(&self) -> bool {
        !self.unasked.is_empty()
    }

    /// Appends requests for subscriptions that this connection has not been asked for, as many as may wait for their answers at
    /// once: a server stops reading from a client that asks without end and takes no answers. Whether that was all.
    pub(super) fn ask(&mut self, texts: &mut Texts) -> bool {
        while self.unanswered.subscribes() < ASKED_AT_ONCE
            && let Some(channel) = self.unasked.pop_front()
        {
            if let Some(subscription) = self.subscriptions.get(&channel) {
                let start = subscription.start();
                let id = self.unanswered.next_id();
                write(texts, |out| {
                    request::subscribe(out, Some(id), &channel, &start);
                });
                let number = subscription.number();
                self.unanswered
                    .add(Waiting::Subscribe(Target { channel, number }));
            }
        }
        self.unasked.is_empty()
    }

    /// Notes that a subscription is to end, and appends the request for that, which must be sent. There is none where the server was
    /// not asked for the subscription, and none where it was asked to end it already.
    pub(super) fn unsubscribe(&mut self, channel: &str, texts: &mut Texts) -> Result<(), Invalid> {
        name::check(channel).map_err(Invalid::Channel)?;
        if let Some(at) = self.unasked.iter().position(|name| **name == *channel) {
            self.unasked.remove(at);
            self.unsubscribed(channel.into());
            return Ok(());
        }
        let Some((name, subscription)) = entry(&mut self.subscriptions, channel) else {
            self.unsubscribed(channel.into());
            return Ok(());
        };
        if subscription.is_ending() {
            return Ok(());
        }
        subscription.end();
        let (channel, number) = (Arc::clone(name), subscription.number());
        let id = self.unanswered.next_id();
        write(texts, |out| request::unsubscribe(out, Some(id), &channel));
        self.unanswered
            .add(Waiting::Unsubscribe(Target { channel, number }));
        Ok(())
    }

    /// Tells that nothing of a channel comes any more.
    fn unsubscribed(&mut self, channel: Arc<str>) {
        self.subscriptions.remove(&channel);
        self.tell(Event::Unsubscribed { channel });
    }

    /// Tells that what the program asked to end has ended, unless that was told already.
    fn ended(&mut self, target: Target) {
        if self.subscription(&target).is_some() {
            self.unsubscribed(target.channel);
        }
    }

    /// A subscription that is still there.
    fn subscription(&mut self, target: &Target) -> Option<&mut Subscription> {
        let subscription = self.subscriptions.get_mut(&target.channel)?;
        (subscription.number() == target.number).then_some(subscription)
    }

    /// Notes a publish and appends the request for it. Whether it was sent is for [`lost`](Self::lost) to be told.
    /// `data` must be one JSON value.
    pub(super) fn publish(
        &mut self,
        channel: &str,
        data: &[u8],
        tag: Tag,
        texts: &mut Texts,
    ) -> Result<u64, Invalid> {
        let id = self.unanswered.next_id();
        self.write_publish(Some(id), channel, data, texts)?;
        Ok(self.unanswered.add(Waiting::Publish(tag)))
    }

    /// Notes a publish that gets no answer of its own, as one of the batch that [`end_batch`](Self::end_batch) ends.
    pub(super) fn publish_in_batch(
        &mut self,
        channel: &str,
        data: &[u8],
        tag: u64,
        texts: &mut Texts,
    ) -> Result<u64, Invalid> {
        self.write_publish(None, channel, data, texts)?;
        Ok(self.unanswered.add_to_batch(tag))
    }

    /// Ends the batch under way, if there is one: the answer to this request says that all before it took effect.
    pub(super) fn end_batch(&mut self, texts: &mut Texts) {
        if let Some(id) = self.unanswered.end_batch() {
            write(texts, |out| request::ping(out, Some(id)));
        }
    }

    fn write_publish(
        &self,
        id: Option<u64>,
        channel: &str,
        data: &[u8],
        texts: &mut Texts,
    ) -> Result<(), Invalid> {
        let start = texts.bytes.len();
        request::publish(&mut texts.bytes, id, channel, data);
        let len = texts.bytes.len() - start;
        if len > self.max_request {
            texts.bytes.truncate(start);
            let max = self.max_request;
            return Err(Invalid::TooLong { len, max });
        }
        texts.ends.push(texts.bytes.len());
        Ok(())
    }

    /// A connection was lost. Of the publishes, those before `unsent` (all, if that is `None`) were sent, perhaps; what
    /// became of them nobody knows. Subscriptions stay, and are [asked](Self::ask) for anew, each from where it is.
    pub(super) fn lost(&mut self, unsent: Option<u64>) {
        self.welcomed = false;
        self.refused_in_batch = 0;
        for waiting in self.unanswered.lose(unsent) {
            match waiting {
                Waiting::Publish(Tag::Event(tag)) => self.tell_unknown(tag, tag, 1),
                Waiting::Publish(Tag::Call(call)) => self.answer(call, Answer::Unknown),
                Waiting::Batch(batch) => self.tell_unknown(batch.first, batch.last, batch.count),
                Waiting::Unsubscribe(target) => self.ended(target),
                Waiting::Subscribe(_) => {}
            }
        }
        self.subscriptions.values_mut().for_each(Subscription::lose);
        self.unasked = self.subscriptions.keys().cloned().collect();
    }

    fn answer(&mut self, call: u64, answer: Answer) {
        self.ready.push_back(Told::Answer(call, answer));
    }

    /// Tells that messages went unanswered; as one with those told just before, where they follow each other.
    fn tell_unknown(&mut self, first: u64, last: u64, more: usize) {
        if let Some(Told::Event(Event::Unknown { tags, count })) = self.ready.back_mut()
            && tags.end().checked_add(1) == Some(first)
        {
            *tags = *tags.start()..=last;
            *count += more;
            return;
        }
        let (tags, count) = (first..=last, more);
        self.tell(Event::Unknown { tags, count });
    }
}

/// A subscription with its channel's name, to be shared.
fn entry<'m>(
    subscriptions: &'m mut BTreeMap<Arc<str>, Subscription>,
    channel: &str,
) -> Option<(&'m Arc<str>, &'m mut Subscription)> {
    use std::ops::Bound::Included;
    let range = (Included(channel), Included(channel));
    subscriptions.range_mut::<str, _>(range).next()
}

fn write(texts: &mut Texts, write: impl FnOnce(&mut Vec<u8>)) {
    write(&mut texts.bytes);
    texts.ends.push(texts.bytes.len());
}
