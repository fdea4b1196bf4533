//! A naive model of the hub, and a server that drives both from a list of steps.
//!
//! The model keeps each channel's messages in a `Vec` and, for each subscription, the seq that has to come next. Every byte
//! the hub hands out is parsed and held against it. Property tests and fuzzing share it: steps are four bytes each, so that
//! any bytes are a valid run.

// Each of those who include this file uses its own part of it.
#![allow(dead_code, unreachable_pub)]

use std::collections::{HashMap, HashSet};

use fanfare::hub::{
    Advanced, ChannelId, Encoding, Epoch, Frame, Gap, Hub, HubConfig, OnLag, Policy, PublishError,
    Reason, Recode, Slices, Start, SubscribeError, SubscriberId,
};

/// How many channels and connections take part.
const CHANNELS: u8 = 4;
const CLIENTS: u8 = 6;
/// A socket that takes whatever it is given.
const ENDLESS: usize = usize::MAX;

/// A frame that says all about itself: tag, channel, message number, seq, its own length, filler.
struct TestFrame {
    channel: u8,
    id: u64,
    filler: usize,
}

const HEAD: usize = 1 + 1 + 8 + 8 + 4;

impl Frame for TestFrame {
    fn len(&self, _: u64) -> usize {
        HEAD + self.filler
    }

    fn write(&self, seq: u64, out: &mut Vec<u8>) {
        out.push(b'P');
        out.push(self.channel);
        out.extend_from_slice(&self.id.to_le_bytes());
        out.extend_from_slice(&seq.to_le_bytes());
        out.extend_from_slice(&(self.len(seq) as u32).to_le_bytes());
        out.resize(out.len() + self.filler, self.id as u8);
    }
}

/// "Deflates" by leaving out half of the filler.
struct Halve;

impl Recode for Halve {
    fn recode(&mut self, plain: &[u8], out: &mut Vec<u8>) {
        let filler = (plain.len() - HEAD) / 2;
        out.push(b'D');
        out.extend_from_slice(&plain[1..HEAD - 4]);
        out.extend_from_slice(&((HEAD + filler) as u32).to_le_bytes());
        out.extend_from_slice(&plain[HEAD..HEAD + filler]);
    }
}

/// One message as the model has it.
struct Message {
    id: u64,
    time: u64,
    bytes: u64,
}

/// A channel as the model has it.
#[derive(Default)]
struct Naive {
    epoch: String,
    former: Vec<String>,
    messages: Vec<Message>,
    /// When it last had a subscriber or a message that was not expired: it may vanish only so long after.
    needed: u64,
    congested: bool,
}

impl Naive {
    fn end(&self) -> u64 {
        self.messages.len() as u64 + 1
    }

    /// The oldest seq that the window holds, by counting.
    fn tail(&self, policy: Policy, now: u64) -> u64 {
        let mut tail = self.end();
        let mut bytes = 0;
        for (i, message) in self.messages.iter().enumerate().rev() {
            bytes += message.bytes;
            let count = (self.messages.len() - i) as u64;
            let newest = count == 1;
            let old = policy.retain_ms != 0 && now - message.time >= policy.retain_ms;
            let many = policy.retain_messages != 0 && count > policy.retain_messages;
            let big = policy.retain_bytes != 0 && bytes > policy.retain_bytes;
            if old || (!newest && (many || big)) {
                break;
            }
            tail = i as u64 + 1;
        }
        tail
    }
}

/// The seq that has to come next in a subscription: between the two, until the first message settles it.
#[derive(Clone, Copy, Debug)]
struct Expected {
    least: u64,
    most: u64,
}

struct Subscription {
    expected: Expected,
    /// Whether its socket was full since it was last served: only then may it be lapped.
    excused: bool,
    /// Whether deflated messages have begun; there is no way back.
    deflated: bool,
    /// From here on messages have to come deflated.
    deflated_from: u64,
}

/// A connection: its socket, what was left of a half-sent message, and what it has subscribed to.
struct Client {
    encoding: Encoding,
    room: usize,
    rest: usize,
    blocked: bool,
    stream: Vec<u8>,
    subscriptions: HashMap<u8, Subscription>,
    closed: usize,
}

impl Client {
    fn new(encoding: Encoding) -> Self {
        Self {
            encoding,
            room: ENDLESS,
            rest: 0,
            blocked: false,
            stream: Vec::new(),
            subscriptions: HashMap::new(),
            closed: 0,
        }
    }

    fn take(&mut self, offered: usize) -> usize {
        let taken = offered.min(self.room);
        if self.room != ENDLESS {
            self.room -= taken;
        }
        taken
    }
}

/// What a run is made with.
#[derive(Clone, Copy, Debug)]
pub struct Settings(pub [u8; 8]);

impl Settings {
    fn policy(self, channel: u8) -> Policy {
        let b = self.0[channel as usize % 4];
        Policy {
            retain_messages: [0, 0, 1, 3, 20][b as usize % 5],
            retain_bytes: [0, 300, 1500, 20_000][b as usize / 5 % 4],
            retain_ms: [0, 0, 40, 500][b as usize / 20 % 4],
            on_lag: [OnLag::Skip, OnLag::Latest, OnLag::Close][b as usize / 80 % 3],
        }
    }

    fn config(self) -> HubConfig {
        HubConfig {
            retain_total: [0, 0, 4_000, 100_000][self.0[4] as usize % 4],
            max_channels: [0, 3][self.0[5] as usize % 2],
            max_subscriptions: [0, 3][self.0[5] as usize / 2 % 2],
            linger_ms: [0, 30, u64::MAX][self.0[6] as usize % 3],
        }
    }

    /// Whether the server heeds `congested`.
    fn heeds(self) -> bool {
        !self.0[7].is_multiple_of(4)
    }
}

/// The hub, the model and the server between them.
pub struct Run {
    settings: Settings,
    hub: Hub,
    channels: HashMap<u8, Naive>,
    ids: HashMap<ChannelId, u8>,
    clients: Vec<Client>,
    now: u64,
    published: u64,
    /// Gaps told so far, for tests that want to know whether there were any.
    pub gaps: usize,
    /// Messages delivered so far.
    pub delivered: u64,
    /// Visits that were cut by their limits so far.
    pub cuts: usize,
}

fn name(channel: u8) -> String {
    format!("channel.{channel}")
}

impl Run {
    /// A run without any channel, all clients attached.
    pub fn new(settings: Settings) -> Self {
        let mut made = 0u64;
        let epochs = Box::new(move || {
            made += 1;
            let mut bits = [0; 12];
            bits[..8].copy_from_slice(&made.to_le_bytes());
            Epoch::from_random(bits)
        });
        let policies = Box::new(move |name: &str| {
            let digit = name.bytes().next_back().expect("names are not empty");
            settings.policy(digit - b'0')
        });
        let mut hub = Hub::new(settings.config(), policies, epochs);
        let clients = (0..CLIENTS)
            .map(|i| {
                let encoding = if i % 3 == 2 {
                    Encoding::Deflate
                } else {
                    Encoding::Plain
                };
                hub.attach(SubscriberId(i.into()), encoding);
                Client::new(encoding)
            })
            .collect();
        Self {
            settings,
            hub,
            channels: HashMap::new(),
            ids: HashMap::new(),
            clients,
            now: 0,
            published: 0,
            gaps: 0,
            delivered: 0,
            cuts: 0,
        }
    }

    /// Does one step, whatever its bytes are.
    pub fn step(&mut self, [kind, a, b, c]: [u8; 4]) {
        let (client, channel) = (a % CLIENTS, b % CHANNELS);
        match kind % 16 {
            0..=3 => self.publish(channel, c),
            4 => self.burst(channel, c),
            5 => self.subscribe(client, channel, a / CLIENTS, c),
            6 => self.subscribe(client, channel, 0, c),
            7 => self.unsubscribe(client, channel),
            8 => self.reconnect(client, c),
            9 => self.sweep(c as usize % 8),
            10 => self.run_sweep(u32::from(c) % 8, c.is_multiple_of(3)),
            11 => self.turn(c as usize % 32),
            12 => self.give_room(client, usize::from(c) * 3),
            13 => self.give_room(client, ENDLESS),
            14 => self.pass(u64::from(c) % 64),
            _ => self.visit(client),
        }
    }

    /// Lets everybody read, and checks that all reach the head without another publish.
    pub fn finish(&mut self) {
        for client in 0..CLIENTS {
            self.give_room(client, ENDLESS);
        }
        let mut visits = 0;
        while self.hub.has_work() {
            if visits % 2 == 0 {
                self.run_sweep(3, false);
            } else {
                self.sweep(1);
            }
            visits += 1;
            assert!(visits < 100_000, "the sweep does not come to an end");
        }
        assert!(!self.hub.has_work());
        for (i, client) in self.clients.iter().enumerate() {
            for (channel, subscription) in &client.subscriptions {
                let end = self.channels[channel].end();
                assert!(
                    (subscription.expected.least..=subscription.expected.most).contains(&end),
                    "client {i} was left behind on channel {channel}: {:?} of {end}",
                    subscription.expected
                );
            }
        }
        self.trim();
        assert!(
            self.channels.values().all(|channel| !channel.congested),
            "everybody is at the head, and publishers still wait"
        );
        self.check_held();
    }

    /// With everybody at the head the windows are what the policies say, and no more.
    fn check_held(&mut self) {
        // What has expired goes when its time has come, not by trimming channels that nobody published to.
        while self.hub.next_timeout().is_some_and(|time| time <= self.now) {
            self.hub.handle_timeout(self.now);
        }
        self.trim();
        let stats = self.hub.stats();
        let config = self.settings.config();
        let held: u64 = self
            .channels
            .iter()
            .map(|(&c, naive)| naive.end() - naive.tail(self.settings.policy(c), self.now))
            .sum();
        if config.retain_total == 0 {
            assert_eq!(stats.messages, held);
        } else {
            assert!(stats.messages <= held);
            let deflates = self.clients.iter().any(|c| c.encoding == Encoding::Deflate);
            // A deflate log's segments need not end where the plain one's do, so one of them may straddle the tail.
            let slack = if deflates { config.retain_total } else { 0 };
            assert!(stats.allocated <= config.retain_total + slack, "{stats:?}");
        }
    }

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
        let published = match self
            .hub
            .publish(&name(channel), &frame, Some(&mut Halve), self.now)
        {
            Ok(published) => published,
            Err(PublishError::TooManyChannels) => {
                assert!(self.settings.config().max_channels != 0);
                return;
            }
            Err(PublishError::RetainTotal) => {
                assert!(self.settings.config().retain_total != 0);
                return;
            }
        };
        let (id, seq, congested) = (published.channel, published.seq, published.congested);
        let epoch = published.epoch.to_owned();
        self.ids.insert(id, channel);
        self.meet(channel, &epoch);
        let naive = self.channels.get_mut(&channel).expect("just met");
        naive.congested |= congested;
        naive.messages.push(Message {
            id: frame.id,
            time: self.now,
            bytes: (HEAD + filler) as u64,
        });
        assert_eq!(seq, naive.messages.len() as u64);
    }

    /// Publishes so many messages that each have a segment of their own, or share one, that visits are cut.
    pub fn burst(&mut self, channel: u8, c: u8) {
        for _ in 0..c % 100 {
            self.publish(channel, if c < 100 { 239 } else { 210 });
        }
    }

    /// Takes note of a channel's epoch; a new one only if the old channel may have vanished.
    fn meet(&mut self, channel: u8, epoch: &str) {
        let policy = self.settings.policy(channel);
        let (now, linger) = (self.now, self.settings.config().linger_ms);
        let subscribed = self
            .clients
            .iter()
            .any(|client| client.subscriptions.contains_key(&channel));
        let naive = self.channels.entry(channel).or_default();
        if naive.epoch.is_empty() {
            naive.epoch = epoch.to_owned();
        } else if naive.epoch != epoch {
            assert!(!subscribed, "a channel with subscribers has vanished");
            assert!(
                naive.tail(policy, now) == naive.end() || self.settings.config().retain_total != 0
            );
            assert!(
                now >= naive.needed.saturating_add(linger),
                "it vanished too early"
            );
            assert!(!naive.former.contains(&epoch.to_owned()));
            let former = std::mem::replace(&mut naive.epoch, epoch.to_owned());
            naive.former.push(former);
            naive.messages.clear();
            naive.congested = false;
        }
        naive.needed = now;
    }

    /// Subscribes; `how` and `c` say from where on: 0 live, 1 the last `c`, 2 all that is held, 3 another epoch, else `since`.
    pub fn subscribe(&mut self, client: u8, channel: u8, how: u8, c: u8) {
        let policy = self.settings.policy(channel);
        let naive = self.channels.entry(channel).or_default();
        let end = naive.end();
        let (epoch, seq) = match how % 8 {
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
            _ => Start::Since { epoch: &epoch, seq },
        };
        let id = SubscriberId(client.into());
        let subscribed = match self.hub.subscribe(id, &name(channel), start, self.now) {
            Ok(subscribed) => subscribed,
            Err(SubscribeError::AlreadySubscribed) => {
                let subscriptions = &self.clients[client as usize].subscriptions;
                assert!(subscriptions.contains_key(&channel));
                return;
            }
            Err(_) => return,
        };
        let (newest, behind, recovered) = (subscribed.seq, subscribed.behind, subscribed.recovered);
        let gap = subscribed.gap.map(|gap| (gap.from, gap.to, gap.reason));
        let present = subscribed.epoch.to_owned();
        self.ids.insert(subscribed.channel, channel);
        self.meet(channel, &present);
        let naive = &self.channels[&channel];
        let end = naive.end();
        assert_eq!(newest + 1, end);
        let evicts = self.settings.config().retain_total != 0;
        // The newest is evicted never, and more than the window demands only for want of room.
        let most_tail = match naive.tail(policy, self.now) {
            tail if evicts => tail.max(end.saturating_sub(1)),
            tail => tail,
        };
        let expected = match start {
            Start::Live => {
                assert!(!behind && recovered.is_none() && gap.is_none());
                Expected {
                    least: end,
                    most: end,
                }
            }
            Start::Last(count) => {
                assert!(recovered.is_none() && gap.is_none());
                let least = end.saturating_sub(count).max(1);
                Expected {
                    least,
                    most: least.max(most_tail),
                }
            }
            Start::Since { epoch, seq } if epoch == present && seq < end => {
                if recovered == Some(true) {
                    assert!(gap.is_none());
                    Expected {
                        least: seq + 1,
                        most: seq + 1,
                    }
                } else {
                    let (from, to, reason) = gap.expect("what was not recovered is announced");
                    assert_eq!(
                        (recovered, reason, from),
                        (Some(false), Reason::Expired, seq + 1)
                    );
                    assert!(from <= to && to < most_tail, "lost what the window holds");
                    Expected {
                        least: to + 1,
                        most: to + 1,
                    }
                }
            }
            Start::Since { .. } => {
                let (from, to, reason) = gap.expect("a new numbering is announced");
                assert_eq!((recovered, reason, from), (Some(false), Reason::Epoch, 0));
                assert!(to < most_tail, "lost what the window holds");
                Expected {
                    least: to + 1,
                    most: to + 1,
                }
            }
        };
        let state = &mut self.clients[client as usize];
        let deflates = state.encoding == Encoding::Deflate;
        state.subscriptions.insert(
            channel,
            Subscription {
                expected,
                excused: state.blocked,
                deflated: false,
                deflated_from: if deflates { end } else { u64::MAX },
            },
        );
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

    fn replace(&mut self, client: u8, c: u8) {
        for channel in self.clients[client as usize].subscriptions.keys() {
            self.channels
                .get_mut(channel)
                .expect("it has a subscriber")
                .needed = self.now;
        }
        let encoding = if c.is_multiple_of(2) {
            Encoding::Plain
        } else {
            Encoding::Deflate
        };
        self.hub.attach(SubscriberId(client.into()), encoding);
        self.clients[client as usize] = Client::new(encoding);
    }

    /// A turn as the server has it: sweep, trim.
    fn turn(&mut self, visits: usize) {
        self.sweep(visits);
        self.trim();
    }

    /// See [`Run::step`].
    pub fn sweep(&mut self, visits: usize) {
        for _ in 0..visits {
            let Some(id) = self.hub.next_behind() else {
                assert!(!self.hub.has_work());
                break;
            };
            assert!(
                !self.clients[id.0 as usize].blocked,
                "named although blocked"
            );
            self.visit(id.0 as u8);
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
        self.hub.trim(self.now, &mut decongested);
        let once: HashSet<_> = decongested.iter().collect();
        assert_eq!(once.len(), decongested.len());
        for id in decongested {
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
            if policy.retain_ms == 0 || naive.messages.is_empty() {
                continue;
            }
            let last = naive
                .messages
                .last()
                .map_or(0, |m| m.time + policy.retain_ms);
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
        let mut gaps = 0;
        let settled = self
            .hub
            .settle(SubscriberId(client.into()), |gap: Gap<'_>| {
                let channel = gap
                    .channel
                    .bytes()
                    .next_back()
                    .expect("names are not empty")
                    - b'0';
                let subscription = subscriptions.get_mut(&channel).expect("it is subscribed");
                assert!(
                    subscription.excused,
                    "lapped although its socket was never full"
                );
                assert_eq!(gap.reason, Reason::Slow);
                let expected = subscription.expected;
                assert!(
                    (expected.least..=expected.most).contains(&gap.from),
                    "a hole before the gap"
                );
                assert!(gap.from <= gap.to);
                subscription.expected = Expected {
                    least: gap.to + 1,
                    most: gap.to + 1,
                };
                gaps += 1;
            });
        self.gaps += gaps;
        if settled.is_err() {
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
            let evicts = self.settings.config().retain_total != 0;
            for (channel, subscription) in &mut state.subscriptions {
                // A visit that was cut may not have come to one that had been lapped before.
                let tail = self.channels[channel].tail(self.settings.policy(*channel), self.now);
                if !more || (subscription.expected.least >= tail && !evicts) {
                    subscription.excused = false;
                }
            }
        }
        self.read(client);
    }

    /// Parses what the client has received: whole frames, in order, each hole announced.
    fn read(&mut self, client: u8) {
        let state = &mut self.clients[client as usize];
        let stream = std::mem::take(&mut state.stream);
        let mut rest = &stream[..];
        while !rest.is_empty() {
            let number =
                |at: usize| u64::from_le_bytes(rest[at..at + 8].try_into().expect("eight bytes"));
            let (tag, channel, id, seq) = (rest[0], rest[1], number(2), number(10));
            let len = u32::from_le_bytes(rest[18..22].try_into().expect("four bytes")) as usize;
            assert!(rest.len() >= len, "half a frame");
            assert!(rest[HEAD..len] == vec![id as u8; len - HEAD]);
            let subscription = state
                .subscriptions
                .get_mut(&channel)
                .expect("a message of a channel that it is not subscribed to");
            let expected = subscription.expected;
            assert!(
                (expected.least..=expected.most).contains(&seq),
                "client {client} got {seq} of channel {channel} instead of {expected:?}"
            );
            subscription.expected = Expected {
                least: seq + 1,
                most: seq + 1,
            };
            assert_eq!(self.channels[&channel].messages[seq as usize - 1].id, id);
            if tag == b'D' {
                assert_eq!(state.encoding, Encoding::Deflate);
                subscription.deflated = true;
            } else {
                assert!(!subscription.deflated, "back to plain in the middle");
                assert!(
                    seq < subscription.deflated_from,
                    "plain although there is a deflate log"
                );
            }
            self.delivered += 1;
            rest = &rest[len..];
        }
    }
}

/// Settings under which nothing has a limit, except that channels hold `messages` messages (0: all).
pub fn holding(messages: u8) -> Settings {
    let policy = match messages {
        0 => 0,
        1 => 2,
        3 => 3,
        _ => 4,
    };
    Settings([policy, policy, policy, policy, 0, 0, 2, 1])
}

/// Does all steps, then lets everybody read to the end.
pub fn run(settings: Settings, steps: impl IntoIterator<Item = [u8; 4]>) -> Run {
    let mut run = Run::new(settings);
    for step in steps {
        run.step(step);
    }
    run.finish();
    run
}
