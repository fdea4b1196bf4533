//! What may flow on a connection, in one word.

use bitflags::bitflags;

bitflags! {
    /// What is known of a connection's input and output, and in which queues it stands.
    ///
    /// `Connections::touch` and the queues read it. It is changed where something happens, and nothing else is done there.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(in crate::server) struct Flow: u16 {
        /// The transport may have something to read.
        const READABLE = 1 << 0;
        /// The event said that the peer finished writing: the transport is read from until that is seen.
        const HUNG_UP = 1 << 1;
        /// Input that was read and not dealt with waits in the connection.
        const KEPT = 1 << 2;
        /// It used up what one visit may cost and had more to read: it waits behind those that did not.
        const HEAVY = 1 << 3;
        /// A deadline has come. The connection is judged once the transport has been asked for input.
        const ASKED = 1 << 4;

        /// It is paused, since it asks without reading the answers: its outbox is full.
        const OUTBOX_FULL = 1 << 5;
        /// It is paused, since it publishes to a channel whose subscribers have not been swept yet.
        const CONGESTED = 1 << 6;
        /// It is paused, since its next request has to wait for the answer to an earlier one.
        const AWAITS = 1 << 7;

        /// The transport is full.
        const BLOCKED = 1 << 8;
        /// The hub has been told that nothing can be delivered to it.
        const WITHHELD = 1 << 9;
        /// Messages have gone to it since its last byte: an answer to a ping may have to wait behind them.
        const BACKLOG = 1 << 10;

        /// It stands in the queue of those to read from.
        const IN_READS = 1 << 11;
        /// It stands in the queue of those to visit.
        const IN_VISITS = 1 << 12;
        /// It stands in the queue of those whose messages have to be made in a later turn.
        const UNRENDERED = 1 << 13;

        /// Its transport shakes hands: a read may take as long as some hundred others.
        const HANDSHAKES = 1 << 14;

        /// Everything for which a connection is paused.
        const PAUSED = Self::OUTBOX_FULL.bits() | Self::CONGESTED.bits() | Self::AWAITS.bits();
    }
}

impl Flow {
    /// Whether its input is read and dealt with.
    #[inline]
    pub(in crate::server) fn may_read(self) -> bool {
        !self.intersects(Self::PAUSED)
    }

    /// Whether the transport takes something.
    #[inline]
    pub(in crate::server) fn may_write(self) -> bool {
        !self.contains(Self::BLOCKED)
    }

    /// Whether there is input to deal with, and it may be dealt with.
    pub(in crate::server) fn wants_visit_to_read(self) -> bool {
        self.may_read() && self.intersects(Self::READABLE | Self::KEPT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_read_from_when_nothing_pauses_it_and_there_is_input() {
        let pauses = [Flow::OUTBOX_FULL, Flow::CONGESTED, Flow::AWAITS];
        for input in [Flow::READABLE, Flow::KEPT] {
            assert!(input.wants_visit_to_read());
            for pause in pauses {
                let flow = input | pause;
                assert!(!flow.may_read() && !flow.wants_visit_to_read(), "{flow:?}");
                assert!(flow.may_write(), "{flow:?}");
            }
        }
        assert!(Flow::default().may_read() && !Flow::default().wants_visit_to_read());
        assert!(!Flow::BLOCKED.may_write() && Flow::BLOCKED.may_read());
    }
}
