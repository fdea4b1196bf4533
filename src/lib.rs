//! fanfare: a WebSocket broadcast daemon that speaks JSON, and the library it is made of.

pub mod client;
pub mod config;
pub mod dialect;
pub mod hub;
mod random;
pub mod server;
pub mod ws;
