//! What a publish costs before it reaches the hub, by kind and size of its data.
//!
//! `decode` is to be read against `fill_tape`, which is simd-json alone on the same
//! bytes and builds a tape that the daemon has no use for. `frame` is what the
//! hub has written into a log, `event` what a client does with it.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fanfare::channel::name;
use fanfare::dialect::json::sample::{Kind, Samples};
use fanfare::dialect::json::{Data, Decoder, EventDecoder, MessageFrame, event, request};
use fanfare::hub::{Frame, Place};
use simd_json::{Buffers, INPUT_PADDING, Tape};

const CHANNEL: &str = "prices.EURUSD";

/// How many different messages are taken in turn, lest the branch predictor learn one.
const VARIETY: usize = 32;

struct Message {
    text: Vec<u8>,
    len: usize,
}

/// Publishes of one kind whose data has about `size` bytes, each with the padding that simd-json wants.
fn publishes(kind: Kind, size: usize) -> Vec<Message> {
    let mut samples = Samples::new(1);
    (0..VARIETY as u64)
        .map(|id| {
            let mut text = Vec::new();
            let data = samples.next(kind, size);
            request::publish(
                &mut text,
                Some(id),
                CHANNEL,
                Data::json(data.as_bytes()),
                None,
            );
            let len = text.len();
            text.resize(len + INPUT_PADDING, 0);
            Message { text, len }
        })
        .collect()
}

/// simd-json unescapes in place, so each turn needs the message as it was; where there
/// are no escapes nothing changes and nothing is copied.
fn restore(message: &mut Message, original: &Message, escaped: bool) {
    if escaped {
        message.text.copy_from_slice(&original.text);
    }
}

fn decode(c: &mut Criterion) {
    for kind in Kind::ALL {
        let escaped = kind == Kind::EscapedChat;
        let mut group = c.benchmark_group(format!("json/{}", kind.name()));
        for &size in kind.sizes() {
            let originals = publishes(kind, size);
            let bytes: usize = originals.iter().map(|message| message.len).sum();
            group.throughput(Throughput::Bytes((bytes / VARIETY) as u64));

            group.bench_function(BenchmarkId::new("fill_tape", size), |b| {
                let mut messages = publishes(kind, size);
                let mut buffers = Buffers::new(0);
                let mut tape = Tape::null();
                let mut turn = 0;
                b.iter(|| {
                    turn = (turn + 1) % VARIETY;
                    let message = &mut messages[turn];
                    restore(message, &originals[turn], escaped);
                    let text = &mut message.text[..message.len];
                    let mut filled = std::mem::replace(&mut tape, Tape(Vec::new())).reset();
                    simd_json::fill_tape(text, &mut buffers, &mut filled).expect("it is JSON");
                    black_box(&filled);
                    tape = filled.reset();
                });
            });

            group.bench_function(BenchmarkId::new("decode", size), |b| {
                let mut messages = publishes(kind, size);
                let mut decoder = Decoder::new();
                let mut turn = 0;
                b.iter(|| {
                    turn = (turn + 1) % VARIETY;
                    let message = &mut messages[turn];
                    restore(message, &originals[turn], escaped);
                    let request = decoder.decode(&mut message.text[..message.len]);
                    assert!(black_box(request).is_ok());
                });
            });
        }
        group.finish();
    }
}

fn encode(c: &mut Criterion) {
    for kind in [Kind::Tick, Kind::Document] {
        let mut group = c.benchmark_group(format!("json/{}", kind.name()));
        for &size in kind.sizes() {
            let data = Samples::new(1).next(kind, size);
            let mut out = Vec::new();
            let mut seq = 1_000_000;
            MessageFrame::new(CHANNEL, Data::json(data.as_bytes()))
                .write(Place::Channel { seq }, &mut out);
            group.throughput(Throughput::Bytes(out.len() as u64));
            group.bench_function(BenchmarkId::new("frame", size), |b| {
                b.iter(|| {
                    seq += 1;
                    let frame = MessageFrame::new(
                        black_box(CHANNEL),
                        Data::json(black_box(data.as_bytes())),
                    );
                    out.clear();
                    out.reserve(frame.len(Place::Channel { seq }));
                    frame.write(Place::Channel { seq }, &mut out);
                    black_box(&out);
                });
            });

            // Without the frame's header, which takes two or four bytes here.
            let header = if out[1] < 126 { 2 } else { 4 };
            let mut text = out[header..].to_vec();
            let len = text.len();
            group.bench_function(BenchmarkId::new("event", size), |b| {
                let mut decoder = EventDecoder::new();
                b.iter(|| assert!(black_box(decoder.decode(black_box(&mut text))).is_ok()));
            });
            group.bench_function(BenchmarkId::new("event/message", size), |b| {
                b.iter(|| assert!(black_box(event::message(black_box(&text[..len]))).is_some()));
            });
        }
        group.finish();
    }
}

fn names(c: &mut Criterion) {
    let mut group = c.benchmark_group("channel/name");
    for (kind, name) in [("ascii", CHANNEL), ("unicode", "цены.дня.日本")] {
        group.throughput(Throughput::Bytes(name.len() as u64));
        group.bench_function(kind, |b| {
            b.iter(|| assert!(name::check(black_box(name)).is_ok()));
        });
    }
    group.finish();
}

criterion_group!(benches, decode, encode, names);
criterion_main!(benches);
