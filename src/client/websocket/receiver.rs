//! The receiving half.

use std::time::{Duration, Instant};

use super::{Message, Sender};
use crate::client::deadline;
use crate::client::error::Error;
use crate::client::opening::Opened;
use crate::client::transport::is_timeout;
use crate::ws::close::{CloseCode, CloseFrame};
use crate::ws::deflate::Inflater;
use crate::ws::endpoint::{Endpoint, Event, Role};
use crate::ws::extension::Answer;
use crate::ws::violation::Violation;

/// Bytes read at once.
const READ_BYTES: usize = 128 << 10;

/// The half of a [`WebSocket`](super::WebSocket) that receives. It answers pings and the peer's close by itself, while
/// [`receive`](Self::receive) is called.
///
/// ```no_run
/// use fanfare::client::{Message, WebSocket};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (mut sender, mut receiver) = WebSocket::connect("ws://127.0.0.1:9001/echo")?.split();
/// std::thread::spawn(move || sender.send_text("from the other thread"));
/// if let Message::Text(text) = receiver.receive()? {
///     println!("{text}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Receiver {
    /// To answer with.
    sender: Sender,
    endpoint: Endpoint,
    inflater: Inflater,
    /// `buffer[pos..end]` is what has been read and not looked at.
    buffer: Vec<u8>,
    pos: usize,
    end: usize,
    max_message: usize,
    close_timeout: Duration,
    timeout: Option<Duration>,
    protocol: Option<String>,
    /// Why nothing comes any more.
    over: Option<Over>,
}

/// [`Error`] as far as it must be said again and again.
#[derive(Clone, Debug)]
enum Over {
    Closed(CloseCode, String),
    Violation(Violation),
    Broken,
}

/// Something for the program, where it lies.
#[derive(Debug)]
pub(in crate::client) enum Incoming<'a> {
    Text(&'a mut [u8]),
    Binary(&'a mut [u8]),
    Pong(&'a [u8]),
}

/// Whether to read from the stream when what was read is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::client) enum Wait {
    /// Once, for as long as the timeout allows.
    Yes,
    /// Not at all.
    No,
}

/// What a step through the bytes at hand came to.
enum Step<R> {
    Taken(R),
    /// A control frame was dealt with.
    Dealt,
    /// All is used up.
    Starved,
    Over(Over),
}

impl Receiver {
    pub(super) fn new(
        sender: Sender,
        opened: Opened,
        max_message: usize,
        close_timeout: Duration,
    ) -> Self {
        let mut buffer = opened.rest;
        let end = buffer.len();
        buffer.resize(end.max(READ_BYTES), 0);
        Self {
            sender,
            // Text is checked as it comes, so that the first bad byte ends the connection.
            endpoint: Endpoint::new(Role::Client, opened.deflate.is_some(), true),
            inflater: opened
                .deflate
                .as_ref()
                .map_or_else(Inflater::new, Answer::inflater),
            buffer,
            pos: 0,
            end,
            max_message,
            close_timeout,
            timeout: None,
            protocol: opened.protocol,
            over: None,
        }
    }

    /// Waits for the next message. Pings are answered on the way, and so is a close.
    ///
    /// # Errors
    /// [`Error::TimedOut`] where a [timeout](Self::set_timeout) passed, and a later call goes on. Anything else is the
    /// connection's end, of which every later call says the same.
    pub fn receive(&mut self) -> Result<Message, Error> {
        loop {
            let message = self.receive_with(Wait::Yes, |incoming| match incoming {
                // The endpoint has checked it; `std` cannot be told without `unsafe` code, and looks again.
                Incoming::Text(text) => String::from_utf8(text.to_vec())
                    .map(Message::Text)
                    .map_err(|_| Error::from(Violation::invalid_data("text that is not UTF-8"))),
                Incoming::Binary(bytes) => Ok(Message::Binary(bytes.to_vec())),
                Incoming::Pong(payload) => Ok(Message::Pong(payload.to_vec())),
            })?;
            if let Some(message) = message {
                return message;
            }
        }
    }

    /// How long [`receive`](Self::receive) waits for bytes; `None`, the default, is for ever.
    ///
    /// # Errors
    /// [`Error::Io`] where the system does not take it.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) -> Result<(), Error> {
        self.timeout = timeout;
        let set = self.sender.transport().set_read_timeout(timeout);
        set.map_err(Error::Io)
    }

    /// The sub-protocol that was agreed on.
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// Whether permessage-deflate was agreed on.
    pub fn deflates(&self) -> bool {
        self.endpoint.deflates()
    }

    /// Gives the next message to `take`, where it lies. `None`: no whole one is at hand, with [`Wait::Yes`] after one read. A caller
    /// that waits looks at the clock between two reads. Else a peer that pings, or sends a byte now and then, keeps it for ever.
    pub(in crate::client) fn receive_with<R>(
        &mut self,
        wait: Wait,
        mut take: impl FnMut(Incoming<'_>) -> R,
    ) -> Result<Option<R>, Error> {
        let mut may_read = wait == Wait::Yes;
        loop {
            if let Some(over) = &self.over {
                return Err(over.clone().into());
            }
            match self.step(&mut take) {
                Step::Taken(taken) => return Ok(Some(taken)),
                Step::Dealt => {}
                Step::Starved if may_read => {
                    may_read = false;
                    self.read()?;
                }
                Step::Starved => return Ok(None),
                Step::Over(over) => self.finish(over),
            }
        }
    }

    /// Takes and drops what comes until the connection is closed.
    pub(super) fn wait_for_close(&mut self) -> Result<(), Error> {
        let deadline = deadline::after(Instant::now(), self.close_timeout);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.sender.abort();
                return Err(Error::TimedOut);
            }
            self.set_timeout(Some(left))?;
            match self.receive_with(Wait::Yes, |_| ()) {
                Ok(_) | Err(Error::TimedOut) => {}
                Err(Error::Closed { .. }) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    fn step<R>(&mut self, take: &mut impl FnMut(Incoming<'_>) -> R) -> Step<R> {
        let event = self.endpoint.receive(
            &mut self.buffer,
            &mut self.pos,
            self.end,
            self.max_message,
            &mut self.inflater,
        );
        match event {
            Ok(None) => Step::Starved,
            Ok(Some(Event::Message { text: true, data })) => {
                Step::Taken(take(Incoming::Text(data)))
            }
            Ok(Some(Event::Message { text: false, data })) => {
                Step::Taken(take(Incoming::Binary(data)))
            }
            Ok(Some(Event::Pong(payload))) => Step::Taken(take(Incoming::Pong(payload))),
            Ok(Some(Event::Ping(payload))) => {
                self.sender.owe_pong(payload);
                Step::Dealt
            }
            Ok(Some(Event::Close(close))) => Step::Over(match close {
                Some(CloseFrame { code, reason }) => Over::Closed(code, reason.to_owned()),
                None => Over::Closed(CloseCode::NO_STATUS, String::new()),
            }),
            Err(violation) => Step::Over(Over::Violation(violation)),
        }
    }

    /// Reads what is there, behind what is not looked at yet (of which there is none).
    fn read(&mut self) -> Result<(), Error> {
        self.sender.settle();
        (self.pos, self.end) = (0, 0);
        match self.sender.transport().read(&mut self.buffer) {
            Ok(0) => {
                self.over = Some(Over::Closed(CloseCode::ABNORMAL, ENDED.to_owned()));
                Ok(())
            }
            Ok(read) => {
                self.end = read;
                Ok(())
            }
            Err(error) if is_timeout(&error) => Err(Error::TimedOut),
            Err(error) => {
                self.over = Some(Over::Broken);
                Err(Error::Io(error))
            }
        }
    }

    /// Answers a close or a violation, and lets the peer end the TCP connection (RFC 6455 §7.1.1): a client that did so first would
    /// have unread bytes turned into a reset, which can overtake its own close frame.
    fn finish(&mut self, over: Over) {
        match &over {
            // The same code goes back (§5.5.1).
            Over::Closed(code, _) => self.sender.owe_close(Some(*code), ""),
            Over::Violation(violation) => {
                self.sender
                    .owe_close(Some(violation.code), violation.reason);
            }
            Over::Broken => {}
        }
        if self.sender.pay().is_ok() {
            if matches!(over, Over::Violation(_)) {
                // The peer may not care for what we say; it cares for the end of the stream.
                let _ = self.sender.transport().end_writing();
            }
            self.drain();
        }
        self.sender.abort();
        self.over = Some(over);
    }

    /// Reads to the end of the stream, for as long as the closing handshake may take.
    fn drain(&mut self) {
        let deadline = deadline::after(Instant::now(), self.close_timeout);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let transport = self.sender.transport();
            if left.is_zero() || transport.set_read_timeout(Some(left)).is_err() {
                return;
            }
            if !matches!(transport.read(&mut self.buffer), Ok(1..)) {
                return;
            }
        }
    }
}

const ENDED: &str = "the connection ended without a close";

impl From<Over> for Error {
    fn from(over: Over) -> Self {
        match over {
            Over::Closed(code, reason) => Self::Closed { code, reason },
            Over::Violation(violation) => Self::Violation(violation),
            Over::Broken => Self::Io(std::io::ErrorKind::BrokenPipe.into()),
        }
    }
}
