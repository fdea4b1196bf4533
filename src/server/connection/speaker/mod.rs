//! What a connection speaks after its handshake.
//!
//! A speaker takes messages, asks the door for what they want, and writes answers and gaps in its own tongue. It is chosen
//! by sub-protocol first, then by path. What its tongue looks like as bytes is the business of `dialect`.
//!
//! To add a dialect: a file here, a variant of [`Speaker`] with its arm in each method below, a line in
//! [`Speaker::protocols`] and one in [`Speaker::choose`], and a slot in `encoders` if its messages differ from the base
//! log's.

mod json;
#[cfg(test)]
pub(in crate::server) mod lines;

use mio::Token;

use self::json::Json;
use super::session::Session;
use crate::channel::topic::Topic;
use crate::config::Config;
use crate::dialect::json::{SUB_PROTOCOL, encode};
use crate::http::SocketPath;
use crate::hub::{Gap, Slot};
use crate::server::encoders::DEFLATE;
#[cfg(test)]
use crate::server::encoders::LINES;
use crate::server::gate::Access;
use crate::server::service::{Finished, Service};
use crate::ws::deflate::WindowBits;
use crate::ws::violation::Violation;

/// The largest message that `/echo` sends back.
const ECHO_MESSAGE_MAX: usize = 16 * 1024 * 1024;

/// What a connection speaks.
#[derive(Debug)]
pub(in crate::server) enum Speaker {
    /// `json.fanfare.v1`.
    Json(Json),
    /// Each message comes back.
    Echo,
    /// For tests: a dialect with a slot of its own.
    #[cfg(test)]
    Lines(lines::Lines),
}

impl Speaker {
    /// The sub-protocols that a client may choose from at a path.
    pub(super) fn protocols(path: SocketPath) -> &'static [&'static str] {
        match path {
            #[cfg(test)]
            SocketPath::Channels => &[SUB_PROTOCOL, lines::SUB_PROTOCOL],
            #[cfg(not(test))]
            SocketPath::Channels => &[SUB_PROTOCOL],
            SocketPath::Echo => &[],
        }
    }

    /// What speaks the sub-protocol that was agreed on, or where there is none, what the path is for.
    pub(super) fn choose(path: SocketPath, protocol: Option<&str>) -> Speaker {
        match (protocol, path) {
            #[cfg(test)]
            (Some(lines::SUB_PROTOCOL), _) => Speaker::Lines(lines::Lines::default()),
            (Some(_), _) | (None, SocketPath::Channels) => Speaker::Json(Json::default()),
            (None, SocketPath::Echo) => Speaker::Echo,
        }
    }

    /// Its number in a snapshot, which is never given to another; `None`: it is in none.
    pub(super) fn number(&self) -> Option<u8> {
        match self {
            Speaker::Json(_) => Some(0),
            Speaker::Echo => Some(1),
            #[cfg(test)]
            Speaker::Lines(_) => None,
        }
    }

    /// The one that has this number in a snapshot. None of its requests is pending.
    pub(super) fn of_number(number: u8) -> Option<Speaker> {
        match number {
            0 => Some(Speaker::Json(Json::default())),
            1 => Some(Speaker::Echo),
            _ => None,
        }
    }

    /// Its name in the log.
    pub(in crate::server) fn name(&self) -> &'static str {
        match self {
            Speaker::Json(_) => "Json",
            Speaker::Echo => "Echo",
            #[cfg(test)]
            Speaker::Lines(_) => "Lines",
        }
    }

    /// The slot in which its messages are, with what is compressed for the client.
    pub(super) fn slot(&self, deflate: Option<WindowBits>) -> Slot {
        match self {
            // The deflate slot has the largest window. A client that negotiated a smaller one gets broadcasts
            // uncompressed, which is always legal (RFC 7692 §6).
            Speaker::Json(_) if deflate == Some(WindowBits::MAX) => DEFLATE,
            Speaker::Json(_) | Speaker::Echo => Slot::BASE,
            #[cfg(test)]
            Speaker::Lines(_) => LINES,
        }
    }

    /// The longest message that it takes, in bytes.
    pub(super) fn max_message(&self, config: &Config) -> usize {
        match self {
            Speaker::Json(_) => config.max_message,
            Speaker::Echo => ECHO_MESSAGE_MAX,
            #[cfg(test)]
            Speaker::Lines(_) => config.max_message,
        }
    }

    /// Writes its first message into the service's text, if it has one to say.
    pub(super) fn greets(&self, service: &mut Service, token: Token, access: &Access) -> bool {
        match self {
            Speaker::Json(_) => {
                json::welcome(service, token, access);
                true
            }
            Speaker::Echo => false,
            #[cfg(test)]
            Speaker::Lines(_) => false,
        }
    }

    /// Carries out a message and queues its answer.
    ///
    /// # Errors
    /// What a message can do to end the connection: it is not what the dialect is made of.
    #[inline]
    pub(super) fn message(
        &mut self,
        session: &mut Session<'_>,
        is_text: bool,
        data: &mut [u8],
    ) -> Result<(), Violation> {
        match self {
            Speaker::Json(json) => json.message(session, is_text, data),
            Speaker::Echo => {
                session.send(is_text, data);
                Ok(())
            }
            #[cfg(test)]
            Speaker::Lines(lines) => lines.message(session, data),
        }
    }

    /// Queues the answer to a request that was pending.
    pub(super) fn answer(&mut self, session: &mut Session<'_>, finished: Finished) {
        match self {
            Speaker::Json(json) => json.answer(session, finished),
            Speaker::Echo => {}
            #[cfg(test)]
            Speaker::Lines(lines) => lines.answer(session, finished),
        }
    }

    /// How many of its requests are pending.
    #[inline]
    pub(super) fn pending(&self) -> usize {
        match self {
            Speaker::Json(json) => json.pending(),
            Speaker::Echo => 0,
            #[cfg(test)]
            Speaker::Lines(lines) => lines.pending(),
        }
    }

    /// Tells the peer that the daemon has ended a subscription that is not allowed any more.
    pub(super) fn end_subscription(&self, session: &mut Session<'_>, topic: Topic<'_>) {
        match self {
            Speaker::Json(_) => json::end_subscription(session, topic),
            // It subscribes to nothing.
            Speaker::Echo => {}
            #[cfg(test)]
            Speaker::Lines(_) => session.send(true, b"ended"),
        }
    }

    /// Writes that a close comes, and after how many milliseconds to come back, if it has a word for that.
    pub(super) fn write_goodbye(&self, text: &mut Vec<u8>, why: &str, after_ms: u64) -> bool {
        match self {
            Speaker::Json(_) => {
                encode::goodbye(text, why, after_ms);
                true
            }
            Speaker::Echo => false,
            #[cfg(test)]
            Speaker::Lines(_) => false,
        }
    }

    /// Appends a gap as a message; `text` is where it is written first.
    pub(in crate::server) fn write_gap(
        &self,
        out: &mut Vec<u8>,
        text: &mut Vec<u8>,
        gap: &Gap<'_>,
    ) {
        match self {
            Speaker::Json(_) => json::write_gap(out, text, gap),
            // It subscribes to nothing.
            Speaker::Echo => {}
            #[cfg(test)]
            Speaker::Lines(_) => lines::write_gap(out, gap),
        }
    }
}
