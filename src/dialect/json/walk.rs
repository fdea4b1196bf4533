//! One pass over a JSON text that checks it and finds where its values stand.
//!
//! The daemon relays `data` as it was written and never needs its values. So the walk builds nothing: it holds a
//! position and 64 bits for the brackets that are open, whatever the text is, and it visits each byte once. Strings,
//! white space and digits are passed eight bytes or more at a time. What a text may cost is bounded by its length; see
//! [`meter`](super::meter).

use super::MAX_DEPTH;
use super::bytes::peek;
use super::fault::{Fault, What};
use super::keys::key;
use super::meter::Meter;
use super::number::{negative, number, zero};
use super::place::{Text, Value};
use super::strings::{Passed, string};
use super::white::{some_white, white};

/// How a value begins.
#[derive(Clone, Copy)]
enum Begins {
    Nothing,
    White,
    String,
    Number,
    Zero,
    Minus,
    Array,
    Object,
    True,
    False,
    Null,
}

static BEGINS: [Begins; 256] = {
    let mut table = [Begins::Nothing; 256];
    let mut digit = b'1';
    while digit <= b'9' {
        table[digit as usize] = Begins::Number;
        digit += 1;
    }
    table[b' ' as usize] = Begins::White;
    table[b'\t' as usize] = Begins::White;
    table[b'\n' as usize] = Begins::White;
    table[b'\r' as usize] = Begins::White;
    table[b'"' as usize] = Begins::String;
    table[b'0' as usize] = Begins::Zero;
    table[b'-' as usize] = Begins::Minus;
    table[b'[' as usize] = Begins::Array;
    table[b'{' as usize] = Begins::Object;
    table[b't' as usize] = Begins::True;
    table[b'f' as usize] = Begins::False;
    table[b'n' as usize] = Begins::Null;
    table
};

/// [`Walk::open`] where as many levels are left as a member's value may have: all but that of the message itself.
const BOTTOM: u64 = u64::MAX >> (MAX_DEPTH - 1);

/// A key that may be known.
#[derive(Clone, Copy)]
pub(super) struct Key {
    /// Where it stands.
    pub(super) text: Text,
    /// What [`key`] says it begins with.
    pub(super) word: u64,
}

/// Keeps the members of a message that it knows.
pub(super) trait Members {
    /// Stands for a key that is known.
    type Key: Copy + PartialEq;

    /// The key whose value's members are kept as well, if it is an object that has some.
    const ENTERED: Option<Self::Key>;

    /// The key if it is known and of interest, in the message's object or (`inner`) in that of
    /// [`ENTERED`](Self::ENTERED).
    fn find(&self, text: &[u8], key: Key, inner: bool) -> Option<Self::Key>;

    /// Keeps a member. Of one that is entered, `value` is only the beginning.
    fn put(&mut self, text: &[u8], key: Self::Key, value: Value);
}

/// Checks a message and tells its members if it is an object. Says whether it is one.
#[inline(always)]
pub(super) fn message(
    text: &[u8],
    members: &mut impl Members,
    meter: &mut impl Meter,
) -> Result<bool, Fault> {
    let at = white(text, 0, meter);
    if peek(text, at) != b'{' {
        other_message(text, at, meter)?;
        return Ok(false);
    }
    let mut walk = Walk::new(text, at);
    let mut object = Object {
        members,
        key: None,
        start: 0,
    };
    if walk.enters(b'}', meter)? {
        object.key(&mut walk, meter)?;
        walk.run(&mut object, meter)?;
    }
    end(text, walk.at, meter)?;
    Ok(true)
}

/// Checks a message that is no object and begins at `at`.
#[inline(never)]
fn other_message(text: &[u8], at: usize, meter: &mut impl Meter) -> Result<(), Fault> {
    let mut walk = Walk::new(text, at);
    if walk.next != b'[' {
        walk.run(&mut Alone, meter)?;
    } else if walk.enters(b']', meter)? {
        walk.run(&mut InArray, meter)?;
    }
    end(text, walk.at, meter)
}

/// Checks a text that is a value, and finds it. It may have as many levels as a member of a message.
#[inline(never)]
pub(super) fn value(text: &[u8], meter: &mut impl Meter) -> Result<Value, Fault> {
    let start = white(text, 0, meter);
    let mut walk = Walk::new(text, start);
    walk.run(&mut Alone, meter)?;
    end(text, walk.at, meter)?;
    let end = walk.at;
    Ok(Value {
        start,
        end,
        escaped: false,
    })
}

/// Checks that nothing but white space is left.
fn end(text: &[u8], at: usize, meter: &mut impl Meter) -> Result<(), Fault> {
    let end = white(text, at, meter);
    if end < text.len() {
        return Err(Fault::new(What::Trailing, end));
    }
    Ok(())
}

/// What a value stands in at which the walk is where no bracket is open.
trait Bottom {
    /// Goes on behind the value, to the next one. Says whether the walk has ended.
    fn ended(&mut self, walk: &mut Walk<'_>, meter: &mut impl Meter) -> Result<bool, Fault>;
}

/// Nothing.
struct Alone;

impl Bottom for Alone {
    #[inline(always)]
    fn ended(&mut self, _: &mut Walk<'_>, _: &mut impl Meter) -> Result<bool, Fault> {
        Ok(true)
    }
}

/// An array that is a level more than [`BOTTOM`] counts.
struct InArray;

impl Bottom for InArray {
    #[inline(always)]
    fn ended(&mut self, walk: &mut Walk<'_>, meter: &mut impl Meter) -> Result<bool, Fault> {
        loop {
            if walk.next == b',' {
                walk.step();
                return Ok(false);
            }
            if walk.next == b']' {
                walk.step();
                return Ok(true);
            }
            if !walk.is_white() {
                return Err(Fault::new(What::InArray, walk.at));
            }
            walk.white(meter);
        }
    }
}

/// An object whose members are kept.
struct Object<'m, M: Members> {
    members: &'m mut M,
    /// The key of the member at whose value the walk is, if it is known, …
    key: Option<M::Key>,
    /// … and where the value starts.
    start: usize,
}

impl<M: Members> Bottom for Object<'_, M> {
    #[inline(always)]
    fn ended(&mut self, walk: &mut Walk<'_>, meter: &mut impl Meter) -> Result<bool, Fault> {
        meter.add(25);
        if let Some(key) = self.key {
            meter.add(20);
            let value = Value {
                start: self.start,
                end: walk.at,
                escaped: walk.string == Passed::new(walk.at, true),
            };
            self.members.put(walk.text, key, value);
        }
        loop {
            if walk.next == b',' {
                walk.at += 1;
                if peek(walk.text, walk.at) <= b' ' {
                    walk.at = white(walk.text, walk.at, meter);
                }
                self.key(walk, meter)?;
                return Ok(false);
            }
            if walk.next == b'}' {
                walk.step();
                if walk.open == BOTTOM {
                    return Ok(true);
                }
                walk.open >>= 1;
                walk.bottom = walk.open;
                continue;
            }
            if !walk.is_white() {
                return Err(Fault::new(What::InObject, walk.at));
            }
            walk.white(meter);
        }
    }
}

impl<M: Members> Object<'_, M> {
    /// Passes a key and its colon.
    #[inline(always)]
    fn key(&mut self, walk: &mut Walk<'_>, meter: &mut impl Meter) -> Result<(), Fault> {
        loop {
            let key = walk.known_key(meter)?;
            let inner = walk.open != BOTTOM;
            meter.add(12);
            self.key = self.members.find(walk.text, key, inner);
            let Some(key) = self.key else {
                return Ok(());
            };
            meter.add(20);
            if walk.next <= b' ' {
                walk.at = white(walk.text, walk.at, meter);
                walk.next = peek(walk.text, walk.at);
            }
            self.start = walk.at;
            if self.key != M::ENTERED || walk.next != b'{' {
                return Ok(());
            }
            let Some(first_key) = first_key(walk.text, walk.at, meter) else {
                return Ok(());
            };
            let value = Value {
                start: self.start,
                end: walk.at + 1,
                escaped: false,
            };
            self.members.put(walk.text, key, value);
            walk.at = first_key;
            walk.open = walk.open << 1 | 1;
            walk.bottom = walk.open;
        }
    }
}

/// Where the first key stands of the object whose brace is at `at`. `None` if the object is empty.
#[inline(never)]
fn first_key(text: &[u8], at: usize, meter: &mut impl Meter) -> Option<usize> {
    let key = white(text, at + 1, meter);
    (peek(text, key) != b'}').then_some(key)
}

/// A walk through a value and all that is in it. It is taken apart into registers: all its functions are inlined.
struct Walk<'t> {
    text: &'t [u8],
    at: usize,
    /// The byte at `at`.
    next: u8,
    /// The open brackets are bits, the innermost lowest: 1 for an object, 0 for an array. Below them are ones, so many
    /// that the topmost bit is set when no level is left.
    open: u64,
    /// What `open` is while no bracket is open.
    bottom: u64,
    /// The value that is a string and was passed last.
    string: Passed,
}

impl<'t> Walk<'t> {
    #[inline(always)]
    fn new(text: &'t [u8], at: usize) -> Self {
        Self {
            text,
            at,
            next: peek(text, at),
            open: BOTTOM,
            bottom: BOTTOM,
            string: Passed::new(0, false),
        }
    }

    /// Passes a value at which the walk is, and goes on until that has ended in which it stands.
    #[inline(always)]
    fn run(&mut self, within: &mut impl Bottom, meter: &mut impl Meter) -> Result<(), Fault> {
        loop {
            if self.value(meter)? && self.ended(within, meter)? {
                return Ok(());
            }
        }
    }

    /// Passes a value or the beginning of one. Says whether it has ended.
    #[inline(always)]
    fn value(&mut self, meter: &mut impl Meter) -> Result<bool, Fault> {
        let (text, at) = (self.text, self.at);
        meter.add(11);
        (self.at, self.next) = match BEGINS[usize::from(self.next)] {
            Begins::Number => number(text, at, meter)?,
            Begins::String => {
                self.string = string(text, at + 1, meter)?;
                let end = self.string.end();
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
            Begins::Zero => zero(text, at, meter)?,
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
        meter.add(12);
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
    fn ended(&mut self, within: &mut impl Bottom, meter: &mut impl Meter) -> Result<bool, Fault> {
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
                return within.ended(self, meter);
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

    /// Passes a key that is of no interest, and its colon.
    #[inline(always)]
    fn key(&mut self, meter: &mut impl Meter) -> Result<(), Fault> {
        let start = self.begin_key(meter)?;
        let passed = string(self.text, start, meter)?;
        self.end_key(passed, meter)
    }

    /// Passes a key that may be known, and its colon.
    #[inline(always)]
    fn known_key(&mut self, meter: &mut impl Meter) -> Result<Key, Fault> {
        let start = self.begin_key(meter)?;
        let (passed, word) = key(self.text, start, meter)?;
        self.end_key(passed, meter)?;
        let end = passed.end() - 1;
        let text = Text {
            start,
            end,
            escaped: passed.escaped(),
        };
        Ok(Key { text, word })
    }

    #[inline(always)]
    fn begin_key(&self, meter: &mut impl Meter) -> Result<usize, Fault> {
        meter.add(7);
        if peek(self.text, self.at) != b'"' {
            return Err(Fault::new(What::Key, self.at));
        }
        Ok(self.at + 1)
    }

    /// Passes the colon behind a key.
    #[inline(always)]
    fn end_key(&mut self, key: Passed, meter: &mut impl Meter) -> Result<(), Fault> {
        self.at = key.end();
        self.next = peek(self.text, self.at);
        if self.next <= b' ' {
            self.at = white(self.text, self.at, meter);
            self.next = peek(self.text, self.at);
        }
        if self.next != b':' {
            return Err(Fault::new(What::Colon, self.at));
        }
        self.step();
        Ok(())
    }
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
