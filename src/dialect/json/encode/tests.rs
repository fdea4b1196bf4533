//! The very bytes, since others parse them.

use super::*;
use crate::dialect::json::{ErrorCode, request};
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
        text(|out| subscribed(out, id, "prices", "e", 41, None)),
        r#"{"type":"subscribed","id":1,"channel":"prices","epoch":"e","seq":41}"#
    );
    assert_eq!(
        text(|out| subscribed(out, None, "prices", "e", 0, Some(true))),
        r#"{"type":"subscribed","channel":"prices","epoch":"e","seq":0,"recovered":true}"#
    );
    assert_eq!(
        text(|out| unsubscribed(out, id, "prices")),
        r#"{"type":"unsubscribed","id":1,"channel":"prices"}"#
    );
    assert_eq!(
        text(|out| published(out, id, "prices", "e", 42)),
        r#"{"type":"published","id":1,"channel":"prices","epoch":"e","seq":42}"#
    );
    assert_eq!(
        text(|out| pong(out, Some(Id(br#""\u0041""#)))),
        r#"{"type":"pong","id":"\u0041"}"#
    );
    assert_eq!(text(|out| pong(out, None)), r#"{"type":"pong"}"#);
    assert_eq!(
        text(|out| gap(out, "prices", "e", 18, 40, "slow")),
        r#"{"type":"gap","channel":"prices","epoch":"e","from":18,"to":40,"reason":"slow"}"#
    );
    assert_eq!(
        text(|out| goodbye(out, "restart", 1700)),
        r#"{"type":"goodbye","reason":"restart","reconnect_after_ms":1700}"#
    );
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
        channel: Some("prices"),
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
}
