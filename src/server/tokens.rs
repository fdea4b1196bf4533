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

/// The connection's name for administrators: its place and its generation, such as `17-3`.
pub(super) fn id_of(token: Token) -> String {
    format!("{}-{}", index_of(token), token.0 >> 32)
}

/// The token of the connection that has this name for administrators; `None`: no connection can have it.
pub(super) fn token_by_id(id: &str) -> Option<Token> {
    let number = |digits: &str| {
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        let number: usize = digits.parse().ok().filter(|_| is_number)?;
        u32::try_from(number).ok().map(|_| number)
    };
    let (index, generation) = id.split_once('-')?;
    let token = token_of(number(index)?, number(generation)?);
    // Only one text stands for it.
    (id_of(token) == id).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_found_by_its_name_alone() {
        let token = token_of(17, 3);
        assert_eq!(id_of(token), "17-3");
        assert_eq!(token_by_id("17-3"), Some(token));
        let greatest = token_of(0xFFFF_FFFF, GENERATIONS);
        assert_eq!(token_by_id(&id_of(greatest)), Some(greatest));
        for none in [
            "",
            "-",
            "17",
            "17-",
            "+17-3",
            "017-3",
            "17-4294967295",
            "4294967296-1",
            "17-3-",
        ] {
            assert_eq!(token_by_id(none), None, "{none}");
        }
    }
}
