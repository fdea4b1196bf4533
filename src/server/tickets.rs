//! Where a late answer goes.

use mio::Token;

/// Which of a connection's requests an answer is for, in the words of its dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestKey(pub(super) u32);

/// The place to which a late answer goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) connection: Token,
    pub(super) request: RequestKey,
}
