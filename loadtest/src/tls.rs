//! TLS 1.3 on the load's side, and the certificate that the server under test has.
//!
//! Every server is asked for the same: ECDSA P-256, X25519, AES-128-GCM, no resumption. So what differs is the servers.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConnectionData, Resumption, UnbufferedClientConnection};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::unbuffered::{ConnectionState, WriteTraffic};
use rustls::version::TLS13;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
};

/// The largest plaintext of a record (RFC 8446 §5.1), and what comes with one: its header, type and tag.
const RECORD_MAX: usize = 16 << 10;
const RECORD_OVERHEAD: usize = 5 + 1 + 16;
/// The longest message of a handshake that is sent here.
const FLIGHT_MAX: usize = 4 << 10;

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

/// The client's side of a TLS connection. No I/O: what is received is decrypted where it lies.
pub(crate) struct Session {
    connection: Box<UnbufferedClientConnection>,
    /// Ciphertext that waits to be sent, and how much of it is.
    out: Vec<u8>,
    sent: usize,
    /// What was received and is not a whole record yet.
    rest: Vec<u8>,
    /// What is to be sent once the handshake is over, until then.
    early: Option<Vec<u8>>,
}

impl Session {
    /// A new one; its first message waits to be sent.
    ///
    /// # Errors
    /// rustls' own.
    pub(crate) fn new(config: &Arc<ClientConfig>, address: SocketAddr) -> Result<Self> {
        let name = address.ip().into();
        let connection = UnbufferedClientConnection::new(Arc::clone(config), name)?;
        let mut session = Self {
            connection: Box::new(connection),
            out: Vec::new(),
            sent: 0,
            rest: Vec::new(),
            early: Some(Vec::new()),
        };
        session.go_on(&mut [], &mut Vec::new())?;
        Ok(session)
    }

    /// Takes what is to be sent.
    ///
    /// # Errors
    /// The connection's keys are used up.
    pub(crate) fn write(&mut self, plaintext: &[u8]) -> Result<()> {
        if let Some(early) = &mut self.early {
            early.extend_from_slice(plaintext);
            return Ok(());
        }
        let state = self.connection.process_tls_records(&mut []).state?;
        match state {
            ConnectionState::WriteTraffic(traffic) => encrypt(traffic, plaintext, &mut self.out),
            other => bail!("nothing can be sent: {other:?}"),
        }
    }

    /// Bytes wait to be sent.
    #[inline]
    pub(crate) fn wants_write(&self) -> bool {
        self.sent < self.out.len()
    }

    /// Sends some of what waits.
    ///
    /// # Errors
    /// The socket's.
    pub(crate) fn send(&mut self, socket: &mut impl Write) -> io::Result<()> {
        self.sent += socket.write(&self.out[self.sent..])?;
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
        }
        Ok(())
    }

    /// Appends what was `received`, which is overwritten, to `plaintext` once it is decrypted.
    ///
    /// # Errors
    /// It breaks TLS, or ends it.
    pub(crate) fn decrypt(&mut self, received: &mut [u8], plaintext: &mut Vec<u8>) -> Result<()> {
        if self.rest.is_empty() {
            let used = self.go_on(received, plaintext)?;
            self.rest.extend_from_slice(&received[used..]);
            return Ok(());
        }
        let mut rest = std::mem::take(&mut self.rest);
        rest.extend_from_slice(received);
        let used = self.go_on(&mut rest, plaintext)?;
        rest.drain(..used);
        self.rest = rest;
        Ok(())
    }

    /// Does what can be done with what was received, and says how much of that it has used.
    fn go_on(&mut self, received: &mut [u8], plaintext: &mut Vec<u8>) -> Result<usize> {
        let mut used = 0;
        loop {
            let status = self.connection.process_tls_records(&mut received[used..]);
            used += status.discard;
            match status.state? {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        plaintext.extend_from_slice(record?.payload);
                    }
                }
                ConnectionState::EncodeTlsData(mut data) => {
                    let from = self.out.len();
                    self.out.resize(from + FLIGHT_MAX, 0);
                    let len = data.encode(&mut self.out[from..])?;
                    self.out.truncate(from + len);
                }
                // Whoever holds this sends it.
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::BlockedHandshake => return Ok(used),
                ConnectionState::WriteTraffic(traffic) => {
                    if let Some(early) = self.early.take() {
                        encrypt(traffic, &early, &mut self.out)?;
                    }
                    return Ok(used);
                }
                ConnectionState::PeerClosed | ConnectionState::Closed => {
                    bail!("closed without a close frame")
                }
                other => bail!("TLS has come to where it can't: {other:?}"),
            }
        }
    }

    /// Whether the server has finished the handshake: it has sent the tickets that come after the client's last word.
    pub(crate) fn is_done_for_the_server(&self) -> bool {
        self.connection.tls13_tickets_received() > 0
    }
}

/// Appends a plaintext to `out` once it is encrypted.
fn encrypt(
    mut traffic: WriteTraffic<'_, ClientConnectionData>,
    plaintext: &[u8],
    out: &mut Vec<u8>,
) -> Result<()> {
    if plaintext.is_empty() {
        return Ok(());
    }
    let from = out.len();
    let records = plaintext.len().div_ceil(RECORD_MAX);
    out.resize(from + plaintext.len() + records * RECORD_OVERHEAD, 0);
    let len = traffic.encrypt(plaintext, &mut out[from..])?;
    out.truncate(from + len);
    Ok(())
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
