//! Keys from files.

use std::path::Path;

use super::keys::{Key, KeySet};
use super::{Terms, Verifier, jwks, pem};
use crate::config::TokenConfig;
use crate::secret_file::SecretFile;

/// The longest JSON Web Key Set, in bytes.
pub(super) const MAX_SET_BYTES: usize = 1 << 20;

impl Verifier {
    /// Reads the files that hold keys. It blocks as long as the file system does. Keys from a URL are not fetched here: see
    /// [`Verifier::set_fetched`].
    ///
    /// # Errors
    /// Each file that can't be used, with what is wrong with it and what to do. They show nothing of a secret.
    pub fn load(config: &TokenConfig) -> Result<Self, Vec<String>> {
        let mut keys = Vec::new();
        let mut problems = Vec::new();
        let mut add = |path: &Path, result: Result<Vec<Key>, String>| match result {
            Ok(mut some) => keys.append(&mut some),
            Err(why) => problems.push(format!("{}: {why}", path.display())),
        };
        if let Some(path) = &config.secret_file {
            add(path, secret_of(path).map(|key| vec![key]));
        }
        for path in &config.keys {
            add(path, public_key_of(path).map(|key| vec![key]));
        }
        if let Some(path) = &config.jwks {
            add(path, set_of(path));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let terms = Terms {
            issuer: config.issuer.clone(),
            audience: config.audience.clone(),
            needs_expiry: config.needs_expiry,
            ..Terms::default()
        };
        let mut verifier = Self::new(KeySet::of(keys), terms);
        if config.jwks_url.is_some() {
            verifier.expect_fetched();
        }
        Ok(verifier)
    }
}

/// Reads a secret for HMAC: the file's bytes, without a line break at the end.
fn secret_of(path: &Path) -> Result<Key, String> {
    let file = read(path)?;
    if file.is_readable_by_others() {
        log::warn!(
            "{} can be read by every user of this machine, and with the secret in it anybody makes tokens: \
             chmod o-r it",
            path.display()
        );
    }
    secret_in(file.bytes())
}

/// The secret in the bytes of a file.
pub(super) fn secret_in(bytes: &[u8]) -> Result<Key, String> {
    let secret = without_line_break(bytes);
    if secret.starts_with(b"-----BEGIN ") {
        // A public key as a secret would be a secret that everybody knows (RFC 8725 §2.1).
        return Err("the file is PEM, not a secret: give a public key with --jwt-key".into());
    }
    Key::secret(secret).map_err(|why| format!("{why}: {MAKE_SECRET}"))
}

/// What to do where there is no good secret.
pub(super) const MAKE_SECRET: &str = "make one with `openssl rand -base64 48`";

/// Text files end with a line break, which is no part of the secret.
pub(super) fn without_line_break(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

fn public_key_of(path: &Path) -> Result<Key, String> {
    pem::public_key(read(path)?.bytes())
}

fn set_of(path: &Path) -> Result<Vec<Key>, String> {
    let file = SecretFile::read(path, MAX_SET_BYTES)?;
    let set = jwks::read(file.bytes(), jwks::From::File)?;
    for note in &set.notes {
        log::warn!("{}: {note}", path.display());
    }
    Ok(set.keys)
}

/// Reads a file that holds a secret or a key.
fn read(path: &Path) -> Result<SecretFile, String> {
    SecretFile::read(path, SecretFile::KEY_BYTES_MAX)
}
