//! What is in a PEM file (RFC 7468): certificates, a key, revocation lists.
//!
//! Errors are words that follow the file's name.

use rustls::pki_types::pem::{Error, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

/// The certificates, in their order; at least one.
///
/// # Errors
/// What is wrong with the file.
pub(super) fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    all(text, "certificate", "CERTIFICATE")
}

/// The revocation lists; at least one.
///
/// # Errors
/// What is wrong with the file.
pub(super) fn revocation_lists(
    text: &[u8],
) -> Result<Vec<CertificateRevocationListDer<'static>>, String> {
    all(text, "revocation list", "X509 CRL")
}

/// The first private key, in one of the forms PKCS #8, PKCS #1 and SEC1.
///
/// # Errors
/// What is wrong with the file. Nothing of the key is in it.
pub(super) fn key(text: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    match PrivateKeyDer::from_pem_slice(text) {
        Ok(key) => Ok(key),
        Err(Error::NoItemsFound) if is_encrypted(text) => Err(
            "has a key that needs a password: take it away with `openssl pkey -in OLD -out NEW`"
                .into(),
        ),
        Err(Error::NoItemsFound) => Err(
            "has no private key: it begins with a line such as -----BEGIN PRIVATE KEY-----".into(),
        ),
        Err(_) => Err("is not a PEM file that can be read: something is cut off or changed".into()),
    }
}

/// Whether there is a key that is encrypted: in the form PKCS #8, or in the old one with its headers.
fn is_encrypted(text: &[u8]) -> bool {
    let has = |words: &[u8]| memchr::memmem::find(text, words).is_some();
    has(b"-----BEGIN ENCRYPTED PRIVATE KEY-----") || has(b"Proc-Type: 4,ENCRYPTED")
}

fn all<T: PemObject>(text: &[u8], what: &str, label: &str) -> Result<Vec<T>, String> {
    let found: Result<Vec<T>, Error> = T::pem_slice_iter(text).collect();
    match found {
        Ok(all) if all.is_empty() => Err(format!(
            "has no {what}: it begins with the line -----BEGIN {label}-----"
        )),
        Ok(all) => Ok(all),
        Err(error) => Err(format!("is not a PEM file that can be read: {error}")),
    }
}
