//! The opening handshake (RFC 6455 §4): both halves, on a head that somebody else has parsed.
//!
//! [`server`] judges a request and writes the `101`; [`client`] writes the request and judges the response. Neither knows
//! where the bytes come from, which paths exist, or what else speaks HTTP on the port.

pub mod client;
pub(crate) mod fields;
pub mod server;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

pub use httparse::Header;

/// The head of a request, as `httparse` parses it.
#[derive(Clone, Copy, Debug)]
pub struct Head<'h> {
    /// The method, case-sensitive.
    pub method: &'h str,
    /// The request target as it was sent.
    pub target: &'h str,
    /// The `1` of `HTTP/1.1`.
    pub version_minor: u8,
    /// The header lines in their order; values without the white space around them.
    pub headers: &'h [Header<'h>],
}

/// The head of a response, as `httparse` parses it.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'h> {
    /// The status, `101` for one that agrees.
    pub status: u16,
    /// The `1` of `HTTP/1.1`.
    pub version_minor: u8,
    /// The header lines in their order; values without the white space around them.
    pub headers: &'h [Header<'h>],
}

/// The value of `Sec-WebSocket-Accept`: 28 characters of base64.
pub type AcceptKey = [u8; 28];

/// The accept key that answers `Sec-WebSocket-Key: key` (RFC 6455 §4.2.2, 5.4).
pub fn accept_key(key: &[u8]) -> AcceptKey {
    const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(GUID);
    base64_of(&hash.finalize().0)
}

/// `bytes` as base64 with padding. `TEXT` is the length that 4 characters for each 3 bytes begun make.
fn base64_of<const BYTES: usize, const TEXT: usize>(bytes: &[u8; BYTES]) -> [u8; TEXT] {
    const { assert!(TEXT == BYTES.div_ceil(3) * 4) };
    let mut text = [0; TEXT];
    let written = STANDARD.encode_slice(bytes, &mut text);
    // Never short of room: the length was asserted when this was compiled.
    debug_assert_eq!(written.ok(), Some(TEXT));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accept_key_of_the_rfcs_example_comes_out() {
        assert_eq!(
            &accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="),
            b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }
}
