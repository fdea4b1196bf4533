//! What the two halves of a client share: the session, and the connection that it has at the moment.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::connector::Connector;
use super::error::Cause;
use super::session::Session;
use super::websocket::Sender;
use crate::ws::close::CloseCode;

/// Shared by the halves, each on its thread.
pub(super) struct Shared {
    pub(super) connector: Connector,
    state: Mutex<State>,
    /// The link changed, or there is room for requests again.
    changed: Condvar,
}

pub(super) struct State {
    pub(super) session: Session,
    pub(super) link: Link,
    /// The first publish of those that are encoded and not sent yet.
    pub(super) unsent: Option<u64>,
    /// Somebody waits for room.
    waits_for_room: bool,
    /// The program wants no connection any more.
    pub(super) closing: bool,
}

/// The connection.
#[derive(Clone)]
pub(super) enum Link {
    Up(Sender),
    /// There will be another try.
    Down,
    /// There will not.
    Over(Arc<Cause>),
}

impl Shared {
    pub(super) fn new(connector: Connector, session: Session, sender: Sender) -> Self {
        Self {
            connector,
            state: Mutex::new(State {
                session,
                link: Link::Up(sender),
                unsent: None,
                waits_for_room: false,
                closing: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// Never held while anything waits for the network.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the link and wakes whoever waits for that.
    pub(super) fn set_link(&self, state: &mut MutexGuard<'_, State>, link: Link) {
        state.link = link;
        self.changed.notify_all();
    }

    /// Hands a connection that was resumed to the other half; or ends it, if the client was closed while there was none to say
    /// so on.
    pub(super) fn come_up(&self, sender: &Sender) {
        let mut state = self.lock();
        if state.closing {
            sender.owe_close(Some(CloseCode::NORMAL), "");
        } else {
            self.set_link(&mut state, Link::Up(sender.clone()));
        }
    }

    /// Waits until the link changes or there is room.
    pub(super) fn wait<'s>(&self, mut state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        state.waits_for_room = true;
        let state = self.changed.wait(state);
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `until`, or until the program closes the client. Whether it did.
    pub(super) fn sleep_until(&self, until: Instant) -> bool {
        let mut state = self.lock();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if state.closing || left == Duration::ZERO {
                return state.closing;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Wakes who waits for room, once there is a good deal of it: not for each single answer.
    pub(super) fn note_answers(&self, state: &mut State) {
        if state.waits_for_room && state.session.waiting() <= self.connector.window / 2 {
            state.waits_for_room = false;
            self.changed.notify_all();
        }
    }

    /// Ends the client for good: says so to the server, without waiting for anything.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closing = true;
        match state.link.clone() {
            Link::Up(sender) => sender.owe_close(Some(CloseCode::NORMAL), ""),
            Link::Down => self.set_link(&mut state, Link::Over(Arc::new(Cause::Closed))),
            Link::Over(_) => {}
        }
        self.changed.notify_all();
    }

    /// The same, and does not let the server finish either.
    pub(super) fn abort(&self) {
        self.close();
        if let Link::Up(sender) = &self.lock().link {
            sender.abort();
        }
    }
}
