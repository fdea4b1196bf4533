//! The sending half.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::{io, mem};

use zeroize::Zeroize;

use crate::client::error::Error;
use crate::client::transport::Transport;
use crate::random::Random;
use crate::ws::close::{CloseCode, CloseFrame};
use crate::ws::deflate::Deflater;
use crate::ws::encode::{
    write_close, write_message, write_message_deflated, write_ping, write_pong,
};
use crate::ws::extension::Answer;

/// From this many bytes on, what was encoded goes out before more is encoded.
const WRITE_BYTES: usize = 256 << 10;

/// The encoded bytes for which room is kept between two writes, at most.
const KEPT_BYTES: usize = 1 << 20;

/// Level 2 compresses JSON far better than level 1 and hardly slower.
const DEFLATE_LEVEL: u32 = 2;

/// The half of a [`WebSocket`](super::WebSocket) that sends. Clones of it send on the same connection, whole messages in turn.
///
/// ```no_run
/// use fanfare::client::WebSocket;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (mut sender, mut receiver) = WebSocket::connect("ws://127.0.0.1:9001/echo")?.split();
/// let reader = std::thread::spawn(move || while receiver.receive().is_ok() {});
/// for line in std::io::stdin().lines() {
///     sender.send_text(&line?)?;
/// }
/// sender.close(fanfare::ws::close::CloseCode::NORMAL, "that was all")?;
/// reader.join().expect("the reader does not panic");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Sender {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    transport: Arc<dyn Transport>,
    writer: Mutex<Writer>,
    /// What the receiving half has to say. It never waits for `writer`: a sender that waits for room holds that, and the peer
    /// may make room only when it is read from.
    owed: Mutex<Owed>,
}

/// Control frames that wait to go out: at most one of each kind. Of several pings only the newest is answered (RFC 6455 §5.5.3), so a peer that
/// pings and does not read takes no more memory than 125 bytes here and one set of frames, under 400 bytes, in [`Writer::out`].
#[derive(Debug, Default)]
struct Owed {
    ping: bool,
    pong: Option<Vec<u8>>,
    close: Option<(Option<CloseCode>, String)>,
}

#[derive(Debug)]
struct Writer {
    /// Encoded and not written yet: the rest of a pong for which there was no room, or what is being encoded.
    out: Vec<u8>,
    random: Random,
    deflater: Option<Deflater>,
    state: State,
    /// What was encoded has a secret in it.
    is_secret: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// A close frame is among what was encoded: nothing may follow it.
    Closing,
    /// A write failed, perhaps in the middle of a frame.
    Broken,
}

/// Text messages, one after the other in one buffer.
#[derive(Debug, Default)]
pub(in crate::client) struct Texts {
    pub(in crate::client) bytes: Vec<u8>,
    /// Where each ends in `bytes`.
    pub(in crate::client) ends: Vec<usize>,
}

impl Sender {
    pub(super) fn new(transport: Arc<dyn Transport>, deflate: Option<Answer>) -> Self {
        let deflater = deflate
            .and_then(|answer| answer.window)
            .map(|window| Deflater::new(DEFLATE_LEVEL, window));
        let writer = Writer {
            out: Vec::new(),
            random: Random::new(),
            deflater,
            state: State::Open,
            is_secret: false,
        };
        Self {
            shared: Arc::new(Shared {
                transport,
                writer: Mutex::new(writer),
                owed: Mutex::default(),
            }),
        }
    }

    /// Sends a text message, compressed where that was agreed on and makes it smaller. Returns when all of it is
    /// with the system, which may take until the peer reads.
    ///
    /// # Errors
    /// [`Error::Closing`] after a close, else [`Error::Io`]; after that the connection is over.
    pub fn send_text(&mut self, text: &str) -> Result<(), Error> {
        self.send(|writer| writer.message(true, text.as_bytes()))
    }

    /// Sends a binary message, as [`send_text`](Self::send_text) does a text.
    ///
    /// # Errors
    /// As there.
    pub fn send_binary(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.send(|writer| writer.message(false, bytes))
    }

    /// Sends a ping. The answer comes as a [`Message::Pong`](super::Message::Pong) with the same bytes, of which there may
    /// be 125; more are left out.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text).
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.send(|writer| {
            let mask = Some(writer.random.bytes());
            write_ping(&mut writer.out, payload, mask);
        })
    }

    /// Begins to close: nothing can be sent after it. The receiving half returns [`Error::Closed`] once the peer has agreed. A code
    /// that may not be sent (RFC 6455 §7.4.1) is left out; of the reason the first 123 bytes are sent.
    ///
    /// # Errors
    /// As [`send_text`](Self::send_text).
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        self.send(|writer| writer.close(Some(CloseFrame { code, reason })))
    }

    /// Sends several text messages with few writes.
    pub(in crate::client) fn send_texts(&self, texts: &Texts) -> Result<(), Error> {
        let mut start = 0;
        let mut ends = texts.ends.iter().copied().peekable();
        while ends.peek().is_some() {
            self.send(|writer| {
                while writer.out.len() < WRITE_BYTES
                    && let Some(end) = ends.next()
                {
                    // Each end is where a text ended when it was written to `bytes`.
                    writer.message(true, &texts.bytes[start..end]);
                    start = end;
                }
            })?;
        }
        Ok(())
    }

    /// Sends a text message with a secret in it. It is not compressed, since its length would tell of what is in it, and it is wiped when
    /// it is written.
    pub(in crate::client) fn send_secret(&self, text: &[u8]) -> Result<(), Error> {
        self.send(|writer| {
            writer.is_secret = true;
            // With room for its header, too: a vector that grows leaves a copy behind.
            writer.out.reserve(text.len() + 16);
            let mask = Some(writer.random.bytes());
            write_message(&mut writer.out, true, text, mask);
        })
    }

    /// Ends the connection at once, without a word. A thread that waits for it is woken.
    pub(in crate::client) fn abort(&self) {
        self.shared.transport.abort();
    }

    pub(super) fn transport(&self) -> &dyn Transport {
        &*self.shared.transport
    }

    /// Answers a ping, as soon as that is possible without waiting.
    pub(super) fn owe_pong(&self, payload: &[u8]) {
        self.owed().pong = Some(payload.to_vec());
        self.settle();
    }

    /// Asks for a sign of life, as soon as that is possible without waiting.
    pub(in crate::client) fn owe_ping(&self) {
        self.owed().ping = true;
        self.settle();
    }

    /// Closes, as soon as that is possible without waiting for another message. A close that was sent before stands.
    pub(in crate::client) fn owe_close(&self, code: Option<CloseCode>, reason: &str) {
        self.owed().close = Some((code, reason.to_owned()));
        self.settle();
    }

    /// Waits until nothing is owed any more.
    pub(super) fn pay(&self) -> Result<(), Error> {
        let mut writer = self.writer();
        writer.encode_owed(mem::take(&mut *self.owed()));
        writer.write_all(self.transport())
    }

    /// Bytes that are encoded or owed and not with the system.
    #[cfg(test)]
    pub(super) fn waiting_bytes(&self) -> usize {
        self.writer().out.len() + self.owed().pong.as_ref().map_or(0, Vec::len)
    }

    /// Sends what is owed, as far as there is room for it and no other thread is sending. A thread that is sending comes here next.
    pub(super) fn settle(&self) {
        loop {
            let mut writer = match self.shared.writer.try_lock() {
                Ok(writer) => writer,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            // Only behind what went out: a peer that pings and does not read would have its answers pile up here.
            if writer.out.is_empty() {
                writer.encode_owed(mem::take(&mut *self.owed()));
            }
            if !writer.out.is_empty() {
                match self.transport().write_now(&writer.out) {
                    // It can be no more than was given.
                    Ok(written) => drop(writer.out.drain(..written)),
                    Err(_) => {
                        writer.out.clear();
                        writer.state = State::Broken;
                    }
                }
            }
            let stuck = !writer.out.is_empty();
            drop(writer);
            // Checked after the lock is free: who found it taken meanwhile relies on this.
            if stuck || !self.owed().is_some() {
                return;
            }
        }
    }

    /// Encodes something and waits until it is written.
    fn send(&self, encode: impl FnOnce(&mut Writer)) -> Result<(), Error> {
        let mut writer = self.writer();
        writer.check_open()?;
        encode(&mut writer);
        let written = writer.write_all(self.transport());
        drop(writer);
        if self.owed().is_some() {
            self.settle();
        }
        written
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        let writer = self.shared.writer.lock();
        writer.unwrap_or_else(PoisonError::into_inner)
    }

    fn owed(&self) -> MutexGuard<'_, Owed> {
        let owed = self.shared.owed.lock();
        owed.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Owed {
    const fn is_some(&self) -> bool {
        self.ping || self.pong.is_some() || self.close.is_some()
    }
}

impl Writer {
    fn check_open(&self) -> Result<(), Error> {
        match self.state {
            State::Open => Ok(()),
            State::Closing => Err(Error::Closing),
            State::Broken => Err(Error::Io(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn message(&mut self, text: bool, payload: &[u8]) {
        // Nobody can foresee it (RFC 6455 §10.3).
        let mask = Some(self.random.bytes());
        match &mut self.deflater {
            Some(deflater) => {
                write_message_deflated(&mut self.out, text, payload, mask, deflater);
            }
            None => write_message(&mut self.out, text, payload, mask),
        }
    }

    fn close(&mut self, close: Option<CloseFrame<'_>>) {
        let mask = Some(self.random.bytes());
        write_close(&mut self.out, close, mask);
        self.state = State::Closing;
    }

    /// Encodes what is owed, unless a close went out before (RFC 6455 §5.5.1: nothing may follow it).
    fn encode_owed(&mut self, owed: Owed) {
        if self.state == State::Open && owed.ping {
            let mask = Some(self.random.bytes());
            write_ping(&mut self.out, b"", mask);
        }
        if let (State::Open, Some(payload)) = (self.state, owed.pong) {
            let mask = Some(self.random.bytes());
            write_pong(&mut self.out, &payload, mask);
        }
        if let (State::Open, Some((code, reason))) = (self.state, owed.close) {
            let reason = reason.as_str();
            self.close(code.map(|code| CloseFrame { code, reason }));
        }
    }

    fn write_all(&mut self, transport: &dyn Transport) -> Result<(), Error> {
        let written = transport.write_all(&self.out);
        if mem::take(&mut self.is_secret) {
            self.out.zeroize();
        }
        self.out.clear();
        if self.out.capacity() > KEPT_BYTES {
            self.out = Vec::new();
        }
        written.map_err(|error| {
            self.state = State::Broken;
            Error::Io(error)
        })
    }
}
