//! The bytes of a snapshot: what one process tells the next, over a socket or by a file.
//!
//! Every number is written as LEB128, every text and every run of bytes behind its length. A snapshot has no names and no padding: who reads it knows by
//! the version in its head what comes next. It is read as if a stranger had written it. Lengths are held against what is there, and nothing is
//! allocated by a number that was read.

use std::fmt;

/// The version that is written. It is another one whenever anything means something else than before.
pub(crate) const VERSION: u64 = 1;

/// The oldest version that is read: the one before [`VERSION`], once there is one.
pub(crate) const OLDEST: u64 = 1;

/// Whether a snapshot of this version can be read.
pub(crate) fn is_known(version: u64) -> bool {
    (OLDEST..=VERSION).contains(&version)
}

/// The bytes are no snapshot. It says which part of it they are not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Damaged(pub(crate) &'static str);

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the snapshot is damaged: {}", self.0)
    }
}

impl std::error::Error for Damaged {}

crate::words::in_words!(Damaged);

/// Appends a number.
#[inline]
pub(crate) fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends a number of things.
#[inline]
pub(crate) fn put_len(out: &mut Vec<u8>, len: usize) {
    put(out, len as u64);
}

/// Appends whether something is so.
pub(crate) fn put_bool(out: &mut Vec<u8>, is_so: bool) {
    out.push(u8::from(is_so));
}

/// Appends bytes.
#[inline]
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_len(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Appends a number that may be missing.
pub(crate) fn put_option(out: &mut Vec<u8>, number: Option<u64>) {
    put_bool(out, number.is_some());
    if let Some(number) = number {
        put(out, number);
    }
}

/// Reads what was appended, in the same order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes }
    }

    /// All that has not been read.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether all has been read.
    pub(crate) fn is_at_end(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Says that all has to have been read.
    pub(crate) fn end(&self) -> Result<(), Damaged> {
        match self.is_at_end() {
            true => Ok(()),
            false => Err(Damaged("there is more than there should be")),
        }
    }

    /// A byte.
    #[inline]
    pub(crate) fn byte(&mut self) -> Result<u8, Damaged> {
        let (first, rest) = self.bytes.split_first().ok_or(SHORT)?;
        self.bytes = rest;
        Ok(*first)
    }

    /// A number.
    #[inline]
    pub(crate) fn number(&mut self) -> Result<u64, Damaged> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7F);
            if shift == 63 && part > 1 {
                break;
            }
            number |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Damaged("a number has more than 64 bits"))
    }

    /// A number of 32 bits.
    pub(crate) fn small(&mut self) -> Result<u32, Damaged> {
        u32::try_from(self.number()?).map_err(|_| Damaged("a number has more than 32 bits"))
    }

    /// A number of bytes in memory, or of things there.
    pub(crate) fn size(&mut self) -> Result<usize, Damaged> {
        usize::try_from(self.number()?).map_err(|_| Damaged("a number is too large"))
    }

    /// Whether something is so.
    pub(crate) fn bool(&mut self) -> Result<bool, Damaged> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Damaged("a flag is neither 0 nor 1")),
        }
    }

    /// A number that may be missing.
    pub(crate) fn option(&mut self) -> Result<Option<u64>, Damaged> {
        match self.bool()? {
            true => self.number().map(Some),
            false => Ok(None),
        }
    }

    /// Bytes.
    #[inline]
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Damaged> {
        let len = self.size()?;
        let (bytes, rest) = self.bytes.split_at_checked(len).ok_or(SHORT)?;
        self.bytes = rest;
        Ok(bytes)
    }

    /// So many bytes, without their number before them.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Damaged> {
        let (array, rest) = self.bytes.split_first_chunk().ok_or(SHORT)?;
        self.bytes = rest;
        Ok(*array)
    }

    /// A text.
    pub(crate) fn text(&mut self) -> Result<&'a str, Damaged> {
        str::from_utf8(self.bytes()?).map_err(|_| Damaged("a text is not UTF-8"))
    }
}

const SHORT: Damaged = Damaged("it ends too early");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_back(number: u64, option: Option<u64>, bytes: Vec<u8>, text: String, flag: bool) {
            let mut out = Vec::new();
            put(&mut out, number);
            put_option(&mut out, option);
            put_bytes(&mut out, &bytes);
            put_bytes(&mut out, text.as_bytes());
            put_bool(&mut out, flag);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.number(), Ok(number));
            prop_assert_eq!(reader.option(), Ok(option));
            prop_assert_eq!(reader.bytes(), Ok(&bytes[..]));
            prop_assert_eq!(reader.text(), Ok(&text[..]));
            prop_assert_eq!(reader.bool(), Ok(flag));
            prop_assert_eq!(reader.end(), Ok(()));
            prop_assert_eq!(reader.byte(), Err(SHORT));
        }

        #[test]
        fn whatever_is_read_is_read_without_a_panic(bytes: Vec<u8>) {
            let mut reader = Reader::new(&bytes);
            while reader.bytes().is_ok() && !reader.is_at_end() {}
            let mut reader = Reader::new(&bytes);
            while reader.number().is_ok() {}
            prop_assert!(reader.bytes.len() <= bytes.len());
        }
    }

    #[test]
    fn a_length_beyond_what_is_there_is_damage() {
        for len in [1, 1 << 20, u64::MAX] {
            let mut out = Vec::new();
            put(&mut out, len);
            assert!(Reader::new(&out).bytes().is_err());
        }
        let too_long = [0xFF; 10];
        assert!(Reader::new(&too_long).number().is_err());
    }
}
