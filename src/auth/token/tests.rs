//! Tokens that are good, and each way to be refused.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, crypto};

use super::*;

const SECRET: &[u8] =
    b"a secret of more than sixty-four bytes, so that all of HMAC's sizes are allowed";
const NOW: u64 = 1_800_000_000;
const HS256: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn signed(header: &str, claims: &str, key: &EncodingKey, algorithm: Algorithm) -> String {
    let message = format!("{}.{}", base64url(header), base64url(claims));
    let signature = crypto::sign(message.as_bytes(), key, algorithm.of_library()).unwrap();
    format!("{message}.{signature}")
}

fn with_secret(header: &str, claims: &str) -> String {
    let key = EncodingKey::from_secret(SECRET);
    let alg = Algorithm::ALL
        .into_iter()
        .find(|alg| header.contains(alg.name()));
    signed(header, claims, &key, alg.unwrap_or(Algorithm::Hs256))
}

fn verifier() -> Verifier {
    Verifier::new(KeySet::secret(SECRET).unwrap(), Terms::default())
}

fn verify(claims: &str) -> Result<Claims, TokenError> {
    verifier().verify(with_secret(HS256, claims).as_bytes(), NOW)
}

#[test]
fn a_good_token_gives_its_claims() {
    let claims = verify(
        r#"{"sub":"anna","exp":1800000001,"nbf":1799999999,"subscribe":["prices.*","news"],"publish":[],"admin":true,"x":{"y":1}}"#,
    );
    let pattern = |text| Pattern::parse(text).unwrap();
    let expected = Claims {
        subject: "anna".into(),
        expires: Some(1_800_000_001),
        subscribe: Some(vec![pattern("prices.*"), pattern("news")]),
        publish: Some(Vec::new()),
        admin: Some(true),
        key: claims.as_ref().map_or(0, |claims| claims.key),
    };
    assert_eq!(claims, Ok(expected));
}
