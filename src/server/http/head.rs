//! A parsed request head, as a thin view over the bytes it came in.

pub use httparse::Header;

/// The head of a request (RFC 9112 §2.1).
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// The method, in the case it was sent in: methods are case-sensitive (RFC 9110 §9.1).
    pub method: &'a str,
    /// The request target as it was sent.
    pub target: &'a str,
    /// 0 or 1: the minor version of HTTP/1.
    pub version_minor: u8,
    /// The fields in their order; values without the white space around them.
    pub headers: &'a [Header<'a>],
}
