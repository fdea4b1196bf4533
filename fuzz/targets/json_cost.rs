//! Hunts for the message whose bytes cost most to decode, in the decoder's own steps, which follow its instructions
//! (`benches/json-instructions` shows how closely). A message costs more than it may if a byte of it takes more than
//! [`MOST`] steps.
//!
//! An input is tiled: its first two bytes say how much of the rest is the beginning and the end of the message, and what
//! is between them is repeated until the message is 64 KiB long. So a few bytes can be any kind of long message.

#![no_main]

use std::hint::black_box;

use fanfare::dialect::json::Decoder;
use libfuzzer_sys::fuzz_target;

const BYTES: usize = 64 * 1024;

/// Steps for a byte of such a message: see `docs/performance.md`.
const MOST: u64 = 25;

fn message(input: &[u8]) -> Option<Vec<u8>> {
    let (&[start, end], rest) = input.split_first_chunk()?;
    let (start, rest) = rest.split_at_checked(start.into())?;
    let (unit, end) = rest.split_at_checked(rest.len().checked_sub(end.into())?)?;
    if unit.is_empty() {
        return None;
    }
    let room = BYTES.checked_sub(start.len() + end.len())?;
    Some([start, &unit.repeat(room / unit.len()), end].concat())
}

/// Leads the fuzzer uphill: every rung that an input reaches for the first time is code that it had not covered.
macro_rules! climb {
    ($height:expr, $($rung:literal)*) => {
        $(if $height >= $rung {
            black_box($rung);
        })*
    };
}

fuzz_target!(|input: &[u8]| {
    let Some(mut message) = message(input) else {
        return;
    };
    let len = message.len();
    let steps = Decoder::new().steps(&mut message);
    let halves = 2 * steps / len as u64;
    climb!(halves,
        1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36
        37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64 65 66 67 68 69 70
        71 72 73 74 75 76 77 78 79 80
    );
    assert!(
        halves <= 2 * MOST,
        "{} steps for a byte",
        halves as f64 / 2.0
    );
});
