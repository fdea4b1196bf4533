//! Escapes in strings that the walk has passed: they are good.

use super::bytes::peek;
use super::place::Text;
use super::strings::{low_unit, unit};

/// The character that the escape at `at` stands for, and the escape's length.
#[inline(always)]
fn escaped(text: &[u8], at: usize) -> (char, usize) {
    let short = match peek(text, at + 1) {
        b'n' => '\n',
        b't' => '\t',
        b'r' => '\r',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'u' => return unicode(text, at),
        other => char::from(other),
    };
    (short, 2)
}

fn unicode(text: &[u8], at: usize) -> (char, usize) {
    let high = unit(text, at).unwrap_or_default();
    let low = match high {
        0xD800..=0xDBFF => unit(text, at + 6).unwrap_or_default(),
        _ => return (char::from_u32(high).unwrap_or_default(), 6),
    };
    let point = 0x1_0000 + ((high & 0x3FF) << 10 | low & 0x3FF);
    (char::from_u32(point).unwrap_or_default(), 12)
}

/// Hands over the pieces of a string, unescaped, until `take` wants no more of them.
fn pieces(text: &[u8], of: Text, mut take: impl FnMut(&[u8]) -> bool) {
    let mut at = of.start;
    while at < of.end {
        let byte = [peek(text, at)];
        if byte != *b"\\" {
            at += 1;
            if !take(&byte) {
                return;
            }
            continue;
        }
        let (character, len) = escaped(text, at);
        at += len;
        if !take(character.encode_utf8(&mut [0; 4]).as_bytes()) {
            return;
        }
    }
}

/// Whether a string has at most `limit` bytes once it is unescaped.
pub(super) fn is_within(text: &[u8], of: Text, limit: usize) -> bool {
    if !of.escaped {
        return of.end - of.start <= limit;
    }
    let mut len = 0;
    pieces(text, of, |piece| {
        len += piece.len();
        len <= limit
    });
    len <= limit
}

/// The longest key that the protocol knows: `reconnect_after_ms`.
const MAX_KEY: usize = 18;

/// Room for a key as it reads once unescaped, for comparison with known keys.
pub(super) struct Unescaped([u8; MAX_KEY]);

impl Unescaped {
    pub(super) const fn new() -> Self {
        Self([0; MAX_KEY])
    }

    /// The text of a key, without its escapes. `None` if it cannot be a known key: those are made of letters and `_`, for
    /// which JSON has no other escape than `\u00XX`.
    #[inline(always)]
    pub(super) fn key(&mut self, key: &[u8]) -> Option<&[u8]> {
        let mut at = 0;
        let mut len = 0;
        while let Some(&(mut byte)) = key.get(at) {
            at += 1;
            if byte == b'\\' {
                byte = low_unit(key, at - 1)?;
                at += 5;
            }
            *self.0.get_mut(len)? = byte;
            len += 1;
        }
        self.0.get(..len)
    }
}

/// Unescapes a string where it stands: it never becomes longer.
pub(super) fn in_place(message: &mut [u8], of: &mut Text) {
    if !of.escaped {
        return;
    }
    let (mut from, mut to) = (of.start, of.start);
    while from < of.end {
        let byte = peek(message, from);
        if byte != b'\\' {
            put(message, to, byte);
            from += 1;
            to += 1;
            continue;
        }
        let (character, len) = escaped(message, from);
        from += len;
        for byte in character.encode_utf8(&mut [0; 4]).bytes() {
            put(message, to, byte);
            to += 1;
        }
    }
    of.end = to;
    of.escaped = false;
}

#[inline(always)]
fn put(message: &mut [u8], at: usize, byte: u8) {
    if let Some(place) = message.get_mut(at) {
        *place = byte;
    }
}
