//! The RFC's own example, and everything that a request can get wrong.

use super::*;
use crate::ws::handshake::Header;

const JSON: &str = "json.fanfare.v1";

/// A handshake as RFC 6455 §1.2 shows it, without the sub-protocols.
const GOOD: [(&str, &str); 5] = [
    ("Host", "server.example.com"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
];

/// What [`check`] says, with what it borrows made owned, and the `101` that it leads to.
#[derive(Debug)]
struct Accepted {
    protocol: Option<String>,
    origin: Option<Vec<u8>>,
    response: String,
}

fn judge(
    method: &str,
    version_minor: u8,
    lines: &[(&str, &str)],
    terms: &Terms<'_>,
) -> Result<Accepted, Refusal> {
    let headers: Vec<Header<'_>> = lines
        .iter()
        .map(|(name, value)| Header {
            name,
            value: value.as_bytes(),
        })
        .collect();
    let head = Head {
        method,
        target: "/ws",
        version_minor,
        headers: &headers,
    };
    let accept = check(&head, terms)?;
    let mut response = Vec::new();
    write_accept(&mut response, &accept, None);
    Ok(Accepted {
        protocol: accept.protocol.map(str::to_owned),
        origin: accept.origin.map(<[u8]>::to_vec),
        response: String::from_utf8(response).unwrap(),
    })
}

fn judge_lines(lines: &[(&str, &str)]) -> Result<Accepted, Refusal> {
    let terms = Terms {
        protocols: &["other.v2", JSON],
        deflate: true,
    };
    judge("GET", 1, lines, &terms)
}

/// The good handshake with these lines in place of those of the same name.
fn with<'l>(changed: &[(&'l str, &'l str)]) -> Vec<(&'l str, &'l str)> {
    let mut lines = without(changed.first().map_or("", |(name, _)| name));
    lines.extend(changed);
    lines
}

fn without<'l>(name: &str) -> Vec<(&'l str, &'l str)> {
    let others = GOOD.iter().filter(|line| line.0 != name);
    others.copied().collect()
}

fn status(lines: &[(&str, &str)]) -> u16 {
    judge_lines(lines).expect_err("a refusal").status
}

#[test]
fn the_handshake_of_the_rfc_gets_the_accept_key_of_the_rfc() {
    let accepted = judge_lines(&GOOD).unwrap();
    assert_eq!(
        accepted.response,
        "HTTP/1.1 101 Switching Protocols\r\n\
         Upgrade: websocket\r\n\
         Connection: Upgrade\r\n\
         Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
         \r\n"
    );
    assert_eq!((accepted.protocol, accepted.origin), (None, None));
}

#[test]
fn an_accept_carries_the_date_that_it_is_given() {
    let accept = Accept {
        key: [b'k'; 28],
        protocol: None,
        deflate: None,
        origin: None,
    };
    let mut out = Vec::new();
    write_accept(&mut out, &accept, Some("Sun, 06 Nov 1994 08:49:37 GMT"));
    assert!(out.ends_with(b"\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n"));
}

#[test]
fn any_method_but_get_is_refused_with_what_is_allowed() {
    for method in ["POST", "HEAD", "get", "CONNECT"] {
        let refusal = judge(method, 1, &GOOD, &Terms::default()).unwrap_err();
        assert_eq!(refusal.status, 405);
        assert_eq!(refusal.headers, [("Allow", "GET")]);
    }
}

#[test]
fn http_1_0_is_refused_and_a_later_1_x_is_not() {
    let verdict = |minor| judge("GET", minor, &GOOD, &Terms::default());
    assert_eq!(verdict(0).unwrap_err().status, 400);
    assert!(verdict(1).is_ok());
    assert!(verdict(2).is_ok());
}

#[test]
fn host_stands_exactly_once_and_is_not_empty() {
    assert_eq!(status(&without("Host")), 400);
    assert_eq!(status(&with(&[("Host", "a"), ("host", "a")])), 400);
    assert_eq!(status(&with(&[("Host", "")])), 400);
}

#[test]
fn connection_is_a_list_in_any_case_over_several_lines() {
    for lines in [
        &[("Connection", "keep-alive, Upgrade")][..],
        &[("Connection", "UPGRADE")],
        &[
            ("Connection", "keep-alive"),
            ("connection", "foo,,upgrade "),
        ],
    ] {
        assert!(judge_lines(&with(lines)).is_ok(), "{lines:?}");
    }
    assert_eq!(status(&without("Connection")), 400);
    assert_eq!(status(&with(&[("Connection", "keep-alive")])), 400);
    assert_eq!(status(&with(&[("Connection", "Upgraded")])), 400);
}

#[test]
fn upgrade_contains_websocket_in_any_case() {
    assert!(judge_lines(&with(&[("Upgrade", "h2c, WebSocket")])).is_ok());
    for lines in [without("Upgrade"), with(&[("Upgrade", "h2c")])] {
        let refusal = judge_lines(&lines).unwrap_err();
        assert_eq!(refusal.status, 426);
        assert!(refusal.headers.contains(&("Upgrade", "websocket")));
    }
}

#[test]
fn another_version_is_told_which_one_is_spoken() {
    for lines in [
        without("Sec-WebSocket-Version"),
        with(&[("Sec-WebSocket-Version", "8")]),
        with(&[("Sec-WebSocket-Version", "13, 8")]),
        with(&[("Sec-WebSocket-Version", "013")]),
        with(&[
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Version", "13"),
        ]),
    ] {
        let refusal = judge_lines(&lines).unwrap_err();
        assert_eq!(refusal.status, 426, "{lines:?}");
        assert!(refusal.headers.contains(&("Sec-WebSocket-Version", "13")));
    }
}

#[test]
fn the_key_is_16_bytes_of_base64_once() {
    const NAME: &str = "Sec-WebSocket-Key";
    assert_eq!(status(&without(NAME)), 400);
    for key in [
        "",
        "AAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAAAA=",
        "AAAAAAAAAAAAAAAAAAAAAAAA",
        "AAAAAAAAAAAAAAAAAAAAA*==",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ] {
        assert_eq!(status(&with(&[(NAME, key)])), 400, "{key}");
    }
    let good = "AAAAAAAAAAAAAAAAAAAAAA==";
    assert!(judge_lines(&with(&[(NAME, good)])).is_ok());
    assert_eq!(status(&with(&[(NAME, good), (NAME, good)])), 400);
}

#[test]
fn a_body_is_refused_as_it_would_be_taken_for_frames() {
    assert_eq!(status(&with(&[("Content-Length", "5")])), 400);
    assert_eq!(status(&with(&[("Transfer-Encoding", "chunked")])), 400);
    assert!(judge_lines(&with(&[("Content-Length", "0")])).is_ok());
}

#[test]
fn the_first_known_sub_protocol_of_the_clients_is_chosen_and_answered() {
    let name = "Sec-WebSocket-Protocol";
    for lines in [
        &[(name, JSON)][..],
        &[(name, "unknown, json.fanfare.v1, other.v2")],
        &[(name, "unknown"), (name, "json.fanfare.v1")],
    ] {
        let accepted = judge_lines(&with(lines)).unwrap();
        assert_eq!(accepted.protocol.as_deref(), Some(JSON));
        let line = "\r\nSec-WebSocket-Protocol: json.fanfare.v1\r\n";
        assert!(accepted.response.contains(line));
    }
}

#[test]
fn offers_of_only_unknown_sub_protocols_are_refused_with_the_known_names() {
    for offer in ["JSON.fanfare.v1", "json.fanfare.v2, a"] {
        let lines = with(&[("Sec-WebSocket-Protocol", offer)]);
        let refusal = judge_lines(&lines).unwrap_err();
        assert_eq!(refusal.status, 400);
        assert!(refusal.body.contains("other.v2, json.fanfare.v1"));
    }
}

#[test]
fn an_empty_list_of_sub_protocols_offers_none() {
    let accepted = judge_lines(&with(&[("Sec-WebSocket-Protocol", " ,")])).unwrap();
    assert!(!accepted.response.contains("Protocol:"));
}

#[test]
fn the_origin_is_handed_on() {
    let accepted = judge_lines(&with(&[("Origin", "https://example.com")])).unwrap();
    assert_eq!(
        accepted.origin.as_deref(),
        Some(&b"https://example.com"[..])
    );
}

#[test]
fn an_offer_of_deflate_is_answered_only_where_the_terms_have_it() {
    let lines = with(&[("Sec-WebSocket-Extensions", "permessage-deflate")]);
    let accepted = judge_lines(&lines).unwrap();
    assert!(accepted.response.contains(
        "\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n"
    ));
    let plain = judge("GET", 1, &lines, &Terms::default()).unwrap();
    assert!(!plain.response.contains("Extensions"));
    let other = with(&[("Sec-WebSocket-Extensions", "x-other")]);
    assert!(!judge_lines(&other).unwrap().response.contains("Extensions"));
}
