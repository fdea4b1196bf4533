//! RFC 6455 and RFC 7692 without I/O: bytes in, events out; both roles, client and server.
//!
//! A connection begins with the opening [`handshake`], and then is an [`Endpoint`](endpoint::Endpoint): it reads what arrived
//! and hands out messages and control frames. What is to be sent is appended to a `Vec<u8>` by [`mod@encode`].
//!
//! # What it promises
//! - A message that came whole in one frame is unmasked and handed out where it stands in the caller's buffer.
//!   It owns heap memory only while a frame or a message is incomplete. That memory grows with the bytes received and not with
//!   what a header announces, and goes when the message has been seen.
//! - It is strict and has no switches. A breach of the RFCs is a [`Violation`](violation::Violation) at the first byte that shows
//!   it, and carries the close code that answers it. After that, and after a close frame, nothing more is delivered.
//! - Bytes give the same events however they are cut into pieces.
//! - Nothing that a peer sends makes it panic.
//!
//! # What it knows nothing about
//! Sockets, clocks, TLS, random numbers (masks and keys are arguments), HTTP beyond the two heads of a handshake, channels, and what
//! a message means.
//!
//! # Example
//! ```
//! use fanfare::ws::deflate::Inflater;
//! use fanfare::ws::encode::write_message;
//! use fanfare::ws::endpoint::{Endpoint, Event, Role};
//!
//! // A client sends, which takes a mask that nobody can foresee …
//! let mut wire = Vec::new();
//! write_message(&mut wire, true, b"hello", Some([0x5d, 0x11, 0xe7, 0x42]));
//!
//! // … and a server reads what arrived.
//! let end = wire.len();
//! let (mut server, mut inflater) = (Endpoint::new(Role::Server, false, true), Inflater::new());
//! let mut pos = 0;
//! while let Some(event) = server.receive(&mut wire, &mut pos, end, 65_536, &mut inflater)? {
//!     match event {
//!         Event::Message { text, data } => assert_eq!((text, &*data), (true, &b"hello"[..])),
//!         other => panic!("{other:?}"),
//!     }
//! }
//! assert_eq!(pos, end);
//! # Ok::<(), fanfare::ws::violation::Violation>(())
//! ```

pub mod close;
mod close_code;
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
