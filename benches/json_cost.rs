//! What decoding costs in instructions and in steps, for ordinary and for hostile messages.
//!
//!     cargo bench --bench json_cost                 the steps for each byte, by message
//!     benches/json-instructions                     the same in instructions, with simd-json beside it
//!
//! The latter runs this under callgrind as `json_cost WHAT NUMBER COUNT`: that decodes message NUMBER COUNT times with
//! WHAT, which is `decode`, `fill_tape` or `nothing`.

use std::hint::black_box;

use fanfare::dialect::json::sample::{Kind, Samples};
use fanfare::dialect::json::{Decoder, hostile, request};
use simd_json::{Buffers, Tape};

const CHANNEL: &str = "prices.EURUSD";

/// Of each ordinary kind and size there are so many different messages.
const VARIETY: u64 = 8;

/// Messages of one kind, with its name.
fn groups() -> Vec<(String, Vec<Vec<u8>>)> {
    let ordinary = Kind::ALL.into_iter().flat_map(|kind| {
        kind.sizes().iter().map(move |&size| {
            let mut samples = Samples::new(1);
            let messages = (0..VARIETY).map(|id| {
                let mut text = Vec::new();
                let data = samples.next(kind, size);
                request::publish(&mut text, Some(id), CHANNEL, data.as_bytes());
                text
            });
            (format!("{} {size}", kind.name()), messages.collect())
        })
    });
    let hostile = hostile::shapes()
        .into_iter()
        .map(|shape| (shape.name(), vec![shape.message()]));
    ordinary.chain(hostile).collect()
}

fn steps_per_byte(messages: &[Vec<u8>]) -> f64 {
    let bytes: usize = messages.iter().map(Vec::len).sum();
    let steps: u64 = messages
        .iter()
        .map(|message| Decoder::new().steps(&mut message.clone(), message.len()))
        .sum();
    steps as f64 / bytes as f64
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, number, count] = &arguments[..] else {
        for (number, (name, messages)) in groups().iter().enumerate() {
            let bytes: usize = messages.iter().map(Vec::len).sum();
            println!("{number}\t{bytes}\t{:.2}\t{name}", steps_per_byte(messages));
        }
        return;
    };
    let number: usize = number.parse().expect("a number");
    let count: usize = count.parse().expect("a count");
    let (_, messages) = groups().swap_remove(number);
    let mut decoder = Decoder::new();
    let mut buffers = Buffers::new(0);
    let mut tape = Tape::null();
    let mut room: Vec<u8> = Vec::with_capacity(hostile::BYTES + 1024);
    for _ in 0..count {
        for message in &messages {
            room.clear();
            room.extend_from_slice(message);
            let len = room.len();
            match &**what {
                "decode" => drop(black_box(decoder.decode(&mut room, len))),
                "fill_tape" => {
                    let mut filled = std::mem::replace(&mut tape, Tape(Vec::new())).reset();
                    drop(black_box(simd_json::fill_tape(
                        &mut room,
                        &mut buffers,
                        &mut filled,
                    )));
                    black_box(&filled);
                    tape = filled.reset();
                }
                _ => drop(black_box(&mut room)),
            }
        }
    }
}
