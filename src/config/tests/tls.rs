//! Encrypted connections, as the configuration says them.

use super::{Told, config, mistakes};
use crate::config::{Certificate, ClientCertificates, Config, Listen, TlsConfig};
use crate::limit::Limit;

const PAIR: &str = "tls_cert = 'c'\ntls_key = 'k'\n";

#[test]
fn every_setting_of_tls_reaches_the_configuration() {
    let expected = TlsConfig {
        listen: vec![Listen::Unix("/a".into()), Listen::Unix("/b".into())],
        cert: Some("c".into()),
        key: Some("k".into()),
        more: Vec::new(),
        client_ca: Some("ca".into()),
        client: ClientCertificates::Optional,
        client_at: vec![Listen::Unix("/b".into())],
        crl: vec!["l1".into(), "l2".into()],
        max_handshakes: Limit::of(7),
    };
    let file = format!(
        "{PAIR}listen_tls = ['unix:/a', 'unix:/b']\ntls_client_ca = 'ca'\n\
         tls_client = 'optional'\ntls_client_at = 'unix:/b'\ntls_crl = ['l1', 'l2']\nmax_handshakes = 7"
    );
    assert_eq!(config(&file, &[]).tls, expected);
    let environment = [
        ("FANFARE_LISTEN_TLS", "unix:/a, unix:/b"),
        ("FANFARE_TLS_CERT", "c"),
        ("FANFARE_TLS_KEY", "k"),
        ("FANFARE_TLS_CLIENT_CA", "ca"),
        ("FANFARE_TLS_CLIENT", "optional"),
        ("FANFARE_TLS_CLIENT_AT", "unix:/b"),
        ("FANFARE_TLS_CRL", "l1,l2"),
        ("FANFARE_MAX_HANDSHAKES", "7"),
    ];
    let told = Told {
        environment: &environment,
        ..Told::default()
    };
    assert_eq!(told.config().tls, expected);
    let flags = [
        "--listen-tls=unix:/a",
        "--listen-tls=unix:/b",
        "--tls-cert=c",
        "--tls-key=k",
        "--tls-client-ca=ca",
        "--tls-client=optional",
        "--tls-client-at=unix:/b",
        "--tls-crl=l1",
        "--tls-crl=l2",
        "--max-handshakes=7",
    ];
    assert_eq!(config("", &flags).tls, expected);
}

#[test]
fn an_address_for_tls_takes_the_place_of_the_default_one_and_stands_beside_any_other() {
    let tls = format!("{PAIR}listen_tls = 'unix:/a'\n");
    assert_eq!(config(&tls, &[]).listen, []);
    let beside = config(&tls, &["--listen", "unix:/b"]).listen;
    assert_eq!(beside, [Listen::Unix("/b".into())]);
    assert_eq!(config(PAIR, &[]).listen, Config::default().listen);
}

#[test]
fn each_block_is_a_certificate_behind_that_of_the_daemon_itself() {
    let certificate = |cert: &str, key: &str, names: &[&str]| Certificate {
        cert: cert.into(),
        key: key.into(),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    let blocks = "[[tls]]\ncert = '1.pem'\nkey = '1.key'\n\
                  [[tls]]\ncert = '2.pem'\nkey = '2.key'\nname = ['a.example', '*.b.example']\n\
                  [[tls]]\ncert = '3.pem'\nkey = '3.key'\nname = 'c.example'\n";
    let config = config(&format!("{PAIR}{blocks}"), &[]);
    let all: Vec<_> = config.tls.certificates().collect();
    let expected = [
        certificate("c", "k", &[]),
        certificate("1.pem", "1.key", &[]),
        certificate("2.pem", "2.key", &["a.example", "*.b.example"]),
        certificate("3.pem", "3.key", &["c.example"]),
    ];
    assert_eq!(all, expected);
    assert_eq!(config.tls.files().len(), 8);
}

#[test]
fn each_mistake_about_tls_is_told_with_its_place_and_what_is_missing() {
    let cases = [
        (
            "listen_tls = '127.0.0.1:0'",
            "f.toml:1:14: listen_tls: TLS needs a certificate: give tls_cert and tls_key",
        ),
        (
            "tls_cert = 'c'",
            "f.toml:1:12: tls_cert: a certificate needs its private key: give tls_key",
        ),
        (
            "tls_key = 'k'",
            "f.toml:1:11: tls_key: a private key needs its certificate: give tls_cert",
        ),
        (
            "tls_client = 'optional'",
            "f.toml:1:14: tls_client: clients' certificates need an authority",
        ),
        (
            "tls_client_at = 'unix:/x'",
            "f.toml:1:17: tls_client_at: clients' certificates need an authority",
        ),
        (
            "tls_client_ca = 'c'\ntls_client_at = 'unix:/x'",
            "f.toml:2:17: tls_client_at: an address here is none of those of listen_tls",
        ),
        (
            "tls_crl = 'l'",
            "f.toml:1:11: tls_crl: it is for clients' certificates",
        ),
        (
            "tls_client_ca = ''",
            "f.toml:1:17: tls_client_ca: \"\" is not the path of a file",
        ),
        (
            "[tls]\ncert = 'c'",
            "f.toml:1:1: tls: a certificate's block begins with [[tls]]",
        ),
        (
            "tls = [1]",
            "f.toml:1:8: tls: an integer stands where a table is wanted",
        ),
        (
            "[[tls]]\ncert = 'c'",
            "f.toml:1:1: this [[tls]] needs both a cert and a key",
        ),
        (
            "[[tls]]\nkey = 'k'",
            "f.toml:1:1: this [[tls]] needs both a cert and a key",
        ),
        (
            "[[tls]]\ncert = 1\nkey = 'k'",
            "f.toml:2:8: cert: a string is wanted here",
        ),
        (
            "[[tls]]\ncert = ''\nkey = 'k'",
            "f.toml:2:8: cert: \"\" is not the path of a file",
        ),
        (
            "[[tls]]\ncert = ['c']\nkey = 'k'",
            "f.toml:2:8: cert: a string is wanted here",
        ),
        (
            "[[tls]]\ncert = 'c'\nkey = 'k'\nname = 'a b'",
            "f.toml:4:8: name: \"a b\" is not a host name",
        ),
        (
            "[[tls]]\ncert = 'c'\nkey = 'k'\nname = ['a', '*.*']",
            "f.toml:4:8: name: \"*.*\" is not a host name",
        ),
        (
            "[[tls]]\ncert = 'c'\nkey = 'k'\nhost = 'a'",
            "f.toml:4:1: unknown key \"host\"; allowed here: cert, key, name",
        ),
        ("[[tls]]\ncert =\nkey = 'k'", "f.toml:2:7: "),
    ];
    for (file, beginning) in cases {
        mistakes::expect_problems(file, &[beginning]);
    }
}
