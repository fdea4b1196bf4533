//! The sub-protocols: reads a message into a command, writes an event as bytes.
//!
//! A dialect knows neither sockets nor WebSocket state nor what the hub holds.
//! Bytes of one message go in, a command that borrows from them comes out; an
//! event goes in and its text is appended to a buffer.

pub mod json;
pub mod sse;
