use super::*;
use crate::http::Header;

/// What a request with these fields presents, in a word or two.
fn of(fields: &[(&str, &str)], query: Option<&str>, cookie: Option<&str>) -> String {
    let headers: Vec<Header<'_>> = fields
        .iter()
        .map(|&(name, value)| Header {
            name,
            value: value.as_bytes(),
        })
        .collect();
    let head = Head {
        method: "GET",
        target: "/",
        version_minor: 1,
        headers: &headers,
    };
    match presented(&head, query, cookie) {
        Presented::Nothing => "nothing".to_owned(),
        Presented::Token(token, place) => format!("{place:?} {}", &*token),
        Presented::Basic { pair } => format!("basic {}", String::from_utf8_lossy(&pair)),
        Presented::Bad(_, place) => format!("bad {place:?}"),
    }
}

#[test]
fn authorization_is_bearer_or_basic_and_all_else_is_bad() {
    for (value, expected) in [
        ("Bearer abc", "Header abc"),
        ("bearer  abc", "Header abc"),
        ("Bearer", "bad Header"),
        ("Bearer ", "bad Header"),
        ("Basic YWRhOnB3", "basic ada:pw"),
        ("BASIC YWRhOnB3", "basic ada:pw"),
        ("Basic YWRh", "bad Header"),
        ("Basic !", "bad Header"),
        ("Digest x", "bad Header"),
        ("", "bad Header"),
    ] {
        assert_eq!(
            of(&[("authorization", value)], None, None),
            expected,
            "{value}"
        );
    }
    let two = [("Authorization", "Bearer a"), ("Authorization", "Bearer a")];
    assert_eq!(of(&two, None, None), "bad Header");
}

#[test]
fn the_first_that_is_there_counts_and_what_makes_no_sense_falls_back_to_nothing_weaker() {
    let cookie = ("Cookie", "a=1; t=in-cookie");
    let header = ("Authorization", "Bearer in-header");
    assert_eq!(
        of(&[header, cookie], Some("token=in-query"), Some("t")),
        "Header in-header"
    );
    assert_eq!(
        of(&[cookie], Some("token=in-query"), Some("t")),
        "Query in-query"
    );
    assert_eq!(of(&[cookie], Some("x=1"), Some("t")), "Cookie in-cookie");
    assert_eq!(of(&[cookie], None, None), "nothing");
    assert_eq!(of(&[], None, Some("t")), "nothing");
    assert_eq!(
        of(
            &[("Authorization", "x"), cookie],
            Some("token=a"),
            Some("t")
        ),
        "bad Header"
    );
    assert_eq!(of(&[cookie], Some("token="), Some("t")), "bad Query");
}

#[test]
fn a_token_in_the_url_is_percent_decoded_and_stands_there_once() {
    for (query, expected) in [
        ("token=a%2Eb", "Query a.b"),
        ("x=token&token=a", "Query a"),
        ("token=a&token=a", "bad Query"),
        ("token", "bad Query"),
        ("token=%", "bad Query"),
        ("tokens=a", "nothing"),
    ] {
        assert_eq!(of(&[], Some(query), None), expected, "{query}");
    }
}

#[test]
fn a_cookie_that_is_there_twice_with_different_values_is_bad() {
    for (value, expected) in [
        ("t=a", "Cookie a"),
        ("t=\"a\"", "Cookie a"),
        ("xt=a; tt=b", "nothing"),
        ("t=a; t=a", "Cookie a"),
        ("t=a; t=b", "bad Cookie"),
        ("t=", "bad Cookie"),
        ("t", "nothing"),
        (";;=;", "nothing"),
    ] {
        assert_eq!(
            of(&[("Cookie", value)], None, Some("t")),
            expected,
            "{value}"
        );
    }
}
