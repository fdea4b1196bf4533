//! Tokens made: for who has the secret or the private key.

use jsonwebtoken::{EncodingKey, crypto};
use serde_json::{Map, Value, json};

use super::keys::{Algorithm, Kind, choose_provider};
use super::load::{MAKE_SECRET, without_line_break};
use super::{Claims, MAX_PATTERNS, MAX_TIME_S, MAX_TOKEN_BYTES, base64url, check_subject};
use crate::channel::pattern::Pattern;

/// A key that signs, and how it does. It is wiped when it goes.
pub struct Signer {
    key: EncodingKey,
    algorithm: Algorithm,
}

/// What a token says besides its [`Claims`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp<'a> {
    /// When it is made, in seconds since 1970: its `iat`.
    pub issued: u64,
    /// Its maker: its `iss`.
    pub issuer: Option<&'a str>,
    /// The daemon that it is meant for: its `aud`.
    pub audience: Option<&'a str>,
}

impl Signer {
    /// A signer with the key in the bytes of a file: a private key in PEM, or else a secret. Without `wanted` it signs as HS256,
    /// RS256, ES256 or EdDSA, as the key is.
    ///
    /// # Errors
    /// What is wrong with the key, and what to do.
    pub fn new(file: &[u8], wanted: Option<Algorithm>) -> Result<Self, String> {
        choose_provider();
        let (kind, key) = match is_pem(file) {
            true => private_key(file)?,
            false => secret(file)?,
        };
        let usual = match kind {
            Kind::Secret(_) => Algorithm::Hs256,
            Kind::Rsa => Algorithm::Rs256,
            Kind::P256 => Algorithm::Es256,
            Kind::Ed25519 => Algorithm::EdDsa,
        };
        let algorithm = wanted.unwrap_or(usual);
        if !kind.allows(algorithm) {
            let fitting = Algorithm::ALL
                .into_iter()
                .filter(|fitting| kind.allows(*fitting));
            let fitting: Vec<&str> = fitting.map(Algorithm::name).collect();
            let fitting = fitting.join(", ");
            return Err(format!(
                "the key does not sign as {algorithm}: it is for {fitting}"
            ));
        }
        let signer = Self { key, algorithm };
        // A key is looked at when it signs.
        match signer.signature("") {
            Some(_) => Ok(signer),
            None => Err(match kind {
                Kind::Rsa => "the key can't sign: it is broken, or has fewer than 2048 bits",
                Kind::P256 => "the key can't sign: it is broken, or on another curve than P-256",
                Kind::Ed25519 | Kind::Secret(_) => "the key can't sign: it is broken",
            }
            .into()),
        }
    }

    /// How it signs.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Makes a token.
    ///
    /// # Errors
    /// It says what no daemon would take, or would be too long.
    pub fn sign(&self, claims: &Claims, stamp: Stamp<'_>) -> Result<String, String> {
        check(claims)?;
        let header = json!({ "alg": self.algorithm.name(), "typ": "JWT" });
        let message = format!(
            "{}.{}",
            base64url(header.to_string()),
            base64url(body(claims, stamp).to_string())
        );
        let signature = self.signature(&message).ok_or("the key can't sign")?;
        let token = format!("{message}.{signature}");
        if token.len() > MAX_TOKEN_BYTES {
            return Err(format!(
                "the token would have {} bytes, and a daemon takes {MAX_TOKEN_BYTES}: give it fewer patterns",
                token.len()
            ));
        }
        Ok(token)
    }

    fn signature(&self, message: &str) -> Option<String> {
        crypto::sign(message.as_bytes(), &self.key, self.algorithm.of_library()).ok()
    }
}

fn check(claims: &Claims) -> Result<(), String> {
    check_subject(&claims.subject)?;
    if claims.expires.is_some_and(|end_s| end_s > MAX_TIME_S) {
        return Err("the token would end too late for a number".into());
    }
    for (name, patterns) in [
        ("subscribe", &claims.subscribe),
        ("publish", &claims.publish),
    ] {
        let count = patterns.as_ref().map_or(0, Vec::len);
        if count > MAX_PATTERNS {
            return Err(format!(
                "`{name}` has {count} patterns, and a token has at most {MAX_PATTERNS}"
            ));
        }
    }
    Ok(())
}

fn body(claims: &Claims, stamp: Stamp<'_>) -> Value {
    let list = |patterns: &Vec<Pattern>| patterns.iter().map(Pattern::as_str).collect();
    let members = [
        ("sub", Some(Value::from(&*claims.subject))),
        ("iat", Some(Value::from(stamp.issued))),
        ("exp", claims.expires.map(Value::from)),
        ("iss", stamp.issuer.map(Value::from)),
        ("aud", stamp.audience.map(Value::from)),
        ("subscribe", claims.subscribe.as_ref().map(list)),
        ("publish", claims.publish.as_ref().map(list)),
        ("admin", claims.admin.map(Value::from)),
    ];
    let members = members
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(members.collect::<Map<_, _>>())
}

fn is_pem(file: &[u8]) -> bool {
    labels(file).next().is_some()
}

/// What the blocks of PEM in a file are, by their names.
fn labels(file: &[u8]) -> impl Iterator<Item = &[u8]> {
    file.split(|byte| *byte == b'\n').filter_map(|line| {
        let label = line.trim_ascii_end().strip_prefix(b"-----BEGIN ")?;
        label.strip_suffix(b"-----")
    })
}

fn secret(file: &[u8]) -> Result<(Kind, EncodingKey), String> {
    let secret = without_line_break(file);
    let kind = Kind::Secret(secret.len());
    if !kind.allows(Algorithm::Hs256) {
        return Err(format!(
            "the secret has fewer than 32 bytes, so it could be guessed: {MAKE_SECRET}"
        ));
    }
    Ok((kind, EncodingKey::from_secret(secret)))
}

fn private_key(file: &[u8]) -> Result<(Kind, EncodingKey), String> {
    let has = |label: &[u8]| labels(file).any(|found| found == label);
    if has(b"ENCRYPTED PRIVATE KEY") || file.windows(10).any(|bytes| bytes == b"Proc-Type:") {
        return Err(
            "the private key is encrypted: `openssl pkey -in KEY -out PLAIN` makes a plain one"
                .into(),
        );
    }
    if has(b"EC PRIVATE KEY") {
        return Err("the private key is in the form of SEC 1: `openssl pkey -in KEY -out PKCS8` makes one in that of PKCS #8".into());
    }
    if !has(b"PRIVATE KEY") && !has(b"RSA PRIVATE KEY") {
        return Err(
            "the file has no private key: what is in it verifies tokens, and can't make them"
                .into(),
        );
    }
    let read = [
        (Kind::Rsa, EncodingKey::from_rsa_pem(file)),
        (Kind::P256, EncodingKey::from_ec_pem(file)),
        (Kind::Ed25519, EncodingKey::from_ed_pem(file)),
    ];
    let mut read = read
        .into_iter()
        .filter_map(|(kind, key)| Some((kind, key.ok()?)));
    read.next()
        .ok_or_else(|| "the private key is broken, or is none of RSA, P-256 and Ed25519".into())
}
