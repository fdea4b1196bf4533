//! Whole requests through parser, routes and response writer.

use super::*;

const LIMITS: HttpLimits = HttpLimits {
    max_head: 8192,
    max_body: 100,
};
const SITE: Site = Site {
    echo: true,
    secure: false,
};
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// What one request came to, without borrows, so that runs can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outcome {
    method: String,
    target: String,
    body: Vec<u8>,
    keep_alive: bool,
    response: String,
}

/// Answers everything in a stream that arrives in the pieces that end at `cuts`, as the loop would. The second value
/// says where unread bytes begin: what is left is incomplete, or follows a refusal.
fn serve_in_pieces(
    stream: &[u8],
    cuts: &[usize],
    limits: &HttpLimits,
    site: &Site,
) -> (Vec<Outcome>, usize) {
    let mut parser = HttpParser::new();
    let (mut outcomes, mut start) = (Vec::new(), 0);
    for &end in cuts.iter().chain([&stream.len()]) {
        loop {
            let mut slots = NO_HEADERS;
            match parser.next_request(&stream[start..end], &mut slots, limits) {
                Progress::Incomplete | Progress::ExpectContinue => {
                    assert!(end - start < limits.max_held(), "asks for more than it may");
                    break;
                }
                Progress::Request(request) => {
                    outcomes.push(outcome(&request, site));
                    start += request.consumed;
                    if !request.keep_alive {
                        return (outcomes, start);
                    }
                }
                Progress::Refuse(response) => {
                    assert!(response.closes());
                    outcomes.push(Outcome {
                        method: String::new(),
                        target: String::new(),
                        body: Vec::new(),
                        keep_alive: false,
                        response: written(&response, false),
                    });
                    return (outcomes, start);
                }
            }
        }
    }
    (outcomes, start)
}

fn outcome(request: &Request<'_>, site: &Site) -> Outcome {
    let response = match route(request, site) {
        Route::Answer(response) => written(&response, request.keep_alive),
        Route::WebSocket(socket) => format!("HTTP/1.1 101 {socket:?}"),
        Route::Publish { channel } => format!("HTTP/1.1 201 {channel}"),
    };
    Outcome {
        method: request.head.method.to_owned(),
        target: request.head.target.to_owned(),
        body: request.body.to_vec(),
        keep_alive: request.keep_alive,
        response,
    }
}

fn written(response: &Response, keep_alive: bool) -> String {
    let mut out = Vec::new();
    response.write(&mut out, DATE, keep_alive);
    String::from_utf8(out).expect("responses here are UTF-8")
}

/// The one outcome of a stream that holds one request.
fn serve(stream: &str) -> Outcome {
    let (mut outcomes, _) = serve_in_pieces(stream.as_bytes(), &[], &LIMITS, &SITE);
    assert_eq!(outcomes.len(), 1, "{stream:?} came to {outcomes:?}");
    outcomes.remove(0)
}

fn status(stream: &str) -> u16 {
    let response = serve(stream).response;
    response[9..12]
        .parse()
        .expect("a status line begins the response")
}

fn get(target: &str, fields: &str) -> Outcome {
    serve(&format!(
        "GET {target} HTTP/1.1\r\nHost: example.com\r\n{fields}\r\n"
    ))
}

fn post(fields: &str, body: &str) -> Outcome {
    serve(&format!(
        "POST /channels/a HTTP/1.1\r\nHost: h\r\n{fields}\r\n{body}"
    ))
}

fn body_of(outcome: &Outcome) -> &str {
    outcome.response.split_once("\r\n\r\n").expect("a head").1
}

/// The values of a response's fields called `name`.
fn field<'a>(outcome: &'a Outcome, name: &str) -> Option<&'a str> {
    let head = outcome.response.split("\r\n\r\n").next()?;
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(n, _)| *n == name)
        .map(|(_, value)| value)
}

#[test]
fn raw_requests_get_the_status_that_the_rfcs_give_them() {
    let long_target = format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "a".repeat(9000));
    let long_field = format!(
        "GET / HTTP/1.1\r\nHost: h\r\nA: {}\r\n\r\n",
        "a".repeat(9000)
    );
    let many_fields = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "A: b\r\n".repeat(64));
    let enough_fields = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "A: b\r\n".repeat(63));
    let table: &[(u16, &str)] = &[
        (200, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
        (200, "GET /?a=b HTTP/1.1\r\nHost: h\r\n\r\n"),
        (200, "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n"),
        (200, "HEAD /healthz HTTP/1.1\r\nhOST: h\r\n\r\n"),
        (200, "GET / HTTP/1.1\r\nHost: \r\n\r\n"),
        (200, "GET / HTTP/1.1\r\nHost: [::1]:8040\r\n\r\n"),
        (200, "GET / HTTP/1.0\r\n\r\n"),
        (200, "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"),
        (200, "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"),
        (200, "OPTIONS /channels/a HTTP/1.1\r\nHost: h\r\n\r\n"),
        (200, "GET http://other/healthz HTTP/1.1\r\nHost: h\r\n\r\n"),
        (200, "GET HTTP://other HTTP/1.1\r\nHost: h\r\n\r\n"),
        (200, "GET http://other?q HTTP/1.1\r\nHost: h\r\n\r\n"),
        (
            200,
            "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        ),
        (
            200,
            "GET /healthz HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi",
        ),
        (
            200,
            "GET /healthz HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n",
        ),
        (200, &enough_fields),
        (
            101,
            "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: WebSocket\r\n\r\n",
        ),
        (
            101,
            "GET /ws?token=x HTTP/1.1\r\nHost: h\r\nUpgrade: a, websocket\r\n\r\n",
        ),
        (
            101,
            "GET /echo HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Key: x\r\n\r\n",
        ),
        (
            101,
            "POST /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            201,
            "POST /channels/a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n1",
        ),
        (
            201,
            "POST /channels/a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n1",
        ),
        (201, "POST /channels/a HTTP/1.1\r\nHost: h\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: <script>\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: h:http\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost : h\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: h\r\n folded\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\n Host: h\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: h\r\nA: b\0\r\n\r\n"),
        (400, "GET / HTTP/1.1\nHost: h\n\n"),
        (400, "GET / HTTP/1.1\r\nHost: h\nA: b\r\n\r\n"),
        (400, "GET  / HTTP/1.1\r\nHost: h\r\n\r\n"),
        (400, "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n"),
        (400, "GET /\r\n\r\n"),
        (400, "GET /#a HTTP/1.1\r\nHost: h\r\n\r\n"),
        (400, "GET * HTTP/1.1\r\nHost: h\r\n\r\n"),
        (400, "GET healthz HTTP/1.1\r\nHost: h\r\n\r\n"),
        (400, "GET ftp://h/ HTTP/1.1\r\nHost: h\r\n\r\n"),
        (400, "GET http:///healthz HTTP/1.1\r\nHost: h\r\n\r\n"),
        (400, "GET http://user@h/ HTTP/1.1\r\nHost: h\r\n\r\n"),
        (400, "CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n"),
        (400, "\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"),
        (400, "\n\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"),
        (400, "\x16\x03\x01\x02\x00\x01\x00\x01\x03"),
        (400, "POST /channels/%4 HTTP/1.1\r\nHost: h\r\n\r\n"),
        (400, "POST /channels/%+1 HTTP/1.1\r\nHost: h\r\n\r\n"),
        (400, "POST /channels/%ff HTTP/1.1\r\nHost: h\r\n\r\n"),
        (
            400,
            "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx",
        ),
        (404, "GET /nope HTTP/1.1\r\nHost: h\r\n\r\n"),
        (404, "POST /channels/ HTTP/1.1\r\nHost: h\r\n\r\n"),
        (404, "GET //healthz HTTP/1.1\r\nHost: h\r\n\r\n"),
        (405, "DELETE / HTTP/1.1\r\nHost: h\r\n\r\n"),
        (405, "get / HTTP/1.1\r\nHost: h\r\n\r\n"),
        (405, "POST / HTTP/1.1\r\nHost: h\r\n\r\n"),
        (405, "POST /healthz HTTP/1.1\r\nHost: h\r\n\r\n"),
        (405, "GET /channels/a HTTP/1.1\r\nHost: h\r\n\r\n"),
        (414, &long_target),
        (
            417,
            "POST /channels/a HTTP/1.1\r\nHost: h\r\nExpect: 200-ok\r\nContent-Length: 1\r\n\r\n1",
        ),
        (426, "GET /ws HTTP/1.1\r\nHost: h\r\n\r\n"),
        (426, "GET /echo HTTP/1.1\r\nHost: h\r\n\r\n"),
        (431, &long_field),
        (431, &many_fields),
        (505, "GET / HTTP/2.0\r\nHost: h\r\n\r\n"),
        (505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        (505, "GET / HTTP/1.2\r\nHost: h\r\n\r\n"),
        (505, "GET / HTTP/0.9\r\nHost: h\r\n\r\n"),
        (505, "GET / HTTP/3\r\n\r\n"),
        (400, "GET / HTTQ/1.1\r\nHost: h\r\n\r\n"),
    ];
    for (expected, stream) in table {
        assert_eq!(status(stream), *expected, "{stream:?}");
    }
}

#[test]
fn every_split_of_a_stream_gives_the_same_requests_in_a_simple_case() {
    let stream = b"GET / HTTP/1.1\r\nHost: h\r\n\r\nGET /healthz HTTP/1.0\r\n\r\n";
    let whole = serve_in_pieces(stream, &[], &LIMITS, &SITE);
    let bytewise: Vec<usize> = (0..stream.len()).collect();
    assert_eq!(serve_in_pieces(stream, &bytewise, &LIMITS, &SITE), whole);
    assert_eq!(whole.0.len(), 2);
    assert_eq!(whole.1, stream.len());
}

#[test]
fn the_helpers_of_the_tests_agree_with_the_writer() {
    let health = get("/healthz", "");
    assert_eq!(body_of(&health), "ok\n");
    assert_eq!(field(&health, "Content-Length"), Some("3"));
    assert_eq!(post("Content-Length: 1\r\n", "1").body, b"1");
}
