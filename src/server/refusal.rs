//! Why a request is refused, in words that each dialect has its own codes for.

use std::borrow::Cow;

/// Why a request was refused, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// The daemon has no such channel of its own.
    BadChannel,
    Forbidden,
    /// Not without a name: it has to show first who it is.
    Unauthenticated,
    AlreadySubscribed,
    NotSubscribed,
    Limit,
    /// What the answer depends on is out of reach for now: the keys of tokens, or the broker.
    Unavailable,
}

/// A request that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) why: Why,
    /// The reason, for people.
    pub(super) text: Cow<'static, str>,
}

impl Refusal {
    pub(super) fn new(why: Why, text: impl Into<Cow<'static, str>>) -> Self {
        Refusal {
            why,
            text: text.into(),
        }
    }
}
