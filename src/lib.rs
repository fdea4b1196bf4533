//! fanfare: a WebSocket broadcast daemon that speaks JSON, and the library it is made of.

pub mod ws;
