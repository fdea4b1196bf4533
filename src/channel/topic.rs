//! What a subscription is to.

use super::matcher::Matcher;

/// What a subscription is to: a channel, or all channels that a pattern stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic<'a> {
    /// The channel of this name.
    Channel(&'a str),
    /// The channels that the text stands for, as the matcher reads it.
    Pattern(Matcher, &'a str),
}

impl<'a> Topic<'a> {
    /// The channels that a pattern of parts stands for, such as `prices.*`.
    pub fn pattern(text: &'a str) -> Self {
        Self::Pattern(Matcher::Parts, text)
    }

    /// The channel's name, or the pattern's text.
    pub fn text(self) -> &'a str {
        match self {
            Self::Channel(text) | Self::Pattern(_, text) => text,
        }
    }

    /// What it is called where it is named: `channel` or `pattern`. The protocol's member has the same name.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Channel(_) => "channel",
            Self::Pattern(..) => "pattern",
        }
    }

    /// Whether it is a pattern.
    pub fn is_pattern(self) -> bool {
        matches!(self, Self::Pattern(..))
    }
}

/// The channel of that name.
impl<'a> From<&'a str> for Topic<'a> {
    fn from(name: &'a str) -> Self {
        Self::Channel(name)
    }
}

/// The channel of that name.
impl<'a> From<&'a String> for Topic<'a> {
    fn from(name: &'a String) -> Self {
        Self::Channel(name)
    }
}
