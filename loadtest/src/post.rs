//! Publishing by HTTP/1.1: requests that follow each other on a connection without waiting (RFC 9112 §9.3.2), and their answers. No I/O.

use std::io::Write as _;

use anyhow::{Result, bail};

use crate::dialect::{shown, write_name};

/// The longest head of an answer, and the longest line of a chunk's size.
const MAX_HEAD: usize = 16 << 10;

/// Appends one publication as a request of its own.
pub(crate) fn write_publication(out: &mut Vec<u8>, channel: usize, data: &[u8]) {
    out.extend_from_slice(b"POST /channels/");
    write_name(out, channel);
    write_rest(out, "application/json", data);
}

/// Appends one publication as a line of a batch.
pub(crate) fn write_line(batch: &mut Vec<u8>, channel: usize, data: &[u8]) {
    batch.extend_from_slice(b"{\"channel\":\"");
    write_name(batch, channel);
    batch.extend_from_slice(b"\",\"data\":");
    batch.extend_from_slice(data);
    batch.extend_from_slice(b"}\n");
}

/// Appends the request that publishes a batch.
pub(crate) fn write_batch(out: &mut Vec<u8>, batch: &[u8]) {
    out.extend_from_slice(b"POST /publish");
    write_rest(out, "application/x-ndjson", batch);
}

fn write_rest(out: &mut Vec<u8>, media_type: &str, body: &[u8]) {
    // Writing to a Vec does not fail.
    let _ = write!(
        out,
        " HTTP/1.1\r\nHost: localhost\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    out.extend_from_slice(body);
}

/// Where the answers that come on a connection stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Reading {
    /// A head is due.
    #[default]
    Head,
    /// So many bytes of a body are due.
    Body(usize),
    /// The size of a chunk is due (RFC 9112 §7.1).
    Size,
    /// So many bytes of a chunk are due, with the line break behind them.
    Chunk(usize),
}

/// What a publisher does with the answers: each must say that it was published.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    reading: Reading,
    /// The beginning of what is not whole yet.
    carry: Vec<u8>,
    /// The beginning of a line of a batch's answer that is not whole yet.
    line: Vec<u8>,
}

impl Answers {
    /// Takes what was received.
    ///
    /// # Errors
    /// An answer is none, or says that something was not published.
    pub(crate) fn take(&mut self, received: &[u8]) -> Result<()> {
        let mut whole = std::mem::take(&mut self.carry);
        let bytes = match whole.is_empty() {
            true => received,
            false => {
                whole.extend_from_slice(received);
                &whole
            }
        };
        let mut used = 0;
        while let Some(len) = self.step(&bytes[used..])? {
            used += len;
        }
        self.carry = bytes[used..].to_vec();
        if self.carry.len() > MAX_HEAD {
            bail!("the answer to a publication has no end");
        }
        Ok(())
    }

    /// Takes what stands at the beginning of `bytes` and says how long it is; `None` if it is not whole yet.
    fn step(&mut self, bytes: &[u8]) -> Result<Option<usize>> {
        let (len, next) = match self.reading {
            _ if bytes.is_empty() => return Ok(None),
            Reading::Head => {
                let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
                    return Ok(None);
                };
                (end + 4, body(&bytes[..end + 2])?)
            }
            Reading::Body(left) => {
                let len = left.min(bytes.len());
                (len, Self::after(left - len, Reading::Body, Reading::Head))
            }
            Reading::Size => {
                let Some(end) = memchr::memmem::find(bytes, b"\r\n") else {
                    return Ok(None);
                };
                let digits = std::str::from_utf8(&bytes[..end])?;
                match usize::from_str_radix(digits, 16)? {
                    // The empty line after the last chunk; there are no trailers.
                    0 => (end + 2, Reading::Body(2)),
                    size => (end + 2, Reading::Chunk(size + 2)),
                }
            }
            Reading::Chunk(left) => {
                let len = left.min(bytes.len());
                self.take_lines(&bytes[..len], left)?;
                (len, Self::after(left - len, Reading::Chunk, Reading::Size))
            }
        };
        self.reading = next;
        Ok(Some(len))
    }

    /// What is due after bytes of a body of which `left` are left.
    fn after(left: usize, goes_on: fn(usize) -> Reading, ended: Reading) -> Reading {
        match left {
            0 => ended,
            left => goes_on(left),
        }
    }

    /// Takes a piece of a chunk: `left` bytes of it were due, with the line break at its end.
    fn take_lines(&mut self, piece: &[u8], left: usize) -> Result<()> {
        let content = &piece[..piece.len().min(left.saturating_sub(2))];
        for part in content.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                if !self.line.starts_with(b"{\"epoch\":") {
                    bail!("a line of a batch is answered with {}", shown(&self.line));
                }
                self.line.clear();
            }
        }
        Ok(())
    }
}

/// What comes after a head.
fn body(head: &[u8]) -> Result<Reading> {
    let is_published = head.starts_with(b"HTTP/1.1 201 ") || head.starts_with(b"HTTP/1.1 200 ");
    if !is_published {
        bail!("a publication is answered with {}", shown(head));
    }
    let field = |name: &[u8]| {
        let from = memchr::memmem::find(head, name)? + name.len();
        let len = memchr::memchr(b'\r', &head[from..])?;
        std::str::from_utf8(&head[from..from + len]).ok()
    };
    if let Some(length) = field(b"\r\nContent-Length: ") {
        return Ok(Answers::after(
            length.parse()?,
            Reading::Body,
            Reading::Head,
        ));
    }
    match field(b"\r\nTransfer-Encoding: ") {
        Some("chunked") => Ok(Reading::Size),
        _ => bail!("the answer to a publication has no length: {}", shown(head)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &[u8] =
        b"HTTP/1.1 201 Created\r\nContent-Length: 22\r\n\r\n{\"epoch\":\"e\",\"seq\":1}\n";
    const BATCH: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
        0000000b\r\n{\"epoch\":1}\r\n1\r\n\n\r\nc\r\n{\"epoch\":2}\n\r\n0\r\n\r\n";

    #[test]
    fn answers_are_taken_however_they_are_cut() {
        let all = [ONE, BATCH, ONE].concat();
        for size in 1..all.len() {
            let mut answers = Answers::default();
            for piece in all.chunks(size) {
                answers.take(piece).unwrap();
            }
            assert_eq!(answers.reading, Reading::Head, "{size}");
            assert!(
                answers.carry.is_empty() && answers.line.is_empty(),
                "{size}"
            );
        }
    }

    #[test]
    fn what_was_not_published_is_a_fault() {
        let refused = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n";
        assert!(Answers::default().take(refused).is_err());
        let line = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{\"code\":\"limit\"}\r\n1\r\n\n\r\n";
        assert!(Answers::default().take(line).is_err());
    }
}
