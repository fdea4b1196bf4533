//! Responses as bytes.

use std::borrow::Cow;

use crate::ws::handshake::server::Refusal;

/// A status code (RFC 9110 §15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status(pub u16);

impl Status {
    /// 200
    pub const OK: Self = Self(200);
    /// 201
    pub const CREATED: Self = Self(201);
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
}

impl ContentType {
    fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text/plain; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
            Self::Json => "application/json",
        }
    }
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
        }
    }

    /// A response in words, for people.
    pub fn text(status: Status, body: impl Into<Cow<'static, str>>) -> Self {
        let body = match body.into() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        Self::new(status, ContentType::Text, body)
    }

    /// 400 in words: `why` is a sentence.
    pub fn bad_request(why: &str) -> Self {
        Self::text(Status::BAD_REQUEST, format!("400: {why}\n"))
    }

    /// 201: what was published got this number (the answer to [`Route::Publish`](super::Route::Publish)).
    pub fn published(epoch: &str, seq: u64) -> Self {
        let mut body = Vec::with_capacity(64);
        body.extend_from_slice(b"{\"epoch\":");
        write_json_string(&mut body, epoch);
        body.extend_from_slice(b",\"seq\":");
        body.extend_from_slice(itoa::Buffer::new().format(seq).as_bytes());
        body.extend_from_slice(b"}\n");
        Self::new(Status::CREATED, ContentType::Json, body)
    }

    /// What went wrong with a publication (400, 403, 413, 429, 503 …), for programs and people: the sub-protocol's error
    /// `code` and a `message`.
    pub fn problem(status: Status, code: &str, message: &str) -> Self {
        let mut body = Vec::with_capacity(32 + code.len() + message.len());
        body.extend_from_slice(b"{\"code\":");
        write_json_string(&mut body, code);
        body.extend_from_slice(b",\"message\":");
        write_json_string(&mut body, message);
        body.extend_from_slice(b"}\n");
        Self::new(status, ContentType::Json, body)
    }

    /// 408: the request was not finished in time. Closes.
    pub fn request_timeout() -> Self {
        Self::text(
            Status::REQUEST_TIMEOUT,
            "408: the request was not finished in time.\n",
        )
        .closing()
    }

    /// 503: there are as many connections as there may be; come back in `retry_after_s` seconds. Closes.
    pub fn too_many_connections(retry_after_s: u32) -> Self {
        Self::text(
            Status::UNAVAILABLE,
            "503: too many connections at the moment. Try again soon.\n",
        )
        .with_retry_after(retry_after_s)
        .closing()
    }

    /// With one more header field. It is for fields that are not written anyway: `Date`, `Content-Type`,
    /// `Content-Length`, `Connection`, `Cache-Control` and `X-Content-Type-Options` are.
    pub fn with_header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, Cow::Borrowed(value)));
        self
    }

    /// With `Retry-After`, in seconds (RFC 9110 §10.2.3).
    pub fn with_retry_after(mut self, seconds: u32) -> Self {
        self.headers
            .push(("Retry-After", Cow::Owned(seconds.to_string())));
        self
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
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(number.format(self.status.0).as_bytes());
        out.push(b' ');
        out.extend_from_slice(self.status.reason().as_bytes());
        out.extend_from_slice(b"\r\n");
        write_field(out, "Date", date);
        write_field(out, "Content-Type", self.content_type.as_str());
        write_field(out, "Content-Length", number.format(self.body.len()));
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
        let response = Self::text(Status(status), format!("{status}: {body}\n")).closing();
        headers.iter().fold(response, |response, (name, value)| {
            response.with_header(name, value)
        })
    }
}

/// The whole interim response that lets a client go on with its body (RFC 9110 §15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

fn write_field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Appends `text` as a JSON string.
fn write_json_string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            0..=0x1f => {
                // Both indices are below 16.
                let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&digits);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}
