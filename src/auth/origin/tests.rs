//! Tables of origins and hosts.

use proptest::prelude::*;

use super::*;

fn origins(patterns: &[&str]) -> Origins {
    let patterns = patterns.iter().map(|text| OriginPattern::parse(text));
    Origins::of(patterns.collect::<Result<_, _>>().expect("patterns"))
}

fn hosts(names: &[&str]) -> Hosts {
    let names = names.iter().map(|text| HostName::parse(text));
    Hosts::of(names.collect::<Result<_, _>>().expect("names"))
}

const fn own<'a>(scheme: &'a str, host: Option<&'a str>, is_loopback: bool) -> Own<'a> {
    Own {
        scheme,
        host_header: host,
        is_loopback,
    }
}

#[test]
fn a_page_of_this_machine_may_use_a_daemon_on_loopback_from_any_port() {
    let own = own("http", Some("127.0.0.1:8040"), true);
    for (origin, expected) in [
        ("http://localhost", true),
        ("http://localhost:3000", true),
        ("https://LocalHost:5173", true),
        ("http://app.localhost:8080", true),
        ("http://127.0.0.1:8040", true),
        ("http://127.4.5.6", true),
        ("http://[::1]:1", true),
        ("http://[0:0:0:0:0:0:0:1]", true),
        ("http://localhost.example.com", false),
        ("http://notlocalhost", false),
        ("http://.localhost", false),
        ("http://128.0.0.1", false),
        ("http://[::2]", false),
        ("https://example.com", false),
        ("chrome-extension://localhost", false),
        ("ftp://localhost", false),
        ("null", false),
        ("", false),
        ("localhost", false),
        ("http://", false),
        ("http://localhost/", false),
        ("http://localhost http://localhost", false),
        ("http://localhost:", true),
        ("http://localhost:x", false),
        ("http://localhost:+1", false),
        ("http://localhost:65536", false),
        ("http://user@localhost", false),
        ("http://[::1", false),
        ("http://::1", false),
        ("//localhost", false),
        ("1http://localhost", false),
        ("http://lo\u{f6}calhost", false),
    ] {
        let allows = Origins::default().allows(origin.as_bytes(), own);
        assert_eq!(allows, expected, "{origin:?}");
    }
    assert!(!Origins::default().allows(b"http://localhost\xff", own));
}

#[test]
fn a_page_of_the_daemons_own_origin_may_use_it_elsewhere() {
    for (origin, scheme, host, expected) in [
        (
            "https://example.com",
            "https",
            Some("example.com:443"),
            true,
        ),
        (
            "https://example.com:443",
            "https",
            Some("EXAMPLE.com"),
            true,
        ),
        ("http://example.com", "http", Some("example.com:80"), true),
        (
            "http://example.com:8040",
            "http",
            Some("example.com:8040"),
            true,
        ),
        (
            "http://192.0.2.1:8040",
            "http",
            Some("192.0.2.1:8040"),
            true,
        ),
        (
            "http://[2001:db8::1]",
            "http",
            Some("[2001:DB8:0::1]"),
            true,
        ),
        ("http://example.com", "https", Some("example.com"), false),
        ("https://example.com", "http", Some("example.com"), false),
        (
            "https://example.com:8443",
            "https",
            Some("example.com"),
            false,
        ),
        ("https://a.example.com", "https", Some("example.com"), false),
        ("https://example.com.", "https", Some("example.com"), false),
        ("http://localhost", "http", Some("example.com"), false),
        ("null", "http", Some("null"), false),
        ("http://example.com", "http", None, false),
        ("http://example.com", "http", Some("example.com:x"), false),
        ("http://example.com", "http", Some(""), false),
    ] {
        let allows = Origins::default().allows(origin.as_bytes(), own(scheme, host, false));
        assert_eq!(allows, expected, "{origin} {scheme} {host:?}");
    }
}

#[test]
fn where_patterns_are_configured_they_decide_alone() {
    let own = own("http", Some("localhost"), true);
    for (pattern, origin, expected) in [
        ("https://example.com", "https://example.com", true),
        ("https://example.com", "HTTPS://Example.COM:443", true),
        ("https://example.com:443", "https://example.com", true),
        ("https://example.com", "http://example.com", false),
        ("https://example.com", "https://example.com:8443", false),
        ("https://example.com", "https://a.example.com", false),
        ("https://example.com", "http://localhost", false),
        ("https://example.com:8443", "https://example.com:8443", true),
        ("https://*.example.com", "https://a.example.com", true),
        ("https://*.example.com", "https://a.b.EXAMPLE.com", true),
        ("https://*.example.com", "https://example.com", false),
        ("https://*.example.com", "https://.example.com", false),
        ("https://*.example.com", "https://badexample.com", false),
        (
            "https://*.example.com",
            "https://example.com.evil.net",
            false,
        ),
        ("https://*.example.com", "https://a.example.com:444", false),
        ("https://*.example.com:*", "https://a.example.com:444", true),
        ("http://localhost:*", "http://localhost:3000", true),
        ("http://localhost:*", "http://localhost", true),
        ("http://localhost:*", "http://127.0.0.1", false),
        ("http://[::1]:3000", "http://[0::1]:3000", true),
        ("http://127.0.0.1", "http://127.0.0.1:80", true),
        ("capacitor://localhost", "capacitor://localhost", true),
        ("capacitor://localhost", "capacitor://localhost:1", false),
        ("null", "null", true),
        ("null", "http://localhost", false),
        ("*", "https://anything.example:1234", true),
        ("*", "null", false),
        ("*", "rubbish", false),
    ] {
        let allows = origins(&[pattern]).allows(origin.as_bytes(), own);
        assert_eq!(allows, expected, "{pattern} {origin}");
    }
    assert!(origins(&["https://a.example", "null"]).allows(b"null", own));
}

#[test]
fn a_request_has_one_origin_or_is_not_from_a_page() {
    let own = own("http", None, true);
    let fine: &[u8] = b"http://localhost";
    let allows = |all: &[&[u8]]| Origins::default().allow_request(all.iter().copied(), own);
    assert!(allows(&[]));
    assert!(allows(&[fine]));
    assert!(!allows(&[fine, fine]));
    assert!(!allows(&[b"http://example.com"]));
    assert!(!allows(&[b""]));
}

#[test]
fn what_is_no_pattern_of_origins_is_refused_with_examples() {
    for (text, why) in [
        ("", "no scheme"),
        ("example.com", "no scheme"),
        ("://example.com", "no scheme"),
        ("*://example.com", "no scheme"),
        ("NULL", "no scheme"),
        ("wss://example.com", "page"),
        ("https://example.com/", "more than"),
        ("https://example.com?x", "more than"),
        ("https://me@example.com", "more than"),
        ("https://example.com:", "port"),
        ("https://example.com:65536", "port"),
        ("https://example.com:8*", "port"),
        ("https://", "host"),
        ("https://*", "host"),
        ("https://*.", "host"),
        ("https://a.*.com", "host"),
        ("https://a*.com", "host"),
        ("https://**.com", "host"),
        ("https://*.127.0.0.1", "host"),
        ("https://m\u{fc}ller.de", "host"),
        ("https://example..com", "host"),
        ("https://::1", "host"),
        ("https://[::1", "host"),
    ] {
        let refusal = OriginPattern::parse(text).expect_err(text);
        let beginning = format!("{text:?} is not a pattern of origins: it");
        assert!(refusal.starts_with(&beginning), "{refusal}");
        assert!(refusal.contains(why), "{refusal}");
        assert!(refusal.contains("https://*.example.com"), "{refusal}");
    }
}

#[test]
fn a_daemon_on_loopback_is_asked_for_as_localhost_or_by_address() {
    for (host, expected) in [
        (Some("localhost"), true),
        (Some("localhost:8040"), true),
        (Some("LOCALHOST."), true),
        (Some("app.localhost:1"), true),
        (Some("127.0.0.1:8040"), true),
        (Some("192.168.0.1"), true),
        (Some("[::1]:8040"), true),
        (Some("[::1]"), true),
        (None, true),
        (Some("evil.example"), false),
        (Some("evil.example:8040"), false),
        (Some("localhost.evil.example"), false),
        (Some("127.0.0.1.evil.example"), false),
        (Some("localhost:x"), false),
        (Some("127.1"), false),
        (Some("::1"), false),
        (Some(""), false),
        (Some(":8040"), false),
    ] {
        assert_eq!(Hosts::default().allow(host, true), expected, "{host:?}");
    }
}

#[test]
fn a_daemon_elsewhere_is_asked_for_by_any_name_until_names_are_given() {
    for host in [
        None,
        Some("evil.example"),
        Some("192.0.2.1:80"),
        Some("%41"),
    ] {
        assert!(Hosts::default().allow(host, false), "{host:?}");
    }
    let hosts = hosts(&["example.com", "*.example.org."]);
    for (host, expected) in [
        ("example.com", true),
        ("Example.com.:443", true),
        ("a.example.com", false),
        ("a.example.org:1", true),
        ("example.org", false),
        ("evil.example", false),
        ("localhost", false),
        ("192.0.2.1", true),
        ("[2001:db8::1]:80", true),
        ("%41", false),
    ] {
        assert_eq!(hosts.allow(Some(host), false), expected, "{host}");
    }
    assert!(hosts.allow(Some("localhost"), true));
    assert!(hosts.allow(Some("example.com"), true));
    assert!(!hosts.allow(Some("evil.example"), true));
    assert!(hosts.allow(None, false));
}

#[test]
fn what_is_no_name_of_a_host_is_refused_with_examples() {
    for text in [
        "",
        ".",
        "*",
        "*.",
        "http://a.b",
        "a.b:80",
        "a/b",
        "a..b",
        "a b",
        "[::1",
        "\u{e9}.fr",
    ] {
        let refusal = HostName::parse(text).expect_err(text);
        let beginning = format!("{text:?} is not the name of a host");
        assert!(refusal.starts_with(&beginning), "{refusal}");
    }
}

/// Bytes that look like an origin, now and then.
fn nearly_an_origin() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"http".to_vec()),
        Just(b"://".to_vec()),
        Just(b"localhost".to_vec()),
        Just(b"[::1]".to_vec()),
        Just(b".".to_vec()),
        Just(b":".to_vec()),
        Just(b"*".to_vec()),
        Just(b"80".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..4),
    ];
    proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_and_no_pattern_stands_for_rubbish(
        origin in nearly_an_origin(),
        text in nearly_an_origin(),
    ) {
        let text = String::from_utf8_lossy(&text);
        let own = own("http", Some(&text), false);
        Origins::default().allows(&origin, own);
        Hosts::default().allow(Some(&text), true);
        if let Ok(name) = HostName::parse(&text) {
            Hosts::of(vec![name]).allow(Some(&text), false);
        }
        if let Ok(pattern) = OriginPattern::parse(&text) {
            let allows = Origins::of(vec![pattern]).allows(&origin, own);
            prop_assert!(!allows || str::from_utf8(&origin).is_ok());
        }
    }
}
