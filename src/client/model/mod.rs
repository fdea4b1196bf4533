//! The whole client against a server in memory, whose connections are cut at any byte: no sockets, no clock, one thread.
//!
//! Any order of calls is tried. What must hold: no call waits for ever while the server answers; each publish's fate is told
//! once, and is true; what has a key is published once, and its fate is known unless an older server came between; [`Event::Reconnected`] is told when requests can go out and all subscriptions have been asked for; each message
//! of a subscription comes once and in order, or a gap says that it does not. The numbers of messages grow by one or more.

mod cut;
mod follow;
mod pipe;
mod split;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::backoff::Reconnect;
use super::event::Event;
use super::link::Link;
use super::{Client, ClientError, Connector, Invalid, Publication, Start, Topic};
use cut::Cut;
use follow::Followed;
pub(super) use pipe::Wire;
use world::{Idle, World};

/// Subscriptions that are made at once: more than a client asks for before it has answers.
const MANY: usize = 140;

/// What a program does, or what happens at the server.
#[derive(Clone, Copy, Debug)]
enum Step {
    Publish(u8),
    Pipeline(u8),
    /// The same with a key.
    PublishOnce(u8),
    PipelineOnce(u8),
    Flush,
    Subscribe(u8, Option<u8>),
    SubscribeMany,
    Unsubscribe(u8),
    Next,
    AtHand,
    Elsewhere(u8),
    Lag(u8),
    End(u8),
    Cut,
}

struct Run {
    client: Client,
    wire: Wire,
    followed: Followed,
    /// Published, and not told what became of it: what it was.
    untold: BTreeMap<u64, String>,
    /// Those that have a key.
    once: BTreeSet<u64>,
    made: u64,
}

/// A channel's name. Nobody may publish to the one before the last. The last is the pattern.
fn name(channel: u8) -> String {
    match channel {
        0..5 => format!("c{channel}"),
        5 => "forbidden".to_owned(),
        _ => world::ALL.to_owned(),
    }
}

/// What a subscription is to that has this name.
fn topic(name: &str) -> Topic<'_> {
    match name {
        world::ALL => Topic::pattern(name),
        _ => name.into(),
    }
}

/// A publication with a key of its own; every other one is a text.
fn once(data: String, number: u64) -> Publication<'static> {
    let publication = if number.is_multiple_of(2) {
        Publication::text(data)
    } else {
        Publication::from(data)
    };
    publication.with_key(format!("key {number}"))
}

/// What is written down of it.
fn written(data: &str, number: u64) -> String {
    if number.is_multiple_of(2) {
        world::text(data)
    } else {
        data.to_owned()
    }
}

/// Does what a step says that happens at the server; `data` is for what is published there.
fn at_the_server(world: &mut World, step: Step, data: &str) {
    match step {
        Step::Elsewhere(channel) => {
            world.publish(&name(channel), data, true);
        }
        Step::Lag(channel) => {
            world.publish(&name(channel), data, false);
        }
        Step::End(channel) => world.end_subscription(&name(channel)),
        Step::Cut => {
            let newest = world.lines.len() - 1;
            world.cut(newest);
        }
        _ => {}
    }
}

/// A client of a server whose connections are cut like this.
fn connect(cuts: Vec<Cut>, chunk: usize) -> (Client, Wire) {
    // The first connection is not cut, as that would be no lost one.
    let cuts = cuts.into_iter().chain([Cut::default()]).collect();
    let wire = Wire::new(World::new(cuts, chunk));
    let connector = Connector::new("ws://127.0.0.1")
        .expect("a URL")
        .window(5)
        .reconnect(Reconnect {
            first: Duration::ZERO,
            ..Reconnect::default()
        });
    let client = Client::open(connector, Box::new(wire.clone())).expect("it is not cut");
    (client, wire)
}

/// A client of a server that nothing happens to.
pub(super) fn in_memory() -> (Client, Wire) {
    connect(Vec::new(), 1000)
}

impl Run {
    fn new(cuts: Vec<Cut>, chunk: usize) -> Self {
        let (client, wire) = connect(cuts, chunk);
        Self {
            client,
            wire,
            followed: Followed::default(),
            untold: BTreeMap::new(),
            once: BTreeSet::new(),
            made: 0,
        }
    }

    /// Something that was never published before.
    fn data(&mut self) -> String {
        self.made += 1;
        self.made.to_string()
    }

    fn step(&mut self, step: Step) {
        self.wire.world().idle_reads = 0;
        match step {
            Step::Publish(channel) => self.publish(&name(channel)),
            Step::Pipeline(channel) => {
                let data = self.data();
                self.untold.insert(self.made, data.clone());
                let sent = self
                    .client
                    .publish_pipelined(&name(channel), data, self.made);
                sent.expect("it goes out at last");
            }
            Step::PublishOnce(channel) => self.publish_once(&name(channel)),
            Step::PipelineOnce(channel) => self.pipeline_once(&name(channel)),
            Step::Flush => self.client.flush().expect("it goes out at last"),
            Step::Subscribe(channel, last) => self.subscribe(&name(channel), last),
            Step::SubscribeMany => {
                for number in 0..MANY {
                    self.subscribe(&format!("m{number}"), None);
                }
            }
            Step::Unsubscribe(channel) => {
                self.take_all_at_hand();
                let name = name(channel);
                self.client.unsubscribe(topic(&name)).expect("it ends");
                self.take_all_at_hand();
                self.followed.end(&name);
            }
            Step::Next => {
                self.wire.world().idle = Idle::Cut;
                self.next();
                self.wire.world().idle = Idle::Hang;
            }
            Step::AtHand => {
                if let Some(event) = self.client.next_at_hand() {
                    self.take(event.expect("it never ends"));
                }
            }
            Step::Elsewhere(_) | Step::Lag(_) | Step::End(_) | Step::Cut => {
                let data = self.data();
                at_the_server(&mut self.wire.world(), step, &data);
            }
        }
    }

    fn publish(&mut self, name: &str) {
        let data = self.data();
        let count = |run: &Self| run.wire.world().count(&data);
        match self.client.publish(name, &data) {
            Ok(published) => {
                let place = (published.epoch.to_string(), published.seq);
                assert_eq!(self.wire.world().history.get(&place), Some(&data));
                assert_eq!(count(self), 1);
            }
            Err(ClientError::Refused(_)) => assert_eq!(count(self), 0),
            Err(ClientError::Unknown) => assert!(count(self) <= 1),
            Err(error) => panic!("{error}"),
        }
    }

    fn publish_once(&mut self, name: &str) {
        let data = self.data();
        let published = self
            .client
            .publish(name, once(data.clone(), self.made))
            .map(|published| (published.epoch.to_string(), published.seq));
        let data = written(&data, self.made);
        let world = self.wire.world();
        match published {
            Ok(place) => {
                assert_eq!(world.history.get(&place), Some(&data));
                assert_eq!(world.count_in_life(&data), 1);
            }
            Err(ClientError::Refused(_)) => assert_eq!(world.count(&data), 0),
            Err(ClientError::Invalid(Invalid::Unsupported(_)) | ClientError::Unknown) => {
                assert!(world.was_older);
                assert!(world.count_in_life(&data) <= 1);
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn pipeline_once(&mut self, name: &str) {
        let data = self.data();
        let (tag, publication) = (self.made, once(data.clone(), self.made));
        self.untold.insert(tag, written(&data, tag));
        self.once.insert(tag);
        match self.client.publish_pipelined(name, publication, tag) {
            Ok(()) => {}
            Err(ClientError::Invalid(Invalid::Unsupported(_))) => {
                assert!(self.wire.world().was_older);
                self.untold.remove(&tag);
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn subscribe(&mut self, name: &str, last: Option<u8>) {
        if name == "forbidden" {
            let refused = self.client.subscribe(name, Start::Live);
            assert!(matches!(refused, Err(ClientError::Refused(_))));
            return;
        }
        if self.followed.has(name) {
            return;
        }
        let start = last.map_or(Start::Live, |count| Start::Last(count.into()));
        let subscribed = match self.client.subscribe(topic(name), start) {
            Ok(subscribed) => subscribed,
            Err(ClientError::Invalid(Invalid::Unsupported(_))) => {
                assert!(self.wire.world().was_older && name == world::ALL);
                return;
            }
            Err(ClientError::Refused(refusal)) => {
                assert!(self.wire.world().was_older && name == world::ALL);
                assert_eq!(refusal.code, "unsupported");
                return;
            }
            Err(error) => panic!("{error}"),
        };
        let last = last.unwrap_or(0).into();
        let world = self.wire.world();
        self.followed.begin(name, &subscribed, last, &world);
    }

    fn take_all_at_hand(&mut self) {
        while let Some(event) = self.client.next_at_hand() {
            self.take(event.expect("it never ends"));
        }
    }

    /// Waits for an event.
    fn next(&mut self) {
        let at_once = self.client.kept.is_empty();
        let event = self.client.next().expect("no end").expect("it never ends");
        if at_once && matches!(event, Event::Reconnected) {
            self.check_that_all_is_asked_for();
        }
        self.take(event);
    }

    /// The program has just been told that the connection is back.
    fn check_that_all_is_asked_for(&self) {
        let link = self.client.shared.lock().link.clone();
        assert!(matches!(link, Link::Up(_)), "told before it was so");
        let world = self.wire.world();
        let line = world.lines.last().expect("a connection");
        let mut missing = self.followed.channels().collect::<Vec<_>>();
        missing.retain(|channel| !line.asked.contains(*channel));
        assert!(missing.is_empty(), "{missing:?} were not asked for");
    }

    fn take(&mut self, event: Event) {
        let Some(event) = self.followed.take(event, &self.wire.world()) else {
            return;
        };
        match event {
            Event::Published {
                tag, epoch, seq, ..
            } => {
                let data = self.untold.remove(&tag).expect("told once");
                let world = self.wire.world();
                assert_eq!(world.history.get(&(epoch.to_string(), seq)), Some(&data));
                assert_eq!(world.count_in_life(&data), 1);
            }
            Event::Refused { tag, .. } => {
                let tag = tag.expect("there are no batches");
                let data = self.untold.remove(&tag).expect("told once");
                assert_eq!(self.wire.world().count(&data), 0);
            }
            Event::Unknown { tags, count } => {
                assert_eq!(tags.clone().count(), count);
                for tag in tags {
                    let data = self.untold.remove(&tag).expect("told once");
                    let world = self.wire.world();
                    assert!(world.was_older || !self.once.contains(&tag));
                    assert!(world.count_in_life(&data) <= 1);
                }
            }
            other => panic!("{other:?}"),
        }
    }

    /// From here on nothing is cut: everything must be told, and every subscription must be where the server is.
    fn finish(mut self) {
        self.wire.world().cut_no_more();
        self.publish("c0");
        for name in self.followed.channels() {
            // Any channel is one of the pattern's.
            let name = if name == world::ALL { "c0" } else { name };
            self.wire.world().publish(name, "\"the last\"", true);
        }
        while !self.is_up_to_date() {
            self.next();
        }
        self.take_all_at_hand();
        assert!(self.untold.is_empty());
        self.wire.world().check_order();
        self.client.close().expect("it ends well");
    }

    fn is_up_to_date(&self) -> bool {
        self.untold.is_empty() && self.followed.is_up_to_date(&mut self.wire.world())
    }
}

fn run(steps: &[Step], cuts: Vec<Cut>, chunk: usize) {
    let mut run = Run::new(cuts, chunk);
    for step in steps {
        run.step(*step);
    }
    run.finish();
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let channel = 0_u8..6;
    let subscribed = prop_oneof![4 => 0_u8..6, 1 => Just(6_u8)];
    let busy = 0_u8..3;
    let step = prop_oneof![
        4 => channel.clone().prop_map(Step::Publish),
        6 => channel.clone().prop_map(Step::Pipeline),
        3 => channel.clone().prop_map(Step::PublishOnce),
        5 => channel.clone().prop_map(Step::PipelineOnce),
        1 => Just(Step::Flush),
        4 => (subscribed.clone(), proptest::option::of(0_u8..6))
            .prop_map(|(channel, last)| Step::Subscribe(channel, last)),
        2 => subscribed.prop_map(Step::Unsubscribe),
        5 => Just(Step::Next),
        3 => Just(Step::AtHand),
        6 => busy.clone().prop_map(Step::Elsewhere),
        1 => busy.clone().prop_map(Step::Lag),
        1 => prop_oneof![busy, Just(6_u8)].prop_map(Step::End),
        2 => Just(Step::Cut),
    ];
    proptest::collection::vec(step, 0..40)
}

fn cuts() -> impl Strategy<Value = Vec<Cut>> {
    // Nearly everything interesting happens in the first bytes of a connection.
    let after = || proptest::option::of(prop_oneof![0_usize..300, 0_usize..3000]);
    let cut = (
        after(),
        after(),
        any::<bool>(),
        any::<bool>(),
        prop_oneof![4 => Just(0_u8), 1 => 1_u8..3],
        any::<bool>(),
        prop_oneof![9 => Just(false), 1 => Just(true)],
    )
        .prop_map(
            |(after_read, after_written, writes_vanish, reset, refusals, restart, older)| Cut {
                after_read,
                after_written,
                writes_vanish,
                reset,
                refusals,
                restart,
                older,
            },
        );
    proptest::collection::vec(cut, 0..8)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_order_of_calls_and_cuts_leaves_a_call_waiting_or_a_fate_untold(
        steps in steps(),
        cuts in cuts(),
        chunk in prop_oneof![1_usize..100, Just(100_000)],
    ) {
        run(&steps, cuts, chunk);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn more_subscriptions_than_are_asked_for_at_once_come_back_too(
        before in steps(),
        after in steps(),
        cuts in cuts(),
        chunk in prop_oneof![50_usize..1000, Just(100_000)],
    ) {
        let steps = [before, vec![Step::SubscribeMany], after].concat();
        run(&steps, cuts, chunk);
    }
}

#[test]
fn a_publish_after_a_loss_ends_with_and_without_subscriptions() {
    let publish = [
        Step::Publish(0),
        Step::Cut,
        Step::Publish(0),
        Step::Publish(0),
    ];
    run(&publish, Vec::new(), 1000);
    run(
        &[&[Step::Subscribe(0, None)], &publish[..]].concat(),
        Vec::new(),
        1000,
    );
    run(
        &[&[Step::SubscribeMany], &publish[..]].concat(),
        Vec::new(),
        1000,
    );
}
