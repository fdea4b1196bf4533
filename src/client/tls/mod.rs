//! TLS under a WebSocket (RFC 6455 §10.6), by rustls. Nothing outside this directory knows of rustls.

mod error;
#[cfg(feature = "tls")]
mod explain;
#[cfg(feature = "tls")]
mod options;
#[cfg(feature = "tls")]
mod stream;
#[cfg(feature = "tls")]
mod verifier;

pub use error::TlsError;
#[cfg(feature = "tls")]
use explain::explain;
#[cfg(feature = "tls")]
pub(super) use options::Options;
#[cfg(feature = "tls")]
pub(super) use stream::Encryption;

/// Without the feature `tls` there is none.
#[cfg(not(feature = "tls"))]
pub(super) enum Encryption {}

#[cfg(not(feature = "tls"))]
impl Encryption {
    pub(super) fn over(
        self,
        _: socket2::Socket,
        _: std::time::Instant,
    ) -> Result<std::sync::Arc<dyn super::transport::Transport>, super::error::ConnectError> {
        match self {}
    }
}
