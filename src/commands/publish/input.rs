//! Lines of any length from a stream, a bounded part of which is in memory.

use std::io::{self, ErrorKind, Read};
use std::ops::Range;

/// Bytes read at once.
const READ_BYTES: usize = 64 << 10;

/// The lines of a stream, numbered from 1.
pub(super) struct Lines<R> {
    source: R,
    /// `buffer[start..end]` is read and not handed out.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Up to here is known to have no line break.
    searched: usize,
    max: usize,
    number: u64,
    bytes_read: u64,
    /// The line that is being read is over `max`, and was said to be.
    skipping: bool,
    at_end: bool,
}

/// A line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Where it stands, for [`Lines::get`].
    Whole(Range<usize>),
    /// It is longer than allowed; what follows of it is passed over.
    TooLong,
}

impl<R: Read> Lines<R> {
    /// Lines of at most `max` bytes.
    pub(super) fn new(source: R, max: usize) -> Self {
        Self {
            source,
            buffer: vec![0; READ_BYTES],
            start: 0,
            end: 0,
            searched: 0,
            max,
            number: 0,
            bytes_read: 0,
            skipping: false,
            at_end: false,
        }
    }

    /// The number of the line that came last.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Bytes that the lines so far took, and those at hand.
    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes_read
    }

    /// The bytes of a line, until the next is asked for.
    pub(super) fn get(&self, line: Range<usize>) -> &[u8] {
        &self.buffer[line]
    }

    /// The next line, of those that are at hand.
    pub(super) fn next(&mut self) -> Option<Line> {
        loop {
            let unsearched = &self.buffer[self.searched..self.end];
            let (line, next) = match memchr::memchr(b'\n', unsearched) {
                Some(at) => (self.start..self.searched + at, self.searched + at + 1),
                // The last one need not have a line break.
                None if self.at_end && self.start < self.end => (self.start..self.end, self.end),
                None => {
                    self.searched = self.end;
                    return self.unfinished();
                }
            };
            (self.start, self.searched) = (next, next);
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            self.number += 1;
            return Some(if line.len() > self.max {
                Line::TooLong
            } else {
                Line::Whole(line)
            });
        }
    }

    /// What the beginning of a line is already: nothing yet, or too long.
    fn unfinished(&mut self) -> Option<Line> {
        let too_long = self.end - self.start > self.max;
        if self.skipping || too_long {
            self.start = self.end;
        }
        if !too_long || self.skipping {
            return None;
        }
        self.skipping = true;
        self.number += 1;
        Some(Line::TooLong)
    }

    /// Where the lines come from.
    pub(super) fn source(&self) -> &R {
        &self.source
    }

    /// Reads more. Whether there is more to come: a line, or a part of one, or nothing yet from a stream that does not block.
    pub(super) fn fill(&mut self) -> io::Result<bool> {
        if self.at_end {
            return Ok(false);
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.searched -= self.start;
        self.end -= self.start;
        self.start = 0;
        if self.end == self.buffer.len() {
            self.buffer.resize(2 * self.end, 0);
        }
        loop {
            match self.source.read(&mut self.buffer[self.end..]) {
                Ok(0) => {
                    self.at_end = true;
                    return Ok(self.start < self.end);
                }
                Ok(read) => {
                    self.end += read;
                    self.bytes_read += read as u64;
                    return Ok(true);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Another program that has the same stream open made it so. Nothing is lost by that, and nothing ended.
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes in pieces of a few.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let len = self.1.min(self.0.len()).min(buffer.len());
            let (piece, rest) = self.0.split_at(len);
            buffer[..len].copy_from_slice(piece);
            self.0 = rest;
            Ok(len)
        }
    }

    /// All lines with their numbers; `None` for one that is too long.
    fn lines(text: &[u8], piece: usize, max: usize) -> Vec<(u64, Option<Vec<u8>>)> {
        read(Lines::new(Pieces(text, piece), max))
    }

    fn read(mut lines: Lines<impl Read>) -> Vec<(u64, Option<Vec<u8>>)> {
        let mut all = Vec::new();
        loop {
            match lines.next() {
                Some(Line::Whole(line)) => {
                    all.push((lines.number(), Some(lines.get(line).to_vec())));
                }
                Some(Line::TooLong) => all.push((lines.number(), None)),
                None if lines.fill().unwrap() => {}
                None => return all,
            }
        }
    }

    fn whole(texts: &[&str]) -> Vec<(u64, Option<Vec<u8>>)> {
        (1..)
            .zip(texts.iter().map(|text| Some(text.as_bytes().to_vec())))
            .collect()
    }

    #[test]
    fn lines_are_the_same_however_the_stream_is_cut() {
        for piece in 1..20 {
            for text in ["1\n\n[2, 3]\n\"four\"", "1\n\n[2, 3]\n\"four\"\n"] {
                let expected = whole(&["1", "", "[2, 3]", "\"four\""]);
                assert_eq!(lines(text.as_bytes(), piece, 100), expected);
            }
        }
    }

    #[test]
    fn a_stream_that_has_nothing_yet_is_not_at_its_end() {
        /// Has nothing each other time.
        struct Hesitant<'a>(Pieces<'a>, bool);
        impl Read for Hesitant<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.1 = !self.1;
                if self.1 {
                    return Err(ErrorKind::WouldBlock.into());
                }
                self.0.read(buffer)
            }
        }
        let all = read(Lines::new(Hesitant(Pieces(b"1\n[2]\n3", 2), false), 100));
        assert_eq!(all, whole(&["1", "[2]", "3"]));
    }

    #[test]
    fn nothing_has_no_lines_and_a_line_break_alone_has_one() {
        assert_eq!(lines(b"", 9, 100), []);
        assert_eq!(lines(b"\n", 9, 100), whole(&[""]));
    }

    #[test]
    fn a_line_that_is_too_long_is_named_once_and_the_rest_go_on() {
        for piece in 1..40 {
            let text = format!("1\n{}\n3\n{}", "x".repeat(30), "y".repeat(11));
            let all = lines(text.as_bytes(), piece, 10);
            let expected = [
                (1, Some(b"1".to_vec())),
                (2, None),
                (3, Some(b"3".to_vec())),
                (4, None),
            ];
            assert_eq!(all, expected, "{piece}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_not_kept_in_memory() {
        let mut lines = Lines::new(io::repeat(b'x').take(10 << 20), 1000);
        while lines.fill().unwrap() {
            lines.next();
        }
        assert_eq!(lines.buffer.len(), READ_BYTES);
        assert_eq!(lines.number(), 1);
    }

    #[test]
    fn a_line_that_is_longer_than_the_buffer_comes_whole() {
        let long = "z".repeat(5 * READ_BYTES);
        let text = format!("{long}\n1");
        let all = lines(text.as_bytes(), 10_000, 10 * READ_BYTES);
        assert!(all == whole(&[&long, "1"]));
    }
}
