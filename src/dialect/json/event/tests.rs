//! Everything that the server writes is read back, and so is what others might write.

use super::*;
use crate::dialect::json::encode::{self, MessageFrame, Welcome};
use crate::dialect::json::{ErrorCode, ErrorReply};

/// So much may stand after a message and be anything.
const PADDING: usize = 64;

/// Decodes with padding and without, which must say the same, and looks at the result.
fn decoded(text: impl AsRef<[u8]>, look: impl Fn(Result<Event<'_>, EventError>)) {
    let text = text.as_ref();
    let mut decoder = EventDecoder::new();
    for padding in [&[b'}'; PADDING][..], b""] {
        let mut bytes = [text, padding].concat();
        look(decoder.decode(&mut bytes[..text.len()]));
    }
}

fn written(write: impl Fn(&mut Vec<u8>), expected: Event<'_>) {
    let mut out = Vec::new();
    write(&mut out);
    let text = String::from_utf8_lossy(&out).into_owned();
    decoded(&out, |event| {
        assert_eq!(event.as_ref(), Ok(&expected), "{text}")
    });
}

#[test]
fn what_the_server_writes_is_read_back() {
    let id = Some(Id(br#""\u0041""#));
    let channel = "a.\"\\é";
    written(
        |out| encode::subscribed(out, id, channel.into(), "e", 41, None),
        Event::Subscribed {
            id,
            topic: channel.into(),
            epoch: "e",
            seq: 41,
            recovered: None,
        },
    );
    written(
        |out| encode::subscribed(out, None, channel.into(), "e", 41, Some(false)),
        Event::Subscribed {
            id: None,
            topic: channel.into(),
            epoch: "e",
            seq: 41,
            recovered: Some(false),
        },
    );
    written(
        |out| encode::unsubscribed(out, id, channel.into()),
        Event::Unsubscribed {
            id,
            topic: channel.into(),
            reason: None,
        },
    );
    written(
        |out| encode::published(out, id, channel, "e", 9007199254740991, false),
        Event::Published {
            id,
            channel,
            epoch: "e",
            seq: 9007199254740991,
            duplicate: false,
        },
    );
    written(
        |out| encode::gap(out, channel.into(), "e", 0, 40, "epoch"),
        Event::Gap {
            topic: channel.into(),
            epoch: "e",
            from: 0,
            to: 40,
            reason: "epoch",
        },
    );
    written(|out| encode::pong(out, id), Event::Pong { id });
    written(
        |out| encode::goodbye(out, "restart", 1700),
        Event::Goodbye {
            reason: "restart",
            reconnect_after_ms: Some(1700),
        },
    );
    let reply = ErrorReply {
        id,
        topic: Some(channel.into()),
        offset: Some(5),
        retry_after_ms: Some(6),
        ..ErrorReply::new(ErrorCode::RateLimited, "slow\ndown")
    };
    written(
        |out| encode::error(out, &reply),
        Event::Error {
            id,
            topic: Some(channel.into()),
            code: "rate_limited",
            message: "slow\ndown",
            offset: Some(5),
            retry_after_ms: Some(6),
        },
    );
}

#[test]
fn a_welcome_says_which_features_there_are() {
    let mut out = Vec::new();
    let welcome = Welcome {
        server: "fanfare/0.1.0",
        session: "s-1",
        max_message: 65536,
        features: &["auth", "goodbye"],
        subject: None,
        expires: None,
    };
    encode::welcome(&mut out, &welcome);
    decoded(&out, |event| match event {
        Ok(Event::Welcome {
            protocol,
            server,
            session,
            max_message,
            features,
            ..
        }) => {
            assert_eq!(protocol, "json.fanfare.v1");
            assert_eq!(
                (server, session, max_message),
                ("fanfare/0.1.0", "s-1", 65536)
            );
            assert!(features.has("auth") && features.has("goodbye"));
            assert!(!features.has("aut") && !features.has("uth") && !features.has(""));
            assert_eq!(features.as_bytes(), br#"["auth","goodbye"]"#);
        }
        other => panic!("{other:?}"),
    });
    decoded(
        r#"{"type":"welcome","protocol":"x","max_message":1}"#,
        |event| match event {
            Ok(Event::Welcome { features, .. }) => assert!(!features.has("auth")),
            other => panic!("{other:?}"),
        },
    );
}

#[test]
fn who_the_client_is_and_until_when_is_told_by_a_welcome_and_by_an_answer() {
    decoded(
        r#"{"type":"welcome","protocol":"x","max_message":1,"subject":"j\u00e4n","expires":1764115200}"#,
        |event| match event {
            Ok(Event::Welcome {
                subject, expires, ..
            }) => assert_eq!((subject, expires), (Some("jän"), Some(1_764_115_200))),
            other => panic!("{other:?}"),
        },
    );
    decoded(
        r#"{"type":"authenticated","id":4,"subject":"jan","expires":1764115200}"#,
        |event| match event {
            Ok(Event::Authenticated {
                id,
                subject,
                expires,
            }) => {
                assert_eq!(id.and_then(|id| id.as_number()), Some(4));
                assert_eq!((subject, expires), ("jan", Some(1_764_115_200)));
            }
            other => panic!("{other:?}"),
        },
    );
    // A time that is no whole number is none.
    decoded(
        r#"{"type":"authenticated","subject":"jan","expires":1.5}"#,
        |event| {
            assert!(matches!(
                event,
                Ok(Event::Authenticated { expires: None, .. })
            ))
        },
    );
    decoded(r#"{"type":"authenticated","id":4}"#, |event| {
        assert_eq!(event, Err(EventError::Member("subject")));
    });
}

#[test]
fn a_message_is_read_the_short_way_and_the_long_way_alike() {
    for (text, channel, data) in [
        (
            r#"{"type":"message","channel":"a","seq":42,"data":{"b":[1]}}"#,
            "a",
            r#"{"b":[1]}"#,
        ),
        (
            r#"{"type":"message","channel":"a","seq":42,"data":"\u0041}"}"#,
            "a",
            r#""\u0041}""#,
        ),
        (
            r#"{"type":"message","channel":"\"\\é","seq":42,"data":0.10}"#,
            "\"\\é",
            "0.10",
        ),
        (
            r#"{"type":"message","channel":"a","seq":42,"new":{},"data":1}"#,
            "a",
            "1",
        ),
        (
            r#"{"type":"message","channel":"a","seq":42,"x":1,"data":"\n"}"#,
            "a",
            r#""\n""#,
        ),
        (
            r#" {"data" : [ 1 ] , "seq":42,"channel":"a","type":"message"}"#,
            "a",
            "[ 1 ]",
        ),
    ] {
        decoded(text, |event| {
            let expected = Event::Message(Message {
                channel,
                place: Place::Channel { seq: 42 },
                data: Data::json(data.as_bytes()),
            });
            assert_eq!(event, Ok(expected), "{text}");
        });
    }
}

/// Each way in which a message may stand, as the server writes it.
fn places() -> [Place<'static>; 2] {
    let pattern = "a.*";
    let (seq, channel_seq) = (42, 9007199254740991);
    let of_pattern = Place::Pattern {
        pattern,
        seq,
        channel_seq,
    };
    [Place::Channel { seq }, of_pattern]
}

#[test]
fn a_message_of_any_place_and_encoding_is_read_back_by_each_way() {
    let encoded = |encoding, raw: &'static str| Data {
        encoding,
        raw: raw.as_bytes(),
    };
    for place in places() {
        for data in [
            Data::json(br#"{"encoding":"text","data":1}"#),
            encoded(Encoding::Text, r#""a\n\u0000}""#),
            encoded(Encoding::Base64, r#""AAE=""#),
        ] {
            let channel = "a.\u{e9}";
            let mut text = Vec::new();
            MessageFrame::new(channel, data).write_text(place, &mut text);
            let expected = Message {
                channel,
                place,
                data,
            };
            assert_eq!(message(&text), Some(expected));
            let whole = EventDecoder::new().decode_whole(&mut text).map(|event| {
                assert_eq!(event, Event::Message(expected));
            });
            assert_eq!(whole, Ok(()));
        }
    }
}

#[test]
fn what_is_about_a_pattern_says_so() {
    let topic = Topic::pattern("a.*");
    for (text, expected) in [
        (
            r#"{"type":"subscribed","id":1,"pattern":"a.*","epoch":"e","seq":41}"#,
            Event::Subscribed {
                id: Some(Id(b"1")),
                topic,
                epoch: "e",
                seq: 41,
                recovered: None,
            },
        ),
        (
            r#"{"type":"unsubscribed","pattern":"a.*","reason":"forbidden"}"#,
            Event::Unsubscribed {
                id: None,
                topic,
                reason: Some("forbidden"),
            },
        ),
        (
            r#"{"type":"gap","pattern":"a.*","epoch":"e","from":1,"to":2,"reason":"slow"}"#,
            Event::Gap {
                topic,
                epoch: "e",
                from: 1,
                to: 2,
                reason: "slow",
            },
        ),
        (
            r#"{"type":"error","pattern":"a.*","code":"bad_pattern","message":"no"}"#,
            Event::Error {
                id: None,
                topic: Some(topic),
                code: "bad_pattern",
                message: "no",
                offset: None,
                retry_after_ms: None,
            },
        ),
        (
            r#"{"type":"published","id":1,"channel":"a","epoch":"e","seq":1,"duplicate":true}"#,
            Event::Published {
                id: Some(Id(b"1")),
                channel: "a",
                epoch: "e",
                seq: 1,
                duplicate: true,
            },
        ),
    ] {
        decoded(text, |event| {
            assert_eq!(event.as_ref(), Ok(&expected), "{text}")
        });
    }
}

#[test]
fn the_short_way_takes_nothing_but_what_it_knows() {
    let good = br#"{"type":"message","channel":"a","seq":42,"data":1}"#;
    assert_eq!(
        message(good),
        Some(Message {
            channel: "a",
            place: Place::Channel { seq: 42 },
            data: Data::json(b"1"),
        })
    );
    for text in [
        &b""[..],
        b"{",
        br#"{"type":"message","channel":""#,
        br#"{"type":"message","channel":"a"#,
        br#"{"type":"message","channel":"a\"","seq":42,"data":1}"#,
        br#"{"type":"message","channel":"a","seq":,"data":1}"#,
        br#"{"type":"message","channel":"a","seq":-1,"data":1}"#,
        br#"{"type":"message","channel":"a","seq":1e3,"data":1}"#,
        br#"{"type":"message","channel":"a","seq":18446744073709551616,"data":1}"#,
        br#"{"type":"message","channel":"a","seq":42,"data":1} "#,
        br#"{"type":"message","channel":"a","seq":42,"dat":1}"#,
        br#"{"type":"message","channel":"a","seq":42"#,
        br#"{"type":"message","channel":"a","seq":42,"encoding":"hex","data":"1"}"#,
        br#"{"type":"message","channel":"a","seq":42,"encoding":"text"}"#,
        br#"{"type":"message","pattern":"a.*","seq":42,"data":1}"#,
        br#"{"type":"message","pattern":"a.*","seq":42,"channel":"a.b","data":1}"#,
        br#"{"type":"message","pattern":"a.*","seq":42,"channel":"a.b","channel_seq":,"data":1}"#,
        br#"{"type":"message","pattern":"a\u0041","seq":42,"channel":"a","channel_seq":1,"data":1}"#,
        br#"{"type":"message","pattern":"a.*","seq":42,"channel":"#,
        b"{\"type\":\"message\",\"pattern\":\"\xff\",\"seq\":42,\"channel\":\"a\",\"channel_seq\":1,\"data\":1}",
        b"{\"type\":\"message\",\"channel\":\"\xff\",\"seq\":42,\"data\":1}",
    ] {
        assert_eq!(message(text), None, "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn what_a_younger_server_says_is_unknown_or_ignored() {
    decoded(r#"{"type":"pre\u0073ence","channel":7}"#, |event| {
        assert_eq!(event, Ok(Event::Unknown { kind: "presence" }));
    });
    decoded(
        r#"{"type":"pong","id":7,"load":[1,{"id":8}],"at":1.5}"#,
        |event| {
            assert_eq!(event, Ok(Event::Pong { id: Some(Id(b"7")) }));
        },
    );
    decoded(r#"{"type":"error","code":"teapot","why":{}}"#, |event| {
        assert!(matches!(
            event,
            Ok(Event::Error {
                code: "teapot",
                id: None,
                ..
            })
        ));
    });
}

#[test]
fn a_promised_member_that_is_missing_is_named() {
    for (text, name) in [
        ("[]", "type"),
        ("{}", "type"),
        (r#"{"type":1}"#, "type"),
        (r#"{"type":"message","channel":"a","seq":1}"#, "data"),
        (r#"{"type":"message","channel":"a","data":1}"#, "seq"),
        (r#"{"type":"message","seq":1,"data":1}"#, "channel"),
        (
            r#"{"type":"message","channel":"a","seq":-1,"data":1}"#,
            "seq",
        ),
        (r#"{"type":"subscribed","channel":"a","seq":1}"#, "epoch"),
        (r#"{"type":"published","channel":"a","epoch":"e"}"#, "seq"),
        (r#"{"type":"unsubscribed"}"#, "channel"),
        (
            r#"{"type":"gap","channel":"a","epoch":"e","from":1,"reason":"slow"}"#,
            "to",
        ),
        (
            r#"{"type":"gap","channel":"a","epoch":"e","to":1,"reason":"slow"}"#,
            "from",
        ),
        (
            r#"{"type":"gap","channel":"a","epoch":"e","from":1,"to":1}"#,
            "reason",
        ),
        (
            r#"{"type":"message","channel":"a","seq":1,"encoding":"text","data":1} "#,
            "data",
        ),
        (
            r#"{"type":"message","channel":"a","seq":1,"encoding":"hex","data":"1"} "#,
            "encoding",
        ),
        (
            r#"{"type":"message","channel":"a","seq":1,"encoding":1,"data":"1"}"#,
            "encoding",
        ),
        (
            r#"{"type":"message","pattern":1,"channel":"a","seq":1,"channel_seq":1,"data":1}"#,
            "pattern",
        ),
        (
            r#"{"type":"message","pattern":"a","channel":"a","seq":1,"data":1}"#,
            "channel_seq",
        ),
        (
            r#"{"type":"message","pattern":"a","channel_seq":1,"seq":1,"data":1}"#,
            "channel",
        ),
        (
            r#"{"type":"subscribed","pattern":"","epoch":"e","seq":1}"#,
            "pattern",
        ),
        (r#"{"type":"error","message":"x"}"#, "code"),
        (r#"{"type":"welcome","max_message":1}"#, "protocol"),
        (r#"{"type":"welcome","protocol":"p"}"#, "max_message"),
        (r#"{"type":"goodbye"}"#, "reason"),
    ] {
        decoded(text, |event| {
            assert_eq!(event, Err(EventError::Member(name)), "{text}")
        });
    }
}

#[test]
fn what_is_not_json_or_not_utf8_is_an_error_that_reads_well() {
    decoded(r#"{"type":x}"#, |event| {
        let error = event.unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"a message that is not JSON: `x` is no JSON value: a text needs double quotes ("), at byte 8"#
        );
    });
    decoded(b"{\"type\":\"\xff\"}", |event| {
        assert_eq!(event, Err(EventError::NotUtf8))
    });
    assert_eq!(
        EventError::Member("seq").to_string(),
        "a message without a good `seq`"
    );
}
