//! What clients ask for, and what the hub may answer.

use fanfare::hub::{ChannelId, Epoch, PublishError, Reason, Start, SubscribeError, SubscriberId};

use super::client::{Client, Expected, Subscription};
use super::frame::{Encoder, HEAD, TestFrame};
use super::naive::Message;
use super::topics::{is_pattern, name, topic};
use super::{CHANNELS, Run, SLOTS};

impl Run {
    /// See [`Run::step`].
    pub fn publish(&mut self, channel: u8, size: u8) {
        if self.settings.heeds() && self.channels.get(&channel).is_some_and(|c| c.congested) {
            return;
        }
        let filler = match size {
            0..200 => usize::from(size),
            200..239 => usize::from(size - 200) * 100,
            _ => usize::from(size - 239) * 1500 + 4096,
        };
        self.published += 1;
        let frame = TestFrame {
            channel,
            id: self.published,
            filler,
        };
        if self.settings.is_linked(channel) {
            self.broker.take(frame);
        } else {
            self.append(None, &frame);
        }
    }

    /// Appends a message, with a number from the broker or one from the hub. Says whether it was taken.
    pub(super) fn append(&mut self, at: Option<(&Epoch, u64)>, frame: &TestFrame) -> bool {
        let channel = frame.channel;
        let present = self.present();
        let existed = self.hub.held(&*name(channel)).is_some();
        let takers = self.takers(channel);
        let appended = self
            .hub
            .append_at(at, &name(channel), frame, &mut Encoder, self.now);
        let published = match appended {
            Ok(published) => published,
            Err(PublishError::TooManyChannels) => {
                self.check_full();
                return false;
            }
            Err(PublishError::RetainTotal) => {
                let total = self.settings.config().retain_total;
                assert!(
                    !total.admits_size(8 * (HEAD + frame.filler)),
                    "refused for less"
                );
                assert_eq!(self.present(), present);
                return false;
            }
            Err(error) => panic!("{error}"),
        };
        let (id, seq, congested) = (published.channel, published.seq, published.congested);
        let epoch = published.epoch.to_owned();
        self.check_vacancy(&present);
        if let Some((given, number)) = at {
            assert_eq!((&*epoch, seq), (given.as_str(), number));
            self.note_epoch(channel, existed, &epoch, seq - 1);
        }
        let after = self.broker.after(&epoch).unwrap_or(seq - 1);
        let after = at.map_or(0, |_| after);
        self.meet(channel, &epoch, id, after);
        let policy = self.settings.policy(channel);
        let evicts = !self.settings.config().retain_total.is_none();
        let naive = self.channels.get_mut(&channel).expect("just met");
        if at.is_none() {
            assert_eq!(seq, naive.messages.len() as u64 + 1);
        }
        assert!(seq > naive.newest());
        naive.messages.push(Message {
            id: frame.id,
            seq,
            time: self.now,
            bytes: (HEAD + frame.filler) as u64,
            origin: None,
        });
        assert!(
            !congested || naive.congested || evicts || naive.is_crowded(policy),
            "publishers of {channel} wait for nobody"
        );
        naive.congested |= congested;
        self.congested += usize::from(congested);
        self.copy(frame, at, seq, &takers);
        true
    }

    /// Publishes so many messages that each have a segment of their own, or share one, that visits are cut.
    pub fn burst(&mut self, channel: u8, c: u8) {
        for _ in 0..c % 100 {
            self.publish(channel, if c < 100 { 239 } else { 210 });
        }
    }

    /// Takes note of a channel and its epoch, which begins after the number `after` if the channel is another one: that may be
    /// only if the one before may have vanished.
    fn meet(&mut self, channel: u8, epoch: &str, id: ChannelId, after: u64) {
        self.ids.insert(id, channel);
        let policy = self.settings.policy(channel);
        let (now, linger) = (self.now, self.settings.config().linger_ms);
        let subscribed = self
            .clients
            .iter()
            .any(|client| client.subscriptions.contains_key(&channel));
        let evicts = !self.settings.config().retain_total.is_none();
        let naive = self.channels.entry(channel).or_default();
        if naive.id.is_none() {
            naive.begin_epoch(epoch, after);
        } else if naive.id != Some(id) {
            assert!(!subscribed, "a channel with subscribers has vanished");
            let is_pattern = is_pattern(channel);
            let evicts = evicts && !is_pattern;
            let is_empty = naive.tail(policy, now) == naive.end();
            assert!(naive.vacated || evicts || is_empty || is_pattern);
            assert!(
                naive.vacated || evicts || now >= naive.needed.saturating_add(linger),
                "it vanished too early"
            );
            naive.begin_epoch(epoch, after);
            if std::mem::take(&mut naive.congested) {
                self.vacated.extend(naive.id);
            }
        }
        assert_eq!(naive.epoch, epoch);
        naive.id = Some(id);
        naive.vacated = false;
        naive.needed = now;
    }

    /// Subscribes; `how` and `c` say from where on: 0 live, 1 the last `c`, 2 all that is held, 3 another epoch, else `since`.
    pub fn subscribe(&mut self, client: u8, channel: u8, how: u8, c: u8) {
        let naive = self.channels.entry(channel).or_default();
        let newest = naive.newest();
        let (asked, seq) = match how % 8 {
            3 => ("another".to_owned(), u64::from(c)),
            4 => (naive.epoch.clone(), newest + 1 + u64::from(c)),
            _ => (
                naive.epoch.clone(),
                newest.saturating_sub(u64::from(c % 32)),
            ),
        };
        let start = match how % 8 {
            0 => Start::Live,
            1 => Start::Last(u64::from(c % 32)),
            2 => Start::Last(u64::MAX),
            _ => Start::Since { epoch: &asked, seq },
        };
        let id = SubscriberId(client.into());
        let present = self.present();
        let patterns = self.present_patterns();
        let mut kept = String::new();
        let topic = topic(channel, &mut kept);
        let subscribed = match self.hub.subscribe(id, topic, start, self.now) {
            Ok(subscribed) => subscribed,
            Err(SubscribeError::AlreadySubscribed) => {
                let subscriptions = &self.clients[client as usize].subscriptions;
                assert!(subscriptions.contains_key(&channel));
                return;
            }
            Err(SubscribeError::TooManyChannels) => {
                self.check_full();
                return;
            }
            Err(SubscribeError::TooManySubscriptions) => {
                let subscriptions = &self.clients[client as usize].subscriptions;
                let most = self.settings.config().max_subscriptions;
                assert_eq!(most.get(), Some(subscriptions.len() as u64));
                return;
            }
            Err(SubscribeError::TooManyPatterns) => {
                assert!(is_pattern(channel));
                self.check_patterns_full();
                return;
            }
            Err(SubscribeError::TooManyPatternsEach) => {
                let subscriptions = self.clients[client as usize].subscriptions.keys();
                let patterns = subscriptions.filter(|&&topic| is_pattern(topic)).count();
                let most = self.settings.config().max_patterns_each;
                assert_eq!(most.get(), Some(patterns as u64));
                return;
            }
        };
        let (newest, behind, recovered) = (subscribed.seq, subscribed.behind, subscribed.recovered);
        let gap = subscribed.gap.map(|gap| (gap.from, gap.to, gap.reason));
        let (epoch, met) = (subscribed.epoch.to_owned(), subscribed.channel);
        self.check_vacancy(&present);
        self.check_vacant_pattern(&patterns);
        let after = self.broker.after(&epoch).unwrap_or(0);
        self.meet(channel, &epoch, met, after);
        let end = self.channels[&channel].end();
        assert_eq!(newest, self.channels[&channel].newest());
        assert!(start != Start::Live || !behind);
        let expected = self.placed(channel, start, recovered, gap);
        let state = &mut self.clients[client as usize];
        state.subscriptions.insert(
            channel,
            Subscription {
                expected,
                is_foreign: false,
                excused: state.blocked || behind,
                history_until: end,
                has_begun: false,
                begins_at: end,
            },
        );
    }

    /// Subscribes to every channel there can be, from the next message on.
    pub fn subscribe_to_all(&mut self, client: u8) {
        for channel in 0..CHANNELS {
            self.subscribe(client, channel, 0, 0);
        }
    }

    /// Where the hub's answer to a subscription has placed it, if that answer may be.
    fn placed(
        &self,
        channel: u8,
        start: Start<'_>,
        recovered: Option<bool>,
        gap: Option<(u64, u64, Reason)>,
    ) -> Expected {
        let naive = &self.channels[&channel];
        let end = naive.end();
        let evicts = !self.settings.config().retain_total.is_none();
        // More than the window demands goes only for want of room.
        let most_tail = match naive.tail(self.settings.policy(channel), self.now) {
            _ if evicts => end,
            tail => tail,
        };
        match start {
            Start::Live => {
                assert!(recovered.is_none() && gap.is_none());
                Expected::exactly(end)
            }
            Start::Last(count) => {
                assert!(recovered.is_none() && gap.is_none());
                let least = end.saturating_sub(count).max(1);
                Expected {
                    least,
                    most: least.max(most_tail),
                }
            }
            Start::Since { epoch, seq } if epoch == naive.epoch && seq <= naive.newest() => {
                if recovered == Some(true) {
                    assert!(gap.is_none() && seq >= naive.after);
                    return Expected::exactly(naive.position_after(seq));
                }
                let (from, to, reason) = gap.expect("what was not recovered is announced");
                assert_eq!(
                    (recovered, reason, from),
                    (Some(false), Reason::Expired, seq + 1)
                );
                assert!(from <= to && naive.may_end_hole(to));
                let next = naive.position_after(to);
                assert!(next <= most_tail, "lost what the window holds");
                Expected::exactly(next)
            }
            Start::Since { .. } => {
                let (from, to, reason) = gap.expect("a new numbering is announced");
                assert_eq!((recovered, reason, from), (Some(false), Reason::Epoch, 0));
                assert!(naive.may_end_hole(to));
                let next = naive.position_after(to);
                assert!(next <= most_tail, "lost what the window holds");
                Expected::exactly(next)
            }
        }
    }

    /// See [`Run::step`].
    pub fn unsubscribe(&mut self, client: u8, channel: u8) {
        let id = SubscriberId(client.into());
        let known = self.clients[client as usize].subscriptions.remove(&channel);
        let mut kept = String::new();
        let topic = topic(channel, &mut kept);
        assert_eq!(self.hub.is_subscribed(id, topic), known.is_some());
        assert_eq!(self.hub.unsubscribe(id, topic).is_ok(), known.is_some());
        if known.is_some() {
            self.channels
                .get_mut(&channel)
                .expect("it has a subscriber")
                .needed = self.now;
        }
    }

    /// See [`Run::step`].
    pub fn reconnect(&mut self, client: u8, c: u8) {
        self.hub.detach(SubscriberId(client.into()));
        self.replace(client, c);
    }

    pub(super) fn replace(&mut self, client: u8, c: u8) {
        for channel in self.clients[client as usize].subscriptions.keys() {
            self.channels
                .get_mut(channel)
                .expect("it has a subscriber")
                .needed = self.now;
        }
        let slot = SLOTS[usize::from(c % 3)];
        self.hub.attach(SubscriberId(client.into()), slot);
        self.clients[client as usize] = Client::new(slot);
    }
}
