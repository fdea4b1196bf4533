//! Requests out of bytes.

use std::borrow::Cow;

use super::body::Framing;
use super::fields::Handshake;
use super::{Head, Header, HttpLimits, Response, Status, Target, fields, target};

/// The most header fields in one head; more are answered with 431.
const MAX_HEADERS: usize = 64;

/// The most empty lines that are read over before a request. RFC 9112 §2.2 asks for one, as old clients end a body
/// with one too many.
pub(super) const MAX_EMPTY_LINES: usize = 4;

/// Room for the fields of one head, owned by the caller so that a [`Head`] borrows and nothing is allocated.
pub type HeaderSlots<'a> = [Header<'a>; MAX_HEADERS];

/// What [`HeaderSlots`] begin as.
pub const NO_HEADERS: HeaderSlots<'static> = [httparse::EMPTY_HEADER; MAX_HEADERS];

/// What the bytes so far amount to.
#[derive(Debug)]
pub enum Progress<'a> {
    /// Not yet a whole request: come back with the same bytes and more after them.
    Incomplete,
    /// The client waits for `HTTP/1.1 100 Continue` (RFC 9110 §10.1.1) before it sends the body. Said once a request;
    /// after it, as after [`Progress::Incomplete`].
    ExpectContinue,
    /// A whole request.
    Request(Request<'a>),
    /// Not a request that can be answered otherwise. Send it and close: where the next one begins is unknown.
    Refuse(Response),
}

/// A whole request, borrowed from the bytes it was read from.
#[derive(Debug)]
pub struct Request<'a> {
    /// The head as it came.
    pub head: Head<'a>,
    /// What it asks about.
    pub target: Target<'a>,
    /// The server that the client believes it is talking to: host and perhaps port, checked to be nothing but that. `None` where
    /// `Host` was empty, or left out in HTTP/1.0.
    pub host: Option<&'a str>,
    /// The body, any transfer coding taken off; empty where there was none.
    pub body: Cow<'a, [u8]>,
    /// How many of the bytes handed in belong to this request: the next one begins after them.
    pub consumed: usize,
    /// Whether the client would go on after it; otherwise close after the answer.
    pub keep_alive: bool,
}

impl<'a> Request<'a> {
    /// The path that it asks for; `*` for the server as a whole.
    pub(crate) fn path(&self) -> &'a str {
        match self.target {
            Target::Server => "*",
            Target::Resource { path, .. } => path,
        }
    }

    /// With the [`address`] that is in the head.
    fn new(
        head: Head<'a>,
        (target, host): Address<'a>,
        body: Cow<'a, [u8]>,
        consumed: usize,
    ) -> Request<'a> {
        let keep_alive = fields::keep_alive(&head);
        Request {
            head,
            target,
            host,
            body,
            consumed,
            keep_alive,
        }
    }
}

/// What a request asks about, and which server.
type Address<'a> = (Target<'a>, Option<&'a str>);

/// Reads requests, one after the other, out of a connection's bytes.
///
/// The caller keeps the bytes; this keeps only how far it has come with them, so that a head that comes in byte by
/// byte is not read from its beginning each time, and a body's arrival costs a comparison.
#[derive(Debug, Default)]
pub struct HttpParser {
    state: State,
}

#[derive(Debug)]
enum State {
    /// The head is not all there.
    Head {
        /// No end of the head begins before this offset.
        searched: usize,
        /// How many bytes there have to be before the unfinished head is looked at again for what can't be mended.
        /// Doubles, so that rubbish is refused early and yet all looks together cost no more than two whole ones.
        look_at: usize,
    },
    /// The head, of so many bytes with the empty lines before it, is all there; the body is not.
    Body {
        head_len: usize,
        framing: Framing,
        /// How long the body may be, in bytes.
        max_body: usize,
    },
}

impl Default for State {
    fn default() -> Self {
        Self::Head {
            searched: 0,
            look_at: 0,
        }
    }
}

impl HttpParser {
    /// A parser at the beginning of a request.
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on reading.
    ///
    /// `bytes` begins with the request's first byte: what was there at the last call, and what came since. After
    /// [`Progress::Request`] the next call wants them without the `consumed` ones, and may be made at once
    /// (pipelining, RFC 9112 §9.3.2). `slots` is [`NO_HEADERS`], fresh for each call.
    ///
    /// It never asks for more than [`HttpLimits::max_held`] bytes.
    pub fn next_request<'a>(
        &mut self,
        bytes: &'a [u8],
        slots: &'a mut HeaderSlots<'a>,
        limits: &HttpLimits,
    ) -> Progress<'a> {
        let step = match std::mem::take(&mut self.state) {
            State::Head { searched, look_at } => {
                self.read_head(bytes, slots, limits, searched, look_at)
            }
            State::Body {
                head_len,
                framing,
                max_body,
            } => {
                let limits = HttpLimits {
                    max_body,
                    ..*limits
                };
                self.read_body(bytes, slots, &limits, head_len, framing)
            }
        };
        step.unwrap_or_else(|refusal| {
            let refusal = refusal.for_head_request(is_head_request(bytes));
            Progress::Refuse(refusal.closing())
        })
    }

    /// Whether a request has begun in `bytes` (the ones of the last call): one that is not finished in time deserves a
    /// 408, while a connection that merely rests between two requests is closed without a word.
    pub fn has_begun(&self, bytes: &[u8]) -> bool {
        bytes.len() > empty_lines(bytes)
    }

    /// Whether the head is whole and the body is not.
    pub fn awaits_body(&self) -> bool {
        matches!(self.state, State::Body { .. })
    }

    /// Bytes of memory that it keeps itself: what was taken out of the chunks of a body that is not whole.
    pub fn held_bytes(&self) -> usize {
        match &self.state {
            State::Body { framing, .. } => framing.held_bytes(),
            State::Head { .. } => 0,
        }
    }

    fn read_head<'a>(
        &mut self,
        bytes: &'a [u8],
        slots: &'a mut HeaderSlots<'a>,
        limits: &HttpLimits,
        searched: usize,
        look_at: usize,
    ) -> Result<Progress<'a>, Response> {
        let start = empty_lines(bytes);
        if start > MAX_EMPTY_LINES * 2 {
            return Err(Response::bad_request("The request has only empty lines."));
        }
        let window = &bytes[..bytes.len().min(start.saturating_add(limits.max_head))];
        let Some(head_len) = head_end(window, searched.max(start)) else {
            let is_full = window.len() - start == limits.max_head;
            if window.len() < look_at && !is_full {
                self.state = State::Head {
                    searched: window.len().saturating_sub(2),
                    look_at,
                };
                return Ok(Progress::Incomplete);
            }
            look(&window[start..])?;
            if is_full {
                return Err(head_too_large(&window[start..], limits));
            }
            self.state = State::Head {
                searched: window.len().saturating_sub(2),
                look_at: window.len() * 2,
            };
            return Ok(Progress::Incomplete);
        };
        let head = parse(&window[start..head_len], slots)?;
        self.begin(bytes, head, head_len, limits)
    }

    /// With the head there: what does it announce, and is that there too?
    fn begin<'a>(
        &mut self,
        bytes: &'a [u8],
        head: Head<'a>,
        head_len: usize,
        limits: &HttpLimits,
    ) -> Result<Progress<'a>, Response> {
        let address = address(&head)?;
        let limits = &limits.of(address.0);
        let mut framing = Framing::of(&head, limits)?;
        if !framing.is_empty() && Handshake::of(&head) == Handshake::Fields {
            return Err(Response::bad_request("A WebSocket handshake has no body."));
        }
        let awaits_continue = awaits_continue(&head)?;
        let Some((body, consumed)) = take_body(bytes, head_len, &mut framing, limits)? else {
            let nothing_came = bytes.len() == head_len;
            self.state = State::Body {
                head_len,
                framing,
                max_body: limits.max_body,
            };
            // Whose body is under way already does not wait (RFC 9110 §10.1.1).
            let awaits_continue = awaits_continue && nothing_came;
            return Ok(if awaits_continue {
                Progress::ExpectContinue
            } else {
                Progress::Incomplete
            });
        };
        let request = Request::new(head, address, body, consumed);
        Ok(Progress::Request(request))
    }

    fn read_body<'a>(
        &mut self,
        bytes: &'a [u8],
        slots: &'a mut HeaderSlots<'a>,
        limits: &HttpLimits,
        head_len: usize,
        mut framing: Framing,
    ) -> Result<Progress<'a>, Response> {
        let Some((body, consumed)) = take_body(bytes, head_len, &mut framing, limits)? else {
            self.state = State::Body {
                head_len,
                framing,
                max_body: limits.max_body,
            };
            return Ok(Progress::Incomplete);
        };
        // Read a second and last time, since a view of the first could not be kept beside the caller's bytes.
        let head = parse(&bytes[empty_lines(bytes)..head_len], slots)?;
        let address = address(&head)?;
        let request = Request::new(head, address, body, consumed);
        Ok(Progress::Request(request))
    }
}

/// Whether the request that `bytes` begin with is, or will be, a HEAD request: whatever it is answered with has no body
/// (RFC 9110 §9.3.2).
pub fn is_head_request(bytes: &[u8]) -> bool {
    bytes[empty_lines(bytes)..].starts_with(b"HEAD ")
}

/// How many bytes of empty lines stand before anything else.
fn empty_lines(bytes: &[u8]) -> usize {
    // One more than is allowed is enough to know.
    bytes
        .chunks_exact(2)
        .take(MAX_EMPTY_LINES + 1)
        .take_while(|pair| pair == b"\r\n")
        .count()
        * 2
}

/// Where the head ends: after the first empty line at or after `from`. A bare LF ends a line here so that a client
/// which ends all its lines so is refused at once, rather than waited for.
fn head_end(bytes: &[u8], from: usize) -> Option<usize> {
    memchr::memchr_iter(b'\n', bytes.get(from..)?)
        .map(|at| from + at + 1)
        .find_map(|next| match &bytes[next..] {
            [b'\r', b'\n', ..] => Some(next + 2),
            [b'\n', ..] => Some(next + 1),
            _ => None,
        })
}

/// Parses a whole head.
fn parse<'a>(bytes: &'a [u8], slots: &'a mut HeaderSlots<'a>) -> Result<Head<'a>, Response> {
    let mut parsed = httparse::Request::new(slots);
    let status = parsed.parse(bytes).map_err(|error| refusal(error, bytes))?;
    let (httparse::Status::Complete(len), Some(method), Some(target), Some(version_minor)) =
        (status, parsed.method, parsed.path, parsed.version)
    else {
        return Err(Response::bad_request(
            "The request does not begin with a request line.",
        ));
    };
    // httparse takes LF for CR LF, as RFC 9112 §2.2 permits. A proxy that does not would see other lines.
    let is_bare = |at: usize| at == 0 || bytes[at - 1] != b'\r';
    if len != bytes.len() || memchr::memchr_iter(b'\n', bytes).any(is_bare) {
        return Err(Response::bad_request(
            "Lines end with CR LF, not with LF alone.",
        ));
    }
    Ok(Head {
        method,
        target,
        version_minor,
        headers: parsed.headers,
    })
}

/// Looks at a head that is not all there: an error in what is there stays one, whatever follows.
fn look(bytes: &[u8]) -> Result<(), Response> {
    let mut headers = NO_HEADERS;
    match httparse::Request::new(&mut headers).parse(bytes) {
        Ok(_) => Ok(()),
        Err(error) => Err(refusal(error, bytes)),
    }
}

/// The answer to what httparse would not take.
fn refusal(error: httparse::Error, bytes: &[u8]) -> Response {
    use httparse::Error;
    match error {
        Error::TooManyHeaders => Response::refusal(
            Status::HEADER_FIELDS_TOO_LARGE,
            &format!("There are more than {MAX_HEADERS} header fields."),
        ),
        Error::Version if names_other_version(bytes) => Response::refusal(
            Status::VERSION_NOT_SUPPORTED,
            "This speaks HTTP/1.1 and HTTP/1.0.",
        ),
        Error::Version => Response::bad_request("The request line does not end with HTTP/1.1."),
        Error::HeaderName => {
            Response::bad_request("A header field's name has a character that no name may have.")
        }
        Error::HeaderValue => {
            Response::bad_request("A header field's value has a character that no value may have.")
        }
        Error::NewLine => Response::bad_request("A line does not end with CR LF."),
        Error::Token | Error::Status => Response::bad_request("This is not an HTTP request."),
    }
}

/// Whether the request line ends with a version of HTTP, even if not one of ours.
fn names_other_version(bytes: &[u8]) -> bool {
    let line = bytes
        .split(|&byte| byte == b'\r' || byte == b'\n')
        .find(|line| !line.is_empty())
        .unwrap_or_default();
    let version = line.split(|&byte| byte == b' ').nth(2).unwrap_or_default();
    matches!(version, [b'H', b'T', b'T', b'P', b'/', digit, ..] if digit.is_ascii_digit())
}

/// The answer to a head without an end: 414 if even the request line has none, else 431 (RFC 6585 §5).
fn head_too_large(bytes: &[u8], limits: &HttpLimits) -> Response {
    let max = limits.max_head;
    if memchr::memchr(b'\n', bytes).is_none() {
        let why = format!("The request line is longer than the {max} bytes taken here.");
        return Response::refusal(Status::URI_TOO_LONG, &why);
    }
    let why = format!("The request's header fields are larger than the {max} bytes taken here.");
    Response::refusal(Status::HEADER_FIELDS_TOO_LARGE, &why)
}

/// What the request asks about, and which server.
fn address<'a>(head: &Head<'a>) -> Result<Address<'a>, Response> {
    let (target, authority) =
        target::parse(head.method, head.target).map_err(Response::bad_request)?;
    let mut hosts = fields::values(head.headers, "Host");
    let (host, another) = (hosts.next(), hosts.next());
    if another.is_some() {
        return Err(Response::bad_request("There is more than one Host field."));
    }
    let host = match host {
        None if head.version_minor >= 1 => {
            return Err(Response::bad_request("There is no Host field."));
        }
        // Empty where the target has no authority (RFC 9110 §7.2).
        None | Some(b"") => None,
        Some(host) if target::is_authority(host) => std::str::from_utf8(host).ok(),
        Some(_) => {
            return Err(Response::bad_request(
                "The Host field is not a host with or without a port.",
            ));
        }
    };
    // RFC 9112 §3.2.2: an absolute URL outranks Host.
    Ok((target, authority.or(host)))
}

/// Whether the client waits for a go-ahead. HTTP/1.0 knows no such thing, and nothing else can be expected of us.
fn awaits_continue(head: &Head<'_>) -> Result<bool, Response> {
    if head.version_minor == 0 {
        return Ok(false);
    }
    let mut expectations = fields::list(head.headers, "Expect").peekable();
    let some = expectations.peek().is_some();
    if expectations.all(|expectation| expectation.eq_ignore_ascii_case(b"100-continue")) {
        return Ok(some);
    }
    Err(Response::refusal(
        Status::EXPECTATION_FAILED,
        "The only expectation met here is 100-continue.",
    ))
}

/// A body, and where the request that it closes ends.
type Taken<'a> = (Cow<'a, [u8]>, usize);

/// Takes the body, if all of it is there.
fn take_body<'a>(
    bytes: &'a [u8],
    head_len: usize,
    framing: &mut Framing,
    limits: &HttpLimits,
) -> Result<Option<Taken<'a>>, Response> {
    let rest = bytes.get(head_len..).unwrap_or_default();
    match framing {
        Framing::Length(length) => Ok(rest
            .get(..*length)
            .map(|body| (Cow::Borrowed(body), head_len + *length))),
        Framing::Chunked(chunked) => {
            if !chunked.advance(rest, limits)? {
                return Ok(None);
            }
            let (body, coded_len) = std::mem::take(&mut **chunked).into_body();
            Ok(Some((Cow::Owned(body), head_len + coded_len)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HttpLimits = HttpLimits {
        max_head: 8192,
        max_body: 0,
        max_batch: 0,
    };

    #[test]
    fn a_head_that_comes_byte_by_byte_is_looked_at_no_more_than_a_dozen_times() {
        let stream = format!("GET / HTTP/1.1\r\nHost: h\r\nA: {}", "a".repeat(8000));
        let mut parser = HttpParser::new();
        let (mut looks, mut last_look_at) = (0, 0);
        for len in 1..=stream.len() {
            let mut slots = NO_HEADERS;
            let progress = parser.next_request(&stream.as_bytes()[..len], &mut slots, &LIMITS);
            assert!(matches!(progress, Progress::Incomplete));
            let State::Head { searched, look_at } = parser.state else {
                unreachable!("the head has no end")
            };
            assert_eq!(
                searched,
                len.saturating_sub(2),
                "what was searched is not searched again"
            );
            looks += usize::from(look_at != last_look_at);
            last_look_at = look_at;
        }
        assert!(looks <= 13, "{looks} looks");
    }

    #[test]
    fn values_have_no_white_space_around_them() {
        let mut slots = NO_HEADERS;
        let head = parse(
            b"GET / HTTP/1.1\r\nA: \t b c \t \r\nB: \r\n\r\n",
            &mut slots,
        )
        .expect("a head");
        assert_eq!(head.headers[0].value, b"b c");
        assert_eq!(head.headers[1].value, b"");
    }

    #[test]
    fn a_connection_in_its_handshake_carries_little_for_the_parser() {
        assert!(size_of::<HttpParser>() <= 32);
    }
}
