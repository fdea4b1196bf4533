//! TLS 1.3 on the load's side, and the certificate that the server under test has.
//!
//! Every server is asked for the same: ECDSA P-256, X25519, AES-128-GCM, no resumption. So what differs is the servers.

use std::io::{self, BufRead as _, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::TLS13;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
};

/// The names of its files.
const CHAIN: &str = "cert.pem";
const KEY: &str = "key.pem";

/// A certificate for this machine with its key, in files that go with it.
pub(crate) struct Certificate {
    folder: PathBuf,
    client: Arc<ClientConfig>,
}

impl Certificate {
    /// A new one.
    ///
    /// # Errors
    /// Its files can't be written.
    pub(crate) fn new() -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let names = ["localhost", "127.0.0.1"].map(str::to_owned);
        let certificate = CertificateParams::new(names)?.self_signed(&key)?;
        let name = format!("loadtest-{}-{count}", std::process::id());
        let made = Self {
            folder: std::env::temp_dir().join(name),
            client: Arc::new(client(certificate.der().clone())?),
        };
        std::fs::create_dir(&made.folder)
            .with_context(|| format!("can't make {}", made.folder.display()))?;
        made.write(CHAIN, &certificate.pem())?;
        made.write(KEY, &key.serialize_pem())?;
        Ok(made)
    }

    /// The file that it is in, in PEM.
    pub(crate) fn chain(&self) -> PathBuf {
        self.folder.join(CHAIN)
    }

    /// The file that its key is in, in PEM.
    pub(crate) fn key(&self) -> PathBuf {
        self.folder.join(KEY)
    }

    /// Writes another file beside them, and says where it is.
    ///
    /// # Errors
    /// It can't be written.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))?;
        Ok(path)
    }

    /// How a client speaks to the server that has it.
    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.client)
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        // A file that stays behind harms nobody.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn client(certificate: CertificateDer<'static>) -> Result<ClientConfig> {
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites = vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256];
    provider.kx_groups = vec![aws_lc_rs::kx_group::X25519];
    let provider = Arc::new(provider);
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned {
            certificate,
            provider,
        }))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Believes one certificate, without looking at what is in it.
#[derive(Debug)]
struct Pinned {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *end_entity == self.certificate {
            return Ok(ServerCertVerified::assertion());
        }
        Err(Error::General("the server has another certificate".into()))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 was not offered".into()))
    }

    /// Takes any signature: checking one takes longer than all that the server does for a handshake, and the load must not
    /// be the slower side. That the signature is of the right kind is checked by rustls.
    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// The client's side of a TLS connection, over a socket that does not block.
pub(crate) struct Session(Box<ClientConnection>);

impl Session {
    /// A new one; its first message waits to be sent.
    ///
    /// # Errors
    /// rustls' own.
    pub(crate) fn new(config: &Arc<ClientConfig>, address: SocketAddr) -> Result<Self> {
        let mut session = ClientConnection::new(Arc::clone(config), address.ip().into())?;
        // What the load sends is as much as it has to.
        session.set_buffer_limit(None);
        Ok(Self(Box::new(session)))
    }

    /// Takes what is to be sent.
    ///
    /// # Errors
    /// The server has said that nothing more is to come.
    pub(crate) fn write(&mut self, plaintext: &[u8]) -> io::Result<()> {
        self.0.writer().write_all(plaintext)
    }

    /// Bytes wait to be sent.
    pub(crate) fn wants_write(&self) -> bool {
        self.0.wants_write()
    }

    /// Sends some of what waits, and how many bytes that were.
    ///
    /// # Errors
    /// The socket's.
    pub(crate) fn send(&mut self, socket: &mut dyn Write) -> io::Result<usize> {
        self.0.write_tls(socket)
    }

    /// Decrypts a part of `received`, from its beginning on, and takes it off.
    ///
    /// # Errors
    /// It breaks TLS.
    pub(crate) fn decrypt(&mut self, received: &mut &[u8]) -> Result<()> {
        self.0.read_tls(received)?;
        self.0.process_new_packets()?;
        Ok(())
    }

    /// Appends what was decrypted to `plaintext`; `false` if the server has said that nothing more will come.
    ///
    /// # Errors
    /// None but rustls' own.
    pub(crate) fn take(&mut self, plaintext: &mut Vec<u8>) -> Result<bool> {
        let mut reader = self.0.reader();
        loop {
            match reader.fill_buf() {
                Ok([]) => return Ok(false),
                Ok(chunk) => {
                    let len = chunk.len();
                    plaintext.extend_from_slice(chunk);
                    reader.consume(len);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether the server has finished the handshake: it has sent the tickets that come after the client's last word.
    pub(crate) fn is_done_for_the_server(&self) -> bool {
        self.0.tls13_tickets_received() > 0
    }
}

/// A stream that blocks.
pub(crate) trait Duplex: Read + Write + Send {}

impl<T: Read + Write + Send> Duplex for T {}

/// Encrypts a socket that blocks.
///
/// # Errors
/// rustls' own.
pub(crate) fn encrypted(
    socket: std::net::TcpStream,
    config: &Arc<ClientConfig>,
) -> Result<Box<dyn Duplex>> {
    let address = socket.peer_addr()?;
    let session = ClientConnection::new(Arc::clone(config), address.ip().into())?;
    Ok(Box::new(StreamOwned::new(session, socket)))
}
