//! Keys from files.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use zeroize::Zeroizing;

use super::keys::{Key, KeySet};
use super::{Terms, Verifier, jwks, pem};
use crate::config::TokenConfig;

/// The longest file of a secret or a key, in bytes.
const MAX_KEY_FILE_BYTES: usize = 64 << 10;

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
    let file = open(path)?;
    if is_readable_by_others(&file) {
        log::warn!(
            "{} can be read by every user of this machine, and with the secret in it anybody makes tokens: \
             chmod o-r it",
            path.display()
        );
    }
    secret_in(&contents(file, MAX_KEY_FILE_BYTES)?)
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
const MAKE_SECRET: &str = "make one with `openssl rand -base64 48`";

/// Text files end with a line break, which is no part of the secret.
pub(super) fn without_line_break(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

fn public_key_of(path: &Path) -> Result<Key, String> {
    pem::public_key(&contents(open(path)?, MAX_KEY_FILE_BYTES)?)
}

fn set_of(path: &Path) -> Result<Vec<Key>, String> {
    let set = jwks::read(&contents(open(path)?, MAX_SET_BYTES)?, jwks::From::File)?;
    for note in &set.notes {
        log::warn!("{}: {note}", path.display());
    }
    Ok(set.keys)
}

pub(super) fn open(path: &Path) -> Result<File, String> {
    let opened = File::open(path).and_then(|file| match file.metadata()?.is_dir() {
        true => Err(io::ErrorKind::IsADirectory.into()),
        false => Ok(file),
    });
    opened.map_err(|error| format!("the file can't be read: {error}"))
}

/// All bytes of a file, wiped when they go.
pub(super) fn contents(file: File, max_bytes: usize) -> Result<Zeroizing<Vec<u8>>, String> {
    // All the room that may be needed: what grows leaves a copy of what it held.
    let mut bytes = Zeroizing::new(Vec::with_capacity(max_bytes + 1));
    let mut most = file.take(max_bytes as u64 + 1);
    if let Err(error) = most.read_to_end(&mut bytes) {
        return Err(format!("the file can't be read: {error}"));
    }
    if bytes.len() > max_bytes {
        return Err(format!("the file has more than {max_bytes} bytes"));
    }
    Ok(bytes)
}

/// Whether a user who is neither the owner nor of the group may read it.
pub(super) fn is_readable_by_others(file: &File) -> bool {
    let metadata = file.metadata();
    metadata.is_ok_and(|metadata| metadata.is_file() && metadata.mode() & 0o004 != 0)
}
