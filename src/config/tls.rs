//! Encrypted connections: where they come in, by which certificates, and whose clients are believed.

use std::path::PathBuf;

use super::Listen;
use crate::limit::Limit;

/// What is set for TLS. Files are named here and read by the daemon: at its start, on SIGHUP, and when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// Where to listen for TLS; none twice.
    pub listen: Vec<Listen>,
    /// The certificate, with those of the authorities between, for clients that name no server or one that no other
    /// certificate is for. Where it is given, [`TlsConfig::key`] is.
    pub cert: Option<PathBuf>,
    /// Its private key.
    pub key: Option<PathBuf>,
    /// More certificates, chosen by the name that a client asks for (RFC 6066 §3).
    pub more: Vec<Certificate>,
    /// The authorities whose certificates are believed of clients. `None`: clients are not asked for one.
    pub client_ca: Option<PathBuf>,
    /// Whether clients have to present one, where they are asked.
    pub client: ClientCertificates,
    /// At which of [`TlsConfig::listen`] clients are asked for one. None: at all of them.
    pub client_at: Vec<Listen>,
    /// Lists of certificates that were revoked. If there are any, each authority of a client's certificate needs one.
    pub crl: Vec<PathBuf>,
    /// Handshakes under way at once.
    pub max_handshakes: Limit,
}

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The PEM file of the certificate, then those of the authorities between it and a root.
    pub cert: PathBuf,
    /// The PEM file of its private key: PKCS #8, PKCS #1 or SEC1.
    pub key: PathBuf,
    /// The host names that it is for; none: those that it has itself.
    pub names: Vec<String>,
}

/// What is asked of clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They may present a certificate.
    Optional,
    /// They have to present one.
    #[default]
    Required,
}

impl Default for TlsConfig {
    fn default() -> TlsConfig {
        TlsConfig {
            listen: Vec::new(),
            cert: None,
            key: None,
            more: Vec::new(),
            client_ca: None,
            client: ClientCertificates::default(),
            client_at: Vec::new(),
            crl: Vec::new(),
            max_handshakes: Limit::of(1024),
        }
    }
}

impl TlsConfig {
    /// All certificates. The first is for clients that ask for none of them.
    pub fn certificates(&self) -> impl Iterator<Item = Certificate> {
        let own = self.cert.as_ref().zip(self.key.as_ref());
        let own = own.map(|(cert, key)| Certificate {
            cert: cert.clone(),
            key: key.clone(),
            names: Vec::new(),
        });
        own.into_iter().chain(self.more.iter().cloned())
    }

    /// All files that are read for it.
    pub fn files(&self) -> Vec<PathBuf> {
        let pairs = self.certificates().flat_map(|c| [c.cert, c.key]);
        pairs
            .chain(self.client_ca.clone())
            .chain(self.crl.iter().cloned())
            .collect()
    }

    /// What is missing, with the key of the setting that asks for it.
    #[cfg(feature = "cli")]
    pub(super) fn mistakes(&self, client_is_set: bool) -> Vec<(&'static str, &'static str)> {
        let has_certificate = self.certificates().next().is_some();
        let checks = [
            (
                !self.listen.is_empty() && !has_certificate,
                "listen_tls",
                "TLS needs a certificate: give tls_cert and tls_key, or a [[tls]] block",
            ),
            (
                self.cert.is_some() && self.key.is_none(),
                "tls_cert",
                "a certificate needs its private key: give tls_key",
            ),
            (
                self.key.is_some() && self.cert.is_none(),
                "tls_key",
                "a private key needs its certificate: give tls_cert",
            ),
            (
                client_is_set && self.client_ca.is_none(),
                "tls_client",
                "clients' certificates need an authority that is believed: give tls_client_ca",
            ),
            (
                !self.client_at.is_empty() && self.client_ca.is_none(),
                "tls_client_at",
                "clients' certificates need an authority that is believed: give tls_client_ca",
            ),
            (
                self.client_ca.is_some()
                    && self.client_at.iter().any(|at| !self.listen.contains(at)),
                "tls_client_at",
                "an address here is none of those of listen_tls, so nobody comes by it",
            ),
            (
                !self.crl.is_empty() && self.client_ca.is_none(),
                "tls_crl",
                "it is for clients' certificates, which need an authority that is believed: give \
                 tls_client_ca",
            ),
        ];
        let found = checks.into_iter().filter(|(is_wrong, ..)| *is_wrong);
        found.map(|(_, key, why)| (key, why)).collect()
    }
}

/// The settings and blocks of sources.
#[cfg(feature = "cli")]
mod sources {
    use std::path::PathBuf;

    use toml::Spanned;
    use toml::de::{DeTable, DeValue};

    use super::{Certificate, ClientCertificates};
    use crate::config::file::{Key, Problem, Text, kind};
    use crate::config::mistake::Mistake;
    use crate::config::settings::{Set, Setting, put};
    use crate::config::units::{count_limit, word};

    /// What can be set for TLS.
    pub(in crate::config) const ENCRYPTION: &[Setting] = &[
        Setting {
            key: "listen_tls",
            value: "ADDR",
            default: "none",
            help: "The address to listen on for TLS: HOST:PORT or unix:PATH; may be repeated. Without \
                   --listen the daemon listens there only",
            set: Set::Addresses(|c| &mut c.tls.listen),
        },
        Setting {
            key: "tls_cert",
            value: "FILE",
            default: "none",
            help: "The certificate in PEM, with those of the authorities between it and a root",
            set: Set::Daemon(|c, text| put(&mut c.tls.cert, path(text).map(Some))),
        },
        Setting {
            key: "tls_key",
            value: "FILE",
            default: "none",
            help: "The certificate's private key in PEM",
            set: Set::Daemon(|c, text| put(&mut c.tls.key, path(text).map(Some))),
        },
        Setting {
            key: "tls_client_ca",
            value: "FILE",
            default: "none",
            help: "Ask clients for a certificate of one of the authorities in this PEM file",
            set: Set::Daemon(|c, text| put(&mut c.tls.client_ca, path(text).map(Some))),
        },
        Setting {
            key: "tls_client",
            value: "WHETHER",
            default: "required",
            help: "Whether a client that is asked for a certificate needs one: optional or required",
            set: Set::Daemon(|c, text| put(&mut c.tls.client, word(text, CLIENT))),
        },
        Setting {
            key: "tls_client_at",
            value: "ADDR",
            default: "any",
            help: "Ask clients for certificates only at this address of --listen-tls; may be repeated",
            set: Set::Addresses(|c| &mut c.tls.client_at),
        },
        Setting {
            key: "tls_crl",
            value: "FILE",
            default: "none",
            help: "Refuse clients' certificates that are in the revocation lists of this PEM file; may be \
                   repeated. Every authority needs a list then",
            set: Set::List(|c, texts| {
                c.tls.crl = paths(texts)?;
                Ok(())
            }),
        },
        Setting {
            key: "max_handshakes",
            value: "COUNT",
            default: "1024",
            help: "How many TLS handshakes may be under way at once; beyond it the one that has waited \
                   longest for its client gives way; 0: no limit",
            set: Set::Daemon(|c, text| put(&mut c.tls.max_handshakes, count_limit(text))),
        },
    ];

    const CLIENT: &[(&str, ClientCertificates)] = &[
        ("optional", ClientCertificates::Optional),
        ("required", ClientCertificates::Required),
    ];

    fn path(text: &str) -> Result<PathBuf, String> {
        if text.is_empty() || text.contains('\0') {
            return Err(format!("{text:?} is not the path of a file"));
        }
        Ok(PathBuf::from(text))
    }

    fn paths(texts: &[String]) -> Result<Vec<PathBuf>, Vec<Mistake>> {
        let read = texts.iter().enumerate().map(|(nth, text)| {
            path(text).map_err(|why| Mistake {
                nth: Some(nth),
                why,
            })
        });
        let (good, bad): (Vec<_>, Vec<_>) = read.partition(Result::is_ok);
        match bad.is_empty() {
            true => Ok(good.into_iter().flatten().collect()),
            false => Err(bad.into_iter().filter_map(Result::err).collect()),
        }
    }

    /// Reads the `[[tls]]` blocks of a file; notes what is wrong with them.
    pub(in crate::config) fn read_blocks(
        text: &Text,
        key: &Key,
        value: &Spanned<DeValue>,
        problems: &mut Vec<Problem>,
    ) -> Vec<Certificate> {
        let Some(blocks) = value.get_ref().as_array() else {
            if text.is_readable(key.span().start) {
                let origin = text.origin(value.span().start, "tls");
                let why = "a certificate's block begins with [[tls]], in two brackets";
                problems.push(origin.problem(why));
            }
            return Vec::new();
        };
        let blocks = blocks.iter().filter_map(|block| {
            let at = block.span().start;
            match block.get_ref() {
                DeValue::Table(table) => read_block(text, at, table, problems),
                other => {
                    if text.is_readable(at) {
                        let why = format!("{} stands where a table is wanted", kind(other));
                        problems.push(text.origin(at, "tls").problem(&why));
                    }
                    None
                }
            }
        });
        blocks.collect()
    }

    fn read_block(
        text: &Text,
        block_at: usize,
        table: &DeTable,
        problems: &mut Vec<Problem>,
    ) -> Option<Certificate> {
        let before = problems.len();
        let (mut cert, mut file_of_key, mut names) = (None, None, Vec::new());
        for (key, value) in table {
            if !text.is_readable(key.span().start) {
                continue;
            }
            let name = key.get_ref().as_ref();
            let origin = text.origin(value.span().start, name);
            let values = match value.get_ref() {
                DeValue::Array(items) if name == "name" => items.iter().collect(),
                _ => vec![value],
            };
            let read: Option<Vec<&str>> = values.iter().map(|v| v.get_ref().as_str()).collect();
            let why = match (name, read.as_deref()) {
                ("cert" | "key" | "name", None) => Some("a string is wanted here".to_owned()),
                ("cert", Some(&[written])) => path(written).map(|p| cert = Some(p)).err(),
                ("key", Some(&[written])) => path(written).map(|p| file_of_key = Some(p)).err(),
                ("name", Some(written)) => {
                    names.extend(written.iter().map(|name| (*name).to_owned()));
                    let bad = written.iter().find(|name| !is_host(name));
                    bad.map(|name| {
                        format!(
                            "{name:?} is not a host name such as www.example.com or *.example.com"
                        )
                    })
                }
                _ => {
                    let origin = text.origin(key.span().start, "");
                    let why = format!("unknown key {name:?}; allowed here: cert, key, name");
                    problems.push(origin.problem(&why));
                    None
                }
            };
            problems.extend(why.map(|why| origin.problem(&why)));
        }
        let is_whole = cert.is_some() && file_of_key.is_some();
        if !is_whole && problems.len() == before && text.is_block_readable(block_at) {
            let why = "this [[tls]] needs both a cert and a key: the paths of two PEM files";
            problems.push(text.origin(block_at, "").problem(why));
        }
        let (cert, key) = cert.zip(file_of_key)?;
        Some(Certificate { cert, key, names })
    }

    /// Whether it is a host name, or one with `*` for its first label.
    fn is_host(name: &str) -> bool {
        let labels = name.strip_prefix("*.").unwrap_or(name).split('.');
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        labels.fold(true, |all, label| {
            all && !label.is_empty() && label.bytes().all(is_plain)
        })
    }
}

#[cfg(feature = "cli")]
pub(super) use sources::{ENCRYPTION, read_blocks};
