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
    /// The broker is out of reach.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the only broker that may be is the tests'")
    )]
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
