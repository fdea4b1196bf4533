//! One pass over a JSON text that checks it and finds where its values stand.
//!
//! The daemon relays `data` as it was written and never needs its values. So the walk builds nothing: it holds a
//! position and 64 bits for the brackets that are open, whatever the text is, and it visits each byte once. Strings,
//! white space and digits are passed eight bytes or more at a time. What a text may cost is bounded by its length; see
//! [`meter`](super::meter).

use super::fault::{Fault, What};
use super::meter::Meter;
use super::number::{negative, number};
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
    Minus,
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
    table[b'-' as usize] = Begins::Minus;
    table[b'[' as usize] = Begins::Array;
    table[b'{' as usize] = Begins::Object;
    table[b't' as usize] = Begins::True;
    table[b'f' as usize] = Begins::False;
    table[b'n' as usize] = Begins::Null;
    table
};

/// Whether a number can go on with a byte.
pub(super) static GOES_ON: [bool; 256] = {
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

/// No more bytes of a key with escapes are read than this: so many a known key takes if each is written as `\u00XX`.
const MAX_KEY_READ: usize = 18 * 6;

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
            Begins::Number if !GOES_ON[usize::from(peek(text, start + 1))] => {
                self.meter.add(9);
                start + 1
            }
            Begins::Number | Begins::Minus => some_number(text, start, self.meter)?,
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
            if escaped && end - start > 7 {
                self.meter.add(12 * (end - start).min(MAX_KEY_READ) as u64);
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
#[inline(never)]
fn nested(
    text: &[u8],
    at: usize,
    levels: Levels,
    in_array: bool,
    meter: &mut impl Meter,
) -> Result<usize, Fault> {
    let mut walk = Nested {
        text,
        at,
        next: peek(text, at),
        open: levels.0,
        bottom: levels.0,
        in_array,
    };
    meter.add(50);
    loop {
        if walk.value(meter)? && walk.ended(meter)? {
            return Ok(walk.at);
        }
    }
}

/// A walk through one value and all that is in it. It is taken apart into registers: all its functions are inlined.
struct Nested<'t> {
    text: &'t [u8],
    at: usize,
    /// The byte at `at`.
    next: u8,
    /// The open brackets are bits, the innermost lowest: 1 for an object, 0 for an array. Below them are ones, so many
    /// that the topmost bit is set when no level is left.
    open: u64,
    /// What `open` is while no bracket is open.
    bottom: u64,
    /// The value stands in an array, which is passed to its end.
    in_array: bool,
}

impl Nested<'_> {
    /// Passes a value or the beginning of one. Says whether it has ended.
    #[inline(always)]
    fn value(&mut self, meter: &mut impl Meter) -> Result<bool, Fault> {
        let (text, at) = (self.text, self.at);
        meter.add(11);
        (self.at, self.next) = match BEGINS[usize::from(self.next)] {
            Begins::Number => number(text, at, meter)?,
            Begins::String => {
                let (end, _) = string(text, at + 1, meter)?;
                (end, peek(text, end))
            }
            Begins::Array => {
                if self.enters(b']', meter)? {
                    self.open <<= 1;
                    return Ok(false);
                }
                return Ok(true);
            }
            Begins::Object => {
                if self.enters(b'}', meter)? {
                    self.open = self.open << 1 | 1;
                    self.key(meter)?;
                    return Ok(false);
                }
                return Ok(true);
            }
            Begins::White => {
                self.white(meter);
                return Ok(false);
            }
            Begins::Minus => negative(text, at, meter)?,
            Begins::True => literal(text, at, b"true", meter)?,
            Begins::Null => literal(text, at, b"null", meter)?,
            Begins::False => literal(text, at, b"false", meter)?,
            Begins::Nothing => return Err(Fault::new(What::Value, at)),
        };
        Ok(true)
    }

    /// Passes an opening bracket. If `close` follows, that is passed as well; otherwise something has been entered.
    #[inline(always)]
    fn enters(&mut self, close: u8, meter: &mut impl Meter) -> Result<bool, Fault> {
        const FULL: u64 = 1 << 63;
        if self.open & FULL != 0 {
            return Err(Fault::new(What::Depth, self.at));
        }
        meter.add(7);
        self.step();
        if self.next <= b' ' {
            self.at = white(self.text, self.at, meter);
            self.next = peek(self.text, self.at);
        }
        if self.next != close {
            return Ok(true);
        }
        self.step();
        Ok(false)
    }

    /// Goes on behind a value that has ended, to the next value, and closes the brackets that end on the way. Says
    /// whether the walk has ended.
    #[inline(always)]
    fn ended(&mut self, meter: &mut impl Meter) -> Result<bool, Fault> {
        loop {
            meter.add(13);
            if self.open & 1 == 0 {
                if self.next == b',' {
                    self.step();
                    return Ok(false);
                }
                if self.next == b']' {
                    self.leave();
                } else if self.is_white() {
                    self.white(meter);
                } else {
                    return Err(Fault::new(What::InArray, self.at));
                }
            } else if self.open == self.bottom {
                return self.ended_at_bottom(meter);
            } else {
                if self.next == b',' {
                    self.at += 1;
                    if peek(self.text, self.at) <= b' ' {
                        self.at = white(self.text, self.at, meter);
                    }
                    self.key(meter)?;
                    return Ok(false);
                }
                if self.next == b'}' {
                    self.leave();
                } else if self.is_white() {
                    self.white(meter);
                } else {
                    return Err(Fault::new(What::InObject, self.at));
                }
            }
        }
    }

    /// The same where no bracket is open.
    #[inline(always)]
    fn ended_at_bottom(&mut self, meter: &mut impl Meter) -> Result<bool, Fault> {
        if !self.in_array {
            return Ok(true);
        }
        loop {
            if self.next == b',' {
                self.step();
                return Ok(false);
            }
            if self.next == b']' {
                self.at += 1;
                return Ok(true);
            }
            if !self.is_white() {
                return Err(Fault::new(What::InArray, self.at));
            }
            self.white(meter);
        }
    }

    /// Whether white space follows. By the table, this test stays apart from that for a comma, which comes first.
    #[inline(always)]
    fn is_white(&self) -> bool {
        matches!(BEGINS[usize::from(self.next)], Begins::White)
    }

    /// Passes a closing bracket.
    #[inline(always)]
    fn leave(&mut self) {
        self.open >>= 1;
        self.step();
    }

    #[inline(always)]
    fn step(&mut self) {
        self.at += 1;
        self.next = peek(self.text, self.at);
    }

    /// Passes white space, of which there is some.
    #[inline(always)]
    fn white(&mut self, meter: &mut impl Meter) {
        (self.at, self.next) = some_white(self.text, self.at, meter);
    }

    /// Passes a key and its colon.
    #[inline(always)]
    fn key(&mut self, meter: &mut impl Meter) -> Result<(), Fault> {
        self.at = key(self.text, self.at, meter)?;
        self.next = peek(self.text, self.at);
        Ok(())
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

/// Passes the number at `at`, and returns where it ends.
#[inline(never)]
fn some_number(text: &[u8], at: usize, meter: &mut impl Meter) -> Result<usize, Fault> {
    meter.add(15);
    let (end, _) = match peek(text, at) {
        b'-' => negative(text, at, meter)?,
        _ => number(text, at, meter)?,
    };
    Ok(end)
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
) -> Result<(usize, u8), Fault> {
    meter.add(8);
    match text.get(at..at + N) {
        Some(bytes) if bytes == literal => Ok((at + N, peek(text, at + N))),
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
