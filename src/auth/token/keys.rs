//! Keys, and what each of them is for.

use std::fmt;
use std::sync::{Arc, Once};

use jsonwebtoken::DecodingKey;
use jsonwebtoken::crypto;
use sha1::{Digest as _, Sha1};

use super::{jwks, pem};

/// How a token is signed (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// HMAC with SHA-384.
    Hs384,
    /// HMAC with SHA-512.
    Hs512,
    /// RSA as in PKCS #1 v1.5, with SHA-256.
    Rs256,
    /// RSA-PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Hs256,
        Self::Hs384,
        Self::Hs512,
        Self::Rs256,
        Self::Ps256,
        Self::Es256,
        Self::EdDsa,
    ];

    /// Its name as `alg` has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The one of this name, if there is one. `none` is the name of none.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
    }

    /// Bytes that a secret needs for it (RFC 7518 §3.2).
    const fn secret_bytes(self) -> usize {
        match self {
            Self::Hs512 => 64,
            Self::Hs384 => 48,
            _ => 32,
        }
    }

    pub(super) const fn of_library(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Hs256 => jsonwebtoken::Algorithm::HS256,
            Self::Hs384 => jsonwebtoken::Algorithm::HS384,
            Self::Hs512 => jsonwebtoken::Algorithm::HS512,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Ps256 => jsonwebtoken::Algorithm::PS256,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What kind of key it is, which says what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A secret of so many bytes.
    Secret(usize),
    /// RSA's public key, of 2048 bits or more.
    Rsa,
    /// A point on P-256.
    P256,
    /// A point on Ed25519.
    Ed25519,
}

impl Kind {
    pub(super) fn allows(self, algorithm: Algorithm) -> bool {
        match algorithm {
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => {
                matches!(self, Self::Secret(bytes) if bytes >= algorithm.secret_bytes())
            }
            Algorithm::Rs256 | Algorithm::Ps256 => self == Self::Rsa,
            Algorithm::Es256 => self == Self::P256,
            Algorithm::EdDsa => self == Self::Ed25519,
        }
    }
}

/// A key that verifies.
pub(super) struct Key {
    kind: Kind,
    /// The only algorithm that it is for, or `None`: all that its kind allows.
    only: Option<Algorithm>,
    id: Option<Box<str>>,
    /// A number that this key has, and hardly any other. It says nothing of the key's bytes.
    fingerprint: u64,
    /// Its bytes; wiped when it goes.
    key: DecodingKey,
}

impl Key {
    /// `bytes` are those of the key.
    pub(super) fn new(kind: Kind, bytes: &[u8], key: DecodingKey) -> Self {
        // The same in every process: identities outlive theirs.
        let digest = Sha1::digest(bytes);
        let first = digest.first_chunk().copied().unwrap_or_default();
        Self {
            kind,
            fingerprint: u64::from_le_bytes(first),
            only: None,
            id: None,
            key,
        }
    }

    /// A secret for HMAC.
    ///
    /// # Errors
    /// It has fewer than 32 bytes.
    pub(super) fn secret(secret: &[u8]) -> Result<Self, &'static str> {
        if secret.len() < Algorithm::Hs256.secret_bytes() {
            return Err("the secret has fewer than 32 bytes, so it could be guessed");
        }
        Ok(Self::new(
            Kind::Secret(secret.len()),
            secret,
            DecodingKey::from_secret(secret),
        ))
    }

    /// RSA's public key: its modulus and its exponent, the first byte the highest.
    ///
    /// # Errors
    /// It has fewer than 2048 bits, or more than 8192, or is no key.
    pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, &'static str> {
        let (modulus, exponent) = (without_zeros(modulus), without_zeros(exponent));
        let bits = match modulus.first() {
            Some(first) => 8 * modulus.len() - first.leading_zeros() as usize,
            None => 0,
        };
        if bits < 2048 {
            return Err(
                "the RSA key has fewer than 2048 bits, so it could be broken: make a longer one",
            );
        }
        if bits > 8192 {
            return Err("the RSA key has more than 8192 bits");
        }
        // Four bytes are what the library takes; nearly all keys have 65537. An even one is none, and with 1 a signature is the message.
        if exponent.len() > 4 || exponent.last().is_none_or(|last| last % 2 == 0) || exponent == [1]
        {
            return Err("the RSA key's exponent is none that a key has");
        }
        let key = DecodingKey::from_rsa_raw_components(modulus, exponent);
        Ok(Self::new(Kind::Rsa, modulus, key))
    }

    /// A public key on P-256: a point with both coordinates, as SEC 1 §2.3.3 writes it.
    ///
    /// # Errors
    /// It is not written so.
    pub(super) fn p256(point: &[u8]) -> Result<Self, &'static str> {
        if point.len() != 65 || point[0] != 4 {
            return Err("the key is not a point of P-256 with both coordinates");
        }
        Ok(Self::new(
            Kind::P256,
            point,
            DecodingKey::from_ec_der(point),
        ))
    }

    /// A public key on Ed25519.
    ///
    /// # Errors
    /// It does not have 32 bytes.
    pub(super) fn ed25519(point: &[u8]) -> Result<Self, &'static str> {
        if point.len() != 32 {
            return Err("the Ed25519 key does not have 32 bytes");
        }
        Ok(Self::new(
            Kind::Ed25519,
            point,
            DecodingKey::from_ed_der(point),
        ))
    }

    /// The key under a `kid`, and for only one algorithm.
    ///
    /// # Errors
    /// A key of its kind is not for this algorithm.
    pub(super) fn named(
        self,
        id: Option<String>,
        only: Option<Algorithm>,
    ) -> Result<Self, &'static str> {
        if only.is_some_and(|only| !self.kind.allows(only)) {
            return Err("its `alg` is not for keys of its kind or length");
        }
        Ok(Self {
            id: id.map(String::into_boxed_str),
            only,
            ..self
        })
    }

    /// See the field.
    pub(super) const fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Its `kid`.
    pub(super) fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether a token of this algorithm may be of this key (RFC 8725 §3.1).
    pub(super) fn allows(&self, algorithm: Algorithm) -> bool {
        self.kind.allows(algorithm) && self.only.is_none_or(|only| only == algorithm)
    }

    /// Whether this key signed `message`. `signature` is base64url.
    pub(super) fn verifies(&self, algorithm: Algorithm, message: &str, signature: &str) -> bool {
        choose_provider();
        self.allows(algorithm)
            && crypto::verify(
                signature,
                message.as_bytes(),
                &self.key,
                algorithm.of_library(),
            )
            .unwrap_or(false)
    }
}

/// A number without zeros in front.
fn without_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}

/// The library takes the only cryptography that it is built with, but panics at use if it is built with two, as another crate
/// in the same program may have it. This says which one.
pub(super) fn choose_provider() {
    static CHOSEN: Once = Once::new();
    CHOSEN.call_once(|| {
        // Where the program has chosen before, its choice holds.
        let _ = crypto::aws_lc::DEFAULT_PROVIDER.install_default();
    });
}

/// Some keys. A copy of it shares them.
#[derive(Clone, Default)]
pub struct KeySet(Arc<[Key]>);

impl KeySet {
    pub(super) fn of(keys: Vec<Key>) -> Self {
        Self(keys.into())
    }

    /// One secret for HMAC, of at least 32 bytes (RFC 7518 §3.2): HS256, with 48 bytes also HS384, with 64 also HS512.
    ///
    /// # Errors
    /// It is too short.
    pub fn secret(secret: &[u8]) -> Result<Self, &'static str> {
        Ok(Self::of(vec![Key::secret(secret)?]))
    }

    /// A public key in PEM: alone, or in a certificate.
    ///
    /// # Errors
    /// What is wrong with it, and what to do.
    pub fn pem(text: &[u8]) -> Result<Self, String> {
        Ok(Self::of(vec![pem::public_key(text)?]))
    }

    /// The keys of a JSON Web Key Set (RFC 7517) that can be used; the others are passed over.
    ///
    /// # Errors
    /// It is no set, or no key in it can be used.
    pub fn jwks(text: &[u8]) -> Result<Self, String> {
        Ok(Self::of(jwks::read(text, jwks::From::File)?.keys))
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Key> {
        self.0.iter()
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySet({} keys)", self.len())
    }
}
