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
pub(super) use stream::TlsStream;
