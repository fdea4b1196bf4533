//! Connections that hoard: they keep more of their input half read than everybody may.
//!
//! `--input-total` bounds all half-read input together. The connection that sends the byte over the limit
//! is most likely not the one to blame, so the connections that have hoarded for longest go first: a
//! message that is sent without a pause is over before its connection's turn comes. Input that waits for
//! the daemon itself is no hoard: it is behind other input in the queue, or waits for a channel's sweep.

use std::collections::BTreeSet;

use super::Server;
use super::connection::{Connection, Phase};
use super::input::Unread;
use super::timers::{Millis, NEVER};
use crate::ws::close::CloseCode;
use crate::ws::violation::Violation;

/// What every connection may keep half read, in bytes of memory, however much all keep together.
const FREE_BYTES: usize = 4 * 1024;

/// What a client is told whose half-read input has to make room.
const NO_ROOM: Violation = Violation {
    code: CloseCode::OVERLOAD,
    reason: "the server has too much half-read input at the moment",
};

/// The connections that hold more than [`FREE_BYTES`], by the time since when they have.
#[derive(Debug, Default)]
pub(super) struct Hoards {
    by_age: BTreeSet<(Millis, usize)>,
}

impl Hoards {
    /// The connection at `index` has hoarded since `new` ([`NEVER`]: it does not), and since `old` as far as was known.
    fn change(&mut self, index: usize, old: Millis, new: Millis) {
        if old != NEVER {
            self.by_age.remove(&(old, index));
        }
        if new != NEVER {
            self.by_age.insert((new, index));
        }
    }

    /// The connection that has hoarded for longest.
    fn first_to_go(&self) -> Option<usize> {
        self.by_age.first().map(|&(_, index)| index)
    }

    /// How many hoard.
    pub(super) fn len(&self) -> usize {
        self.by_age.len()
    }
}

/// Since when `connection` has kept more than it may, with `unread` bytes beside it, or [`NEVER`].
fn hoards_since(connection: &Connection, unread: usize) -> Millis {
    let half_read = connection.half_read_bytes();
    // It does not read its answers, so what it has asked for since waits because of it.
    if connection.paused.outbox && half_read + unread > FREE_BYTES {
        return connection.paused_since;
    }
    if half_read <= FREE_BYTES {
        return NEVER;
    }
    match &connection.phase {
        Phase::Open(open) => open.message_since,
        Phase::Http(http) if http.waiting => NEVER,
        Phase::Http(http) => http.since,
        // Its close is awaited since then at the latest.
        Phase::Closing { .. } => connection.silent_since.min(connection.hoards_since),
        Phase::Draining { .. } => NEVER,
    }
}

impl Server {
    /// Looks at what a connection keeps after its visit, and lets go of those who have kept too much
    /// for longest while all keep more than `--input-total`.
    pub(super) fn judge_hoard(&mut self, index: usize) {
        self.note_hoard(index);
        while self.core.input_held > self.core.config.input_total
            && let Some(index) = self.hoards.first_to_go()
        {
            match self.connections[index].phase {
                Phase::Http(_) => self.refuse_request(index),
                _ => self.fail(index, NO_ROOM),
            }
        }
    }

    /// Brings up to date since when a connection has hoarded.
    pub(super) fn note_hoard(&mut self, index: usize) {
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        let unread = match connection.has_unread && connection.paused.outbox {
            true => self.unread.get(&connection.token),
            false => None,
        };
        let since = hoards_since(connection, unread.map_or(0, Unread::held_bytes));
        let before = std::mem::replace(&mut connection.hoards_since, since);
        if since != before {
            self.hoards.change(index, before, since);
        }
    }

    /// A connection keeps nothing any more.
    pub(super) fn forget_hoard(&mut self, index: usize) {
        let before = std::mem::replace(&mut self.connections[index].hoards_since, NEVER);
        self.hoards.change(index, before, NEVER);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_hoarded_for_longest_goes_first() {
        let mut hoards = Hoards::default();
        hoards.change(7, NEVER, 30);
        hoards.change(8, NEVER, 20);
        hoards.change(9, NEVER, 20);
        assert_eq!((hoards.first_to_go(), hoards.len()), (Some(8), 3));
        // It has begun another message since, and the next has finished its own.
        hoards.change(8, 20, 40);
        hoards.change(9, 20, NEVER);
        assert_eq!((hoards.first_to_go(), hoards.len()), (Some(7), 2));
        hoards.change(7, 30, NEVER);
        hoards.change(8, 40, NEVER);
        assert_eq!((hoards.first_to_go(), hoards.len()), (None, 0));
    }
}
