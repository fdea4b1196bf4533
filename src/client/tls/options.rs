//! Which certificates a client accepts and shows, and the files that they come from.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use zeroize::Zeroizing;

use super::verifier::{Any, FromFile};
use super::{TlsError, explain};
use crate::secret_file::SecretFile;

/// The longest file of certificates, in bytes: a system's bundle has a quarter of a MiB.
const MAX_FILE: usize = 4 << 20;

/// The name by which HTTP/1.1 is agreed on (RFC 7301 §6).
const HTTP: &[u8] = b"http/1.1";

/// The authorities that are believed to know which server is which.
#[derive(Clone, Default, PartialEq, Eq)]
enum Trust {
    /// The system's authorities.
    #[default]
    System,
    /// Those in this file.
    File(PathBuf),
    /// Everybody.
    Anybody,
}

/// What a client wants of its encrypted connections.
#[derive(Clone, Default)]
pub(in crate::client) struct Options {
    trust: Trust,
    /// Where this client's certificate and its key are.
    certificate: Option<(PathBuf, PathBuf)>,
    /// What was made of the files last: for all clones, so that their sessions are resumed (RFC 8446 §2.2).
    loaded: Arc<Mutex<Option<Loaded>>>,
}

/// What was made of these files.
struct Loaded {
    files: Files,
    config: Arc<ClientConfig>,
}

/// The bytes of the files, as far as there are some.
#[derive(PartialEq, Eq)]
struct Files {
    authorities: Option<Zeroizing<Vec<u8>>>,
    certificate: Option<[Zeroizing<Vec<u8>>; 2]>,
}

impl Options {
    pub(in crate::client) fn with_authorities(self, path: &Path) -> Self {
        Self {
            trust: Trust::File(path.to_owned()),
            loaded: Arc::default(),
            ..self
        }
    }

    pub(in crate::client) fn with_anybody(self) -> Self {
        Self {
            trust: Trust::Anybody,
            loaded: Arc::default(),
            ..self
        }
    }

    pub(in crate::client) fn with_certificate(self, certificate: &Path, key: &Path) -> Self {
        Self {
            certificate: Some((certificate.to_owned(), key.to_owned())),
            loaded: Arc::default(),
            ..self
        }
    }

    /// What rustls wants to know. The files are read again each time, and what they said last holds while they cannot be used: a
    /// client that comes back after weeks has the certificate that was renewed meanwhile.
    pub(super) fn config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let files = self.read();
        if let (Ok(files), Some(loaded)) = (&files, &*loaded)
            && *files == loaded.files
        {
            return Ok(loaded.config.clone());
        }
        let made = files.and_then(|files| {
            let config = Arc::new(self.make(&files)?);
            Ok(Loaded { files, config })
        });
        match (made, &*loaded) {
            (Ok(made), _) => Ok(loaded.insert(made).config.clone()),
            (Err(error), Some(loaded)) => {
                log::warn!("{error}; what the files said before is used");
                Ok(loaded.config.clone())
            }
            (Err(error), None) => Err(error),
        }
    }

    fn read(&self) -> Result<Files, TlsError> {
        let authorities = match &self.trust {
            Trust::File(path) => Some(read(path)?),
            Trust::System | Trust::Anybody => None,
        };
        let certificate = match &self.certificate {
            Some((certificate, key)) => Some([read(certificate)?, read(key)?]),
            None => None,
        };
        Ok(Files {
            authorities,
            certificate,
        })
    }

    fn make(&self, files: &Files) -> Result<ClientConfig, TlsError> {
        // Given to each part: nothing is set for the whole process, which may have other users of rustls.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match (&self.trust, &files.authorities) {
            (Trust::Anybody, _) => Arc::new(Any(provider.clone())),
            (Trust::File(path), Some(pem)) => Arc::new(from_file(path, pem, &provider)?),
            _ => authorities(system()?, &provider)?,
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| explain(&error))?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match (&self.certificate, &files.certificate) {
            (Some((path, key_path)), Some([certificate, key])) => {
                let chain = certificates(path, certificate)?;
                let key = PrivateKeyDer::from_pem_slice(key)
                    .map_err(|_| file(key_path, NO_KEY.to_owned()))?;
                builder.with_client_auth_cert(chain, key).map_err(|error| {
                    let why = format!("the key does not go with the certificate, or is of a kind that is not known: {error}");
                    file(key_path, why)
                })?
            }
            _ => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![HTTP.to_vec()];
        Ok(config)
    }
}

const NO_KEY: &str = "it has no private key in PEM (-----BEGIN PRIVATE KEY-----), or it has a password, which is not supported";

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("trusts_anybody", &(self.trust == Trust::Anybody))
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

fn file(path: &Path, why: String) -> TlsError {
    let path = path.to_owned();
    TlsError::File { path, why }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    let read = SecretFile::read(path, MAX_FILE);
    let read = read.map_err(|why| file(path, why))?;
    Ok(read.into_bytes())
}

/// The certificates in a file, of which there must be one.
fn certificates(path: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => {
            let why = "it has no certificate in PEM (-----BEGIN CERTIFICATE-----)";
            Err(file(path, why.to_owned()))
        }
        Err(error) => Err(file(path, format!("it is not good PEM: {error}"))),
    }
}

fn from_file(
    path: &Path,
    pem: &[u8],
    provider: &Arc<CryptoProvider>,
) -> Result<FromFile, TlsError> {
    let certificates = certificates(path, pem)?;
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        let added = roots.add(certificate.clone());
        added
            .map_err(|error| file(path, format!("a certificate in it makes no sense: {error}")))?;
    }
    Ok(FromFile {
        authorities: authorities(roots, provider)?,
        certificates,
    })
}

fn authorities(
    roots: RootCertStore,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, TlsError> {
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .map_err(|error| TlsError::Protocol(error.to_string()))
}

/// The system's authorities.
fn system() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Large bundles have some that nobody can read any more.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map(ToString::to_string);
        let why = why.unwrap_or_else(|| "none were found".to_owned());
        return Err(TlsError::NoAuthorities(why));
    }
    Ok(roots)
}
