//! White space.

use super::bytes::{HIGH, ONES, peek, word};
use super::meter::Meter;

/// What JSON calls white space, which is less than ASCII does.
pub(super) const fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// [`is_white`] as a table, which is the shortest way to look at single bytes.
static WHITE: [bool; 256] = {
    let mut table = [false; 256];
    table[b' ' as usize] = true;
    table[b'\t' as usize] = true;
    table[b'\n' as usize] = true;
    table[b'\r' as usize] = true;
    table
};

/// Passes the white space at `at`, of which there is some, and says what follows it. Nearly always it is one space.
#[inline(always)]
pub(super) fn some_white(text: &[u8], mut at: usize, meter: &mut impl Meter) -> (usize, u8) {
    meter.add(6);
    at += 1;
    let mut next = peek(text, at);
    if next <= b' ' {
        at = white(text, at, meter);
        next = peek(text, at);
    }
    (at, next)
}

/// Where the white space ends that begins at `at`, if there is any.
#[inline(never)]
pub(super) fn white(text: &[u8], mut at: usize, meter: &mut impl Meter) -> usize {
    // Most of it is one space, or a line's end and what indents the next.
    const NEAR: usize = 4;
    meter.add(8);
    if peek(text, at) == b' ' {
        at += 1;
        if peek(text, at) > b' ' {
            return at;
        }
    }
    let near = at + NEAR;
    meter.add(6);
    while at < near {
        meter.add(7);
        if !WHITE[usize::from(peek(text, at))] {
            return at;
        }
        at += 1;
    }
    much_white(text, at, meter)
}

/// Where much white space ends.
#[inline(never)]
fn much_white(text: &[u8], mut at: usize, meter: &mut impl Meter) -> usize {
    meter.add(8);
    while let Some(word) = word(text, at) {
        meter.add(24);
        let others = not_white(word);
        at += others.trailing_zeros() as usize / 8;
        if others != 0 {
            return at;
        }
    }
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|byte| is_white(**byte)).count()
}

/// The high bit of each byte that is not white space, exact up to the first of them.
#[inline(always)]
const fn not_white(word: u64) -> u64 {
    let spaces = word ^ (ONES * 0x20);
    let line_feeds = word ^ (ONES * 0x0A);
    // These two differ in one bit.
    let tabs_and_returns = (word & !(ONES * 0x04)) ^ (ONES * 0x09);
    not_zero(spaces) & not_zero(line_feeds) & not_zero(tabs_and_returns) & HIGH
}

/// The high bit of each byte that is not zero; the other bits mean nothing.
#[inline(always)]
const fn not_zero(word: u64) -> u64 {
    ((word & !HIGH) + !HIGH) | word
}
