//! Reading a server's answer to the opening handshake, bytes in: interim answers are skipped (RFC 9110 §15.2), and of a refusal
//! the beginning of its body is kept (RFC 9112 §6).

use super::MAX_BODY;
use crate::ws::handshake::fields::{list, only, values};
use crate::ws::handshake::{Header, ResponseHead};

/// The longest head of an answer, in bytes, with all interim answers before it.
pub const MAX_HEAD: usize = 16 << 10;
/// The most header lines of an answer.
const MAX_HEADERS: usize = 100;
/// How much of a body is read, in bytes, with what the chunked coding adds to it.
const MAX_CODED_BODY: usize = 2 * MAX_BODY;

/// Collects what a server answers until it can be judged.
///
/// What it keeps is bounded: [`MAX_HEAD`], twice [`MAX_BODY`] and the last piece taken.
#[derive(Debug, Default)]
pub struct AnswerReader {
    /// The final answer, as far as it has come.
    bytes: Vec<u8>,
    /// Bytes of the interim answers before it.
    skipped: usize,
    /// Where its head ends and how its body is delimited, once its head is whole.
    head: Option<(usize, Framing)>,
}

/// What a reader waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// More of the head.
    Head,
    /// More of a refusal's body, which is of use but not needed.
    Body,
    /// Nothing: the answer can be judged.
    Nothing,
}

/// An answer that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerError {
    /// It is not HTTP.
    NotHttp(httparse::Error),
    /// Its head is longer than [`MAX_HEAD`].
    TooLong,
}

/// How a body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// There is none, none that a person could read, or frames instead.
    None,
    /// So many bytes.
    Length(usize),
    Chunked,
    /// All that comes until the stream ends.
    UntilEnd,
}

impl AnswerReader {
    /// Takes the next bytes of the stream.
    ///
    /// # Errors
    /// An [`AnswerError`]. The connection must be closed then.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Awaited, AnswerError> {
        self.bytes.extend_from_slice(bytes);
        loop {
            if let Some((len, framing)) = self.head {
                let (_, is_whole) = framing.body(&self.bytes[len..]);
                return Ok(if is_whole {
                    Awaited::Nothing
                } else {
                    Awaited::Body
                });
            }
            let parsed = with_head(&self.bytes, |len, head| match head.status {
                100 | 102..=199 => (len, None),
                _ => (len, Some(Framing::of(head))),
            })?;
            let len = parsed.map_or(self.bytes.len(), |(len, _)| len);
            if self.skipped + len > MAX_HEAD {
                return Err(AnswerError::TooLong);
            }
            match parsed {
                None => return Ok(Awaited::Head),
                Some((len, None)) => {
                    self.bytes.drain(..len);
                    self.skipped += len;
                }
                Some((len, Some(framing))) => self.head = Some((len, framing)),
            }
        }
    }

    /// Shows the head to `judge`, with what came after it: the frames after an agreement, the readable part of a refusal's
    /// body. `None` where the head is not whole yet.
    pub fn judge<R>(&self, judge: impl FnOnce(&ResponseHead<'_>, &[u8]) -> R) -> Option<R> {
        let (len, framing) = self.head?;
        let rest = &self.bytes[len..];
        let judged = with_head(&self.bytes, |_, head| {
            if head.status == 101 {
                judge(head, rest)
            } else {
                judge(head, &framing.body(rest).0)
            }
        });
        judged.ok().flatten()
    }

    /// What came after the head, as it came.
    pub fn into_rest(mut self) -> Vec<u8> {
        let len = self.head.map_or(self.bytes.len(), |(len, _)| len);
        self.bytes.split_off(len)
    }
}

/// Parses the head that `bytes` begin with; `None` where it is not whole.
fn with_head<R>(
    bytes: &[u8],
    show: impl FnOnce(usize, &ResponseHead<'_>) -> R,
) -> Result<Option<R>, AnswerError> {
    let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut slots);
    match parsed.parse(bytes).map_err(AnswerError::NotHttp)? {
        httparse::Status::Partial => Ok(None),
        httparse::Status::Complete(len) => {
            let head = ResponseHead {
                // Both are there, as the head is whole.
                status: parsed.code.unwrap_or_default(),
                version_minor: parsed.version.unwrap_or_default(),
                headers: parsed.headers,
            };
            Ok(Some(show(len, &head)))
        }
    }
}

impl Framing {
    /// RFC 9112 §6.3.
    fn of(head: &ResponseHead<'_>) -> Self {
        let headers = head.headers;
        if matches!(head.status, 101 | 204 | 304) || is_encoded(headers) {
            return Self::None;
        }
        let mut codings = list(headers, "Transfer-Encoding");
        match (codings.next(), codings.next()) {
            (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => Self::Chunked,
            // Compressed: nothing to read for a person.
            (Some(_), _) => Self::None,
            (None, _) => match only(headers, "Content-Length").map(std::str::from_utf8) {
                // A length that makes no sense is as good as none: this body is only shown.
                Some(Ok(length)) => length.parse().map_or(Self::UntilEnd, Self::Length),
                _ => Self::UntilEnd,
            },
        }
    }

    /// The beginning of the body in what has come of it, at most [`MAX_BODY`] bytes, and whether no more of it is wanted.
    fn body(self, coded: &[u8]) -> (Vec<u8>, bool) {
        let beginning = |len: usize| coded[..coded.len().min(len)].to_vec();
        match self {
            Self::None => (Vec::new(), true),
            Self::Length(len) => {
                let wanted = len.min(MAX_BODY);
                (beginning(wanted), coded.len() >= wanted)
            }
            Self::Chunked => unchunked(coded),
            Self::UntilEnd => (beginning(MAX_BODY), coded.len() >= MAX_BODY),
        }
    }
}

/// Whether the body is compressed, which was not asked for.
fn is_encoded(headers: &[Header<'_>]) -> bool {
    values(headers, "Content-Encoding").any(|coding| !coding.eq_ignore_ascii_case(b"identity"))
}

/// Takes the chunked coding off (RFC 9112 §7.1). Where it is broken, the body ends.
fn unchunked(coded: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    let is_enough = coded.len() >= MAX_CODED_BODY;
    let mut coded = &coded[..coded.len().min(MAX_CODED_BODY)];
    while body.len() < MAX_BODY {
        let (at, size) = match httparse::parse_chunk_size(coded) {
            Ok(httparse::Status::Partial) => return (body, is_enough),
            Ok(httparse::Status::Complete((_, 0))) | Err(_) => return (body, true),
            Ok(httparse::Status::Complete(chunk)) => chunk,
        };
        coded = &coded[at..];
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let there = size.min(coded.len());
        body.extend_from_slice(&coded[..there.min(MAX_BODY - body.len())]);
        coded = &coded[there..];
        match coded {
            [b'\r', b'\n', rest @ ..] => coded = rest,
            // The chunk, or the end of its line, is still to come.
            [] | [b'\r'] => {
                let is_enough = is_enough || body.len() == MAX_BODY;
                return (body, is_enough);
            }
            _ => return (body, true),
        }
    }
    (body, true)
}

#[cfg(test)]
mod tests;
