//! URLs that are good, and those that are not.

use super::*;

fn parts(text: &str) -> (String, u16, String, String) {
    let url: Url = text.parse().expect(text);
    (url.host().to_owned(), url.port(), url.target, url.authority)
}

fn refused(text: &str) -> UrlError {
    text.parse::<Url>().expect_err(text)
}

#[test]
fn host_port_and_target_are_told_apart() {
    for (text, host, port, target, authority) in [
        ("ws://h", "h", 80, "/", "h"),
        ("WS://Example.org/", "Example.org", 80, "/", "Example.org"),
        ("ws://h:8040?x=1", "h", 8040, "/?x=1", "h:8040"),
        (
            "ws://10.0.0.1:1/a/b?c=%20&d",
            "10.0.0.1",
            1,
            "/a/b?c=%20&d",
            "10.0.0.1:1",
        ),
        ("ws://[::1]", "::1", 80, "/", "[::1]"),
        (
            "ws://[2001:db8::7]:65535/x",
            "2001:db8::7",
            65535,
            "/x",
            "[2001:db8::7]:65535",
        ),
        (
            "ws://[fe80::1%eth0]:8040/x",
            "fe80::1%eth0",
            8040,
            "/x",
            "[fe80::1]:8040",
        ),
        (
            "ws://[fe80::1%25eth0]",
            "fe80::1%eth0",
            80,
            "/",
            "[fe80::1]",
        ),
        ("ws://[fe80::1%25]", "fe80::1%25", 80, "/", "[fe80::1]"),
        ("ws://[fe80::1%3]?q", "fe80::1%3", 80, "/?q", "[fe80::1]"),
        (
            "ws://h/path@with:odd,things",
            "h",
            80,
            "/path@with:odd,things",
            "h",
        ),
    ] {
        let expected = (host.into(), port, target.into(), authority.into());
        assert_eq!(parts(text), expected, "{text}");
    }
}

#[test]
fn what_is_shown_is_read_back_as_the_same() {
    for text in [
        "ws://h",
        "ws://h:1?q",
        "ws://[::1]:9/a",
        "ws://[fe80::1%25eth0]:9/a",
        "unix:/run/a b.sock",
        "unix:relative:/ws?x",
    ] {
        let url: Url = text.parse().unwrap();
        assert_eq!(url.to_string().parse(), Ok(url));
    }
}

#[test]
fn another_scheme_is_refused() {
    assert_eq!(refused("http://h"), UrlError::Scheme("http".into()));
    for bare in ["", "localhost:8040", "h", "ws:h", "ws:/h"] {
        assert_eq!(refused(bare), UrlError::Scheme(String::new()), "{bare}");
    }
}

#[test]
fn a_unix_socket_has_a_path_and_perhaps_something_that_is_asked_for_there() {
    for (text, path, target, shown) in [
        ("unix:/run/f.sock", "/run/f.sock", "/", "unix:/run/f.sock"),
        ("UNIX:f.sock", "f.sock", "/", "unix:f.sock"),
        (
            "unix:///run/f.sock",
            "///run/f.sock",
            "/",
            "unix:///run/f.sock",
        ),
        ("unix:/run/f:1", "/run/f:1", "/", "unix:/run/f:1"),
        ("unix:/f.sock:/", "/f.sock", "/", "unix:/f.sock"),
        (
            "unix:/f.sock:/ws?a=:/b",
            "/f.sock",
            "/ws?a=:/b",
            "unix:/f.sock:/ws?a=:/b",
        ),
        (
            "unix:/ä b#c?.sock",
            "/ä b#c?.sock",
            "/",
            "unix:/ä b#c?.sock",
        ),
    ] {
        let url: Url = text.parse().expect(text);
        assert_eq!(url.socket(), Some(Path::new(path)), "{text}");
        assert_eq!((url.target(), url.authority()), (target, "localhost"));
        assert_eq!(url.to_string(), shown);
    }
    assert_eq!("ws://h".parse::<Url>().unwrap().socket(), None);
}

#[test]
fn a_unix_socket_without_a_path_or_with_one_that_no_system_takes_is_refused() {
    for empty in ["unix:", "unix::/ws"] {
        assert_eq!(refused(empty), UrlError::Socket(String::new()), "{empty}");
    }
    let long = format!("/{}", "x".repeat(200));
    assert_eq!(refused(&format!("unix:{long}")), UrlError::Socket(long));
    for character in ['\0', '\n', '\u{1b}'] {
        let error = refused(&format!("unix:/a{character}b"));
        assert_eq!(error, UrlError::Character(character));
    }
    assert_eq!(refused("unix:/a:/b c"), UrlError::Character(' '));
    assert_eq!(refused("unix:/a:/b#c"), UrlError::Fragment);
}

#[test]
fn users_passwords_and_fragments_are_refused() {
    assert_eq!(refused("ws://me@h/"), UrlError::UserInfo);
    assert_eq!(refused("ws://me:pw@[::1]:1/"), UrlError::UserInfo);
    assert_eq!(refused("ws://h/#top"), UrlError::Fragment);
    assert_eq!(refused("ws://h#top"), UrlError::Fragment);
}

#[test]
fn a_bad_host_is_refused() {
    for text in [
        "ws://",
        "ws:///x",
        "ws://:80",
        "ws://a%41",
        "ws://a,b",
        "ws://[::1",
        "ws://[::1]x",
        "ws://[h]",
        "ws://[fe80::1%]",
        "ws://[fe80::1%a/b]",
        "ws://[fe80::1%a%b]",
        "ws://[%eth0]",
        "ws://10.0.0.1%eth0",
        "ws://::1",
        "ws://a[b]",
    ] {
        let error = refused(text);
        let host_or_port = matches!(error, UrlError::Host(_) | UrlError::Port(_));
        assert!(host_or_port, "{text}: {error:?}");
    }
}

#[test]
fn a_bad_port_is_refused() {
    for port in ["", "0", "65536", "+1", "-1", "8040x", "8 0"] {
        let error = refused(&format!("ws://h:{port}/"));
        let named = matches!(error, UrlError::Port(_) | UrlError::Character(' '));
        assert!(named, "{port:?}: {error:?}");
    }
}

#[test]
fn characters_that_could_end_a_line_or_need_escapes_are_refused() {
    for character in [' ', '\r', '\n', '\0', '\u{7f}', 'ä', '\u{2028}'] {
        let error = refused(&format!("ws://h/{character}"));
        assert_eq!(error, UrlError::Character(character));
    }
}

#[test]
#[cfg(not(feature = "tls"))]
fn without_tls_an_encrypted_url_is_refused_and_the_feature_named() {
    for text in ["wss://h", "https://h/x"] {
        assert_eq!(refused(text), UrlError::NoTls);
    }
    assert!(UrlError::NoTls.to_string().contains("`tls`"));
}

#[test]
#[cfg(feature = "tls")]
fn an_encrypted_url_has_another_usual_port_and_is_shown_with_one_scheme() {
    for text in ["wss://h", "https://h", "HTTPS://h/", "WSS://h:443"] {
        let url: Url = text.parse().expect(text);
        assert_eq!((url.port(), url.is_encrypted()), (443, true), "{text}");
        assert!(url.to_string().starts_with("wss://h"), "{url}");
    }
    let url: Url = "wss://[fe80::1%eth0]:9/x".parse().expect("a good URL");
    assert_eq!(url.to_string(), "wss://[fe80::1%eth0]:9/x");
    let plain: Url = "ws://h:443".parse().expect("a good URL");
    assert!(!plain.is_encrypted());
}

#[test]
fn what_stays_on_this_machine_is_known_by_its_address_or_its_name() {
    for (text, local) in [
        ("ws://127.0.0.1", true),
        ("ws://127.9.9.9:1", true),
        ("ws://[::1]:8040", true),
        ("ws://[::ffff:127.0.0.1]", true),
        ("ws://LocalHost:8040", true),
        ("ws://app.localhost.", true),
        ("unix:/run/f.sock", true),
        ("ws://10.0.0.1", false),
        ("ws://localhost.example.org", false),
        ("ws://[fe80::1%lo]", false),
        ("ws://notlocalhost", false),
    ] {
        let url: Url = text.parse().expect(text);
        assert_eq!(url.is_local(), local, "{text}");
    }
}

#[test]
fn a_token_in_the_query_is_not_shown() {
    for (text, shown) in [
        ("ws://h/?token=abc", "ws://h/?token=…"),
        ("ws://h/?a=1&TOKEN=abc&b=2", "ws://h/?a=1&token=…&b=2"),
        ("ws://h/?tokens=1", "ws://h/?tokens=1"),
        ("unix:/f:/?token=abc", "unix:/f:/?token=…"),
        ("unix:/f?token=abc", "unix:/f?token=…"),
        ("ws://h/token=abc", "ws://h/token=abc"),
    ] {
        let url: Url = text.parse().expect(text);
        assert_eq!(url.without_token(), shown);
        assert_eq!(format!("{url:?}"), format!("Url({shown:?})"));
        assert_eq!(url.to_string(), text);
    }
}
