//! The server's part: the sweep, and what it makes of each visit.

use std::collections::HashSet;

use fanfare::hub::{Advanced, Gap, OnLag, Reason, Slices, SubscriberId};

use super::Run;
use super::client::{Expected, Subscription};
use super::frame::Encoder;
use super::patterns::may_be_lapped;
use super::topics::{is_pattern, number_of, topic};

impl Run {
    /// A turn as the server has it: sweep, trim. `begins`: it is time for large channels to go around.
    pub fn turn(&mut self, visits: usize, begins: bool) {
        if begins {
            self.hub.begin_circles();
        }
        self.deliver(1);
        self.sweep(visits);
        self.trim();
    }

    /// See [`Run::step`].
    pub fn sweep(&mut self, visits: usize) {
        for _ in 0..visits {
            let Some(id) = self.hub.next_behind() else {
                assert!(!self.hub.has_work());
                self.mark_heads();
                break;
            };
            assert!(
                !self.clients[id.0 as usize].blocked,
                "named although blocked"
            );
            self.visit(id.0 as u8);
        }
    }

    /// Nobody is behind who can be written to, unless a large channel waits: nobody holds a publisher.
    fn mark_heads(&mut self) {
        if !self.hub.has_waiting() {
            for naive in self.channels.values_mut() {
                naive.mark = naive.end();
            }
        }
    }

    /// Like [`Run::sweep`], with the hub's own loop for the commonest visits. `declines`: the first of them is declined, as the
    /// server does where something private has to go out first.
    pub fn run_sweep(&mut self, visits: u32, mut declines: bool) {
        let (hub, clients) = (&mut self.hub, &mut self.clients);
        let mut wrote = Vec::new();
        let mut delivered = 0;
        let ended = hub.run(visits, &mut delivered, |id, bytes| {
            if std::mem::take(&mut declines) {
                return None;
            }
            let state = &mut clients[id.0 as usize];
            assert!(!state.blocked, "named although blocked");
            let taken = state.take(bytes.len());
            state.stream.extend_from_slice(&bytes[..taken]);
            wrote.push((id, bytes.len(), taken));
            Some(taken)
        });
        assert!(wrote.len() <= visits as usize);
        let short = match &ended {
            fanfare::hub::Run::Short(id, advanced) => Some((*id, advanced)),
            _ => None,
        };
        for (id, offered, taken) in wrote {
            let all = Advanced::default();
            let advanced = match short {
                Some((at, advanced)) if at == id => advanced,
                _ => &all,
            };
            assert_eq!(taken < offered, short.is_some_and(|(at, _)| at == id));
            self.account(id.0 as u8, advanced, offered, taken, false);
        }
        match ended {
            fanfare::hub::Run::Visit(id) => self.visit(id.0 as u8),
            fanfare::hub::Run::Done => assert!(!self.hub.has_work()),
            fanfare::hub::Run::Paused | fanfare::hub::Run::Short(..) => {}
        }
    }

    /// See [`Run::step`].
    pub fn trim(&mut self) {
        let mut decongested = Vec::new();
        let present = self.present();
        let is_swept = !self.hub.has_work() && !self.hub.has_waiting();
        self.hub.trim(self.now, &mut decongested);
        self.check_evictions(&present, is_swept);
        let once: HashSet<_> = decongested.iter().collect();
        assert_eq!(once.len(), decongested.len());
        for id in decongested {
            if self.vacated.remove(&id) {
                continue;
            }
            let naive = self
                .channels
                .get_mut(&self.ids[&id])
                .expect("it was published to");
            assert!(naive.congested);
            naive.congested = false;
        }
    }

    /// See [`Run::step`].
    pub fn pass(&mut self, ms: u64) {
        // Messages count as needing their channel until they expire.
        for (&c, naive) in &mut self.channels {
            let policy = self.settings.policy(c);
            let is_empty = naive.tail(policy, self.now) == naive.end();
            if policy.retain_ms.is_none() || is_empty || is_pattern(c) {
                continue;
            }
            let last = naive
                .messages
                .last()
                .map_or(0, |m| policy.retain_ms.after(m.time));
            naive.needed = naive.needed.max(last.min(self.now + ms));
        }
        self.now += ms;
        self.hub.handle_timeout(self.now);
    }

    /// See [`Run::step`].
    pub fn give_room(&mut self, client: u8, room: usize) {
        let state = &mut self.clients[client as usize];
        state.room = room;
        if state.blocked && room != 0 {
            let sent = state.take(state.rest);
            state.rest -= sent;
            if state.rest == 0 {
                state.blocked = false;
                self.hub.set_blocked(SubscriberId(client.into()), false);
            }
        }
    }

    /// A visit as the server makes it.
    pub fn visit(&mut self, client: u8) {
        if self.clients[client as usize].blocked {
            return;
        }
        let id = SubscriberId(client.into());
        let state = &mut self.clients[client as usize];
        if let Some(bytes) = self.hub.contiguous(id) {
            let (offered, taken) = (bytes.len(), state.take(bytes.len()));
            state.stream.extend_from_slice(&bytes[..taken]);
            self.wrote(client, offered, taken, false);
            return;
        }
        let mut slices = Slices::new();
        let mut gathered = self.hub.gather(id, &mut slices);
        if gathered.lapped {
            if !self.settle(client) {
                return;
            }
            slices = Slices::new();
            gathered = self.hub.gather(id, &mut slices);
        }
        if gathered.unrendered {
            assert!(gathered.more);
            self.hub.render(id, &mut Encoder);
            slices = Slices::new();
            gathered = self.hub.gather(id, &mut slices);
            assert!(!slices.is_empty());
        }
        assert!(slices.len() <= Slices::MOST);
        assert!(slices.bytes() <= Slices::MOST_BYTES || slices.len() == 1);
        let state = &mut self.clients[client as usize];
        let (offered, taken) = (slices.bytes(), state.take(slices.bytes()));
        let bytes = slices
            .as_slice()
            .iter()
            .map(|s| &**s)
            .collect::<Vec<_>>()
            .concat();
        state.stream.extend_from_slice(&bytes[..taken]);
        self.wrote(client, offered, taken, gathered.more);
    }

    /// Tells the client of its gaps; false if it was closed instead.
    fn settle(&mut self, client: u8) -> bool {
        let subscriptions = &mut self.clients[client as usize].subscriptions;
        let (channels, settings) = (&self.channels, self.settings);
        let mut gaps = 0;
        let settled = self
            .hub
            .settle(SubscriberId(client.into()), |gap: Gap<'_>| {
                let channel = number_of(gap.topic);
                let subscription = subscriptions.get_mut(&channel).expect("it is subscribed");
                let naive = &channels[&channel];
                let next = naive.position_after(gap.to);
                assert_eq!(gap.epoch, naive.epoch);
                if std::mem::take(&mut subscription.is_foreign) {
                    assert_eq!((gap.reason, gap.from), (Reason::Epoch, 0));
                    let is_latest = settings.policy(channel).on_lag == OnLag::Latest;
                    assert!(
                        next == 1
                            || is_latest
                            || may_be_lapped(settings, naive, channel, subscription),
                        "lapped in the new epoch although its socket was never full"
                    );
                } else {
                    assert!(
                        may_be_lapped(settings, naive, channel, subscription),
                        "lapped although its socket was never full"
                    );
                    assert_eq!(gap.reason, Reason::Slow);
                    let Expected { least, most } = subscription.expected;
                    assert!(
                        (least..=most).any(|first| naive.may_begin_hole(first, gap.from)),
                        "a hole before the gap"
                    );
                    assert!(gap.from <= gap.to);
                }
                assert!(naive.may_end_hole(gap.to));
                subscription.expected = Expected::exactly(next);
                gaps += 1;
            });
        self.gaps += gaps;
        if let Err(too_slow) = &settled {
            let mut kept = String::new();
            let subscriptions = self.clients[client as usize].subscriptions.iter();
            let (channels, settings) = (&self.channels, self.settings);
            let may_be = |number: u8, subscription: &Subscription| {
                let may_be = may_be_lapped(settings, &channels[&number], number, subscription);
                may_be && !subscription.is_foreign
            };
            let mut named = subscriptions.filter(|(number, _)| {
                let topic = topic(**number, &mut kept);
                (topic.text(), topic.is_pattern()) == (&too_slow.topic, too_slow.is_pattern)
            });
            assert!(named.any(|(number, subscription)| may_be(*number, subscription)));
            self.replace(client, 0);
            self.clients[client as usize].closed += 1;
        }
        settled.is_ok()
    }

    fn wrote(&mut self, client: u8, offered: usize, taken: usize, more: bool) {
        let advanced = self.hub.advance(SubscriberId(client.into()), taken);
        self.account(client, &advanced, offered, taken, more);
    }

    /// What a visit that wrote `taken` of `offered` bytes has to have led to.
    fn account(
        &mut self,
        client: u8,
        advanced: &Advanced,
        offered: usize,
        taken: usize,
        more: bool,
    ) {
        let state = &mut self.clients[client as usize];
        if taken < offered {
            assert!(!advanced.more);
            if let Some(rest) = &advanced.rest {
                assert!(!rest.as_slice().is_empty());
                // It will be the next to go out, so for the reader's stream it has.
                state.stream.extend_from_slice(rest.as_slice());
                state.rest = rest.as_slice().len();
            }
            state.blocked = true;
            for subscription in state.subscriptions.values_mut() {
                subscription.excused = true;
            }
        } else {
            assert_eq!(advanced.more, more);
            self.cuts += usize::from(more);
            let evicts = !self.settings.config().retain_total.is_none();
            for (channel, subscription) in &mut state.subscriptions {
                // A visit that was cut may not have come to one that had been lapped before.
                let tail = self.channels[channel].tail(self.settings.policy(*channel), self.now);
                let protected =
                    !subscription.reads_history() && subscription.expected.least >= tail;
                if !more || (protected && !evicts) {
                    subscription.excused = false;
                }
            }
        }
        let evicts = !self.settings.config().retain_total.is_none();
        self.delivered += state.read(&self.channels, evicts);
        for (channel, subscription) in &mut state.subscriptions {
            let naive = self.channels.get_mut(channel).expect("it has a subscriber");
            if more && !subscription.reads_history() {
                naive.mark = naive.mark.min(subscription.expected.least);
            }
        }
    }
}
