//! The opening handshake over real sockets: what is agreed, and how each fault is refused.

mod common;

use std::io::Write;

use common::{Client, Daemon, handshake, header, masked, read_head};

/// The sample handshake with `lines` in the place of the line that begins with `name`.
fn with(name: &str, lines: &str) -> String {
    let request = handshake("/", "");
    let line = request
        .split_inclusive("\r\n")
        .find(|line| line.starts_with(name));
    request.replacen(line.expect("the line is there"), lines, 1)
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_default()
}

#[test]
fn each_fault_of_a_handshake_is_refused_with_its_status_and_a_word_about_it() {
    let daemon = Daemon::start(&[]);
    let faults = [
        ("no Host", with("Host", ""), "400", "Host"),
        (
            "two Hosts",
            with("Host", "Host: localhost\r\nHost: localhost\r\n"),
            "400",
            "Host",
        ),
        (
            "no Connection",
            with("Connection", ""),
            "400",
            "Connection: Upgrade",
        ),
        (
            "Connection: keep-alive",
            with("Connection", "Connection: keep-alive\r\n"),
            "400",
            "Connection: Upgrade",
        ),
        ("no Upgrade", with("Upgrade", ""), "426", "Upgrade"),
        (
            "version 8",
            with("Sec-WebSocket-Version", "Sec-WebSocket-Version: 8\r\n"),
            "426",
            "version 13",
        ),
        (
            "no version",
            with("Sec-WebSocket-Version", ""),
            "426",
            "version 13",
        ),
        (
            "two versions",
            with(
                "Sec-WebSocket-Version",
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 8\r\n",
            ),
            "426",
            "version 13",
        ),
        (
            "no key",
            with("Sec-WebSocket-Key", ""),
            "400",
            "Sec-WebSocket-Key",
        ),
        (
            "two keys",
            with(
                "Sec-WebSocket-Key",
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            ),
            "400",
            "Sec-WebSocket-Key",
        ),
        (
            "a key of 15 bytes",
            with(
                "Sec-WebSocket-Key",
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n",
            ),
            "400",
            "Sec-WebSocket-Key",
        ),
        (
            "a key that is no base64",
            with(
                "Sec-WebSocket-Key",
                "Sec-WebSocket-Key: the sample nonce!!!!!!!!\r\n",
            ),
            "400",
            "Sec-WebSocket-Key",
        ),
        (
            "HTTP/1.0",
            with("GET", "GET / HTTP/1.0\r\n"),
            "400",
            "HTTP/1.1",
        ),
        ("POST", with("GET", "POST / HTTP/1.1\r\n"), "405", "GET"),
        (
            "a body",
            with("Host", "Host: localhost\r\nContent-Length: 2\r\n") + "{}",
            "400",
            "body",
        ),
        (
            "no path with a WebSocket",
            with("GET", "GET /nowhere HTTP/1.1\r\n"),
            "404",
            "/ws",
        ),
    ];
    for (what, request, expected, word) in faults {
        let answer = daemon.answer(&request);
        assert_eq!(status(&answer), expected, "{what}: {answer}");
        assert!(answer.contains(word), "{what}: {answer}");
    }
}

#[test]
fn a_head_request_for_a_websocket_is_answered_without_a_body() {
    let daemon = Daemon::start(&["--echo"]);
    for (path, expected) in [
        ("/", "200"),
        ("/ws", "426"),
        ("/echo", "426"),
        ("/no", "404"),
    ] {
        let head = handshake(path, "Connection: close\r\n").replacen("GET", "HEAD", 1);
        let answer = daemon.exchange(head.as_bytes());
        assert_eq!(status(&answer), expected, "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
        assert_eq!(answer.matches("\r\n\r\n").count(), 1, "{answer}");
    }
}

#[test]
fn a_publication_through_a_proxy_that_asks_for_an_upgrade_with_everything_is_one() {
    let daemon = Daemon::start(&[]);
    for fields in [
        "Connection: upgrade\r\nUpgrade: websocket\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
    ] {
        let answer = daemon.answer(&format!(
            "POST /channels/c HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: 1\r\n\r\n1"
        ));
        assert_eq!(status(&answer), "201", "{answer}");
    }
    let page = daemon.answer(
        "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    assert_eq!(status(&page), "200", "{page}");
}

#[test]
fn a_handshake_with_more_in_its_connection_field_is_one() {
    let daemon = Daemon::start(&[]);
    for line in [
        "Connection: close, Upgrade\r\n",
        "Connection: Upgrade\r\nConnection: keep-alive\r\n",
        "Connection: ,upgrade ,, x-forwarded-for\r\n",
    ] {
        let answer = daemon.answer(&with("Connection", line));
        assert_eq!(status(&answer), "101", "{answer}");
    }
}

#[test]
fn another_version_is_told_which_one_is_spoken_and_the_connection_ends() {
    let daemon = Daemon::start(&[]);
    let request = with("Sec-WebSocket-Version", "Sec-WebSocket-Version: 25\r\n");
    // To the end of the stream: what may follow a refused handshake are frames, not requests.
    let answer = daemon.exchange(request.as_bytes());
    assert_eq!(status(&answer), "426", "{answer}");
    assert_eq!(header(&answer, "Sec-WebSocket-Version"), Some("13"));
    assert_eq!(header(&answer, "Upgrade"), Some("websocket"));
    assert_eq!(header(&answer, "Connection"), Some("Upgrade, close"));
}

#[test]
fn the_answer_has_the_key_that_proves_it_and_nothing_that_was_not_asked_for() {
    let daemon = Daemon::start(&[]);
    let head = daemon.open("/", "").head;
    let expected = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    assert_eq!(head, expected);
}

#[test]
fn names_and_tokens_may_come_in_any_case_and_in_lists() {
    let daemon = Daemon::start(&[]);
    let mut stream = daemon.raw();
    let request = "GET /ws HTTP/1.1\r\nhost: localhost\r\nUPGRADE: h2c, WebSocket\r\n\
                   cOnNeCtIoN: keep-alive, uPgRaDe\r\nsec-websocket-key:dGhlIHNhbXBsZSBub25jZQ==\r\n\
                   SEC-WEBSOCKET-VERSION:\t13 \r\n\r\n";
    stream.write_all(request.as_bytes()).expect("it goes out");
    assert_eq!(status(&read_head(&mut stream)), "101");
}

#[test]
fn a_known_sub_protocol_is_chosen_wherever_it_stands_in_the_offer() {
    let daemon = Daemon::start(&[]);
    for lines in [
        "Sec-WebSocket-Protocol: json.fanfare.v1\r\n",
        "Sec-WebSocket-Protocol: soap, json.fanfare.v1 ,mqtt\r\n",
        "Sec-WebSocket-Protocol: soap\r\nSec-WebSocket-Protocol: json.fanfare.v1\r\n",
    ] {
        let client = daemon.open("/", lines);
        let chosen = header(&client.head, "Sec-WebSocket-Protocol");
        assert_eq!(chosen, Some("json.fanfare.v1"), "{lines}");
    }
}

#[test]
fn a_client_that_offers_only_unknown_sub_protocols_is_refused_with_the_names_of_those_that_there_are()
 {
    let daemon = Daemon::start(&["--echo"]);
    for (path, offer, words) in [
        ("/", "soap, mqtt", "Known: json.fanfare.v1."),
        // Names are compared byte by byte.
        ("/", "JSON.fanfare.v1", "Known: json.fanfare.v1."),
        (
            "/echo",
            "json.fanfare.v1",
            "This server speaks no sub-protocol here",
        ),
    ] {
        let line = format!("Sec-WebSocket-Protocol: {offer}\r\n");
        let answer = daemon.answer(&handshake(path, &line));
        assert_eq!(status(&answer), "400", "{answer}");
        assert!(answer.contains(words), "{answer}");
    }
}

#[test]
fn extensions_that_nobody_here_knows_are_not_answered() {
    let daemon = Daemon::start(&[]);
    for offer in [
        "x-webkit-deflate-frame",
        "permessage-bzip2; level=9, bbf-usp-protocol",
        "permessage-deflate-not",
        "; ;,=,",
    ] {
        let mut client = daemon.open("/", &format!("Sec-WebSocket-Extensions: {offer}\r\n"));
        assert_eq!(header(&client.head, "Sec-WebSocket-Extensions"), None);
        assert!(client.text().contains("welcome"), "{offer}");
    }
}

#[test]
fn frames_that_come_right_behind_the_handshake_are_read() {
    let daemon = Daemon::start(&[]);
    let mut stream = daemon.raw();
    let mut bytes = handshake("/", "").into_bytes();
    bytes.extend_from_slice(&masked(0x81, br#"{"type":"ping","id":1}"#));
    stream.write_all(&bytes).expect("all goes out");
    let head = read_head(&mut stream);
    let mut client = Client { stream, head };
    assert!(client.text().contains("welcome"));
    assert_eq!(client.text(), r#"{"type":"pong","id":1}"#);
}

#[test]
fn a_handshake_may_come_a_byte_at_a_time_with_a_frame_behind_it() {
    let daemon = Daemon::start(&[]);
    let mut stream = daemon.raw();
    let mut bytes = handshake("/", "").into_bytes();
    bytes.extend_from_slice(&masked(0x81, br#"{"type":"ping","id":1}"#));
    for byte in bytes {
        stream.write_all(&[byte]).expect("a byte goes out");
    }
    let head = read_head(&mut stream);
    let mut client = Client { stream, head };
    assert!(client.text().contains("welcome"));
    assert_eq!(client.text(), r#"{"type":"pong","id":1}"#);
}
