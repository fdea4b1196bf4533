//! Why a request is refused, in words that each dialect has its own codes for.

use std::borrow::Cow;

use super::service::Service;
use crate::config::Config;
use crate::hub::{PublishError, SubscribeError};

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

impl Service {
    /// Why a publication was refused: which limit it passes, with its number.
    pub(super) fn publish_refusal(&self, error: PublishError) -> Refusal {
        let text = match error {
            PublishError::TooManyChannels => {
                let max = self.config.max_channels;
                format!(
                    "there are as many channels as --max-channels allows, {max}, and all of them have subscribers"
                )
            }
            PublishError::RetainTotal => {
                let max = self.config.retain_total;
                format!("the message by itself is larger than --retain-total allows: {max} bytes")
            }
            PublishError::NotNewer | PublishError::BrokerNumbers => error.to_string(),
        };
        Refusal::new(Why::Limit, text)
    }

    /// Why a subscription was refused, with the limit's number.
    pub(super) fn subscribe_refusal(&self, error: SubscribeError) -> Refusal {
        match error {
            SubscribeError::AlreadySubscribed => Refusal::new(
                Why::AlreadySubscribed,
                "this connection is subscribed to it already",
            ),
            SubscribeError::TooManyChannels => self.publish_refusal(PublishError::TooManyChannels),
            SubscribeError::TooManySubscriptions => {
                let max = self.config.max_subscriptions;
                let text = format!(
                    "this connection has as many subscriptions as --max-subscriptions allows: {max}"
                );
                Refusal::new(Why::Limit, text)
            }
            SubscribeError::TooManyPatterns => {
                let max = self.config.max_patterns;
                let text = format!(
                    "there are as many patterns as --max-patterns allows, {max}, and all of them have subscribers"
                );
                Refusal::new(Why::Limit, text)
            }
            SubscribeError::TooManyPatternsEach => {
                let max = Config::PATTERNS_EACH;
                let text = format!("a connection may be subscribed to {max} patterns and no more");
                Refusal::new(Why::Limit, text)
            }
        }
    }
}
