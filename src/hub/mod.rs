//! Channels: a channel is a log, a subscriber is a cursor. No sockets, no frames' meaning.
