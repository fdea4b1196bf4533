//! Numbers by their grammar and their range (RFC 8259 §6), without their values.
//!
//! A number is refused only if it rounds to infinity as a double. Its decimal exponent decides that for nearly all
//! numbers. Only one that has the same exponent as the least number that rounds to infinity is compared with it, digit
//! by digit: so the answer is exact, and a digit costs the same whatever the number's value is.

use super::fault::{Fault, What};
use super::meter::Meter;
use super::walk::{peek, word};

/// The least real number that rounds to infinity: 2^1024 - 2^970, halfway between the greatest double and 2^1024. The
/// tie goes to 2^1024, whose significand is even.
const LIMIT: &[u8; 309] = b"179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017\
9775872070963302864166928879109465555478519404026306574886715058206819089020007083836762738548458177115317644757302700\
69855571366959622842914819860834936475292719074168444365510704342711559699508093042880177904174497792";

/// How many digits a whole number may have without a look at [`LIMIT`].
pub(super) const SAFE_DIGITS: usize = LIMIT.len() - 1;

/// An exponent counts as no greater than this. It is more than a message has digits.
const MAX_EXPONENT: i64 = 1 << 40;

/// Reads the rest of the number that began at `start`, and returns where it ends. What it has before a `.` or an
/// exponent is read already, up to `at`.
#[inline(always)]
pub(super) fn number(
    text: &[u8],
    start: usize,
    mut at: usize,
    meter: &mut impl Meter,
) -> Result<usize, Fault> {
    meter.add(22);
    let whole_end = at;
    let mut next = peek(text, at);
    if next == b'.' {
        at = some_digits(text, at + 1, meter)?;
        next = peek(text, at);
    }
    if next | 0x20 == b'e' {
        return exponent(text, start, whole_end, at, meter);
    }
    let number = &text[start..at];
    // The sign counts as a digit here. That only sends more numbers to the exact look.
    if whole_end - start > SAFE_DIGITS && is_infinite(number, whole_end - start, 0, meter) {
        return Err(Fault::new(What::Range, start));
    }
    Ok(at)
}

/// Reads the exponent whose `e` is at `mark`, judges the number that began at `start`, and returns where it ends.
#[inline(always)]
fn exponent(
    text: &[u8],
    start: usize,
    whole_end: usize,
    mark: usize,
    meter: &mut impl Meter,
) -> Result<usize, Fault> {
    let sign = peek(text, mark + 1);
    // Most exponents have one digit or two, and most numbers are far from any limit then.
    meter.add(14);
    if sign.is_ascii_digit() && mark - start < SAFE_DIGITS - 100 {
        for end in [mark + 2, mark + 3] {
            meter.add(6);
            if !peek(text, end).is_ascii_digit() {
                return Ok(end);
            }
        }
    }
    let digits = mark + 1 + usize::from(matches!(sign, b'+' | b'-'));
    let mut end = digits;
    let mut exponent = 0;
    loop {
        let digit = peek(text, end).wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        exponent = exponent * 10 + i64::from(digit);
        if exponent > MAX_EXPONENT {
            exponent = MAX_EXPONENT;
        }
        end += 1;
    }
    meter.add(30 + 14 * (end - digits) as u64);
    if end == digits {
        return Err(Fault::new(What::Digit, end));
    }
    if sign == b'-' {
        exponent = -exponent;
    }
    let whole = whole_end - start;
    let safe = exponent.max(0) + whole as i64 <= SAFE_DIGITS as i64;
    if !safe && is_infinite(&text[start..mark], whole, exponent, meter) {
        return Err(Fault::new(What::Range, start));
    }
    Ok(end)
}

/// Whether a number rounds to infinity. `mantissa` has digits, perhaps a `-` before and a `.` between them, after the
/// first `whole` bytes.
#[inline(never)]
fn is_infinite(mantissa: &[u8], whole: usize, exponent: i64, meter: &mut impl Meter) -> bool {
    let significant = |byte: &u8| matches!(byte, b'1'..=b'9');
    let Some(first) = mantissa.iter().position(significant) else {
        meter.add(30 + 6 * mantissa.len() as u64);
        return false;
    };
    // The number is 0.D × 10^scale, where the digits D begin with a significant one.
    let scale = match whole.checked_sub(first) {
        Some(digits) => exponent + digits as i64,
        None => exponent - (first - whole - 1) as i64,
    };
    meter.add(40 + 6 * first as u64);
    if scale != LIMIT.len() as i64 {
        return scale > LIMIT.len() as i64;
    }
    let mut limit = LIMIT.iter();
    for digit in mantissa[first..].iter().filter(|byte| **byte != b'.') {
        meter.add(9);
        match limit.next() {
            Some(same) if same == digit => {}
            Some(other) => return digit > other,
            None => return true,
        }
    }
    limit.next().is_none()
}

/// Where the digits end that begin at `at`. There must be one at least.
#[inline(always)]
fn some_digits(text: &[u8], at: usize, meter: &mut impl Meter) -> Result<usize, Fault> {
    let end = digits(text, at, meter);
    if end == at {
        return Err(Fault::new(What::Digit, at));
    }
    Ok(end)
}

#[inline(always)]
fn digits(text: &[u8], mut at: usize, meter: &mut impl Meter) -> usize {
    // One digit is as much as many fractions have.
    meter.add(16);
    if !peek(text, at).is_ascii_digit() {
        return at;
    }
    at += 1;
    if !peek(text, at).is_ascii_digit() {
        return at;
    }
    loop {
        let Some(word) = word(text, at) else {
            let rest = text.get(at..).unwrap_or_default();
            return at + rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        };
        meter.add(12);
        let others = not_digits(word);
        if others != 0 {
            return at + others.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
}

/// The high bit of each byte that is no digit, exact up to the first of them.
#[inline(always)]
const fn not_digits(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let value = word ^ (ONES * 0x30);
    (((value & (ONES * 0x7F)) + ONES * 0x76) | value) & (ONES * 0x80)
}

#[cfg(test)]
mod tests {
    use super::super::meter::Free;
    use super::*;

    fn read(text: &str) -> Result<usize, Fault> {
        let sign = usize::from(text.starts_with('-'));
        let digits = text[sign..].find(|c: char| !c.is_ascii_digit());
        let whole_end = digits.map_or(text.len(), |at| at + sign);
        number(text.as_bytes(), 0, whole_end, &mut Free)
    }

    fn is_double(text: &str) -> bool {
        text.parse().is_ok_and(f64::is_finite)
    }

    #[test]
    fn a_number_is_refused_exactly_if_it_rounds_to_infinity() {
        let limit = str::from_utf8(LIMIT).unwrap();
        let below = format!("{}1", &limit[..308]);
        let above = format!("{}3", &limit[..308]);
        for digits in [limit, &below, &above] {
            let zeros = "0".repeat(400);
            for text in [
                digits.to_owned(),
                format!("{digits}.0"),
                format!("{digits}.000{zeros}1"),
                format!("{digits}.9{zeros}"),
                format!("{digits}e0"),
                format!("{digits}e-0"),
                format!("{digits}0e-1"),
                format!("{digits}{zeros}e-400"),
                format!("{digits}{zeros}e-399"),
                format!("{digits}{zeros}e-401"),
                format!("{}.{}E+308", &digits[..1], &digits[1..]),
                format!("{}.{}E+0000308", &digits[..1], &digits[1..]),
                format!("{}.{}e100", &digits[..209], &digits[209..]),
                format!("0.{digits}e309"),
                format!("0.{zeros}{digits}e709"),
                format!("0.{zeros}{digits}e708"),
                format!("0.{zeros}{digits}e710"),
                format!("0.{zeros}{digits}"),
            ] {
                for text in [format!("-{text}"), text] {
                    assert_eq!(read(&text).is_ok(), is_double(&text), "{text}");
                    assert!(read(&text).is_err() || read(&text) == Ok(text.len()));
                }
            }
        }
    }

    #[test]
    fn exponents_beyond_all_bounds_are_no_trouble() {
        let many = "9".repeat(1000);
        let zeros = "0".repeat(1000);
        for (text, good) in [
            (format!("1e{many}"), false),
            (format!("0e{many}"), true),
            (format!("-0.{zeros}e+{many}"), true),
            (format!("0.{zeros}1e1309"), true),
            (format!("0.{zeros}1e1310"), false),
            (format!("1{zeros}e-692"), true),
            (format!("1{zeros}e-691"), false),
            (format!("1e-{many}"), true),
            (format!("{many}e-{many}"), true),
            (format!("1e{zeros}308"), true),
            (format!("1e{zeros}309"), false),
            (format!("{many}.{zeros}"), false),
            (format!("0.{many}{zeros}e308"), true),
            (format!("0.{many}{zeros}e309"), false),
        ] {
            assert_eq!(read(&text).is_ok(), good, "{text}");
            assert_eq!(is_double(&text), good, "{text}");
        }
    }

    #[test]
    fn digits_are_told_from_everything_else() {
        for byte in 0..=255u8 {
            for place in 0..8 {
                let mut bytes = *b"09182736";
                bytes[place] = byte;
                let others = not_digits(u64::from_le_bytes(bytes));
                if byte.is_ascii_digit() {
                    assert_eq!(others, 0, "{byte}");
                } else {
                    assert_eq!(others.trailing_zeros() as usize / 8, place, "{byte}");
                }
            }
        }
    }
}
