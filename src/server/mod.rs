//! The only place with I/O: the loop, connections, outbox, sweep, listener, timers, HTTP.

pub mod http;
