//! What a subscription is to, as events name it.

use std::fmt;
use std::sync::Arc;

use crate::channel::topic::Topic;

/// What a subscription is to, as events name it: as a [`Topic`], but with its text.
///
/// `Display` gives the channel's name or the pattern's text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TopicName {
    /// The channel of this name.
    Channel(Arc<str>),
    /// The channels that this pattern stands for, such as `prices.*`.
    Pattern(Arc<str>),
}

impl TopicName {
    /// `name` is that of `topic`.
    pub(super) const fn of(topic: Topic<'_>, name: Arc<str>) -> Self {
        match topic {
            Topic::Channel(_) => Self::Channel(name),
            Topic::Pattern(..) => Self::Pattern(name),
        }
    }

    /// The topic.
    pub fn as_topic(&self) -> Topic<'_> {
        match self {
            Self::Channel(name) => Topic::Channel(name),
            Self::Pattern(text) => Topic::pattern(text),
        }
    }

    /// The channel's name, or the pattern's text.
    pub fn text(&self) -> &str {
        self.as_topic().text()
    }
}

impl PartialEq<Topic<'_>> for TopicName {
    fn eq(&self, other: &Topic<'_>) -> bool {
        self.as_topic() == *other
    }
}

impl From<Topic<'_>> for TopicName {
    fn from(topic: Topic<'_>) -> Self {
        Self::of(topic, topic.text().into())
    }
}

/// For a call that takes a [`Topic`].
impl<'a> From<&'a TopicName> for Topic<'a> {
    fn from(name: &'a TopicName) -> Self {
        name.as_topic()
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
