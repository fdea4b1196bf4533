//! The half of a client that listens, and brings lost connections back.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::backoff::Backoff;
use super::connection::{Connection, open};
use super::deadline;
use super::error::{Cause, ClientError};
use super::event::{Event, Position};
use super::identity::Identity;
use super::link::{Link, Shared};
use super::session::Told;
use super::websocket::{Receiver, Sender, Wait};
use crate::channel::topic::Topic;
use crate::dialect::json::EventDecoder;
use crate::random::Random;

/// The half of a [`Client`](super::Client) that listens: an iterator of what happens, which waits for it.
///
/// A lost connection comes back while somebody waits here: [`Event::Reconnecting`], then (perhaps after more of these)
/// [`Event::Reconnected`], and all subscriptions go on where they were. The iterator ends where the program closed the client.
/// An error is its last item: there is no connection any more, and it does not come back by itself.
///
/// ```no_run
/// use fanfare::client::{Client, Event, Start};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (mut requests, mut events) = Client::connect("ws://127.0.0.1:8040")?.split();
/// requests.subscribe("prices", Start::Last(1))?;
/// while let Some(event) = events.next() {
///     match event? {
///         Event::Message { seq, data, .. } => println!("{seq}: {data}"),
///         Event::Gap { from, to, reason, .. } => println!("{from} to {to} are missing: {reason}"),
///         Event::Reconnecting { wait, cause, .. } => println!("{cause}; again in {wait:?}"),
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub struct Events {
    shared: Arc<Shared>,
    decoder: EventDecoder,
    backoff: Backoff,
    random: Random,
    identity: Identity,
    /// The body of the last refusal, so that retries show it once.
    last_body: String,
    phase: Phase,
}

enum Phase {
    Up(Box<Connection>),
    /// Nothing until then; there has been no connection since.
    Waiting {
        until: Instant,
        since: Instant,
    },
    /// For good; why, if that was not said yet.
    Over(Option<Arc<Cause>>),
}

impl Events {
    pub(super) fn new(
        shared: Arc<Shared>,
        sender: Sender,
        receiver: Receiver,
        identity: Identity,
    ) -> Self {
        let backoff = Backoff::new(shared.connector.reconnect);
        Self {
            shared,
            decoder: EventDecoder::new(),
            backoff,
            random: Random::new(),
            identity,
            last_body: String::new(),
            phase: Phase::Up(Box::new(Connection::new(sender, receiver, false))),
        }
    }

    /// The next event that is at hand already, without waiting for anything: while there are some, a program may put off what
    /// it does once for many events, such as flushing what it wrote. `None` also at the end.
    pub fn next_at_hand(&mut self) -> Option<Result<Event, ClientError>> {
        self.next_event(Wait::No)
    }

    /// Where the subscription to a channel or a pattern is, from the moment it was made: what to give to
    /// [`Start::Since`](super::Start::Since) to go on there another time.
    pub fn position<'t>(&self, topic: impl Into<Topic<'t>>) -> Option<Position> {
        self.shared.lock().session.position(topic.into())
    }

    fn next_event(&mut self, wait: Wait) -> Option<Result<Event, ClientError>> {
        loop {
            match self.next_told(wait)? {
                Ok(Told::Event(event)) => return Some(Ok(event)),
                // For a call that did not wait for it.
                Ok(Told::Answer(..)) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Takes what happens until the client has ended, but not longer than `timeout`.
    pub(super) fn run_out(&mut self, timeout: Duration) {
        let deadline = deadline::after(Instant::now(), timeout);
        while Instant::now() < deadline {
            let told = self.shared.lock().session.next_told();
            if told.is_some() {
                continue;
            }
            match self.phase {
                Phase::Over(_) => return,
                Phase::Up(_) | Phase::Waiting { .. } => self.go_on(Wait::Yes),
            };
        }
    }

    /// The next thing told. `None` at the end, and with [`Wait::No`] where nothing is at hand.
    pub(super) fn next_told(&mut self, wait: Wait) -> Option<Result<Told, ClientError>> {
        loop {
            if let Some(told) = self.shared.lock().session.next_told() {
                return Some(Ok(told));
            }
            if let Phase::Over(cause) = &mut self.phase {
                return cause.take().map(|cause| Err(ClientError::Over(cause)));
            }
            if !self.go_on(wait) {
                return None;
            }
        }
    }

    /// The next thing told, or else one step towards it.
    pub(super) fn step(&mut self) -> Option<Result<Told, ClientError>> {
        if let Some(told) = self.shared.lock().session.next_told() {
            return Some(Ok(told));
        }
        self.go_on(Wait::Yes);
        None
    }

    /// Takes the next step towards something to tell: waits once for the server, or for the next try. Whether there was one to take.
    fn go_on(&mut self, wait: Wait) -> bool {
        match &mut self.phase {
            Phase::Up(up) => {
                let (decoder, identity) = (&mut self.decoder, &mut self.identity);
                match up.listen(&self.shared, decoder, identity, wait) {
                    Ok(listened) => return listened,
                    Err(cause) => self.lose(cause),
                }
            }
            Phase::Waiting { .. } if wait == Wait::No => return false,
            &mut Phase::Waiting { until, since } => {
                if self.shared.sleep_until(until) {
                    self.end(Cause::Closed);
                } else {
                    self.come_back(since, Instant::now());
                }
            }
            Phase::Over(_) => return false,
        }
        true
    }

    /// The connection is gone.
    fn lose(&mut self, cause: Cause) {
        let Phase::Up(up) = &self.phase else { return };
        up.leave(&cause);
        let now = Instant::now();
        if self.backoff.lost(now - up.opened()) {
            self.identity.settled();
        }
        if self.shared.lock().is_closing() {
            self.end(Cause::Closed);
        } else if self.comes_back(&cause) {
            let mut state = self.shared.lock();
            state.lose();
            self.shared.set_link(&mut state, Link::Down);
            drop(state);
            self.try_again(cause, now);
        } else {
            self.end(cause);
        }
    }

    /// Whether to try again after `cause`: with another token, where the server does not take the last one any more.
    fn comes_back(&mut self, cause: &Cause) -> bool {
        if cause.refuses_identity() && self.identity.has_tokens() {
            self.identity.refused()
        } else {
            cause.comes_back()
        }
    }

    /// Announces another try, unless there have been enough without a connection `since` then, or nothing to try for.
    fn try_again(&mut self, cause: Cause, since: Instant) {
        let now = Instant::now();
        if self.has_finished(now) {
            return self.end(Cause::Closed);
        }
        if self.backoff.is_over(now - since) {
            return self.end(cause);
        }
        let random = u64::from_ne_bytes(self.random.bytes());
        let retry_after = cause.retry_after(SystemTime::now());
        let (attempt, wait) = self.backoff.next(random, retry_after);
        let cause = Arc::new(cause);
        self.shared.lock().session.tell(Event::Reconnecting {
            attempt,
            wait,
            cause,
        });
        let until = deadline::after(now, wait);
        self.phase = Phase::Waiting { until, since };
    }

    /// Gives up what is too old at the time `now` to be sent again. Whether the client was closed and nothing is left to come back for.
    fn has_finished(&self, now: Instant) -> bool {
        let mut state = self.shared.lock();
        state.session.forget_old(now);
        state.has_finished()
    }

    /// Tries again at the time `now`, unless there is nothing to try for.
    fn come_back(&mut self, since: Instant, now: Instant) {
        if self.has_finished(now) {
            return self.end(Cause::Closed);
        }
        let shared = &self.shared;
        let opened = open(
            &shared.connector,
            &*shared.dial,
            &mut self.identity,
            &mut self.decoder,
            |event| {
                let mut state = shared.lock();
                state.take(event)?;
                Ok(state.session.is_welcomed())
            },
        );
        match opened {
            Ok((sender, receiver)) => {
                self.last_body.clear();
                shared.resume(&sender);
                self.phase = Phase::Up(Box::new(Connection::new(sender, receiver, true)));
            }
            Err(error) => {
                let error = error.without_repeated_body(&mut self.last_body);
                // A connection that was lost before its welcome may have left something behind.
                shared.lock().lose();
                if error.comes_back_once_open() {
                    self.try_again(Cause::Connect(error), since);
                } else {
                    self.end(Cause::Connect(error));
                }
            }
        }
    }

    /// It is over for good. What was not sent yet will not be: that counts as unknown, too.
    fn end(&mut self, cause: Cause) {
        let cause = Arc::new(cause);
        let mut state = self.shared.lock();
        state.session.end();
        self.shared.set_link(&mut state, Link::Over(cause.clone()));
        drop(state);
        let untold = (!matches!(*cause, Cause::Closed)).then_some(cause);
        self.phase = Phase::Over(untold);
    }
}

impl Iterator for Events {
    type Item = Result<Event, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_event(Wait::Yes)
    }
}

/// Without this half there are no answers, and nobody brings the connection back.
impl Drop for Events {
    fn drop(&mut self) {
        self.shared.abort();
        if !matches!(self.phase, Phase::Over(_)) {
            self.end(Cause::Closed);
        }
    }
}

#[cfg(test)]
mod tests;
