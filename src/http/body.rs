//! Where a request's body ends (RFC 9112 §6), and taking the chunked coding off.

use super::target::hex_digit;
use super::{Head, HttpLimits, Response, Status, fields};

/// The longest line before a chunk, extensions included, in bytes. Nobody uses extensions; sizes take 16 digits.
const MAX_CHUNK_LINE: usize = 256;

/// How the body is delimited.
#[derive(Debug)]
pub(super) enum Framing {
    /// So many bytes, 0 where there is no body.
    Length(usize),
    /// The chunked transfer coding. Boxed: hardly anybody sends it, and every connection carries a [`Framing`].
    Chunked(Box<Chunked>),
}

impl Framing {
    /// Reads the framing off a head (RFC 9112 §6.3), or refuses what could be read in two ways.
    pub(super) fn of(head: &Head<'_>, limits: &HttpLimits) -> Result<Self, Response> {
        let length = content_length(head)?;
        let mut codings = fields::list(head.headers, "Transfer-Encoding");
        let has_codings = fields::values(head.headers, "Transfer-Encoding")
            .next()
            .is_some();
        if !has_codings {
            return match length {
                None => Ok(Self::Length(0)),
                Some(length) if length > limits.max_body as u64 => Err(too_large(limits)),
                // No loss: it is at most `max_body`, which is a `usize`.
                Some(length) => Ok(Self::Length(length as usize)),
            };
        }
        if length.is_some() {
            return Err(bad(
                "Content-Length and Transfer-Encoding exclude each other.",
            ));
        }
        if head.version_minor == 0 {
            return Err(bad("HTTP/1.0 has no Transfer-Encoding."));
        }
        let (first, second) = (codings.next(), codings.next());
        match (first, second) {
            (Some(coding), None) if coding.eq_ignore_ascii_case(b"chunked") => {
                Ok(Self::Chunked(Box::default()))
            }
            (None, _) => Err(bad("Transfer-Encoding is empty.")),
            (Some(first), Some(second))
                if first.eq_ignore_ascii_case(b"chunked")
                    && second.eq_ignore_ascii_case(b"chunked") =>
            {
                Err(bad("A body is chunked once at most."))
            }
            _ => Err(Response::refusal(
                Status::NOT_IMPLEMENTED,
                "The only transfer coding understood here is chunked.",
            )),
        }
    }

    /// Bytes of memory that the body takes beside its coded form.
    pub(super) fn held_bytes(&self) -> usize {
        match self {
            Self::Length(_) => 0,
            Self::Chunked(chunked) => chunked.body.capacity(),
        }
    }

    /// Whether the head announces no body at all.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Length(0))
    }
}

/// The announced length, `None` where none is. Repeated but equal ones are let pass (RFC 9110 §8.6); a number beyond
/// `u64` is as good as the largest one, since no limit reaches that far.
fn content_length(head: &Head<'_>) -> Result<Option<u64>, Response> {
    let mut found = None;
    for value in fields::values(head.headers, "Content-Length") {
        if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
            return Err(bad("Content-Length is not a number."));
        }
        let length = value.iter().fold(0u64, |sum, digit| {
            sum.saturating_mul(10)
                .saturating_add(u64::from(digit - b'0'))
        });
        if found.is_some_and(|earlier| earlier != length) {
            return Err(bad("There are two Content-Length fields, and they differ."));
        }
        found = Some(length);
    }
    Ok(found)
}

/// A chunked body while it comes in (RFC 9112 §7.1).
#[derive(Debug, Default)]
pub(super) struct Chunked {
    /// What has been taken out of the chunks so far.
    body: Vec<u8>,
    /// Bytes of the coded body dealt with. 0 <= `read` <= length of what was last handed in.
    read: usize,
    /// How many of them were not body: sizes, extensions, line ends, trailers.
    overhead: usize,
    phase: Phase,
}

#[derive(Debug, Default, Clone, Copy)]
enum Phase {
    /// Before a line with a chunk's size.
    #[default]
    Size,
    /// Within a chunk, of which so many bytes are still to come.
    Data(usize),
    /// Before the line end that closes a chunk.
    DataEnd,
    /// After the last chunk: fields that are read over, up to an empty line.
    Trailer,
    /// Everything is there.
    Done,
}

impl Chunked {
    /// Goes on with `coded`, which holds the coded body from its first byte, those dealt with included. True when all
    /// of it was there.
    pub(super) fn advance(&mut self, coded: &[u8], limits: &HttpLimits) -> Result<bool, Response> {
        loop {
            let rest = coded.get(self.read..).unwrap_or_default();
            self.phase = match self.phase {
                Phase::Size => {
                    let Some(line) = line(rest, MAX_CHUNK_LINE)? else {
                        return Ok(false);
                    };
                    self.skip(line.len() + 2, limits)?;
                    match chunk_size(line)? {
                        0 => Phase::Trailer,
                        size if size > (limits.max_body - self.body.len()) as u64 => {
                            return Err(too_large(limits));
                        }
                        // No loss: it is at most `max_body`, which is a `usize`.
                        size => Phase::Data(size as usize),
                    }
                }
                Phase::Data(left) => {
                    let taken = left.min(rest.len());
                    self.body.extend_from_slice(&rest[..taken]);
                    self.read += taken;
                    match left - taken {
                        0 => Phase::DataEnd,
                        left => {
                            self.phase = Phase::Data(left);
                            return Ok(false);
                        }
                    }
                }
                Phase::DataEnd => match rest {
                    [] | [b'\r'] => return Ok(false),
                    [b'\r', b'\n', ..] => {
                        self.skip(2, limits)?;
                        Phase::Size
                    }
                    _ => return Err(bad("A chunk is longer than its size says.")),
                },
                Phase::Trailer => {
                    let Some(line) = line(rest, limits.max_head)? else {
                        return Ok(false);
                    };
                    self.skip(line.len() + 2, limits)?;
                    match line {
                        [] => Phase::Done,
                        _ if is_field(line) => Phase::Trailer,
                        _ => {
                            return Err(bad(
                                "The text after the last chunk is not a header field.",
                            ));
                        }
                    }
                }
                Phase::Done => return Ok(true),
            };
        }
    }

    /// The body and the length of its coded form, once [`Chunked::advance`] has said that all of it is there.
    pub(super) fn into_body(self) -> (Vec<u8>, usize) {
        (self.body, self.read)
    }

    /// Counts framing: a body in chunks of one byte, or extensions without end, must not cost more than it carries.
    fn skip(&mut self, len: usize, limits: &HttpLimits) -> Result<(), Response> {
        self.read += len;
        self.overhead += len;
        if self.overhead > limits.max_head.saturating_add(self.body.len()) {
            return Err(bad(
                "The chunked body is more framing than data: send larger chunks.",
            ));
        }
        Ok(())
    }
}

/// The line that `bytes` begins with, without its CR LF; `None` while its end is not there.
fn line(bytes: &[u8], max: usize) -> Result<Option<&[u8]>, Response> {
    let window = &bytes[..bytes.len().min(max)];
    let Some(end) = memchr::memchr(b'\n', window) else {
        return if window.len() < max {
            Ok(None)
        } else {
            Err(bad("A line of the chunked body is too long."))
        };
    };
    match window[..end].split_last() {
        Some((b'\r', line)) if !line.contains(&b'\r') => match line.iter().any(is_control) {
            false => Ok(Some(line)),
            true => Err(bad("A line of the chunked body has control characters.")),
        },
        _ => Err(bad("A line of the chunked body does not end with CR LF.")),
    }
}

/// A tab is none: it is white space.
fn is_control(byte: &u8) -> bool {
    byte.is_ascii_control() && *byte != b'\t'
}

/// Whether this is a header field (RFC 9110 §5.1), rather than a folded line or a request that somebody meant to hide.
fn is_field(line: &[u8]) -> bool {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    match memchr::memchr(b':', line) {
        Some(0) | None => false,
        Some(colon) => line[..colon].iter().all(is_token),
    }
}

/// The size in a chunk's first line; what follows a `;` is an extension and ignored, with the white space before it
/// (RFC 9112 §7.1.1).
fn chunk_size(line: &[u8]) -> Result<u64, Response> {
    let digits = match memchr::memchr(b';', line) {
        Some(extension) => trim_end(&line[..extension]),
        None => line,
    };
    if digits.is_empty() || digits.len() > 16 {
        return Err(bad("A chunk's size is not a hexadecimal number."));
    }
    digits
        .iter()
        .try_fold(0u64, |size, &digit| match hex_digit(digit) {
            Some(value) => Ok(size << 4 | u64::from(value)),
            None => Err(bad("A chunk's size is not a hexadecimal number.")),
        })
}

/// Without the spaces and tabs at its end.
fn trim_end(mut bytes: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

fn bad(why: &str) -> Response {
    Response::bad_request(why)
}

fn too_large(limits: &HttpLimits) -> Response {
    let why = format!(
        "The body is larger than the {} bytes taken here.",
        limits.max_body
    );
    Response::refusal(Status::CONTENT_TOO_LARGE, &why)
}
