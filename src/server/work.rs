//! What is to be done: the connections to read from, those to visit, and the moments at which one is to be looked at.

use std::collections::VecDeque;

use mio::Token;

use super::connection::Connection;
use super::connection::flow::Flow;
use super::reads::Reads;
use super::timers::Timers;
use crate::config::Config;

/// The loop's queues. A connection stands in each at most once.
#[derive(Debug, Default)]
pub(super) struct Work {
    /// Connections with input to deal with.
    pub(super) reads: Reads,
    /// Connections with private bytes, or whose end of the stream is to be said.
    pub(super) visits: VecDeque<Token>,
    /// When to look at which connection, though nothing happens on it.
    pub(super) timers: Timers,
}

impl Work {
    /// Puts a connection into the queues in which it has to stand as it is now.
    #[inline]
    pub(super) fn queue(&mut self, connection: &mut Connection, config: &Config) {
        self.queue_read(connection);
        if connection.wants_visit_to_write() && !connection.flow.contains(Flow::IN_VISITS) {
            connection.flow.insert(Flow::IN_VISITS);
            self.visits.push_back(connection.token);
        }
        let deadline = connection.next_deadline(config);
        if deadline < connection.wake_at {
            connection.wake_at = deadline;
            self.timers.push(deadline, connection.token);
        }
    }

    /// Puts a connection into the queue of those to read from, if it has to be there.
    #[inline]
    pub(super) fn queue_read(&mut self, connection: &mut Connection) {
        let flow = connection.flow;
        if flow.wants_visit_to_read() && !flow.contains(Flow::IN_READS) {
            connection.flow.insert(Flow::IN_READS);
            self.reads.push(connection.token, connection.standing());
        }
    }
}
