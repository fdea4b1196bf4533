//! What clients ask for, and what the hub may answer.

use fanfare::hub::{ChannelId, PublishError, Reason, Start, SubscribeError, SubscriberId};

use super::client::{Client, Expected, Subscription};
use super::frame::{Encoder, HEAD, TestFrame};
use super::naive::Message;
use super::{CHANNELS, Run, SLOTS, name};

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
        let present = self.present();
        let published = match self
            .hub
            .publish(&name(channel), &frame, &mut Encoder, self.now)
        {
            Ok(published) => published,
            Err(PublishError::TooManyChannels) => {
                self.check_full();
                return;
            }
            Err(PublishError::RetainTotal) => {
                let total = self.settings.config().retain_total;
                assert!(
                    total != 0 && 8 * (HEAD + filler) > total,
                    "refused for less"
                );
                assert_eq!(self.present(), present);
                return;
            }
        };
        let (id, seq, congested) = (published.channel, published.seq, published.congested);
        let epoch = published.epoch.to_owned();
        self.check_vacancy(&present);
        self.meet(channel, &epoch, id);
        let policy = self.settings.policy(channel);
        let evicts = self.settings.config().retain_total != 0;
        let naive = self.channels.get_mut(&channel).expect("just met");
        naive.messages.push(Message {
            id: frame.id,
            time: self.now,
            bytes: (HEAD + filler) as u64,
        });
        assert!(
            !congested || naive.congested || evicts || naive.is_crowded(policy),
            "publishers of {channel} wait for nobody"
        );
        naive.congested |= congested;
        self.congested += usize::from(congested);
        assert_eq!(seq, naive.messages.len() as u64);
    }

    /// Publishes so many messages that each have a segment of their own, or share one, that visits are cut.
    pub fn burst(&mut self, channel: u8, c: u8) {
        for _ in 0..c % 100 {
            self.publish(channel, if c < 100 { 239 } else { 210 });
        }
    }

    /// Takes note of a channel's epoch; a new one only if the old channel may have vanished.
    fn meet(&mut self, channel: u8, epoch: &str, id: ChannelId) {
        self.ids.insert(id, channel);
        let policy = self.settings.policy(channel);
        let (now, linger) = (self.now, self.settings.config().linger_ms);
        let subscribed = self
            .clients
            .iter()
            .any(|client| client.subscriptions.contains_key(&channel));
        let evicts = self.settings.config().retain_total != 0;
        let naive = self.channels.entry(channel).or_default();
        if naive.epoch.is_empty() {
            naive.epoch = epoch.to_owned();
        } else if naive.epoch != epoch {
            assert!(!subscribed, "a channel with subscribers has vanished");
            assert!(naive.vacated || evicts || naive.tail(policy, now) == naive.end());
            assert!(
                naive.vacated || evicts || now >= naive.needed.saturating_add(linger),
                "it vanished too early"
            );
            assert!(!naive.former.contains(&epoch.to_owned()));
            let former = std::mem::replace(&mut naive.epoch, epoch.to_owned());
            naive.former.push(former);
            naive.messages.clear();
            naive.mark = 1;
            if std::mem::take(&mut naive.congested) {
                self.vacated.extend(naive.id);
            }
        }
        naive.id = Some(id);
        naive.vacated = false;
        naive.needed = now;
    }

    /// Subscribes; `how` and `c` say from where on: 0 live, 1 the last `c`, 2 all that is held, 3 another epoch, else `since`.
    pub fn subscribe(&mut self, client: u8, channel: u8, how: u8, c: u8) {
        let naive = self.channels.entry(channel).or_default();
        let end = naive.end();
        let (asked, seq) = match how % 8 {
            3 => ("another".to_owned(), u64::from(c)),
            4 => (naive.epoch.clone(), end + u64::from(c)),
            _ => (
                naive.epoch.clone(),
                end.saturating_sub(u64::from(c % 32) + 1),
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
        let subscribed = match self.hub.subscribe(id, &name(channel), start, self.now) {
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
                assert_eq!(
                    subscriptions.len(),
                    self.settings.config().max_subscriptions
                );
                return;
            }
        };
        let (newest, behind, recovered) = (subscribed.seq, subscribed.behind, subscribed.recovered);
        let gap = subscribed.gap.map(|gap| (gap.from, gap.to, gap.reason));
        let (epoch, met) = (subscribed.epoch.to_owned(), subscribed.channel);
        self.check_vacancy(&present);
        self.meet(channel, &epoch, met);
        let end = self.channels[&channel].end();
        assert_eq!(newest + 1, end);
        assert!(start != Start::Live || !behind);
        let expected = self.placed(channel, start, recovered, gap);
        let state = &mut self.clients[client as usize];
        state.subscriptions.insert(
            channel,
            Subscription {
                expected,
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
        let evicts = self.settings.config().retain_total != 0;
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
            Start::Since { epoch, seq } if epoch == naive.epoch && seq < end => {
                if recovered == Some(true) {
                    assert!(gap.is_none());
                    return Expected::exactly(seq + 1);
                }
                let (from, to, reason) = gap.expect("what was not recovered is announced");
                assert_eq!(
                    (recovered, reason, from),
                    (Some(false), Reason::Expired, seq + 1)
                );
                assert!(from <= to && to < most_tail, "lost what the window holds");
                Expected::exactly(to + 1)
            }
            Start::Since { .. } => {
                let (from, to, reason) = gap.expect("a new numbering is announced");
                assert_eq!((recovered, reason, from), (Some(false), Reason::Epoch, 0));
                assert!(to < most_tail, "lost what the window holds");
                Expected::exactly(to + 1)
            }
        }
    }

    /// See [`Run::step`].
    pub fn unsubscribe(&mut self, client: u8, channel: u8) {
        let id = SubscriberId(client.into());
        let known = self.clients[client as usize].subscriptions.remove(&channel);
        assert_eq!(self.hub.is_subscribed(id, &name(channel)), known.is_some());
        assert_eq!(
            self.hub.unsubscribe(id, &name(channel)).is_ok(),
            known.is_some()
        );
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
