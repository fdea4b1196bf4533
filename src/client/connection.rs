//! One open connection of a client: listening on it, and judging by the clock whether it still is one.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use zeroize::Zeroizing;

use super::connector::Connector;
use super::credentials::Token;
use super::deadline;
use super::error::{Cause, ConnectError, Error, Step};
use super::feature::Feature;
use super::identity::Identity;
use super::link::{Dial, Shared};
use super::websocket::{Incoming, Receiver, Sender, Texts, Wait, WebSocket};
use crate::dialect::json::{self, EventDecoder, SUB_PROTOCOL};
use crate::ws::close::CloseCode;

/// How many reads there may be when something is overdue: together, of 128 KiB each, they take more than the system keeps for a socket.
const LATE_READS: usize = 64;

/// The shortest time that a read waits for something to become due.
const SHORTEST: Duration = Duration::from_millis(10);

/// An open connection.
pub(super) struct Connection {
    receiver: Receiver,
    sender: Sender,
    opened: Instant,
    /// Subscriptions are still being asked for, a few at a time. Until all are, the other half does not see the connection.
    resuming: bool,
    /// A write failed: why, the next reads say.
    broken: bool,
    /// When something came last.
    heard: Instant,
    /// When a ping went out, if nothing has come since.
    pinged: Option<Instant>,
    /// How long a read waits, once that was set.
    timeout: Option<Duration>,
    /// The last read found nothing in its time, so the next one must end when something is due.
    timed_out: bool,
    /// Reads since something has been overdue.
    late_reads: usize,
}

impl Connection {
    pub(super) fn new(sender: Sender, receiver: Receiver, resuming: bool) -> Self {
        let now = Instant::now();
        Self {
            receiver,
            sender,
            opened: now,
            resuming,
            broken: false,
            heard: now,
            pinged: None,
            timeout: None,
            timed_out: false,
            late_reads: 0,
        }
    }

    pub(super) const fn opened(&self) -> Instant {
        self.opened
    }

    /// Takes the next message from the server; with [`Wait::Yes`] it waits for one once, and perhaps none comes. Whether it is worth
    /// while to come again.
    ///
    /// # Errors
    /// The [`Cause`] for which the connection is lost.
    pub(super) fn listen(
        &mut self,
        shared: &Shared,
        decoder: &mut EventDecoder,
        identity: &mut Identity,
        wait: Wait,
    ) -> Result<bool, Cause> {
        if self.ask(shared) {
            return Ok(true);
        }
        let mut take = |event: json::Event<'_>| {
            let mut state = shared.lock();
            state.take(event)?;
            shared.note_answers(&mut state);
            Ok(())
        };
        let taken = receive(&mut self.receiver, decoder, Wait::No, &mut take)?;
        if taken.is_some() || wait == Wait::No {
            return Ok(taken.is_some());
        }
        if self.renew(shared, identity) {
            return Ok(true);
        }
        self.set_patience(shared, identity.due())?;
        match receive(&mut self.receiver, decoder, Wait::Yes, &mut take) {
            Err(Cause::Lost(Error::TimedOut)) => self.timed_out = true,
            Err(cause) => return Err(cause),
            Ok(_) => {
                self.heard = Instant::now();
                self.pinged = None;
                self.timed_out = false;
            }
        }
        Ok(true)
    }

    /// Asks for the subscriptions that were not asked for yet and sends publications again, as far as the server has answered to those before.
    /// When that is done, a connection that is new comes up. Whether it did.
    fn ask(&mut self, shared: &Shared) -> bool {
        loop {
            let mut state = shared.lock();
            if state.is_closing() || self.broken {
                return false;
            }
            if !state.session.has_unasked() {
                // In one go with the look: what the other half notes after it, it asks for itself. And only now may it send, as
                // what it asks must not overtake what was asked here.
                let comes_up = std::mem::take(&mut self.resuming);
                if comes_up {
                    shared.come_up(&mut state, &self.sender);
                }
                return comes_up;
            }
            let mut texts = Texts::default();
            let all = state.asking(|session| session.ask(&mut texts, Instant::now()));
            drop(state);
            if texts.ends.is_empty() {
                if all {
                    continue;
                }
                return false;
            }
            // Few enough never to wait for a server that waits to be read.
            if self.sender.send_texts(&texts).is_err() {
                self.broken = true;
                self.sender.abort();
            }
        }
    }

    /// Takes what the server said of who this client is, and sends a token if it is time for one. Whether there is something to tell
    /// of that.
    fn renew(&mut self, shared: &Shared, identity: &mut Identity) -> bool {
        let now = Instant::now();
        let (verdict, takes_tokens) = {
            let mut state = shared.lock();
            let takes_tokens = state.session.features().has(Feature::Auth) && !state.is_closing();
            (state.session.take_verdict(), takes_tokens)
        };
        let noted = verdict.map(|verdict| identity.note(verdict, now, SystemTime::now()));
        if !identity.has_tokens() || !takes_tokens {
            identity.keep();
            return false;
        }
        let token = match noted.unwrap_or(Ok(None)) {
            Ok(None) => identity.renewal(now),
            noted => noted,
        };
        match token {
            Ok(Some(token)) => self.authenticate(shared, &token),
            Ok(None) => false,
            Err(error) => {
                let mut state = shared.lock();
                state.session.tell_not_renewed(&error.to_string());
                true
            }
        }
    }

    /// Sends a token. Whether there is something to tell of that.
    fn authenticate(&mut self, shared: &Shared, token: &Token) -> bool {
        let token = token.as_str();
        // With room for all of it, escapes included: a vector that grows leaves copies behind.
        let mut text = Zeroizing::new(Vec::with_capacity(2 * token.len() + 64));
        let mut state = shared.lock();
        state.asking(|session| session.authenticate(token, &mut text));
        if text.is_empty() {
            let why = "the token is longer than what the server takes";
            state.session.tell_not_renewed(why);
            return true;
        }
        drop(state);
        if self.sender.send_secret(&text).is_err() {
            self.broken = true;
            self.sender.abort();
        }
        false
    }

    /// Has the next read end when something must be done, does what must be done now, and gives up where nothing helps.
    fn set_patience(&mut self, shared: &Shared, renewal: Option<Instant>) -> Result<(), Cause> {
        let now = Instant::now();
        let connector = &shared.connector;
        let (answer_due, closing) = {
            let state = shared.lock();
            (state.answer_due(&connector.timeouts), state.is_closing())
        };
        let silence_due = |since| deadline::after(since, connector.ping_after);
        let overdue = if answer_due.is_some_and(|due| due <= now) {
            Some(Cause::Unanswered)
        } else {
            let unheard = self.pinged.is_some_and(|since| silence_due(since) <= now);
            unheard.then_some(Cause::Silent)
        };
        if let Some(cause) = overdue {
            // Read first, judge then: a program that was busy elsewhere, or was stopped, has left unread what came in time.
            let nothing_came = self.late_reads > 0 && self.timed_out;
            if nothing_came || self.late_reads >= LATE_READS {
                return Err(if closing { Cause::Closed } else { cause });
            }
            self.late_reads += 1;
            return self.set_timeout(Duration::ZERO);
        }
        self.late_reads = 0;
        if self.pinged.is_none() && silence_due(self.heard) <= now {
            self.sender.owe_ping();
            self.pinged = Some(now);
        }
        // A system call for each read is too much: while something comes, all reads have the same timeout.
        let mut timeout = connector.ping_after.min(connector.timeouts.answer);
        if closing {
            timeout = timeout.min(connector.timeouts.close);
        }
        if self.timed_out || closing {
            let silence_due = silence_due(self.pinged.unwrap_or(self.heard));
            let due = answer_due.map_or(silence_due, |due| due.min(silence_due));
            timeout = timeout.min(due.saturating_duration_since(now));
        }
        if let Some(renewal) = renewal {
            timeout = shortened(timeout, renewal.saturating_duration_since(now));
        }
        self.set_timeout(timeout)
    }

    fn set_timeout(&mut self, timeout: Duration) -> Result<(), Cause> {
        if self.timeout != Some(timeout) {
            self.timeout = Some(timeout);
            let set = self.receiver.set_timeout(Some(timeout));
            set.map_err(Cause::Lost)?;
        }
        Ok(())
    }

    /// Says why to a server that may still listen, and goes.
    pub(super) fn leave(&self, cause: &Cause) {
        let (code, reason) = match cause {
            Cause::Message(_) => (CloseCode::PROTOCOL, "not a message of json.fanfare.v1"),
            Cause::Protocol(what) => (CloseCode::PROTOCOL, *what),
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

/// `timeout`, halved until it is no longer than `max`: as `max` gets shorter with every read, the timeout stays the same for a while.
fn shortened(timeout: Duration, max: Duration) -> Duration {
    let mut timeout = timeout;
    while timeout > max.max(SHORTEST) {
        timeout /= 2;
    }
    timeout
}

/// Opens a connection as somebody and gives what comes to `take`, until that says that the welcome was among it.
pub(super) fn open(
    connector: &Connector,
    dial: &dyn Dial,
    identity: &mut Identity,
    decoder: &mut EventDecoder,
    mut take: impl FnMut(json::Event<'_>) -> Result<bool, Cause>,
) -> Result<(Sender, Receiver), ConnectError> {
    identity.present(|authorization| {
        let socket = dial.dial(authorization)?;
        welcomed(connector, socket, decoder, &mut take)
    })
}

/// Waits for the welcome on an open connection.
fn welcomed(
    connector: &Connector,
    socket: WebSocket,
    decoder: &mut EventDecoder,
    mut take: impl FnMut(json::Event<'_>) -> Result<bool, Cause>,
) -> Result<(Sender, Receiver), ConnectError> {
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
    Ok((sender, receiver))
}

/// Gives the next event to `take`. `None`: none was at hand, or with [`Wait::Yes`] none was whole after one read.
fn receive<R: Default>(
    receiver: &mut Receiver,
    decoder: &mut EventDecoder,
    wait: Wait,
    mut take: impl FnMut(json::Event<'_>) -> Result<R, Cause>,
) -> Result<Option<R>, Cause> {
    let taken = receiver.receive_with(wait, |incoming| match incoming {
        Incoming::Text(text) => {
            // Not by the short way: what is no JSON must not reach the program as if it were.
            decoder
                .decode_whole(text)
                .map_err(Cause::Message)
                .and_then(&mut take)
        }
        Incoming::Binary(_) => Err(Cause::Binary),
        Incoming::Pong(_) => Ok(R::default()),
    });
    taken.map_err(Cause::Lost)?.transpose()
}
