//! Patterns' logs: what is copied to them, and which of them may go.

use fanfare::hub::Epoch;

use super::Run;
use super::client::Subscription;
use super::frame::{TestFrame, head};
use super::naive::{Message, Naive, Settings};
use super::topics::{is_pattern, patterns, takes, topic};

/// Whether a subscriber may be lapped. One that reads a channel may not. One that reads a pattern may if it has more to get than the
/// log's `retain_bytes`, or if all logs are limited together.
pub(super) fn may_be_lapped(
    settings: Settings,
    naive: &Naive,
    number: u8,
    subscription: &Subscription,
) -> bool {
    if subscription.excused || !is_pattern(number) {
        return subscription.excused;
    }
    let left = &naive.messages[subscription.expected.least.max(1) as usize - 1..];
    let bytes: u64 = left.iter().map(|message| message.bytes).sum();
    let outgrown = left.len() > 1 && !settings.policy(number).retain_bytes.admits(bytes);
    outgrown || !settings.config().retain_total.is_none()
}

impl Run {
    /// One of the patterns.
    pub fn pattern(&self, b: u8) -> u8 {
        let all = patterns(self.settings.has_broker());
        all.start + b % (all.end - all.start)
    }

    fn exists(&self, pattern: u8) -> bool {
        self.hub.held(topic(pattern, &mut String::new())).is_some()
    }

    /// The patterns that stand for a channel and have a log.
    pub(super) fn takers(&self, channel: u8) -> Vec<u8> {
        let all = patterns(self.settings.has_broker());
        let takers = all.filter(|&pattern| takes(pattern, channel));
        takers
            .filter(|&pattern| {
                let exists = self.exists(pattern);
                assert!(exists || !self.is_subscribed(pattern), "its log has gone");
                exists
            })
            .collect()
    }

    /// A message was appended to its channel, and so to the logs of all these patterns.
    pub(super) fn copy(
        &mut self,
        frame: &TestFrame,
        at: Option<(&Epoch, u64)>,
        channel_seq: u64,
        takers: &[u8],
    ) {
        for &pattern in takers {
            if let Some((epoch, seq)) = at {
                self.note_epoch(pattern, true, epoch.as_str(), seq - 1);
            }
            let held = self.hub.held(topic(pattern, &mut String::new()));
            let naive = self
                .channels
                .get_mut(&pattern)
                .expect("it was subscribed to");
            let seq = at.map_or(naive.newest() + 1, |(_, seq)| seq);
            assert_eq!(held.expect("it has a log").end, seq + 1);
            naive.messages.push(Message {
                id: frame.id,
                seq,
                time: self.now,
                bytes: (head(pattern) + frame.filler) as u64,
                origin: Some((frame.channel, channel_seq)),
            });
        }
    }

    /// A pattern was refused: all there are have subscribers.
    pub(super) fn check_patterns_full(&self) {
        let there = self.present_patterns();
        let most = self.settings.config().max_patterns;
        assert_eq!(most.get(), Some(there.len() as u64));
        for pattern in there {
            assert!(self.is_subscribed(pattern), "{pattern} could have gone");
        }
    }

    /// A pattern's log came into being. If another went for it, that was the one that had to; `before` had a log.
    pub(super) fn check_vacant_pattern(&mut self, before: &[u8]) {
        let gone: Vec<_> = before.iter().filter(|&&p| !self.exists(p)).collect();
        let [&gone] = gone[..] else {
            assert!(gone.is_empty());
            return;
        };
        let most = self.settings.config().max_patterns;
        assert_eq!(most.get(), Some(before.len() as u64));
        assert!(!self.is_subscribed(gone));
        let needed = self.channels[&gone].needed;
        for &other in before {
            assert!(self.is_subscribed(other) || self.channels[&other].needed >= needed);
        }
        self.channels.get_mut(&gone).expect("it was there").vacated = true;
    }

    /// The patterns that have a log.
    pub(super) fn present_patterns(&self) -> Vec<u8> {
        let all = patterns(self.settings.has_broker());
        all.filter(|&pattern| self.exists(pattern)).collect()
    }

    /// With everybody at the head a pattern's log holds what its policy says, and no more.
    pub(super) fn check_held_of_patterns(&self) {
        for pattern in self.present_patterns() {
            let held = self.hub.held(topic(pattern, &mut String::new()));
            let naive = &self.channels[&pattern];
            let oldest = naive.position_after(held.expect("it has a log").start - 1);
            let tail = naive.tail(self.settings.policy(pattern), self.now);
            assert!(oldest >= tail, "{pattern} holds too much");
            let evicts = !self.settings.config().retain_total.is_none();
            assert!(evicts || oldest == tail, "{pattern} holds too little");
        }
    }

    /// See [`Run::step`].
    pub fn clear(&mut self, channel: u8) {
        let mut kept = String::new();
        let exists = self.hub.held(topic(channel, &mut kept)).is_some();
        assert_eq!(
            self.hub.clear(&super::topics::name(channel), self.now),
            exists
        );
        if !exists {
            return;
        }
        let takers = self.takers(channel);
        for number in takers.into_iter().chain([channel]) {
            let naive = self.channels.get_mut(&number).expect("it was met");
            let is_its = |message: &Message| match message.origin {
                Some((origin, _)) => origin == channel,
                None => true,
            };
            let newest = naive.messages.iter().rposition(is_its);
            let cleared = newest.map_or(1, |newest| newest as u64 + 2);
            naive.cleared = naive.cleared.max(cleared);
            naive.mark = naive.mark.max(cleared);
            if !is_pattern(number) {
                naive.needed = self.now;
            }
            let cleared = naive.cleared;
            for client in &mut self.clients {
                if let Some(subscription) = client.subscriptions.get_mut(&number) {
                    subscription.excused |= subscription.expected.least < cleared;
                }
            }
        }
    }
}
