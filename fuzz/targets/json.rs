//! The JSON dialect against serde_json: the same verdict, and for a publication the same id, channel and `data`, byte for byte.

#![no_main]

use std::fmt;

use fanfare::channel::name;
use fanfare::dialect::json::{
    Command, DecodeError, Decoder, ErrorCode, EventDecoder, MAX_DEPTH, MAX_ID_BYTES,
    MAX_WHOLE_NUMBER, ValueDecoder,
};
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

/// A publication as `docs/protocol.md` has it: id, channel and data.
fn publication(text: &str) -> Option<(Option<&str>, String, &str)> {
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
    Some((id, channel, members.only("data")?))
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
            Command::Publish { channel, data } => Some((request.id, channel, data)),
            _ => None,
        },
        Err(_) => None,
    };
    let published = published.map(|(id, channel, data)| {
        let text = |bytes| str::from_utf8(bytes).expect("it came from UTF-8");
        (
            id.map(|id| text(id.as_bytes())),
            channel.to_owned(),
            text(data),
        )
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

fuzz_target!(|data: &[u8]| {
    check_request(data);
    check_value(data);
    // A client reads whatever its server says.
    drop(EventDecoder::new().decode(&mut data.to_vec()));
});
