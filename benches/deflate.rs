//! What permessage-deflate costs and saves, by the size of the message: where `ws::deflate::WORTH_DEFLATING` comes from.
//!
//! The messages are what the daemon sends: the JSON envelope with data that looks like prices, chat, telemetry or
//! orders. First the sizes are printed, then the times are taken; divided, they say what a saved byte costs.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fanfare::ws::deflate::{Deflater, Inflater, WindowBits};

const LEVELS: [u32; 3] = [1, 2, 6];
const SIZES: [usize; 10] = [64, 100, 128, 160, 200, 256, 400, 618, 1024, 4096];

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn under(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % limit
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.under(from.len() as u64) as usize]
    }
}

const WORDS: [&str; 24] = [
    "the", "match", "starts", "in", "ten", "minutes", "who", "is", "there", "see", "you", "later",
    "great", "goal", "and", "not", "quite", "what", "I", "expected", "maybe", "tomorrow", "build",
    "failed",
];

/// One thing of the kind that `kind` says.
fn item(kind: usize, dice: &mut Dice) -> String {
    match kind {
        0 => format!(
            r#"{{"symbol":"{}","bid":{}.{:02},"ask":{}.{:02},"ts":{}}}"#,
            dice.pick(&["EURUSD", "AAPL", "BTC-USD", "MSFT"]),
            dice.under(900),
            dice.under(100),
            dice.under(900),
            dice.under(100),
            1_790_000_000_000 + dice.under(100_000_000),
        ),
        1 => {
            let words: Vec<_> = (0..4 + dice.under(12)).map(|_| dice.pick(&WORDS)).collect();
            format!(
                r#"{{"from":"user{}","text":"{}","at":{}}}"#,
                dice.under(10_000),
                words.join(" "),
                1_790_000_000 + dice.under(100_000),
            )
        }
        2 => format!(
            r#"{{"sensor":"hall-{}/rack-{}","temp":{}.{},"rpm":{},"ok":{}}}"#,
            dice.under(9),
            dice.under(40),
            20 + dice.under(60),
            dice.under(10),
            dice.under(5000),
            dice.pick(&["true", "false"]),
        ),
        _ => format!(
            r#"{{"order":"{:016x}","status":"{}","items":[{{"sku":"{:08x}","quantity":{}}}],"total":{}}}"#,
            dice.under(u64::MAX),
            dice.pick(&["created", "paid", "shipped"]),
            dice.under(1 << 32),
            1 + dice.under(5),
            dice.under(100_000),
        ),
    }
}

/// `count` messages of about `size` bytes, a quarter of each kind.
fn messages(size: usize, count: usize) -> Vec<Vec<u8>> {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    (0..count)
        .map(|seq| {
            let mut data = item(seq % 4, &mut dice);
            let envelope = |data: &str| {
                format!(
                    r#"{{"type":"message","channel":"room.{}","seq":{seq},"data":{data}}}"#,
                    seq % 4
                )
            };
            if envelope(&data).len() < size {
                while envelope(&data).len() + 2 < size {
                    data.push(',');
                    data.push_str(&item(seq % 4, &mut dice));
                }
                data = format!("[{data}]");
            }
            // A cut message is no JSON, but of exactly the size asked for; to a compressor it is all the same.
            let mut message = envelope(&data).into_bytes();
            message.truncate(size);
            message
        })
        .collect()
}

fn deflated(messages: &[Vec<u8>], deflater: &mut Deflater) -> Vec<Vec<u8>> {
    messages
        .iter()
        .map(|message| {
            let mut out = Vec::new();
            deflater.deflate(message, &mut out);
            out
        })
        .collect()
}

#[allow(
    clippy::print_stdout,
    reason = "a table for whoever runs the benchmark: there is nothing to go on with where it can't be printed"
)]
fn print_savings() {
    println!("plain bytes, and compressed at levels {LEVELS:?} (means of 64 messages)");
    for size in SIZES {
        let messages = messages(size, 64);
        let means = LEVELS.map(|level| {
            let compressed = deflated(&messages, &mut Deflater::new(level, WindowBits::MAX));
            compressed.iter().map(Vec::len).sum::<usize>() / compressed.len()
        });
        println!("{size:5} {means:5?}");
    }
}

fn benches(criterion: &mut Criterion) {
    print_savings();
    let mut group = criterion.benchmark_group("deflate");
    for level in LEVELS {
        let mut deflater = Deflater::new(level, WindowBits::MAX);
        for size in SIZES {
            let messages = messages(size, 64);
            let mut out = Vec::with_capacity(8192);
            let mut next = messages.iter().cycle();
            group.throughput(Throughput::Bytes(size as u64));
            group.bench_function(
                BenchmarkId::new(format!("level {level}"), size),
                |bencher| {
                    bencher.iter(|| {
                        out.clear();
                        if let Some(message) = next.next() {
                            deflater.deflate(black_box(message), &mut out);
                        }
                        out.len()
                    });
                },
            );
        }
    }
    group.finish();

    let mut group = criterion.benchmark_group("inflate");
    for (name, mut inflater) in [
        ("each for itself", Inflater::new()),
        (
            "with takeover",
            Inflater::with_context_takeover(WindowBits::MAX),
        ),
    ] {
        for size in [200, 1024, 4096] {
            let compressed = deflated(&messages(size, 64), &mut Deflater::new(2, WindowBits::MAX));
            let mut out = Vec::with_capacity(8192);
            let mut next = compressed.iter().cycle();
            group.throughput(Throughput::Bytes(size as u64));
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter(|| {
                    out.clear();
                    let message = next.next().map_or(&[][..], |message| message);
                    inflater
                        .inflate(black_box(message), &mut out, 1 << 16)
                        .is_ok()
                });
            });
        }
    }
    group.finish();
}

/// Few and short samples: a ratio of two to one decides here, not one of a hundred to ninety-nine.
fn quick() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_millis(700))
}

criterion_group! {
    name = deflate;
    config = quick();
    targets = benches
}
criterion_main!(deflate);
