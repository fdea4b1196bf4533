//! What decoding costs in instructions and in steps, for ordinary and for hostile messages.
//!
//!     cargo bench --bench json_cost                 the steps for each byte, by message
//!     benches/json-instructions                     the same in instructions, with simd-json beside it
//!
//! The latter runs this under callgrind as `json_cost WHAT`, which decodes all messages once, with WHAT: `decode` or
//! `fill_tape`. It counts what happens in each call of the function `counted_…`.

use std::hint::black_box;

use fanfare::dialect::json::sample::{Kind, Samples};
use fanfare::dialect::json::{Data, Decoder, hostile, request};
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
                request::publish(
                    &mut text,
                    Some(id),
                    CHANNEL,
                    Data::json(data.as_bytes()),
                    None,
                );
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
        .map(|message| Decoder::new().steps(&mut message.clone()))
        .sum();
    steps as f64 / bytes as f64
}

#[expect(clippy::print_stdout, reason = "a bench prints its figures")]
fn main() {
    let groups = groups();
    match std::env::args().nth(1).as_deref() {
        Some("decode") => {
            for mut message in groups.into_iter().flat_map(|(_, messages)| messages) {
                counted_decode(&mut message);
            }
        }
        Some("fill_tape") => {
            let mut memory = (Buffers::new(2 * hostile::BYTES), Tape::null());
            for mut message in groups.into_iter().flat_map(|(_, messages)| messages) {
                memory = counted_fill_tape(&mut message, memory.0, memory.1);
            }
        }
        _ => {
            for (name, messages) in &groups {
                let bytes: usize = messages.iter().map(Vec::len).sum();
                let steps = steps_per_byte(messages);
                println!("{}\t{bytes}\t{steps:.2}\t{name}", messages.len());
            }
        }
    }
}

#[inline(never)]
fn counted_decode(message: &mut [u8]) {
    drop(black_box(Decoder::new().decode(message)));
}

#[inline(never)]
fn counted_fill_tape(
    message: &mut [u8],
    mut buffers: Buffers,
    tape: Tape<'static>,
) -> (Buffers, Tape<'static>) {
    let mut filled = tape.reset();
    drop(black_box(simd_json::fill_tape(
        message,
        &mut buffers,
        &mut filled,
    )));
    black_box(&filled);
    (buffers, filled.reset())
}
