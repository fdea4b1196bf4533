//! The sub-protocols: reads a message into a command, writes an event as bytes.

pub mod json;
