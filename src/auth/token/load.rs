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
    let file = KeyFile::read(path)?;
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
    pem::public_key(KeyFile::read(path)?.bytes())
}

fn set_of(path: &Path) -> Result<Vec<Key>, String> {
    let set = jwks::read(
        KeyFile::read_up_to(path, MAX_SET_BYTES)?.bytes(),
        jwks::From::File,
    )?;
    for note in &set.notes {
        log::warn!("{}: {note}", path.display());
    }
    Ok(set.keys)
}

/// The bytes of a file that holds a key, wiped when they go.
pub struct KeyFile {
    bytes: Zeroizing<Vec<u8>>,
    is_readable_by_others: bool,
}

impl KeyFile {
    /// Reads a file that holds a secret or a key, of at most 64 KiB.
    ///
    /// # Errors
    /// It can't be read, or is longer.
    pub fn read(path: &Path) -> Result<Self, String> {
        Self::read_up_to(path, MAX_KEY_FILE_BYTES)
    }

    /// The same, of at most so many bytes.
    pub(in crate::auth) fn read_up_to(path: &Path, max_bytes: usize) -> Result<Self, String> {
        let result = Self::try_read(path, max_bytes);
        let file = result.map_err(|error| format!("the file can't be read: {error}"))?;
        match file.bytes.len() > max_bytes {
            true => Err(format!("the file has more than {max_bytes} bytes")),
            false => Ok(file),
        }
    }

    /// Reads at most a byte more.
    fn try_read(path: &Path, max_bytes: usize) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        // All the room that may be needed: what grows leaves a copy of what it held.
        let mut bytes = Zeroizing::new(Vec::with_capacity(max_bytes + 1));
        file.take(max_bytes as u64 + 1).read_to_end(&mut bytes)?;
        Ok(Self {
            bytes,
            is_readable_by_others: metadata.is_file() && metadata.mode() & 0o004 != 0,
        })
    }

    /// What is in it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether a user who is neither the file's owner nor of its group may read it.
    pub fn is_readable_by_others(&self) -> bool {
        self.is_readable_by_others
    }
}
