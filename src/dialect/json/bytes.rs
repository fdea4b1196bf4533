//! Single bytes of a text, and eight of them at a time.

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

/// A one in each byte.
pub(super) const ONES: u64 = 0x0101_0101_0101_0101;

/// The high bit of each byte.
pub(super) const HIGH: u64 = ONES << 7;
