//! The TLS handshakes that are under way: so many at most (`--max-handshakes`).
//!
//! One costs its peer a few bytes and the daemon some 20 KiB and 100 µs, and a peer that says nothing would keep its place for as
//! long as `--handshake-timeout`. So beyond the limit the one gives way that has waited longest for its
//! peer: an honest peer is through within two round trips, and one that comes after thousands of silent ones is not kept out by
//! them. Where all of them wait for the daemon, newcomers wait in the kernel.

use std::collections::VecDeque;

use mio::Token;

use crate::limit::Limit;

/// The handshakes that are under way, the first to begin first.
#[derive(Debug)]
pub(super) struct Handshakes {
    limit: Limit,
    under_way: VecDeque<UnderWay>,
}

#[derive(Debug, Clone, Copy)]
struct UnderWay {
    token: Token,
    /// The turn of the loop in which it came.
    turn: u64,
}

impl Handshakes {
    /// With so many at once.
    pub(super) fn new(limit: Limit) -> Self {
        Handshakes {
            limit,
            under_way: VecDeque::new(),
        }
    }

    /// How many are under way.
    pub(super) fn len(&self) -> usize {
        self.under_way.len()
    }

    /// Whether one more may begin.
    pub(super) fn has_room(&self) -> bool {
        self.limit.admits_size(self.under_way.len() + 1)
    }

    /// One begins.
    pub(super) fn begin(&mut self, token: Token, turn: u64) {
        self.under_way.push_back(UnderWay { token, turn });
    }

    /// One is over, or its connection is gone.
    pub(super) fn end(&mut self, token: Token) {
        let place = self.under_way.iter().position(|one| one.token == token);
        if let Some(place) = place {
            self.under_way.remove(place);
        }
    }

    /// Those that came before this turn, the first first: whether the others have sent anything is not known yet.
    pub(super) fn before(&self, turn: u64) -> impl Iterator<Item = Token> {
        let before = self.under_way.iter().take_while(move |one| one.turn < turn);
        before.map(|one| one.token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_again_when_one_is_over_whichever_it_is() {
        let mut handshakes = Handshakes::new(Limit::of(2));
        handshakes.begin(Token(1), 1);
        assert!(handshakes.has_room());
        handshakes.begin(Token(2), 1);
        assert!(!handshakes.has_room());
        handshakes.end(Token(3));
        assert!(!handshakes.has_room());
        handshakes.end(Token(1));
        assert!(handshakes.has_room());
    }

    #[test]
    fn those_of_this_turn_are_not_asked_to_give_way_and_the_first_is_asked_first() {
        let mut handshakes = Handshakes::new(Limit::NONE);
        for (token, turn) in [(1, 1), (2, 1), (3, 2)] {
            handshakes.begin(Token(token), turn);
        }
        assert!(handshakes.has_room());
        let asked: Vec<_> = handshakes.before(2).map(|token| token.0).collect();
        assert_eq!(asked, [1, 2]);
    }
}
