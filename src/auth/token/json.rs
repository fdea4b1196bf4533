//! Objects of JSON whose members are told apart by name, none of them twice.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

/// Why a text has no members to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is not JSON, or no object.
    NotObject,
    /// A name stands in it twice: two readers may take two values for it (RFC 7515 §4, RFC 7519 §4).
    Repeated,
}

impl Fault {
    pub(super) fn in_header(self) -> &'static str {
        match self {
            Self::NotObject => "its header is not a JSON object",
            Self::Repeated => "its header has the same member twice",
        }
    }

    pub(super) fn in_claims(self) -> &'static str {
        match self {
            Self::NotObject => "its claims are not a JSON object",
            Self::Repeated => "its claims have the same member twice",
        }
    }
}

/// The members of these names, of an object that has no name twice. What others hold is passed over, in it objects that have a
/// name twice.
pub(super) fn members<const N: usize>(
    text: &[u8],
    names: [&str; N],
) -> Result<[Option<Value>; N], Fault> {
    // serde_json does not look at the bytes of strings that it passes over.
    let text = str::from_utf8(text).map_err(|_| Fault::NotObject)?;
    let is_repeated = Cell::new(false);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let object = Object {
        names,
        is_repeated: &is_repeated,
    };
    let result = object.deserialize(&mut deserializer);
    match result.and_then(|members| deserializer.end().map(|()| members)) {
        Ok(members) => Ok(members),
        Err(_) if is_repeated.get() => Err(Fault::Repeated),
        Err(_) => Err(Fault::NotObject),
    }
}

struct Object<'a, const N: usize> {
    names: [&'a str; N],
    is_repeated: &'a Cell<bool>,
}

impl<'de, const N: usize> DeserializeSeed<'de> for Object<'_, N> {
    type Value = [Option<Value>; N];

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, const N: usize> Visitor<'de> for Object<'_, N> {
    type Value = [Option<Value>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [const { None }; N];
        let mut seen = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            match self.names.iter().position(|wanted| **wanted == *name) {
                Some(i) => found[i] = Some(map.next_value::<Value>()?),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            if !seen.insert(name) {
                self.is_repeated.set(true);
                return Err(A::Error::custom("repeated"));
            }
        }
        Ok(found)
    }
}
