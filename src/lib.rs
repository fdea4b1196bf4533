//! fanfare: a WebSocket broadcast daemon that speaks JSON, and the library it is made of.
//!
//! # Cargo features
//!
//! `cli` is on by default: it is the binary, and pulls what only a command line needs. A program that uses the library
//! takes what it uses:
//!
//! ```toml
//! fanfare = { version = "0.1", default-features = false, features = ["client"] }
//! ```
//!
//! | feature | what it adds to `channel`, `ws`, `hub` and `dialect` |
//! |---|---|
//! | `client` | `client` |
//! | `tls` | encrypted connections of either |
//! | `server` | `server`, `http`, `auth`, and the `Config` of `config` |
//! | `jwks` | `server`, `tls`, and `auth::token::KeySource`, which fetches keys over HTTPS |
//! | `cli` | both, the binary, and `ServeArgs`, which reads a `Config` from flags, environment and a file |

#[cfg(feature = "server")]
pub mod auth;
pub mod channel;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "server")]
pub mod config;
pub mod dialect;
#[cfg(feature = "server")]
pub mod http;
pub mod hub;
pub mod limit;
#[cfg(any(feature = "client", feature = "server"))]
mod random;
#[cfg(any(feature = "client", feature = "server"))]
pub mod secret_file;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
mod snapshot;
#[cfg(all(feature = "server", not(fuzzing)))]
mod transport;
#[cfg(all(feature = "server", fuzzing))]
pub mod transport;
pub mod words;
pub mod ws;
