//! JSON Web Key Sets (RFC 7517).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use zeroize::{Zeroize, Zeroizing};

use super::json::{self, Fault};
use super::keys::{Algorithm, Key};

/// How many keys a set has at most.
pub(super) const MAX_KEYS: usize = 256;

/// Where a set is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// A file: it may have secrets.
    File,
    /// A URL: what is there for us is there for others, so it has no secrets.
    Url,
}

/// What is read of a set.
pub(super) struct Set {
    /// The keys that can be used, in the set's order; at least one.
    pub(super) keys: Vec<Key>,
    /// A sentence for each key that can't be used (RFC 7517 §5: they are passed over).
    pub(super) notes: Vec<String>,
}

/// Reads a set.
///
/// # Errors
/// It is no set, or no key in it can be used.
pub(super) fn read(text: &[u8], from: From) -> Result<Set, String> {
    let [list] = json::members(text, ["keys"]).map_err(|fault| match fault {
        Fault::NotObject => "this is not a JSON object, so no JSON Web Key Set",
        Fault::Repeated => "the set has the same member twice",
    })?;
    let Some(Value::Array(list)) = list else {
        return Err("the set has no `keys` that is a list".into());
    };
    if list.len() > MAX_KEYS {
        return Err(format!("the set has more than {MAX_KEYS} keys"));
    }
    let (mut keys, mut notes) = (Vec::new(), Vec::new());
    for (i, item) in list.into_iter().enumerate() {
        match key(item, from) {
            Ok(key) => keys.push(key),
            Err(why) => notes.push(format!("key {} of the set is passed over: {why}", i + 1)),
        }
    }
    match keys.is_empty() {
        true if notes.is_empty() => Err("the set has no keys".into()),
        true => Err(format!(
            "the set has no key that can be used: {}",
            notes.join("; ")
        )),
        false => Ok(Set { keys, notes }),
    }
}

/// Reads a key (RFC 7517 §4).
fn key(item: Value, from: From) -> Result<Key, &'static str> {
    let Value::Object(mut members) = item else {
        return Err("it is not an object");
    };
    // What it has of a private key is not wanted, and is not left lying about.
    let secret = Zeroizing::new(text(&mut members, "k")?.unwrap_or_default());
    for name in ["d", "p", "q", "dp", "dq", "qi"] {
        if let Some(Value::String(private)) = members.get_mut(name) {
            private.zeroize();
        }
    }
    check_use(&mut members)?;
    let id = text(&mut members, "kid")?;
    let only = match text(&mut members, "alg")? {
        None => None,
        Some(name) => {
            Some(Algorithm::named(&name).ok_or("its `alg` is none that the server knows")?)
        }
    };
    let kind = text(&mut members, "kty")?.ok_or("it has no `kty`")?;
    let curve = text(&mut members, "crv")?.unwrap_or_default();
    let mut bytes = |name| decoded(text(&mut members, name)?.unwrap_or_default().as_bytes());
    let key = match (kind.as_str(), curve.as_str()) {
        ("RSA", _) => Key::rsa(&bytes("n")?, &bytes("e")?),
        ("EC", "P-256") => {
            let (x, y) = (bytes("x")?, bytes("y")?);
            match (x.len(), y.len()) {
                (32, 32) => Key::p256(&[&[POINT], &x[..], &y[..]].concat()),
                _ => Err("its `x` and `y` do not have 32 bytes each"),
            }
        }
        ("OKP", "Ed25519") => Key::ed25519(&bytes("x")?),
        ("EC" | "OKP", _) => Err("its `crv` is neither P-256 nor Ed25519"),
        ("oct", _) if from == From::Url => Err("it is a secret, and secrets come from files only"),
        ("oct", _) => Key::secret(&decoded(secret.as_bytes())?),
        _ => Err("its `kty` is none of RSA, EC, OKP and oct"),
    }?;
    key.named(id, only)
}

/// What a point begins with that has both coordinates (SEC 1 §2.3.3).
const POINT: u8 = 4;

/// RFC 7517 §4.2, §4.3: what the key is meant for.
fn check_use(members: &mut Map<String, Value>) -> Result<(), &'static str> {
    if text(members, "use")?.is_some_and(|purpose| purpose != "sig") {
        return Err("its `use` is not \"sig\"");
    }
    match members.get("key_ops") {
        None => Ok(()),
        Some(Value::Array(all)) if all.iter().any(|one| one == "verify") => Ok(()),
        Some(_) => Err("its `key_ops` do not have \"verify\""),
    }
}

/// Takes a member that is a string.
fn text(members: &mut Map<String, Value>, name: &str) -> Result<Option<String>, &'static str> {
    match members.remove(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err("a member of it is not a string"),
    }
}

fn decoded(text: &[u8]) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map(Zeroizing::new);
    bytes.map_err(|_| "a member of it is not base64url without padding")
}
