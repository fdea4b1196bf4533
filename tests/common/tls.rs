//! Certificates of a test's own, rustls' client, and a server of TLS in front of a server that speaks none.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SerialNumber, date_time_ymd,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, ServerConfig, ServerConnection,
    StreamOwned,
};

use super::PATIENCE;

/// An authority, whose certificate and whatever it signs lie in files that go away with it.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: PathBuf,
}

/// A certificate and its key, in files and as rustls has them.
pub struct Certificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
    der: CertificateDer<'static>,
    key_der: Vec<u8>,
}

impl Authority {
    /// A new one.
    pub fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("fanfare-tls-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).expect("a directory");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        // Authorities are told from each other by their names.
        let name = format!("authority {number}");
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let this = Self { issuer, directory };
        std::fs::write(this.file(), this.issuer.pem()).expect("it is written");
        this
    }

    /// The file with its certificate.
    pub fn file(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// The path of a file in its directory, as it stands on a command line.
    pub fn path(&self, name: &str) -> String {
        argument(&self.directory.join(name)).to_owned()
    }

    /// A file in its directory. As those who renew certificates do it: all of it is there at once.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let (draft, path) = (self.directory.join("draft"), self.directory.join(name));
        std::fs::write(&draft, content).expect("it is written");
        std::fs::rename(draft, &path).expect("it is written");
        path
    }

    /// Makes `STEM.pem` and `STEM.key` for these names, with this serial number.
    pub fn certify(&self, stem: &str, names: &[&str], serial: u64) {
        let mut params = params(names);
        params.serial_number = Some(SerialNumber::from(serial));
        let key = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&key, &self.issuer).expect("it is signed");
        self.write(&format!("{stem}.pem"), &signed.pem());
        self.write(&format!("{stem}.key"), &key.serialize_pem());
    }

    /// Makes a revocation list of these serial numbers.
    pub fn revoke(&self, name: &str, serials: &[u64]) {
        let time = date_time_ymd(2024, 1, 1);
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: time,
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: time,
            next_update: date_time_ymd(2060, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).expect("a list");
        self.write(name, &list.pem().expect("PEM"));
    }

    /// A client that believes this authority, and presents the certificate of this stem.
    pub fn client(&self, own: Option<&str>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        let added = roots.add(self.issuer.der().clone());
        added.expect("a good certificate");
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let Some(stem) = own else {
            return builder.with_no_client_auth();
        };
        let certificate = CertificateDer::from_pem_file(self.path(&format!("{stem}.pem")));
        let key = PrivateKeyDer::from_pem_file(self.path(&format!("{stem}.key")));
        let certificate = certificate.expect("a certificate");
        let client = builder.with_client_auth_cert(vec![certificate], key.expect("a key"));
        client.expect("they go together")
    }

    /// A certificate for these names and addresses.
    pub fn sign(&self, names: &[&str]) -> Certificate {
        self.sign_with(names, |_| {})
    }

    /// The same, that was valid once.
    pub fn sign_expired(&self, names: &[&str]) -> Certificate {
        self.sign_with(names, |params| {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        })
    }

    fn sign_with(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Certificate {
        let mut params = params(names);
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&key, &self.issuer).expect("it is signed");
        self.certificate(&signed, &key)
    }

    /// A certificate that signs itself, and says that it is an authority's, as `openssl req -x509` makes one.
    pub fn own(&self, names: &[&str]) -> Certificate {
        let mut params = params(names);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.extended_key_usages = Vec::new();
        let key = KeyPair::generate().expect("a key");
        let signed = params.self_signed(&key).expect("it is signed");
        self.certificate(&signed, &key)
    }

    fn certificate(&self, signed: &rcgen::Certificate, key: &KeyPair) -> Certificate {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Certificate {
            certificate: self.write(&format!("{number}.pem"), &signed.pem()),
            key: self.write(&format!("{number}.key"), &key.serialize_pem()),
            der: signed.der().clone(),
            key_der: key.serialize_der(),
        }
    }

    /// What a server with this certificate needs; with `clients`, it wants certificates of these authorities' from its clients.
    pub fn server(certificate: &Certificate, clients: Option<&Authority>) -> Arc<ServerConfig> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("versions");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                let added = roots.add(authority.issuer.der().clone());
                added.expect("a good certificate");
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.expect("a verifier"))
            }
        };
        let key = PrivateKeyDer::try_from(certificate.key_der.clone()).expect("a key");
        let mut config = builder
            .with_single_cert(vec![certificate.der.clone()], key)
            .expect("they go together");
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("good names");
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params
}

/// A client's connection.
pub type Stream = StreamOwned<ClientConnection, TcpStream>;

/// A connection to a daemon that is asked for by `name`. It shakes hands when something is written or read.
pub fn connect(address: SocketAddr, name: &str, client: ClientConfig) -> Stream {
    let stream = TcpStream::connect(address).expect("the daemon accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let session = ClientConnection::new(client.into(), name).expect("a client");
    StreamOwned::new(session, stream)
}

/// A server of TLS that hands what it decrypts to another server, and back.
pub struct Front {
    pub port: u16,
    /// How many connections resumed a session.
    pub resumed: Arc<AtomicU64>,
}

impl Front {
    /// One in front of the server at this URL or address, `ws://127.0.0.1:PORT`.
    pub fn start(to: &str, config: Arc<ServerConfig>) -> Self {
        let to: SocketAddr = to.trim_start_matches("ws://").parse().expect("an address");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let resumed = Arc::new(AtomicU64::new(0));
        let counted = resumed.clone();
        thread::spawn(move || {
            for near in listener.incoming() {
                let (near, config, counted) = (near.expect("one"), config.clone(), counted.clone());
                thread::spawn(move || relay(near, config, to, &counted));
            }
        });
        Self { port, resumed }
    }

    /// Its URL, with this host.
    pub fn url(&self, host: &str) -> String {
        format!("wss://{host}:{}", self.port)
    }
}

fn relay(mut near: TcpStream, config: Arc<ServerConfig>, to: SocketAddr, resumed: &AtomicU64) {
    near.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let mut tls = ServerConnection::new(config).expect("a connection");
    while tls.is_handshaking() {
        if tls.complete_io(&mut near).is_err() {
            // The client is to read why.
            let _ = near.shutdown(Shutdown::Write);
            let _ = std::io::copy(&mut near, &mut std::io::sink());
            return;
        }
    }
    if tls.handshake_kind() == Some(HandshakeKind::Resumed) {
        resumed.fetch_add(1, Ordering::Relaxed);
    }
    let far = TcpStream::connect(to).expect("the server is there");
    let tls = Arc::new(Mutex::new(tls));
    let back = (
        far.try_clone().expect("another handle"),
        near.try_clone().expect("another handle"),
        tls.clone(),
    );
    thread::spawn(move || encrypt(back.0, back.1, &back.2));
    decrypt(near, far, &tls);
}

fn decrypt(mut near: TcpStream, mut far: TcpStream, tls: &Mutex<ServerConnection>) {
    let mut buffer = vec![0; 16 << 10];
    let mut read = 0;
    loop {
        // The first of it came with the handshake.
        let mut unread = &buffer[..read];
        loop {
            let mut plain = Vec::new();
            let mut tls = tls.lock().expect("no panic");
            let taken = unread.is_empty() || tls.read_tls(&mut unread).is_ok_and(|taken| taken > 0);
            let good = taken && tls.process_new_packets().is_ok();
            let _ = tls.reader().read_to_end(&mut plain);
            while tls.wants_write() && tls.write_tls(&mut near).is_ok() {}
            drop(tls);
            if far.write_all(&plain).is_err() || !good || unread.is_empty() {
                break;
            }
        }
        match near.read(&mut buffer) {
            Ok(more @ 1..) => read = more,
            _ => break,
        }
    }
    let _ = far.shutdown(Shutdown::Write);
}

fn encrypt(mut far: TcpStream, mut near: TcpStream, tls: &Mutex<ServerConnection>) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(read @ 1..) = far.read(&mut buffer) {
        let mut tls = tls.lock().expect("no panic");
        tls.writer()
            .write_all(&buffer[..read])
            .expect("it has room");
        while tls.wants_write() {
            if tls.write_tls(&mut near).is_err() {
                return;
            }
        }
    }
    let mut tls = tls.lock().expect("no panic");
    tls.send_close_notify();
    let _ = tls.write_tls(&mut near);
    let _ = near.shutdown(Shutdown::Write);
}

/// What a path is on a command line.
pub fn argument(path: &Path) -> &str {
    path.to_str().expect("it is UTF-8")
}
