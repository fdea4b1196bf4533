//! What the hub costs: a publish, whatever the number of subscribers, and the sweep's bookkeeping for each visit.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fanfare::channel::topic::Topic;
use fanfare::hub::{
    Epoch, Frame, Hub, HubConfig, Numbering, Place, Policy, Run, Slices, Slot, Start, SubscriberId,
};
use fanfare::limit::Limit;

/// A frame of ready-made bytes: what is measured is the log, not the writing of JSON.
struct Bytes(Vec<u8>);

impl Frame for Bytes {
    fn len(&self, _: Place<'_>) -> usize {
        self.0.len()
    }

    fn write(&self, _: Place<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
}

fn hub() -> Hub {
    hub_with(HubConfig::default())
}

fn hub_with(config: HubConfig) -> Hub {
    let mut made = 0u32;
    let numberings = Box::new(move |_: Topic<'_>| {
        made += 1;
        let mut bits = [0; 12];
        bits[..4].copy_from_slice(&made.to_le_bytes());
        Numbering::Hub(Epoch::from_random(bits))
    });
    Hub::new(config, Box::new(|_| Policy::default()), numberings)
}

fn subscribed(subscribers: u32) -> Hub {
    let mut hub = hub();
    for i in 0..subscribers {
        hub.attach(SubscriberId(i), Slot::BASE);
        hub.subscribe(SubscriberId(i), "prices.eurusd", Start::Live, 0)
            .expect("there is room");
    }
    hub
}

/// A sweep in which every socket takes all it is given; the number of visits.
fn sweep(hub: &mut Hub) -> u64 {
    let mut visits = 0;
    while let Some(id) = hub.next_behind() {
        visits += 1;
        black_box(visit(hub, id));
    }
    visits
}

/// An ordinary visit; how many messages it delivers.
fn visit(hub: &mut Hub, id: SubscriberId) -> u64 {
    let written = match hub.contiguous(id) {
        Some(bytes) => black_box(bytes).len(),
        None => {
            let mut slices = Slices::new();
            hub.gather(id, &mut slices);
            black_box(slices.as_slice());
            slices.bytes()
        }
    };
    hub.advance(id, written).delivered
}

/// The time that `times` publishes of 200 bytes take. After every 1,024 the sweep and `trim` bring everybody up, outside the time
/// that is taken.
fn publishes(hub: &mut Hub, name: &str, times: u64) -> Duration {
    let message = Bytes(vec![b'x'; 200]);
    let mut decongested = Vec::new();
    let mut taken = Duration::ZERO;
    let mut left = times;
    while left != 0 {
        let batch = left.min(1024);
        let begun = Instant::now();
        for _ in 0..batch {
            black_box(hub.publish(name, &message, &mut (), 1)).ok();
        }
        taken += begun.elapsed();
        left -= batch;
        sweep(hub);
        hub.trim(1, &mut decongested);
        decongested.clear();
    }
    taken
}

/// One publish, by the number of the channel's subscribers.
fn publish(c: &mut Criterion) {
    let mut group = c.benchmark_group("hub/publish 200 B");
    group.throughput(Throughput::Elements(1));
    for subscribers in [0, 1, 1_000, 100_000] {
        let mut hub = subscribed(subscribers);
        group.bench_function(BenchmarkId::from_parameter(subscribers), |b| {
            b.iter_custom(|times| publishes(&mut hub, "prices.eurusd", times));
        });
    }
    group.finish();
}

/// A broker's message of 200 bytes, with the sweep and the trim that follow it, in a channel of 1,000 that holds one message and
/// one that holds many: what its number costs a visit.
fn append_at(c: &mut Criterion) {
    let epoch = Epoch::from_random([1; 12]);
    let mut group = c.benchmark_group("hub/append_at, 1,000 subscribers");
    group.throughput(Throughput::Elements(1_000));
    for retain_messages in [1, 1_000] {
        for numbered in [false, true] {
            let policy = Policy {
                retain_messages: Limit::of(retain_messages),
                ..Policy::default()
            };
            let numberings = Box::new(|_: Topic<'_>| Numbering::Hub(Epoch::from_random([0; 12])));
            let mut hub = Hub::new(HubConfig::default(), Box::new(move |_| policy), numberings);
            for i in 0..1_000 {
                hub.attach(SubscriberId(i), Slot::BASE);
                hub.subscribe(SubscriberId(i), "prices.eurusd", Start::Live, 0)
                    .expect("there is room");
            }
            let message = Bytes(vec![b'x'; 200]);
            let (mut seq, mut decongested) = (0, Vec::new());
            let by = if numbered { "broker" } else { "hub" };
            let name = format!("numbered by the {by}, {retain_messages} held");
            group.bench_function(name, |b| {
                b.iter(|| {
                    seq += 3;
                    let at = numbered.then_some((&epoch, seq));
                    hub.append_at(at, "prices.eurusd", &message, &mut (), 1)
                        .ok();
                    // The first of them laps everybody, since the epoch is another.
                    while let Some(id) = hub.next_behind() {
                        let mut written = hub.contiguous(id).map(<[u8]>::len);
                        if written.is_none() {
                            hub.settle(id, |_| {}).ok();
                            written = hub.contiguous(id).map(<[u8]>::len);
                        }
                        black_box(hub.advance(id, written.unwrap_or(0)));
                    }
                    hub.trim(1, &mut decongested);
                    decongested.clear();
                });
            });
        }
    }
    group.finish();
}

/// A publish with the sweep and the trim that follow it: per visit, so the same figure whatever the number is linear.
fn visits(c: &mut Criterion) {
    for (name, batch) in [("1 message", 1), ("64 messages", 64)] {
        let mut group = c.benchmark_group(format!("hub/visit, {name}"));
        for subscribers in [1, 1_000, 100_000] {
            let mut hub = subscribed(subscribers);
            let message = Bytes(vec![b'x'; 200]);
            let mut decongested = Vec::new();
            group.throughput(Throughput::Elements(u64::from(subscribers)));
            group.bench_function(BenchmarkId::from_parameter(subscribers), |b| {
                b.iter(|| {
                    for _ in 0..batch {
                        hub.publish("prices.eurusd", &message, &mut (), 1).ok();
                    }
                    let visits = sweep(&mut hub);
                    hub.trim(1, &mut decongested);
                    visits
                });
            });
        }
        group.finish();
    }
}

/// One connection on 60 channels, one message behind on each: a single visit.
fn board(c: &mut Criterion) {
    let mut hub = hub();
    let names: Vec<String> = (0..60).map(|i| format!("board.{i}")).collect();
    hub.attach(SubscriberId(0), Slot::BASE);
    for name in &names {
        hub.subscribe(SubscriberId(0), name, Start::Live, 0)
            .expect("there is room");
    }
    let message = Bytes(vec![b'x'; 200]);
    let mut decongested = Vec::new();
    let mut group = c.benchmark_group("hub/board");
    group.throughput(Throughput::Elements(names.len() as u64));
    group.bench_function("60 channels", |b| {
        b.iter(|| {
            for name in &names {
                hub.publish(name, &message, &mut (), 1).ok();
            }
            let visits = sweep(&mut hub);
            hub.trim(1, &mut decongested);
            visits
        });
    });
    group.finish();
}

/// One connection with many subscriptions gives one up, asks for it again with its history, and is visited.
fn resubscribe(c: &mut Criterion) {
    let mut group = c.benchmark_group("hub/resubscribe");
    for subscriptions in [1, 100, 1_000, 100_000] {
        let config = HubConfig {
            max_channels: Limit::NONE,
            max_subscriptions: Limit::NONE,
            ..HubConfig::default()
        };
        let mut hub = hub_with(config);
        let names: Vec<String> = (0..subscriptions).map(|i| format!("board.{i}")).collect();
        let message = Bytes(vec![b'x'; 200]);
        hub.attach(SubscriberId(0), Slot::BASE);
        for name in &names {
            hub.publish(name, &message, &mut (), 1).ok();
            hub.subscribe(SubscriberId(0), name, Start::Live, 1)
                .expect("there is room");
        }
        hub.trim(1, &mut Vec::new());
        let mut at = 0;
        group.bench_function(BenchmarkId::from_parameter(subscriptions), |b| {
            b.iter(|| {
                at = (at + 7919) % names.len();
                let name = &names[at];
                hub.unsubscribe(SubscriberId(0), name)
                    .expect("it is subscribed");
                hub.subscribe(SubscriberId(0), name, Start::Last(1), 1)
                    .expect("there is room");
                sweep(&mut hub)
            });
        });
    }
    group.finish();
}

/// One publish to a new channel each time, at the limits: another channel and its message have to go for it.
fn make_room(c: &mut Criterion) {
    let mut group = c.benchmark_group("hub/make room");
    for channels in [1_000, 100_000] {
        let config = HubConfig {
            max_channels: Limit::of(channels),
            retain_total: Limit::of(channels * 512),
            ..HubConfig::default()
        };
        let mut hub = hub_with(config);
        let message = Bytes(vec![b'x'; 200]);
        let (mut made, mut decongested) = (0u64, Vec::new());
        group.bench_function(BenchmarkId::from_parameter(channels), |b| {
            b.iter(|| {
                made += 1;
                hub.publish(&format!("made.up.{made}"), &message, &mut (), made)
                    .ok();
                hub.trim(made, &mut decongested);
            });
        });
    }
    group.finish();
}

/// A hub of `channels` channels `prices.N`, a message in each, and of at most so many patterns.
fn many_channels(channels: u32, max_patterns: u64) -> Hub {
    let mut hub = hub_with(HubConfig {
        max_patterns: Limit::of(max_patterns),
        max_patterns_each: Limit::NONE,
        ..HubConfig::default()
    });
    let message = Bytes(vec![b'x'; 200]);
    for i in 0..channels {
        hub.publish(&format!("prices.{i}"), &message, &mut (), 1)
            .ok();
    }
    hub.trim(1, &mut Vec::new());
    hub
}

/// Subscribes `id` to patterns.
fn subscribe_to<'p>(hub: &mut Hub, id: u32, patterns: impl IntoIterator<Item = &'p String>) {
    hub.attach(SubscriberId(id), Slot::BASE);
    for pattern in patterns {
        hub.subscribe(SubscriberId(id), Topic::pattern(pattern), Start::Live, 1)
            .expect("there is room");
    }
}

/// So many patterns that stand for none of the channels `prices.N`. The half of them begin with the same part.
fn others(count: u32) -> Vec<String> {
    let pattern = |i| match i % 2 {
        0 => format!("prices.*.{i}"),
        _ => format!("other.{i}.>"),
    };
    (0..count).map(pattern).collect()
}

/// One subscription to a pattern that stands for all of 100,000 channels. One that is new takes the place of another that nobody is
/// subscribed to any more. What ends the subscription is outside the time that is taken.
fn subscribe_to_a_pattern(c: &mut Criterion) {
    let mut group = c.benchmark_group("hub/subscribe to a pattern, 100,000 channels");
    let (texts, id) = (["prices.*", "prices.>"], SubscriberId(0));
    for (name, max_patterns) in [("one that is new", 1), ("one that exists", 2)] {
        let mut hub = many_channels(100_000, max_patterns);
        hub.attach(id, Slot::BASE);
        let (mut turns, mut decongested) = (texts.into_iter().cycle(), Vec::new());
        group.bench_function(name, |b| {
            b.iter_custom(|times| {
                let mut taken = Duration::ZERO;
                for text in turns.by_ref().take(times as usize) {
                    let begun = Instant::now();
                    black_box(hub.subscribe(id, Topic::pattern(text), Start::Live, 1)).ok();
                    taken += begun.elapsed();
                    hub.unsubscribe(id, Topic::pattern(text))
                        .expect("it is subscribed");
                    hub.trim(1, &mut decongested);
                }
                taken
            });
        });
    }
    group.finish();
}

/// One publish of 200 bytes to a channel that no pattern stands for, and to one that three patterns stand for.
fn publish_beside_patterns(c: &mut Criterion) {
    let mut group = c.benchmark_group("hub/publish 200 B beside patterns");
    let three = ["prices.*", "prices.>", "*.0"].map(str::to_owned).to_vec();
    let cases = [0, 1, 16, 256].map(|count| (format!("{count} that do not match"), others(count)));
    for (name, patterns) in cases
        .into_iter()
        .chain([("3 that match".to_owned(), three)])
    {
        let mut hub = many_channels(1_000, 256);
        subscribe_to(&mut hub, 0, &patterns);
        group.bench_function(name, |b| {
            b.iter_custom(|times| publishes(&mut hub, "prices.0", times));
        });
    }
    group.finish();
}

/// The first publish to a channel after one of 256 patterns that do not match came or went, and the same where none did.
fn publish_after_a_change(c: &mut Criterion) {
    let mut group = c.benchmark_group("hub/publish 200 B beside 256 patterns");
    let patterns = others(255);
    let mut last = ["last.*", "last.>"].map(str::to_owned);
    let message = Bytes(vec![b'x'; 200]);
    for (name, changes) in [("one by one", false), ("first after a change", true)] {
        let mut hub = many_channels(1_000, 256);
        subscribe_to(&mut hub, 0, &patterns);
        subscribe_to(&mut hub, 1, [&last[0]]);
        let mut decongested = Vec::new();
        group.bench_function(name, |b| {
            b.iter_custom(|times| {
                let mut taken = Duration::ZERO;
                for _ in 0..times {
                    if changes {
                        last.swap(0, 1);
                        subscribe_to(&mut hub, 1, [&last[0]]);
                    }
                    let begun = Instant::now();
                    black_box(hub.publish("prices.0", &message, &mut (), 1)).ok();
                    taken += begun.elapsed();
                    hub.trim(1, &mut decongested);
                }
                taken
            });
        });
        assert_eq!(hub.stats().patterns, 256);
    }
    group.finish();
}

/// What a visit of [`Hub::run`] costs with 1,000 subscribers, of a channel or of a pattern. The publishes, to 1,000 channels in turn
/// where it is a pattern, and the trim are outside the time that is taken.
fn visit_of_a_pattern(c: &mut Criterion) {
    let message = Bytes(vec![b'x'; 200]);
    for batch in [1, 64] {
        let mut group = c.benchmark_group(format!("hub/run, {batch} messages"));
        group.throughput(Throughput::Elements(1_000));
        let cases = [
            ("a channel", Topic::from("prices.0"), 1),
            ("a pattern of 1 channel", Topic::pattern("*.0"), 1),
            ("a pattern of 1,000", Topic::pattern("prices.*"), 1_000),
        ];
        for (name, topic, channels) in cases {
            let mut hub = many_channels(1_000, 1);
            for i in 0..1_000 {
                hub.attach(SubscriberId(i), Slot::BASE);
                hub.subscribe(SubscriberId(i), topic, Start::Live, 1)
                    .expect("there is room");
            }
            let names: Vec<String> = (0..channels).map(|i| format!("prices.{i}")).collect();
            let mut turns = names.iter().cycle();
            let mut decongested = Vec::new();
            let (mut delivered, mut wanted) = (0, 0);
            group.bench_function(name, |b| {
                b.iter_custom(|times| {
                    let mut taken = Duration::ZERO;
                    for _ in 0..times {
                        for name in turns.by_ref().take(batch) {
                            hub.publish(name, &message, &mut (), 1).ok();
                        }
                        wanted += 1_000 * batch as u64;
                        let begun = Instant::now();
                        run_all(&mut hub, &mut delivered);
                        taken += begun.elapsed();
                        hub.trim(1, &mut decongested);
                    }
                    taken
                });
            });
            assert_eq!(delivered, wanted);
        }
        group.finish();
    }
}

/// Visits everybody, as the daemon does: each socket takes all it is given.
fn run_all(hub: &mut Hub, delivered: &mut u64) {
    loop {
        let run = hub.run(u32::MAX, delivered, |_, bytes| Some(black_box(bytes).len()));
        match run {
            Run::Done => return,
            Run::Visit(id) => *delivered += visit(hub, id),
            Run::Paused | Run::Short(..) => {}
        }
    }
}

criterion_group!(
    benches,
    publish,
    append_at,
    visits,
    board,
    resubscribe,
    make_room,
    subscribe_to_a_pattern,
    publish_beside_patterns,
    publish_after_a_change,
    visit_of_a_pattern
);
criterion_main!(benches);
