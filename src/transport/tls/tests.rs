//! TLS between a transport and rustls' own client, over a pair of sockets.

use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::net::UnixStream as Socket;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, DnValue, Issuer, KeyPair, SanType, SerialNumber,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};
use rustls::{DigitallySignedStruct, SignatureScheme};

use super::super::tests::pair;
use super::*;
use crate::config::{Certificate, ClientCertificates, TlsConfig};

/// rustls' client over a socket.
pub(in crate::transport) type Client = StreamOwned<ClientConnection, Socket>;

/// Files that are gone after the test.
struct Files(PathBuf);

impl Files {
    fn new() -> Files {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("fanfare-tls-{}-{count}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        Files(folder)
    }

    fn add(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).expect("a file");
        path
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).expect("names of this test")
}

/// A certificate that vouches for itself, in two files, and in DER.
fn self_signed(
    files: &Files,
    stem: &str,
    names: &[&str],
) -> (Certificate, CertificateDer<'static>) {
    let key = key();
    let signed = params(names).self_signed(&key).expect("a certificate");
    let certificate = Certificate {
        cert: files.add(&format!("{stem}.pem"), &signed.pem()),
        key: files.add(&format!("{stem}.key"), &key.serialize_pem()),
        names: Vec::new(),
    };
    (certificate, signed.der().clone())
}

fn config(certificate: &Certificate) -> TlsConfig {
    TlsConfig {
        cert: Some(certificate.cert.clone()),
        key: Some(certificate.key.clone()),
        ..TlsConfig::default()
    }
}

/// A certificate that a client presents.
type Own = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn client_of(roots: &[CertificateDer<'static>], own: Option<Own>) -> ClientConfig {
    client_with(roots, own, rustls::ALL_VERSIONS)
}

fn client_with(
    roots: &[CertificateDer<'static>],
    own: Option<Own>,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root.clone()).expect("a root");
    }
    let provider = std::sync::Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(store);
    match own {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).expect("a pair"),
    }
}

/// Shakes hands on both sides. What became of it for either.
fn shake(
    terms: &Terms,
    client: ClientConfig,
    name: &str,
) -> (Transport, Client, io::Result<()>, io::Result<()>) {
    shake_over(pair(), terms, client, name)
}

/// The same, between a transport and the other end of its socket.
fn shake_over(
    (under, socket): (Transport, Socket),
    terms: &Terms,
    client: ClientConfig,
    name: &str,
) -> (Transport, Client, io::Result<()>, io::Result<()>) {
    let mut transport = under.encrypted(terms).expect("good terms");
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let session = ClientConnection::new(client.into(), name).expect("a client");
    let mut client = StreamOwned::new(session, socket);
    let mut results = [Ok(()), Ok(())];
    for _ in 0..10 {
        if let Err(error) = client.conn.complete_io(&mut client.sock)
            && error.kind() != io::ErrorKind::WouldBlock
            && results[1].is_ok()
        {
            results[1] = Err(error);
        }
        if let Err(error) = transport.read(&mut [0; 100])
            && error.kind() != io::ErrorKind::WouldBlock
            && results[0].is_ok()
        {
            results[0] = Err(error);
        }
    }
    let [ours, theirs] = results;
    (transport, client, ours, theirs)
}

/// A transport that has shaken hands, and its client.
pub(in crate::transport) fn connected() -> (Transport, Client) {
    let files = Files::new();
    let (certificate, root) = self_signed(&files, "localhost", &["localhost"]);
    let terms = Terms::load(&config(&certificate)).expect("good files");
    let (transport, client, ours, theirs) = shake(&terms, client_of(&[root], None), "localhost");
    ours.and(theirs).expect("they agree");
    assert!(!transport.is_handshaking());
    (transport, client)
}

/// Believes every certificate: for a client that wants to see which it gets.
#[derive(Debug)]
struct Gullible(CryptoProvider);

impl ServerCertVerifier for Gullible {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// The certificate that a client gets which asks for this name.
fn presented(terms: &Terms, name: &str) -> CertificateDer<'static> {
    let mut client = client_of(&[], None);
    let gullible = Gullible(aws_lc_rs::default_provider());
    let gullible = std::sync::Arc::new(gullible);
    client.dangerous().set_certificate_verifier(gullible);
    let (_, client, ..) = shake(terms, client, name);
    let chain = client.conn.peer_certificates().expect("a certificate");
    chain[0].clone().into_owned()
}

#[test]
fn a_client_gets_the_certificate_that_is_for_the_name_it_asks_for() {
    let files = Files::new();
    let (own, own_der) = self_signed(&files, "own", &["own.example"]);
    let (wild, wild_der) = self_signed(&files, "wild", &["*.Example.com", "example.com"]);
    let (named, named_der) = self_signed(&files, "named", &["other.example"]);
    let named = Certificate {
        names: vec!["www.example.com".into()],
        ..named
    };
    let config = TlsConfig {
        more: vec![wild, named],
        ..config(&own)
    };
    let terms = Terms::load(&config).expect("good files");
    for (name, expected) in [
        ("own.example", &own_der),
        ("example.com", &wild_der),
        ("chat.example.com", &wild_der),
        ("CHAT.EXAMPLE.COM", &wild_der),
        // A name that is given takes the place of those that the certificate has.
        ("www.example.com", &named_der),
        ("other.example", &own_der),
        ("a.chat.example.com", &own_der),
        ("unknown", &own_der),
        ("127.0.0.1", &own_der),
    ] {
        assert_eq!(&presented(&terms, name), expected, "{name}");
    }
}

#[test]
fn both_versions_that_are_in_use_are_spoken() {
    let files = Files::new();
    let (certificate, root) = self_signed(&files, "localhost", &["localhost"]);
    let terms = Terms::load(&config(&certificate)).expect("good files");
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let client = client_with(std::slice::from_ref(&root), None, &[version]);
        let (transport, client, ours, theirs) = shake(&terms, client, "localhost");
        ours.and(theirs).expect("they agree");
        assert_eq!(client.conn.protocol_version(), Some(version.version));
        assert_eq!(transport.peer_identity(), None);
    }
}

#[test]
fn a_client_that_would_rather_have_another_cipher_gets_the_one_that_takes_least() {
    let files = Files::new();
    let (certificate, root) = self_signed(&files, "localhost", &["localhost"]);
    let terms = Terms::load(&config(&certificate)).expect("good files");
    for version in rustls::ALL_VERSIONS {
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites.reverse();
        let mut roots = RootCertStore::empty();
        roots.add(root.clone()).expect("a root");
        let client = ClientConfig::builder_with_provider(provider.into())
            .with_protocol_versions(&[version])
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let (_, client, ours, theirs) = shake(&terms, client, "localhost");
        ours.and(theirs).expect("they agree");
        let suite = client.conn.negotiated_cipher_suite().expect("one").suite();
        let name = suite.as_str().expect("a name");
        assert!(name.contains("AES_128_GCM"), "{name}");
    }
}

#[test]
fn a_handshake_goes_on_by_a_flush_where_the_socket_had_no_room_for_it() {
    let files = Files::new();
    let long: Vec<String> = (0..400)
        .map(|n| format!("name-{n}.{}", "x".repeat(50)))
        .collect();
    let mut names: Vec<&str> = long.iter().map(String::as_str).collect();
    names.push("localhost");
    let (certificate, root) = self_signed(&files, "localhost", &names);
    let terms = Terms::load(&config(&certificate)).expect("good files");
    let (ours, socket) = Socket::pair().expect("a pair of sockets");
    for socket in [&ours, &socket] {
        socket.set_nonblocking(true).expect("non-blocking");
    }
    let small = socket2::SockRef::from(&ours).set_send_buffer_size(1);
    small.expect("the least that there is");
    let under = Transport::Unix(mio::net::UnixStream::from_std(ours));
    let mut transport = under.encrypted(&terms).expect("good terms");
    let name = ServerName::try_from("localhost").expect("a name");
    let client = client_of(&[root], None);
    let session = ClientConnection::new(client.into(), name).expect("a client");
    let mut client = StreamOwned::new(session, socket);
    let mut was_full = false;
    for _ in 0..100 {
        let _ = client.conn.complete_io(&mut client.sock);
        let _ = transport.read(&mut [0; 100]);
        was_full |= transport.holds();
        // What the socket announces now is answered by a flush.
        transport.flush().expect("the peer is there");
    }
    assert!(was_full && !transport.holds());
    assert!(!transport.is_handshaking() && !client.conn.is_handshaking());
}

#[test]
fn a_client_that_speaks_something_else_is_told_so_and_ends() {
    let (_, terms) = terms();
    let (under, mut socket) = pair();
    let mut transport = under.encrypted(&terms).expect("good terms");
    socket
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .expect("room");
    let error = transport.read(&mut [0; 100]).expect_err("it is not TLS");
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    let again = transport.read(&mut [0; 100]).expect_err("it has ended");
    assert_eq!(again.kind(), io::ErrorKind::InvalidData);
    let mut told = String::new();
    socket.read_to_string(&mut told).expect("the end follows");
    assert!(told.starts_with("HTTP/1.1 400 "), "{told}");
    let (head, body) = told.split_once("\r\n\r\n").expect("a body");
    assert!(head.contains(&format!("Content-Length: {}", body.len())));
}

fn terms() -> (Files, Terms) {
    let files = Files::new();
    let (certificate, _) = self_signed(&files, "localhost", &["localhost"]);
    let terms = Terms::load(&config(&certificate)).expect("good files");
    (files, terms)
}

#[test]
fn a_proxy_says_who_calls_before_the_handshake_and_the_client_counts_as_encrypted() {
    let files = Files::new();
    let (certificate, root) = self_signed(&files, "localhost", &["localhost"]);
    let terms = Terms::load(&config(&certificate)).expect("good files");
    let (under, mut socket) = pair();
    let header = b"PROXY TCP4 192.0.2.7 192.0.2.1 56324 443\r\n";
    socket.write_all(header).expect("it has room");
    let ends = (under.proxied(), socket);
    let (transport, _, ours, theirs) =
        shake_over(ends, &terms, client_of(&[root], None), "localhost");
    ours.and(theirs).expect("they agree");
    let client = transport.client_by_proxy().expect("there is a header");
    assert_eq!(client.address, Some(IpAddr::from([192, 0, 2, 7])));
    assert!(client.is_named_by_proxy && client.is_https);
    let name = transport.to_string();
    assert!(name.starts_with("192.0.2.7:56324 by "), "{name}");
}

#[test]
fn a_client_that_goes_before_or_amid_the_handshake_has_ended() {
    let (_files, terms) = terms();
    for said in [&b""[..], b"\x16\x03\x01"] {
        let (under, mut socket) = pair();
        let mut transport = under.encrypted(&terms).expect("good terms");
        assert!(transport.awaits_hello());
        socket.write_all(said).expect("room");
        drop(socket);
        let end = std::iter::repeat_with(|| transport.read(&mut [0; 100]));
        let end = end.take(3).find_map(Result::ok).expect("an end, no error");
        assert_eq!(end.len, 0);
    }
}

#[test]
fn a_client_that_says_close_notify_has_ended_and_what_it_said_before_is_read() {
    let (mut transport, mut client) = connected();
    client.write_all(b"last words").expect("room");
    client.conn.send_close_notify();
    client.flush().expect("room");
    let mut buffer = [0; 100];
    let read = transport.read(&mut buffer).expect("there is something");
    assert_eq!(&buffer[..read.len], b"last words");
    assert_eq!(transport.read(&mut buffer).expect("the end").len, 0);
}

proptest! {
    /// Whatever a stranger sends, before or after the handshake: an error or nothing, and no panic.
    #[test]
    fn a_stranger_breaks_nothing(
        bytes in prop::collection::vec(any::<u8>(), 0..3_000),
        typ in 20_u8..25,
        is_inside: bool,
    ) {
        thread_local! {
            static TERMS: (Files, Terms) = terms();
        }
        let (mut transport, mut socket) = match is_inside {
            false => {
                let (under, socket) = pair();
                (TERMS.with(|(_, terms)| under.encrypted(terms)).expect("good terms"), socket)
            }
            true => {
                let (transport, client) = connected();
                (transport, client.sock)
            }
        };
        let len = u16::try_from(bytes.len()).expect("few").to_be_bytes();
        let _ = socket.write_all(&[&[typ, 3, 3, len[0], len[1]], &bytes[..]].concat());
        for _ in 0..4 {
            let _ = transport.read(&mut [0; 1_000]);
            let _ = transport.write(b"hello");
            let _ = transport.flush();
        }
        transport.finish_writing();
    }
}

/// An authority whose certificate, and the revocation of one number, are in files.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: String,
}

impl Authority {
    fn new() -> Authority {
        let key = key();
        let mut params = params(&[]);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages = vec![
            rcgen::KeyUsagePurpose::KeyCertSign,
            rcgen::KeyUsagePurpose::CrlSign,
        ];
        let root = params.self_signed(&key).expect("a root").pem();
        Authority {
            issuer: Issuer::new(params, key),
            root,
        }
    }

    /// A certificate for a client.
    fn certify(&self, mut params: CertificateParams, serial: u64) -> Own {
        let key = key();
        params.serial_number = Some(SerialNumber::from(serial));
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let signed = params.signed_by(&key, &self.issuer).expect("signed");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("PKCS #8");
        (vec![signed.der().clone()], key)
    }

    fn revoke(&self, serial: u64) -> String {
        let list = rcgen::CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2024, 1, 1),
            next_update: rcgen::date_time_ymd(2060, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: vec![rcgen::RevokedCertParams {
                serial_number: SerialNumber::from(serial),
                revocation_time: rcgen::date_time_ymd(2024, 1, 1),
                reason_code: None,
                invalidity_date: None,
            }],
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).expect("a list");
        list.pem().expect("PEM")
    }
}

#[test]
fn a_client_is_refused_whose_certificate_is_absent_revoked_or_somebody_elses() {
    let files = Files::new();
    let (certificate, root) = self_signed(&files, "localhost", &["localhost"]);
    let (authority, other) = (Authority::new(), Authority::new());
    let mut config = TlsConfig {
        client_ca: Some(files.add("clients.pem", &authority.root)),
        crl: vec![files.add("crl.pem", &authority.revoke(7))],
        ..config(&certificate)
    };
    let outcome = |config: &TlsConfig, own: Option<Own>| {
        let terms = Terms::load(config).expect("good files");
        let client = client_of(std::slice::from_ref(&root), own);
        let (transport, _, ours, _) = shake(&terms, client, "localhost");
        ours.map(|()| transport.peer_identity())
    };
    let good = || authority.certify(params(&["good.example"]), 8);
    let named = Some("good.example".into());
    assert_eq!(outcome(&config, Some(good())).expect("good"), named);
    let revoked = || authority.certify(params(&["bad.example"]), 7);
    outcome(&config, Some(revoked())).expect_err("it is revoked");
    let strange = || other.certify(params(&["strange.example"]), 8);
    outcome(&config, Some(strange())).expect_err("nobody knows the authority");
    outcome(&config, None).expect_err("it is required");

    config.client = ClientCertificates::Optional;
    assert_eq!(outcome(&config, Some(good())).expect("good"), named);
    assert_eq!(outcome(&config, None).expect("it is optional"), None);
    outcome(&config, Some(revoked())).expect_err("it is revoked");
    outcome(&config, Some(strange())).expect_err("nobody knows the authority");
}

#[test]
fn a_client_is_called_by_its_first_uri_else_dns_name_else_address_else_common_name() {
    let authority = Authority::new();
    let uri = |text: &str| SanType::URI(text.try_into().expect("ASCII"));
    let dns = |text: &str| SanType::DnsName(text.try_into().expect("ASCII"));
    let mail = |text: &str| SanType::Rfc822Name(text.try_into().expect("ASCII"));
    let address = || SanType::IpAddress(IpAddr::from([127, 0, 0, 1]));
    let called = |sans: Vec<SanType>, common: Option<&str>| {
        let mut params = params(&[]);
        params.subject_alt_names = sans;
        params.distinguished_name = DistinguishedName::new();
        if let Some(common) = common {
            let common = DnValue::Utf8String(common.to_owned());
            params.distinguished_name.push(DnType::CommonName, common);
        }
        names::identity(&authority.certify(params, 1).0[0])
    };
    let all = || vec![mail("m@example"), dns("d.example"), uri("spiffe://x/y")];
    let is = |name: &str| Some(Box::from(name));
    assert_eq!(called(all(), Some("c")), is("spiffe://x/y"));
    assert_eq!(called(all()[..2].to_vec(), Some("c")), is("d.example"));
    assert_eq!(called(all()[..1].to_vec(), Some("c")), is("m@example"));
    assert_eq!(called(vec![address()], Some("Zoë")), is("Zoë"));
    assert_eq!(called(vec![], Some("c")), is("c"));
    assert_eq!(called(vec![dns("one"), dns("two")], None), is("one"));
    assert_eq!(called(vec![], None), None);
    assert_eq!(called(vec![], Some("")), None);
    assert_eq!(called(vec![], Some("a\0b")), None);
    // No weaker name stands in for one that cannot be one.
    assert_eq!(called(vec![uri(""), dns("d.example")], Some("c")), None);
    assert_eq!(called(vec![dns("d\n.example")], Some("c")), None);
    assert_eq!(names::identity(b"not a certificate"), None);
}

#[test]
fn a_file_that_is_of_no_use_is_named_with_what_is_wrong_with_it() {
    let files = Files::new();
    let (good, _) = self_signed(&files, "good", &["localhost"]);
    let (other, _) = self_signed(&files, "other", &["localhost"]);
    let empty = files.add("empty.pem", "");
    let text = std::fs::read_to_string(&good.cert).expect("a file");
    let cut = files.add("cut.pem", &text[..text.len() / 2]);
    let locked =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let locked = files.add("locked.pem", locked);
    let junk = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let junk = files.add("junk.pem", junk);
    let missing = files.0.join("missing.pem");
    for (cert, key, culprit, why) in [
        (&empty, &good.key, &empty, "has no certificate"),
        (&good.key, &good.key, &good.key, "has no certificate"),
        (&cut, &good.key, &cut, "is not a PEM file"),
        (&missing, &good.key, &missing, "can't be read"),
        (&good.cert, &good.cert, &good.cert, "has no private key"),
        (&good.cert, &locked, &locked, "needs a password"),
        (&good.cert, &junk, &junk, "has a key that cannot be used"),
        (&good.cert, &other.key, &other.key, "is not that of"),
    ] {
        let certificate = Certificate {
            cert: cert.clone(),
            key: key.clone(),
            names: Vec::new(),
        };
        let error = Terms::load(&config(&certificate)).expect_err("it is of no use");
        let culprit = culprit.display().to_string();
        assert!(error.contains(&culprit) && error.contains(why), "{error}");
    }
    let client_ca = Some(good.cert.clone());
    let crl = vec![good.cert.clone()];
    let with_list = TlsConfig {
        client_ca,
        crl,
        ..config(&good)
    };
    let error = Terms::load(&with_list).expect_err("it is no list");
    assert!(error.contains("has no revocation list"), "{error}");
    assert!(Terms::load(&TlsConfig::default()).is_err());
}
