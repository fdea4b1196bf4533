//! The decoder beside serde_json and simd-json, on publishes made of arbitrary JSON and on what is left
//! of them after mutations: the same verdict, and the same span of `data`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::value::RawValue;

use super::tests::{Verdict, decode};
use crate::dialect::json::Encoding;

/// What the protocol says of a message, as told by serde_json and a few plain loops.
fn expected(message: &[u8]) -> Expected {
    let Ok(text) = std::str::from_utf8(message) else {
        return Expected::NotUtf8;
    };
    if nesting(text) > 64 || !numbers_are_doubles(text) {
        return Expected::BadJson;
    }
    // Into a Value, since a RawValue skips over unpaired surrogates.
    let Ok(value) = serde_json::from_str::<serde_json::Value>(text) else {
        return Expected::BadJson;
    };
    let Some(object) = value.as_object() else {
        return Expected::Refused;
    };
    let members: Members<'_> = serde_json::from_str(text).expect("it is an object");
    let once = |key: &str| members.0.iter().filter(|(name, _)| name == key).count() < 2;
    let publish = object.get("type").and_then(|kind| kind.as_str()) == Some("publish");
    let id_is_good = object.get("id").is_none_or(|id| match id {
        serde_json::Value::String(text) => text.len() <= 64,
        serde_json::Value::Number(number) => {
            let digits = number.to_string();
            digits.bytes().all(|byte| byte.is_ascii_digit())
                && digits.parse().is_ok_and(|number: u64| number < 1 << 53)
        }
        _ => false,
    });
    // The channels made here are valid ones if they are strings.
    let channel = object.get("channel").and_then(|channel| channel.as_str());
    let data = members.0.iter().find(|(name, _)| name == "data");
    let known = ["type", "id", "channel", "data", "encoding", "key"];
    let (Some(channel), Some((_, data)), true, true, true) = (
        channel,
        data,
        publish,
        id_is_good,
        known.into_iter().all(once),
    ) else {
        return Expected::Refused;
    };
    if crate::channel::name::check(channel).is_err() {
        return Expected::Refused;
    }
    match special(object, data.get()) {
        None => Expected::Refused,
        Some((Encoding::Json, data, None)) => {
            Expected::Publish(channel.to_owned(), data.into_bytes())
        }
        Some((encoding, data, key)) => Expected::Special(encoding, data, key),
    }
}

/// The encoding, the data and the key of a publication, if all are good.
fn special(
    object: &serde_json::Map<String, serde_json::Value>,
    data: &str,
) -> Option<(Encoding, String, Option<String>)> {
    let key = match object.get("key") {
        None => None,
        Some(key) => {
            let key = key.as_str()?;
            Some((1..=64).contains(&key.len()).then(|| key.to_owned())?)
        }
    };
    let text = object.get("data").and_then(|data| data.as_str());
    let (encoding, data) = match object.get("encoding").map(|encoding| encoding.as_str()) {
        None => (Encoding::Json, data.to_owned()),
        Some(Some("text")) => (Encoding::Text, text.map(|_| data.to_owned())?),
        Some(Some("base64")) => {
            STANDARD.decode(text?).ok()?;
            (Encoding::Base64, format!("\"{}\"", text?))
        }
        Some(_) => return None,
    };
    Some((encoding, data, key))
}

#[derive(Debug, PartialEq)]
enum Expected {
    NotUtf8,
    BadJson,
    /// JSON, but not a publish.
    Refused,
    Publish(String, Vec<u8>),
    /// One with another encoding or a key.
    Special(Encoding, String, Option<String>),
}

fn told(message: &[u8]) -> Expected {
    match decode(message) {
        Verdict::NotUtf8 => Expected::NotUtf8,
        Verdict::Refused {
            code: "bad_json", ..
        } => Expected::BadJson,
        Verdict::Refused { .. } | Verdict::Request(..) => Expected::Refused,
        Verdict::Publish(_, channel, data) => Expected::Publish(channel, data),
        Verdict::Special(encoding, data, key) => Expected::Special(encoding, data, key),
    }
}

/// The members of an object in order, repeated ones too.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// Calls `look` for each byte outside strings, with the text from there.
fn outside_strings(text: &str, mut look: impl FnMut(u8, &str)) {
    let (mut inside, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match (inside, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => inside = !inside,
            (true, _) => {}
            (false, _) => look(byte, text.get(at..).unwrap_or_default()),
        }
    }
}

fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest) = (0usize, 0);
    outside_strings(text, |byte, _| match byte {
        b'{' | b'[' => {
            depth += 1;
            deepest = deepest.max(depth);
        }
        b'}' | b']' => depth = depth.saturating_sub(1),
        _ => {}
    });
    deepest
}

/// With `arbitrary_precision` serde_json takes numbers of any size.
fn numbers_are_doubles(text: &str) -> bool {
    let mut good = true;
    let mut within = false;
    outside_strings(text, |byte, rest| {
        let part = matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        if matches!(byte, b'0'..=b'9' | b'-') && !within {
            let end = rest
                .find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E'))
                .unwrap_or(rest.len());
            good &= rest[..end].parse().is_ok_and(f64::is_finite);
        }
        // The `e` of `true` begins no number.
        within = part && (within || matches!(byte, b'0'..=b'9' | b'-'));
    });
    good
}

fn white_space() -> BoxedStrategy<String> {
    prop_oneof![6 => Just(String::new()), 1 => "[ \t\r\n]{1,3}", 1 => " {0,140}"].boxed()
}

fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => "[a-z{}:,\\[\\] ]{0,8}",
        2 => "[^\u{0}-\u{1f}\"\\\\]{0,6}",
        1 => "x{20,90}",
        1 => Just(r"\u0041".to_owned()),
        1 => Just(r#"\""#.to_owned()),
        1 => Just(r"\\".to_owned()),
        1 => Just(r"\/\b\f\n\r\t".to_owned()),
        1 => Just(r"\ud83d\udca9".to_owned()),
        1 => "\\\\u[0-9a-fA-F]{4}",
    ];
    vec(piece, 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?(0|[1-9][0-9]{0,20})",
        "-?(0|[1-9][0-9]{0,5})\\.[0-9]{1,25}",
        "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,5})?[eE][-+]?[0-9]{1,3}",
        "[1-9][0-9]{300,320}",
        any::<f64>()
            .prop_filter("finite", |f| f.is_finite())
            .prop_map(|f| format!("{f:e}")),
        (0u64..20).prop_map(|n| ((1 << 53) - 10 + n).to_string()),
    ]
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        number(),
        number(),
        string(),
        string(),
    ];
    let tree = leaf.prop_recursive(6, 60, 6, |inner| {
        let spaced = (white_space(), inner, white_space())
            .prop_map(|(a, v, b)| a + &v + &b)
            .boxed();
        let member = (white_space(), string(), white_space(), spaced.clone())
            .prop_map(|(a, key, b, value)| format!("{a}{key}{b}:{value}"));
        prop_oneof![
            vec(spaced, 0..6).prop_map(|values| format!("[{}]", values.join(","))),
            vec(member, 0..5).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    });
    let deep = (58usize..68, tree.clone()).prop_map(|(levels, value): (usize, String)| {
        "[".repeat(levels) + &value + &"]".repeat(levels)
    });
    prop_oneof![20 => tree, 1 => deep]
}

/// A publish, or nearly one: members in any order, some twice, some missing.
fn message() -> impl Strategy<Value = String> {
    let usual = |key: &'static str, value: BoxedStrategy<String>| {
        let key = prop_oneof![9 => Just(format!("\"{key}\"")), 1 => Just(escape_first(key))];
        (key, value).boxed()
    };
    let kind = prop_oneof![30 => Just(r#""publish""#.to_owned()), 1 => value(), 1 => Just(r#""p\u0075blish""#.to_owned())];
    let channel = prop_oneof![20 => Just(r#""a.b""#.to_owned()), 2 => Just(r#""\u0061\"b""#.to_owned()), 1 => value()];
    let id = prop_oneof![1 => value(), 3 => (0..1u64 << 54).prop_map(|n| n.to_string()), 3 => "\"[a-z\u{e9}]{0,70}\""];
    let base64 = vec(any::<u8>(), 0..30).prop_map(|bytes| {
        let text = STANDARD.encode(&bytes);
        // As many programs write it, and as some do.
        let text = if bytes.len() % 2 == 0 {
            text.replace('/', r"\/")
        } else {
            text
        };
        format!("\"{text}\"")
    });
    let data = || prop_oneof![3 => value(), 1 => base64.clone()].boxed();
    let encoding = prop_oneof![
        4 => Just(r#""base64""#.to_owned()),
        2 => Just(r#""text""#.to_owned()),
        1 => Just(r#""\u0062ase64""#.to_owned()),
        1 => value(),
    ];
    let key = prop_oneof![3 => "\"[a-z\u{e9}]{0,70}\"", 1 => string(), 1 => value()];
    let certain = (
        usual("type", kind.boxed()),
        usual("channel", channel.boxed()),
        usual("data", data()),
    );
    let other = prop_oneof![
        4 => (string(), value()).boxed(),
        2 => usual("id", id.boxed()),
        1 => usual("data", data()),
        3 => usual("encoding", encoding.boxed()),
        2 => usual("key", key.boxed()),
        1 => usual("pattern", value().boxed()),
    ];
    (certain, vec(other, 0..4), vec(white_space(), 32))
        .prop_flat_map(|((kind, channel, data), mut members, spaces)| {
            members.extend([kind, channel, data]);
            (Just(members).prop_shuffle(), Just(spaces))
        })
        .prop_map(|(members, spaces)| {
            let mut spaces = spaces.iter().map(String::as_str).cycle();
            let mut space = || spaces.next().unwrap_or_default();
            let members: Vec<String> = members
                .iter()
                .map(|(key, value)| {
                    let (a, b, c, d) = (space(), space(), space(), space());
                    format!("{a}{key}{b}:{c}{value}{d}")
                })
                .collect();
            format!("{}{{{}}}{}", space(), members.join(","), space())
        })
}

/// The key with its first letter escaped.
fn escape_first(key: &str) -> String {
    let (first, rest) = key.split_at(1);
    format!("\"\\u{:04x}{rest}\"", first.as_bytes()[0])
}

/// A change somewhere: a byte replaced, put in or taken out, or the rest cut off.
#[derive(Clone, Debug)]
enum Mutation {
    Replace(u8),
    Insert(u8),
    Remove,
    Cut,
    Repeat(usize),
}

fn mutation() -> impl Strategy<Value = (prop::sample::Index, Mutation)> {
    let telling = prop::sample::select(
        &b"\"\\{}[]:,0123456789eE+-. tfnu\t\n\x00\x0c\x1f\x7f\x80\xbf\xc3\xe2\xed\xf0\xff"[..],
    );
    let byte = prop_oneof![4 => telling, 1 => any::<u8>()];
    let change = prop_oneof![
        4 => byte.clone().prop_map(Mutation::Replace),
        4 => byte.prop_map(Mutation::Insert),
        4 => Just(Mutation::Remove),
        1 => Just(Mutation::Cut),
        1 => (1usize..20).prop_map(Mutation::Repeat),
    ];
    (any::<prop::sample::Index>(), change)
}

fn mutate(message: &mut Vec<u8>, (place, mutation): (prop::sample::Index, Mutation)) {
    let at = place.index(message.len() + 1);
    match mutation {
        Mutation::Insert(byte) => message.insert(at, byte),
        Mutation::Cut => message.truncate(at),
        Mutation::Repeat(len) => {
            let piece = message[at..message.len().min(at + len)].to_vec();
            message.splice(at..at, piece);
        }
        Mutation::Replace(_) | Mutation::Remove if at == message.len() => {}
        Mutation::Replace(byte) => message[at] = byte,
        Mutation::Remove => {
            message.remove(at);
        }
    }
}

proptest! {
    // As many cases as PROPTEST_CASES says, by default 256.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_publish_is_read_as_serde_json_reads_it(message in message()) {
        prop_assert_eq!(told(message.as_bytes()), expected(message.as_bytes()));
    }

    #[test]
    fn a_spoilt_publish_is_judged_as_serde_json_judges_it(
        message in message(),
        mutations in vec(mutation(), 1..4),
    ) {
        let mut message = message.into_bytes();
        for mutation in mutations {
            mutate(&mut message, mutation);
        }
        prop_assert_eq!(told(&message), expected(&message), "{}", String::from_utf8_lossy(&message));
    }

    #[test]
    fn simd_json_agrees_on_what_is_json(
        message in message(),
        mutations in vec(mutation(), 0..3),
    ) {
        let mut message = message.into_bytes();
        for mutation in mutations {
            mutate(&mut message, mutation);
        }
        let mut room = message.clone();
        let mut buffers = simd_json::Buffers::with_max_depth(0, 64);
        let mut tape = simd_json::Tape::null().reset();
        let theirs = simd_json::fill_tape(&mut room, &mut buffers, &mut tape).is_ok();
        let ours = !matches!(told(&message), Expected::NotUtf8 | Expected::BadJson);
        prop_assert_eq!(ours, theirs, "{}", String::from_utf8_lossy(&message));
    }

    #[test]
    fn numbers_near_the_limit_are_judged_alike(
        zeros in 0usize..4,
        digits in "17976931348623(15[5-9]|[0-9]{3})[0-9]{0,30}",
        point in any::<prop::sample::Index>(),
        shift in -3i64..4,
        sign in "-?",
    ) {
        let point = point.index(digits.len());
        let exponent = 309 - point as i64 + shift;
        let (whole, fraction) = digits.split_at(point);
        let whole = if whole.is_empty() { "0" } else { whole };
        let zeros = "0".repeat(zeros);
        let number = format!("{sign}{whole}.{fraction}{zeros}e{exponent}");
        let message = format!(r#"{{"type":"publish","channel":"c","data":{number}}}"#);
        let good = number.parse().is_ok_and(f64::is_finite);
        prop_assert_eq!(matches!(told(message.as_bytes()), Expected::Publish(..)), good, "{}", number);
    }

    #[test]
    fn bytes_at_random_are_judged_alike(message in vec(any::<u8>(), 0..200)) {
        prop_assert_eq!(told(&message), expected(&message));
    }
}
