//! In which order connections are read from.

use std::collections::VecDeque;
use std::time::Duration;

use mio::Token;

use super::TURN_BUDGET;

/// One in so many is a connection whose peer has gone, while both kinds wait.
const ONE_GONE_IN: u32 = 8;

/// How many whose peers have gone are taken in one turn. Events come in the order in which they
/// happened, a batch a turn: a client that arrives after thousands have gone is only heard of some
/// turns later, so those turns have to be short.
const GONE_A_TURN: usize = 64;

/// How long the handshakes of one turn may take, before another may only be the first of its turn: five or so with keys of the
/// usual kind.
const HANDSHAKES_TIME: Duration = TURN_BUDGET.checked_div(2).expect("two is not zero");

/// In which order connections are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Its last visit found an end of what it had sent.
    Light,
    /// Its last visit used up what a visit may cost and left something unread.
    Heavy,
    /// Its transport shakes hands, whether or not its peer is still there.
    Handshake,
    /// Its peer has said FIN, or its socket has failed.
    Gone,
}

/// The connections that may have something to read, each once.
///
/// Those that have little to read come first, however many the others are: one of them
/// takes some microseconds, and which one it is shows after its visit. Of the heavy ones each turn visits
/// at least one, so that they wait for each other and not for ever.
///
/// A handshake takes as long as some fifty requests of those that are inside. So handshakes come after these, and a
/// few a turn: however many come at once, those inside wait for those few.
///
/// When a network fails, thousands of peers are gone in one moment, and all that is left to do for
/// them is to clear away. That has time: those that are still there, and those that just arrive, come
/// first.
#[derive(Debug, Default)]
pub(super) struct Reads {
    light: VecDeque<Token>,
    heavy: VecDeque<Token>,
    handshakes: VecDeque<Token>,
    gone: VecDeque<Token>,
    /// How many of each may still be taken in this turn: those that are queued again wait for the next.
    light_left: usize,
    heavy_left: usize,
    handshakes_left: usize,
    gone_left: usize,
    /// How many light ones were taken since the last that is gone.
    in_a_row: u32,
    /// Whether this turn has visited a heavy one.
    took_heavy: bool,
    /// How long the handshakes of this turn have taken; `None` before the first.
    handshakes_took: Option<Duration>,
    /// By how much the visits of heavy ones have taken longer than they should, while light ones waited.
    overdrawn: Duration,
}

impl Reads {
    /// Queues a connection behind those of its kind. It must not be queued already.
    pub(super) fn push(&mut self, token: Token, standing: Standing) {
        let queue = match standing {
            Standing::Light => &mut self.light,
            Standing::Heavy => &mut self.heavy,
            Standing::Handshake => &mut self.handshakes,
            Standing::Gone => &mut self.gone,
        };
        queue.push_back(token);
    }

    /// Begins a turn of the loop: every connection that is queued now may be taken once.
    pub(super) fn begin_turn(&mut self) {
        self.light_left = self.light.len();
        self.heavy_left = self.heavy.len();
        self.handshakes_left = self.handshakes.len();
        self.handshakes_took = None;
        self.gone_left = self.gone.len().min(GONE_A_TURN);
        self.took_heavy = false;
    }

    /// Takes the next, and says where it stood. `None` if nobody is left in this turn, or if its time is up (`in_time`
    /// is false) and one handshake and one heavy connection have had their visits.
    pub(super) fn pop(&mut self, in_time: bool) -> Option<(Token, Standing)> {
        if in_time && let Some(next) = self.pop_light_or_gone() {
            return Some(next);
        }
        if self.handshakes_left > 0 && self.has_time_for_handshake(in_time) {
            self.handshakes_left -= 1;
            self.handshakes_took.get_or_insert_default();
            return Some((self.handshakes.pop_front()?, Standing::Handshake));
        }
        if !in_time && !self.took_heavy && !self.overdrawn.is_zero() {
            // This turn was for the light ones alone.
            self.took_heavy = true;
            self.overdrawn = self.overdrawn.saturating_sub(TURN_BUDGET);
            return None;
        }
        if (in_time || !self.took_heavy) && self.heavy_left > 0 {
            self.heavy_left -= 1;
            self.took_heavy = true;
            return Some((self.heavy.pop_front()?, Standing::Heavy));
        }
        None
    }

    fn has_time_for_handshake(&self, in_time: bool) -> bool {
        match self.handshakes_took {
            None => true,
            Some(took) => in_time && took < HANDSHAKES_TIME,
        }
    }

    /// The visit of a handshake took so long.
    pub(super) fn charge_handshake(&mut self, time: Duration) {
        *self.handshakes_took.get_or_insert_default() += time;
    }

    fn pop_light_or_gone(&mut self) -> Option<(Token, Standing)> {
        let turn_of_gone = self.light_left == 0 || self.in_a_row + 1 >= ONE_GONE_IN;
        if self.gone_left > 0 && turn_of_gone {
            self.gone_left -= 1;
            self.in_a_row = 0;
            return Some((self.gone.pop_front()?, Standing::Gone));
        }
        if self.light_left == 0 {
            return None;
        }
        self.light_left -= 1;
        self.in_a_row = (self.in_a_row + 1).min(ONE_GONE_IN);
        Some((self.light.pop_front()?, Standing::Light))
    }

    /// The visit of a heavy connection took longer than it should by so much: its message was that costly. As
    /// much time is the others' before the next one's.
    pub(super) fn overdraw(&mut self, time: Duration) {
        if self.light_left > 0 {
            self.overdrawn += time;
        }
    }

    /// How many light visits this turn has still to make.
    pub(super) fn light_left(&self) -> usize {
        self.light_left
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        let queues = [&self.light, &self.heavy, &self.handshakes, &self.gone];
        queues.into_iter().all(VecDeque::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::Standing::{Gone, Handshake, Heavy, Light};
    use super::*;

    /// All that are taken in one turn whose time is not up.
    fn turn(reads: &mut Reads) -> Vec<usize> {
        reads.begin_turn();
        std::iter::from_fn(|| reads.pop(true))
            .map(|(token, _)| token.0)
            .collect()
    }

    #[test]
    fn a_newcomer_is_not_kept_waiting_by_thousands_that_are_gone() {
        let mut reads = Reads::default();
        for token in 0..15_000 {
            reads.push(Token(token), Gone);
        }
        assert_eq!(turn(&mut reads).len(), GONE_A_TURN);
        reads.push(Token(20_000), Light);
        assert_eq!(turn(&mut reads)[0], 20_000);
    }

    #[test]
    fn a_connection_that_is_gone_is_cleared_away_however_many_are_busy() {
        let mut reads = Reads::default();
        reads.push(Token(1_000), Gone);
        for token in 0..100 {
            reads.push(Token(token), Light);
        }
        let taken = turn(&mut reads);
        let place = taken.iter().position(|&token| token == 1_000);
        assert!(place.is_some_and(|place| place < ONE_GONE_IN as usize));
        assert_eq!(taken.len(), 101);
        assert!(reads.is_empty());
    }

    #[test]
    fn a_turn_clears_away_so_many_at_most_and_the_next_goes_on() {
        let mut reads = Reads::default();
        for token in 0..15_000 {
            reads.push(Token(token), Gone);
        }
        for nth in 0..3 {
            let taken = turn(&mut reads);
            assert!(
                taken
                    .into_iter()
                    .eq(nth * GONE_A_TURN..(nth + 1) * GONE_A_TURN)
            );
        }
        assert!(!reads.is_empty());
    }

    #[test]
    fn those_of_a_kind_are_taken_in_the_order_they_came() {
        let mut reads = Reads::default();
        for token in 0..99 {
            reads.push(Token(token), [Light, Heavy, Gone][token % 3]);
        }
        let taken = turn(&mut reads);
        for kind in 0..3 {
            let of_kind: Vec<_> = taken.iter().filter(|&&t| t % 3 == kind).collect();
            assert!(of_kind.is_sorted());
            assert_eq!(of_kind.len(), 33);
        }
    }

    #[test]
    fn a_connection_that_has_little_comes_before_all_that_have_much() {
        let mut reads = Reads::default();
        for token in 0..400 {
            reads.push(Token(token), Heavy);
        }
        reads.push(Token(1_000), Light);
        reads.begin_turn();
        assert_eq!(reads.pop(true), Some((Token(1_000), Light)));
        assert_eq!(reads.pop(true), Some((Token(0), Heavy)));
    }

    #[test]
    fn however_many_have_little_each_turn_reads_from_one_that_has_much() {
        let mut reads = Reads::default();
        for token in 0..10 {
            reads.push(Token(token), Heavy);
        }
        for nth in 0..10 {
            reads.push(Token(1_000 + nth), Light);
            reads.begin_turn();
            assert_eq!(reads.pop(true), Some((Token(1_000 + nth), Light)));
            // Now its time is up.
            assert_eq!(reads.pop(false), Some((Token(nth), Heavy)));
            assert_eq!(reads.pop(false), None);
        }
    }

    #[test]
    fn after_a_costly_visit_as_much_time_is_the_others() {
        let mut reads = Reads::default();
        for token in 0..10 {
            reads.push(Token(token), Heavy);
            reads.push(Token(1_000 + token), Light);
        }
        reads.begin_turn();
        assert_eq!(reads.pop(false), Some((Token(0), Heavy)));
        reads.overdraw(3 * TURN_BUDGET);
        for _ in 0..3 {
            reads.begin_turn();
            assert!(matches!(reads.pop(true), Some((_, Light))));
            assert_eq!(reads.pop(false), None);
        }
        reads.begin_turn();
        assert_eq!(reads.pop(false), Some((Token(1), Heavy)));
    }

    #[test]
    fn whoever_is_inside_comes_before_all_handshakes_and_a_turn_has_time_for_a_few() {
        let mut reads = Reads::default();
        for token in 0..1_000 {
            reads.push(Token(token), Handshake);
        }
        reads.push(Token(2_000), Heavy);
        reads.push(Token(1_000), Light);
        reads.begin_turn();
        assert_eq!(reads.pop(true), Some((Token(1_000), Light)));
        for token in 0..5 {
            assert_eq!(reads.pop(true), Some((Token(token), Handshake)));
            reads.charge_handshake(HANDSHAKES_TIME / 5);
        }
        assert_eq!(reads.pop(true), Some((Token(2_000), Heavy)));
        assert_eq!(reads.pop(true), None);
        assert!(!reads.is_empty());
    }

    #[test]
    fn however_much_the_others_send_each_turn_has_one_handshake() {
        let mut reads = Reads::default();
        for token in 0..3 {
            reads.push(Token(token), Handshake);
        }
        for token in 0..3 {
            reads.begin_turn();
            assert_eq!(reads.pop(false), Some((Token(token), Handshake)));
            assert_eq!(reads.pop(false), None);
        }
        assert!(reads.is_empty());
    }

    #[test]
    fn a_connection_that_is_queued_again_waits_for_the_next_turn() {
        let mut reads = Reads::default();
        reads.push(Token(1), Light);
        reads.push(Token(2), Heavy);
        reads.begin_turn();
        assert_eq!(reads.pop(true), Some((Token(1), Light)));
        reads.push(Token(1), Heavy);
        assert_eq!(reads.pop(true), Some((Token(2), Heavy)));
        reads.push(Token(2), Heavy);
        assert_eq!(reads.pop(true), None);
        assert_eq!(turn(&mut reads), [1, 2]);
    }
}
