//! What a client is subscribed to, what it has asked for, and what that means after a loss. Pure: texts in, texts
//! out; no sockets, and the time is an argument.
//!
//! It outlives connections. [`Session::lost`] says what became of the requests that were under way, [`Session::ask`] what
//! the next connection has to be asked for, and [`Session::take`] what the server's words mean.

mod answers;
mod subscription;
mod subscriptions;
#[cfg(test)]
mod tests;
mod unanswered;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use subscription::Subscription;
use subscriptions::Subscriptions;
use unanswered::{Kept, Publish, Target, Unanswered, Waiting};

use super::error::Invalid;
use super::event::{Event, Position, Published};
use super::feature::{Feature, Features};
use super::identity::Verdict;
use super::refusal::Refusal;
use super::topic_name::TopicName;
use super::websocket::Texts;
use crate::channel::matcher::Matcher;
use crate::channel::name;
use crate::channel::pattern::Pattern;
use crate::channel::topic::Topic;
use crate::dialect::json::{Data, Start, request};

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

/// How many bytes of publications with keys may wait for their answers, and one publication more: they are kept, to be sent again.
const MAX_KEPT: usize = 16 << 20;

/// The state of one client, whatever connection it has or has not.
#[derive(Default)]
pub(super) struct Session {
    subscriptions: Subscriptions,
    /// How many subscriptions there have been.
    numbered: u64,
    unanswered: Unanswered,
    /// Told and not taken yet.
    ready: VecDeque<Told>,
    /// Subscriptions for which this connection has not been asked yet. Some may be gone since.
    unasked: VecDeque<TopicName>,
    welcomed: bool,
    /// What the server has; before the welcome of this connection, what the one before it had.
    features: Features,
    /// The longest request that the server takes, in bytes; 0 before the first welcome.
    max_request: usize,
    /// The epoch that was named last: nearly always the next one to be named, too.
    epoch: Option<Arc<str>>,
    /// The channel whose message came last for a pattern.
    channel: Option<Arc<str>>,
    /// How many answers have come.
    answers: u64,
    /// Refusals told of the batch that is answered next.
    refused_in_batch: usize,
    /// What the server knows this client as, where that says so.
    subject: Option<Arc<str>>,
    /// What the server said of that, and was not taken yet.
    verdict: Option<Verdict>,
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

    /// What the server has.
    pub(super) const fn features(&self) -> Features {
        self.features
    }

    /// How many messages wait for their answers, those that were not sent yet included.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.unanswered.publishes()
    }

    /// Whether another message may be published, with at most `window` waiting for their answers.
    pub(super) fn has_room(&self, window: usize) -> bool {
        self.unanswered.publishes() < window
            && self.unanswered.kept_bytes() < MAX_KEPT
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

    /// Whether publications wait that are sent again after a loss.
    pub(super) fn has_kept(&self) -> bool {
        self.unanswered.has_kept()
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
    pub(super) fn position(&self, topic: Topic<'_>) -> Option<Position> {
        self.subscriptions.get(topic)?.position()
    }

    /// What the server knows this client as, where that says so.
    pub(super) fn subject(&self) -> Option<Arc<str>> {
        self.subject.clone()
    }

    /// What the server said of that since the last call.
    pub(super) fn take_verdict(&mut self) -> Option<Verdict> {
        self.verdict.take()
    }

    /// Notes a token that is being sent, and appends the request for it. Nothing is appended if the server does not take it.
    pub(super) fn authenticate(&mut self, token: &str, text: &mut Vec<u8>) {
        let id = self.unanswered.next_id();
        request::auth(text, Some(id), token);
        if text.len() > self.max_request || !self.features.has(Feature::Auth) {
            text.clear();
            return;
        }
        self.unanswered.add(Waiting::Auth);
    }

    /// Notes a subscription, for which [`ask`](Self::ask) asks the server.
    pub(super) fn subscribe(&mut self, topic: Topic<'_>, start: Start<'_>) -> Result<(), Invalid> {
        check(topic)?;
        if topic.is_pattern() && !self.features.has(Feature::Patterns) {
            return Err(Invalid::Unsupported(Feature::Patterns));
        }
        if self.subscriptions.get(topic).is_some() {
            return Err(Invalid::AlreadySubscribed);
        }
        self.numbered += 1;
        let subscription = Subscription::new(start, self.numbered);
        let topic = self.subscriptions.add(topic, subscription);
        self.unasked.push_back(topic);
        Ok(())
    }

    /// Whether there are subscriptions that this connection has not been asked for, or publications that it has not been sent again.
    pub(super) fn has_unasked(&self) -> bool {
        !self.unasked.is_empty() || self.unanswered.has_to_repeat()
    }

    /// Appends requests for subscriptions that this connection has not been asked for, and publications that are to be sent again, as many
    /// as may wait for their answers at once: a server stops reading from a client that asks without end and takes no answers. Whether that
    /// was all. What is too old at the time `now` to be sent again is not.
    pub(super) fn ask(&mut self, texts: &mut Texts, now: Instant) -> bool {
        self.forget_old(now);
        while self.unanswered.subscribes() < ASKED_AT_ONCE
            && let Some(topic) = self.unasked.pop_front()
        {
            self.ask_for(topic, texts);
        }
        while let Some(text) = self.unanswered.repeat() {
            write(texts, |out| out.extend_from_slice(text));
        }
        !self.has_unasked()
    }

    fn ask_for(&mut self, topic: TopicName, texts: &mut Texts) {
        let Some(subscription) = self.subscriptions.get(topic.as_topic()) else {
            return;
        };
        if topic.as_topic().is_pattern() && !self.features.has(Feature::Patterns) {
            self.subscriptions.remove(topic.as_topic());
            let refusal = Feature::Patterns.refusal();
            self.tell(Event::SubscribeRefused { topic, refusal });
            return;
        }
        let start = subscription.start();
        let id = self.unanswered.next_id();
        write(texts, |out| {
            request::subscribe(out, Some(id), &topic, &start);
        });
        let number = subscription.number();
        self.unanswered
            .add(Waiting::Subscribe(Target { topic, number }));
    }

    /// Notes that a subscription is to end, and appends the request for that, which must be sent. There is none where the server was
    /// not asked for the subscription, and none where it was asked to end it already.
    pub(super) fn unsubscribe(
        &mut self,
        topic: Topic<'_>,
        texts: &mut Texts,
    ) -> Result<(), Invalid> {
        check(topic)?;
        if let Some(at) = self.unasked.iter().position(|name| *name == topic) {
            self.unasked.remove(at);
            self.unsubscribed(topic.into());
            return Ok(());
        }
        let Some((name, subscription)) = self.subscriptions.entry(topic) else {
            self.unsubscribed(topic.into());
            return Ok(());
        };
        if subscription.is_ending() {
            return Ok(());
        }
        subscription.end();
        let number = subscription.number();
        let topic = TopicName::of(topic, name.clone());
        let id = self.unanswered.next_id();
        write(texts, |out| request::unsubscribe(out, Some(id), &topic));
        self.unanswered
            .add(Waiting::Unsubscribe(Target { topic, number }));
        Ok(())
    }

    /// Tells that nothing of a subscription comes any more.
    fn unsubscribed(&mut self, topic: TopicName) {
        self.subscriptions.remove(topic.as_topic());
        self.tell(Event::Unsubscribed { topic });
    }

    /// Tells that what the program asked to end has ended, unless that was told already.
    fn ended(&mut self, target: Target) {
        if self.subscription(&target).is_some() {
            self.unsubscribed(target.topic);
        }
    }

    /// A subscription that is still there.
    fn subscription(&mut self, target: &Target) -> Option<&mut Subscription> {
        let (_, subscription) = self.subscriptions.entry(target.topic.as_topic())?;
        (subscription.number() == target.number).then_some(subscription)
    }

    /// Notes a publish and appends the request for it. Whether it was sent is for [`lost`](Self::lost) to be told. One with a key is
    /// kept, to be sent again. `data` must be what its encoding wants. The batch under way ends before it: what is told of a batch must
    /// hold for each tag from its first to its last.
    pub(super) fn publish(
        &mut self,
        channel: &str,
        data: Data<'_>,
        key: Option<&str>,
        tag: Tag,
        texts: &mut Texts,
    ) -> Result<u64, Invalid> {
        self.end_batch(texts);
        let id = self.unanswered.next_id();
        let text = self.write_publish(Some(id), channel, data, key, texts)?;
        let kept = key.map(|_| {
            let needs = Features::needed(data.encoding, true);
            Box::new(Kept::new(text, needs))
        });
        Ok(self.unanswered.add(Waiting::Publish(Publish { tag, kept })))
    }

    /// Notes a publish of JSON that gets no answer of its own, as one of the batch that [`end_batch`](Self::end_batch) ends.
    pub(super) fn publish_in_batch(
        &mut self,
        channel: &str,
        data: &[u8],
        tag: u64,
        texts: &mut Texts,
    ) -> Result<u64, Invalid> {
        self.write_publish(None, channel, Data::json(data), None, texts)?;
        Ok(self.unanswered.add_to_batch(tag))
    }

    /// Why the server would not take a request of `len` bytes that needs these features, where it would not.
    pub(super) fn why_untaken(&self, needs: Features, len: usize) -> Option<Refusal> {
        let max = self.max_request;
        match needs.missing_in(self.features) {
            Some(missing) => Some(missing.refusal()),
            None if len > max => Some(Refusal::unsupported(
                Invalid::TooLong { len, max }.to_string(),
            )),
            None => None,
        }
    }

    /// Tells that a publish is refused that was not sent; one of a batch, if the id is a batch's.
    pub(super) fn refuse(&mut self, id: u64, refusal: Refusal) {
        if self.unanswered.is_batch(id) {
            self.refused_in_batch += 1;
            self.tell(Event::Refused { tag: None, refusal });
        } else if let Some(Waiting::Publish(publish)) = self.unanswered.give_up(id) {
            self.refused(publish.tag, refusal);
        }
    }

    fn refused(&mut self, tag: Tag, refusal: Refusal) {
        match tag {
            Tag::Event(tag) => {
                let tag = Some(tag);
                self.tell(Event::Refused { tag, refusal });
            }
            Tag::Call(call) => self.answer(call, Answer::Refused(refusal)),
        }
    }

    /// Ends the batch under way, if there is one: the answer to this request says that all before it took effect.
    pub(super) fn end_batch(&mut self, texts: &mut Texts) {
        if let Some(id) = self.unanswered.end_batch() {
            write(texts, |out| request::ping(out, Some(id)));
        }
    }

    /// Appends a publish; its text.
    fn write_publish<'t>(
        &self,
        id: Option<u64>,
        channel: &str,
        data: Data<'_>,
        key: Option<&str>,
        texts: &'t mut Texts,
    ) -> Result<&'t [u8], Invalid> {
        let start = texts.bytes.len();
        request::publish(&mut texts.bytes, id, channel, data, key);
        let len = texts.bytes.len() - start;
        if len > self.max_request {
            texts.bytes.truncate(start);
            let max = self.max_request;
            return Err(Invalid::TooLong { len, max });
        }
        texts.ends.push(texts.bytes.len());
        Ok(&texts.bytes[start..])
    }

    /// A connection was lost. Of the publishes, those before `unsent` (all, if that is `None`) were sent, perhaps; what
    /// became of them nobody knows, unless they can be sent again. Subscriptions stay, and are [asked](Self::ask) for anew, each from
    /// where it is.
    pub(super) fn lost(&mut self, unsent: Option<u64>) {
        let lost = self.unanswered.lose(unsent);
        self.lose(lost);
    }

    /// There will be no other connection: nothing that waits will be answered.
    pub(super) fn end(&mut self) {
        let lost = self.unanswered.end();
        self.lose(lost);
    }

    /// Publishes from `unsent` on go out now.
    pub(super) fn note_sent(&mut self, unsent: u64, now: Instant) {
        self.unanswered.note_sent(unsent, now);
    }

    /// Gives up what is to be sent again and went out so long before `now` that the server may have forgotten its key: to send it again
    /// could publish it twice, and what became of it nobody knows.
    pub(super) fn forget_old(&mut self, now: Instant) {
        let lost = self.unanswered.forget_old(now);
        self.tell_lost(lost);
    }

    /// When all that is kept is too old to be sent again; `None` if nothing is kept, or the newest did not go out yet.
    pub(super) fn all_old(&self) -> Option<Instant> {
        self.unanswered.all_old()
    }

    /// Gives up what is to be sent again and the server of this connection does not take. It may have been published before, so what
    /// became of it nobody knows.
    fn forget_untaken(&mut self) {
        let (features, max) = (self.features, self.max_request);
        let lost = self.unanswered.forget_untaken(features, max);
        self.tell_lost(lost);
    }

    fn lose(&mut self, lost: Vec<Waiting>) {
        self.welcomed = false;
        self.refused_in_batch = 0;
        self.tell_lost(lost);
        self.subscriptions.lose();
        self.unasked = self.subscriptions.topics().collect();
    }

    fn tell_lost(&mut self, lost: Vec<Waiting>) {
        for waiting in lost {
            match waiting {
                Waiting::Publish(publish) => match publish.tag {
                    Tag::Event(tag) => self.tell_unknown(tag, tag, 1),
                    Tag::Call(call) => self.answer(call, Answer::Unknown),
                },
                Waiting::Batch(batch) => self.tell_unknown(batch.first, batch.last, batch.count),
                Waiting::Unsubscribe(target) => self.ended(target),
                Waiting::Subscribe(_) | Waiting::Auth => {}
            }
        }
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

/// Whether there can be such a topic, and a subscription to it in this dialect.
fn check(topic: Topic<'_>) -> Result<(), Invalid> {
    match topic {
        Topic::Channel(name) => name::check(name).map_err(Invalid::Channel),
        Topic::Pattern(Matcher::Parts, text) => {
            Pattern::parse(text).map(|_| ()).map_err(Invalid::Pattern)
        }
        Topic::Pattern(_, text) => Err(Invalid::Pattern(format!(
            "{text:?} is not read part by part, as the patterns of json.fanfare.v1 are"
        ))),
    }
}

fn write(texts: &mut Texts, write: impl FnOnce(&mut Vec<u8>)) {
    write(&mut texts.bytes);
    texts.ends.push(texts.bytes.len());
}
