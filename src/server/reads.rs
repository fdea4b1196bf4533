//! Whose turn it is to be read from.

use std::collections::VecDeque;

use mio::Token;

/// While both kinds wait, one in so many is a connection whose peer has gone.
const ONE_GONE_IN: u32 = 8;

/// The connections that may have something to read, each once.
///
/// When a network fails, thousands of peers are gone in one moment, and all that is left to do for
/// them is to clear away. That has time: those who are still there, and those who just arrive, come
/// first.
#[derive(Debug, Default)]
pub(super) struct Reads {
    present: VecDeque<Token>,
    gone: VecDeque<Token>,
    /// How many who are present were taken since the last who is gone.
    in_a_row: u32,
}

impl Reads {
    /// Queues a connection behind those of its kind; `gone` if its peer has said FIN or the socket
    /// has failed. Not to be queued twice is up to the caller.
    pub(super) fn push(&mut self, token: Token, gone: bool) {
        let queue = if gone {
            &mut self.gone
        } else {
            &mut self.present
        };
        queue.push_back(token);
    }

    /// Takes whose turn it is.
    pub(super) fn pop(&mut self) -> Option<Token> {
        let their_turn = self.in_a_row + 1 < ONE_GONE_IN || self.gone.is_empty();
        if their_turn && let Some(token) = self.present.pop_front() {
            self.in_a_row = (self.in_a_row + 1).min(ONE_GONE_IN);
            return Some(token);
        }
        self.in_a_row = 0;
        self.gone.pop_front()
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.present.len() + self.gone.len()
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.present.is_empty() && self.gone.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_arrives_is_not_kept_waiting_by_thousands_who_are_gone() {
        let mut reads = Reads::default();
        for token in 0..15_000 {
            reads.push(Token(token), true);
        }
        assert_eq!(reads.pop(), Some(Token(0)));
        reads.push(Token(20_000), false);
        assert_eq!(reads.pop(), Some(Token(20_000)));
        assert_eq!(reads.pop(), Some(Token(1)));
    }

    #[test]
    fn who_is_gone_is_cleared_away_however_many_are_busy() {
        let mut reads = Reads::default();
        reads.push(Token(1_000), true);
        for token in 0..100 {
            reads.push(Token(token), false);
        }
        let taken: Vec<_> = std::iter::from_fn(|| reads.pop()).map(|t| t.0).collect();
        let place = taken.iter().position(|&token| token == 1_000);
        assert!(place.is_some_and(|place| place < ONE_GONE_IN as usize));
        assert_eq!(taken.len(), 101);
        assert!(reads.is_empty());
    }

    #[test]
    fn those_of_a_kind_are_taken_in_the_order_they_came() {
        let mut reads = Reads::default();
        for token in 0..100 {
            reads.push(Token(token), token % 2 == 0);
        }
        assert_eq!(reads.len(), 100);
        let taken: Vec<_> = std::iter::from_fn(|| reads.pop()).map(|t| t.0).collect();
        for parity in 0..2 {
            let kind: Vec<_> = taken.iter().filter(|&&t| t % 2 == parity).collect();
            assert!(kind.is_sorted());
            assert_eq!(kind.len(), 50);
        }
    }
}
