//! What people are told about a message that is not JSON, and where it points.

use crate::dialect::json::{DecodeError, Decoder};

fn told(message: &str) -> (String, Option<usize>) {
    let mut bytes = message.as_bytes().to_vec();
    match Decoder::new().decode(&mut bytes) {
        Err(DecodeError::Refused(reply)) if reply.code.as_str() == "bad_json" => {
            (reply.message.into_owned(), reply.offset)
        }
        other => panic!("{message}: {other:?}"),
    }
}

#[test]
fn a_fault_is_told_with_what_stands_there_and_what_would_be_right() {
    let table = [
        ("{'a':1}", 1, "a key needs double quotes (\"): `'a'`"),
        ("{a:1}", 1, "a key needs double quotes (\"): `a`"),
        (
            "{\"a\":1,type:2}",
            7,
            "a key needs double quotes (\"): `type`",
        ),
        (
            "hello",
            0,
            "`hello` is no JSON value: a text needs double quotes (\")",
        ),
        (
            "{\"a\":hello world}",
            5,
            "`hello` is no JSON value: a text needs double quotes (\")",
        ),
        (
            "{\"a\":'hello world'}",
            5,
            "a text needs double quotes (\"): `'hello world'`",
        ),
        (
            "{\"a\":größe}",
            5,
            "`größe` is no JSON value: a text needs double quotes (\")",
        ),
        (
            "{\"a\":True}",
            5,
            "`True` is no JSON value: `true` is written in lower case",
        ),
        (
            "{\"a\":None}",
            5,
            "`None` is no JSON value: `null` is the JSON value for nothing",
        ),
        ("{\"a\":NaN}", 5, "`NaN` is no number that JSON knows"),
        (
            "{\"a\":-Infinity}",
            6,
            "a number needs a digit; `Infinity` stands there",
        ),
        ("{\"a\":nulll}", 5, "`nulll` is no JSON value"),
        ("[1,2,]", 5, "a value is missing between `,` and `]`"),
        ("{\"a\":1,}", 7, "a key is missing between `,` and `}`"),
        ("{\"a\":}", 5, "a value is missing; `}` stands there"),
        (
            "{\"a\" 1}",
            5,
            "a `:` is missing after a key; `1` stands there",
        ),
        (
            "{\"a\":1 \"b\":2}",
            7,
            "a `,` or a `}` is missing; `\"` stands there",
        ),
        ("[1 2]", 3, "a `,` or a `]` is missing; `2` stands there"),
        ("[1}", 2, "a `,` or a `]` is missing; `}` stands there"),
        (
            "[1",
            2,
            "the message ends too early: a `,` or a `]` is missing",
        ),
        (
            "{\"a\":",
            5,
            "the message ends too early: a value is missing",
        ),
        (
            "{",
            1,
            "the message ends too early: a key or a `}` is missing",
        ),
        ("[\"a", 3, "a string is not closed: a `\"` is missing"),
        (
            "[\"a\nb\"]",
            3,
            "a string has a control character, `\\n`: it needs an escape",
        ),
        ("[\"\\x41\"]", 2, "`\\x` is no escape that JSON knows"),
        (
            "[\"\\ud800\"]",
            2,
            "`\\ud800` is no escape: four hexadecimal digits follow `\\u`, and surrogates come in pairs",
        ),
        (
            "[01]",
            2,
            "a number does not begin with 0 unless a `.` follows",
        ),
        (
            "[+1]",
            1,
            "a number begins with a digit or a `-`; `+1` stands there",
        ),
        (
            "[.5]",
            1,
            "a number begins with a digit or a `-`; `.5` stands there",
        ),
        ("[1.]", 3, "a number needs a digit; `]` stands there"),
        (
            "[1e400]",
            1,
            "the number `1e400` is beyond the range of a double",
        ),
        ("[1] x", 4, "`x` stands after the value"),
        ("{}{}", 2, "`{` stands after the value"),
        ("[1] // one", 4, "`/` stands after the value"),
        ("// one\n[1]", 0, "JSON has no comments"),
        (
            "\u{feff}{}",
            0,
            "a message does not begin with a byte order mark",
        ),
        ("[\0]", 1, "a value cannot begin with `\\0`"),
    ];
    for (message, offset, words) in table {
        assert_eq!(told(message), (words.to_owned(), Some(offset)), "{message}");
    }
    assert_eq!(told(" \n"), ("the message is empty".to_owned(), None));
}

#[test]
fn what_is_shown_of_a_message_is_short() {
    let long = "x".repeat(100_000);
    let odd = "\u{202e}".repeat(100_000);
    for message in [
        long.clone(),
        format!("'{long}"),
        format!("[{long}"),
        format!("[1{long}"),
        format!("{{{long}"),
        format!("{{'{odd}'"),
        format!("'{odd}"),
        format!("[\"\\u{odd}"),
        format!("[-{}", "9".repeat(100_000)),
        odd.clone(),
    ] {
        let (words, _) = told(&message);
        assert!(words.len() <= 320, "{} bytes: {words}", words.len());
        assert!(!words.contains('\u{202e}'), "{words}");
    }
}
