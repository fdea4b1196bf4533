//! Strings, passed eight bytes or more at a time: what is in them must be plain text or an escape that JSON knows.

use super::fault::{Fault, What};
use super::meter::Meter;
use super::walk::{HIGH, ONES, peek, word};

/// The high bit of each byte that ends a string's plain part: a quote, a backslash or a control character. Exact up to
/// the first of them.
#[inline(always)]
const fn special(word: u64) -> u64 {
    let quotes = (word ^ (ONES * 0x22)).wrapping_sub(ONES);
    let backslashes = (word ^ (ONES * 0x5C)).wrapping_sub(ONES);
    let controls = word.wrapping_sub(ONES * 0x20);
    (quotes | backslashes | controls) & !word & HIGH
}

#[inline(always)]
const fn is_special(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | 0..0x20)
}

/// [`is_special`] as a table, which is the shortest way to look at single bytes.
static SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = is_special(byte as u8);
        byte += 1;
    }
    table
};

/// Passes a string from behind its opening quote to behind its closing one, and says whether it has escapes.
#[inline(always)]
pub(super) fn string(
    text: &[u8],
    mut at: usize,
    meter: &mut impl Meter,
) -> Result<(usize, bool), Fault> {
    meter.add(8);
    let first = peek(text, at);
    if first == b'"' {
        return Ok((at + 1, false));
    }
    if first == b'\\' {
        return escaped_string(text, at, meter);
    }
    if let Some(word) = word(text, at) {
        meter.add(32);
        let found = special(word);
        at += found.trailing_zeros() as usize / 8;
        if found != 0 && peek(text, at) == b'"' {
            return Ok((at + 1, false));
        }
    }
    long_string(text, at, meter)
}

/// Passes a string that begins with an escape.
#[inline(never)]
fn escaped_string(text: &[u8], at: usize, meter: &mut impl Meter) -> Result<(usize, bool), Fault> {
    meter.add(20);
    let at = escapes(text, at, meter)?;
    if peek(text, at) == b'"' {
        return Ok((at + 1, true));
    }
    let (end, _) = long_string(text, at, meter)?;
    Ok((end, true))
}

/// Passes the rest of a string that has more than eight bytes, or something other than plain text in them.
#[inline(never)]
fn long_string(text: &[u8], mut at: usize, meter: &mut impl Meter) -> Result<(usize, bool), Fault> {
    let mut escaped = false;
    meter.add(40);
    loop {
        meter.add(6);
        match text.get(at) {
            Some(b'"') => return Ok((at + 1, escaped)),
            Some(b'\\') => {
                escaped = true;
                at = escapes(text, at, meter)?;
            }
            Some(0..0x20) => return Err(Fault::new(What::Control, at)),
            Some(_) => at = plain(text, at + 1, meter),
            None => return Err(Fault::new(What::Unclosed, at)),
        }
    }
}

/// Where the plain text ends that begins at `at`.
#[inline(always)]
fn plain(text: &[u8], mut at: usize, meter: &mut impl Meter) -> usize {
    meter.add(5);
    loop {
        // Two words, then as much as the machine's vectors take.
        for _ in 0..2 {
            let Some(word) = word(text, at) else {
                let rest = text.get(at..).unwrap_or_default();
                return at + rest.iter().take_while(|byte| !is_special(**byte)).count();
            };
            meter.add(24);
            let found = special(word);
            at += found.trailing_zeros() as usize / 8;
            if found != 0 {
                return at;
            }
        }
        while let Some(chunk) = text.get(at..).and_then(<[u8]>::first_chunk::<32>) {
            meter.add(46);
            if has_special(chunk) {
                break;
            }
            at += 32;
        }
    }
}

/// Whether any byte of a chunk is special, without a branch, so that it is done by vectors.
#[inline(always)]
fn has_special(chunk: &[u8; 32]) -> bool {
    let mut found = 0;
    for &byte in chunk {
        found |= u8::from(byte == b'"') | u8::from(byte == b'\\') | u8::from(byte < 0x20);
    }
    found != 0
}

/// Passes the escape at `at`, and those that follow it at once or nearly so.
#[inline(always)]
fn escapes(text: &[u8], mut at: usize, meter: &mut impl Meter) -> Result<usize, Fault> {
    loop {
        meter.add(29);
        at += escape_len(text, at, meter).ok_or(Fault::new(What::Escape, at))?;
        let near = at + 4;
        while at < near && !SPECIAL[usize::from(peek(text, at))] {
            meter.add(8);
            at += 1;
        }
        if peek(text, at) != b'\\' {
            return Ok(at);
        }
    }
}

/// The length of the escape at `at`, `None` if JSON does not know it.
#[inline(always)]
fn escape_len(text: &[u8], at: usize, meter: &mut impl Meter) -> Option<usize> {
    match peek(text, at + 1) {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(2),
        b'u' => {
            meter.add(26);
            match unit(text, at)? {
                0xD800..=0xDBFF => {
                    meter.add(26);
                    matches!(unit(text, at + 6)?, 0xDC00..=0xDFFF).then_some(12)
                }
                0xDC00..=0xDFFF => None,
                _ => Some(6),
            }
        }
        _ => None,
    }
}

/// The UTF-16 unit that the `\uXXXX` at `at` stands for.
#[inline(always)]
pub(super) fn unit(text: &[u8], at: usize) -> Option<u32> {
    let [b'\\', b'u', digits @ ..] = text.get(at..)?.first_chunk::<6>()? else {
        return None;
    };
    let [a, b, c, d] = digits.map(|digit| HEX[usize::from(digit)]);
    let unit = a << 12 | b << 8 | c << 4 | d;
    (unit <= 0xFFFF).then_some(unit)
}

/// The character below U+0100 that the `\u00XX` at `at` stands for.
#[inline(always)]
pub(super) fn low_unit(text: &[u8], at: usize) -> Option<u8> {
    let [b'\\', b'u', b'0', b'0', digits @ ..] = text.get(at..)?.first_chunk::<6>()? else {
        return None;
    };
    let [high, low] = digits.map(|digit| HEX[usize::from(digit)]);
    u8::try_from(high << 4 | low).ok()
}

/// What a hexadecimal digit counts, and for other bytes what makes any unit too large.
static HEX: [u32; 256] = {
    let mut table = [1 << 16; 256];
    let mut value = 0;
    while value < 16 {
        let digit = b"0123456789abcdef"[value];
        table[digit as usize] = value as u32;
        table[digit.to_ascii_uppercase() as usize] = value as u32;
        value += 1;
    }
    table
};
