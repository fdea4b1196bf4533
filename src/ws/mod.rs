//! RFC 6455 and RFC 7692 without I/O: bytes in, events out.
