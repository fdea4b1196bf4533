//! What is refused, what is said about it, and what of the request comes back.

use super::tests::{Verdict, bad_json, decode, published, refused, text};

/// The id and the topic that come back with an error.
pub(super) fn given_back(message: &str) -> (Option<String>, Option<String>) {
    match decode(message) {
        Verdict::Refused { id, topic, .. } => (id, topic),
        other => panic!("{message}: {other:?}"),
    }
}

#[test]
fn an_id_that_is_no_id_is_a_bad_request() {
    let long = format!("\"{}\"", "x".repeat(65));
    let accented = format!("\"{}\"", "é".repeat(33));
    for id in [
        "-1",
        "-0",
        "1.0",
        "1e2",
        "0.5",
        "9007199254740992",
        "18446744073709551615",
        "1180591620717411303424",
        "null",
        "true",
        "[]",
        "{}",
        "[1]",
        &long,
        &accented,
    ] {
        let message = format!(r#"{{"type":"publish","id":{id},"channel":"c","data":1}}"#);
        let (code, complaint) = refused(&message);
        assert_eq!(code, "bad_request");
        assert!(complaint.starts_with("`id` must be"), "{complaint}");
        assert_eq!(given_back(&message), (None, text("c")));
    }
}

#[test]
fn a_member_that_is_missing_repeated_or_of_the_wrong_type_is_named() {
    let table = [
        (r#"{}"#, "`type` is missing"),
        (r#"{"type":1}"#, "`type` must be a string"),
        (r#"{"type":null}"#, "`type` must be a string"),
        (r#"{"type":["ping"]}"#, "`type` must be a string"),
        (r#"{"type":"ping","type":"ping"}"#, "`type` stands twice"),
        (
            r#"{"type":"ping","ty\u0070e":"ping"}"#,
            "`type` stands twice",
        ),
        (r#"{"type":"ping","id":1,"id":1}"#, "`id` stands twice"),
        (
            r#"{"type":"ping","id":1,"x":2,"id":1,"id":3}"#,
            "`id` stands twice",
        ),
        (
            r#"{"type":"ping","type":"ping","type":"ping","type":1}"#,
            "`type` stands twice",
        ),
        (
            r#"{"type":"subscribe"}"#,
            "`channel` or `pattern` is missing",
        ),
        (
            r#"{"type":"subscribe","channel":7}"#,
            "`channel` must be a string",
        ),
        (
            r#"{"type":"subscribe","channel":null}"#,
            "`channel` must be a string",
        ),
        (
            r#"{"type":"subscribe","channel":["a"]}"#,
            "`channel` must be a string",
        ),
        (
            r#"{"type":"subscribe","channel":"a","channel":"a"}"#,
            "`channel` stands twice",
        ),
        (
            r#"{"type":"unsubscribe"}"#,
            "`channel` or `pattern` is missing",
        ),
        (
            r#"{"type":"unsubscribe","channel":{}}"#,
            "`channel` must be a string",
        ),
        (
            r#"{"type":"unsubscribe","channel":"a","channel":"b"}"#,
            "`channel` stands twice",
        ),
        (r#"{"type":"publish","data":1}"#, "`channel` is missing"),
        (
            r#"{"type":"publish","channel":false,"data":1}"#,
            "`channel` must be a string",
        ),
        (r#"{"type":"publish","channel":"a"}"#, "`data` is missing"),
        (
            r#"{"type":"publish","channel":"a","data":1,"data":1}"#,
            "`data` stands twice",
        ),
        (
            r#"{"type":"publish","channel":"a","data":[{}],"d\u0061ta":{"a":[]}}"#,
            "`data` stands twice",
        ),
        (
            r#"{"type":"subscribe","channel":"a","last":"3"}"#,
            "`last` must be a whole number from 0 to 2^53-1",
        ),
        (
            r#"{"type":"subscribe","channel":"a","last":-1}"#,
            "`last` must be a whole number from 0 to 2^53-1",
        ),
        (
            r#"{"type":"subscribe","channel":"a","last":1.0}"#,
            "`last` must be a whole number from 0 to 2^53-1",
        ),
        (
            r#"{"type":"subscribe","channel":"a","last":null}"#,
            "`last` must be a whole number from 0 to 2^53-1",
        ),
        (
            r#"{"type":"subscribe","channel":"a","last":9007199254740992}"#,
            "`last` must be a whole number from 0 to 2^53-1",
        ),
        (
            r#"{"type":"subscribe","channel":"a","last":1,"last":1}"#,
            "`last` stands twice",
        ),
        (
            r#"{"type":"subscribe","channel":"a","since":1}"#,
            "`since` must be an object with `epoch` and `seq`",
        ),
        (
            r#"{"type":"subscribe","channel":"a","since":null}"#,
            "`since` must be an object with `epoch` and `seq`",
        ),
        (
            r#"{"type":"subscribe","channel":"a","since":["x",1]}"#,
            "`since` must be an object with `epoch` and `seq`",
        ),
        (
            r#"{"type":"subscribe","channel":"a","since":{"epoch":"x","seq":1},"since":{}}"#,
            "`since` stands twice",
        ),
        (
            r#"{"since":{},"since":{},"since":{"epoch":"x","seq":1},"type":"subscribe","channel":"a"}"#,
            "`since` stands twice",
        ),
        (
            r#"{"type":"subscribe","channel":"a","since":{}}"#,
            "`since.epoch` is missing",
        ),
        (
            r#"{"type":"subscribe","channel":"a","since":{"seq":1}}"#,
            "`since.epoch` is missing",
        ),
        (
            r#"{"type":"subscribe","channel":"a","since":{"epoch":1,"seq":1}}"#,
            "`since.epoch` must be a string",
        ),
        (
            r#"{"type":"subscribe","channel":"a","since":{"epoch":"x","epoch":"x","seq":1}}"#,
            "`since.epoch` stands twice",
        ),
        (
            r#"{"type":"subscribe","channel":"a","since":{"epoch":"x"}}"#,
            "`since.seq` is missing",
        ),
        (
            r#"{"type":"subscribe","channel":"a","since":{"epoch":"x","seq":"1"}}"#,
            "`since.seq` must be a whole number from 0 to 2^53-1",
        ),
        (
            r#"{"type":"subscribe","channel":"a","since":{"epoch":"x","seq":-1}}"#,
            "`since.seq` must be a whole number from 0 to 2^53-1",
        ),
        (
            r#"{"type":"subscribe","channel":"a","since":{"seq":1,"epoch":"x","seq":1}}"#,
            "`since.seq` stands twice",
        ),
        (
            r#"{"type":"subscribe","channel":"a","since":{"epoch":"x","seq":1},"last":1}"#,
            "`since` and `last` exclude each other",
        ),
        (
            r#"{"type":"subscribe","channel":"a","last":null,"since":null}"#,
            "`since` and `last` exclude each other",
        ),
    ];
    for (message, complaint) in table {
        let expected = ("bad_request", complaint.to_owned());
        assert_eq!(refused(message), expected, "{message}");
    }
}

#[test]
fn what_is_json_but_no_object_is_a_bad_request() {
    for message in [
        "null",
        " true ",
        "1",
        "-1",
        "\"type\"",
        r#""\n""#,
        "[]",
        r#"[{"type":"ping"}]"#,
        "1.5e3",
    ] {
        let expected = ("bad_request", "a message must be a JSON object".to_owned());
        assert_eq!(refused(message), expected, "{message}");
        assert_eq!(given_back(message), (None, None));
    }
}

#[test]
fn id_and_channel_come_back_whatever_else_is_wrong() {
    let table = [
        (
            r#"{"type":"dance","id":1,"channel":"a"}"#,
            Some("1"),
            Some("a"),
        ),
        (
            r#"{"type":"","channel":"\u0061","id":"\u0062"}"#,
            Some(r#""\u0062""#),
            Some("a"),
        ),
        (r#"{"id":1,"channel":"a"}"#, Some("1"), Some("a")),
        (r#"{"type":7,"id":1,"channel":"a"}"#, Some("1"), Some("a")),
        (
            r#"{"type":"ping","type":"ping","id":1,"channel":"a"}"#,
            Some("1"),
            Some("a"),
        ),
        (
            r#"{"type":"publish","id":1,"channel":"a"}"#,
            Some("1"),
            Some("a"),
        ),
        (
            r#"{"type":"publish","id":1,"channel":"a","data":1,"data":2}"#,
            Some("1"),
            Some("a"),
        ),
        (
            r#"{"type":"publish","id":1,"channel":"a b","data":1}"#,
            Some("1"),
            None,
        ),
        (
            r#"{"type":"publish","id":1,"channel":5,"data":1}"#,
            Some("1"),
            None,
        ),
        (
            r#"{"type":"publish","id":1,"channel":"a","channel":"a","data":1}"#,
            Some("1"),
            None,
        ),
        (
            r#"{"type":"publish","id":1,"id":1,"channel":"a","data":1}"#,
            None,
            Some("a"),
        ),
        (
            r#"{"type":"publish","id":-1,"channel":"a","data":1}"#,
            None,
            Some("a"),
        ),
        (
            r#"{"type":"subscribe","id":1,"channel":"a","last":"x"}"#,
            Some("1"),
            Some("a"),
        ),
        (r#"{"type":"ping","id":-1,"channel":"a"}"#, None, None),
        (r#"{}"#, None, None),
    ];
    for (message, id, channel) in table {
        let expected = (id.map(str::to_owned), channel.map(str::to_owned));
        assert_eq!(given_back(message), expected, "{message}");
    }
}

#[test]
fn what_is_not_json_is_refused_with_the_place_where_it_is_known() {
    let table: &[(&str, Option<usize>)] = &[
        ("", None),
        (" \r\n\t ", None),
        ("{", Some(1)),
        ("}", Some(0)),
        ("{\"a\"}", Some(4)),
        ("{\"a\":}", Some(5)),
        ("{\"a\":1,}", Some(7)),
        ("{\"a\":1 \"b\":2}", Some(7)),
        ("{,}", Some(1)),
        ("{a:1}", Some(1)),
        ("{'a':1}", Some(1)),
        ("{\"a\":[1,]}", Some(8)),
        ("{\"a\":[1 2]}", Some(8)),
        ("{\"a\":[1,2", Some(9)),
        ("{\"a\":[1}", Some(7)),
        ("{\"a\":01}", Some(6)),
        ("{\"a\":+1}", Some(5)),
        ("{\"a\":.5}", Some(5)),
        ("{\"a\":1.}", Some(7)),
        ("{\"a\":1e}", Some(7)),
        ("{\"a\":-}", Some(6)),
        ("{\"a\":0x1}", Some(6)),
        ("{\"a\":1\0}", Some(6)),
        ("{\"a\":0\0}", Some(6)),
        ("{\"a\":NaN}", Some(5)),
        ("{\"a\":Infinity}", Some(5)),
        ("{\"a\":tru}", Some(5)),
        ("{\"a\":nulll}", Some(5)),
        ("{\"a\":True}", Some(5)),
        ("{\"a\":1}{\"b\":2}", Some(7)),
        ("{\"a\":1} x", Some(8)),
        ("{\"a\":1}\0", Some(7)),
        ("\u{feff}{\"type\":\"ping\"}", Some(0)),
        ("{\"a\":1} // comment", Some(8)),
        ("{\"a\":\"b", Some(7)),
        ("{\"a\":\"b\\\"}", Some(10)),
        ("{\"a\":\"b\tc\"}", Some(7)),
        ("{\"a\":\"b\0c\"}", Some(7)),
        ("{\"a\":\"b\\xc\"}", Some(7)),
        ("{\"a\":\"b\\u12\"}", Some(7)),
        ("{\"a\":\"b\\u12G4\"}", Some(7)),
        ("{\"a\\'\":1}", Some(3)),
        ("{\"ok\":\"\\u0041\",\"a\":\"\\ud800\"}", Some(20)),
        ("{\"a\":\"\\ud800\\u0041\"}", Some(6)),
        ("{\"a\":\"\\ud800\\ud800\"}", Some(6)),
        ("{\"a\":\"\\ud800x\"}", Some(6)),
        ("{\"a\":\"\\udc00\"}", Some(6)),
        ("{\"a\":\"\\udc00\\ud800\"}", Some(6)),
        ("{\"a\":1e309}", Some(5)),
        ("{\"a\":-1e999}", Some(5)),
        ("{\"a\":[0,1e99999999999]}", Some(8)),
    ];
    for (message, offset) in table {
        assert_eq!(bad_json(message), *offset, "{message:?}");
    }
}

#[test]
fn nesting_is_limited_and_the_message_itself_counts() {
    let nested = |levels: usize| {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        format!(r#"{{"type":"publish","channel":"c","data":{open}{close}}}"#)
    };
    assert_eq!(published(&nested(63)).len(), 126);
    assert_eq!(bad_json(nested(64)), Some(nested(0).len() - 1 + 63));
    assert!(refused(nested(64)).1.contains("64 levels"));
    let objects = format!("{}1{}", r#"{"a":"#.repeat(64), "}".repeat(64));
    assert_eq!(refused(&objects).0, "bad_request");
    assert_eq!(refused(r#"{"a":"#.repeat(65)).0, "bad_json");
    for flood in ["[", "{\"a\":", "[[]", "[{}", "\\", "\"\\"] {
        bad_json(flood.repeat(100_000));
    }
}

#[test]
fn bytes_that_are_not_utf8_are_another_verdict() {
    for bad in [
        &b"{\"a\":\"\xff\"}"[..],
        b"\xff",
        b"{\"a\":\"\xc0\xaf\"}",
        b"{\"a\":\"\xed\xa0\x80\"}",
        b"{\"a\":\"\xf4\x90\x80\x80\"}",
        b"{\"a\":\"\xe2\x82\"}",
        b"{\"a\":\"b\xe2\x82",
        b"{\"a\":\xff}",
        b"[1,2 \x80",
        b"{\"a\":\"\\n\xff\"}",
        b"{\"a\":\"\t\xff\"}",
        b"{\"type\":\"ping\"} \xf0\x9f\x92",
    ] {
        assert_eq!(decode(bad), Verdict::NotUtf8, "{bad:?}");
    }
    // Good UTF-8 that is cut by the parser's 64-byte blocks stays good.
    assert_eq!(
        bad_json([&[b' '; 63][..], "💩".as_bytes()].concat()),
        Some(63)
    );
}
