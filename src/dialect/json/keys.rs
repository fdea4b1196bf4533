//! Keys that are known. Eight bytes of a text tell which of them a key is, so that a key costs next to nothing if it is
//! none, or one that stands twice.

use super::bytes::{peek, word};
use super::fault::Fault;
use super::meter::Meter;
use super::strings::{Passed, escaped_string, long_string, low_unit, special, string};

/// How many bytes a key has at most.
const MAX_BYTES: usize = 8;

/// Keys of two to [`MAX_BYTES`] bytes. Their [`mark`]s differ.
pub(super) struct Keys<K, const N: usize> {
    /// Which key has this mark: beyond all if none.
    by_mark: [u8; 256],
    /// The bytes of a key and the quote behind it if there is room, the first byte lowest; how far they have to be shifted
    /// up to fill eight bytes; and what the key stands for.
    keys: [(u64, u32, K); N],
}

/// Tells the known keys apart, by their first and third bytes. The quote behind a key counts as one of its bytes.
#[inline(always)]
const fn mark(word: u64) -> usize {
    ((word >> 16 ^ word << 1) & 0xFF) as usize
}

impl<K: Copy, const N: usize> Keys<K, N> {
    pub(super) const fn new(known: [(&str, K); N]) -> Self {
        let mut by_mark = [u8::MAX; 256];
        let mut keys = [(0, 0, known[0].1); N];
        let mut place = 0;
        while place < N {
            let (key, stands_for) = known[place];
            let key = key.as_bytes();
            assert!(key.len() >= 2 && key.len() <= MAX_BYTES);
            let (mut word, mut shift) = (0, 0);
            if key.len() < 8 {
                word = (b'"' as u64) << (8 * key.len());
                shift = 8 * (7 - key.len()) as u32;
            }
            let mut at = 0;
            while at < key.len() {
                word |= (key[at] as u64) << (8 * at);
                at += 1;
            }
            assert!(by_mark[mark(word)] == u8::MAX);
            by_mark[mark(word)] = place as u8;
            keys[place] = (word, shift, stands_for);
            place += 1;
        }
        Self { by_mark, keys }
    }

    /// What the key stands for with which `word` begins.
    #[inline(always)]
    pub(super) fn find(&self, word: u64) -> Option<K> {
        let place = self.by_mark[mark(word)];
        let (key, shift, stands_for) = *self.keys.get(usize::from(place))?;
        ((word ^ key) << shift == 0).then_some(stands_for)
    }
}

/// Passes a key from behind its opening quote to behind its closing one. Says as well with which eight bytes it and what
/// follows it begin, without escapes, if it may be a known key; otherwise these are no known key's. Eight bytes without a
/// quote are a whole key.
#[inline(always)]
pub(super) fn key(
    text: &[u8],
    start: usize,
    meter: &mut impl Meter,
) -> Result<(Passed, u64), Fault> {
    let Some(word) = word(text, start) else {
        return last_key(text, start, meter);
    };
    meter.add(10);
    let (mut at, mut plain) = (start, 0);
    let mut next = word as u8;
    if next == b'"' {
        return Ok((Passed::new(at + 1, false), word));
    }
    if next != b'\\' {
        meter.add(28);
        let found = special(word);
        if found == 0 {
            let passed = long_string(text, at + 8, false, meter).good()?;
            let is_whole = passed.end() == at + 9;
            return Ok((passed, if is_whole { word } else { 0 }));
        }
        plain = found.trailing_zeros() & !7;
        at += plain as usize / 8;
        next = (word >> plain) as u8;
        if next == b'"' {
            return Ok((Passed::new(at + 1, false), word));
        }
    }
    let (passed, word) = match next {
        b'\\' if peek(text, at + 1) == b'u' => escaped_key(text, at, word, plain, meter),
        b'\\' => (escaped_string(text, at, meter), 0),
        _ => (long_string(text, at, false, meter), 0),
    };
    Ok((passed.good()?, word))
}

/// Passes a key that stands at the text's end, as [`key`] does.
#[cold]
fn last_key(text: &[u8], start: usize, meter: &mut impl Meter) -> Result<(Passed, u64), Fault> {
    let passed = string(text, start, meter)?;
    let mut bytes = [0; 8];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = peek(text, start + at);
    }
    Ok((passed, u64::from_le_bytes(bytes)))
}

/// Passes the rest of a key from its first escape on, as [`key`] does. `plain` bits of `word` stand before that.
///
/// Known keys are made of letters, for which JSON has no other escape than `\u00XX`.
#[inline(never)]
fn escaped_key(
    text: &[u8],
    mut at: usize,
    word: u64,
    plain: u32,
    meter: &mut impl Meter,
) -> (Passed, u64) {
    let mut shift = plain;
    let mut key = word & !(u64::MAX << shift);
    meter.add(50);
    loop {
        meter.add(22);
        let byte = match low_unit(text, at) {
            Some(byte) if byte != b'"' && shift < 64 => byte,
            _ => return (escaped_string(text, at, meter), 0),
        };
        at += 6;
        key |= u64::from(byte) << shift;
        shift += 8;
        loop {
            let next = peek(text, at);
            meter.add(9);
            match next {
                b'"' => {
                    let quote = u64::from(next).checked_shl(shift).unwrap_or_default();
                    return (Passed::new(at + 1, true), key | quote);
                }
                b'\\' => break,
                0x20.. if shift < 64 => key |= u64::from(next) << shift,
                _ => return (long_string(text, at, true, meter), 0),
            }
            at += 1;
            shift += 8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::meter::Free;
    use super::*;

    const KNOWN: [&str; 5] = ["id", "seq", "type", "channel", "encoding"];
    static KEYS: Keys<&str, 5> = {
        let [a, b, c, d, e] = KNOWN;
        Keys::new([(a, a), (b, b), (c, c), (d, d), (e, e)])
    };

    /// What the key is known as whose text, between its quotes, is `written`.
    fn found(written: &str, behind: &str) -> Option<&'static str> {
        let text = format!("{written}\"{behind}");
        let (passed, word) = key(text.as_bytes(), 0, &mut Free).unwrap();
        assert_eq!(passed.end(), written.len() + 1, "{text}");
        assert_eq!(passed.escaped(), written.contains('\\'), "{text}");
        KEYS.find(word)
    }

    /// The key with those characters as escapes whose bits are set.
    fn written(key: &str, escapes: u32) -> String {
        let write = |(at, character): (usize, char)| match escapes >> at & 1 {
            0 => character.to_string(),
            _ => format!("\\u{:04x}", character as u32),
        };
        key.chars().enumerate().map(write).collect()
    }

    #[test]
    fn a_key_is_known_however_it_is_written_and_no_other_key_is() {
        for known in KNOWN {
            let others = [
                format!("{known}x"),
                format!("{known}xxxxxxxx"),
                format!("x{known}"),
                format!("{known}é"),
                format!("{known}\0"),
                format!("ď{}", &known[1..]),
                known[1..].to_owned(),
                known[..known.len() - 1].to_owned(),
                known.to_uppercase(),
            ];
            for behind in ["", ":1}", ":1,\"id\":2}"] {
                for escapes in 0..1 << known.len() {
                    assert_eq!(found(&written(known, escapes), behind), Some(known));
                    for other in &others {
                        // A NUL cannot stand without an escape.
                        let escapes = match other.find('\0') {
                            Some(at) => escapes | 1 << at,
                            None => escapes,
                        };
                        assert_eq!(found(&written(other, escapes), behind), None, "{other}");
                    }
                    let with_quote = format!("{}\\u0022:1", written(known, escapes));
                    assert_eq!(found(&with_quote, behind), None);
                    let with_escape = format!("{}\\n", written(known, escapes));
                    assert_eq!(found(&with_escape, behind), None);
                }
            }
        }
    }
}
