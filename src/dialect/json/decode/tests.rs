//! Every rule of `docs/protocol.md` about requests, one by one.

use super::*;
use crate::channel::matcher::Matcher;
use crate::dialect::json::Encoding;

/// So much may stand after a message and be anything.
const PADDING: usize = 64;

/// What a decoder says about a message, owned, so that two can be compared.
#[derive(Debug, PartialEq, Clone)]
pub(super) enum Verdict {
    NotUtf8,
    Refused {
        code: &'static str,
        message: String,
        id: Option<String>,
        /// The channel, or `pattern ` and the pattern.
        topic: Option<String>,
        offset: Option<usize>,
    },
    Request(Option<String>, String),
    /// The id, the channel and the data, which is JSON and has no key.
    Publish(Option<String>, String, Vec<u8>),
    /// Another encoding or a key: the channel is left out.
    Special(Encoding, String, Option<String>),
}

/// Decodes with `padding` after the message, which must come through unchanged.
pub(super) fn decode_padded(decoder: &mut Decoder, message: &[u8], padding: &[u8]) -> Verdict {
    let mut bytes = [message, padding].concat();
    let id = |id: Option<Id<'_>>| id.map(|id| String::from_utf8(id.as_bytes().to_vec()).unwrap());
    let verdict = match decoder.decode(&mut bytes[..message.len()]) {
        Err(DecodeError::NotUtf8) => Verdict::NotUtf8,
        Err(DecodeError::Refused(reply)) => {
            assert_eq!(reply.retry_after_ms, None);
            Verdict::Refused {
                code: reply.code.as_str(),
                message: reply.message.into_owned(),
                id: id(reply.id),
                topic: reply.topic.map(|topic| match topic {
                    Topic::Channel(name) => name.to_owned(),
                    Topic::Pattern(Matcher::Parts, text) => format!("pattern {text}"),
                    Topic::Pattern(..) => panic!("JSON has no such patterns"),
                }),
                offset: reply.offset,
            }
        }
        Ok(Request {
            id: raw,
            command: Command::Publish { channel, data, key },
        }) => match (data.encoding, key) {
            (Encoding::Json, None) => {
                Verdict::Publish(id(raw), channel.to_owned(), data.raw.to_vec())
            }
            (encoding, key) => {
                let data = String::from_utf8(data.raw.to_vec()).unwrap();
                Verdict::Special(encoding, data, key.map(str::to_owned))
            }
        },
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

pub(super) fn text(bytes: impl AsRef<[u8]>) -> Option<String> {
    Some(String::from_utf8(bytes.as_ref().to_vec()).unwrap())
}

pub(super) fn published(message: &str) -> Vec<u8> {
    match decode(message) {
        Verdict::Publish(_, _, data) => data,
        other => panic!("{message}: {other:?}"),
    }
}

/// The code, and what people are told.
pub(super) fn refused(message: impl AsRef<[u8]>) -> (&'static str, String) {
    match decode(message.as_ref()) {
        Verdict::Refused { code, message, .. } => (code, message),
        other => panic!("{}: {other:?}", String::from_utf8_lossy(message.as_ref())),
    }
}

pub(super) fn bad_json(message: impl AsRef<[u8]>) -> Option<usize> {
    match decode(message.as_ref()) {
        Verdict::Refused {
            code: "bad_json",
            id: None,
            topic: None,
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
            r#"Subscribe { topic: Channel("prices"), start: Live }"#,
        ),
        (
            r#"{"type":"subscribe","channel":"prices","since":{"epoch":"x","seq":17}}"#,
            None,
            r#"Subscribe { topic: Channel("prices"), start: Since { epoch: "x", seq: 17 } }"#,
        ),
        (
            r#"{"type":"subscribe","id":"a","channel":"prices","last":3}"#,
            Some(r#""a""#),
            r#"Subscribe { topic: Channel("prices"), start: Last(3) }"#,
        ),
        (
            r#"{"type":"unsubscribe","id":2,"channel":"prices"}"#,
            Some("2"),
            r#"Unsubscribe { topic: Channel("prices") }"#,
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
            r#"Subscribe { topic: Channel("a"), start: Live }"#,
        ),
        (
            r#"{"type":"subscribe","channel":"a","since":{"x":[{}],"epoch":"e","x":1,"seq":2,"last":[1]},"z":{"last":1}}"#,
            r#"Subscribe { topic: Channel("a"), start: Since { epoch: "e", seq: 2 } }"#,
        ),
        (
            r#"{"type":"unsubscribe","channel":"a","since":1,"last":2,"last":3}"#,
            r#"Unsubscribe { topic: Channel("a") }"#,
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
fn what_came_before_does_not_matter_and_nothing_is_kept_of_it() {
    let mut decoder = Decoder::new();
    let large = format!(
        r#"{{"type":"publish","channel":"c","data":["\n"{}]}}"#,
        ",0".repeat(500_000)
    );
    let verdict = decode_padded(&mut decoder, large.as_bytes(), &[0; PADDING]);
    assert!(matches!(verdict, Verdict::Publish(_, _, data) if data.len() == 1_000_006));
    let many = format!("[{}", "0,".repeat(100_000));
    decode_padded(&mut decoder, many.as_bytes(), &[0; PADDING]);
    assert_eq!(
        decode_padded(&mut decoder, br#"{"type":"ping"}"#, &[0; PADDING]),
        Verdict::Request(None, "Ping".into())
    );
}

#[test]
fn decoders_own_no_memory() {
    assert!(!std::mem::needs_drop::<Decoder>());
    assert!(!std::mem::needs_drop::<ValueDecoder>());
    assert!(!std::mem::needs_drop::<crate::dialect::json::EventDecoder>());
}

#[test]
fn a_value_alone_is_held_to_the_same_rules() {
    let check = |text: &str| {
        let outcome = ValueDecoder::new()
            .decode(text.as_bytes())
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
        ValueDecoder::new().decode(b"\"\xff\""),
        Err(DecodeError::NotUtf8)
    );
}
