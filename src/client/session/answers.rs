//! What the server says, and what it means. Everything is checked before it is believed, and bounded before it is kept.

use std::sync::Arc;
use std::time::Duration;

use super::subscription::Place;
use super::unanswered::{Batch, Target, Waiting};
use super::{Answer, Session, Tag};
use crate::channel::name;
use crate::channel::topic::Topic;
use crate::client::error::Cause;
use crate::client::event::{Event, GapReason, Published, Subscribed};
use crate::client::feature::Features;
use crate::client::identity::Verdict;
use crate::client::payload::Payload;
use crate::client::refusal::Refusal;
use crate::client::topic_name::TopicName;
use crate::dialect::json::{self, SUB_PROTOCOL};
use crate::hub::Place as At;

/// The longest epoch, in bytes, as the protocol has it.
const MAX_EPOCH: usize = 64;

/// What is kept of a refusal's code, and of a reason that this client does not know, in bytes.
const MAX_CODE: usize = 64;

/// What is kept of a refusal's message for people, in bytes.
const MAX_TEXT: usize = 1024;

impl Session {
    /// Takes what the server said.
    ///
    /// # Errors
    /// The [`Cause`] for which this connection must end. An answer to nothing that waits is passed over; one that does not fit its
    /// request, and anything else that the protocol does not allow, is a [`Cause::Protocol`].
    pub(in crate::client) fn take(&mut self, event: json::Event<'_>) -> Result<(), Cause> {
        use json::Event as Said;
        self.check_welcome(&event)?;
        match event {
            Said::Message(message) => self.take_message(&message),
            Said::Gap {
                topic,
                epoch,
                from,
                to,
                reason,
            } => self.take_gap(topic, epoch, (from, to), reason),
            Said::Welcome {
                protocol,
                max_message,
                features,
                subject,
                expires,
                ..
            } => {
                self.take_welcome(protocol, max_message, Features::named(&features))?;
                self.note_identity(subject, expires);
                Ok(())
            }
            Said::Goodbye {
                reconnect_after_ms, ..
            } => {
                let wait = Duration::from_millis(reconnect_after_ms.unwrap_or(0));
                Err(Cause::Goodbye(wait))
            }
            Said::Unknown { .. } => Ok(()),
            Said::Published { .. }
            | Said::Subscribed { .. }
            | Said::Unsubscribed { .. }
            | Said::Error { .. }
            | Said::Authenticated { .. }
            | Said::Pong { .. } => self.take_answer(event),
        }
    }

    /// Takes what answers a request, or looks like it.
    fn take_answer(&mut self, event: json::Event<'_>) -> Result<(), Cause> {
        use json::Event as Said;
        let id = |id: Option<json::Id<'_>>| id.and_then(|id| id.as_number());
        match event {
            Said::Published {
                id: raw,
                epoch,
                seq,
                duplicate,
                ..
            } => {
                let published = Published {
                    epoch: self.epoch(epoch)?,
                    seq,
                    duplicate,
                };
                self.take_published(id(raw), published)
            }
            Said::Subscribed {
                id: raw,
                topic,
                epoch,
                seq,
                recovered,
            } => {
                let subscribed = Subscribed {
                    epoch: self.epoch(epoch)?,
                    seq,
                    recovered,
                };
                self.take_subscribed(id(raw), topic, subscribed)
            }
            Said::Unsubscribed {
                id: raw,
                topic,
                reason,
            } => self.take_unsubscribed(raw.is_some(), id(raw), topic, reason),
            Said::Error {
                id: raw,
                code,
                message,
                retry_after_ms,
                ..
            } => {
                let refusal = Refusal {
                    code: beginning(code, MAX_CODE),
                    message: beginning(message, MAX_TEXT),
                    retry_after: retry_after_ms.map(Duration::from_millis),
                };
                self.take_refusal(raw.is_some(), id(raw), refusal)
            }
            Said::Pong { id: raw } => self.take_pong(id(raw)),
            Said::Authenticated {
                id: raw,
                subject,
                expires,
            } => {
                let fits = |waiting: &Waiting| matches!(waiting, Waiting::Auth);
                if self.answered(id(raw), fits)?.is_some() {
                    self.note_identity(Some(subject), expires);
                }
                Ok(())
            }
            // Anything else answers nothing.
            _ => Ok(()),
        }
    }

    /// Checks that the first thing said is a `welcome`, and that nothing after it is.
    fn check_welcome(&self, event: &json::Event<'_>) -> Result<(), Cause> {
        use json::Event as Said;
        match (event, self.welcomed) {
            (Said::Welcome { .. }, true) => Err(Cause::Protocol("a second `welcome`")),
            (Said::Welcome { .. } | Said::Goodbye { .. } | Said::Unknown { .. }, _) => Ok(()),
            (_, false) => Err(Cause::Protocol("something before its `welcome`")),
            (_, true) => Ok(()),
        }
    }

    fn take_welcome(
        &mut self,
        protocol: &str,
        max_message: u64,
        features: Features,
    ) -> Result<(), Cause> {
        if protocol != SUB_PROTOCOL {
            return Err(Cause::Protocol("a `welcome` to another protocol"));
        }
        self.welcomed = true;
        self.max_request = usize::try_from(max_message).unwrap_or(usize::MAX);
        self.features = features;
        self.forget_untaken();
        Ok(())
    }

    /// The server says who this client is, and until when it takes it for that.
    fn note_identity(&mut self, subject: Option<&str>, expires: Option<u64>) {
        self.subject = subject.map(|subject| beginning(subject, MAX_TEXT).into());
        self.verdict = Some(Verdict::Known(expires));
    }

    /// Tells that a token was not renewed.
    pub(in crate::client) fn tell_not_renewed(&mut self, why: &str) {
        let why = beginning(why, MAX_TEXT);
        self.tell(Event::NotRenewed { why });
    }

    /// The request that an answer belongs to, if one waits for it.
    fn answered(
        &mut self,
        id: Option<u64>,
        fits: impl Fn(&Waiting) -> bool,
    ) -> Result<Option<Waiting>, Cause> {
        let answered = self.unanswered.answered(id, fits).map_err(|_| MISFIT)?;
        self.answers += u64::from(answered.is_some());
        Ok(answered)
    }

    fn take_message(&mut self, message: &json::event::Message<'_>) -> Result<(), Cause> {
        let topic = message.topic();
        let Some((name, subscription)) = self.subscriptions.entry(topic) else {
            return Ok(());
        };
        let (name, seq) = (Arc::clone(name), message.seq());
        let place = subscription.advance(seq);
        let epoch = subscription.epoch();
        let missed = match place {
            Place::Nowhere => return Ok(()),
            Place::Next => None,
            Place::After(missed) => Some(missed),
        };
        let data =
            Payload::read(message.data).ok_or(Cause::Message(json::EventError::Member("data")))?;
        if let Some(missed) = missed {
            self.tell(Event::Gap {
                topic: TopicName::of(topic, name.clone()),
                epoch,
                from: *missed.start(),
                to: *missed.end(),
                reason: GapReason::Unannounced,
            });
        }
        let (channel, pattern, channel_seq) = match message.place {
            At::Channel { seq } => (name, None, seq),
            At::Pattern { channel_seq, .. } => {
                let channel = self.channel(topic, message.channel)?;
                (channel, Some(name), channel_seq)
            }
        };
        self.tell(Event::Message {
            channel,
            seq,
            data,
            pattern,
            channel_seq,
        });
        Ok(())
    }

    fn take_gap(
        &mut self,
        topic: Topic<'_>,
        epoch: &str,
        (from, to): (u64, u64),
        reason: &str,
    ) -> Result<(), Cause> {
        if from > to {
            return Err(Cause::Protocol("a `gap` that ends before it begins"));
        }
        let epoch = self.epoch(epoch)?;
        let Some((name, subscription)) = self.subscriptions.entry(topic) else {
            return Ok(());
        };
        let topic = TopicName::of(topic, name.clone());
        if let Some(missed) = subscription.skip(epoch.clone(), from, to) {
            self.tell(Event::Gap {
                topic,
                epoch,
                from: *missed.start(),
                to: *missed.end(),
                reason: GapReason::from_wire(reason, |reason| beginning(reason, MAX_CODE)),
            });
        }
        Ok(())
    }

    fn take_subscribed(
        &mut self,
        id: Option<u64>,
        topic: Topic<'_>,
        subscribed: Subscribed,
    ) -> Result<(), Cause> {
        let fits = |waiting: &Waiting| matches!(waiting, Waiting::Subscribe(target) if target.topic == topic);
        let Some(Waiting::Subscribe(target)) = self.answered(id, fits)? else {
            return Ok(());
        };
        let Some(subscription) = self.subscription(&target) else {
            return Ok(());
        };
        if subscription.begin(&subscribed).map_err(Cause::Protocol)? {
            self.tell(Event::Subscribed {
                topic: target.topic,
                epoch: subscribed.epoch,
                seq: subscribed.seq,
                recovered: subscribed.recovered,
            });
        }
        Ok(())
    }

    /// An answer to `unsubscribe`, or the server's own doing: that has no id.
    fn take_unsubscribed(
        &mut self,
        has_id: bool,
        id: Option<u64>,
        topic: Topic<'_>,
        reason: Option<&str>,
    ) -> Result<(), Cause> {
        let fits = |waiting: &Waiting| matches!(waiting, Waiting::Unsubscribe(target) if target.topic == topic);
        match self.answered(id, fits)? {
            Some(Waiting::Unsubscribe(target)) => self.ended(target),
            _ if has_id => {}
            _ => self.take_end(topic, reason),
        }
        Ok(())
    }

    /// The server ended a subscription by itself. What the program has asked to end waits for the answer to that.
    fn take_end(&mut self, topic: Topic<'_>, reason: Option<&str>) {
        if let Some((name, subscription)) = self.subscriptions.entry(topic)
            && subscription.is_live()
            && !subscription.is_ending()
        {
            let name = TopicName::of(topic, name.clone());
            let reason = reason.map(|reason| beginning(reason, MAX_CODE));
            self.subscriptions.remove(topic);
            self.tell(Event::SubscriptionEnded {
                topic: name,
                reason,
            });
        }
    }

    fn take_published(&mut self, id: Option<u64>, published: Published) -> Result<(), Cause> {
        let answered = self.answered(id, |waiting| matches!(waiting, Waiting::Publish(_)))?;
        if let Some(Waiting::Publish(publish)) = answered {
            match publish.tag {
                Tag::Event(tag) => self.tell(Event::Published {
                    tag,
                    epoch: published.epoch,
                    seq: published.seq,
                    duplicate: published.duplicate,
                }),
                Tag::Call(call) => self.answer(call, Answer::Published(published)),
            }
        }
        Ok(())
    }

    fn take_pong(&mut self, id: Option<u64>) -> Result<(), Cause> {
        if let Some(Waiting::Batch(batch)) =
            self.answered(id, |waiting| matches!(waiting, Waiting::Batch(_)))?
        {
            self.end_of_batch(batch);
        }
        Ok(())
    }

    fn end_of_batch(&mut self, batch: Batch) {
        self.refused_in_batch = 0;
        let (tags, count) = (batch.first..=batch.last, batch.count);
        self.tell(Event::BatchDone { tags, count });
    }

    fn take_refusal(
        &mut self,
        has_id: bool,
        id: Option<u64>,
        refusal: Refusal,
    ) -> Result<(), Cause> {
        match self.answered(id, |_| true)? {
            Some(Waiting::Publish(publish)) => self.refused(publish.tag, refusal),
            Some(Waiting::Subscribe(target)) => self.take_no_subscription(target, refusal)?,
            // There is nothing to unsubscribe from, which is what was wanted.
            Some(Waiting::Unsubscribe(target)) => self.ended(target),
            Some(Waiting::Auth) => {
                self.verdict = Some(Verdict::Refused);
                self.tell_not_renewed(&refusal.to_string());
            }
            Some(Waiting::Batch(batch)) => {
                self.tell(Event::Refused { tag: None, refusal });
                self.end_of_batch(batch);
            }
            // One of a batch has no id. More than there are in all batches is nothing that was asked.
            None if !has_id && self.refused_in_batch < self.unanswered.batched() => {
                self.refused_in_batch += 1;
                self.tell(Event::Refused { tag: None, refusal });
            }
            None => {}
        }
        Ok(())
    }

    fn take_no_subscription(&mut self, target: Target, refusal: Refusal) -> Result<(), Cause> {
        let Some(subscription) = self.subscription(&target) else {
            return Ok(());
        };
        // It could be taken up again in a while, so it is not given up: the whole connection tries later.
        if subscription.was_made() && matches!(&*refusal.code, "rate_limited" | "unavailable") {
            return Err(Cause::Resubscription(refusal));
        }
        let ending = subscription.is_ending();
        let topic = target.topic;
        // Of one that is to end, the answer to that will say so.
        if !ending {
            self.subscriptions.remove(topic.as_topic());
        }
        self.tell(Event::SubscribeRefused { topic, refusal });
        Ok(())
    }

    /// The channel of a pattern's message, as it was named before, if it is the one that was named last.
    fn channel(&mut self, pattern: Topic<'_>, channel: &str) -> Result<Arc<str>, Cause> {
        let stands_for = match pattern {
            Topic::Channel(name) => name == channel,
            Topic::Pattern(matcher, text) => matcher.matches(text, channel),
        };
        if !stands_for || name::check(channel).is_err() {
            return Err(Cause::Protocol("a message that its pattern does not match"));
        }
        match &self.channel {
            Some(last) if **last == *channel => Ok(last.clone()),
            _ => Ok(self.channel.insert(channel.into()).clone()),
        }
    }

    /// `epoch` as it was named before, if it is the one that was named last.
    fn epoch(&mut self, epoch: &str) -> Result<Arc<str>, Cause> {
        match &self.epoch {
            Some(last) if **last == *epoch => Ok(last.clone()),
            _ if epoch.len() > MAX_EPOCH => Err(Cause::Protocol("an epoch of over 64 bytes")),
            _ => Ok(self.epoch.insert(epoch.into()).clone()),
        }
    }
}

const MISFIT: Cause = Cause::Protocol("an answer that does not fit its request");

/// As much of `text` as `max` bytes hold.
fn beginning(text: &str, max: usize) -> String {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}
