//! The two halves of a client on two threads, against the same server. How their steps fall between each other is the system's to say, so
//! this sees what the model on one thread cannot: one half that waits for the other.

use std::collections::BTreeMap;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use proptest::prelude::*;

use super::cut::Cut;
use super::follow::Followed;
use super::pipe::Wire;
use super::world::Idle;
use super::{MANY, Step, at_the_server, connect, cuts, name, once, steps, topic};
use crate::client::error::{ClientError, Invalid};
use crate::client::event::{Event, Subscribed};
use crate::client::{Events, Requests, Start};

/// How long one run may take before a half of the client counts as waiting for ever: far longer than any does.
const PATIENCE: Duration = Duration::from_secs(60);

/// What one run publishes with.
#[derive(Clone, Copy, Debug)]
enum Acknowledged {
    Each,
    Batch,
    /// In batches, with some by themselves in between.
    Mixed,
    /// Each, and with a key.
    Once,
}

/// Does what a step says, as far as this half can. How many messages it published.
fn step(requests: &mut Requests, wire: &Wire, step: Step, tag: u64, how: Acknowledged) -> u64 {
    match step {
        Step::Publish(channel)
        | Step::Pipeline(channel)
        | Step::PublishOnce(channel)
        | Step::PipelineOnce(channel) => {
            let (name, data) = (name(channel), tag.to_string());
            let sent = match how {
                Acknowledged::Each => requests.publish(&name, data, tag),
                Acknowledged::Mixed if tag.is_multiple_of(3) => requests.publish(&name, data, tag),
                Acknowledged::Batch | Acknowledged::Mixed => {
                    requests.publish_in_batch(&name, data, tag)
                }
                Acknowledged::Once => requests.publish(&name, once(data, tag), tag),
            };
            match sent {
                Ok(()) => {}
                Err(ClientError::Invalid(Invalid::Unsupported(_))) if wire.world().was_older => {
                    return 0;
                }
                Err(error) => panic!("{error}"),
            }
            if matches!(step, Step::Publish(_) | Step::PublishOnce(_)) {
                requests.flush().expect("it goes out at last");
            }
            return 1;
        }
        Step::Flush => requests.flush().expect("it goes out at last"),
        Step::Subscribe(channel, _) => subscribe(requests, &name(channel)),
        Step::SubscribeMany => {
            for number in 0..MANY {
                subscribe(requests, &format!("m{number}"));
            }
        }
        Step::Unsubscribe(channel) => requests
            .unsubscribe(topic(&name(channel)))
            .expect("it ends"),
        Step::Elsewhere(_) | Step::Lag(_) | Step::End(_) | Step::Cut => {
            at_the_server(&mut wire.world(), step, "\"elsewhere\"");
        }
        Step::Next | Step::AtHand => thread::yield_now(),
    }
    wire.notify();
    0
}

fn subscribe(requests: &mut Requests, name: &str) {
    match requests.subscribe(topic(name), Start::Live) {
        Ok(())
        | Err(ClientError::Invalid(Invalid::AlreadySubscribed | Invalid::Unsupported(_))) => {}
        Err(error) => panic!("{error}"),
    }
}

/// What the other half hears.
struct Heard {
    wire: Wire,
    followed: Followed,
    /// How often the fate of each message was told.
    fates: BTreeMap<u64, usize>,
    /// Everything is published with a key.
    keys: bool,
}

impl Heard {
    fn take_all(mut self, events: Events) -> BTreeMap<u64, usize> {
        for event in events {
            self.take(event.expect("it never ends by itself"));
        }
        self.fates
    }

    fn take(&mut self, event: Event) {
        let Some(event) = self.followed.take(event, &self.wire.world()) else {
            return;
        };
        match event {
            Event::Subscribed {
                topic,
                epoch,
                seq,
                recovered,
            } => {
                let subscribed = Subscribed {
                    epoch,
                    seq,
                    recovered,
                };
                let world = self.wire.world();
                self.followed.begin(topic.text(), &subscribed, 0, &world);
            }
            Event::Unsubscribed { topic } => self.followed.end(topic.text()),
            Event::Published { tag, .. } | Event::Refused { tag: Some(tag), .. } => {
                self.tell(tag..=tag, 1);
            }
            Event::BatchDone { tags, count } => self.tell(tags, count),
            Event::Unknown { tags, count } => {
                let knew_keys = !self.wire.world().was_older;
                assert!(!(knew_keys && self.keys), "a key makes every fate known");
                self.tell(tags, count);
            }
            Event::Refused { tag: None, .. } | Event::SubscribeRefused { .. } => {}
            other => panic!("{other:?}"),
        }
    }

    fn tell(&mut self, tags: std::ops::RangeInclusive<u64>, count: usize) {
        assert_eq!(tags.clone().count(), count);
        for tag in tags {
            *self.fates.entry(tag).or_default() += 1;
        }
    }
}

fn run(steps: &[Step], cuts: Vec<Cut>, chunk: usize, how: Acknowledged) {
    let (client, wire) = connect(cuts, chunk);
    wire.world().idle = Idle::Wait;
    let (mut requests, events) = client.split();
    let heard = Heard {
        wire: wire.clone(),
        followed: Followed::default(),
        fates: BTreeMap::new(),
        keys: matches!(how, Acknowledged::Once),
    };
    let heard = thread::spawn(move || heard.take_all(events));
    let mut published = 0;
    for &next in steps {
        published += step(&mut requests, &wire, next, published, how);
    }
    // What has keys is answered before the end, whatever is cut until then.
    if !matches!(how, Acknowledged::Once) {
        wire.world().cut_no_more();
    }
    published += step(&mut requests, &wire, Step::Publish(0), published, how);
    requests.close().expect("there is a connection at last");
    let fates = heard.join().expect("all is told as it should be");
    let once: BTreeMap<u64, usize> = (0..published).map(|tag| (tag, 1)).collect();
    assert_eq!(fates, once, "the fate of each message is told once");
    wire.world().check_order();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, max_shrink_iters: 8, ..ProptestConfig::default() })]

    #[test]
    fn neither_half_waits_for_ever_for_the_other(
        before in steps(),
        many in any::<bool>(),
        after in steps(),
        cuts in cuts(),
        chunk in prop_oneof![20_usize..1000, Just(100_000)],
        how in prop_oneof![1 => Just(Acknowledged::Each), 1 => Just(Acknowledged::Batch), 1 => Just(Acknowledged::Mixed), 2 => Just(Acknowledged::Once)],
    ) {
        let many = if many { vec![Step::SubscribeMany] } else { Vec::new() };
        let steps = [before, many, after].concat();
        // On a thread of its own, as one that waits for ever cannot be ended: nor can it be tried many times to find a shorter run.
        let (done, is_done) = channel();
        let runner = thread::spawn(move || {
            run(&steps, cuts, chunk, how);
            let _ = done.send(());
        });
        match is_done.recv_timeout(PATIENCE) {
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("a half waits for ever"),
            _ => runner.join().expect("nothing is wrong"),
        }
    }
}
