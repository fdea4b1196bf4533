//! The half of a client that listens, and brings lost connections back.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::backoff::Backoff;
use super::connector::Connector;
use super::deadline;
use super::error::{Cause, ClientError, ConnectError, Error, Step};
use super::event::{Event, Position};
use super::link::{Link, Shared};
use super::session::Told;
use super::websocket::{Incoming, Receiver, Sender, Texts, Wait};
use crate::dialect::json::{self, EventDecoder, SUB_PROTOCOL};
use crate::random::Random;
use crate::ws::close::CloseCode;

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
    /// The body of the last refusal, so that retries show it once.
    last_body: String,
    phase: Phase,
}

enum Phase {
    Up(Box<Up>),
    /// Nothing until then; there has been no connection since.
    Waiting {
        until: Instant,
        since: Instant,
    },
    /// For good; why, if that was not said yet.
    Over(Option<Arc<Cause>>),
}

/// An open connection.
struct Up {
    receiver: Receiver,
    sender: Sender,
    opened: Instant,
    /// Subscriptions are still being asked for, a few at a time. Until all are, the other half does not see the connection.
    resuming: bool,
    /// A ping went out, and no message has come since.
    pinged: bool,
}

impl Events {
    pub(super) fn new(shared: Arc<Shared>, sender: Sender, receiver: Receiver) -> Self {
        let backoff = Backoff::new(shared.connector.reconnect);
        Self {
            shared,
            decoder: EventDecoder::new(),
            backoff,
            random: Random::new(),
            last_body: String::new(),
            phase: Phase::Up(Box::new(Up::new(sender, receiver, false))),
        }
    }

    /// The next event that is at hand already, without waiting for anything: while there are some, a program may put off what
    /// it does once for many events, such as flushing what it wrote. `None` also at the end.
    pub fn next_at_hand(&mut self) -> Option<Result<Event, ClientError>> {
        self.next_event(Wait::No)
    }

    /// Where the subscription to `channel` is, from the moment it was made: what to give to
    /// [`Start::Since`](super::Start::Since) to go on there another time.
    pub fn position(&self, channel: &str) -> Option<Position> {
        self.shared.lock().session.position(channel)
    }

    /// The program is closing: silence for so long is an end, too.
    pub(super) fn expect_end_within(&mut self, timeout: Duration) {
        if let Phase::Up(up) = &mut self.phase {
            // Where the system does not take it, the usual silence does.
            let _ = up.receiver.set_timeout(Some(timeout));
        }
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

    /// The next thing told. `None` at the end, and with [`Wait::No`] where nothing is at hand.
    pub(super) fn next_told(&mut self, wait: Wait) -> Option<Result<Told, ClientError>> {
        loop {
            if let Some(told) = self.shared.lock().session.next_told() {
                return Some(Ok(told));
            }
            match &mut self.phase {
                Phase::Over(cause) => {
                    return cause.take().map(|cause| Err(ClientError::Over(cause)));
                }
                Phase::Up(up) => match up.listen(&self.shared, &mut self.decoder, wait) {
                    Ok(true) => {}
                    Ok(false) => return None,
                    Err(cause) => self.lose(cause),
                },
                Phase::Waiting { .. } if wait == Wait::No => return None,
                &mut Phase::Waiting { until, since } => {
                    if self.shared.sleep_until(until) {
                        self.end(Cause::Closed);
                    } else {
                        self.come_back(since);
                    }
                }
            }
        }
    }

    /// The connection is gone.
    fn lose(&mut self, cause: Cause) {
        let Phase::Up(up) = &self.phase else { return };
        up.leave(&cause);
        let now = Instant::now();
        self.backoff.lost(now - up.opened);
        if self.shared.lock().closing {
            self.end(Cause::Closed);
        } else if cause.comes_back() {
            let mut state = self.shared.lock();
            let unsent = state.unsent;
            state.session.lost(unsent);
            self.shared.set_link(&mut state, Link::Down);
            drop(state);
            self.try_again(cause, now);
        } else {
            self.end(cause);
        }
    }

    /// Announces another try, unless there have been enough without a connection `since` then.
    fn try_again(&mut self, cause: Cause, since: Instant) {
        let now = Instant::now();
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

    fn come_back(&mut self, since: Instant) {
        let shared = &self.shared;
        let opened = open(&shared.connector, &mut self.decoder, |event| {
            let mut state = shared.lock();
            state.session.take(event)?;
            Ok(state.session.is_welcomed())
        });
        match opened {
            Ok((sender, receiver)) => {
                self.last_body.clear();
                shared.lock().session.tell(Event::Reconnected);
                self.phase = Phase::Up(Box::new(Up::new(sender, receiver, true)));
            }
            Err(error) => {
                let error = error.without_repeated_body(&mut self.last_body);
                // A connection that was lost before its welcome may have left something behind.
                let mut state = shared.lock();
                let unsent = state.unsent;
                state.session.lost(unsent);
                drop(state);
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
        state.session.lost(None);
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

impl Up {
    fn new(sender: Sender, receiver: Receiver, resuming: bool) -> Self {
        Self {
            receiver,
            sender,
            opened: Instant::now(),
            resuming,
            pinged: false,
        }
    }

    /// Takes the next message from the server. Whether there was one; always, if it was waited for.
    ///
    /// # Errors
    /// The [`Cause`] for which the connection is lost.
    fn listen(
        &mut self,
        shared: &Shared,
        decoder: &mut EventDecoder,
        wait: Wait,
    ) -> Result<bool, Cause> {
        self.ask(shared);
        let received = receive(&mut self.receiver, decoder, wait, |event| {
            let mut state = shared.lock();
            state.session.take(event)?;
            shared.note_answers(&mut state);
            Ok(())
        });
        match received {
            Ok(received) => {
                self.pinged &= received.is_none();
                Ok(received.is_some())
            }
            Err(Cause::Lost(Error::TimedOut)) if shared.lock().closing => Err(Cause::Closed),
            Err(Cause::Lost(Error::TimedOut)) if self.pinged => Err(Cause::Silent),
            Err(Cause::Lost(Error::TimedOut)) => {
                self.pinged = true;
                self.sender.owe_ping();
                Ok(true)
            }
            Err(cause) => Err(cause),
        }
    }

    /// Asks for the subscriptions that were not asked for yet, as far as the server has answered to those before.
    fn ask(&mut self, shared: &Shared) {
        let mut state = shared.lock();
        if !state.session.has_unasked() && !self.resuming {
            return;
        }
        let mut texts = Texts::default();
        let all = state.session.ask(&mut texts);
        drop(state);
        // Few enough never to wait for a server that waits to be read. A failure shows at the next read.
        if self.sender.send_texts(&texts).is_err() {
            self.sender.abort();
        }
        // Only now may the other half send: what it asks must not overtake what was asked here.
        if all && self.resuming {
            self.resuming = false;
            shared.come_up(&self.sender);
        }
    }

    /// Says why to a server that may still listen, and goes.
    fn leave(&self, cause: &Cause) {
        let (code, reason) = match cause {
            Cause::Message(_) => (CloseCode::PROTOCOL, "not a message of json.fanfare.v1"),
            Cause::Binary => (
                CloseCode::UNSUPPORTED,
                "json.fanfare.v1 has no binary messages",
            ),
            _ => (CloseCode::NORMAL, ""),
        };
        self.sender.owe_close(Some(code), reason);
        self.sender.abort();
    }
}

/// Opens a connection and gives what comes to `take`, until that says that the welcome was among it.
pub(super) fn open(
    connector: &Connector,
    decoder: &mut EventDecoder,
    mut take: impl FnMut(json::Event<'_>) -> Result<bool, Cause>,
) -> Result<(Sender, Receiver), ConnectError> {
    let socket = connector.open(&[SUB_PROTOCOL])?;
    if socket.protocol() != Some(SUB_PROTOCOL) {
        return Err(ConnectError::NotFanfare);
    }
    let (sender, mut receiver) = socket.split();
    let lost = |cause| ConnectError::Welcome(Arc::new(cause));
    let deadline = deadline::after(Instant::now(), connector.timeouts.handshake);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ConnectError::TimedOut(Step::Handshake));
        }
        receiver
            .set_timeout(Some(left))
            .map_err(|error| lost(Cause::Lost(error)))?;
        match receive(&mut receiver, decoder, Wait::Yes, &mut take) {
            Ok(Some(true)) => break,
            Ok(_) | Err(Cause::Lost(Error::TimedOut)) => {}
            Err(cause) => return Err(lost(cause)),
        }
    }
    receiver
        .set_timeout(Some(connector.ping_after))
        .map_err(|error| lost(Cause::Lost(error)))?;
    Ok((sender, receiver))
}

/// Gives the next event to `take`. `None`: nothing was at hand.
fn receive<R: Default>(
    receiver: &mut Receiver,
    decoder: &mut EventDecoder,
    wait: Wait,
    mut take: impl FnMut(json::Event<'_>) -> Result<R, Cause>,
) -> Result<Option<R>, Cause> {
    let taken = receiver.receive_with(wait, |incoming| match incoming {
        Incoming::Text(text) => {
            let (bytes, len) = text.padded();
            decoder
                .decode(bytes, len)
                .map_err(Cause::Message)
                .and_then(&mut take)
        }
        Incoming::Binary(_) => Err(Cause::Binary),
        Incoming::Pong(_) => Ok(R::default()),
    });
    taken.map_err(Cause::Lost)?.transpose()
}
