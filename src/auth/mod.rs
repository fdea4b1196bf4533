//! Who a client is, and what it may do: decisions without sockets.

pub mod token;
