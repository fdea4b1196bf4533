//! A naive model of the hub, and a server that drives both from a list of steps.
//!
//! The model keeps each channel's messages in a `Vec` and, for each subscription, the position of the one that has to come
//! next. Where a broker numbers a channel, its numbers are sparse, and messages come late. Every byte
//! the hub hands out is parsed and held against it. Property tests and fuzzing share it: steps are four bytes each, so that
//! any bytes are a valid run.

// Each of those who include this file uses its own part of it.
#![allow(dead_code, unreachable_pub)]

mod broker;
mod client;
mod frame;
mod naive;
mod patterns;
mod requests;
mod room;
mod topics;
mod visits;

use std::collections::{HashMap, HashSet};

use fanfare::channel::topic::Topic;
use fanfare::hub::{ChannelId, Epoch, Hub, Numbering, Slot, SubscriberId};

use self::broker::Broker;
use self::client::{Client, ENDLESS};
use self::frame::{HALVES, PARTS};
use self::naive::Naive;
use self::topics::{PATTERNS, number_of};

pub use self::naive::Settings;

/// How many channels and connections take part. Most steps are about the first few channels, so that these see much.
const CHANNELS: u8 = 20;
const BUSY: u8 = 4;
const CLIENTS: u8 = 6;
/// What they are served in, in turn.
const SLOTS: [Slot; 3] = [Slot::BASE, PARTS, HALVES];

/// The hub, the model and the server between them.
pub struct Run {
    settings: Settings,
    hub: Hub,
    /// The logs of channels and of patterns.
    channels: HashMap<u8, Naive>,
    ids: HashMap<ChannelId, u8>,
    clients: Vec<Client>,
    broker: Broker,
    /// Congested channels that are gone, until that is reported.
    vacated: HashSet<ChannelId>,
    now: u64,
    published: u64,
    /// Gaps told so far, for tests that want to know whether there were any.
    pub gaps: usize,
    /// Messages delivered so far.
    pub delivered: u64,
    /// Visits that were cut by their limits so far.
    pub cuts: usize,
    /// How often publishers were told to wait so far.
    pub congested: usize,
}

impl Run {
    /// A run without any channel, all clients attached.
    pub fn new(settings: Settings) -> Self {
        let broker = Broker::default();
        let link = broker.link();
        let mut made = 0u64;
        let numberings = Box::new(move |topic: Topic<'_>| {
            made += 1;
            let mut bits = [0; 12];
            bits[..8].copy_from_slice(&made.to_le_bytes());
            if settings.is_linked(number_of(topic)) {
                return link.numbering();
            }
            Numbering::Hub(Epoch::from_random(bits))
        });
        let policies = Box::new(move |topic: Topic<'_>| settings.policy(number_of(topic)));
        let mut hub = Hub::new(settings.config(), policies, numberings);
        let clients = (0..CLIENTS)
            .map(|i| {
                let slot = SLOTS[usize::from(i % 3)];
                hub.attach(SubscriberId(i.into()), slot);
                Client::new(slot)
            })
            .collect();
        Self {
            settings,
            hub,
            channels: HashMap::new(),
            ids: HashMap::new(),
            clients,
            broker,
            vacated: HashSet::new(),
            now: 0,
            published: 0,
            gaps: 0,
            delivered: 0,
            cuts: 0,
            congested: 0,
        }
    }

    /// Does one step, whatever its bytes are.
    pub fn step(&mut self, [kind, a, b, c]: [u8; 4]) {
        let channels = if kind < 160 { BUSY } else { CHANNELS };
        let (client, channel) = (a % CLIENTS, b % channels);
        let pattern = self.pattern(b);
        match kind % 16 {
            3 if kind >= 96 => self.hear(a, c),
            0..=3 => self.publish(channel, c),
            4 => self.burst(channel, c),
            5 if kind >= 128 => self.subscribe(client, pattern, a / CLIENTS, c),
            5 => self.subscribe(client, channel, a / CLIENTS, c),
            6 if kind >= 224 => self.subscribe_to_all(client),
            6 => self.subscribe(client, channel, 0, c),
            7 if kind >= 192 => self.unsubscribe(client, pattern),
            7 => self.unsubscribe(client, channel),
            8 => self.reconnect(client, c),
            9 => self.sweep(c as usize % 8),
            10 => self.run_sweep(u32::from(c) % 8, c.is_multiple_of(3)),
            11 => self.turn(c as usize % 32, a.is_multiple_of(2)),
            12 => self.give_room(client, usize::from(c) * 3),
            13 => self.give_room(client, ENDLESS),
            14 if kind >= 224 => self.clear(channel),
            14 => self.pass(u64::from(c) % 64),
            _ => self.visit(client),
        }
    }

    /// Lets everybody read, and checks that all reach the head without another publish.
    pub fn finish(&mut self) {
        self.deliver(usize::MAX);
        for client in 0..CLIENTS {
            self.give_room(client, ENDLESS);
        }
        let mut visits = 0;
        while self.hub.has_work() || self.hub.has_waiting() {
            if visits % 5 == 0 {
                self.hub.begin_circles();
            }
            if visits % 2 == 0 {
                self.run_sweep(3, false);
            } else {
                self.sweep(1);
            }
            visits += 1;
            assert!(visits < 100_000, "the sweep does not come to an end");
        }
        assert!(!self.hub.has_work() && !self.hub.is_in_circle());
        for (i, client) in self.clients.iter().enumerate() {
            for (channel, subscription) in &client.subscriptions {
                let end = self.channels[channel].end();
                assert!(
                    !subscription.is_foreign && subscription.expected.allows(end),
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
        assert!(self.vacated.is_empty());
        self.check_held();
    }

    /// With everybody at the head the windows are what the policies say, and no more.
    fn check_held(&mut self) {
        // What has expired goes when its time has come, not by trimming channels that nobody published to.
        while self.hub.next_timeout().is_some_and(|time| time <= self.now) {
            self.hub.handle_timeout(self.now);
        }
        self.trim();
        self.check_held_of_patterns();
        let stats = self.hub.stats();
        let config = self.settings.config();
        let held: u64 = self
            .channels
            .iter()
            .filter(|(c, naive)| **c < PATTERNS && !naive.vacated)
            .map(|(&c, naive)| naive.end() - naive.tail(self.settings.policy(c), self.now))
            .sum();
        if config.retain_total.is_none() {
            assert_eq!(stats.messages, held);
        } else {
            assert!(stats.messages <= held);
            assert!(
                config.retain_total.admits_size(stats.allocated),
                "{stats:?}"
            );
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
