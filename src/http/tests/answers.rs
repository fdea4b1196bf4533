//! What requests are answered with.

use super::*;

#[test]
fn every_response_says_when_what_and_how_long_it_is() {
    let streams = [
        "GET / HTTP/1.1\r\nHost: h\r\nAccept: text/html\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /nope HTTP/1.1\r\nHost: h\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
        "nonsense\r\n\r\n",
    ];
    for stream in streams {
        let outcome = serve(stream);
        assert_eq!(field(&outcome, "Date"), Some(DATE), "{stream:?}");
        let length = body_of(&outcome).len().to_string();
        assert_eq!(
            field(&outcome, "Content-Length"),
            Some(length.as_str()),
            "{stream:?}"
        );
        assert!(
            field(&outcome, "Content-Type").is_some_and(|it| {
                it.ends_with("charset=utf-8") || it == "application/problem+json"
            }),
            "{stream:?}"
        );
        assert!(field(&outcome, "Connection").is_some(), "{stream:?}");
        assert_eq!(
            field(&outcome, "X-Content-Type-Options"),
            Some("nosniff"),
            "{stream:?}"
        );
        assert!(!outcome.response.contains("Access-Control"), "{stream:?}");
    }
}

#[test]
fn head_is_answered_like_get_but_without_the_body() {
    for target in ["/", "/healthz", "/ws", "/nope", "/publish"] {
        let got = get(target, "");
        let head = serve(&format!(
            "HEAD {target} HTTP/1.1\r\nHost: example.com\r\n\r\n"
        ));
        assert_eq!(body_of(&head), "");
        if target != "/publish" {
            assert_eq!(
                head.response.trim_end(),
                got.response.split("\r\n\r\n").next().unwrap_or_default()
            );
        }
    }
}

#[test]
fn a_head_request_that_is_refused_gets_no_body_either() {
    for (stream, expected) in [
        ("HEAD / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"),
        ("\r\nHEAD / HTTP/1.1\r\nHost: h\r\nno colon\r\n\r\n", "400"),
        ("HEAD / HTTP/3.7\r\nHost: h\r\n\r\n", "505"),
        ("HEAD / HTTP/1.1\r\nHost: h\r\nExpect: x\r\n\r\n", "417"),
        (
            "HEAD / HTTP/1.1\r\nHost: h\r\nContent-Length: 101\r\n\r\n",
            "413",
        ),
        (
            "HEAD / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
            "400",
        ),
    ] {
        // At once, and with the body of the request behind its head.
        let head_len = stream.find("\r\n\r\n").map_or(stream.len(), |at| at + 4);
        for cuts in [&[][..], &[head_len]] {
            let (outcomes, _) = serve_in_pieces(stream.as_bytes(), cuts, &LIMITS, &SITE);
            assert_eq!(&outcomes[0].response[9..12], expected, "{stream:?}");
            assert_eq!(body_of(&outcomes[0]), "", "{stream:?}");
        }
    }
}

#[test]
fn a_wrong_method_is_told_which_ones_are_right() {
    assert_eq!(
        field(&serve("PUT / HTTP/1.1\r\nHost: h\r\n\r\n"), "Allow"),
        Some("GET, HEAD, OPTIONS")
    );
    assert_eq!(field(&get("/publish", ""), "Allow"), Some("POST, OPTIONS"));
    assert_eq!(
        field(&serve("OPTIONS /ws HTTP/1.1\r\nHost: h\r\n\r\n"), "Allow"),
        Some("GET, HEAD, OPTIONS")
    );
}

#[test]
fn a_websocket_path_asks_for_an_upgrade() {
    for target in ["/ws", "/ws?x=y", "/echo"] {
        let outcome = get(target, "");
        assert_eq!(field(&outcome, "Upgrade"), Some("websocket"));
        assert_eq!(field(&outcome, "Connection"), Some("Upgrade, keep-alive"));
    }
}

#[test]
fn echo_is_not_there_unless_it_is_on() {
    let site = Site {
        echo: false,
        ..SITE
    };
    for fields in ["", "Upgrade: websocket\r\n"] {
        let stream = format!("GET /echo HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        let (outcomes, _) = serve_in_pieces(stream.as_bytes(), &[], &LIMITS, &site);
        assert!(outcomes[0].response.starts_with("HTTP/1.1 404 "));
        assert!(!outcomes[0].response.contains("each message back"));
    }
}

#[test]
fn an_unknown_path_is_told_what_there_is() {
    let outcome = get("/nope\u{9b}31m", "");
    for path in ["/nope31m", "/ws", "/echo", "/healthz", "/channels/"] {
        assert!(body_of(&outcome).contains(path), "{path}");
    }
    let site = Site {
        admin: true,
        ..SITE
    };
    let stream = b"GET /nope HTTP/1.1\r\nHost: h\r\n\r\n";
    let (outcomes, _) = serve_in_pieces(stream, &[], &LIMITS, &site);
    for path in ["/metrics", "/config", "/reload", "/drain", "/readyz"] {
        assert!(body_of(&outcomes[0]).contains(path), "{path}");
        let is_for_all = path == "/readyz";
        assert_eq!(body_of(&outcome).contains(path), is_for_all, "{path}");
    }
    assert!(get(&format!("/{}", "a".repeat(500)), "").response.len() < 1000);
}

#[test]
fn channel_names_in_paths_are_decoded() {
    let channel = |path: &str| serve(&format!("POST {path} HTTP/1.1\r\nHost: h\r\n\r\n")).response;
    assert_eq!(
        channel("/channels/prices.eur?x=y"),
        "HTTP/1.1 201 prices.eur"
    );
    assert_eq!(channel("/channels/caf%C3%a9+%2B"), "HTTP/1.1 201 café++");
    assert_eq!(channel("/channels/café"), "HTTP/1.1 201 café");
    // Refused by the check of names, which can say why, rather than here as an unknown path.
    assert_eq!(channel("/channels/b%2Fc"), "HTTP/1.1 201 b/c");
    let refused = serve("POST /channels/100% HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(refused.keep_alive);
    assert!(body_of(&refused).contains("\"code\":\"bad_channel\","));
}

#[test]
fn what_is_asked_of_channels_is_known_by_its_path_and_its_method() {
    let asked = |request: &str| serve(&format!("{request} HTTP/1.1\r\nHost: h\r\n\r\n")).response;
    for (request, what) in [
        ("GET /channels/a", "200 Read Channel(\"a\")"),
        ("HEAD /channels/a?last=1", "200 Read Channel(\"a\")"),
        ("POST /channels/events", "201 events"),
        ("GET /channels/a/events", "200 Read Events(\"a\")"),
        ("GET /channels/a%2Fevents", "200 Read Channel(\"a/events\")"),
        (
            "GET /patterns/a.*/events",
            "200 Read PatternEvents(\"a.*\")",
        ),
        ("POST /publish", "200 Post Publish"),
        ("GET /channels?limit=1", "200 Read Channels"),
        ("GET /connections", "200 Read Connections"),
        ("DELETE /channels/a/messages", "200 Delete Messages(\"a\")"),
        ("DELETE /connections/1-2", "200 Delete Connection(\"1-2\")"),
        ("DELETE /subjects/a%2Fb", "200 Delete Subject(\"a/b\")"),
    ] {
        assert_eq!(asked(request), format!("HTTP/1.1 {what}"), "{request}");
    }
    for request in [
        "POST /channels/a/events",
        "DELETE /channels/a",
        "GET /publish",
        "POST /patterns/a/events",
        "POST /channels",
        "GET /channels/a/messages",
        "DELETE /connections",
        "GET /subjects/a",
    ] {
        let answer = asked(request);
        assert!(answer.starts_with("HTTP/1.1 405 "), "{request}: {answer}");
        assert!(answer.contains("\r\nAllow: "), "{request}: {answer}");
    }
    for path in [
        "/channels/",
        "/channels/a/b",
        "/channels//events",
        "/patterns/a",
        "/channels/a/events/",
        "/connections/",
        "/subjects",
        "/patterns/a/messages",
    ] {
        let answer = asked(&format!("GET {path}"));
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
    }
}

#[test]
fn a_chunk_has_its_length_in_front_and_nothing_is_no_chunk() {
    let mut out = b"head".to_vec();
    write_chunk(&mut out, |_| {});
    assert_eq!(out, b"head");
    write_chunk(&mut out, |out| out.extend_from_slice(&[b'x'; 300]));
    let text = String::from_utf8(out).expect("text");
    assert_eq!(text, format!("head0000012c\r\n{}\r\n", "x".repeat(300)));
}

#[test]
fn a_response_whose_body_goes_on_says_where_it_ends() {
    let chunked = written(&Response::stream(ContentType::Json, true), true);
    assert!(
        chunked.contains("\r\nTransfer-Encoding: chunked\r\n"),
        "{chunked}"
    );
    assert!(!chunked.contains("Content-Length"), "{chunked}");
    assert!(
        chunked.contains("\r\nConnection: keep-alive\r\n"),
        "{chunked}"
    );
    let open = written(&Response::stream(ContentType::EventStream, false), true);
    assert!(
        !open.contains("Content-Length") && !open.contains("Transfer-Encoding"),
        "{open}"
    );
    assert!(open.contains("\r\nConnection: close\r\n"), "{open}");
    let same = written(&Response::not_modified("\"a.1\"".to_owned()), true);
    assert!(same.starts_with("HTTP/1.1 304 Not Modified\r\n"), "{same}");
    assert!(
        same.contains("\r\nETag: \"a.1\"\r\n") && !same.contains("Content-Length"),
        "{same}"
    );
}

#[test]
fn the_page_is_html_for_browsers_and_text_for_curl() {
    let page = |accept: &str| {
        let outcome = get("/", accept);
        let content_type = field(&outcome, "Content-Type").expect("a type").to_owned();
        let page = body_of(&outcome).replace("</span>", "");
        assert!(page.contains("ws://example.com/ws"), "{content_type}");
        let post = "http://example.com/channels/hello";
        assert!(page.contains(post), "{content_type}");
        assert!(!page.contains("{{"), "a placeholder is left");
        content_type
    };
    let (html, text) = ("text/html; charset=utf-8", "text/plain; charset=utf-8");
    assert_eq!(
        page("Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8\r\n"),
        html
    );
    assert_eq!(page("Accept: a/b\r\nAccept: TEXT/HTML ;q=0.5\r\n"), html);
    assert_eq!(page("Accept: */*\r\n"), text);
    assert_eq!(page("Accept: text/html;q=0\r\n"), text);
    assert_eq!(page(""), text);
}

#[test]
fn the_page_takes_its_host_from_an_absolute_target_first() {
    let outcome = serve("GET http://inner:81/ HTTP/1.1\r\nHost: outer\r\n\r\n");
    assert!(body_of(&outcome).contains("ws://inner:81/ws"));
    let secure = Site {
        secure: true,
        ..SITE
    };
    let (outcomes, _) = serve_in_pieces(b"GET / HTTP/1.0\r\n\r\n", &[], &LIMITS, &secure);
    assert!(body_of(&outcomes[0]).contains("wss://localhost:8040/ws"));
}

#[test]
fn no_field_that_anybody_may_write_changes_the_text_and_the_page_asks_the_address_bar() {
    let text = get("/", "Accept: */*\r\nX-Forwarded-Proto: https\r\n");
    assert!(body_of(&text).contains("websocat ws://example.com/ws"));
    let vary = "Accept, Forwarded, X-Forwarded-Proto";
    assert_eq!(field(&text, "Vary"), Some(vary));

    // Each URL of the page stands in an element that its script finds, and nowhere else.
    let page = get("/", "Accept: text/html\r\n");
    let page = body_of(&page);
    let elements = page
        .matches("<span class=\"ws\">ws://example.com</span>")
        .count()
        + page
            .matches("<span class=\"http\">http://example.com</span>")
            .count();
    assert_eq!(page.matches("example.com").count(), elements);
    assert_eq!(elements, 4);
    assert!(page.contains("location.origin") && page.contains("location.pathname"));
}

#[test]
fn the_pages_policy_allows_exactly_the_style_and_the_script_it_brings() {
    use base64::Engine;
    use sha2::Digest;
    let outcome = get("/", "Accept: text/html\r\n");
    let page = body_of(&outcome);
    let policy = field(&outcome, "Content-Security-Policy").expect("a policy");
    for name in ["style", "script"] {
        let (begin, end) = (format!("<{name}>"), format!("</{name}>"));
        let (_, rest) = page.split_once(&begin).expect("it is there");
        let (text, rest) = rest.split_once(&end).expect("it ends");
        let hash = sha2::Sha256::digest(text);
        let hash = base64::engine::general_purpose::STANDARD.encode(hash);
        let source = format!("{name}-src 'sha256-{hash}';");
        assert!(policy.contains(&source), "{policy} lacks {source}");
        assert!(!rest.contains(&format!("<{name}")), "there is one");
    }
    assert!(!page.contains(" style=") && !page.contains(" on"));
}

#[test]
fn the_answers_to_a_publication_are_json() {
    let published = written(&Response::published("e\"\\1", 42), true);
    assert!(published.starts_with("HTTP/1.1 201 Created\r\n"));
    assert!(published.ends_with("\r\n\r\n{\"epoch\":\"e\\\"\\\\1\",\"seq\":42}\n"));
    let message = "line\none\u{1}é";
    let problem =
        Response::problem(Status::TOO_MANY_REQUESTS, "rate_limited", message).with_retry_after(7);
    assert!(written(&problem, true).contains("\r\nRetry-After: 7\r\n"));
    let value: serde_json::Value = serde_json::from_slice(problem.body()).expect("JSON");
    assert_eq!(value["detail"], message);
    assert_eq!(value["code"], "rate_limited");
    assert_eq!(value["status"], 429);
    assert_eq!(value["title"], "Too Many Requests");
}

#[test]
fn what_ends_a_connection_says_so() {
    let late = written(&Response::request_timeout(), true);
    assert!(late.starts_with("HTTP/1.1 408 ") && late.contains("\r\nConnection: close\r\n"));
    let full = written(&Response::too_many_connections(2), true);
    assert!(full.starts_with("HTTP/1.1 503 ") && full.contains("\r\nRetry-After: 2\r\n"));
    assert!(full.contains("\r\nConnection: close\r\n"));
}

#[test]
fn a_handshake_that_does_not_hold_is_answered_with_what_it_owes() {
    use crate::ws::handshake::server::{Terms, check};
    let stream =
        b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n";
    let mut slots = NO_HEADERS;
    let mut parser = HttpParser::new();
    let progress = parser.next_request(stream, &mut slots, &LIMITS);
    let Progress::Request(request) = progress else {
        panic!("a whole request came to {progress:?}")
    };
    let refusal = check(&request.head, &Terms::default()).expect_err("no version, no key");
    let response = written(&refusal.into(), true);
    assert!(response.starts_with("HTTP/1.1 426 Upgrade Required\r\n"));
    assert!(response.contains("\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"));
    assert!(response.contains("\r\nConnection: Upgrade, close\r\n"));
}

#[test]
fn whatever_is_wrong_with_a_request_is_said_as_problem_details() {
    let long = "a".repeat(LIMITS.max_head + 1);
    for (stream, status, code) in [
        ("nonsense\r\n\r\n", 400, "bad_request"),
        (
            "GET /no\u{e9}\"pe HTTP/1.1\r\nHost: h\r\n\r\n",
            404,
            "not_found",
        ),
        (
            "PUT / HTTP/1.1\r\nHost: h\r\n\r\n",
            405,
            "method_not_allowed",
        ),
        (
            "POST /publish HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n",
            413,
            "content_too_large",
        ),
        (&format!("GET /{long}"), 414, "uri_too_long"),
        (
            "POST /channels/a HTTP/1.1\r\nHost: h\r\nContent-Encoding: gzip\r\n\r\n",
            415,
            "unsupported_media_type",
        ),
        (
            "GET / HTTP/1.1\r\nHost: h\r\nExpect: x\r\n\r\n",
            417,
            "expectation_failed",
        ),
        (
            "GET /ws HTTP/1.1\r\nHost: h\r\n\r\n",
            426,
            "upgrade_required",
        ),
        (
            &format!("GET / HTTP/1.1\r\nA: {long}"),
            431,
            "request_header_fields_too_large",
        ),
        (
            "POST /publish HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n",
            501,
            "not_implemented",
        ),
        (
            "GET / HTTP/3.7\r\nHost: h\r\n\r\n",
            505,
            "http_version_not_supported",
        ),
    ] {
        let outcome = serve(stream);
        let content_type = field(&outcome, "Content-Type");
        assert_eq!(content_type, Some("application/problem+json"), "{stream:?}");
        let body: serde_json::Value = serde_json::from_str(body_of(&outcome)).expect("JSON");
        assert_eq!(body["status"], status, "{stream:?}");
        assert_eq!(body["code"], code, "{stream:?}");
        let detail = body["detail"].as_str().expect("a detail");
        assert!(detail.ends_with('.'), "{detail}");
        assert!(outcome.response[9..].starts_with(&status.to_string()));
    }
}
