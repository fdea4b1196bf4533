//! What may go when there is no room, for messages and for names.

use std::ops::Range;

use super::naive::Naive;
use super::topics::{self, is_pattern, topic};
use super::{CHANNELS, Run};

/// A channel and the positions of the messages that it holds.
pub(super) type Held = (u8, Range<u64>);

impl Run {
    /// What each channel holds that there is, where the limits make that of interest.
    pub(super) fn present(&self) -> Vec<Held> {
        let config = self.settings.config();
        if config.max_channels.is_none() && config.retain_total.is_none() {
            return Vec::new();
        }
        let positions = |channel: u8, held: Range<u64>| {
            let position = |seq: u64| match self.channels.get(&channel) {
                Some(naive) => naive.position_after(seq - 1),
                None => 1,
            };
            position(held.start)..position(held.end)
        };
        let all = (0..CHANNELS).chain(topics::patterns(self.settings.has_broker()));
        let logs = all.filter_map(|number| {
            let held = self.hub.held(topic(number, &mut String::new()))?;
            Some((number, positions(number, held)))
        });
        logs.collect()
    }

    pub(super) fn is_subscribed(&self, channel: u8) -> bool {
        let mut clients = self.clients.iter();
        clients.any(|client| client.subscriptions.contains_key(&channel))
    }

    /// A channel was refused: all there are have subscribers.
    pub(super) fn check_full(&self) {
        let most = self.settings.config().max_channels;
        let mut present = self.present();
        present.retain(|(number, _)| !is_pattern(*number));
        assert_eq!(Some(present.len() as u64), most.get());
        for (channel, _) in present {
            assert!(self.is_subscribed(channel), "{channel} could have gone");
        }
    }

    /// A request may have made a channel: if another went for it, it was the one that had to.
    pub(super) fn check_vacancy(&mut self, before: &[Held]) {
        let most = self.settings.config().max_channels;
        if most.is_none() {
            return;
        }
        let channels = |logs: &[Held]| {
            let channels = logs.iter().filter(|(number, _)| !is_pattern(*number));
            channels.cloned().collect::<Vec<_>>()
        };
        let (before, now) = (channels(before), channels(&self.present()));
        assert!(most.admits_size(now.len()));
        let is_there = |channel| now.iter().any(|(other, _)| *other == channel);
        let mut gone = before.iter().filter(|(channel, _)| !is_there(*channel));
        let Some(&(channel, ref held)) = gone.next() else {
            return;
        };
        assert!(gone.next().is_none() && most.get() == Some(before.len() as u64));
        assert!(!self.is_subscribed(channel));
        let rank =
            |naive: &Naive, held: &Range<u64>| (!held.is_empty()).then(|| naive.time(held.end - 1));
        let its = rank(&self.channels[&channel], held);
        for (other, held) in &before {
            if *other != channel && !self.is_subscribed(*other) {
                assert!(rank(&self.channels[other], held) >= its);
            }
        }
        let naive = self.channels.get_mut(&channel).expect("it was there");
        naive.vacated = true;
        if std::mem::take(&mut naive.congested) {
            self.vacated.insert(naive.id.expect("it was met"));
        }
    }

    /// After a trim: what the limit on all logs took is what had to go. `is_swept`: nobody had anything to get who can be
    /// written to, so nothing was protected.
    pub(super) fn check_evictions(&self, before: &[Held], is_swept: bool) {
        let total = self.settings.config().retain_total;
        if total.is_none() {
            return;
        }
        let allocated = self.hub.stats().allocated;
        assert!(
            total.admits_size(allocated) || !is_swept,
            "{allocated} bytes"
        );
        let now = self.present();
        let held = |channel| now.iter().find(|(other, _)| *other == channel);
        for (channel, before) in before {
            let (_, after) = held(*channel).expect("trimming forgets no channel");
            let naive = &self.channels[channel];
            let window = naive.tail(self.settings.policy(*channel), self.now);
            if after.start > before.start.max(window) {
                self.check_evicted(*channel, after.start - 1, &now, is_swept);
            }
        }
    }

    /// The messages of `channel` up to `last` were let go of, and all channels hold what `now` says.
    fn check_evicted(&self, channel: u8, last: u64, now: &[Held], is_swept: bool) {
        let naive = &self.channels[&channel];
        // Patterns' logs hold copies, and nobody is left behind by what nobody reads.
        let kind = |number: u8| match self.is_subscribed(number) {
            _ if is_pattern(number) => 0,
            false => 1,
            true => 2,
        };
        let (its, time) = (kind(channel), naive.time(last));
        let newest_went = last + 1 == naive.end();
        for (other, held) in now.iter().filter(|(_, held)| !held.is_empty()) {
            let is_newer = self.channels[other].time(held.end - 1) >= time;
            assert!(
                kind(*other) >= its,
                "{other} should have gone before {channel}"
            );
            if kind(*other) == its && (its < 2 || newest_went && is_swept) {
                assert!(is_newer, "{other} is older than {channel}");
            }
        }
    }
}
