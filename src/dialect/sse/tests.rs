//! What a stream says, and what a reader as the standard describes it makes of that.

use std::borrow::Cow;

use super::*;
use crate::hub::Reason;

/// What a reader dispatches, as the standard has it (§9.2.6): the type, the data, and the last id at that time.
type Dispatched = (String, String, String);

/// Reads a whole stream as a client does.
fn read(stream: &[u8]) -> Vec<Dispatched> {
    let text = String::from_utf8(stream.to_vec()).expect("a stream is UTF-8");
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let (mut kind, mut data, mut id) = (String::new(), String::new(), String::new());
    let mut events = Vec::new();
    for line in text.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" if line.is_empty() => {
                if let Some(data) = data.strip_suffix('\n') {
                    events.push((kind.clone(), data.to_owned(), id.clone()));
                }
                kind.clear();
                data.clear();
            }
            "event" => kind = value.to_owned(),
            "data" => {
                data.push_str(value);
                data.push('\n');
            }
            "id" => id = value.to_owned(),
            _ => {}
        }
    }
    events
}

fn parts(payload: Payload<'_>) -> Parts<'_> {
    Parts {
        channel: "a.b".into(),
        seq: 70,
        payload,
    }
}

fn of_channel(payload: Payload<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    message(&mut out, Topic::Channel("a.b"), "E", 7, &parts(payload));
    out
}

fn dispatched(kind: &str, data: &str) -> Vec<Dispatched> {
    vec![(kind.to_owned(), data.to_owned(), "E:7".to_owned())]
}

#[test]
fn json_is_an_event_of_the_default_type_with_its_place_as_id() {
    let bytes = of_channel(Payload::Json(br#"{"x":1}"#));
    assert_eq!(bytes, b"id: E:7\ndata: {\"x\":1}\n\n");
    assert_eq!(read(&bytes), dispatched("", r#"{"x":1}"#));
}

#[test]
fn each_line_break_of_json_begins_a_line_of_data_and_the_value_stays_the_same() {
    let bytes = of_channel(Payload::Json(b"{\r\n\"x\":\r1\n}"));
    assert_eq!(
        bytes,
        b"id: E:7\ndata: {\ndata: \"x\":\ndata: 1\ndata: }\n\n"
    );
    assert_eq!(read(&bytes), dispatched("", "{\n\"x\":\n1\n}"));
}

#[test]
fn a_text_comes_as_it_was_published_whatever_its_lines() {
    for text in ["", "\n", " two\nlines\n", "a:b", "\u{feff}id: 3"] {
        let bytes = of_channel(Payload::Text(text.into()));
        assert_eq!(read(&bytes), dispatched("text", text), "{text:?}");
    }
}

#[test]
fn a_text_with_a_carriage_return_comes_as_base64_since_the_format_would_change_it() {
    for text in ["a\rb", "a\r\nb", "\r"] {
        let bytes = of_channel(Payload::Text(text.into()));
        let encoded = STANDARD.encode(text);
        assert_eq!(read(&bytes), dispatched("base64", &encoded), "{text:?}");
    }
}

#[test]
fn bytes_come_as_base64() {
    for len in 0..5 {
        let payload = &[0xFF, 0, b'\n', b'\r', 1][..len];
        let bytes = of_channel(Payload::Bytes(Cow::Borrowed(payload)));
        let encoded = STANDARD.encode(payload);
        assert_eq!(read(&bytes), dispatched("base64", &encoded));
    }
}

#[test]
fn a_message_of_a_pattern_says_its_channel_and_has_its_place_in_the_patterns_log() {
    let cases = [
        (
            Payload::Json(b"[1,\n2]"),
            "",
            "{\"channel\":\"a.b\",\"data\":[1,\n2]}",
        ),
        (
            Payload::Text("a\r\"".into()),
            "text",
            r#"{"channel":"a.b","data":"a\r\""}"#,
        ),
        (
            Payload::Bytes(Cow::Borrowed(&[0, 1])),
            "base64",
            r#"{"channel":"a.b","data":"AAE="}"#,
        ),
    ];
    for (payload, kind, data) in cases {
        let mut out = Vec::new();
        message(&mut out, Topic::pattern("a.*"), "E", 7, &parts(payload));
        assert_eq!(read(&out), dispatched(kind, data));
    }
}

#[test]
fn a_gap_has_the_place_of_the_last_message_that_is_missing() {
    let mut out = Vec::new();
    let missing = Gap {
        topic: Topic::Channel("a.b"),
        epoch: "E",
        from: 3,
        to: 7,
        reason: Reason::Slow,
    };
    gap(&mut out, &missing);
    let data = r#"{"epoch":"E","from":3,"to":7,"reason":"slow"}"#;
    assert_eq!(read(&out), dispatched("gap", data));
}

#[test]
fn what_a_stream_begins_and_ends_with_is_no_event_but_sets_the_place() {
    let mut out = Vec::new();
    opening(&mut out, 1_500, Some(("E", 7)));
    keep_alive(&mut out);
    assert_eq!(out, b"retry: 1500\nid: E:7\n\n:\n\n");
    assert_eq!(read(&out), []);
    out.extend_from_slice(b"data: x\n\n");
    assert_eq!(read(&out), dispatched("", "x"));
    out.clear();
    opening(&mut out, 1_500, None);
    ending(&mut out, 20, "the server is going away");
    assert_eq!(
        out,
        b"retry: 1500\n\nretry: 20\n: the server is going away\n\n"
    );
}

#[test]
fn a_place_is_an_epoch_and_a_number() {
    assert_eq!(place("E:7"), Some(("E", 7)));
    assert_eq!(place("a:b:0"), Some(("a:b", 0)));
    for bad in [
        "",
        ":",
        "E",
        "E:",
        ":7",
        "E:-7",
        "E:+7",
        "E: 7",
        "E:99999999999999999999",
    ] {
        assert_eq!(place(bad), None, "{bad}");
    }
}
