//! UTF-8 checked as it arrives, in pieces cut anywhere (RFC 6455 §8.1).

use std::{error, fmt};

/// The bytes are not UTF-8.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Invalid;

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not UTF-8")
    }
}

impl error::Error for Invalid {}

crate::words::in_words!(Invalid);

/// Checks a text that comes in pieces. Fails at the first byte that cannot belong to any UTF-8 text, also
/// in the middle of a code point (`F4 90`, `E0 80`, `ED A0`), not when the text ends.
#[derive(Clone, Copy, Debug, Default)]
pub struct Utf8Stream {
    /// The first bytes of a code point that the last piece cut through: `carry[..carry_len]`.
    carry: [u8; 3],
    /// 0 ..= 3. Never a whole code point: a piece that completes one is checked with it.
    carry_len: u8,
}

impl Utf8Stream {
    /// Checks the next piece.
    ///
    /// # Errors
    /// [`Invalid`] as soon as the bytes so far cannot be the beginning of valid UTF-8.
    pub fn feed(&mut self, mut piece: &[u8]) -> Result<(), Invalid> {
        if self.carry_len > 0 {
            piece = self.complete(piece)?;
        }
        match simdutf8::compat::from_utf8(piece) {
            Ok(_) => Ok(()),
            Err(e) if e.error_len().is_some() => Err(Invalid),
            // What is cut off is the beginning of one code point: three bytes at most.
            Err(e) => {
                self.keep(&piece[e.valid_up_to()..]);
                Ok(())
            }
        }
    }

    /// The bytes that are carried over.
    #[cfg(feature = "server")]
    pub(super) fn carried(&self) -> &[u8] {
        &self.carry[..usize::from(self.carry_len)]
    }

    /// Whether the text may end here.
    ///
    /// # Errors
    /// [`Invalid`] where the last code point is incomplete.
    pub fn finish(self) -> Result<(), Invalid> {
        if self.carry_len == 0 {
            Ok(())
        } else {
            Err(Invalid)
        }
    }

    /// Completes the carried code point from `piece`, as far as that goes, and returns what is left of it.
    fn complete<'p>(&mut self, piece: &'p [u8]) -> Result<&'p [u8], Invalid> {
        let carried = usize::from(self.carry_len);
        let mut code_point = [0; 4];
        code_point[..carried].copy_from_slice(&self.carry[..carried]);
        // The lead byte was checked when it was carried: it is one of C2 ..= F4.
        let whole: usize = match code_point[0] {
            ..0xE0 => 2,
            0xE0..0xF0 => 3,
            0xF0.. => 4,
        };
        let taken = piece.len().min(whole - carried);
        let (head, rest) = piece.split_at(taken);
        code_point[carried..carried + taken].copy_from_slice(head);
        let so_far = &code_point[..carried + taken];
        match std::str::from_utf8(so_far) {
            Ok(_) => self.carry_len = 0,
            Err(e) if e.error_len().is_some() => return Err(Invalid),
            Err(_) => self.keep(so_far),
        }
        Ok(rest)
    }

    /// Carries `incomplete` (at most three bytes, or it would be a code point) over to the next piece.
    fn keep(&mut self, incomplete: &[u8]) {
        self.carry[..incomplete.len()].copy_from_slice(incomplete);
        self.carry_len = incomplete.len() as u8;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn in_pieces(bytes: &[u8], len: usize) -> Result<(), Invalid> {
        let mut stream = Utf8Stream::default();
        for piece in bytes.chunks(len) {
            stream.feed(piece)?;
        }
        stream.finish()
    }

    #[test]
    fn state_is_at_most_eight_bytes() {
        assert!(size_of::<Utf8Stream>() <= 8);
    }

    #[test]
    fn text_passes_however_it_is_cut() {
        let text = "κόσμε 🎺 fanfare \u{10FFFF}\u{D7FF}\u{E000}\0";
        for len in 1..=text.len() {
            assert_eq!(in_pieces(text.as_bytes(), len), Ok(()), "pieces of {len}");
        }
    }

    #[test]
    fn the_first_impossible_byte_fails_even_in_the_middle_of_a_code_point() {
        let cases: [(&[u8], u8); 8] = [
            (b"\xF4", 0x90),
            (b"\xE0", 0x80),
            (b"\xED", 0xA0),
            (b"\xF0", 0x8F),
            (b"\xF0\x9F", 0x28),
            (b"\xF0\x9F\x8E", 0xC0),
            (b"", 0xC1),
            (b"", 0xF5),
        ];
        for (good, bad) in cases {
            let mut stream = Utf8Stream::default();
            for byte in good {
                assert_eq!(stream.feed(&[*byte]), Ok(()), "{good:x?}");
            }
            assert_eq!(stream.feed(&[bad]), Err(Invalid), "{good:x?} {bad:x}");
        }
    }

    #[test]
    fn a_text_that_ends_within_a_code_point_fails_at_its_end_only() {
        let mut stream = Utf8Stream::default();
        assert_eq!(stream.feed(b"abc\xE2\x82"), Ok(()));
        assert_eq!(stream.finish(), Err(Invalid));
        assert_eq!(stream.feed(b""), Ok(()));
        assert_eq!(stream.feed(b"\xAC"), Ok(()));
        assert_eq!(stream.finish(), Ok(()));
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_get_the_verdict_of_the_whole(
            mut bytes in prop::collection::vec(any::<u8>(), 0..24),
            text in ".{0,8}",
            at in 0usize..32,
            len in 1usize..8,
        ) {
            bytes.truncate(at % 4);
            let mut mixed = text.into_bytes();
            let at = at.min(mixed.len());
            mixed.splice(at..at, bytes);
            prop_assert_eq!(in_pieces(&mixed, len).is_ok(), std::str::from_utf8(&mixed).is_ok());
        }
    }
}
