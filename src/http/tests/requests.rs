//! What is taken for a request, and what is refused.

use super::*;

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
            "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n\r\n",
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
            201,
            "POST /channels/a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\n1",
        ),
        (
            201,
            "POST /channels/a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n1",
        ),
        (201, "POST /channels/a HTTP/1.1\r\nHost: h\r\n\r\n"),
        (
            200,
            "OPTIONS http://other HTTP/1.1\r\nHost: h\r\nOrigin: http://o\r\n\
             Access-Control-Request-Method: POST\r\n\r\n",
        ),
        (
            200,
            "HEAD http://other:80/healthz HTTP/1.1\r\nHost: h\r\n\r\n",
        ),
        (200, "GET / HTTP/1.1\r\nHost: h:\r\n\r\n"),
        (
            201,
            "POST /channels/a HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nTrailer: A\r\n\
             Transfer-Encoding:\tchunked\r\n\r\n1\r\n1\r\n0\r\nA: b\r\n\r\n",
        ),
        (400, "GET http://other/ HTTP/1.1\r\n\r\n"),
        (400, "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"),
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
            "GET /ws HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Key: x\r\nContent-Length: 1\r\n\r\nx",
        ),
        (404, "GET /nope HTTP/1.1\r\nHost: h\r\n\r\n"),
        (404, "POST /channels/ HTTP/1.1\r\nHost: h\r\n\r\n"),
        (404, "GET //healthz HTTP/1.1\r\nHost: h\r\n\r\n"),
        (405, "DELETE / HTTP/1.1\r\nHost: h\r\n\r\n"),
        (405, "get / HTTP/1.1\r\nHost: h\r\n\r\n"),
        (405, "POST / HTTP/1.1\r\nHost: h\r\n\r\n"),
        (405, "POST /healthz HTTP/1.1\r\nHost: h\r\n\r\n"),
        (405, "DELETE /channels/a HTTP/1.1\r\nHost: h\r\n\r\n"),
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
fn an_upgrade_that_a_proxy_puts_into_every_request_changes_none_but_a_handshake() {
    let with = |line: &str, upgrade: &str, body: &str| {
        status(&format!(
            "{line} HTTP/1.1\r\nHost: h\r\n{upgrade}Content-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    };
    let websocket = "Connection: upgrade\r\nUpgrade: websocket\r\n";
    let h2c = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
               HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n";
    let empty = "Connection: upgrade\r\nUpgrade: \r\n";
    for upgrade in [websocket, h2c, empty, "Connection: upgrade\r\n", ""] {
        for (line, body, expected) in [
            ("POST /channels/a", "1", 201),
            ("POST /channels/a", "", 201),
            ("GET /", "", 200),
            ("GET /", "x", 200),
            ("HEAD /", "", 200),
            ("GET /healthz", "", 200),
            ("GET /nope", "", 404),
            ("OPTIONS /", "", 200),
            ("POST /", "1", 405),
            ("POST /ws", "1", 405),
            ("HEAD /ws", "", 426),
        ] {
            assert_eq!(with(line, upgrade, body), expected, "{line} {upgrade:?}");
        }
    }
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
    for fields in [format!("{websocket}{key}"), key.to_owned()] {
        assert_eq!(with("GET /", &fields, ""), 101);
        assert_eq!(with("GET /ws", &fields, ""), 101);
        assert_eq!(with("POST /channels/a", &fields, "1"), 201);
        assert_eq!(with("GET /", &fields, "x"), 400);
    }
    // Where only a WebSocket is, its refusal says what is missing.
    assert_eq!(with("GET /ws", websocket, ""), 101);
}

#[test]
fn connections_are_kept_as_the_version_and_the_client_would_have_it() {
    let kept = |stream: &str| {
        let outcome = serve(stream);
        assert_eq!(
            field(&outcome, "Connection"),
            Some(if outcome.keep_alive {
                "keep-alive"
            } else {
                "close"
            })
        );
        outcome.keep_alive
    };
    assert!(kept("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
    assert!(!kept(
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: Close\r\n\r\n"
    ));
    assert!(!kept(
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: a\r\nConnection: b, close\r\n\r\n"
    ));
    assert!(!kept("GET / HTTP/1.0\r\n\r\n"));
    assert!(kept("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
    assert!(!kept(
        "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"
    ));
}

#[test]
fn chunks_are_put_together_and_trailers_ignored() {
    let chunked = "Transfer-Encoding: Chunked\r\n";
    assert_eq!(
        post(
            chunked,
            "2;a=\"b\"\r\n[1\r\n00A\r\n,234567890\r\n1\r\n]\r\n0\r\nX: y\r\n\r\n"
        )
        .body,
        b"[1,234567890]"
    );
    assert_eq!(post(chunked, "0\r\n\r\n").body, b"");
    // RFC 9112 §7.1.1: white space may stand before the semicolon and behind it.
    let spaced = "1 ; a\r\n1\r\n1\t \t;a = \"b;c\" ;d\r\n2\r\n0 ;z\r\n\r\n";
    assert_eq!(post(chunked, spaced).body, b"12");
}

#[test]
fn chunks_that_two_readers_could_read_differently_are_refused() {
    let table: &[(&str, &str, &str)] = &[
        (
            "400",
            "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
            "0\r\n\r\n",
        ),
        (
            "400",
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "0\r\n\r\n",
        ),
        (
            "400",
            "Transfer-Encoding: chunked, chunked\r\n",
            "0\r\n\r\n",
        ),
        ("400", "Transfer-Encoding: \r\n", "0\r\n\r\n"),
        ("501", "Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
        ("501", "Transfer-Encoding: identity\r\n", ""),
        (
            "501",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
            "",
        ),
        ("501", "Transfer-Encoding: \"chunked\"\r\n", ""),
        ("400", "Transfer-Encoding: chunked\r\n", "1\nx\r\n0\r\n\r\n"),
        (
            "400",
            "Transfer-Encoding: chunked\r\n",
            "1\r\nxy\r\n0\r\n\r\n",
        ),
        ("400", "Transfer-Encoding: chunked\r\n", "1\r\nx\n0\r\n\r\n"),
        (
            "400",
            "Transfer-Encoding: chunked\r\n",
            "1;a\rb\r\nx\r\n0\r\n\r\n",
        ),
        (
            "400",
            "Transfer-Encoding: chunked\r\n",
            "1 \r\nx\r\n0\r\n\r\n",
        ),
        (
            "400",
            "Transfer-Encoding: chunked\r\n",
            " 1;a\r\nx\r\n0\r\n\r\n",
        ),
        (
            "400",
            "Transfer-Encoding: chunked\r\n",
            "1 1;a\r\nx\r\n0\r\n\r\n",
        ),
        (
            "400",
            "Transfer-Encoding: chunked\r\n",
            " ;a\r\nx\r\n0\r\n\r\n",
        ),
        (
            "400",
            "Transfer-Encoding: chunked\r\n",
            "+1\r\nx\r\n0\r\n\r\n",
        ),
        (
            "400",
            "Transfer-Encoding: chunked\r\n",
            "0x1\r\nx\r\n0\r\n\r\n",
        ),
        ("400", "Transfer-Encoding: chunked\r\n", "\r\n"),
        (
            "400",
            "Transfer-Encoding: chunked\r\n",
            "00000000000000001\r\nx\r\n",
        ),
        (
            "400",
            "Transfer-Encoding: chunked\r\n",
            "0\r\nGET / HTTP/1.1\r\n\r\n",
        ),
        (
            "413",
            "Transfer-Encoding: chunked\r\n",
            "ffffffffffffffff\r\n",
        ),
        (
            "400",
            "Transfer-Encoding: chunked\r\n",
            "0\r\nA: b\r\n c: d\r\n\r\n",
        ),
        (
            "400",
            "Transfer-Encoding: chunked\r\n",
            "0\r\nA : b\r\n\r\n",
        ),
        ("400", "Transfer-Encoding: chunked\r\n", "0\r\n: b\r\n\r\n"),
        (
            "400",
            "Transfer-Encoding: chunked\r\n",
            "0\r\nGET http://h/ HTTP/1.1\r\n\r\n",
        ),
        (
            "400",
            "Transfer-Encoding: chunked\r\n",
            "1;a=\0\r\nx\r\n0\r\n\r\n",
        ),
        (
            "400",
            "Transfer-Encoding: chunked\r\n",
            "0\r\nA: \u{b}b\r\n\r\n",
        ),
        ("400", "Transfer-Encoding: \u{b}chunked\r\n", "0\r\n\r\n"),
        ("400", "Transfer-Encoding : chunked\r\n", "0\r\n\r\n"),
        ("400", "Transfer-Encoding\r\n : chunked\r\n", "0\r\n\r\n"),
        ("400", "Content-Length: 1\r\n\tx\r\n", "1"),
        ("400", "Content-Length: 1\r\nContent-Length: 2\r\n", "12"),
        ("400", "Content-Length: 1, 1\r\n", "1"),
        ("400", "Content-Length: +1\r\n", "1"),
        ("400", "Content-Length: -1\r\n", "1"),
        ("400", "Content-Length: 0x1\r\n", "1"),
        ("400", "Content-Length:\r\n", "1"),
        ("413", "Content-Length: 99999999999999999999999999\r\n", ""),
    ];
    for (status, fields, body) in table {
        let outcome = post(fields, body);
        assert_eq!(&outcome.response[9..12], *status, "{fields:?} {body:?}");
        assert_eq!(field(&outcome, "Connection"), Some("close"));
    }
    let old = serve("POST /channels/a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    assert!(old.response.starts_with("HTTP/1.1 400 "));
}

#[test]
fn a_body_may_be_as_large_as_the_limit_and_no_larger() {
    let (most, more) = ("x".repeat(100), "x".repeat(101));
    assert_eq!(post("Content-Length: 100\r\n", &most).body.len(), 100);
    assert!(
        post("Content-Length: 101\r\n", "")
            .response
            .starts_with("HTTP/1.1 413 ")
    );
    let chunked = |body: &str| {
        let (one, two) = body.split_at(50);
        let coded = format!("32\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n", two.len());
        post("Transfer-Encoding: chunked\r\n", &coded)
    };
    assert_eq!(chunked(&most).body.len(), 100);
    assert!(chunked(&more).response.starts_with("HTTP/1.1 413 "));
}

#[test]
fn a_head_may_be_as_large_as_the_limit_and_no_larger() {
    let of_len = |len: usize| {
        let (before, after) = ("GET / HTTP/1.1\r\nHost: h\r\nA: ", "\r\n\r\n");
        format!(
            "{before}{}{after}",
            "a".repeat(len - before.len() - after.len())
        )
    };
    assert_eq!(status(&of_len(8192)), 200);
    assert_eq!(status(&of_len(8193)), 431);
    // Without an end, too: nobody is read for ever.
    assert_eq!(status(&of_len(9000)[..8192]), 431);
}

#[test]
fn a_chunked_body_that_is_mostly_framing_is_refused() {
    let limits = HttpLimits {
        max_head: 64,
        max_body: 1 << 20,
        max_batch: 1 << 20,
    };
    let head = "POST /channels/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    let limits = HttpLimits {
        max_head: limits.max_head.max(head.len()),
        ..limits
    };
    let endless = [
        format!("{head}{}", "1\r\nx\r\n".repeat(1000)),
        format!("{head}1;{}", "x".repeat(1000)),
        format!("{head}0\r\n{}", "A: b\r\n".repeat(1000)),
        format!("{head}0\r\nA: {}", "b".repeat(1000)),
    ];
    for stream in endless {
        let (outcomes, _) = serve_in_pieces(stream.as_bytes(), &[], &limits, &SITE);
        assert_eq!(outcomes.len(), 1, "{stream:?}");
        assert!(outcomes[0].response.starts_with("HTTP/1.1 400 "));
    }
}

#[test]
fn a_client_that_waits_to_be_told_to_go_on_is_told_once() {
    let head = b"POST /channels/a HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n";
    let whole = [&head[..], b"12"].concat();
    let mut parser = HttpParser::new();
    let mut step = |len: usize| {
        let mut slots = NO_HEADERS;
        match parser.next_request(&whole[..len], &mut slots, &LIMITS) {
            Progress::Incomplete => "incomplete",
            Progress::ExpectContinue => "continue",
            Progress::Request(_) => "request",
            Progress::Refuse(_) => "refuse",
        }
    };
    assert_eq!(step(head.len() - 1), "incomplete");
    assert_eq!(step(head.len()), "continue");
    assert_eq!(step(head.len()), "incomplete");
    assert_eq!(step(head.len() + 1), "incomplete");
    assert_eq!(step(head.len() + 2), "request");
    // A body that is under way already, or too large to be wanted, is not asked for.
    assert_eq!(step(head.len() + 1), "incomplete");
    let too_large =
        "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 101\r\n\r\n";
    assert_eq!(status(too_large), 413);
}

#[test]
fn a_client_that_expects_to_be_told_to_go_on_with_nothing_is_answered_at_once() {
    let expects = "Expect: 100-continue\r\n";
    for fields in [
        expects.to_owned(),
        format!("{expects}Content-Length: 0\r\n"),
        "Expect: \r\nContent-Length: 0\r\n".to_owned(),
        format!("{expects}{expects}Content-Length: 0\r\n"),
    ] {
        let outcome = post(&fields, "");
        assert_eq!(outcome.response, "HTTP/1.1 201 a", "{fields:?}");
    }
    let chunked = format!("{expects}Transfer-Encoding: chunked\r\n");
    assert_eq!(post(&chunked, "0\r\n\r\n").response, "HTTP/1.1 201 a");
    // HTTP/1.0 knows no 100.
    let old = "POST /channels/a HTTP/1.0\r\nExpect: 200-ok\r\nContent-Length: 1\r\n\r\n1";
    assert_eq!(status(old), 201);
}

#[test]
fn a_compressed_body_is_refused_with_what_would_be_taken() {
    for coding in ["gzip", "br, identity", "x-unknown"] {
        let outcome = post(
            &format!("Content-Encoding: {coding}\r\nContent-Length: 1\r\n"),
            "1",
        );
        assert!(outcome.response.starts_with("HTTP/1.1 415 "), "{coding}");
        assert_eq!(field(&outcome, "Accept-Encoding"), Some("identity"));
    }
    let outcome = post("Content-Encoding: identity\r\nContent-Length: 1\r\n", "1");
    assert_eq!(outcome.response, "HTTP/1.1 201 a");
}

#[test]
fn a_request_has_begun_with_its_first_byte_that_is_no_empty_line() {
    let parser = HttpParser::new();
    assert!(!parser.has_begun(b""));
    assert!(!parser.has_begun(b"\r\n\r\n"));
    assert!(parser.has_begun(b"\r\nG"));
}
