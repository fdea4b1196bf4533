//! How many connections there may be at once, and which are answered beyond that.
//!
//! `--max-connections` counts regular seats. There are a few more, whose files come from
//! [`Config::FILES_RESERVED`]. The *reserve* is for this machine, so that its publishers get through
//! whatever strangers do. The *lobby* is for everybody, so that a request for `/healthz` gets an answer.
//! In both a connection may make one HTTP request and then closes, and a connection that sends nothing
//! gives way to a newcomer.

use std::collections::VecDeque;

use mio::Token;

use super::connection::Connection;
use super::connection::seat::Seat;
use crate::config::Config;

/// Connections from this machine that are served beyond the limit at one time.
const RESERVE: usize = 16;

/// Other connections beyond the limit that are read from at one time; those beyond these are just closed.
const LOBBY: usize = 32;

/// Files that the reserve and the lobby leave for the listeners, the poll, the signals and the standard streams.
const OTHER_FILES: usize = 16;

const _: () = assert!(RESERVE + LOBBY + OTHER_FILES <= Config::FILES_RESERVED);

/// All seats. Connections without a regular one are known by token.
#[derive(Debug)]
pub(super) struct Seats {
    /// Regular seats.
    limit: usize,
    regular: usize,
    reserve: VecDeque<Sitting>,
    lobby: VecDeque<Sitting>,
}

/// The connections with another seat than a regular one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sitting {
    token: Token,
    /// The turn of the loop in which it came.
    turn: u64,
}

impl Seats {
    /// With so many regular seats.
    pub(super) fn new(limit: usize) -> Seats {
        Seats {
            limit,
            regular: 0,
            reserve: VecDeque::new(),
            lobby: VecDeque::new(),
        }
    }

    /// Regular seats taken.
    pub(super) fn regular(&self) -> usize {
        self.regular
    }

    /// Regular seats there are.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// There are so many regular seats from now on. Nobody has to leave.
    pub(super) fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Whether all regular seats are taken.
    pub(super) fn is_full(&self) -> bool {
        self.regular >= self.limit
    }

    /// Whether a tenth of the regular seats is free again.
    pub(super) fn is_at_ease(&self) -> bool {
        self.regular + self.regular / 10 < self.limit
    }

    /// The seats that a newcomer may have, the best first.
    pub(super) fn choices(is_local: bool) -> &'static [Seat] {
        match is_local {
            true => &[Seat::Regular, Seat::Reserve, Seat::Lobby],
            false => &[Seat::Regular, Seat::Lobby],
        }
    }

    pub(super) fn has_room(&self, seat: Seat) -> bool {
        match seat {
            Seat::Regular => !self.is_full(),
            Seat::Reserve => self.reserve.len() < RESERVE,
            Seat::Lobby => self.lobby.len() < LOBBY,
        }
    }

    /// The connections that sit there, the first to come first, without those that came in this turn: whether these have
    /// sent anything is not known yet.
    pub(super) fn sitting(&self, seat: Seat, turn: u64) -> impl Iterator<Item = Token> {
        let sitting = self.room(seat).filter(move |who| who.turn < turn);
        sitting.map(|who| who.token)
    }

    /// Whether a connection sits there that came in this turn.
    pub(super) fn has_newcomer(&self, seat: Seat, turn: u64) -> bool {
        self.room(seat).any(|who| who.turn == turn)
    }

    fn room(&self, seat: Seat) -> impl Iterator<Item = &Sitting> {
        let room = match seat {
            Seat::Regular => None,
            Seat::Reserve => Some(&self.reserve),
            Seat::Lobby => Some(&self.lobby),
        };
        room.into_iter().flatten()
    }

    /// A connection takes a seat for which there is room.
    pub(super) fn take(&mut self, seat: Seat, token: Token, turn: u64) {
        let who = Sitting { token, turn };
        match seat {
            Seat::Regular => self.regular += 1,
            Seat::Reserve => self.reserve.push_back(who),
            Seat::Lobby => self.lobby.push_back(who),
        }
    }

    /// A connection is gone.
    pub(super) fn leave(&mut self, seat: Seat, token: Token) {
        match seat {
            Seat::Regular => self.regular -= 1,
            Seat::Reserve => self.reserve.retain(|who| who.token != token),
            Seat::Lobby => self.lobby.retain(|who| who.token != token),
        }
    }

    /// Gives a connection a regular seat if one has become free, before it is asked what it wants.
    pub(super) fn promote(&mut self, connection: &mut Connection) {
        if connection.seat != Seat::Regular && !self.is_full() {
            self.leave(connection.seat, connection.token);
            self.regular += 1;
            connection.seat = Seat::Regular;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seats a newcomer as the loop does, where nobody gives way.
    fn come(seats: &mut Seats, is_local: bool, token: usize) -> Option<Seat> {
        let seat = Seats::choices(is_local)
            .iter()
            .copied()
            .find(|seat| seats.has_room(*seat))?;
        seats.take(seat, Token(token), 1);
        Some(seat)
    }

    #[test]
    fn strangers_take_regular_seats_and_the_lobby_and_none_of_the_reserve() {
        let mut seats = Seats::new(10);
        let strangers: Vec<_> = (0..1_000).map(|n| come(&mut seats, false, n)).collect();
        let count = |seat| strangers.iter().filter(|s| **s == seat).count();
        assert_eq!(count(Some(Seat::Regular)), 10);
        assert_eq!(count(Some(Seat::Lobby)), LOBBY);
        assert_eq!(count(Some(Seat::Reserve)), 0);
        assert_eq!(count(None), 1_000 - 10 - LOBBY);
        for token in 1_000..1_000 + RESERVE {
            assert_eq!(come(&mut seats, true, token), Some(Seat::Reserve));
        }
        assert_eq!(come(&mut seats, true, 2_000), None);
        seats.leave(Seat::Reserve, Token(1_003));
        assert_eq!(come(&mut seats, false, 2_001), None);
        assert_eq!(come(&mut seats, true, 2_002), Some(Seat::Reserve));
    }

    #[test]
    fn this_machine_can_use_the_lobby_too_and_takes_a_regular_seat_first() {
        let mut seats = Seats::new(1);
        assert_eq!(come(&mut seats, true, 0), Some(Seat::Regular));
        let others: Vec<_> = (1..100).map(|n| come(&mut seats, true, n)).collect();
        let in_lobby = others.iter().filter(|s| **s == Some(Seat::Lobby)).count();
        assert_eq!(in_lobby, LOBBY);
        seats.leave(Seat::Regular, Token(0));
        assert_eq!(come(&mut seats, false, 100), Some(Seat::Regular));
    }

    #[test]
    fn a_newcomer_of_this_turn_is_not_asked_to_give_way_and_the_first_to_come_is_asked_first() {
        let mut seats = Seats::new(0);
        for (token, turn) in [(7, 1), (8, 1), (9, 2)] {
            seats.take(Seat::Lobby, Token(token), turn);
        }
        let asked = |seat, turn| -> Vec<usize> {
            let seats = &seats;
            seats.sitting(seat, turn).map(|token| token.0).collect()
        };
        assert_eq!(asked(Seat::Lobby, 2), [7, 8]);
        assert_eq!(asked(Seat::Lobby, 3), [7, 8, 9]);
        assert_eq!(asked(Seat::Reserve, 3), [0; 0]);
        assert_eq!(asked(Seat::Regular, 3), [0; 0]);
        assert!(seats.has_newcomer(Seat::Lobby, 2) && !seats.has_newcomer(Seat::Lobby, 3));
    }

    #[test]
    fn it_is_at_ease_again_once_a_tenth_of_the_seats_is_free() {
        let mut seats = Seats::new(20);
        (0..20).for_each(|token| seats.take(Seat::Regular, Token(token), 1));
        assert!(seats.is_full() && !seats.is_at_ease());
        seats.leave(Seat::Regular, Token(3));
        assert!(!seats.is_full() && !seats.is_at_ease());
        seats.leave(Seat::Regular, Token(4));
        assert!(seats.is_at_ease());
    }
}
