//! Every rule of `docs/protocol.md` about requests, one by one.

use super::*;
use crate::dialect::json::PADDING;

/// What a decoder says about a message, owned, so that two can be compared.
#[derive(Debug, PartialEq, Clone)]
pub(super) enum Verdict {
    NotUtf8,
    Refused {
        code: &'static str,
        message: String,
        id: Option<String>,
        channel: Option<String>,
        offset: Option<usize>,
    },
    Request(Option<String>, String),
    Publish(Option<String>, String, Vec<u8>),
}

/// Decodes with `padding` after the message, which must come through unchanged.
pub(super) fn decode_padded(decoder: &mut Decoder, message: &[u8], padding: &[u8]) -> Verdict {
    let mut bytes = [message, padding].concat();
    let id = |id: Option<Id<'_>>| id.map(|id| String::from_utf8(id.as_bytes().to_vec()).unwrap());
    let verdict = match decoder.decode(&mut bytes, message.len()) {
        Err(DecodeError::NotUtf8) => Verdict::NotUtf8,
        Err(DecodeError::Refused(reply)) => {
            assert_eq!(reply.retry_after_ms, None);
            Verdict::Refused {
                code: reply.code.as_str(),
                message: reply.message.to_owned(),
                id: id(reply.id),
                channel: reply.channel.map(str::to_owned),
                offset: reply.offset,
            }
        }
        Ok(Request {
            id: raw,
            command: Command::Publish { channel, data },
        }) => Verdict::Publish(id(raw), channel.to_owned(), data.to_vec()),
        Ok(Request { id: raw, command }) => Verdict::Request(id(raw), format!("{command:?}")),
    };
    assert_eq!(&bytes[message.len()..], padding, "the padding was touched");
    verdict
}

/// Decodes in every way there is, which must all say the same: with padding that looks
/// like more JSON, with none, and with a decoder that was used before.
pub(super) fn decode(message: impl AsRef<[u8]>) -> Verdict {
    let message = message.as_ref();
    let mut decoder = Decoder::new();
    let verdict = decode_padded(&mut decoder, message, &[b' '; PADDING]);
    for padding in [&[b'1'; PADDING + 7][..], &[b'"'; PADDING], b"}", b""] {
        let again = decode_padded(&mut decoder, message, padding);
        assert_eq!(again, verdict, "with {padding:?}");
    }
    verdict
}

fn text(bytes: impl AsRef<[u8]>) -> Option<String> {
    Some(String::from_utf8(bytes.as_ref().to_vec()).unwrap())
}

fn published(message: &str) -> Vec<u8> {
    match decode(message) {
        Verdict::Publish(_, _, data) => data,
        other => panic!("{message}: {other:?}"),
    }
}

/// The code, and what people are told.
fn refused(message: impl AsRef<[u8]>) -> (&'static str, String) {
    match decode(message.as_ref()) {
        Verdict::Refused { code, message, .. } => (code, message),
        other => panic!("{}: {other:?}", String::from_utf8_lossy(message.as_ref())),
    }
}

/// The id and the channel that come back with an error.
fn given_back(message: &str) -> (Option<String>, Option<String>) {
    match decode(message) {
        Verdict::Refused { id, channel, .. } => (id, channel),
        other => panic!("{message}: {other:?}"),
    }
}

fn bad_json(message: impl AsRef<[u8]>) -> Option<usize> {
    match decode(message.as_ref()) {
        Verdict::Refused {
            code: "bad_json",
            id: None,
            channel: None,
            offset,
            ..
        } => offset,
        other => panic!("{}: {other:?}", String::from_utf8_lossy(message.as_ref())),
    }
}

#[test]
fn every_request_is_read_as_the_protocol_shows_it() {
    let table = [
        (
            r#"{"type":"subscribe","id":1,"channel":"prices"}"#,
            Some("1"),
            r#"Subscribe { channel: "prices", start: Live }"#,
        ),
        (
            r#"{"type":"subscribe","channel":"prices","since":{"epoch":"x","seq":17}}"#,
            None,
            r#"Subscribe { channel: "prices", start: Since { epoch: "x", seq: 17 } }"#,
        ),
        (
            r#"{"type":"subscribe","id":"a","channel":"prices","last":3}"#,
            Some(r#""a""#),
            r#"Subscribe { channel: "prices", start: Last(3) }"#,
        ),
        (
            r#"{"type":"unsubscribe","id":2,"channel":"prices"}"#,
            Some("2"),
            r#"Unsubscribe { channel: "prices" }"#,
        ),
        (r#"{"type":"ping","id":5}"#, Some("5"), "Ping"),
        (r#"{"type":"ping"}"#, None, "Ping"),
    ];
    for (message, id, command) in table {
        let expected = Verdict::Request(id.map(str::to_owned), command.to_owned());
        assert_eq!(decode(message), expected, "{message}");
    }
    assert_eq!(
        decode(r#"{"type":"publish","id":3,"channel":"prices","data":{"bid":1.50}}"#),
        Verdict::Publish(text("3"), "prices".into(), br#"{"bid":1.50}"#.to_vec())
    );
}

#[test]
fn auth_is_an_unknown_type_until_the_feature_is_there() {
    let message = r#"{"type":"auth","id":4,"token":"se\u0063ret"}"#;
    assert_eq!(refused(message).0, "unknown_type");
    let mut decoder = Decoder::new().with_auth(true);
    assert_eq!(
        decode_padded(&mut decoder, message.as_bytes(), &[0; PADDING]),
        Verdict::Request(text("4"), r#"Auth { token: "secret" }"#.into())
    );
    for (message, complaint) in [
        (r#"{"type":"auth"}"#, "`token` is missing"),
        (r#"{"type":"auth","token":1}"#, "`token` must be a string"),
        (
            r#"{"type":"auth","token":"a","token":"a"}"#,
            "`token` stands twice",
        ),
    ] {
        let verdict = decode_padded(&mut decoder, message.as_bytes(), &[0; PADDING]);
        assert!(
            matches!(&verdict, Verdict::Refused { code: "bad_request", message, .. } if message == complaint),
            "{verdict:?}"
        );
    }
}

#[test]
fn data_is_relayed_byte_for_byte() {
    for data in [
        "0",
        "-0",
        "0.10",
        "1E+2",
        "1e2",
        "-1.5e-07",
        "1e-400",
        "1180591620717411303424",
        "1234567890123456789012345",
        "-1234567890123456789012345",
        "9007199254740993",
        "0.1000000000000000000000000000000000001",
        "true",
        "false",
        "null",
        "\"\"",
        "\"a b\"",
        r#""\u0041""#,
        r#""\ud83d\udca9""#,
        r#""\/\b\f\n\r\t\"\\""#,
        "\"é日💩\u{7f}\"",
        "[]",
        "{}",
        "[ ]",
        "{ }",
        "[1 , 2,\t[3 ],\r\n{}]",
        r#"{"a":{"b":[{"c":"}"}]},"a":1}"#,
        r#"{"data":{"data":1},"type":"x","id":"y"}"#,
        r#"["]","[","{","\\"]"#,
        r#"[{},[],[[]],{"":{}}]"#,
    ] {
        for message in [
            format!(r#"{{"type":"publish","channel":"c","data":{data}}}"#),
            format!("{{\"type\":\"publish\",\"channel\":\"c\",\"data\": \t\r\n{data} \n\r\t}}  \n"),
            format!(r#"{{"data":{data},"type":"publish","channel":"c"}}"#),
            format!(r#" {{ "channel" : "c" , "data" : {data} , "type" : "publish" , "id" : 7 }} "#),
            format!(
                r#"{{"x":[[{{}}],1,{{"y":[]}}],"type":"publish","data":{data},"channel":"c","z":{{"a":[1,2,{{}}]}}}}"#
            ),
            format!(r#"{{"x":"\\\"","type":"publish","data":{data},"channel":"c"}}"#),
        ] {
            assert_eq!(published(&message), data.as_bytes(), "{message}");
        }
    }
}

#[test]
fn an_id_comes_back_as_it_was_written() {
    let long = format!("\"{}\"", "x".repeat(64));
    let escaped = format!("\"{}\"", r"\u0041".repeat(64));
    let accented = format!("\"{}\"", "é".repeat(32));
    for id in [
        "0",
        "1",
        "9007199254740991",
        "\"\"",
        "\"a\"",
        r#""\u0041""#,
        r#""\"""#,
        "\"é\"",
        &long,
        &escaped,
        &accented,
    ] {
        for message in [
            format!(r#"{{"type":"ping","id":{id}}}"#),
            format!(r#"{{"id": {id} ,"type":"ping"}}"#),
            format!("{{\"type\":\"p\\u0069ng\",\"id\"\t:\n{id}\r\n}}"),
        ] {
            assert_eq!(
                decode(&message),
                Verdict::Request(text(id), "Ping".into()),
                "{message}"
            );
        }
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
        (r#"{"type":"subscribe"}"#, "`channel` is missing"),
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
        (r#"{"type":"unsubscribe"}"#, "`channel` is missing"),
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
fn members_that_do_not_belong_to_the_request_are_ignored() {
    for (message, command) in [
        (
            r#"{"type":"ping","channel":1,"channel":2,"data":1,"data":2,"last":"x","last":1}"#,
            "Ping",
        ),
        (
            r#"{"type":"ping","":0,"typ":1,"types":2,"Type":3,"type\u0000":4,"\u0000type":5}"#,
            "Ping",
        ),
        (
            r#"{"type":"subscribe","channel":"a","data":1,"data":2,"token":1,"token":2,"x":{},"x":[]}"#,
            r#"Subscribe { channel: "a", start: Live }"#,
        ),
        (
            r#"{"type":"subscribe","channel":"a","since":{"x":[{}],"epoch":"e","x":1,"seq":2,"last":[1]},"z":{"last":1}}"#,
            r#"Subscribe { channel: "a", start: Since { epoch: "e", seq: 2 } }"#,
        ),
        (
            r#"{"type":"unsubscribe","channel":"a","since":1,"last":2,"last":3}"#,
            r#"Unsubscribe { channel: "a" }"#,
        ),
    ] {
        assert_eq!(
            decode(message),
            Verdict::Request(None, command.into()),
            "{message}"
        );
    }
    assert_eq!(
        published(
            r#"{"type":"publish","channel":"a","since":1,"since":2,"last":3,"data":"d","token":4}"#
        ),
        br#""d""#
    );
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
            r#"{"type":"publish","id":1,"channel":"$a","data":1}"#,
            Some("1"),
            Some("$a"),
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
        (
            r#"{"type":"subscribe","id":1,"channel":"$a"}"#,
            Some("1"),
            None,
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
fn types_are_compared_exactly() {
    for kind in [
        "",
        "Ping",
        "ping ",
        "pings",
        r"ping\u0000",
        "auth",
        "message",
    ] {
        assert_eq!(
            refused(format!(r#"{{"type":"{kind}"}}"#)).0,
            "unknown_type",
            "{kind}"
        );
    }
    assert_eq!(
        decode(r#"{"\u0074ype":"\u0070ing"}"#),
        Verdict::Request(None, "Ping".into())
    );
}

#[test]
fn channel_names_are_checked_after_unescaping() {
    let long = "x".repeat(256);
    for name in [
        "", ".", "a..b", "a.", ".a", "a b", "a\u{a0}b", r"a\u0000", r"a\n", r"\u0020", r"\u002a",
        "*", "a.>", "+", "#", r"a\/b", &long,
    ] {
        for kind in ["subscribe", "unsubscribe", "publish"] {
            let message = format!(r#"{{"type":"{kind}","channel":"{name}","data":1}}"#);
            assert_eq!(refused(&message).0, "bad_channel", "{message}");
        }
    }
    let escaped = r"\u0078".repeat(255);
    match decode(format!(
        r#"{{"type":"publish","channel":"{escaped}","data":1}}"#
    )) {
        Verdict::Publish(None, channel, _) => assert_eq!(channel, "x".repeat(255)),
        other => panic!("{other:?}"),
    }
    match decode(r#"{"type":"publish","data":"\u0041","channel":"\ud83c\udfba\"\\\u00e9"}"#) {
        Verdict::Publish(None, channel, data) => {
            assert_eq!(channel, "🎺\"\\é");
            assert_eq!(data, br#""\u0041""#);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_daemons_own_channels_are_not_for_strangers() {
    assert_eq!(
        refused(r#"{"type":"publish","channel":"$a","data":1}"#).0,
        "forbidden"
    );
    assert_eq!(
        refused(r#"{"type":"publish","channel":"\u0024a","data":1}"#).0,
        "forbidden"
    );
    assert_eq!(
        refused(r#"{"type":"subscribe","channel":"$a"}"#).0,
        "bad_channel"
    );
    assert_eq!(
        refused(r#"{"type":"unsubscribe","channel":"$a"}"#).0,
        "bad_channel"
    );
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
fn numbers_up_to_a_doubles_range_pass_and_greater_ones_do_not() {
    let most = "179769313486231570000000000000000000000".to_owned() + &"0".repeat(270);
    assert_eq!(most.len(), 309);
    for good in [
        &most,
        "1.7976931348623157e308",
        "-1.7976931348623157e+308",
        "1e-99999",
        "0e99999",
        "4.9e-324",
    ] {
        let message = format!(r#"{{"type":"publish","channel":"c","data":[{good}]}}"#);
        assert_eq!(published(&message), format!("[{good}]").as_bytes());
    }
    for bad in [
        most + "0",
        "1.7976931348623159e308".to_owned(),
        "1e400".to_owned(),
    ] {
        bad_json(format!(
            r#"{{"type":"publish","channel":"c","data":[{bad}]}}"#
        ));
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

#[test]
fn what_came_before_does_not_matter_and_little_is_kept_of_it() {
    let mut decoder = Decoder::new();
    let large = format!(
        r#"{{"type":"publish","channel":"c","data":["\n"{}]}}"#,
        ",0".repeat(500_000)
    );
    let verdict = decode_padded(&mut decoder, large.as_bytes(), &[0; PADDING]);
    assert!(matches!(verdict, Verdict::Publish(_, _, data) if data.len() == 1_000_006));
    assert!(decoder.kept_bytes() < 4096, "{}", decoder.kept_bytes());
    let many = format!("[{}", "0,".repeat(100_000));
    decode_padded(&mut decoder, many.as_bytes(), &[0; PADDING]);
    assert!(decoder.kept_bytes() < 4 << 20, "{}", decoder.kept_bytes());
    assert_eq!(
        decode_padded(&mut decoder, br#"{"type":"ping"}"#, &[0; PADDING]),
        Verdict::Request(None, "Ping".into())
    );
}

#[test]
fn a_length_beyond_the_buffer_reads_only_what_is_there() {
    let mut message = br#"{"type":"ping"}"#.to_vec();
    let request = Decoder::new()
        .decode(&mut message, usize::MAX)
        .map(|request| request.command);
    assert_eq!(request, Ok(Command::Ping));
}

#[test]
fn a_value_alone_is_held_to_the_same_rules() {
    let check = |text: &str| {
        let mut bytes = text.as_bytes().to_vec();
        let len = bytes.len();
        let outcome = ValueDecoder::new()
            .decode(&mut bytes, len)
            .map(<[u8]>::to_vec);
        match outcome {
            Ok(value) => Ok(String::from_utf8(value).unwrap()),
            Err(DecodeError::NotUtf8) => unreachable!("it is UTF-8"),
            Err(DecodeError::Refused(reply)) => Err(reply.code.as_str()),
        }
    };
    assert_eq!(check(" 0.10\n"), Ok("0.10".into()));
    assert_eq!(check("[1, 2 ] "), Ok("[1, 2 ]".into()));
    assert_eq!(check(r#"	"\u0041""#), Ok(r#""\u0041""#.into()));
    assert_eq!(check("null"), Ok("null".into()));
    for bad in ["", " ", "1 2", "1e999", r#""\ud800""#, "{} x"] {
        assert_eq!(check(bad), Err("bad_json"), "{bad}");
    }
    assert!(check(&("[".repeat(63) + &"]".repeat(63))).is_ok());
    assert!(check(&("[".repeat(64) + &"]".repeat(64))).is_err());
    assert_eq!(
        ValueDecoder::new().decode(&mut b"\"\xff\"".to_vec(), 3),
        Err(DecodeError::NotUtf8)
    );
}
