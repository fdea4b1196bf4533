//! The plain layer: messages of any kind to and from any server of RFC 6455.

mod receiver;
mod sender;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

pub use receiver::Receiver;
pub(super) use receiver::{Incoming, Wait};
pub use sender::Sender;
pub(super) use sender::Texts;

use super::error::Error;
use super::opening::Opened;
use super::transport::Transport;
use crate::ws::close::CloseCode;

/// A message as the peer sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
    /// The answer to a ping, or an unasked sign of life: at most 125 bytes.
    Pong(Vec<u8>),
}

/// An open WebSocket connection.
///
/// It answers pings and closes by itself, while [`receive`](Self::receive) is called. It is one thread's; for two,
/// [`split`](Self::split) it. A program that sends much while the peer sends much needs two: neither side reads while it waits to write.
///
/// ```no_run
/// use fanfare::client::{Error, Message, WebSocket};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut socket = WebSocket::connect("ws://127.0.0.1:9001/echo")?;
/// socket.send_text("hello")?;
/// socket.ping(b"are you there?")?;
/// loop {
///     match socket.receive() {
///         Ok(Message::Text(text)) => println!("{text}"),
///         Ok(Message::Binary(bytes)) => println!("{} bytes", bytes.len()),
///         Ok(Message::Pong(_)) => break,
///         Err(Error::Closed { code, reason }) => return Err(format!("{code} {reason}").into()),
///         Err(error) => return Err(error.into()),
///     }
/// }
/// socket.close()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct WebSocket {
    sender: Sender,
    receiver: Receiver,
}

impl WebSocket {
    pub(super) fn new(
        transport: Arc<dyn Transport>,
        opened: Opened,
        max_message: usize,
        close_timeout: Duration,
    ) -> Self {
        let sender = Sender::new(transport, opened.deflate);
        let receiver = Receiver::new(sender.clone(), opened, max_message, close_timeout);
        Self { sender, receiver }
    }

    /// The sub-protocol that was agreed on.
    pub fn protocol(&self) -> Option<&str> {
        self.receiver.protocol()
    }

    /// Whether permessage-deflate was agreed on.
    pub fn deflates(&self) -> bool {
        self.receiver.deflates()
    }

    /// Sends a text message; see [`Sender::send_text`].
    ///
    /// # Errors
    /// As there.
    pub fn send_text(&mut self, text: &str) -> Result<(), Error> {
        self.sender.send_text(text)
    }

    /// Sends a binary message; see [`Sender::send_binary`].
    ///
    /// # Errors
    /// As there.
    pub fn send_binary(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.sender.send_binary(bytes)
    }

    /// Sends a ping; see [`Sender::ping`].
    ///
    /// # Errors
    /// As there.
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), Error> {
        self.sender.ping(payload)
    }

    /// Waits for the next message; see [`Receiver::receive`].
    ///
    /// # Errors
    /// As there.
    pub fn receive(&mut self) -> Result<Message, Error> {
        self.receiver.receive()
    }

    /// How long to wait for a message; see [`Receiver::set_timeout`].
    ///
    /// # Errors
    /// As there.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) -> Result<(), Error> {
        self.receiver.set_timeout(timeout)
    }

    /// Closes with 1000 and no reason; see [`close_with`](Self::close_with).
    ///
    /// # Errors
    /// As there.
    pub fn close(self) -> Result<(), Error> {
        self.close_with(CloseCode::NORMAL, "")
    }

    /// Closes with a handshake (RFC 6455 §7.1.2): says why, and waits for the peer to agree. Messages that are still under
    /// way are dropped.
    ///
    /// # Errors
    /// [`Error::Io`] where the close could not be sent, [`Error::TimedOut`] where the peer did not answer it in time. The
    /// connection is over in any case.
    pub fn close_with(mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        self.sender.close(code, reason)?;
        self.receiver.wait_for_close()
    }

    /// Two halves for two threads. The receiving one still answers pings and closes.
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }
}
