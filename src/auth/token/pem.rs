//! Public keys as PEM: alone (RFC 7468 §13, §A of RFC 8017 for RSA's own form) or in a certificate.

use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::RSAPublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::keys::Key;

const EC_PUBLIC_KEY: &str = "1.2.840.10045.2.1";
const P256: &str = "1.2.840.10045.3.1.7";
const RSA_ENCRYPTION: &str = "1.2.840.113549.1.1.1";
const ED25519: &str = "1.3.101.112";

/// The public key in the bytes of a file. Of several certificates it is the first one's.
///
/// # Errors
/// What is wrong with it, and what to do.
pub(super) fn public_key(file: &[u8]) -> Result<Key, String> {
    let mut blocks = Pem::iter_from_buffer(file);
    let Some(Ok(block)) = blocks.next() else {
        return Err(
            "the file has no PEM: give a public key or a certificate that begins with -----BEGIN"
                .into(),
        );
    };
    if block.label != "CERTIFICATE" && blocks.next().is_some() {
        return Err(
            "the file has more than one key: give each in a file of its own, and repeat --jwt-key"
                .into(),
        );
    }
    match block.label.as_str() {
        "PUBLIC KEY" => match SubjectPublicKeyInfo::from_der(&block.contents) {
            Ok(([], info)) => of_info(&info),
            _ => Err("the public key in the file is broken".into()),
        },
        "CERTIFICATE" => match X509Certificate::from_der(&block.contents) {
            Ok(([], certificate)) => of_info(certificate.public_key()),
            _ => Err("the certificate in the file is broken".into()),
        },
        "RSA PUBLIC KEY" => of_rsa(&block.contents),
        label if label.ends_with("PRIVATE KEY") => Err(
            "the file has a private key, which stays with who makes tokens: give the public one, made with \
             `openssl pkey -in PRIVATE -pubout -out PUBLIC`"
                .into(),
        ),
        _ => Err("the file has PEM, but neither a public key nor a certificate".into()),
    }
}

fn of_info(info: &SubjectPublicKeyInfo<'_>) -> Result<Key, String> {
    let bytes: &[u8] = &info.subject_public_key.data;
    match info.algorithm.algorithm.to_id_string().as_str() {
        RSA_ENCRYPTION => of_rsa(bytes),
        EC_PUBLIC_KEY => {
            let curve = info.algorithm.parameters.as_ref();
            let curve = curve.and_then(|curve| curve.as_oid().ok());
            if curve.is_none_or(|curve| curve.to_id_string() != P256) {
                return Err(
                    "the key is on a curve that is not P-256: tokens are taken as ES256 only"
                        .into(),
                );
            }
            Key::p256(bytes).map_err(String::from)
        }
        ED25519 => Key::ed25519(bytes).map_err(String::from),
        _ => Err("the key is none of RSA, P-256 and Ed25519".into()),
    }
}

fn of_rsa(der: &[u8]) -> Result<Key, String> {
    match RSAPublicKey::from_der(der) {
        Ok(([], key)) => Key::rsa(key.modulus, key.exponent).map_err(String::from),
        _ => Err("the RSA key in the file is broken".into()),
    }
}
