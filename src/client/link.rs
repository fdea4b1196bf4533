//! What the two halves of a client share: the session, and the connection that it has at the moment.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::connector::{Connector, Timeouts};
use super::deadline;
use super::error::{Cause, ClientError, ConnectError};
use super::event::Event;
use super::session::Session;
use super::websocket::{Sender, WebSocket};
use crate::dialect::json::{self, SUB_PROTOCOL};
use crate::ws::close::CloseCode;

/// Opens the connections of a client: a [`Connector`] does, and in tests a server in memory.
pub(super) trait Dial: Send + Sync {
    /// Opens one and offers `json.fanfare.v1`. `authorization` is the value of that header line, if there is to be one.
    fn dial(&self, authorization: Option<&str>) -> Result<WebSocket, ConnectError>;
}

impl Dial for Connector {
    fn dial(&self, authorization: Option<&str>) -> Result<WebSocket, ConnectError> {
        self.open(&[SUB_PROTOCOL], authorization)
    }
}

/// Shared by the halves, each on its thread.
pub(super) struct Shared {
    pub(super) connector: Connector,
    pub(super) dial: Box<dyn Dial>,
    state: Mutex<State>,
    /// The link changed, or there is room for requests again.
    changed: Condvar,
}

pub(super) struct State {
    pub(super) session: Session,
    pub(super) link: Link,
    /// The first publish of those that are encoded and not sent yet.
    unsent: Option<u64>,
    /// Somebody waits for room.
    waits_for_room: bool,
    /// The program wants no connection any more, since then.
    closing: Option<Instant>,
    /// The program wants no connection any more once the publications with keys are answered.
    finishing: bool,
    /// When the last answer came, or when the oldest request went out that has waited since. It counts only while answers are owed.
    progress: Instant,
    /// A write that is under way: when it began, and how many bytes it has.
    writing: Option<(Instant, usize)>,
}

/// The slowest that a connection may take what is sent, in bytes a second, before its answers count as overdue.
const SLOWEST: usize = 16 << 10;

/// The connection.
#[derive(Clone)]
pub(super) enum Link {
    Up(Sender),
    /// It is open, and is still being asked for the subscriptions: other requests wait.
    Resuming(Sender),
    /// There will be another try.
    Down,
    /// There will not.
    Over(Arc<Cause>),
}

impl State {
    fn new(session: Session, link: Link) -> Self {
        Self {
            session,
            link,
            unsent: None,
            waits_for_room: false,
            closing: None,
            finishing: false,
            progress: Instant::now(),
            writing: None,
        }
    }

    /// Whether the server owes an answer.
    pub(super) fn is_owed_an_answer(&self) -> bool {
        self.session.is_owed_an_answer(self.unsent)
    }

    /// Has `ask` note requests that are going out now.
    pub(super) fn asking<R>(&mut self, ask: impl FnOnce(&mut Session) -> R) -> R {
        if !self.is_owed_an_answer() {
            self.progress = Instant::now();
        }
        ask(&mut self.session)
    }

    /// Notes a publish that is encoded and not sent.
    pub(super) fn note_unsent(&mut self, id: u64) {
        self.unsent.get_or_insert(id);
    }

    /// What was encoded is going out, so many bytes: from here on the server may have it, whatever becomes of the write.
    pub(super) fn sending(&mut self, bytes: usize) {
        let now = Instant::now();
        if !self.is_owed_an_answer() {
            self.progress = now;
        }
        if let Some(unsent) = self.unsent.take() {
            self.session.note_sent(unsent, now);
        }
        self.writing = Some((now, bytes));
    }

    /// It has gone out. Only now can it be answered, and it may have taken long.
    pub(super) fn sent(&mut self) {
        self.writing = None;
        self.progress = Instant::now();
    }

    /// A connection was lost: what was sent on it will not be answered.
    pub(super) fn lose(&mut self) {
        self.session.lost(self.unsent);
    }

    /// Takes what the server said.
    ///
    /// # Errors
    /// The [`Cause`] for which this connection must end.
    pub(super) fn take(&mut self, event: json::Event<'_>) -> Result<(), Cause> {
        let answers = self.session.answers();
        let taken = self.session.take(event);
        if self.session.answers() != answers {
            self.progress = Instant::now();
        }
        taken
    }

    /// Whether the last answer has come that was waited for before the close.
    pub(super) fn has_finished(&self) -> bool {
        self.finishing && !self.is_closing() && !self.session.has_kept()
    }

    /// Until when to wait for the next try, which is to be at `until`: a client that was closed has nothing to try for once all is too old.
    fn wait_ends(&self, until: Instant) -> Instant {
        let all_old = self.session.all_old().filter(|_| self.finishing);
        all_old.map_or(until, |all_old| all_old.min(until))
    }

    pub(super) const fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// When to give the server up, unless it answers: it owes something, or it should have closed.
    pub(super) fn answer_due(&self, timeouts: &Timeouts) -> Option<Instant> {
        if self.is_owed_an_answer() {
            let (since, slow) = match self.writing {
                Some((began, bytes)) => {
                    let slow = Duration::from_secs((bytes / SLOWEST) as u64);
                    (began.max(self.progress), slow)
                }
                None => (self.progress, Duration::ZERO),
            };
            return Some(deadline::after(since, timeouts.answer.saturating_add(slow)));
        }
        let since = self.closing?.max(self.progress);
        Some(deadline::after(since, timeouts.close))
    }

    /// The sender of a connection that takes requests; `None` where another one may come.
    ///
    /// # Errors
    /// Why none ever does.
    pub(super) fn sender(&self) -> Result<Option<Sender>, ClientError> {
        match &self.link {
            Link::Over(cause) => Err(ClientError::Over(cause.clone())),
            _ if self.is_closing() || self.finishing => {
                Err(ClientError::Over(Arc::new(Cause::Closed)))
            }
            Link::Up(sender) => Ok(Some(sender.clone())),
            Link::Down | Link::Resuming(_) => Ok(None),
        }
    }
}

impl Shared {
    pub(super) fn new(
        connector: Connector,
        dial: Box<dyn Dial>,
        session: Session,
        sender: Sender,
    ) -> Self {
        Self {
            connector,
            dial,
            state: Mutex::new(State::new(session, Link::Up(sender))),
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

    /// Takes up a connection that is to be asked for the subscriptions first; or ends it, if the client was closed while there was none to
    /// say so on.
    pub(super) fn resume(&self, sender: &Sender) {
        let mut state = self.lock();
        // What is to be sent again waits from now on.
        state.progress = Instant::now();
        if state.has_finished() {
            state.closing = Some(Instant::now());
        }
        if state.is_closing() {
            sender.owe_close(Some(CloseCode::NORMAL), "");
        } else {
            self.set_link(&mut state, Link::Resuming(sender.clone()));
        }
    }

    /// Hands a connection that was asked for all subscriptions to the other half, and tells the program that it is back.
    pub(super) fn come_up(&self, state: &mut MutexGuard<'_, State>, sender: &Sender) {
        self.set_link(state, Link::Up(sender.clone()));
        state.session.tell(Event::Reconnected);
    }

    /// Waits until the link changes or there is room.
    pub(super) fn wait<'s>(&self, mut state: MutexGuard<'s, State>) -> MutexGuard<'s, State> {
        state.waits_for_room = true;
        let state = self.changed.wait(state);
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `until`, or [less long](State::wait_ends), or until the program closes the client without waiting for anything. Whether
    /// it did.
    pub(super) fn sleep_until(&self, until: Instant) -> bool {
        let mut state = self.lock();
        loop {
            let left = state
                .wait_ends(until)
                .saturating_duration_since(Instant::now());
            if state.is_closing() || left == Duration::ZERO {
                return state.is_closing();
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Closes if that waited for answers which have come. Wakes the half that waits for room, once there is a good deal of it: not for each
    /// single answer.
    pub(super) fn note_answers(&self, state: &mut MutexGuard<'_, State>) {
        if state.has_finished() {
            self.close_now(state);
        }
        if state.waits_for_room && state.session.has_room(self.connector.window.div_ceil(2)) {
            state.waits_for_room = false;
            self.changed.notify_all();
        }
    }

    /// Ends the client for good: says so to the server, without waiting for anything.
    pub(super) fn close(&self) {
        self.close_now(&mut self.lock());
    }

    /// The same once the publications with keys are answered.
    pub(super) fn finish(&self) {
        let mut state = self.lock();
        state.finishing = true;
        if state.has_finished() {
            self.close_now(&mut state);
        }
        // A thread that waits for the next try may wait less long.
        self.changed.notify_all();
    }

    fn close_now(&self, state: &mut MutexGuard<'_, State>) {
        state.closing.get_or_insert_with(Instant::now);
        match state.link.clone() {
            Link::Up(sender) | Link::Resuming(sender) => {
                sender.owe_close(Some(CloseCode::NORMAL), "");
            }
            Link::Down => self.set_link(state, Link::Over(Arc::new(Cause::Closed))),
            Link::Over(_) => {}
        }
        self.changed.notify_all();
    }

    /// The same, and does not let the server finish either.
    pub(super) fn abort(&self) {
        self.close();
        if let Link::Up(sender) | Link::Resuming(sender) = &self.lock().link {
            sender.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::session::Tag;
    use crate::client::websocket::Texts;
    use crate::dialect::json::{Data, EventDecoder};

    impl State {
        fn hear(&mut self, text: &str) {
            let mut bytes = text.as_bytes().to_vec();
            let event = EventDecoder::new().decode(&mut bytes);
            self.take(event.expect("an event")).expect("no end");
        }
    }

    #[test]
    fn the_age_of_what_has_a_key_counts_from_its_first_sending() {
        let mut state = State::new(Session::default(), Link::Down);
        let welcome = r#"{"type":"welcome","protocol":"json.fanfare.v1","server":"t","session":"s","max_message":200,"features":["key"]}"#;
        state.hear(welcome);
        let mut texts = Texts::default();
        let (data, tag) = (Data::json(b"1"), Tag::Event(1));
        let id = state.session.publish("c", data, Some("k"), tag, &mut texts);
        state.note_unsent(id.expect("it fits"));
        let encoded = Instant::now();
        let after = |minutes: u64| encoded + Duration::from_secs(60 * minutes);

        // It waits for a connection however long that takes.
        state.lose();
        state.session.forget_old(after(60));
        assert!(state.session.has_kept());

        state.hear(welcome);
        state.sending(texts.bytes.len());
        state.sent();
        for minutes in [0, 3] {
            state.lose();
            state.hear(welcome);
            texts = Texts::default();
            state.session.ask(&mut texts, after(minutes));
            assert_eq!(texts.ends.len(), 1, "after {minutes} minutes");
        }
        // The loss is noticed only now.
        state.lose();
        state.hear(welcome);
        texts = Texts::default();
        state.session.ask(&mut texts, after(6));
        assert!(texts.ends.is_empty() && !state.session.has_kept());
    }

    #[test]
    fn who_closed_waits_for_the_next_try_no_longer_than_something_can_be_sent_again() {
        let mut state = State::new(Session::default(), Link::Down);
        state.hear(
            r#"{"type":"welcome","protocol":"json.fanfare.v1","server":"t","session":"s","max_message":200,"features":["key"]}"#,
        );
        let began = Instant::now();
        let after = |seconds| began + Duration::from_secs(seconds);
        for seconds in [0, 10] {
            let mut texts = Texts::default();
            let (data, tag) = (Data::json(b"1"), Tag::Event(1));
            let id = state.session.publish("c", data, Some("k"), tag, &mut texts);
            state
                .session
                .note_sent(id.expect("it fits"), after(seconds));
        }
        state.lose();
        let in_an_hour = after(3600);
        assert_eq!(state.wait_ends(in_an_hour), in_an_hour);
        state.finishing = true;
        assert_eq!(state.wait_ends(in_an_hour), after(250));
        assert_eq!(state.wait_ends(after(5)), after(5));
        state.session.forget_old(after(249));
        assert!(!state.has_finished());
        state.session.forget_old(after(250));
        assert!(state.has_finished());
    }

    #[test]
    fn an_answer_is_due_only_where_one_is_owed_and_later_while_a_long_write_goes_on() {
        let timeouts = Timeouts::default();
        let mut state = State::new(Session::default(), Link::Down);
        state.hear(
            r#"{"type":"welcome","protocol":"json.fanfare.v1","server":"t","session":"s","max_message":200,"features":[]}"#,
        );
        assert_eq!(state.answer_due(&timeouts), None);
        let mut texts = Texts::default();
        let tag = Tag::Event(1);
        let id = state
            .session
            .publish("c", Data::json(b"1"), None, tag, &mut texts);
        state.note_unsent(id.expect("it fits"));
        assert_eq!(state.answer_due(&timeouts), None, "it was not sent");

        let before = Instant::now();
        state.sending(1 << 20);
        let due = state.answer_due(&timeouts).expect("it is being sent");
        assert!(due >= before + timeouts.answer + Duration::from_secs(64));
        state.sent();
        let due = state.answer_due(&timeouts).expect("it was sent");
        assert!(due <= Instant::now() + timeouts.answer);

        state.hear(r#"{"type":"published","id":0,"channel":"c","epoch":"e","seq":1}"#);
        assert_eq!(state.answer_due(&timeouts), None);
        state.closing = Some(Instant::now());
        let due = state.answer_due(&timeouts).expect("it should close");
        assert!(due <= Instant::now() + timeouts.close);
    }
}
