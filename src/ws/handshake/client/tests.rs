//! What is sent, what is taken for an answer, and what each refusal is called.

use super::*;
use crate::ws::handshake::Head;
use crate::ws::handshake::server::{self, Terms};

const REQUEST: Request<'_> = Request {
    host: "example.org:8040",
    target: "/ws?x=1",
    protocols: &["json.fanfare.v1", "other"],
    deflate: None,
    headers: &[("Origin", "https://example.org")],
};

fn key() -> Key {
    Key::new(*b"the sample nonce")
}

/// A response that agrees, without sub-protocol and extension.
const GOOD: [(&str, &str); 3] = [
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
];

fn judge_request(
    request: &Request<'static>,
    status: u16,
    lines: &[(&str, &str)],
    body: &[u8],
) -> Result<Agreed<'static>, HandshakeError> {
    let headers: Vec<Header<'_>> = lines
        .iter()
        .map(|(name, value)| Header {
            name,
            value: value.as_bytes(),
        })
        .collect();
    let head = ResponseHead {
        status,
        version_minor: 1,
        headers: &headers,
    };
    check_response(&head, body, request, &key())
}

fn judge(lines: &[(&str, &str)]) -> Result<Agreed<'static>, HandshakeError> {
    judge_request(&REQUEST, 101, lines, b"")
}

fn with<'l>(changed: &[(&'l str, &'l str)]) -> Vec<(&'l str, &'l str)> {
    let mut lines = without(changed.first().map_or("", |(name, _)| name));
    lines.extend(changed);
    lines
}

fn without<'l>(name: &str) -> Vec<(&'l str, &'l str)> {
    let others = GOOD.iter().filter(|line| line.0 != name);
    others.copied().collect()
}

#[test]
fn the_request_is_the_one_of_the_rfc() {
    let mut out = Vec::new();
    let request = Request {
        deflate: Some(Offer::default()),
        ..REQUEST
    };
    write_request(&mut out, &request, &key()).unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        format!(
            "GET /ws?x=1 HTTP/1.1\r\n\
             Host: example.org:8040\r\n\
             Upgrade: websocket\r\n\
             Connection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Protocol: json.fanfare.v1, other\r\n\
             Sec-WebSocket-Extensions: {}\r\n\
             Origin: https://example.org\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             \r\n",
            Offer::default()
        )
    );
}

#[test]
fn this_client_and_this_server_agree() {
    let request = Request {
        deflate: Some(Offer::default()),
        ..REQUEST
    };
    let (mut wire, mut answer) = (Vec::new(), Vec::new());
    write_request(&mut wire, &request, &key()).unwrap();

    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut parsed = httparse::Request::new(&mut headers);
    assert!(parsed.parse(&wire).unwrap().is_complete());
    let head = Head {
        method: parsed.method.unwrap(),
        target: parsed.path.unwrap(),
        version_minor: parsed.version.unwrap(),
        headers: parsed.headers,
    };
    let terms = Terms {
        protocols: &["other"],
        deflate: true,
    };
    let accept = server::check(&head, &terms).unwrap();
    server::write_accept(&mut answer, &accept, None);

    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut parsed = httparse::Response::new(&mut headers);
    assert!(parsed.parse(&answer).unwrap().is_complete());
    let head = ResponseHead {
        status: parsed.code.unwrap(),
        version_minor: parsed.version.unwrap(),
        headers: parsed.headers,
    };
    let agreed = check_response(&head, b"", &request, &key()).unwrap();
    assert_eq!(agreed.protocol, Some("other"));
    assert!(agreed.deflate.is_some());
}

#[test]
fn a_response_that_agrees_is_taken() {
    let nothing_more = Agreed {
        protocol: None,
        deflate: None,
    };
    assert_eq!(judge(&GOOD), Ok(nothing_more));
    let in_any_case = with(&[("upgrade", "WebSocket"), ("CONNECTION", "a, UPGRADE")]);
    let in_any_case: Vec<_> = in_any_case
        .into_iter()
        .filter(|line| !["Upgrade", "Connection"].contains(&line.0))
        .collect();
    assert_eq!(judge(&in_any_case), Ok(nothing_more));
}

#[test]
fn a_missing_or_wrong_upgrade_is_named() {
    assert_eq!(judge(&without("Upgrade")), Err(HandshakeError::Upgrade));
    for value in ["h2c", "websocket, h2c", ""] {
        let lines = with(&[("Upgrade", value)]);
        assert_eq!(judge(&lines), Err(HandshakeError::Upgrade));
    }
}

#[test]
fn a_missing_or_wrong_connection_is_named() {
    assert_eq!(
        judge(&without("Connection")),
        Err(HandshakeError::Connection)
    );
    let lines = with(&[("Connection", "keep-alive")]);
    assert_eq!(judge(&lines), Err(HandshakeError::Connection));
}

#[test]
fn a_missing_wrong_or_repeated_accept_key_is_named() {
    const NAME: &str = "Sec-WebSocket-Accept";
    let right = GOOD[2].1;
    assert_eq!(judge(&without(NAME)), Err(HandshakeError::Accept));
    for value in [
        "",
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOO=",
        "dGhlIHNhbXBsZSBub25jZQ==",
    ] {
        assert_eq!(judge(&with(&[(NAME, value)])), Err(HandshakeError::Accept));
    }
    let twice = with(&[(NAME, right), (NAME, right)]);
    assert_eq!(judge(&twice), Err(HandshakeError::Accept));
}

#[test]
fn a_sub_protocol_that_was_offered_is_agreed_and_another_is_named() {
    const NAME: &str = "Sec-WebSocket-Protocol";
    let agreed = judge(&with(&[(NAME, "other")])).unwrap();
    assert_eq!(agreed.protocol, Some("other"));
    for (lines, shown) in [
        (&[(NAME, "unasked")][..], "unasked"),
        (&[(NAME, "Other")], "Other"),
        (&[(NAME, "")], ""),
        (&[(NAME, "other"), (NAME, "other")], "other, other"),
        (
            &[(NAME, "other, json.fanfare.v1")],
            "other, json.fanfare.v1",
        ),
    ] {
        let error = HandshakeError::Protocol(shown.to_owned());
        assert_eq!(judge(&with(lines)), Err(error));
    }
}

#[test]
fn an_extension_nobody_asked_for_is_named() {
    const NAME: &str = "Sec-WebSocket-Extensions";
    let lines = with(&[(NAME, "permessage-deflate")]);
    let not_offered =
        |name: &str| HandshakeError::Extension(BadAnswer::NotOffered(name.to_owned()));
    assert_eq!(judge(&lines), Err(not_offered("permessage-deflate")));

    let request = Request {
        deflate: Some(Offer::default()),
        ..REQUEST
    };
    let lines = with(&[(NAME, "x-other")]);
    let verdict = judge_request(&request, 101, &lines, b"");
    assert_eq!(verdict, Err(not_offered("x-other")));
}

#[test]
fn a_response_of_http_1_0_is_refused() {
    let head = ResponseHead {
        status: 101,
        version_minor: 0,
        headers: &[],
    };
    let verdict = check_response(&head, b"", &REQUEST, &key());
    assert_eq!(verdict, Err(HandshakeError::Version));
}

#[test]
fn a_refusal_gives_its_status_its_retry_after_and_the_beginning_of_its_body() {
    let long = "é".repeat(MAX_BODY);
    let lines = [("Retry-After", "7"), ("Location", "/elsewhere")];
    let Err(HandshakeError::Status {
        status,
        retry_after,
        location,
        body,
    }) = judge_request(&REQUEST, 503, &lines, long.as_bytes())
    else {
        panic!("a status");
    };
    assert_eq!(status, 503);
    assert_eq!(retry_after, Some(RetryAfter::Delay(Duration::from_secs(7))));
    assert_eq!(location, None, "a 503 does not redirect");
    assert_eq!(body, long[..MAX_BODY]);
}

#[test]
fn a_retry_after_may_be_a_date_and_is_left_out_where_it_is_neither() {
    let retry_after = |value| {
        let verdict = judge_request(&REQUEST, 503, &[("Retry-After", value)], b"");
        match verdict {
            Err(HandshakeError::Status { retry_after, .. }) => retry_after,
            other => panic!("{other:?}"),
        }
    };
    let date = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    let at = Some(RetryAfter::At(date));
    assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), at);
    for unreadable in ["", "soon", "-1", "99999999999999999999999"] {
        assert_eq!(retry_after(unreadable), None, "{unreadable}");
    }
}

#[test]
fn a_redirection_says_where_to_and_is_not_followed() {
    let verdict = judge_request(&REQUEST, 307, &[("Location", "wss://new.example/")], b"");
    let Err(HandshakeError::Status {
        status, location, ..
    }) = verdict
    else {
        panic!("{verdict:?}");
    };
    assert_eq!(
        (status, location.as_deref()),
        (307, Some("wss://new.example/"))
    );
}

#[test]
fn a_redirection_is_an_error_that_says_where_to_and_moves_no_cursor() {
    let shown = |location: &str| {
        let verdict = judge_request(&REQUEST, 308, &[("Location", location)], b"a page");
        verdict.unwrap_err().to_string()
    };
    assert_eq!(
        shown("wss://new.example/"),
        "the server redirects to wss://new.example/ (status 308), and this client does not follow redirects by itself"
    );
    assert!(shown("/\u{9b}2J").contains("to /\\u{9b}2J (status"));
    let long = shown(&"x".repeat(10_000));
    assert!(long.contains("x… (status") && long.len() < 400, "{long}");
}

#[test]
fn what_a_refusal_keeps_of_a_servers_texts_is_bounded() {
    let (long, not_utf8) = ("é".repeat(9999), [0xff; 9999]);
    for body in [long.as_bytes(), &not_utf8] {
        let verdict = judge_request(&REQUEST, 302, &[("Location", &long)], body);
        let Err(HandshakeError::Status { location, body, .. }) = verdict else {
            panic!("{verdict:?}");
        };
        assert!(!body.is_empty() && body.len() <= MAX_BODY);
        assert_eq!(location.unwrap().len(), MAX_VALUE);
    }
    let verdict = judge(&with(&[("Sec-WebSocket-Protocol", &long)]));
    let Err(HandshakeError::Protocol(names)) = verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!(names.len(), MAX_VALUE);
}

#[test]
fn whatever_a_server_sends_is_shown_short_and_on_one_line() {
    const EVIL: &str = "\u{1b}]0;owned\u{7}\r\n\u{202e}";
    let evil = EVIL.repeat(1000);
    let fields = [
        ("Sec-WebSocket-Protocol", evil.as_str()),
        ("Sec-WebSocket-Extensions", &evil),
    ];
    let refusals = [
        judge_request(&REQUEST, 404, &[], evil.as_bytes()),
        judge_request(&REQUEST, 301, &[("Location", &evil)], b""),
        judge(&with(&fields[..1])),
        judge(&with(&fields[1..])),
        judge(&with(&[("Sec-WebSocket-Extensions", &"x".repeat(9999))])),
    ];
    for refusal in refusals {
        let shown = refusal.unwrap_err().to_string();
        let plain = |c: char| !c.is_control() && c != '\u{202e}';
        assert!(shown.chars().all(plain) && shown.len() < 400, "{shown:?}");
    }
}

#[test]
fn what_could_end_a_line_or_contradict_the_handshake_is_not_sent() {
    let bad = [
        (
            Request {
                host: "",
                ..REQUEST
            },
            RequestError::Host,
        ),
        (
            Request {
                host: "a b",
                ..REQUEST
            },
            RequestError::Host,
        ),
        (
            Request {
                host: "a\r\nX: y",
                ..REQUEST
            },
            RequestError::Host,
        ),
        (
            Request {
                host: "user@a",
                ..REQUEST
            },
            RequestError::Host,
        ),
        (
            Request {
                target: "ws",
                ..REQUEST
            },
            RequestError::Target,
        ),
        (
            Request {
                target: "/a b",
                ..REQUEST
            },
            RequestError::Target,
        ),
        (
            Request {
                target: "/a#b",
                ..REQUEST
            },
            RequestError::Target,
        ),
        (
            Request {
                target: "/ä",
                ..REQUEST
            },
            RequestError::Target,
        ),
        (
            Request {
                protocols: &["a,b"],
                ..REQUEST
            },
            RequestError::Protocol,
        ),
        (
            Request {
                protocols: &[""],
                ..REQUEST
            },
            RequestError::Protocol,
        ),
        (
            Request {
                protocols: &["a", "a"],
                ..REQUEST
            },
            RequestError::Protocol,
        ),
        (
            Request {
                headers: &[("A", "b\nc")],
                ..REQUEST
            },
            RequestError::Header,
        ),
        (
            Request {
                headers: &[("A B", "c")],
                ..REQUEST
            },
            RequestError::Header,
        ),
        (
            Request {
                headers: &[("host", "c")],
                ..REQUEST
            },
            RequestError::Header,
        ),
        (
            Request {
                headers: &[("sec-websocket-key", "c")],
                ..REQUEST
            },
            RequestError::Header,
        ),
        (
            Request {
                headers: &[("content-length", "1")],
                ..REQUEST
            },
            RequestError::Header,
        ),
    ];
    for (request, error) in bad {
        let mut out = Vec::new();
        assert_eq!(
            write_request(&mut out, &request, &key()),
            Err(error),
            "{request:?}"
        );
        assert!(out.is_empty());
    }
}

#[test]
fn each_error_says_in_words_what_was_wrong() {
    let status = judge_request(&REQUEST, 400, &[], b"None is spoken here.\n").unwrap_err();
    assert_eq!(
        status.to_string(),
        "the server answered with status 400 instead of 101: None is spoken here."
    );
    for (body, words) in [
        (
            r#"{"title":"Bad Request","status":400,"code":"bad_request","detail":"No \"x\" is\nhere."}"#,
            r#"No "x" is\nhere."#,
        ),
        (r#"{"detail":"cut o"#, "cut o"),
        (r#"{"detail":"cut\"#, r"cut\"),
        (r#"{"title":"x"}"#, r#"{"title":"x"}"#),
        (r#"a "detail":"x""#, r#"a "detail":"x""#),
    ] {
        let status = judge_request(&REQUEST, 400, &[], body.as_bytes()).unwrap_err();
        let told = status.to_string();
        assert!(
            told.ends_with(&format!(" instead of 101: {words}")),
            "{told}"
        );
    }
    for (error, word) in [
        (HandshakeError::Upgrade, "Upgrade"),
        (HandshakeError::Connection, "Connection"),
        (HandshakeError::Accept, "Sec-WebSocket-Accept"),
        (HandshakeError::Protocol("p".to_owned()), "sub-protocol"),
        (
            HandshakeError::Extension(BadAnswer::Malformed),
            "Sec-WebSocket-Extensions",
        ),
    ] {
        assert!(error.to_string().contains(word));
    }
}
