//! One pass over a JSON text that checks it and finds where its values stand.
//!
//! The daemon relays `data` as it was written and never needs its values. So the walk builds nothing: it holds a
//! position and 64 bits for the brackets that are open, whatever the text is, and it visits each byte once. Strings,
//! white space and digits are passed eight bytes or more at a time. What a text may cost is bounded by its length; see
//! [`meter`](super::meter).

use super::fault::{Fault, What};
use super::meter::Meter;
use super::number::{SAFE_DIGITS, number};
use super::strings::string;
use super::{Id, MAX_WHOLE_NUMBER};

/// Where a string's text stands, without its quotes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Text {
    pub(super) start: usize,
    pub(super) end: usize,
    /// It has escapes.
    pub(super) escaped: bool,
}

impl Text {
    /// The text of a string, as it stands in the message: UTF-8, whose quotes are in no character's middle. To check it
    /// again costs less than to carry the proof.
    pub(super) fn as_str(self, text: &[u8]) -> &str {
        let bytes = text.get(self.start..self.end).unwrap_or_default();
        str::from_utf8(bytes).unwrap_or_default()
    }
}

/// Where a value stands, without the white space around it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Value {
    pub(super) start: usize,
    pub(super) end: usize,
    /// It is a string with escapes.
    pub(super) escaped: bool,
}

impl Value {
    /// The value as it was written.
    pub(super) fn raw<'t>(&self, text: &'t [u8]) -> &'t [u8] {
        text.get(self.start..self.end).unwrap_or_default()
    }

    /// The value if it is a whole number from 0 to 2^53 - 1, written without sign, fraction and exponent.
    pub(super) fn as_whole_number(&self, text: &[u8]) -> Option<u64> {
        let number = Id(self.raw(text)).as_number()?;
        (number <= MAX_WHOLE_NUMBER).then_some(number)
    }

    /// What stands between the quotes, if the value is a string.
    pub(super) fn as_text(&self, text: &[u8]) -> Option<Text> {
        (peek(text, self.start) == b'"').then(|| Text {
            start: self.start + 1,
            end: self.end - 1,
            escaped: self.escaped,
        })
    }
}

/// The byte at `at`. The text's end reads as NUL, which is no part of JSON either.
#[inline(always)]
pub(super) fn peek(text: &[u8], at: usize) -> u8 {
    match text.get(at) {
        Some(&byte) => byte,
        None => 0,
    }
}

/// The eight bytes from `at` on, the first of them lowest. `None` near the text's end.
#[inline(always)]
pub(super) fn word(text: &[u8], at: usize) -> Option<u64> {
    let bytes = text.get(at..)?.first_chunk()?;
    Some(u64::from_le_bytes(*bytes))
}

/// How a value begins.
#[derive(Clone, Copy)]
enum Begins {
    Nothing,
    White,
    String,
    Number,
    Array,
    Object,
    True,
    False,
    Null,
}

static BEGINS: [Begins; 256] = {
    let mut table = [Begins::Nothing; 256];
    let mut digit = b'0';
    while digit <= b'9' {
        table[digit as usize] = Begins::Number;
        digit += 1;
    }
    table[b' ' as usize] = Begins::White;
    table[b'\t' as usize] = Begins::White;
    table[b'\n' as usize] = Begins::White;
    table[b'\r' as usize] = Begins::White;
    table[b'"' as usize] = Begins::String;
    table[b'-' as usize] = Begins::Number;
    table[b'[' as usize] = Begins::Array;
    table[b'{' as usize] = Begins::Object;
    table[b't' as usize] = Begins::True;
    table[b'f' as usize] = Begins::False;
    table[b'n' as usize] = Begins::Null;
    table
};

/// Whether a number can go on with a byte.
static GOES_ON: [bool; 256] = {
    let mut table = [false; 256];
    let mut digit = b'0';
    while digit <= b'9' {
        table[digit as usize] = true;
        digit += 1;
    }
    table[b'.' as usize] = true;
    table[b'e' as usize] = true;
    table[b'E' as usize] = true;
    table
};

/// How many levels of brackets are left: as many as there are zeros above the ones.
#[derive(Clone, Copy)]
pub(super) struct Levels(u64);

impl Levels {
    /// So many, from 1 to 63.
    pub(super) const fn new(levels: usize) -> Self {
        assert!(0 < levels && levels < 64, "it has to fit");
        Self(u64::MAX >> levels)
    }
}

/// Reads a text from its start to its end.
pub(super) struct Walker<'t, 'm, M> {
    text: &'t [u8],
    at: usize,
    meter: &'m mut M,
}

impl<'t, 'm, M: Meter> Walker<'t, 'm, M> {
    /// At the start of `text`.
    pub(super) fn new(text: &'t [u8], meter: &'m mut M) -> Self {
        Self { text, at: 0, meter }
    }

    /// The text.
    pub(super) fn text(&self) -> &'t [u8] {
        self.text
    }

    /// The next byte that is not white space, NUL at the end.
    #[inline(always)]
    pub(super) fn peek(&mut self) -> u8 {
        self.meter.add(5);
        let byte = peek(self.text, self.at);
        if byte > b' ' {
            return byte;
        }
        if !is_white(byte) {
            return byte;
        }
        let next;
        (self.at, next) = some_white(self.text, self.at, self.meter);
        next
    }

    /// Passes one value of at most `levels` levels.
    #[inline(always)]
    pub(super) fn value(&mut self, levels: Levels) -> Result<Value, Fault> {
        let first = self.peek();
        let (text, start) = (self.text, self.at);
        let mut escaped = false;
        self.at = match BEGINS[usize::from(first)] {
            Begins::String => {
                let end;
                (end, escaped) = string(text, start + 1, self.meter)?;
                end
            }
            Begins::Number if !GOES_ON[usize::from(peek(text, start + 1))] && first != b'-' => {
                self.meter.add(9);
                start + 1
            }
            Begins::Array if peek(text, start + 1) == b']' => start + 2,
            Begins::Object if peek(text, start + 1) == b'}' => start + 2,
            _ => nested(text, start, levels, false, self.meter)?,
        };
        let end = self.at;
        Ok(Value {
            start,
            end,
            escaped,
        })
    }

    /// Passes an object, at whose `{` the walk is. `member` is told each key and has to pass its value.
    #[inline(always)]
    pub(super) fn members(
        &mut self,
        mut member: impl FnMut(&mut Self, Text) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.at += 1;
        let mut next = self.peek();
        if next == b'}' {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.meter.add(55);
            if next != b'"' {
                return Err(Fault::new(What::Key, self.at));
            }
            let start = self.at + 1;
            let (end, escaped) = string(self.text, start, self.meter)?;
            self.at = end;
            if escaped {
                self.meter.add(12 * (end - start) as u64);
            }
            if self.peek() != b':' {
                return Err(Fault::new(What::Colon, self.at));
            }
            self.at += 1;
            let end = end - 1;
            member(
                self,
                Text {
                    start,
                    end,
                    escaped,
                },
            )?;
            let after = self.peek();
            match after {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(Fault::new(What::InObject, self.at)),
            }
            next = self.peek();
        }
    }

    /// Passes a value that is no object, of one level more than `levels`.
    pub(super) fn no_object(&mut self, levels: Levels) -> Result<(), Fault> {
        if self.peek() != b'[' {
            return self.value(levels).map(|_| ());
        }
        self.at += 1;
        if self.peek() == b']' {
            self.at += 1;
            return Ok(());
        }
        self.at = nested(self.text, self.at, levels, true, self.meter)?;
        Ok(())
    }

    /// Checks that nothing but white space is left.
    #[inline]
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        self.peek();
        if self.at < self.text.len() {
            return Err(Fault::new(What::Trailing, self.at));
        }
        Ok(())
    }
}

/// Passes the value at `at`, of at most `levels` levels, and returns where it ends. With `in_array` the values
/// that follow it in an array are passed as well, up to that array's end.
///
/// The open brackets are bits, the innermost lowest: 1 for an object, 0 for an array. Below them are ones, so many that
/// the topmost bit is set when no level is left.
#[inline(never)]
fn nested(
    text: &[u8],
    mut at: usize,
    levels: Levels,
    in_array: bool,
    meter: &mut impl Meter,
) -> Result<usize, Fault> {
    const FULL: u64 = 1 << 63;
    let bottom = levels.0;
    let mut open = bottom;
    let mut next = peek(text, at);
    meter.add(50);
    loop {
        meter.add(13);
        match BEGINS[usize::from(next)] {
            Begins::Number => {
                let digit = at + usize::from(next == b'-');
                (at, next) = short_number(text, at, digit, meter)?;
            }
            Begins::String => {
                (at, _) = string(text, at + 1, meter)?;
                next = peek(text, at);
            }
            Begins::Array => {
                if open & FULL != 0 {
                    return Err(Fault::new(What::Depth, at));
                }
                meter.add(7);
                at += 1;
                next = peek(text, at);
                if next <= b' ' {
                    at = white(text, at, meter);
                    next = peek(text, at);
                }
                if next != b']' {
                    open <<= 1;
                    continue;
                }
                at += 1;
                next = peek(text, at);
            }
            Begins::Object => {
                if open & FULL != 0 {
                    return Err(Fault::new(What::Depth, at));
                }
                meter.add(7);
                at += 1;
                next = peek(text, at);
                if next <= b' ' {
                    at = white(text, at, meter);
                    next = peek(text, at);
                }
                if next != b'}' {
                    open = open << 1 | 1;
                    at = key(text, at, meter)?;
                    next = peek(text, at);
                    continue;
                }
                at += 1;
                next = peek(text, at);
            }
            Begins::White => {
                (at, next) = some_white(text, at, meter);
                continue;
            }
            Begins::True => {
                at = literal(text, at, b"true", meter)?;
                next = peek(text, at);
            }
            Begins::Null => {
                at = literal(text, at, b"null", meter)?;
                next = peek(text, at);
            }
            Begins::False => {
                at = literal(text, at, b"false", meter)?;
                next = peek(text, at);
            }
            Begins::Nothing => return Err(Fault::new(What::Value, at)),
        }
        // A value has ended. What is open goes on, or it ends with it.
        loop {
            meter.add(13);
            if open & 1 == 0 {
                if next == b',' {
                    at += 1;
                    next = peek(text, at);
                    break;
                }
                if next == b']' {
                    open >>= 1;
                    at += 1;
                    next = peek(text, at);
                    continue;
                }
                if !is_white(next) {
                    return Err(Fault::new(What::InArray, at));
                }
                (at, next) = some_white(text, at, meter);
            } else {
                if open == bottom {
                    if !in_array {
                        return Ok(at);
                    }
                    match next {
                        b',' => {
                            at += 1;
                            next = peek(text, at);
                            break;
                        }
                        b']' => return Ok(at + 1),
                        _ if is_white(next) => {
                            (at, next) = some_white(text, at, meter);
                            continue;
                        }
                        _ => return Err(Fault::new(What::InArray, at)),
                    }
                }
                if next == b',' {
                    at += 1;
                    if peek(text, at) <= b' ' {
                        at = white(text, at, meter);
                    }
                    at = key(text, at, meter)?;
                    next = peek(text, at);
                    break;
                }
                if next == b'}' {
                    open >>= 1;
                    at += 1;
                    next = peek(text, at);
                    continue;
                }
                if !is_white(next) {
                    return Err(Fault::new(What::InObject, at));
                }
                (at, next) = some_white(text, at, meter);
            }
        }
    }
}

/// Passes the white space at `at`, of which there is some, and says what follows it. Nearly always it is one space.
#[inline(always)]
fn some_white(text: &[u8], mut at: usize, meter: &mut impl Meter) -> (usize, u8) {
    meter.add(6);
    at += 1;
    let mut next = peek(text, at);
    if next <= b' ' {
        at = white(text, at, meter);
        next = peek(text, at);
    }
    (at, next)
}

/// Passes the number at `start`, whose first digit is at `digit`, and says what follows it.
#[inline(always)]
fn short_number(
    text: &[u8],
    start: usize,
    digit: usize,
    meter: &mut impl Meter,
) -> Result<(usize, u8), Fault> {
    let mut at = digit + 1;
    let mut next = peek(text, at);
    meter.add(14);
    if start != digit && !peek(text, digit).is_ascii_digit() {
        return Err(Fault::new(What::Digit, digit));
    }
    if GOES_ON[usize::from(next)] {
        // Whole numbers are short. To go digit by digit is the shortest way through them.
        if peek(text, digit) != b'0' {
            while next.is_ascii_digit() {
                meter.add(8);
                at += 1;
                next = peek(text, at);
            }
        }
        meter.add(10);
        if GOES_ON[usize::from(next)] || at - start > SAFE_DIGITS {
            at = number(text, start, at, meter)?;
            next = peek(text, at);
        }
    }
    Ok((at, next))
}

/// Passes a key and its colon.
#[inline(always)]
fn key(text: &[u8], at: usize, meter: &mut impl Meter) -> Result<usize, Fault> {
    meter.add(7);
    if peek(text, at) != b'"' {
        return Err(Fault::new(What::Key, at));
    }
    let (mut at, _) = string(text, at + 1, meter)?;
    let mut next = peek(text, at);
    if next <= b' ' {
        at = white(text, at, meter);
        next = peek(text, at);
    }
    if next != b':' {
        return Err(Fault::new(What::Colon, at));
    }
    Ok(at + 1)
}

#[inline(always)]
fn literal<const N: usize>(
    text: &[u8],
    at: usize,
    literal: &[u8; N],
    meter: &mut impl Meter,
) -> Result<usize, Fault> {
    meter.add(8);
    match text.get(at..at + N) {
        Some(bytes) if bytes == literal => Ok(at + N),
        _ => Err(Fault::new(What::Value, at)),
    }
}

/// Where the white space ends that begins at `at`, if there is any.
#[inline(never)]
fn white(text: &[u8], mut at: usize, meter: &mut impl Meter) -> usize {
    // Most of it is one space, or a line's end and what indents the next.
    const NEAR: usize = 2;
    let near = at + NEAR;
    meter.add(6);
    while at < near {
        meter.add(8);
        if !is_white(peek(text, at)) {
            return at;
        }
        at += 1;
    }
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

/// What JSON calls white space, which is less than ASCII does.
#[inline(always)]
const fn is_white(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// A one in each byte.
pub(super) const ONES: u64 = 0x0101_0101_0101_0101;
/// The high bit of each byte.
pub(super) const HIGH: u64 = ONES << 7;

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
