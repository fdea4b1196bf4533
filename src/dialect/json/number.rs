//! Numbers by their grammar and their range (RFC 8259 §6), without their values.
//!
//! A number is refused only if it rounds to infinity as a double. Its decimal exponent decides that for nearly all
//! numbers. Only one that has the same exponent as the least number that rounds to infinity is compared with it, digit
//! by digit: so the answer is exact, and a digit costs the same whatever the number's value is.

use super::bytes::{HIGH, ONES, peek, word};
use super::fault::{Fault, What};
use super::meter::Meter;

/// The least real number that rounds to infinity: 2^1024 - 2^970, halfway between the greatest double and 2^1024. The
/// tie goes to 2^1024, whose significand is even.
const LIMIT: &[u8; 309] = b"179769313486231580793728971405303415079934132710037826936173778980444968292764750946649017\
9775872070963302864166928879109465555478519404026306574886715058206819089020007083836762738548458177115317644757302700\
69855571366959622842914819860834936475292719074168444365510704342711559699508093042880177904174497792";

/// The first digits of [`LIMIT`], the first of them highest.
const LIMIT_BEGINS: u64 = match LIMIT.first_chunk() {
    Some(digits) => u64::from_be_bytes(*digits),
    None => 0,
};

/// A number whose whole part has at most so many digits is below [`LIMIT`] unless it has an exponent.
const SAFE_DIGITS: usize = LIMIT.len() - 1;

/// An exponent counts as no greater than this. It is more than a message has digits.
const MAX_EXPONENT: i64 = 1 << 40;

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

/// Passes the number whose first digit is at `digit` and is not 0, and says what follows it.
#[inline(always)]
pub(super) fn number(
    text: &[u8],
    digit: usize,
    meter: &mut impl Meter,
) -> Result<(usize, u8), Fault> {
    let mut at = digit + 1;
    let mut next = peek(text, at);
    meter.add(13);
    if next.is_ascii_digit() {
        // Whole numbers are short. To go digit by digit is the shortest way through them.
        meter.add(12);
        while next.is_ascii_digit() {
            meter.add(7);
            at += 1;
            next = peek(text, at);
        }
        if at - digit > SAFE_DIGITS {
            at = long_number(text, digit, at, meter)?;
            return Ok((at, peek(text, at)));
        }
    }
    fraction::<false>(text, digit, at, next, meter)
}

/// Passes the number that begins with a 0 at `digit`, and says what follows it.
#[inline(always)]
pub(super) fn zero(
    text: &[u8],
    digit: usize,
    meter: &mut impl Meter,
) -> Result<(usize, u8), Fault> {
    meter.add(13);
    fraction::<true>(text, digit, digit + 1, peek(text, digit + 1), meter)
}

/// Passes the negative number whose sign is at `sign`, and says what follows it.
#[inline(always)]
pub(super) fn negative(
    text: &[u8],
    sign: usize,
    meter: &mut impl Meter,
) -> Result<(usize, u8), Fault> {
    meter.add(5);
    match peek(text, sign + 1) {
        b'0' => zero(text, sign + 1, meter),
        b'1'..=b'9' => number(text, sign + 1, meter),
        _ => Err(Fault::new(What::Digit, sign + 1)),
    }
}

/// Passes what a number has behind its whole part, which is at least one byte, `next`, and says what follows the number.
/// The whole part stands from `digit` to `whole_end`: it is 0 (`ZERO`) or does not begin with 0.
#[inline(always)]
fn fraction<const ZERO: bool>(
    text: &[u8],
    digit: usize,
    whole_end: usize,
    next: u8,
    meter: &mut impl Meter,
) -> Result<(usize, u8), Fault> {
    if !GOES_ON[usize::from(next)] {
        return Ok((whole_end, next));
    }
    let (mut at, mut next) = (whole_end, next);
    meter.add(4);
    if next == b'.' {
        at = some_digits(text, at + 1, meter)?;
        next = peek(text, at);
    }
    if next | 0x20 == b'e' {
        return exponent::<ZERO>(text, digit, whole_end, at, meter);
    }
    Ok((at, next))
}

/// Reads the rest of a number whose whole part has more than [`SAFE_DIGITS`] digits, from `digit` to `whole_end`, and
/// returns where the number ends.
#[inline(never)]
fn long_number(
    text: &[u8],
    digit: usize,
    whole_end: usize,
    meter: &mut impl Meter,
) -> Result<usize, Fault> {
    let mut at = whole_end;
    meter.add(30);
    if peek(text, at) == b'.' {
        at = some_digits(text, at + 1, meter)?;
    }
    if peek(text, at) | 0x20 == b'e' {
        let begin = at + 1 + usize::from(matches!(peek(text, at + 1), b'+' | b'-'));
        return long_exponent(text, digit, whole_end, at, begin, meter);
    }
    if is_infinite(text, digit, whole_end, at, 0, meter) {
        return Err(too_large(text, digit));
    }
    Ok(at)
}

/// Reads the exponent whose `e` is at `mark`, judges the number whose first digit is at `digit`, and says what follows
/// it. The number's whole part, up to `whole_end`, has no more than [`SAFE_DIGITS`] digits. It is 0 (`ZERO`) or does not
/// begin with 0.
#[inline(always)]
fn exponent<const ZERO: bool>(
    text: &[u8],
    digit: usize,
    whole_end: usize,
    mark: usize,
    meter: &mut impl Meter,
) -> Result<(usize, u8), Fault> {
    let mut at = mark + 1;
    let mut next = peek(text, at);
    meter.add(17);
    if !next.is_ascii_digit() {
        meter.add(3);
        if next == b'-' {
            at = some_digits(text, at + 1, meter)?;
            return Ok((at, peek(text, at)));
        }
        at += usize::from(next == b'+');
        next = peek(text, at);
        if !next.is_ascii_digit() {
            return Err(Fault::new(What::Digit, at));
        }
    }
    while next == b'0' {
        meter.add(7);
        at += 1;
        next = peek(text, at);
        if !next.is_ascii_digit() {
            return Ok((at, next));
        }
    }
    // Most exponents have three digits at most, and most numbers are far from any limit then.
    let whole = whole_end - digit;
    if whole < SAFE_DIGITS - 100
        && let Some(&[a, b, c, d]) = text.get(at..).and_then(<[u8]>::first_chunk)
    {
        meter.add(20);
        if !b.is_ascii_digit() {
            return Ok((at + 1, b));
        }
        if !c.is_ascii_digit() {
            return Ok((at + 2, c));
        }
        if !d.is_ascii_digit() {
            const ZEROS: usize = 111 * b'0' as usize;
            let [a, b, c] = [a, b, c].map(usize::from);
            let exponent = (100 * a + 10 * b + c).wrapping_sub(ZEROS);
            meter.add(16);
            if exponent + whole > SAFE_DIGITS {
                let infinite = if ZERO {
                    small_is_infinite(text, whole_end, mark, exponent as i64, meter)
                } else {
                    exponent + whole > LIMIT.len()
                        || reaches_limit(text, digit, whole_end, mark, meter)
                };
                if infinite {
                    return Err(too_large(text, digit));
                }
            }
            return Ok((at + 3, d));
        }
    }
    let end = if ZERO && whole_end == mark {
        // Whatever the exponent is, the number is 0.
        some_digits(text, at, meter)?
    } else {
        long_exponent(text, digit, whole_end, mark, at, meter)?
    };
    Ok((end, peek(text, end)))
}

/// Whether a number whose whole part is 0 is 0. Its digits stand up to `end`, perhaps with a `.` at `point`.
#[inline(always)]
fn is_zero(text: &[u8], point: usize, end: usize, meter: &mut impl Meter) -> bool {
    let mut at = point + 1;
    meter.add(40);
    while at < end && peek(text, at) == b'0' {
        meter.add(6);
        at += 1;
    }
    at >= end
}

/// Reads any exponent, as [`exponent`] does, and returns where it ends. Its digits go on at `begin`; those before it are
/// zeros.
#[inline(never)]
fn long_exponent(
    text: &[u8],
    digit: usize,
    whole_end: usize,
    mark: usize,
    begin: usize,
    meter: &mut impl Meter,
) -> Result<usize, Fault> {
    if peek(text, digit) == b'0' && is_zero(text, whole_end, mark, meter) {
        return some_digits(text, begin, meter);
    }
    far_exponent(text, digit, whole_end, mark, begin, meter)
}

/// [`long_exponent`] of a number that is not 0.
#[inline(never)]
fn far_exponent(
    text: &[u8],
    digit: usize,
    whole_end: usize,
    mark: usize,
    begin: usize,
    meter: &mut impl Meter,
) -> Result<usize, Fault> {
    let mut end = begin;
    let mut exponent = 0;
    loop {
        let digit = peek(text, end).wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        exponent = (exponent * 10 + i64::from(digit)).min(MAX_EXPONENT);
        end += 1;
    }
    meter.add(35 + 11 * (end - begin) as u64);
    if end == begin {
        return Err(Fault::new(What::Digit, end));
    }
    if peek(text, mark + 1) == b'-' {
        exponent = -exponent;
    }
    let whole = whole_end - digit;
    let safe = exponent.max(0) + whole as i64 <= SAFE_DIGITS as i64;
    if !safe && is_infinite(text, digit, whole_end, mark, exponent, meter) {
        return Err(too_large(text, digit));
    }
    Ok(end)
}

/// The number whose first digit is at `digit` is too large.
#[cold]
fn too_large(text: &[u8], digit: usize) -> Fault {
    let signed = digit > 0 && peek(text, digit - 1) == b'-';
    Fault::new(What::Range, digit - usize::from(signed))
}

/// Whether a number rounds to infinity. Its digits stand from `digit` to `end`, perhaps with a `.` at `whole_end`.
fn is_infinite(
    text: &[u8],
    digit: usize,
    whole_end: usize,
    end: usize,
    exponent: i64,
    meter: &mut impl Meter,
) -> bool {
    meter.add(16);
    if peek(text, digit) == b'0' {
        return small_is_infinite(text, whole_end, end, exponent, meter);
    }
    match exponent + (whole_end - digit) as i64 - LIMIT.len() as i64 {
        0 => reaches_limit(text, digit, whole_end, end, meter),
        over => over > 0,
    }
}

/// Whether a number rounds to infinity whose whole part is 0. Its digits stand up to `end`, perhaps with a `.` at `point`.
#[inline(never)]
fn small_is_infinite(
    text: &[u8],
    point: usize,
    end: usize,
    exponent: i64,
    meter: &mut impl Meter,
) -> bool {
    // The number is 0.D × 10^scale, where the digits D begin with a significant one.
    let mut first = point + 1;
    meter.add(36);
    while peek(text, first) == b'0' {
        meter.add(5);
        first += 1;
    }
    if first >= end {
        return false;
    }
    match exponent - (first - point - 1) as i64 - LIMIT.len() as i64 {
        // The limit begins with a 1 and has more digits than that.
        0 if first + 1 == end => peek(text, first) != b'1',
        0 => reaches_limit(text, first, point, end, meter),
        over => over > 0,
    }
}

/// Whether a number is [`LIMIT`] or more that has as many digits before its point. Its digits stand from `first` to
/// `end`, perhaps with a `.` at `whole_end`.
#[inline(always)]
fn reaches_limit(
    text: &[u8],
    first: usize,
    whole_end: usize,
    end: usize,
    meter: &mut impl Meter,
) -> bool {
    if end - first <= 8
        && let Some(word) = word(text, first)
    {
        meter.add(12);
        let mut digits = word.swap_bytes();
        let mut count = end - first;
        if whole_end > first && whole_end < end {
            let fraction = u64::MAX >> (8 * (whole_end - first));
            digits = digits & !fraction | digits << 8 & fraction;
            count -= 1;
        }
        let unused = (8 * count as u32).wrapping_neg();
        // If all these digits are the limit's, the number is below it, as it has no more of them.
        return digits.wrapping_shr(unused) > LIMIT_BEGINS.wrapping_shr(unused);
    }
    let digits = text.get(first..end).unwrap_or_default();
    all_reach_limit(digits, meter)
}

/// [`reaches_limit`] for any number of digits.
#[inline(never)]
fn all_reach_limit(digits: &[u8], meter: &mut impl Meter) -> bool {
    // A number that is meant to cost much begins like the limit.
    let same = match digits.first_chunk() {
        Some(first) if u64::from_be_bytes(*first) == LIMIT_BEGINS => first.len(),
        _ => 0,
    };
    let mut limit = LIMIT[same..].iter();
    meter.add(15);
    for digit in &digits[same..] {
        meter.add(8);
        if *digit == b'.' {
            continue;
        }
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
    let value = word ^ (ONES * 0x30);
    (((value & (ONES * 0x7F)) + ONES * 0x76) | value) & HIGH
}

#[cfg(test)]
mod tests {
    use super::super::meter::Free;
    use super::*;

    fn read(text: &str) -> Result<usize, Fault> {
        let sign = usize::from(text.starts_with('-'));
        let read = match text.as_bytes()[sign] {
            b'0' => zero(text.as_bytes(), sign, &mut Free),
            _ => number(text.as_bytes(), sign, &mut Free),
        };
        read.map(|(end, _)| end)
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
            (format!("0.0e{many}"), true),
            ("0e+3083".to_owned(), true),
            ("0.01e3083".to_owned(), false),
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
