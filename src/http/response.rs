//! Responses as bytes.

use std::borrow::Cow;

use crate::dialect::json::encode::{number_member, string, text_member};
use crate::dialect::sse;
use crate::ws::handshake::server::Refusal;

/// A status code (RFC 9110 §15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub u16);

impl Status {
    /// 200
    pub const OK: Self = Self(200);
    /// 201
    pub const CREATED: Self = Self(201);
    /// 304
    pub const NOT_MODIFIED: Self = Self(304);
    /// 400
    pub const BAD_REQUEST: Self = Self(400);
    /// 401
    pub const UNAUTHORIZED: Self = Self(401);
    /// 403
    pub const FORBIDDEN: Self = Self(403);
    /// 404
    pub const NOT_FOUND: Self = Self(404);
    /// 405
    pub const METHOD_NOT_ALLOWED: Self = Self(405);
    /// 408
    pub const REQUEST_TIMEOUT: Self = Self(408);
    /// 413
    pub const CONTENT_TOO_LARGE: Self = Self(413);
    /// 414
    pub const URI_TOO_LONG: Self = Self(414);
    /// 415
    pub const UNSUPPORTED_MEDIA_TYPE: Self = Self(415);
    /// 417
    pub const EXPECTATION_FAILED: Self = Self(417);
    /// 421
    pub const MISDIRECTED_REQUEST: Self = Self(421);
    /// 426
    pub const UPGRADE_REQUIRED: Self = Self(426);
    /// 429
    pub const TOO_MANY_REQUESTS: Self = Self(429);
    /// 431
    pub const HEADER_FIELDS_TOO_LARGE: Self = Self(431);
    /// 500
    pub const INTERNAL: Self = Self(500);
    /// 501
    pub const NOT_IMPLEMENTED: Self = Self(501);
    /// 503
    pub const UNAVAILABLE: Self = Self(503);
    /// 505
    pub const VERSION_NOT_SUPPORTED: Self = Self(505);

    /// The words that go with the code. Clients must not read them (RFC 9112 §4), people do.
    fn reason(self) -> &'static str {
        match self.0 {
            200 => "OK",
            201 => "Created",
            304 => "Not Modified",
            400 => "Bad Request",
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "Not Found",
            405 => "Method Not Allowed",
            408 => "Request Timeout",
            413 => "Content Too Large",
            414 => "URI Too Long",
            415 => "Unsupported Media Type",
            417 => "Expectation Failed",
            421 => "Misdirected Request",
            426 => "Upgrade Required",
            429 => "Too Many Requests",
            431 => "Request Header Fields Too Large",
            500 => "Internal Server Error",
            501 => "Not Implemented",
            503 => "Service Unavailable",
            505 => "HTTP Version Not Supported",
            // The reason may be empty, the space before it may not be left out.
            _ => "",
        }
    }
}

/// What a response's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentType {
    /// Plain text for people, UTF-8.
    Text,
    /// HTML, UTF-8.
    Html,
    /// JSON, which is UTF-8 by definition (RFC 8259 §8.1) and has no charset parameter.
    Json,
    /// What went wrong, as JSON (RFC 9457).
    Problem,
    /// JSON, one value a line.
    JsonLines,
    /// Server-Sent Events.
    EventStream,
    /// Metrics (OpenMetrics 1.0, UTF-8).
    OpenMetrics,
}

impl ContentType {
    fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text/plain; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
            Self::Json => "application/json",
            Self::Problem => "application/problem+json",
            Self::JsonLines => "application/x-ndjson",
            Self::EventStream => sse::MEDIA_TYPE,
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Where a response's body ends (RFC 9112 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BodyEnd {
    /// After its length: all of it is in the response.
    Length,
    /// After the last of its chunks.
    Chunked,
    /// With the connection.
    Close,
}

/// A response that has yet to be written.
#[derive(Debug, Clone)]
pub struct Response {
    status: Status,
    content_type: ContentType,
    body: Cow<'static, [u8]>,
    headers: Vec<(&'static str, Cow<'static, str>)>,
    cache_control: &'static str,
    closes: bool,
    answers_head: bool,
    end: BodyEnd,
}

impl Response {
    /// A response with `body`, which no cache keeps.
    pub fn new(
        status: Status,
        content_type: ContentType,
        body: impl Into<Cow<'static, [u8]>>,
    ) -> Self {
        Self {
            status,
            content_type,
            body: body.into(),
            headers: Vec::new(),
            cache_control: "no-store",
            closes: false,
            answers_head: false,
            end: BodyEnd::Length,
        }
    }

    /// 200 with a body that is written bit by bit afterwards: by [`write_chunk`] if `is_chunked`, else as it is, up to the end of the
    /// connection.
    pub fn stream(content_type: ContentType, is_chunked: bool) -> Self {
        let response = Self {
            end: match is_chunked {
                true => BodyEnd::Chunked,
                false => BodyEnd::Close,
            },
            ..Self::new(Status::OK, content_type, &b""[..])
        };
        match is_chunked {
            true => response,
            false => response.closing(),
        }
    }

    /// 304: the client has what it asks for (RFC 9110 §15.4.5).
    pub fn not_modified(etag: String) -> Self {
        Self::text(Status::NOT_MODIFIED, "").with_etag(etag)
    }

    /// A response in words, for people.
    pub fn text(status: Status, body: impl Into<Cow<'static, str>>) -> Self {
        let body = match body.into() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        Self::new(status, ContentType::Text, body)
    }

    /// What is wrong with a request, as problem details whose code is the status in words: `content_too_large` for 413. `detail` is a sentence.
    pub fn refusal(status: Status, detail: &str) -> Self {
        let code = status
            .reason()
            .to_ascii_lowercase()
            .replace([' ', '-'], "_");
        Self::problem(status, &code, detail)
    }

    /// 400: `why` is a sentence.
    pub fn bad_request(why: &str) -> Self {
        Self::refusal(Status::BAD_REQUEST, why)
    }

    /// 201: what was published got this number (the answer to a POST to [`Resource::Channel`](super::Resource::Channel)).
    pub fn published(epoch: &str, seq: u64) -> Self {
        let mut body = Vec::with_capacity(64);
        write_published(&mut body, epoch, seq);
        Self::new(Status::CREATED, ContentType::Json, body)
    }

    /// What went wrong (400, 403, 429, 503 …), as problem details (RFC 9457): the sub-protocol's error `code` for programs, or that of
    /// [`Response::refusal`], and a `detail` for people. The type is `about:blank`, which is left out.
    pub fn problem(status: Status, code: &str, detail: &str) -> Self {
        let mut body = Vec::with_capacity(64 + code.len() + detail.len());
        body.extend_from_slice(b"{\"title\":");
        string(&mut body, status.reason());
        number_member(&mut body, "status", status.0.into());
        text_member(&mut body, "code", code);
        text_member(&mut body, "detail", detail);
        body.extend_from_slice(b"}\n");
        Self::new(status, ContentType::Problem, body)
    }

    /// 408: the request was not finished in time. Closes.
    pub fn request_timeout() -> Self {
        let why = "The request was not finished in time.";
        Self::refusal(Status::REQUEST_TIMEOUT, why).closing()
    }

    /// 503: there are as many connections as there may be; come back in `retry_after_s` seconds. Closes.
    pub fn too_many_connections(retry_after_s: u32) -> Self {
        let why = "There are too many connections at the moment. Try again soon.";
        Self::problem(Status::UNAVAILABLE, "limit", why)
            .with_retry_after(retry_after_s)
            .closing()
    }

    /// With one more header field. It is for fields that are not written anyway: `Date`, `Content-Type`,
    /// `Content-Length`, `Connection`, `Cache-Control` and `X-Content-Type-Options` are.
    pub fn with_header(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With `ETag`, which is quoted already (RFC 9110 §8.8.3). A cache may keep the response, and asks each time whether it is the
    /// same still.
    pub fn with_etag(self, etag: String) -> Self {
        self.with_header("ETag", etag)
            .with_cache_control("no-cache")
    }

    /// With `Retry-After`, in seconds (RFC 9110 §10.2.3).
    pub fn with_retry_after(self, seconds: u32) -> Self {
        self.with_header("Retry-After", seconds.to_string())
    }

    /// With another `Cache-Control` than `no-store`.
    pub(super) fn with_cache_control(mut self, directive: &'static str) -> Self {
        self.cache_control = directive;
        self
    }

    /// The same, after which the connection closes.
    pub fn closing(mut self) -> Self {
        self.closes = true;
        self
    }

    /// The same as the answer to a HEAD request if it `is` one: all fields, no body (RFC 9110 §9.3.2).
    pub fn for_head_request(mut self, is: bool) -> Self {
        self.answers_head = is;
        self
    }

    /// The status.
    pub fn status(&self) -> Status {
        self.status
    }

    /// The body as it is written, unless HEAD was asked.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Whether the connection has to close after it, whatever the request wished.
    pub fn closes(&self) -> bool {
        self.closes
    }

    /// Appends the response to `out`.
    ///
    /// `date` is the time in the form of RFC 9110 §5.6.7; format it once a second. `keep_alive` is what the request
    /// wished ([`Request::keep_alive`](super::Request::keep_alive)): close the connection after the response unless it is
    /// true and [`Response::closes`] is false.
    pub fn write(&self, out: &mut Vec<u8>, date: &str, keep_alive: bool) {
        let mut number = itoa::Buffer::new();
        // Once for all of it, since a client that publishes by HTTP has thousands of these written a second.
        out.reserve(HEAD_ROOM + self.body.len());
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(number.format(self.status.0).as_bytes());
        out.push(b' ');
        out.extend_from_slice(self.status.reason().as_bytes());
        out.extend_from_slice(b"\r\n");
        write_field(out, "Date", date);
        if self.status != Status::NOT_MODIFIED {
            write_field(out, "Content-Type", self.content_type.as_str());
            match self.end {
                BodyEnd::Length => {
                    write_field(out, "Content-Length", number.format(self.body.len()));
                }
                BodyEnd::Chunked => write_field(out, "Transfer-Encoding", "chunked"),
                BodyEnd::Close => {}
            }
        }
        write_field(out, "Connection", self.connection(keep_alive));
        write_field(out, "Cache-Control", self.cache_control);
        write_field(out, "X-Content-Type-Options", "nosniff");
        for (name, value) in &self.headers {
            write_field(out, name, value);
        }
        out.extend_from_slice(b"\r\n");
        if !self.answers_head {
            out.extend_from_slice(&self.body);
        }
    }

    /// The value of `Connection`. `Upgrade` belongs there with the field of that name (RFC 9110 §7.8).
    fn connection(&self, keep_alive: bool) -> &'static str {
        match (self.status, keep_alive && !self.closes) {
            (Status::UPGRADE_REQUIRED, true) => "Upgrade, keep-alive",
            (Status::UPGRADE_REQUIRED, false) => "Upgrade, close",
            (_, true) => "keep-alive",
            (_, false) => "close",
        }
    }
}

/// The answer to a handshake that does not hold. Closes: a client that came for a WebSocket wants nothing else here.
impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Self {
        let Refusal {
            status,
            headers,
            body,
        } = refusal;
        let response = Self::refusal(Status(status), &body).closing();
        headers.iter().fold(response, |response, (name, value)| {
            response.with_header(name, *value)
        })
    }
}

/// The whole interim response that lets a client go on with its body (RFC 9110 §15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What a head without fields of its own takes, in bytes.
const HEAD_ROOM: usize = 256;

fn write_field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends what is said of a publication: a line of JSON with its epoch and its number.
pub fn write_published(out: &mut Vec<u8>, epoch: &str, seq: u64) {
    out.extend_from_slice(b"{\"epoch\":");
    string(out, epoch);
    number_member(out, "seq", seq);
    out.extend_from_slice(b"}\n");
}

/// Appends a chunk of a body with what `write` appends (RFC 9112 §7.1); nothing if it appends nothing, since an empty chunk is the last.
pub fn write_chunk(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    // Room for the length, which is known afterwards. Zeros in front of it are allowed.
    const LENGTH: usize = 8;
    let begin = out.len();
    out.extend_from_slice(b"00000000\r\n");
    let body = out.len();
    write(out);
    let mut left = out.len() - body;
    if left == 0 {
        out.truncate(begin);
        return;
    }
    for digit in out[begin..begin + LENGTH].iter_mut().rev() {
        *digit = b"0123456789abcdef"[left & 15];
        left >>= 4;
    }
    out.extend_from_slice(b"\r\n");
}

/// The end of a body in chunks.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
