//! Strings, passed eight bytes or more at a time: what is in them must be plain text or an escape that JSON knows.

use super::bytes::{HIGH, ONES, peek, word};
use super::fault::{Fault, What};
use super::meter::Meter;

/// The high bit of each byte that ends a string's plain part: a quote, a backslash or a control character. Exact up to
/// the first of them.
#[inline(always)]
pub(super) const fn special(word: u64) -> u64 {
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

/// How a string was passed: where it ends and whether it has escapes, or what is wrong with it. It is one number, which
/// fits into a register.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Passed(usize);

impl Passed {
    /// This bit is set if something is wrong. Those below it say what, …
    const WRONG: u32 = usize::BITS - 1;
    /// … and those below this one say where.
    const WHAT: u32 = usize::BITS - 3;

    #[inline(always)]
    pub(super) const fn new(end: usize, escaped: bool) -> Self {
        Self(end << 1 | escaped as usize)
    }

    const CONTROL: usize = 0b100 << Self::WHAT;
    const ESCAPE: usize = 0b101 << Self::WHAT;
    const UNCLOSED: usize = 0b110 << Self::WHAT;

    /// Behind its closing quote.
    #[inline(always)]
    pub(super) const fn end(self) -> usize {
        self.0 >> 1
    }

    #[inline(always)]
    pub(super) const fn escaped(self) -> bool {
        self.0 & 1 != 0
    }

    #[inline(always)]
    pub(super) fn good(self) -> Result<Self, Fault> {
        if self.0 >> Self::WRONG == 0 {
            return Ok(self);
        }
        Err(self.fault())
    }

    #[cold]
    const fn fault(self) -> Fault {
        let at = self.0 & !(usize::MAX << Self::WHAT);
        let what = match self.0 - at {
            Self::CONTROL => What::Control,
            Self::ESCAPE => What::Escape,
            _ => What::Unclosed,
        };
        Fault::new(what, at)
    }
}

/// Passes a string from behind its opening quote to behind its closing one.
#[inline(always)]
pub(super) fn string(text: &[u8], mut at: usize, meter: &mut impl Meter) -> Result<Passed, Fault> {
    meter.add(8);
    let mut next = peek(text, at);
    if next == b'"' {
        return Ok(Passed::new(at + 1, false));
    }
    if next != b'\\'
        && let Some(word) = word(text, at)
    {
        meter.add(32);
        let found = special(word);
        if found == 0 {
            return long_string(text, at + 8, false, meter).good();
        }
        let plain = found.trailing_zeros() & !7;
        at += plain as usize / 8;
        next = (word >> plain) as u8;
        if next == b'"' {
            return Ok(Passed::new(at + 1, false));
        }
    }
    let passed = match next {
        b'\\' => escaped_string(text, at, meter),
        _ => long_string(text, at, false, meter),
    };
    passed.good()
}

/// Passes the rest of a string from an escape on. Most often it is a short one, which may end at once.
#[inline(never)]
pub(super) fn escaped_string(text: &[u8], at: usize, meter: &mut impl Meter) -> Passed {
    const NEAR: usize = 4;
    meter.add(24);
    let mut escape = at;
    loop {
        meter.add(14);
        if !SHORT[usize::from(peek(text, escape + 1))] {
            break;
        }
        let mut end = escape + 2;
        let mut next = peek(text, end);
        for _ in 0..NEAR {
            if SPECIAL[usize::from(next)] {
                break;
            }
            meter.add(6);
            end += 1;
            next = peek(text, end);
        }
        if next == b'"' {
            return Passed::new(end + 1, true);
        }
        if next != b'\\' {
            break;
        }
        escape = end;
    }
    more_escapes(text, escape, meter)
}

/// [`escaped_string`] for longer strings.
#[inline(never)]
fn more_escapes(text: &[u8], at: usize, meter: &mut impl Meter) -> Passed {
    meter.add(20);
    let (at, next) = escapes(text, at, meter);
    match next {
        b'"' => Passed::new(at + 1, true),
        b'\\' => Passed(Passed::ESCAPE | at),
        _ => long_string(text, at, true, meter),
    }
}

/// Passes the rest of a string that has more than eight bytes, or something other than plain text in them. `escaped` if
/// it had escapes before.
#[inline(never)]
pub(super) fn long_string(
    text: &[u8],
    mut at: usize,
    mut escaped: bool,
    meter: &mut impl Meter,
) -> Passed {
    meter.add(40);
    loop {
        meter.add(6);
        match text.get(at) {
            Some(b'"') => return Passed::new(at + 1, escaped),
            Some(b'\\') => {
                escaped = true;
                let next;
                (at, next) = escapes(text, at, meter);
                if next == b'\\' {
                    return Passed(Passed::ESCAPE | at);
                }
            }
            Some(0..0x20) => return Passed(Passed::CONTROL | at),
            Some(_) => at = plain(text, at + 1, meter),
            None => return Passed(Passed::UNCLOSED | at),
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

/// Passes the escape at `at`, and those that follow it at once or nearly so, and says what follows them. It is a
/// backslash only if that is no escape that JSON knows.
#[inline(always)]
fn escapes(text: &[u8], mut at: usize, meter: &mut impl Meter) -> (usize, u8) {
    loop {
        meter.add(20);
        let Some(len) = escape_len(text, at, meter) else {
            return (at, b'\\');
        };
        at += len;
        let mut next = peek(text, at);
        if !SPECIAL[usize::from(next)]
            && let Some(word) = word(text, at)
        {
            meter.add(24);
            at += special(word).trailing_zeros() as usize / 8;
            next = peek(text, at);
        }
        if next != b'\\' {
            return (at, next);
        }
    }
}

/// Whether a byte and the backslash before it are an escape.
static SHORT: [bool; 256] = {
    let mut table = [false; 256];
    let mut at = 0;
    while at < 8 {
        table[b"\"\\/bfnrt"[at] as usize] = true;
        at += 1;
    }
    table
};

/// The length of the escape at `at`, `None` if JSON does not know it.
#[inline(always)]
fn escape_len(text: &[u8], at: usize, meter: &mut impl Meter) -> Option<usize> {
    if SHORT[usize::from(peek(text, at + 1))] {
        return Some(2);
    }
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
