//! Tokens: JSON Web Tokens (RFC 7519) in the compact form of RFC 7515, checked with keys that the daemon was given.
//!
//! A [`Verifier`] has the keys and the terms; [`Verifier::verify`] says who a token is for and what it grants, or why it is
//! refused. It follows RFC 8725: a key says itself which algorithms it is for, and a token that names another one is
//! refused, so `none` is no algorithm, and a public key is never taken for a secret.

mod error;
mod json;
mod jwks;
mod keys;
mod load;
mod mint;
mod pem;
#[cfg(feature = "jwks")]
mod source;
#[cfg(not(feature = "jwks"))]
mod without_source;

#[cfg(test)]
mod tests;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::channel::pattern::Pattern;
pub use error::TokenError;
use keys::Key;
pub use keys::{Algorithm, KeySet};
pub use mint::{Signer, Stamp};
#[cfg(feature = "jwks")]
pub use source::{KeySource, check_url};
#[cfg(not(feature = "jwks"))]
pub(crate) use without_source::KeySource;

/// The longest token, in bytes.
pub const MAX_TOKEN_BYTES: usize = 8 << 10;

/// The longest subject, in bytes.
pub const MAX_SUBJECT_BYTES: usize = 255;

/// How many patterns `subscribe` has at most, and `publish`.
pub const MAX_PATTERNS: usize = 64;

/// How many keys are tried with one token.
pub const MAX_TRIED: usize = 8;

/// The greatest number that a time may be: 2^53 - 1, beyond which a reader that keeps numbers in doubles would lose count.
const MAX_TIME_S: u64 = (1 << 53) - 1;

/// What a token must say besides having a good signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// What `iss` must be, or `None`: anything, or nothing.
    pub issuer: Option<String>,
    /// What `aud` must name, or `None`: there must be no `aud`, since the token is for somebody else (RFC 7519 §4.1.3).
    pub audience: Option<String>,
    /// Whether there must be an `exp`.
    pub needs_expiry: bool,
    /// How far the clocks of issuer and daemon may differ, in seconds.
    pub leeway_s: u64,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            issuer: None,
            audience: None,
            needs_expiry: true,
            leeway_s: 30,
        }
    }
}

/// What a good token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The client that it is for: 1 to [`MAX_SUBJECT_BYTES`] bytes without control characters.
    pub subject: Box<str>,
    /// When it ends, in seconds since 1970, or `None`: never.
    pub expires: Option<u64>,
    /// When it was issued, in seconds since 1970, or `None`: the token does not say.
    pub issued: Option<u64>,
    /// The channels that may be subscribed to, or `None`: the token does not say.
    pub subscribe: Option<Vec<Pattern>>,
    /// The channels that may be published to, or `None`: the token does not say.
    pub publish: Option<Vec<Pattern>>,
    /// Whether it is an administrator's, or `None`: the token does not say.
    pub admin: Option<bool>,
}

/// Keys, and terms for the tokens that they verify.
#[derive(Clone, Default)]
pub struct Verifier {
    terms: Terms,
    /// Keys from files.
    keys: KeySet,
    /// Keys from a URL, if one was given; none until they are fetched.
    fetched: Option<KeySet>,
}

/// What a token's header says, as far as it matters.
struct Header {
    algorithm: Algorithm,
    key_id: Option<String>,
}

impl Verifier {
    /// A verifier with these keys.
    pub fn new(keys: KeySet, terms: Terms) -> Self {
        Self {
            terms,
            keys,
            fetched: None,
        }
    }

    /// Says that more keys come from a URL. Until they come there are none of them.
    pub fn expect_fetched(&mut self) {
        self.fetched.get_or_insert_default();
    }

    /// Whether a token that was refused for this reason may hold once the first keys have come from a URL.
    pub fn may_hold_later(&self, error: &TokenError) -> bool {
        let awaits_keys = self.fetched.as_ref().is_some_and(KeySet::is_empty);
        let may_be_anothers = matches!(
            error,
            TokenError::UnknownKey | TokenError::Signature | TokenError::Algorithm
        );
        awaits_keys && may_be_anothers
    }

    /// Takes the keys that a URL has now in place of those that it had.
    pub fn set_fetched(&mut self, keys: KeySet) {
        self.fetched = Some(keys);
    }

    /// How far the clocks of those who make tokens and of the daemon may differ, in seconds.
    pub fn leeway_s(&self) -> u64 {
        self.terms.leeway_s
    }

    /// Keeps the keys that came from a URL for another one, if this one expects some.
    pub fn keep_fetched(&mut self, other: &Verifier) {
        if let (Some(keys), Some(others)) = (&mut self.fetched, &other.fetched) {
            *keys = others.clone();
        }
    }

    /// Whether the key with this number is still there.
    pub fn vouches(&self, key: u64) -> bool {
        self.all_keys().any(|other| other.fingerprint() == key)
    }

    /// Whether no token can ever be good: there are no keys, and none will be fetched.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.fetched.is_none()
    }

    /// Checks a token in the compact form: its signature, its times, its issuer, its audience. `now_s` are the seconds since
    /// 1970.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn verify(&self, token: &[u8], now_s: u64) -> Result<Claims, TokenError> {
        self.verify_with_key(token, now_s).map(|(claims, _)| claims)
    }

    /// The same, with a number for the key that it was checked with. [`Verifier::vouches`] says whether that key is still there.
    ///
    /// # Errors
    /// As for [`Verifier::verify`].
    pub fn verify_with_key(&self, token: &[u8], now_s: u64) -> Result<(Claims, u64), TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Malformed("it has more than 8 KiB"));
        }
        let token = str::from_utf8(token).map_err(|_| NOT_THREE)?;
        let (message, signature) = token.rsplit_once('.').ok_or(NOT_THREE)?;
        let (header, claims) = message.split_once('.').ok_or(NOT_THREE)?;
        if claims.contains('.') {
            return Err(NOT_THREE);
        }
        let header = Header::read(&decoded(header)?)?;
        // Before any key works on it.
        let claims = decoded(claims)?;
        decoded(signature)?;
        let key = self.check_signature(&header, message, signature)?;
        Ok((self.claims(&claims, now_s)?, key))
    }

    fn check_signature(
        &self,
        header: &Header,
        message: &str,
        signature: &str,
    ) -> Result<u64, TokenError> {
        let candidates = self.candidates(header)?;
        let mut tried = candidates.iter().take(MAX_TRIED);
        let signer = tried.find(|key| key.verifies(header.algorithm, message, signature));
        if let Some(signer) = signer {
            return Ok(signer.fingerprint());
        }
        // The key that the token names may be one that is not here yet.
        let is_guess = header.key_id.is_some() && candidates.iter().all(|key| key.id().is_none());
        if is_guess && self.all_keys().any(|key| key.id().is_some()) {
            return Err(TokenError::UnknownKey);
        }
        Err(TokenError::Signature)
    }

    /// The keys that may have signed it: those that it names, else those that have no name; all of those that are for its
    /// algorithm, if it names none.
    fn candidates(&self, header: &Header) -> Result<Vec<&Key>, TokenError> {
        let id = header.key_id.as_deref();
        let named: Vec<&Key> = match id {
            Some(_) => self.all_keys().filter(|key| key.id() == id).collect(),
            None => self.all_keys().collect(),
        };
        let fits = |key: &&Key| key.allows(header.algorithm);
        if !named.is_empty() {
            let fitting: Vec<&Key> = named.into_iter().filter(fits).collect();
            return match fitting.is_empty() {
                true => Err(TokenError::Algorithm),
                false => Ok(fitting),
            };
        }
        let unnamed = self.all_keys().filter(|key| key.id().is_none());
        let unnamed: Vec<&Key> = unnamed.filter(fits).collect();
        match unnamed.is_empty() {
            true => Err(TokenError::UnknownKey),
            false => Ok(unnamed),
        }
    }

    fn all_keys(&self) -> impl Iterator<Item = &Key> {
        self.keys
            .iter()
            .chain(self.fetched.iter().flat_map(KeySet::iter))
    }

    /// Reads the claims of a token whose signature is good, and holds them against the terms.
    fn claims(&self, text: &[u8], now_s: u64) -> Result<Claims, TokenError> {
        const NAMES: [&str; 9] = [
            "sub",
            "exp",
            "nbf",
            "iss",
            "aud",
            "subscribe",
            "publish",
            "admin",
            "iat",
        ];
        let members =
            json::members(text, NAMES).map_err(|fault| TokenError::Malformed(fault.in_claims()))?;
        let [sub, exp, nbf, iss, aud, subscribe, publish, admin, iat] = members;
        let expires = time(exp, "`exp` is not a whole number of seconds since 1970")?;
        let begins = time(nbf, "`nbf` is not a whole number of seconds since 1970")?;
        let leeway_s = self.terms.leeway_s;
        match expires {
            None if self.terms.needs_expiry => {
                return Err(TokenError::claims(
                    "it has no `exp`, which says when it ends",
                ));
            }
            // "On or after" the time, says RFC 7519 §4.1.4.
            Some(end_s) if now_s >= end_s.saturating_add(leeway_s) => {
                return Err(TokenError::Expired);
            }
            _ => {}
        }
        if begins.is_some_and(|begin_s| now_s.saturating_add(leeway_s) < begin_s) {
            return Err(TokenError::NotYet);
        }
        self.check_issuer(iss)?;
        self.check_audience(aud)?;
        Ok(Claims {
            subject: subject(sub)?,
            expires,
            issued: iat.as_ref().and_then(issued),
            subscribe: patterns(subscribe, "subscribe")?,
            publish: patterns(publish, "publish")?,
            admin: match admin {
                None => None,
                Some(Value::Bool(is_admin)) => Some(is_admin),
                Some(_) => return Err(TokenError::claims("`admin` is neither true nor false")),
            },
        })
    }

    fn check_issuer(&self, iss: Option<Value>) -> Result<(), TokenError> {
        let iss = match iss {
            None => None,
            Some(Value::String(iss)) => Some(iss),
            Some(_) => return Err(TokenError::claims("`iss` is not a string")),
        };
        match &self.terms.issuer {
            Some(wanted) if iss.as_ref() != Some(wanted) => Err(TokenError::Issuer),
            _ => Ok(()),
        }
    }

    fn check_audience(&self, aud: Option<Value>) -> Result<(), TokenError> {
        let is_named = match (aud, &self.terms.audience) {
            (None, wanted) => wanted.is_none(),
            (Some(Value::String(one)), wanted) => Some(&one) == wanted.as_ref(),
            (Some(Value::Array(all)), wanted) => {
                if !all.iter().all(Value::is_string) {
                    return Err(TokenError::claims(
                        "`aud` is not a string or a list of strings",
                    ));
                }
                all.iter().any(|one| one.as_str() == wanted.as_deref())
            }
            (Some(_), _) => {
                return Err(TokenError::claims(
                    "`aud` is not a string or a list of strings",
                ));
            }
        };
        is_named.then_some(()).ok_or(TokenError::Audience)
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier")
            .field("terms", &self.terms)
            .finish_non_exhaustive()
    }
}

impl Header {
    /// Reads a header (RFC 7515 §4). Nothing else that it may say is used: neither a key that it brings nor an address
    /// where one would be.
    fn read(text: &[u8]) -> Result<Self, TokenError> {
        let members = json::members(text, ["alg", "kid", "crit", "b64"]);
        let [alg, kid, crit, b64] =
            members.map_err(|fault| TokenError::Malformed(fault.in_header()))?;
        if crit.is_some() || b64.is_some() {
            // RFC 7515 §4.1.11: what is critical and not understood refuses the token.
            let why = "its header has `crit` or `b64`, and the server knows no extension";
            return Err(TokenError::Malformed(why));
        }
        let Some(Value::String(alg)) = alg else {
            return Err(TokenError::Malformed(
                "its header has no `alg` that is a string",
            ));
        };
        let key_id = match kid {
            None => None,
            Some(Value::String(kid)) => Some(kid),
            Some(_) => {
                return Err(TokenError::Malformed(
                    "its header has a `kid` that is not a string",
                ));
            }
        };
        let algorithm = Algorithm::named(&alg).ok_or(TokenError::Algorithm)?;
        Ok(Self { algorithm, key_id })
    }
}

const NOT_THREE: TokenError =
    TokenError::Malformed("it is not three parts with a `.` between them");

/// A part of the compact form. Only one text stands for the same bytes: padding and stray bits at the end are refused.
fn decoded(part: &str) -> Result<Vec<u8>, TokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(part);
    bytes.map_err(|_| TokenError::Malformed("a part of it is not base64url without padding"))
}

fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A time in seconds since 1970.
fn time(value: Option<Value>, why: &'static str) -> Result<Option<u64>, TokenError> {
    let Some(value) = value else { return Ok(None) };
    let seconds = value.as_u64().filter(|seconds| *seconds <= MAX_TIME_S);
    seconds.map(Some).ok_or_else(|| TokenError::claims(why))
}

/// When a token was issued, in whole seconds since 1970. It refuses no token by itself, so what is no such time says nothing.
fn issued(iat: &Value) -> Option<u64> {
    // RFC 7519 §2 lets it have a fraction.
    let seconds = iat.as_u64().or_else(|| {
        let seconds = iat.as_f64().filter(|seconds| *seconds >= 0.0)?;
        Some(seconds as u64)
    });
    seconds.filter(|seconds| *seconds <= MAX_TIME_S)
}

fn subject(sub: Option<Value>) -> Result<Box<str>, TokenError> {
    let Some(Value::String(sub)) = sub else {
        return Err(TokenError::claims(
            "it has no `sub` that is a string, which says whom it is for",
        ));
    };
    check_subject(&sub).map_err(TokenError::claims)?;
    Ok(sub.into_boxed_str())
}

/// Says whether a token may be for this subject, and if not, why.
fn check_subject(subject: &str) -> Result<(), &'static str> {
    if subject.is_empty() || subject.len() > MAX_SUBJECT_BYTES {
        return Err("the subject (`sub`) does not have 1 to 255 bytes");
    }
    if subject.chars().any(char::is_control) {
        return Err("the subject (`sub`) has a control character");
    }
    Ok(())
}

fn patterns(value: Option<Value>, name: &'static str) -> Result<Option<Vec<Pattern>>, TokenError> {
    let list = match value {
        None => return Ok(None),
        Some(Value::Array(list)) => list,
        Some(_) => {
            return Err(TokenError::claims(format!(
                "`{name}` is not a list of patterns"
            )));
        }
    };
    if list.len() > MAX_PATTERNS {
        let why = format!("`{name}` has more than {MAX_PATTERNS} patterns");
        return Err(TokenError::claims(why));
    }
    let pattern = |(i, item): (usize, &Value)| {
        let nth = i + 1;
        let Value::String(text) = item else {
            return Err(TokenError::claims(format!(
                "item {nth} of `{name}` is not a string"
            )));
        };
        // Without the text: an error shows nothing of a token.
        Pattern::check(text).map_err(|why| {
            TokenError::claims(format!("item {nth} of `{name}` is not a pattern: {why}"))
        })?;
        Pattern::parse(text).map_err(TokenError::claims)
    };
    list.iter()
        .enumerate()
        .map(pattern)
        .collect::<Result<_, _>>()
        .map(Some)
}
