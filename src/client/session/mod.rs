//! What a client is subscribed to, what it has asked for, and what that means after a loss. Pure: texts in, texts
//! out; no sockets, no clock.
//!
//! It outlives connections. [`Session::lost`] says what became of the requests that were under way, [`Session::ask`] what
//! the next connection has to be asked for.

mod subscription;
#[cfg(test)]
mod tests;
mod unanswered;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use subscription::Subscription;
use unanswered::{Unanswered, Waiting};

use super::error::{Cause, Invalid};
use super::event::{Event, GapReason, Position, Published, Refusal, Subscribed};
use super::websocket::Texts;
use crate::dialect::json::{self, Start, channel_name, request};

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

/// The state of one client, whatever connection it has or has not.
#[derive(Default)]
pub(super) struct Session {
    subscriptions: BTreeMap<Arc<str>, Subscription>,
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
    pub(super) fn waiting(&self) -> usize {
        self.unanswered.publishes()
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
        channel_name::check(channel).map_err(Invalid::Channel)?;
        if self.subscriptions.contains_key(channel) {
            return Err(Invalid::AlreadySubscribed);
        }
        let channel: Arc<str> = channel.into();
        self.unasked.push_back(channel.clone());
        self.subscriptions.insert(channel, Subscription::new(start));
        Ok(())
    }

    /// Whether there are subscriptions that this connection has not been asked for.
    pub(super) fn has_unasked(&self) -> bool {
        !self.unasked.is_empty()
    }

    /// Appends requests for subscriptions that this connection has not been asked for, as many as may wait for their answers at
    /// once: a server stops reading from who asks without end and takes no answers. Whether that was all.
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
                self.unanswered.add(Waiting::Subscribe(channel));
            }
        }
        self.unasked.is_empty()
    }

    /// Notes that a subscription is to end, and appends the request for that, which must be sent; none where the server was
    /// not asked for it yet.
    pub(super) fn unsubscribe(&mut self, channel: &str, texts: &mut Texts) -> Result<(), Invalid> {
        channel_name::check(channel).map_err(Invalid::Channel)?;
        if let Some(at) = self.unasked.iter().position(|name| **name == *channel) {
            // The server has not heard of it, and would be asked for it afterwards.
            self.unasked.remove(at);
            self.unsubscribed(channel.into());
            return Ok(());
        }
        let id = self.unanswered.add(Waiting::Unsubscribe(channel.into()));
        write(texts, |out| request::unsubscribe(out, Some(id), channel));
        Ok(())
    }

    /// Tells that nothing of a channel comes any more.
    fn unsubscribed(&mut self, channel: Arc<str>) {
        self.subscriptions.remove(&channel);
        self.tell(Event::Unsubscribed { channel });
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
        for waiting in self.unanswered.lose(unsent) {
            match waiting {
                Waiting::Publish(Tag::Event(tag)) => self.tell_unknown(tag, tag, 1),
                Waiting::Publish(Tag::Call(call)) => self.answer(call, Answer::Unknown),
                Waiting::Batch(batch) => self.tell_unknown(batch.first, batch.last, batch.count),
                Waiting::Unsubscribe(channel) => self.unsubscribed(channel),
                Waiting::Subscribe(_) => {}
            }
        }
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

    /// Takes what the server said.
    ///
    /// # Errors
    /// The [`Cause`] for which this connection must end.
    pub(super) fn take(&mut self, event: json::Event<'_>) -> Result<(), Cause> {
        let id = |id: Option<json::Id<'_>>| id.and_then(|id| id.as_number());
        match event {
            json::Event::Message(message) => self.take_message(&message)?,
            json::Event::Published {
                id: raw,
                epoch,
                seq,
                ..
            } => {
                self.take_published(id(raw), epoch, seq);
            }
            json::Event::Gap {
                channel,
                epoch,
                from,
                to,
                reason,
            } => {
                self.take_gap(channel, epoch, from, to, reason);
            }
            json::Event::Subscribed {
                id: raw,
                channel,
                epoch,
                seq,
                recovered,
            } => {
                self.unanswered.take(id(raw));
                let epoch = self.epoch(epoch);
                self.take_subscribed(
                    channel,
                    Subscribed {
                        epoch,
                        seq,
                        recovered,
                    },
                );
            }
            json::Event::Unsubscribed { id: raw, channel } => {
                self.unanswered.take(id(raw));
                self.unsubscribed(channel.into());
            }
            json::Event::Error {
                id: raw,
                code,
                message,
                retry_after_ms,
                ..
            } => {
                let refusal = Refusal {
                    code: code.to_owned(),
                    message: message.to_owned(),
                    retry_after: retry_after_ms.map(Duration::from_millis),
                };
                self.take_refusal(id(raw), refusal)?;
            }
            json::Event::Pong { id: raw } => {
                if let Some(Waiting::Batch(batch)) = self.unanswered.take(id(raw)) {
                    let (tags, count) = (batch.first..=batch.last, batch.count);
                    self.tell(Event::BatchDone { tags, count });
                }
            }
            json::Event::Welcome { max_message, .. } => {
                self.welcomed = true;
                self.max_request = usize::try_from(max_message).unwrap_or(usize::MAX);
            }
            json::Event::Goodbye {
                reconnect_after_ms, ..
            } => {
                let wait = Duration::from_millis(reconnect_after_ms.unwrap_or(0));
                return Err(Cause::Goodbye(wait));
            }
            json::Event::Unknown { .. } => {}
        }
        Ok(())
    }

    fn take_message(&mut self, message: &json::event::Message<'_>) -> Result<(), Cause> {
        let Some((name, subscription)) = entry(&mut self.subscriptions, message.channel) else {
            return Ok(());
        };
        let channel = Arc::clone(name);
        let seq = message.seq;
        let Some(missed) = subscription.advance(seq) else {
            // Had it already.
            return Ok(());
        };
        // `data` may come by the decoder's short way, which does not look at it.
        let data = match std::str::from_utf8(message.data) {
            Ok(data) => data.to_owned(),
            Err(_) => return Err(Cause::Message(json::EventError::NotUtf8)),
        };
        if !missed.is_empty() {
            let epoch = subscription.epoch();
            self.tell(Event::Gap {
                channel: channel.clone(),
                epoch,
                from: missed.start,
                to: missed.end - 1,
                reason: GapReason::Unannounced,
            });
        }
        self.tell(Event::Message { channel, seq, data });
        Ok(())
    }

    fn take_gap(&mut self, channel: &str, epoch: &str, from: u64, to: u64, reason: &str) {
        let epoch = self.epoch(epoch);
        let Some((name, subscription)) = entry(&mut self.subscriptions, channel) else {
            return;
        };
        let channel = Arc::clone(name);
        subscription.skip(epoch.clone(), to);
        let reason = GapReason::from_wire(reason);
        self.tell(Event::Gap {
            channel,
            epoch,
            from,
            to,
            reason,
        });
    }

    fn take_subscribed(&mut self, channel: &str, subscribed: Subscribed) {
        let Some((name, subscription)) = entry(&mut self.subscriptions, channel) else {
            return;
        };
        let channel = Arc::clone(name);
        if subscription.begin(&subscribed) {
            let Subscribed {
                epoch,
                seq,
                recovered,
            } = subscribed;
            self.tell(Event::Subscribed {
                channel,
                epoch,
                seq,
                recovered,
            });
        }
    }

    fn take_published(&mut self, id: Option<u64>, epoch: &str, seq: u64) {
        let epoch = self.epoch(epoch);
        match self.unanswered.take(id) {
            Some(Waiting::Publish(Tag::Event(tag))) => {
                self.tell(Event::Published { tag, epoch, seq });
            }
            Some(Waiting::Publish(Tag::Call(call))) => {
                self.answer(call, Answer::Published(Published { epoch, seq }));
            }
            _ => {}
        }
    }

    fn take_refusal(&mut self, id: Option<u64>, refusal: Refusal) -> Result<(), Cause> {
        match self.unanswered.take(id) {
            Some(Waiting::Publish(Tag::Event(tag))) => {
                let tag = Some(tag);
                self.tell(Event::Refused { tag, refusal });
            }
            Some(Waiting::Publish(Tag::Call(call))) => {
                self.answer(call, Answer::Refused(refusal));
            }
            Some(Waiting::Subscribe(channel)) => {
                let made_before = self
                    .subscriptions
                    .get(&channel)
                    .is_some_and(|subscription| subscription.was_made());
                // It could be taken up again in a while, so it is not given up: the whole connection tries later.
                if made_before && matches!(&*refusal.code, "rate_limited" | "unavailable") {
                    return Err(Cause::Resubscription(refusal));
                }
                self.subscriptions.remove(&channel);
                self.tell(Event::SubscribeRefused { channel, refusal });
            }
            // There is nothing to unsubscribe from, which is what was wanted.
            Some(Waiting::Unsubscribe(channel)) => self.unsubscribed(channel),
            Some(Waiting::Batch(batch)) => {
                let (tags, count) = (batch.first..=batch.last, batch.count);
                self.tell(Event::Refused { tag: None, refusal });
                self.tell(Event::BatchDone { tags, count });
            }
            // Without an id: one of a batch.
            None => self.tell(Event::Refused { tag: None, refusal }),
        }
        Ok(())
    }

    /// `epoch` as it was named before, if it is the one that was named last.
    fn epoch(&mut self, epoch: &str) -> Arc<str> {
        match &self.epoch {
            Some(last) if **last == *epoch => last.clone(),
            _ => self.epoch.insert(epoch.into()).clone(),
        }
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
