//! Tokens, and the keys that verify them. The first byte says what the rest is:
//!
//! - `t`: a token, which nobody signed, so it is refused;
//! - `s`: a header and claims with a zero byte between them, which are signed: what is good says what serde_json reads in it;
//! - `j`: a JSON Web Key Set;
//! - `p`: a public key in PEM.

#![no_main]

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fanfare::auth::token::{Claims, KeySet, MAX_PATTERNS, MAX_SUBJECT_BYTES, Terms, Verifier};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const SECRET: &[u8] =
    b"a secret of more than sixty-four bytes, so that all of HMAC's sizes are allowed";
const NOW: u64 = 1_800_000_000;

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let keys = KeySet::secret(SECRET).expect("a long secret");
    Verifier::new(keys, Terms::default())
});

fuzz_target!(|input: &[u8]| {
    let Some((kind, rest)) = input.split_first() else {
        return;
    };
    match kind {
        b't' => assert!(VERIFIER.verify(rest, NOW).is_err()),
        b's' => signed(rest),
        b'j' => {
            if let Ok(keys) = KeySet::jwks(rest) {
                assert!(!keys.is_empty());
                refuses(keys);
            }
        }
        b'p' => {
            if let Ok(keys) = KeySet::pem(rest) {
                assert_eq!(keys.len(), 1);
                refuses(keys);
            }
        }
        _ => {}
    }
});

/// Keys that nobody knows do not verify what is signed with the secret, whatever it says.
fn refuses(keys: KeySet) {
    let verifier = Verifier::new(keys, Terms::default());
    for alg in ["HS256", "HS512", "RS256", "PS256", "ES256", "EdDSA"] {
        let header = format!(r#"{{"alg":"{alg}"}}"#);
        let token = token(header.as_bytes(), br#"{"sub":"a","exp":1800000001}"#);
        assert!(verifier.verify(token.as_bytes(), NOW).is_err());
    }
}

fn token(header: &[u8], claims: &[u8]) -> String {
    let message = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims)
    );
    let key = EncodingKey::from_secret(SECRET);
    let signature = crypto::sign(message.as_bytes(), &key, Algorithm::HS256);
    format!("{message}.{}", signature.expect("a signature"))
}

fn signed(input: &[u8]) {
    let Some(zero) = input.iter().position(|byte| *byte == 0) else {
        return;
    };
    let (header, text) = (&input[..zero], &input[zero + 1..]);
    let result = VERIFIER.verify(token(header, text).as_bytes(), NOW);
    if let Ok(claims) = result {
        let header: Value = serde_json::from_slice(header).expect("a header that is JSON");
        assert_eq!(header["alg"], "HS256");
        assert!(header.get("crit").is_none() && header.get("b64").is_none());
        match serde_json::from_slice(text) {
            Ok(text) => compare(&claims, &text),
            // It has to hold all numbers, and ours reads over what no claim of ours says. The grammar has no largest number.
            Err(error) => {
                let error = error.to_string();
                assert!(error.starts_with("number out of range"), "{error}");
            }
        }
    }
}

fn compare(claims: &Claims, text: &Value) {
    assert_eq!(text["sub"], *claims.subject);
    assert!((1..=MAX_SUBJECT_BYTES).contains(&claims.subject.len()));
    assert!(!claims.subject.chars().any(char::is_control));
    assert_eq!(text["exp"].as_u64(), claims.expires);
    assert!(claims.expires.is_some_and(|end_s| NOW < end_s + 30));
    assert!(
        text.get("nbf")
            .is_none_or(|begin_s| begin_s.as_u64().expect("a time") <= NOW + 30)
    );
    assert!(text.get("aud").is_none());
    assert_eq!(
        text.get("admin")
            .map(|admin| admin.as_bool().expect("a bool")),
        claims.admin
    );
    for (name, patterns) in [
        ("subscribe", &claims.subscribe),
        ("publish", &claims.publish),
    ] {
        let list = text.get(name).map(|list| list.as_array().expect("a list"));
        assert_eq!(list.is_some(), patterns.is_some());
        let (Some(list), Some(patterns)) = (list, patterns) else {
            continue;
        };
        assert!(list.len() <= MAX_PATTERNS);
        assert!(
            list.iter()
                .eq(patterns.iter().map(|pattern| pattern.as_str()))
        );
    }
}
