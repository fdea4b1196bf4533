//! The very bytes, since others parse them.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::dialect::json::{ErrorCode, MAX_WHOLE_NUMBER, request};
use crate::hub::{Payload, Start};

fn text(write: impl Fn(&mut Vec<u8>)) -> String {
    // What stands in the buffer already stays.
    let mut out = b"before".to_vec();
    write(&mut out);
    let text = String::from_utf8(out).unwrap();
    text.strip_prefix("before").unwrap().to_owned()
}

#[test]
fn each_event_is_written_as_the_protocol_shows_it() {
    let id = Some(Id(b"1"));
    let welcome = |features| {
        text(|out| {
            super::welcome(
                out,
                &Welcome {
                    server: "fanfare/0.1.0",
                    session: "s",
                    max_message: 65536,
                    features,
                    subject: None,
                    expires: None,
                },
            );
        })
    };
    assert_eq!(
        welcome(&[]),
        r#"{"type":"welcome","protocol":"json.fanfare.v1","server":"fanfare/0.1.0","session":"s","max_message":65536,"features":[]}"#
    );
    assert!(welcome(&["auth", "x"]).ends_with(r#""features":["auth","x"]}"#));
    assert_eq!(
        text(|out| subscribed(out, id, "prices".into(), "e", 41, None)),
        r#"{"type":"subscribed","id":1,"channel":"prices","epoch":"e","seq":41}"#
    );
    assert_eq!(
        text(|out| subscribed(out, None, "prices".into(), "e", 0, Some(true))),
        r#"{"type":"subscribed","channel":"prices","epoch":"e","seq":0,"recovered":true}"#
    );
    assert_eq!(
        text(|out| unsubscribed(out, id, "prices".into())),
        r#"{"type":"unsubscribed","id":1,"channel":"prices"}"#
    );
    assert_eq!(
        text(|out| published(out, id, "prices", "e", 42, false)),
        r#"{"type":"published","id":1,"channel":"prices","epoch":"e","seq":42}"#
    );
    assert_eq!(
        text(|out| pong(out, Some(Id(br#""\u0041""#)))),
        r#"{"type":"pong","id":"\u0041"}"#
    );
    assert_eq!(text(|out| pong(out, None)), r#"{"type":"pong"}"#);
    assert_eq!(
        text(|out| gap(out, "prices".into(), "e", 18, 40, "slow")),
        r#"{"type":"gap","channel":"prices","epoch":"e","from":18,"to":40,"reason":"slow"}"#
    );
    assert_eq!(
        text(|out| goodbye(out, "restart", 1700)),
        r#"{"type":"goodbye","reason":"restart","reconnect_after_ms":1700}"#
    );
}

#[test]
fn what_is_said_of_a_pattern_carries_it_in_place_of_a_channel() {
    let id = Some(Id(b"1"));
    let topic = Topic::pattern("prices.*");
    assert_eq!(
        text(|out| subscribed(out, id, topic, "e", 41, Some(false))),
        r#"{"type":"subscribed","id":1,"pattern":"prices.*","epoch":"e","seq":41,"recovered":false}"#
    );
    assert_eq!(
        text(|out| unsubscribed(out, id, topic)),
        r#"{"type":"unsubscribed","id":1,"pattern":"prices.*"}"#
    );
    assert_eq!(
        text(|out| gap(out, topic, "e", 18, 40, "slow")),
        r#"{"type":"gap","pattern":"prices.*","epoch":"e","from":18,"to":40,"reason":"slow"}"#
    );
    let reply = ErrorReply {
        id,
        topic: Some(Topic::pattern("a\"b.>")),
        ..ErrorReply::new(ErrorCode::NotSubscribed, "no")
    };
    assert_eq!(
        text(|out| error(out, &reply)),
        r#"{"type":"error","id":1,"pattern":"a\"b.>","code":"not_subscribed","message":"no"}"#
    );
}

#[test]
fn a_publication_that_an_earlier_request_made_is_a_duplicate() {
    assert_eq!(
        text(|out| published(out, Some(Id(b"1")), "prices", "e", 42, true)),
        r#"{"type":"published","id":1,"channel":"prices","epoch":"e","seq":42,"duplicate":true}"#
    );
}

#[test]
fn each_message_is_written_as_the_protocol_shows_it() {
    let message = |place, encoding, raw: &[u8]| {
        text(|out| MessageFrame::new("prices.oak", Data { encoding, raw }).write_text(place, out))
    };
    let channel = Place::Channel { seq: 42 };
    let pattern = Place::Pattern {
        pattern: "prices.*",
        seq: 42,
        channel_seq: 17,
    };
    for (written, expected) in [
        (
            message(channel, Encoding::Json, b"0.10"),
            r#"{"type":"message","channel":"prices.oak","seq":42,"data":0.10}"#,
        ),
        (
            message(channel, Encoding::Text, br#""\u0041""#),
            r#"{"type":"message","channel":"prices.oak","seq":42,"encoding":"text","data":"\u0041"}"#,
        ),
        (
            message(pattern, Encoding::Json, b"0.10"),
            r#"{"type":"message","pattern":"prices.*","seq":42,"channel":"prices.oak","channel_seq":17,"data":0.10}"#,
        ),
        (
            message(pattern, Encoding::Base64, br#""AP8=""#),
            r#"{"type":"message","pattern":"prices.*","seq":42,"channel":"prices.oak","channel_seq":17,"encoding":"base64","data":"AP8="}"#,
        ),
    ] {
        assert_eq!(written, expected);
    }
}

#[test]
fn an_error_leaves_out_what_is_not_known() {
    let reply = ErrorReply::new(ErrorCode::BadJson, "no");
    assert_eq!(
        text(|out| error(out, &reply)),
        r#"{"type":"error","code":"bad_json","message":"no"}"#
    );
    let reply = ErrorReply {
        id: Some(Id(b"3")),
        topic: Some("prices".into()),
        offset: Some(0),
        retry_after_ms: Some(250),
        ..ErrorReply::new(ErrorCode::Forbidden, "say \"please\"")
    };
    assert_eq!(
        text(|out| error(out, &reply)),
        r#"{"type":"error","id":3,"channel":"prices","code":"forbidden","message":"say \"please\"","offset":0,"retry_after_ms":250}"#
    );
}

#[test]
fn each_request_is_written_as_the_protocol_shows_it() {
    let since = Start::Since {
        epoch: "e\"",
        seq: 17,
    };
    for (written, expected) in [
        (
            text(|out| request::subscribe(out, Some(1), "prices", &Start::Live)),
            r#"{"type":"subscribe","id":1,"channel":"prices"}"#,
        ),
        (
            text(|out| request::subscribe(out, None, "prices", &since)),
            r#"{"type":"subscribe","channel":"prices","since":{"epoch":"e\"","seq":17}}"#,
        ),
        (
            text(|out| request::subscribe(out, None, "prices", &Start::Last(3))),
            r#"{"type":"subscribe","channel":"prices","last":3}"#,
        ),
        (
            text(|out| request::unsubscribe(out, Some(2), "prices")),
            r#"{"type":"unsubscribe","id":2,"channel":"prices"}"#,
        ),
        (
            text(|out| request::publish(out, Some(3), "a\\b", Data::json(b"[0.10]"), None)),
            r#"{"type":"publish","id":3,"channel":"a\\b","data":[0.10]}"#,
        ),
        (
            text(|out| request::auth(out, Some(4), "t")),
            r#"{"type":"auth","id":4,"token":"t"}"#,
        ),
        (
            text(|out| request::ping(out, Some(5))),
            r#"{"type":"ping","id":5}"#,
        ),
        (text(|out| request::ping(out, None)), r#"{"type":"ping"}"#),
    ] {
        assert_eq!(written, expected);
    }
}

#[test]
fn strings_are_escaped_as_json_demands_and_no_further() {
    let all: String = (0..=0x2FF).filter_map(char::from_u32).collect();
    for original in [
        all.as_str(),
        "",
        "\"",
        "\\",
        "a\"b\\c",
        "\0",
        "\u{2028}💩\u{10ffff}",
        "\n\n",
    ] {
        let quoted = text(|out| string(out, original));
        assert_eq!(serde_json::from_str::<String>(&quoted).unwrap(), original);
        assert_eq!(quoted.len(), quoted_len(original));
    }
    assert_eq!(
        text(|out| string(out, "/é\u{7f}\u{1f}\"")),
        "\"/é\u{7f}\\u001f\\\"\""
    );
    assert_eq!(
        text(|out| string(out, "\n\r\t\u{8}\u{c}\\\u{b}")),
        r#""\n\r\t\b\f\\\u000b""#
    );
}

#[test]
fn a_frame_has_the_length_it_says_and_the_shortest_header() {
    let mut seqs: Vec<u64> = vec![0, 1, u64::MAX];
    seqs.extend((0..19).flat_map(|power| [10u64.pow(power) - 1, 10u64.pow(power)]));
    for channel in ["a", "é", "a\"\\b", &"x".repeat(255)] {
        for data_len in [1, 70, 71, 72, 73, 74, 75, 76, 300, 65_400, 65_500, 70_000] {
            let data = "1".repeat(data_len);
            for &seq in &seqs {
                let frame = MessageFrame::new(channel, Data::json(data.as_bytes()));
                let mut out = Vec::new();
                frame.write(Place::Channel { seq }, &mut out);
                assert_eq!(out.len(), frame.len(Place::Channel { seq }));
                assert_eq!(out[0], 0x81);
                let (len, payload) = match out[1] {
                    127 => {
                        let len = u64::from_be_bytes(out[2..10].try_into().unwrap());
                        assert!(len > 0xFFFF);
                        (len as usize, &out[10..])
                    }
                    126 => {
                        let len = u16::from_be_bytes(out[2..4].try_into().unwrap());
                        assert!(len > 125);
                        (usize::from(len), &out[4..])
                    }
                    len => (usize::from(len), &out[2..]),
                };
                assert_eq!(len, payload.len());
                let quoted = serde_json::to_string(channel).unwrap();
                let expected =
                    format!(r#"{{"type":"message","channel":{quoted},"seq":{seq},"data":{data}}}"#);
                assert!(payload == expected.as_bytes(), "{expected}");
                let parts = read_frame(&out).expect("a frame of ours");
                assert_eq!((&*parts.channel, parts.seq), (channel, seq));
                assert!(parts.payload == Payload::Json(data.as_bytes()));
            }
        }
    }
}

#[test]
fn nothing_is_read_from_a_frame_that_is_not_a_message() {
    let mut whole = Vec::new();
    MessageFrame::new("a", Data::json(b"1")).write(Place::Channel { seq: 7 }, &mut whole);
    for end in 0..whole.len() {
        assert_eq!(read_frame(&whole[..end]), None);
    }
    assert_eq!(read_frame(b"\x81\x02{}"), None);
    // The dialect's other messages, and base64 that is none.
    for other in [
        r#"{"type":"pong"}"#,
        r#"{"type":"message","channel":"a","seq":,"data":1}"#,
        r#"{"type":"message","channel":"a","seq":99999999999999999999,"data":1}"#,
        r#"{"type":"message","channel":"a,"seq":7,"data":1}"#,
        r#"{"type":"message","channel":"a\","seq":7,"data":1}"#,
        r#"{"type":"message","pattern":"*","seq":7,"channel":"a","data":1}"#,
        r#"{"type":"message","channel":"a","seq":7,"encoding":"hex","data":"00"}"#,
        r#"{"type":"message","channel":"a","seq":7,"encoding":"base64","data":"0"}"#,
        r#"{"type":"message","channel":"a","seq":7,"encoding":"text","data":0}"#,
    ] {
        let mut frame = Vec::new();
        write_header(&mut frame, true, false, Opcode::Text, other.len(), None);
        frame.extend_from_slice(other.as_bytes());
        assert_eq!(read_frame(&frame), None, "{other}");
    }
}

/// What stands in a message, owned: the channel, the pattern if it is one's, the numbers, and the data.
type Written = (String, Option<String>, u64, u64, Encoding, Vec<u8>);

/// Names and patterns with characters that need escapes, and payloads of all encodings.
fn written() -> impl Strategy<Value = Written> {
    let name = || {
        prop_oneof![
            "[a-z]{1,5}(\\.[a-z]{1,5}){0,3}",
            "[\"\\\\{}:,é日💩a.]{1,255}",
            "\\PC{1,9}"
        ]
    };
    let seq = || prop_oneof![0..1000u64, 0..=MAX_WHOLE_NUMBER];
    let data = prop_oneof![
        vec(any::<u8>(), 0..200),
        "\\PC{0,80}".prop_map(String::into_bytes),
        Just(br#"{"data":{"a":[{}]}}"#.to_vec()),
    ]
    .prop_map(|payload| {
        let mut room = Vec::new();
        let data = Data::of_bytes(&payload, &mut room);
        (data.encoding, data.raw.to_vec())
    });
    (name(), prop::option::of(name()), seq(), seq(), data).prop_map(
        |(channel, pattern, seq, channel_seq, (encoding, raw))| {
            (channel, pattern, seq, channel_seq, encoding, raw)
        },
    )
}

fn frame_of((channel, pattern, seq, channel_seq, encoding, raw): &Written) -> Vec<u8> {
    let data = Data {
        encoding: *encoding,
        raw,
    };
    let place = match pattern {
        None => Place::Channel { seq: *seq },
        Some(pattern) => Place::Pattern {
            pattern,
            seq: *seq,
            channel_seq: *channel_seq,
        },
    };
    let frame = MessageFrame::new(channel, data);
    let mut out = Vec::new();
    frame.write(place, &mut out);
    assert_eq!(out.len(), frame.len(place));
    out
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_frame_says_what_was_written_and_others_parse_it_so(written in written()) {
        let frame = frame_of(&written);
        let (channel, pattern, seq, channel_seq, encoding, raw) = written;
        let number = if pattern.is_some() { channel_seq } else { seq };
        let payload = Data { encoding, raw: &raw }.payload().expect("good data");
        let parts = read_frame(&frame).expect("a frame of ours");
        prop_assert_eq!(&parts, &Parts { channel: channel.as_str().into(), seq: number, payload });
        let (_, header_len) = parse_header(&frame).unwrap().unwrap();
        let text = &frame[header_len..];
        let message: serde_json::Value = serde_json::from_slice(text).expect("JSON");
        prop_assert_eq!(&message["channel"], &channel);
        prop_assert_eq!(&message["seq"], seq);
        let written = pattern.clone().map(Into::into);
        prop_assert_eq!(message.get("pattern"), written.as_ref());
        let channel_seq = pattern.map(|_| channel_seq.into());
        prop_assert_eq!(message.get("channel_seq"), channel_seq.as_ref());
        let encoding = encoding.as_str().map(Into::into);
        prop_assert_eq!(message.get("encoding"), encoding.as_ref());
        let data: serde_json::Value = serde_json::from_slice(&raw).expect("JSON");
        prop_assert_eq!(&message["data"], &data);
    }

    #[test]
    fn nothing_is_read_from_a_part_of_a_frame(written in written()) {
        let frame = frame_of(&written);
        for end in 0..frame.len() {
            prop_assert_eq!(read_frame(&frame[..end]), None);
        }
        let behind = [&frame[..], b"}"].concat();
        prop_assert_eq!(read_frame(&behind), None);
    }

    #[test]
    fn whatever_is_no_frame_of_ours_is_read_without_a_panic(
        written in written(),
        spoilt in vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..8),
        garbage in vec(any::<u8>(), 0..100),
    ) {
        drop(read_frame(&garbage));
        let mut frame = frame_of(&written);
        for (at, byte, telling) in spoilt {
            let byte = if telling { b"\"\\{},:u0"[usize::from(byte) % 8] } else { byte };
            let at = at.index(frame.len());
            frame[at] = byte;
            drop(read_frame(&frame));
        }
        // The same, with a header that says its length.
        let mut whole = Vec::new();
        write_header(&mut whole, true, false, Opcode::Text, garbage.len() + MESSAGE.len(), None);
        whole.extend_from_slice(MESSAGE);
        whole.extend_from_slice(&garbage);
        drop(read_frame(&whole));
    }
}
