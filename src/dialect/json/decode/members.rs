//! The members of the features: `pattern`, `encoding` and `key`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::collection::vec;
use proptest::prelude::*;

use super::refusals::given_back;
use super::tests::{Verdict, bad_json, decode, published, refused, text};
use crate::dialect::json::Encoding;

/// What a publication with these members, JSON text, is read as: the encoding, the data as it stands, and the key.
fn special(members: &str) -> (Encoding, String, Option<String>) {
    let message = format!(r#"{{"type":"publish","channel":"c",{members}}}"#);
    match decode(&message) {
        Verdict::Special(encoding, data, key) => (encoding, data, key),
        other => panic!("{message}: {other:?}"),
    }
}

/// Why a publication with these members is a bad request.
fn complaint(members: &str) -> String {
    let message = format!(r#"{{"type":"publish","id":1,"channel":"c",{members}}}"#);
    let (code, complaint) = refused(&message);
    assert_eq!(code, "bad_request", "{message}");
    assert_eq!(given_back(&message), (text("1"), text("c")), "{message}");
    complaint
}

#[test]
fn a_pattern_stands_in_place_of_a_channel() {
    let longest = format!("*.{}", "x".repeat(253));
    for (written, pattern) in [
        ("prices.*", "prices.*"),
        (">", ">"),
        ("*.oak.>", "*.oak.>"),
        ("prices.oak", "prices.oak"),
        (r"\u0070rices.\u002a", "prices.*"),
        (r#"gr\u00f6\u00dfe.\"\\.*"#, "größe.\"\\.*"),
        ("a.$b", "a.$b"),
        (&longest, &longest),
    ] {
        for start in ["Live", "Last(3)", r#"Since { epoch: "e", seq: 2 }"#] {
            let member = match start {
                "Live" => "",
                "Last(3)" => r#","last":3"#,
                _ => r#","since":{"epoch":"e","seq":2}"#,
            };
            let message = format!(r#"{{"type":"subscribe","id":1,"pattern":"{written}"{member}}}"#);
            let command =
                format!("Subscribe {{ topic: Pattern(Parts, {pattern:?}), start: {start} }}");
            assert_eq!(
                decode(&message),
                Verdict::Request(text("1"), command),
                "{message}"
            );
        }
        let message = format!(r#"{{"pattern":"{written}","type":"unsubscribe"}}"#);
        let command = format!("Unsubscribe {{ topic: Pattern(Parts, {pattern:?}) }}");
        assert_eq!(
            decode(&message),
            Verdict::Request(None, command),
            "{message}"
        );
    }
}

#[test]
fn what_is_no_pattern_is_refused_with_the_reason_and_not_repeated() {
    let long = "x".repeat(256);
    let escapes = r"\u0078".repeat(256);
    for (pattern, why) in [
        ("", "1 to 255 bytes"),
        (&long, "1 to 255 bytes"),
        (&escapes, "1 to 255 bytes"),
        ("a..b", "empty part"),
        (">.a", "last part"),
        ("a*", "whole part"),
        (r"\u003e\u003e", "whole part"),
        ("a.+", "`+`"),
        ("a.#", "`#`"),
        (r"a\/*", "`/`"),
        ("a b", "white space"),
        (r"a\n", "control characters"),
        ("$system.*", "begin with `$`"),
        (r"\u0024", "begin with `$`"),
    ] {
        for kind in ["subscribe", "unsubscribe"] {
            let message = format!(r#"{{"type":"{kind}","id":1,"pattern":"{pattern}"}}"#);
            let (code, told) = refused(&message);
            assert_eq!(code, "bad_pattern", "{message}");
            assert!(told.contains(why), "{message}: {told}");
            assert_eq!(given_back(&message), (text("1"), None), "{message}");
        }
    }
}

#[test]
fn a_pattern_that_is_no_string_stands_twice_or_beside_a_channel_is_a_bad_request() {
    for (members, why) in [
        (r#""pattern":1"#, "`pattern` must be a string"),
        (r#""pattern":null"#, "`pattern` must be a string"),
        (r#""pattern":["a"]"#, "`pattern` must be a string"),
        (
            r#""pattern":"a","p\u0061ttern":"a""#,
            "`pattern` stands twice",
        ),
        (
            r#""pattern":"a","channel":"a""#,
            "`channel` and `pattern` exclude each other",
        ),
        (
            r#""channel":"a b","pattern":1"#,
            "`channel` and `pattern` exclude each other",
        ),
        (r#""topic":"a""#, "`channel` or `pattern` is missing"),
    ] {
        for kind in ["subscribe", "unsubscribe"] {
            let message = format!(r#"{{"type":"{kind}","id":1,{members}}}"#);
            assert_eq!(
                refused(&message),
                ("bad_request", why.to_owned()),
                "{message}"
            );
            assert_eq!(given_back(&message), (text("1"), None), "{message}");
        }
    }
}

#[test]
fn the_pattern_comes_back_whatever_else_is_wrong() {
    for (message, topic) in [
        (
            r#"{"type":"subscribe","pattern":"a.*","last":"x"}"#,
            text("pattern a.*"),
        ),
        (
            r#"{"type":"subscribe","pattern":"a.*","id":-1}"#,
            text("pattern a.*"),
        ),
        (
            r#"{"type":"dance","pattern":"a.\u002a"}"#,
            text("pattern a.*"),
        ),
        (r#"{"type":"dance","pattern":"a.*","channel":"b"}"#, None),
        (r#"{"pattern":"a.*"}"#, text("pattern a.*")),
        (r#"{"type":"ping","pattern":"a.*","id":-1}"#, None),
        (r#"{"type":"publish","pattern":"a.*"}"#, None),
        (
            r#"{"type":"publish","pattern":"a.*","channel":"b"}"#,
            text("b"),
        ),
    ] {
        assert_eq!(given_back(message).1, topic, "{message}");
    }
}

#[test]
fn members_of_other_requests_are_ignored() {
    for (message, command) in [
        (
            r#"{"type":"ping","pattern":1,"pattern":2,"encoding":1,"key":[],"key":{}}"#,
            "Ping",
        ),
        (
            r#"{"type":"subscribe","channel":"a","encoding":"hex","encoding":1,"key":"","key":1}"#,
            r#"Subscribe { topic: Channel("a"), start: Live }"#,
        ),
        (
            r#"{"type":"unsubscribe","pattern":"*","encoding":"base64","data":"!","key":""}"#,
            r#"Unsubscribe { topic: Pattern(Parts, "*") }"#,
        ),
        (
            r#"{"type":"ping","encodings":1,"encodin":2,"xencoding":3,"encoding\n":4,"keys":5,"ke":6}"#,
            "Ping",
        ),
    ] {
        let expected = Verdict::Request(None, command.into());
        assert_eq!(decode(message), expected, "{message}");
    }
    for other in [
        r#""pattern":"a*""#,
        r#""pattern":1,"pattern":2"#,
        r#""encodings":"hex","encoding2":1,"\u0065ncodin":2,"keys":1"#,
        r#""since":{"encoding":1,"key":2,"pattern":3}"#,
    ] {
        let message = format!(r#"{{"type":"publish",{other},"channel":"c","data":[1]}}"#);
        assert_eq!(published(&message), b"[1]", "{message}");
    }
}

#[test]
fn a_text_is_relayed_as_it_was_written() {
    for data in [
        r#""""#,
        r#""plain""#,
        r#""\u0041\/\n\ud83d\udca9\u0000""#,
        "\"größe 💩\"",
        r#""YQ==""#,
    ] {
        let expected = (Encoding::Text, data.to_owned(), None);
        assert_eq!(
            special(&format!(r#""encoding":"text","data":{data}"#)),
            expected
        );
        assert_eq!(
            special(&format!(r#""data": {data} ,"encoding" : "t\u0065xt""#)),
            expected
        );
    }
}

#[test]
fn base64_is_relayed_without_escapes() {
    for (written, data) in [
        ("", ""),
        ("AA==", "AA=="),
        ("AAA=", "AAA="),
        ("AAAA", "AAAA"),
        ("+/9z", "+/9z"),
        (r"+\/9z", "+/9z"),
        (r"\/\/\/\/\/w==", "/////w=="),
        (
            r"\u0041\u002f\u003d\u003d".replace("002f", "0051").as_str(),
            "AQ==",
        ),
        (r"\u002B\u002FAA", "+/AA"),
    ] {
        let expected = (Encoding::Base64, format!("\"{data}\""), None);
        for members in [
            format!(r#""encoding":"base64","data":"{written}""#),
            format!(r#""data":"{written}","encoding":"base64""#),
            format!(r#""data" : "{written}" , "\u0065ncodin\u0067":"\u0062ase\u0036\u0034""#),
        ] {
            assert_eq!(special(&members), expected, "{members}");
        }
    }
}

#[test]
fn what_is_no_base64_is_a_bad_request() {
    for written in [
        "A",
        "AA",
        "AAA",
        "AA=",
        "AAA==",
        "A===",
        "====",
        "=",
        "AAAAA",
        "AB==",
        "AAB=",
        "AA==AA==",
        "A=AA",
        "AA=A",
        "AA-_",
        "AA A",
        "AAA=\\n",
        "AAAA\\n",
        "AAA\\\"",
        "AAA\\\\",
        "AAAé",
        "éé",
        r"\u00c3AAA",
        r"AAA\u0141",
        r"\ud83d\udca9",
        "AAA.",
        "AAA\u{7f}",
    ] {
        let told = complaint(&format!(r#""encoding":"base64","data":"{written}""#));
        assert!(
            told.starts_with("`data` must be base64"),
            "{written}: {told}"
        );
    }
    bad_json(r#"{"type":"publish","channel":"c","encoding":"base64","data":"\x"}"#);
}

#[test]
fn an_encoding_is_text_or_base64_and_has_a_string() {
    let which = "`encoding` must be \"text\" or \"base64\"";
    for encoding in [
        r#""json""#,
        r#""""#,
        r#""Text""#,
        r#""base64 ""#,
        r#""base64url""#,
        r#""text\u0000""#,
        "null",
        "1",
        r#"["text"]"#,
        r#"{"text":1}"#,
    ] {
        assert_eq!(
            complaint(&format!(r#""encoding":{encoding},"data":"AAAA""#)),
            which
        );
    }
    let twice = r#""encoding":"text","encoding":"text","data":"a""#;
    assert_eq!(complaint(twice), "`encoding` stands twice");
    assert_eq!(complaint(r#""encoding":"text""#), "`data` is missing");
    let twice = r#""encoding":"base64","data":"AAAA","data":"AAAA""#;
    assert_eq!(complaint(twice), "`data` stands twice");
    for data in ["1", "null", r#"["AAAA"]"#, r#"{"a":"AAAA"}"#] {
        for encoding in ["text", "base64"] {
            let told = complaint(&format!(r#""data":{data},"encoding":"{encoding}""#));
            assert_eq!(told, "`data` must be a string where `encoding` is given");
        }
    }
}

#[test]
fn a_key_is_a_string_of_1_to_64_bytes() {
    let (longest, escapes) = ("x".repeat(64), r"\u0078".repeat(64));
    let accented = "é".repeat(32);
    for (written, key) in [
        ("a", "a"),
        ("a-1", "a-1"),
        (r"\u0000", "\0"),
        (r"\ud83d\udca9\/\n", "💩/\n"),
        (&longest, &longest),
        (&escapes, &longest),
        (&accented, &accented),
    ] {
        let expected = (Encoding::Json, "[1]".to_owned(), text(key));
        for name in ["key", r"\u006bey", r"ke\u0079"] {
            let before = format!(r#""{name}":"{written}","data":[1]"#);
            assert_eq!(special(&before), expected, "{before}");
            let behind = format!(r#""data": [1] ,"{name}" : "{written}""#);
            assert_eq!(special(&behind), expected, "{behind}");
        }
    }
    let all = special(r#""key":"k","encoding":"base64","data":"AA\u003d\u003d""#);
    assert_eq!(all, (Encoding::Base64, r#""AA==""#.into(), text("k")));
    let (long, escapes) = ("x".repeat(65), r"\u0078".repeat(65));
    let accented = "é".repeat(33);
    for key in ["", &long, &escapes, &accented].map(|key| format!("\"{key}\"")) {
        let told = complaint(&format!(r#""data":1,"key":{key}"#));
        assert_eq!(told, "`key` must be a string of 1 to 64 bytes", "{key}");
    }
    for key in ["1", "null", r#"["a"]"#] {
        let told = complaint(&format!(r#""data":1,"key":{key}"#));
        assert_eq!(told, "`key` must be a string of 1 to 64 bytes", "{key}");
    }
    assert_eq!(
        complaint(r#""data":1,"key":"a","key":"a""#),
        "`key` stands twice"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn base64_is_read_as_others_read_it(
        text in prop_oneof![
            vec(any::<u8>(), 0..40).prop_map(|bytes| STANDARD.encode(bytes)),
            "[A-Za-z0-9+/]{0,12}={0,3}",
            "([AQgw+/=]|[ -~]){0,9}",
        ],
        escapes in vec(0u8..6, 1..20),
    ) {
        let escape = |(character, escape): (char, &u8)| match (character, escape) {
            ('/', 0..3) => r"\/".to_owned(),
            ('"' | '\\', _) | (_, 0) => format!("\\u{:04x}", character as u32),
            _ => character.to_string(),
        };
        let written: String = text.chars().zip(escapes.iter().cycle()).map(escape).collect();
        let message =
            format!(r#"{{"type":"publish","channel":"c","data":"{written}","encoding":"base64"}}"#);
        let read = match decode(&message) {
            Verdict::Special(Encoding::Base64, data, None) => Some(data),
            Verdict::Refused { code: "bad_request", .. } => None,
            other => panic!("{message}: {other:?}"),
        };
        let expected = STANDARD.decode(&text).ok().map(|_| format!("\"{text}\""));
        prop_assert_eq!(read, expected, "{}", message);
    }
}
