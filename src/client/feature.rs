//! The optional parts of the protocol that a client uses.

use std::fmt;

use super::refusal::Refusal;
use crate::dialect::json::{Encoding, event};

/// An optional part of the protocol, which a server names in its `welcome` if it has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Feature {
    /// Subscriptions to patterns.
    Patterns,
    /// Payloads that are no JSON: texts and bytes.
    Encoding,
    /// Publications with a key.
    Key,
    /// Tokens that are renewed on an open connection.
    Auth,
}

impl Feature {
    const ALL: [Self; 4] = [Self::Patterns, Self::Encoding, Self::Key, Self::Auth];

    /// Its name in the `welcome`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Patterns => "patterns",
            Self::Encoding => "encoding",
            Self::Key => "key",
            Self::Auth => "auth",
        }
    }

    /// That a server does not have it, for people.
    pub(super) const fn is_missing(self) -> &'static str {
        match self {
            Self::Patterns => {
                "the server has no patterns: its welcome does not name the feature `patterns`"
            }
            Self::Encoding => {
                "the server takes JSON only, and neither texts nor bytes: its welcome does not name the feature `encoding`"
            }
            Self::Key => {
                "the server knows no keys of publications: its welcome does not name the feature `key`"
            }
            Self::Auth => {
                "the server takes no tokens: its welcome does not name the feature `auth`"
            }
        }
    }

    /// What is told of a request that is not sent, since the server does not have the feature.
    pub(super) fn refusal(self) -> Refusal {
        Refusal::unsupported(self.is_missing().to_owned())
    }
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Some of the features.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Features(u8);

impl Features {
    /// Those that a `welcome` names.
    pub(super) fn named(names: &event::Features<'_>) -> Self {
        let named = Feature::ALL.into_iter();
        named
            .filter(|feature| names.has(feature.as_str()))
            .fold(Self::default(), Self::with)
    }

    /// Those that a server must have for a publication like this.
    pub(super) fn needed(encoding: Encoding, has_key: bool) -> Self {
        let mut needs = Self::default();
        if encoding != Encoding::Json {
            needs = needs.with(Feature::Encoding);
        }
        if has_key {
            needs = needs.with(Feature::Key);
        }
        needs
    }

    /// These and `feature`.
    pub(super) const fn with(self, feature: Feature) -> Self {
        Self(self.0 | 1 << feature as u8)
    }

    pub(super) const fn has(self, feature: Feature) -> bool {
        self.0 & 1 << feature as u8 != 0
    }

    pub(super) fn are_none(self) -> bool {
        self.0 == 0
    }

    /// One of these that is not among `others`.
    pub(super) fn missing_in(self, others: Self) -> Option<Feature> {
        let all = Feature::ALL.into_iter();
        all.filter(|feature| self.has(*feature))
            .find(|feature| !others.has(*feature))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_what_is_needed_and_not_there() {
        let none = Features::default();
        let key = none.with(Feature::Key);
        let both = key.with(Feature::Encoding);
        assert_eq!(none.missing_in(none), None);
        assert_eq!(key.missing_in(both), None);
        assert_eq!(both.missing_in(key), Some(Feature::Encoding));
        assert_eq!(key.missing_in(none), Some(Feature::Key));
        assert!(none.are_none() && !key.are_none());
    }
}
