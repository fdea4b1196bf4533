//! All subscriptions of a client. A channel and a pattern of the same text are two.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::subscription::Subscription;
use crate::channel::topic::Topic;
use crate::client::topic_name::TopicName;

/// The subscriptions, by what they are to.
#[derive(Default)]
pub(super) struct Subscriptions {
    channels: BTreeMap<Arc<str>, Subscription>,
    patterns: BTreeMap<Arc<str>, Subscription>,
}

impl Subscriptions {
    pub(super) fn get(&self, topic: Topic<'_>) -> Option<&Subscription> {
        let named = match topic {
            Topic::Channel(_) => &self.channels,
            Topic::Pattern(..) => &self.patterns,
        };
        named.get(topic.text())
    }

    /// A subscription with its topic's text, to be shared.
    pub(super) fn entry(&mut self, topic: Topic<'_>) -> Option<(&Arc<str>, &mut Subscription)> {
        use std::ops::Bound::Included;
        let range = (Included(topic.text()), Included(topic.text()));
        self.like(topic).range_mut::<str, _>(range).next()
    }

    /// Adds one; its topic, to be shared.
    pub(super) fn add(&mut self, topic: Topic<'_>, subscription: Subscription) -> TopicName {
        let name: Arc<str> = topic.text().into();
        self.like(topic).insert(name.clone(), subscription);
        TopicName::of(topic, name)
    }

    pub(super) fn remove(&mut self, topic: Topic<'_>) {
        self.like(topic).remove(topic.text());
    }

    /// The connection is gone.
    pub(super) fn lose(&mut self) {
        let all = self.channels.values_mut().chain(self.patterns.values_mut());
        all.for_each(Subscription::lose);
    }

    /// What they are to.
    pub(super) fn topics(&self) -> impl Iterator<Item = TopicName> {
        let channels = self.channels.keys().cloned().map(TopicName::Channel);
        channels.chain(self.patterns.keys().cloned().map(TopicName::Pattern))
    }

    fn like(&mut self, topic: Topic<'_>) -> &mut BTreeMap<Arc<str>, Subscription> {
        match topic {
            Topic::Channel(_) => &mut self.channels,
            Topic::Pattern(..) => &mut self.patterns,
        }
    }
}
