//! What bytes become, and that they are the same behind it.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::channel::name::MAX_BYTES;
use crate::dialect::json::encode::MessageFrame;
use crate::dialect::json::{Command, Decoder, MAX_DEPTH, MAX_WHOLE_NUMBER, request};
use crate::hub::Place;

fn bytes_of(payload: &Payload<'_>) -> Vec<u8> {
    match payload {
        Payload::Json(json) => json.to_vec(),
        Payload::Text(text) => text.as_bytes().to_vec(),
        Payload::Bytes(bytes) => bytes.to_vec(),
    }
}

/// The encoding of these bytes, and `data`.
fn data_of(payload: &[u8]) -> (Encoding, String) {
    let mut room = b"of the one before".to_vec();
    let data = Data::of_bytes(payload, &mut room);
    (data.encoding, String::from_utf8(data.raw.to_vec()).unwrap())
}

#[test]
fn json_is_verbatim_a_text_is_a_string_and_all_else_is_base64() {
    use Encoding::{Base64, Json, Text};
    let deep = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    let (deepest, deeper) = (deep(MAX_DEPTH - 1), deep(MAX_DEPTH));
    let table: [(&[u8], Encoding, &str); 22] = [
        (b"0.10", Json, "0.10"),
        (br#"{"a": [1 ,2]}"#, Json, r#"{"a": [1 ,2]}"#),
        (br#""\u0041""#, Json, r#""\u0041""#),
        (b"null", Json, "null"),
        (deepest.as_bytes(), Json, &deepest),
        (b"", Text, r#""""#),
        (b" 1", Text, r#"" 1""#),
        (b"[1,2]\n", Text, r#""[1,2]\n""#),
        (b"1e999", Text, r#""1e999""#),
        (deeper.as_bytes(), Text, &format!("\"{deeper}\"")),
        (b"nil", Text, r#""nil""#),
        ("größe 🎺".as_bytes(), Text, r#""größe 🎺""#),
        ("\u{feff}1".as_bytes(), Text, "\"\u{feff}1\""),
        (b"a/\t\x7f", Text, "\"a/\\t\x7f\""),
        (b"say \"no\"", Text, r#""say \"no\"""#),
        // An escape of two bytes for one of three is as long as base64.
        (b"a\"b", Text, r#""a\"b""#),
        (b"\"\"b", Base64, r#""IiJi""#),
        (b"abc\x01", Base64, r#""YWJjAQ==""#),
        (b"text\0", Base64, r#""dGV4dAA=""#),
        (b"\0", Base64, r#""AA==""#),
        (b"\xff\xfe", Base64, r#""//4=""#),
        (b"\"\xff\"", Base64, r#""Iv8i""#),
    ];
    for (payload, encoding, data) in table {
        let shown = String::from_utf8_lossy(payload);
        assert_eq!(data_of(payload), (encoding, data.to_owned()), "{shown}");
    }
}

#[test]
fn data_that_is_not_what_its_encoding_wants_has_no_payload() {
    let table: [(Encoding, &[u8]); 9] = [
        (Encoding::Text, b"1"),
        (Encoding::Text, b"\""),
        (Encoding::Text, b""),
        (Encoding::Text, b"\"\xff\""),
        (Encoding::Base64, b"1"),
        (Encoding::Base64, b"\"A\""),
        (Encoding::Base64, b"\"AB==\""),
        (Encoding::Base64, b"\"AA\""),
        (Encoding::Base64, b"null"),
    ];
    for (encoding, raw) in table {
        let shown = String::from_utf8_lossy(raw);
        assert_eq!(Data { encoding, raw }.payload(), None, "{shown}");
    }
}

/// Characters of all kinds, those that need escapes above all.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[ -~]{0,12}",
        2 => "[\\x00-\\x1f\"\\\\/\\x7f]{1,3}",
        2 => "\\PC{0,6}",
        1 => any::<String>(),
    ];
    vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

/// JSON, with white space around it or none.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,5})?([eE][-+]?[0-9]{1,3})?",
        text().prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just(r#""\u0041\/\ud83d\udca9""#.to_owned()),
    ];
    let tree = leaf.prop_recursive(4, 20, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(|values| format!("[{}]", values.join(" ,"))),
            vec(inner, 0..4).prop_map(|values| {
                let members = values.iter().map(|value| format!("\"k\":{value}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    });
    let white = || prop_oneof![3 => Just(String::new()), 1 => "[ \t\r\n]{1,3}"];
    (white(), tree, white()).prop_map(|(before, tree, behind)| before + &tree + &behind)
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        vec(any::<u8>(), 0..300),
        text().prop_map(String::into_bytes),
        json().prop_map(String::into_bytes),
    ]
}

/// Names of channels and patterns, the longest on the wire among them.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{1,255}",
        "[\"\\\\]{1,255}",
        Just("\"".repeat(MAX_BYTES)),
    ]
}

/// What `docs/protocol.md` promises at `max_message`, in bytes: 1.25 KiB.
const MAX_ENVELOPE: usize = 1_280;

/// The messages with `data` for those who read the channel and for those who read the pattern, with the longest numbers.
fn all_that_is_sent(channel: &str, pattern: &str, data: Data<'_>) -> [Vec<u8>; 2] {
    let seq = MAX_WHOLE_NUMBER;
    let channel_seq = MAX_WHOLE_NUMBER;
    let in_pattern = Place::Pattern {
        pattern,
        seq,
        channel_seq,
    };
    [Place::Channel { seq }, in_pattern].map(|place| {
        let mut sent = Vec::new();
        MessageFrame::new(channel, data).write_text(place, &mut sent);
        sent
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_come_back_unchanged(payload in payload()) {
        let mut room = Vec::new();
        let data = Data::of_bytes(&payload, &mut room);
        prop_assert_eq!(bytes_of(&data.payload().expect("good data")), payload);
    }

    #[test]
    fn what_bytes_become_is_good_data_in_a_publish(payload in payload()) {
        let mut room = Vec::new();
        let data = Data::of_bytes(&payload, &mut room);
        let mut message = br#"{"type":"publish","channel":"c""#.to_vec();
        if let Some(encoding) = data.encoding.as_str() {
            message.extend_from_slice(format!(r#","encoding":"{encoding}""#).as_bytes());
        }
        message.extend_from_slice(b",\"data\":");
        message.extend_from_slice(data.raw);
        message.push(b'}');
        let mut decoder = Decoder::new();
        let request = decoder.decode(&mut message).expect("a good publish");
        let Command::Publish { data: read, .. } = request.command else {
            panic!("{request:?}");
        };
        prop_assert_eq!(read, data);
    }

    #[test]
    fn what_is_sent_of_bytes_is_longer_by_a_third_and_an_envelope_at_most(
        payload in payload(),
        channel in name(),
        pattern in name(),
    ) {
        let mut room = Vec::new();
        let data = Data::of_bytes(&payload, &mut room);
        for sent in all_that_is_sent(&channel, &pattern, data) {
            prop_assert!(3 * sent.len() <= 4 * payload.len() + 3 * MAX_ENVELOPE);
        }
    }

    #[test]
    fn what_is_sent_of_a_request_is_longer_by_an_envelope_at_most(
        payload in payload(),
        channel in name(),
        pattern in name(),
    ) {
        let mut room = Vec::new();
        let data = Data::of_bytes(&payload, &mut room);
        let mut request = Vec::new();
        request::publish(&mut request, None, &channel, data, None);
        for sent in all_that_is_sent(&channel, &pattern, data) {
            prop_assert!(sent.len() <= request.len() + MAX_ENVELOPE);
        }
    }

    #[test]
    fn what_is_sent_of_json_is_longer_by_an_envelope_at_most(
        json in json(),
        channel in name(),
        pattern in name(),
    ) {
        for sent in all_that_is_sent(&channel, &pattern, Data::json(json.as_bytes())) {
            prop_assert!(sent.len() <= json.len() + MAX_ENVELOPE);
        }
    }
}

#[test]
fn the_longest_names_need_more_than_one_kib_of_envelope() {
    let longest = "\"".repeat(MAX_BYTES);
    let mut room = Vec::new();
    let data = Data::of_bytes(b"\0", &mut room);
    let [in_channel, in_pattern] = all_that_is_sent(&longest, &longest, data);
    assert!(in_channel.len() < 1_024);
    assert!((1_024..=MAX_ENVELOPE).contains(&in_pattern.len()));
}
