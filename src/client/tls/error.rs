//! What goes wrong between TCP and HTTP, in sentences. It is there without the feature `tls`, too, so that errors look the same.

use std::path::PathBuf;
use std::{error, fmt};

use crate::words::in_words;

/// Why there is no encrypted connection, or no more of it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsError {
    /// A file of certificates or of a key cannot be used.
    File {
        /// Its path.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The system has no certificates of authorities, for this reason.
    NoAuthorities(String),
    /// The server's certificate is not accepted. A sentence says why, and what can be done.
    Certificate(String),
    /// The server does not accept this client's certificate, or wants one. A sentence says which.
    ClientCertificate(String),
    /// The server's first words are not TLS.
    NotTls,
    /// The host of the URL is nothing that a certificate can be for.
    Host(String),
    /// The peers do not agree, or one of them breaks the protocol.
    Protocol(String),
}

impl TlsError {
    /// Whether it may pass for a client that was connected before: a certificate is renewed, and a proxy that is in the way
    /// goes away.
    pub(in crate::client) const fn may_pass(&self) -> bool {
        match self {
            Self::Certificate(_)
            | Self::ClientCertificate(_)
            | Self::NotTls
            | Self::Protocol(_)
            | Self::NoAuthorities(_) => true,
            Self::File { .. } | Self::Host(_) => false,
        }
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, why } => write!(f, "{}: {why}", path.display()),
            Self::NoAuthorities(why) => write!(
                f,
                "the system has no certificates of authorities to check the server's with ({why}): give a file of them (--ca FILE)"
            ),
            Self::Certificate(why) | Self::ClientCertificate(why) => f.write_str(why),
            Self::NotTls => f.write_str(
                "the server does not speak TLS on this port: give the port that does, or ws:// if nothing is to be encrypted",
            ),
            Self::Host(host) => write!(
                f,
                "no certificate can be for the host {host:?}: give a host's name or an IP address"
            ),
            Self::Protocol(why) => write!(f, "TLS failed: {why}"),
        }
    }
}

impl error::Error for TlsError {}

in_words!(TlsError);
