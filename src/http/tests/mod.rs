//! Whole requests through parser, routes and response writer: what the tests share.

mod answers;
mod requests;
mod splits;

use super::*;

const LIMITS: HttpLimits = HttpLimits {
    max_head: 8192,
    max_body: 100,
    max_batch: 100,
};
const SITE: Site = Site {
    echo: true,
    secure: false,
    admin: false,
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

impl Outcome {
    fn is_refusal(&self) -> bool {
        self.method.is_empty()
    }
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
        Route::Ask(Resource::Channel(name), Method::Post, _) => {
            format!("HTTP/1.1 201 {name}")
        }
        Route::Ask(resource, method, _) => format!("HTTP/1.1 200 {method:?} {resource:?}"),
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
