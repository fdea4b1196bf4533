//! Base64 in messages (RFC 4648 §4): the standard alphabet, padded, and no bit is set that no byte has.

use super::meter::Meter;
use super::place::Text;
use super::strings::low_unit;

/// Stands for a byte that is none of the alphabet's.
const NONE: u8 = 0x80;

/// What each character of the alphabet counts.
static SEXTETS: [u8; 256] = {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut table = [NONE; 256];
    let mut value = 0;
    while value < 64 {
        table[alphabet[value] as usize] = value as u8;
        value += 1;
    }
    table
};

/// Unescapes `of`, which is a good string's text, where it stands, and says whether it is base64. If it is not, what
/// stands there is of no more use.
pub(super) fn read(message: &mut [u8], of: &mut Text, meter: &mut impl Meter) -> bool {
    let text = message.get_mut(of.start..of.end).unwrap_or_default();
    if of.escaped {
        let Some(len) = unescape(text, meter) else {
            return false;
        };
        of.end = of.start + len;
        of.escaped = false;
    }
    let text = message.get(of.start..of.end).unwrap_or_default();
    meter.add(40 + 3 * text.len() as u64);
    is_canonical(text)
}

/// Unescapes a text where it stands, and says how long it is then. `None` if it has an escape of a character that base64
/// has not: of the short escapes it has `\/` alone.
fn unescape(text: &mut [u8], meter: &mut impl Meter) -> Option<usize> {
    let (mut from, mut to) = (0, 0);
    while let Some(&(mut byte)) = text.get(from) {
        meter.add(10);
        from += 1;
        if byte == b'\\' {
            meter.add(9);
            if text.get(from) == Some(&b'/') {
                byte = b'/';
                from += 1;
            } else {
                meter.add(16);
                byte = low_unit(text, from - 1)?;
                from += 5;
            }
        }
        *text.get_mut(to)? = byte;
        to += 1;
    }
    Some(to)
}

fn is_canonical(text: &[u8]) -> bool {
    if !text.len().is_multiple_of(4) {
        return false;
    }
    // Bits that the last sextet has and no byte: none, or two or four by as many characters of padding.
    let (sextets, unused) = match text {
        [sextets @ .., b'=', b'='] => (sextets, 0b1111),
        [sextets @ .., b'='] => (sextets, 0b11),
        _ => (text, 0),
    };
    let sextet = |byte: &u8| SEXTETS[usize::from(*byte)];
    let last = sextets.last().map_or(0, sextet);
    let all = sextets.iter().fold(0, |all, byte| all | sextet(byte));
    all & NONE == 0 && last & unused == 0
}
