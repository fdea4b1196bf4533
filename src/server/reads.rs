//! Whose turn it is to be read from.

use std::collections::VecDeque;

use mio::Token;

/// While both kinds wait, one in so many is a connection whose peer has gone.
const ONE_GONE_IN: u32 = 8;

/// How many whose peers have gone are taken in one turn. Events come in the order in which they
/// happened, a batch a turn: who arrives after thousands have gone is only heard of some turns
/// later, so those turns have to be short.
const GONE_A_TURN: u32 = 64;

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
    /// How many who are gone were taken in this turn.
    gone_taken: u32,
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

    /// Begins a turn of the loop.
    pub(super) fn begin_turn(&mut self) {
        self.gone_taken = 0;
    }

    /// Takes whose turn it is. `None` if nobody waits who may be taken in this turn.
    pub(super) fn pop(&mut self) -> Option<Token> {
        let may_take_gone = self.gone_taken < GONE_A_TURN && !self.gone.is_empty();
        if !may_take_gone || self.in_a_row + 1 < ONE_GONE_IN {
            if let Some(token) = self.present.pop_front() {
                self.in_a_row = (self.in_a_row + 1).min(ONE_GONE_IN);
                return Some(token);
            }
            if !may_take_gone {
                return None;
            }
        }
        self.in_a_row = 0;
        self.gone_taken += 1;
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
    fn a_turn_clears_away_so_many_at_most_and_the_next_goes_on() {
        let mut reads = Reads::default();
        for token in 0..15_000 {
            reads.push(Token(token), true);
        }
        let per_turn = GONE_A_TURN as usize;
        for turn in 0..3 {
            reads.begin_turn();
            let taken: Vec<_> = std::iter::from_fn(|| reads.pop()).map(|t| t.0).collect();
            assert!(taken.into_iter().eq(turn * per_turn..(turn + 1) * per_turn));
        }
        reads.push(Token(20_000), false);
        assert_eq!(reads.pop(), Some(Token(20_000)));
        assert!(!reads.is_empty());
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
