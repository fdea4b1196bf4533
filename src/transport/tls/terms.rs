//! What the server agrees to in a handshake: certificates, keys, whose clients are believed, versions.
//!
//! [`Terms::load`] reads files and may block; it is called at the start and when the files are to be read again.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use log::warn;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, Error, InconsistentKeys, RootCertStore, ServerConfig};
use zeroize::{Zeroize as _, Zeroizing};

use super::{names, pem};
use crate::config::{Certificate, ClientCertificates, Listen, TlsConfig};
use crate::secret_file::SecretFile;

/// The longest file, in bytes: large authorities' revocation lists have some MiB.
const MAX_FILE_BYTES: usize = 64 << 20;

/// What a daemon agrees to in a handshake. A clone is the same terms.
#[derive(Clone)]
pub(crate) struct Terms {
    config: Arc<ServerConfig>,
    /// Those of addresses at which clients are asked for no certificate, if there are such, and the other addresses.
    unasked: Option<Arc<(Arc<ServerConfig>, Vec<Listen>)>>,
    /// What judges the certificates of clients; `None`: clients are not asked for one.
    clients: Option<Arc<dyn ClientCertVerifier>>,
    number: u32,
}

impl Terms {
    /// Reads the files that the configuration names.
    ///
    /// # Errors
    /// A sentence that names the first file that is of no use, and says why.
    pub(crate) fn load(config: &TlsConfig) -> Result<Terms, String> {
        Terms::load_from(config, &read)
    }

    /// The same, of files that are read by `read`.
    ///
    /// # Errors
    /// The same, and those of `read`.
    pub(super) fn load_from(config: &TlsConfig, read: ReadFile<'_>) -> Result<Terms, String> {
        let mut provider = aws_lc_rs::default_provider();
        provider
            .cipher_suites
            .sort_by_key(|suite| cost(suite.suite()));
        let provider = Arc::new(provider);
        let mut chosen = Chosen::default();
        for certificate in config.certificates() {
            chosen.add(&certificate, read)?;
        }
        if chosen.default.is_none() {
            return Err("TLS needs a certificate: give --tls-cert and --tls-key".into());
        }
        let chosen = Arc::new(chosen);
        let clients = client_verifier(config, &provider, read)?;
        let unasked = match config.client_at.is_empty() {
            true => None,
            false => {
                let terms = server_config(&provider, &chosen, None)?;
                Some(Arc::new((terms, config.client_at.clone())))
            }
        };
        static LOADED: AtomicU32 = AtomicU32::new(0);
        Ok(Terms {
            config: server_config(&provider, &chosen, clients.clone())?,
            unasked,
            clients,
            number: LOADED.fetch_add(1, Ordering::Relaxed),
        })
    }

    /// What is agreed to where clients come by this address.
    pub(crate) fn at(&self, address: &Listen) -> Terms {
        match self.unasked.as_deref() {
            Some((unasked, asked)) if !asked.contains(address) => Terms {
                config: Arc::clone(unasked),
                ..self.clone()
            },
            _ => self.clone(),
        }
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Other terms have another number, as long as there are not more than 2^32.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    /// Whether a client may come in with these certificates, its own and then those of the authorities between. Where clients are
    /// not asked for one, none is good.
    pub(super) fn accept_client(&self, certificates: &[CertificateDer<'_>]) -> bool {
        let (Some(clients), Some((own, between))) = (&self.clients, certificates.split_first())
        else {
            return false;
        };
        let verified = clients.verify_client_cert(own, between, UnixTime::now());
        verified.is_ok()
    }
}

/// The same as rustls has it. Its session tickets are of use with it alone: who was asked for no certificate does not resume where one is
/// asked for.
fn server_config(
    provider: &Arc<CryptoProvider>,
    chosen: &Arc<Chosen>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<Arc<ServerConfig>, String> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("cannot use TLS: {error}"))?;
    let builder = match clients {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut terms = builder.with_cert_resolver(Arc::clone(chosen) as Arc<dyn ResolvesServerCert>);
    // A client without an instruction for AES asks for ChaCha20, which takes the daemon several times as long.
    terms.ignore_client_order = true;
    terms.alpn_protocols = vec![b"http/1.1".to_vec()];
    terms.session_storage = Arc::new(NoServerSessionStorage {});
    // Its keys are new with each load: a ticket of a client whose certificate was revoked meanwhile is of no use.
    terms.ticketer = aws_lc_rs::Ticketer::new()
        .map_err(|error| format!("cannot make keys for session tickets: {error}"))?;
    Ok(Arc::new(terms))
}

/// Which cipher suites are agreed to before others: by what they take.
fn cost(suite: CipherSuite) -> u8 {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256
        | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
        | CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => 0,
        CipherSuite::TLS13_AES_256_GCM_SHA384
        | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
        | CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => 1,
        _ => 2,
    }
}

/// Without keys.
impl fmt::Debug for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Terms")
    }
}

/// The certificates, by the names that clients ask for (RFC 6066 §3).
#[derive(Default)]
struct Chosen {
    /// The certificates for a name, with `*.` before it for one label more, in the order of the configuration.
    by_name: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// For clients that ask for no name, or for one that nobody has.
    default: Option<Arc<CertifiedKey>>,
}

impl Chosen {
    fn add(&mut self, of: &Certificate, read: ReadFile<'_>) -> Result<(), String> {
        let key = Arc::new(certified_key(of, read)?);
        let end_entity = key.cert.first().map(|der| der.as_ref()).unwrap_or_default();
        let names = match of.names.is_empty() {
            true => names::hosts(end_entity),
            false => of.names.iter().map(|n| n.to_ascii_lowercase()).collect(),
        };
        for name in names {
            self.by_name.entry(name).or_default().push(Arc::clone(&key));
        }
        self.default.get_or_insert(key);
        Ok(())
    }

    /// Those for a name: its own, or else those for any label in the place of its first.
    fn for_name(&self, name: &str) -> &[Arc<CertifiedKey>] {
        let name = name.to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name);
        let found = self.by_name.get(name).or_else(|| {
            let (_, parent) = name.split_once('.')?;
            self.by_name.get(&format!("*.{parent}"))
        });
        found.map_or(&[], |keys| keys)
    }
}

impl ResolvesServerCert for Chosen {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let fitting = hello
            .server_name()
            .map_or(&[][..], |name| self.for_name(name));
        let schemes = hello.signature_schemes();
        // One name may have certificates of several kinds of key.
        let usable = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(schemes).is_some();
        let key = fitting.iter().find(usable).or_else(|| fitting.first());
        key.or(self.default.as_ref()).cloned()
    }
}

impl fmt::Debug for Chosen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_name.keys()).finish()
    }
}

/// A chain and its key.
fn certified_key(of: &Certificate, read: ReadFile<'_>) -> Result<CertifiedKey, String> {
    let chain = pem::certificates(&read(&of.cert)?).map_err(|why| named(&of.cert, &why))?;
    let text = read(&of.key)?;
    let mut key = pem::key(&text).map_err(|why| named(&of.key, &why))?;
    let loaded = aws_lc_rs::sign::any_supported_type(&key);
    key.zeroize();
    let loaded = loaded.map_err(|_| {
        let why = "has a key that cannot be used: give an ECDSA key (P-256, P-384, P-521), an Ed25519 key or an RSA key of 2048 bits or more";
        named(&of.key, why)
    })?;
    if let Some(why) = chain.first().and_then(|der| names::out_of_date(der)) {
        warn!("{}: the certificate {why}", of.cert.display());
    }
    let certified = CertifiedKey::new(chain, loaded);
    match certified.keys_match() {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(Error::InconsistentKeys(_)) => Err(format!(
            "the key in {} is not that of the first certificate in {}",
            of.key.display(),
            of.cert.display()
        )),
        Err(error) => Err(named(&of.cert, &format!("cannot be used: {error}"))),
    }
}

/// What judges the certificates of clients, if anything does.
fn client_verifier(
    config: &TlsConfig,
    provider: &Arc<CryptoProvider>,
    read: ReadFile<'_>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
    let Some(file) = &config.client_ca else {
        return Ok(None);
    };
    let mut roots = RootCertStore::empty();
    for root in pem::certificates(&read(file)?).map_err(|why| named(file, &why))? {
        let added = roots.add(root);
        added.map_err(|error| named(file, &format!("has no good authority: {error}")))?;
    }
    let mut lists: Vec<CertificateRevocationListDer<'static>> = Vec::new();
    for file in &config.crl {
        let found = pem::revocation_lists(&read(file)?).map_err(|why| named(file, &why))?;
        lists.extend(found);
    }
    let builder =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = builder.with_crls(lists);
    let builder = match config.client {
        ClientCertificates::Optional => builder.allow_unauthenticated(),
        ClientCertificates::Required => builder,
    };
    let verifier = builder.build();
    verifier.map(Some).map_err(|error| {
        let files: Vec<_> = config.crl.iter().map(|f| f.display().to_string()).collect();
        format!(
            "{}: a revocation list cannot be used: {error}",
            files.join(", ")
        )
    })
}

/// How a file is read.
pub(super) type ReadFile<'a> = &'a dyn Fn(&Path) -> Result<Zeroizing<Vec<u8>>, String>;

/// A file's bytes, wiped when they are dropped.
fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let file = SecretFile::read(path, MAX_FILE_BYTES);
    let file = file.map_err(|why| format!("{}: {why}", path.display()))?;
    Ok(file.into_bytes())
}

fn named(path: &Path, why: &str) -> String {
    format!("{} {why}", path.display())
}
