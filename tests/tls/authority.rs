//! An authority, its certificates in files, and rustls' client.

#![allow(unreachable_pub, reason = "it is part of one test binary")]

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{
    CertificateParams, DistinguishedName, IsCa, Issuer, KeyPair, KeyUsagePurpose, SerialNumber,
};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::common::PATIENCE;

/// A client's connection.
pub type Stream = StreamOwned<ClientConnection, TcpStream>;

/// An authority, and a folder for what it makes, which goes with it.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
    folder: PathBuf,
}

impl Authority {
    /// One with its certificate in `root.pem`.
    pub fn new() -> Authority {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("fanfare-test-tls-{}-{count}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        // Authorities are told from each other by their names.
        params.distinguished_name = DistinguishedName::new();
        let common = format!("authority {count}");
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, common);
        let root = params.self_signed(&key).expect("a root");
        std::fs::write(folder.join("root.pem"), root.pem()).expect("a file");
        Authority {
            issuer: Issuer::new(params, key),
            root: root.der().clone(),
            folder,
        }
    }

    /// The path of one of its files.
    pub fn path(&self, name: &str) -> String {
        let path = self.folder.join(name);
        path.to_str().expect("a path of this test").to_owned()
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: &str) {
        // As those who renew certificates do: all of it is there at once.
        let draft = self.path("draft");
        std::fs::write(&draft, text).expect("a file");
        std::fs::rename(draft, self.path(name)).expect("a file");
    }

    /// Makes `STEM.pem` and `STEM.key` for these names.
    pub fn certify(&self, stem: &str, names: &[&str], serial: u64) {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names of this test");
        params.serial_number = Some(SerialNumber::from(serial));
        let signed = params.signed_by(&key, &self.issuer).expect("signed");
        self.write(&format!("{stem}.pem"), &signed.pem());
        self.write(&format!("{stem}.key"), &key.serialize_pem());
    }

    /// Makes a revocation list of these serial numbers.
    pub fn revoke(&self, name: &str, serials: &[u64]) {
        let time = rcgen::date_time_ymd(2024, 1, 1);
        let revoked = serials.iter().map(|serial| rcgen::RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: time,
            reason_code: None,
            invalidity_date: None,
        });
        let list = rcgen::CertificateRevocationListParams {
            this_update: time,
            next_update: rcgen::date_time_ymd(2060, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).expect("a list");
        self.write(name, &list.pem().expect("PEM"));
    }

    /// A client that believes this authority, and presents the certificate of this stem.
    pub fn client(&self, own: Option<&str>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.clone()).expect("a root");
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let Some(stem) = own else {
            return builder.with_no_client_auth();
        };
        let cert = self.path(&format!("{stem}.pem"));
        let key = self.path(&format!("{stem}.key"));
        let cert = CertificateDer::from_pem_file(cert).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(key).expect("a key");
        builder
            .with_client_auth_cert(vec![cert], key)
            .expect("a pair")
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A connection to a daemon that is asked for by `name`. It shakes hands when something is written or read.
pub fn connect(address: SocketAddr, name: &str, client: ClientConfig) -> Stream {
    let stream = TcpStream::connect(address).expect("the daemon accepts");
    let patience = Some(PATIENCE);
    stream.set_read_timeout(patience).expect("a timeout");
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let session = ClientConnection::new(client.into(), name).expect("a client");
    StreamOwned::new(session, stream)
}
