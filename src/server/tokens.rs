//! What a token says: which connection, by its place among all connections and by how often that place was taken before.
//!
//! An index is used again, a token is not.

use mio::Token;

use crate::hub::SubscriberId;

/// 31 bits of generation keep clear of the tokens of listeners and signals, which count down from the greatest.
const GENERATIONS: usize = 0x7FFF_FFFF;

/// The token of a connection at `index`, in a certain generation.
pub(super) fn token_of(index: usize, generation: usize) -> Token {
    Token((generation & GENERATIONS) << 32 | index)
}

/// The connection's place.
#[inline]
pub(super) fn index_of(token: Token) -> usize {
    token.0 & 0xFFFF_FFFF
}

/// The connection's name in the hub: its place.
#[inline]
pub(super) fn subscriber(token: Token) -> SubscriberId {
    // There are fewer connections than files, of which there are fewer than 2^32.
    SubscriberId(index_of(token) as u32)
}
