//! The JSON dialect against serde_json: the same verdict, and for a publication the same id, channel, encoding, key and `data`,
//! byte for byte. Any bytes become `data` and come back unchanged.

#![no_main]

use std::borrow::Cow;
use std::fmt;

use fanfare::channel::name;
use fanfare::dialect::json::encode::read_frame;
use fanfare::dialect::json::{
    Command, Data, DecodeError, Decoder, Encoding, ErrorCode, EventDecoder, MAX_DEPTH,
    MAX_ID_BYTES, MAX_KEY_BYTES, MAX_WHOLE_NUMBER, ValueDecoder,
};
use fanfare::hub::Payload;
use libfuzzer_sys::fuzz_target;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Reads a value and keeps nothing of it; refuses more than so many levels of nesting.
#[derive(Clone, Copy)]
struct Levels(usize);

impl<'de> DeserializeSeed<'de> for Levels {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Levels {
    fn inner<E: Error>(self) -> Result<Self, E> {
        let left = self.0.checked_sub(1);
        left.map(Self).ok_or_else(|| E::custom("nested too deep"))
    }
}

impl<'de> Visitor<'de> for Levels {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        while items.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        while members.next_key::<String>()?.is_some() {
            members.next_value_seed(inner)?;
        }
        Ok(())
    }
}

/// Whether serde_json takes `text` for JSON of at most so many levels.
fn is_json(text: &str, levels: usize) -> bool {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let valid = Levels(levels).deserialize(&mut deserializer).is_ok();
    valid && deserializer.end().is_ok()
}

/// The members of an object, as they were written.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members(Vec::new()))
    }
}

impl<'de: 'a, 'a> Visitor<'de> for Members<'a> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Self, A::Error> {
        while let Some(member) = members.next_entry()? {
            self.0.push(member);
        }
        Ok(self)
    }
}

impl<'a> Members<'a> {
    /// The member of that name, if there is exactly one.
    fn only(&self, name: &str) -> Option<&'a str> {
        let mut found = self.0.iter().filter(|(key, _)| key == name);
        let (_, value) = found.next()?;
        found.next().is_none().then_some(value.get())
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }
}

fn string(json: &str) -> Option<String> {
    serde_json::from_str(json).ok()
}

fn is_id(json: &str) -> bool {
    match string(json) {
        Some(id) => id.len() <= MAX_ID_BYTES,
        None => {
            json.bytes().all(|byte| byte.is_ascii_digit())
                && json.parse().is_ok_and(|id: u64| id <= MAX_WHOLE_NUMBER)
        }
    }
}

/// Whether the standard alphabet's canonical base64 is meant: what a plain loop reads is written so again.
fn is_base64(text: &str) -> bool {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.trim_end_matches('=');
    let (mut bits, mut last) = (0, 0);
    for digit in digits.bytes() {
        let Some(value) = ALPHABET.iter().position(|letter| *letter == digit) else {
            return false;
        };
        (bits, last) = (bits + 6, value);
    }
    let unused = bits % 8;
    unused < 6 && last & ((1 << unused) - 1) == 0 && text.len() == digits.len().div_ceil(4) * 4
}

#[derive(Debug, PartialEq)]
struct Publication<'a> {
    id: Option<&'a str>,
    channel: String,
    encoding: Encoding,
    data: Cow<'a, str>,
    key: Option<String>,
}

/// A publication as `docs/protocol.md` has it.
fn publication(text: &str) -> Option<Publication<'_>> {
    let members: Members<'_> = serde_json::from_str(text).ok()?;
    if string(members.only("type")?)? != "publish" {
        return None;
    }
    let id = members.only("id");
    if members.has("id") && !id.is_some_and(is_id) {
        return None;
    }
    let channel = string(members.only("channel")?)?;
    if name::check(&channel).is_err() {
        return None;
    }
    let key = members.only("key").and_then(string);
    if members.has("key")
        && !key
            .as_ref()
            .is_some_and(|key| (1..=MAX_KEY_BYTES).contains(&key.len()))
    {
        return None;
    }
    let written = members.only("data")?;
    let (encoding, data) = match members.only("encoding").map(string) {
        None if members.has("encoding") => return None,
        None => (Encoding::Json, written.into()),
        Some(encoding) => {
            let data = string(written)?;
            match encoding?.as_str() {
                "text" => (Encoding::Text, written.into()),
                "base64" if is_base64(&data) => (Encoding::Base64, format!("\"{data}\"").into()),
                _ => return None,
            }
        }
    };
    Some(Publication {
        id,
        channel,
        encoding,
        data,
        key,
    })
}

fn check_request(data: &[u8]) {
    let mut bytes = data.to_vec();
    let mut decoder = Decoder::new();
    let decoded = decoder.decode(&mut bytes);
    let Ok(text) = str::from_utf8(data) else {
        return assert_eq!(decoded, Err(DecodeError::NotUtf8));
    };
    let bad_json = match &decoded {
        Err(DecodeError::NotUtf8) => panic!("it is UTF-8"),
        Err(DecodeError::Refused(reply)) => reply.code == ErrorCode::BadJson,
        Ok(_) => false,
    };
    assert_eq!(is_json(text, MAX_DEPTH), !bad_json, "{decoded:?}");
    let published = match &decoded {
        Ok(request) => match request.command {
            Command::Publish { channel, data, key } => Some((request.id, channel, data, key)),
            _ => None,
        },
        Err(_) => None,
    };
    let published = published.map(|(id, channel, data, key)| {
        let text = |bytes| str::from_utf8(bytes).expect("it came from UTF-8");
        assert!(data.payload().is_some(), "{data:?}");
        Publication {
            id: id.map(|id| text(id.as_bytes())),
            channel: channel.to_owned(),
            encoding: data.encoding,
            data: text(data.raw).into(),
            key: key.map(str::to_owned),
        }
    });
    let expected = publication(text).filter(|_| !bad_json);
    assert_eq!(published, expected, "{decoded:?}");
}

fn check_value(data: &[u8]) {
    let decoded = ValueDecoder::new().decode(data).ok();
    let expected = str::from_utf8(data)
        .ok()
        .filter(|text| is_json(text, MAX_DEPTH - 1));
    let white = |c| matches!(c, ' ' | '\t' | '\n' | '\r');
    assert_eq!(
        decoded,
        expected.map(|text| text.trim_matches(white).as_bytes())
    );
}

fn check_payload(bytes: &[u8]) {
    let mut room = Vec::new();
    let data = Data::of_bytes(bytes, &mut room);
    match data.payload().expect("it is good") {
        Payload::Json(back) => assert_eq!(back, bytes),
        Payload::Text(back) => assert_eq!(back.as_bytes(), bytes),
        Payload::Bytes(back) => assert_eq!(&*back, bytes),
    }
    assert!(data.raw.len() <= bytes.len().div_ceil(3) * 4 + 2);
}

fuzz_target!(|data: &[u8]| {
    check_request(data);
    check_value(data);
    check_payload(data);
    drop(read_frame(data));
    // A client reads whatever its server says.
    drop(EventDecoder::new().decode(&mut data.to_vec()));
});
