//! RFC 6455 and RFC 7692 without I/O: bytes in, events out.

pub mod close;
pub mod deflate;
pub mod encode;
pub mod endpoint;
pub mod extension;
pub mod frame;
pub mod handshake;
pub mod mask;
mod partial;
pub mod utf8;
pub mod violation;
