//! The opening handshake of both sides, and the HTTP that it comes in.

#![no_main]

use fanfare::http::{HttpLimits, HttpParser, NO_HEADERS, Progress, Site, route};
use fanfare::ws::extension::{self, Offer};
use fanfare::ws::handshake::{Head, Header, client, server};
use fanfare_fuzz::Cuts;
use libfuzzer_sys::fuzz_target;

const LIMITS: HttpLimits = HttpLimits {
    max_head: 2048,
    max_body: 1000,
    max_batch: 1000,
};
const PROTOCOL: &str = "json.fanfare.v1";

/// What becomes of the first request in some bytes.
#[derive(Debug, PartialEq)]
enum Outcome {
    Unfinished,
    Refused,
    /// So many bytes are its own, and this is its body.
    Request(usize, Vec<u8>),
}

fn read_request(bytes: &[u8], cuts: Cuts, mut judge: impl FnMut(&Head<'_>)) -> Outcome {
    let (mut parser, mut end) = (HttpParser::new(), 0);
    for piece in cuts.pieces(bytes) {
        end += piece.len();
        // A second time after "100 Continue" was asked for.
        for _ in 0..2 {
            match parser.next_request(&bytes[..end], &mut NO_HEADERS.clone(), &LIMITS) {
                Progress::Incomplete => break,
                Progress::ExpectContinue => {}
                Progress::Refuse(response) => {
                    assert!(response.closes());
                    return Outcome::Refused;
                }
                Progress::Request(request) => {
                    assert!(request.consumed <= end && request.body.len() <= LIMITS.max_body);
                    let site = Site {
                        echo: true,
                        secure: false,
                        admin: false,
                    };
                    drop(route(&request, &site));
                    judge(&request.head);
                    return Outcome::Request(request.consumed, request.body.into_owned());
                }
            }
        }
        assert!(
            end <= LIMITS.max_held(),
            "more is asked for than the limits allow"
        );
    }
    Outcome::Unfinished
}

/// The server's answer to a request has to be one that the client takes.
fn judge_request(head: &Head<'_>) {
    let terms = server::Terms {
        protocols: &[PROTOCOL],
        deflate: true,
    };
    let accept = match server::check(head, &terms) {
        Ok(accept) => accept,
        Err(refusal) => return assert!([400, 405, 426].contains(&refusal.status)),
    };
    let mut response = Vec::new();
    server::write_accept(
        &mut response,
        &accept,
        Some("Sun, 06 Nov 1994 08:49:37 GMT"),
    );
    let mut slots = [httparse::EMPTY_HEADER; 16];
    let mut parsed = httparse::Response::new(&mut slots);
    let parsed_len = parsed.parse(&response);
    assert_eq!(parsed_len, Ok(httparse::Status::Complete(response.len())));
    assert_eq!(parsed.code, Some(101));
}

/// Whatever a server answers, the client agrees to nothing that it did not ask for, and keeps no more than it says.
fn judge_response(bytes: &[u8], cuts: Cuts) {
    let request = client::Request {
        host: "localhost",
        target: "/",
        protocols: &[PROTOCOL],
        deflate: Some(Offer::default()),
        headers: &[],
    };
    let mut reader = client::AnswerReader::default();
    for piece in cuts.pieces(bytes) {
        match reader.take(piece) {
            Ok(client::Awaited::Nothing) => break,
            Ok(_) => {}
            Err(_) => return,
        }
    }
    // The key of the RFC's example, which the seeds answer.
    let key = client::Key::new(*b"the sample nonce");
    reader.judge(|head, body| {
        assert!(head.status == 101 || body.len() <= client::MAX_BODY);
        match client::check_response(head, body, &request, &key) {
            Ok(agreed) => {
                assert!(agreed.protocol.is_none_or(|name| name == PROTOCOL));
                assert!(
                    agreed
                        .deflate
                        .is_none_or(|answer| answer.server_takeover.is_none())
                );
            }
            Err(error) => assert!(!error.to_string().contains(char::is_control)),
        }
    });
}

/// What one line of `Sec-WebSocket-Extensions` leads to, this project's own client takes if it offered it.
fn judge_extensions(line: &[u8]) {
    let headers = [Header {
        name: "Sec-WebSocket-Extensions",
        value: line,
    }];
    let values = || headers.iter().map(|header| header.value);
    drop(Offer::default().check_answer(values()));
    if let Some(agreed) = extension::negotiate(values()) {
        let offer = Offer {
            server_window: Some(agreed.window()),
            ..Offer::default()
        };
        let again = extension::negotiate([offer.to_string().as_bytes()]);
        let Some(again) = again else {
            panic!("{offer} is declined");
        };
        assert_eq!(again.window(), agreed.window());
        assert!(matches!(
            offer.check_answer([again.to_string().as_bytes()]),
            Ok(Some(_))
        ));
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((cuts, bytes)) = data.split_first_chunk::<8>() else {
        return;
    };
    let whole = read_request(bytes, Cuts::NONE, judge_request);
    for cuts in [Cuts(*cuts), Cuts::ALL] {
        let cut = read_request(bytes, cuts, |_| ());
        // A head that is not all there is not looked at after each piece.
        let not_yet = cut == Outcome::Unfinished && whole == Outcome::Refused;
        assert!(not_yet || cut == whole, "{cut:?} instead of {whole:?}");
    }
    judge_response(bytes, Cuts::NONE);
    judge_response(bytes, Cuts(*cuts));
    judge_extensions(bytes);
});
