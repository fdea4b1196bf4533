//! The opening handshake on a connection: the request goes out, and the answer is read as long as it may take.

use std::io;
use std::time::{Duration, Instant};

use super::deadline;
use super::error::{ConnectError, Step};
use super::transport::{Transport, is_timeout};
use crate::ws::extension::Answer;
use crate::ws::handshake::client::{AnswerReader, Awaited, Key, Request, check_response};

/// What the handshake agreed on, and what came after it.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) protocol: Option<String>,
    pub(super) deflate: Option<Answer>,
    /// Bytes of frames that arrived with the answer.
    pub(super) rest: Vec<u8>,
}

/// How long the body of a refusal may take after its head. It is only shown, and a server may well send it without an end.
const BODY_TIMEOUT: Duration = Duration::from_secs(1);

/// Sends `wire`, which is `request`, and reads the answer, all of it until `deadline`.
///
/// # Errors
/// A [`ConnectError`] that says what was wrong with the answer.
pub(super) fn run(
    stream: &dyn Transport,
    deadline: Instant,
    wire: &[u8],
    request: &Request<'_>,
    key: &Key,
) -> Result<Opened, ConnectError> {
    let mut wait = Wait { stream, deadline };
    stream
        .set_write_timeout(Some(wait.left()?))
        .and_then(|()| stream.write_all(wire))
        .map_err(broken)?;
    let answer = wait.answer()?;
    let agreed = answer.judge(|head, body| {
        let agreed = check_response(head, body, request, key)?;
        Ok((agreed.protocol.map(str::to_owned), agreed.deflate))
    });
    // Without a head there is nothing to judge, and the reading would have failed.
    let (protocol, deflate) = agreed
        .ok_or(ConnectError::NoAnswer)?
        .map_err(ConnectError::Handshake)?;
    Ok(Opened {
        protocol,
        deflate,
        rest: answer.into_rest(),
    })
}

/// Waiting for an answer.
struct Wait<'s> {
    stream: &'s dyn Transport,
    deadline: Instant,
}

impl Wait<'_> {
    fn answer(&mut self) -> Result<AnswerReader, ConnectError> {
        let mut reader = AnswerReader::default();
        let mut buffer = [0; 4096];
        let mut awaited = Awaited::Head;
        while awaited != Awaited::Nothing {
            let read = self.read(&mut buffer);
            let bytes = match (read, awaited) {
                (Ok(0), Awaited::Head) => return Err(ConnectError::NoAnswer),
                (Err(error), Awaited::Head) => return Err(error),
                // That a body is not whole is no error of its own.
                (Ok(0) | Err(_), _) => break,
                (Ok(read), _) => &buffer[..read],
            };
            let next = reader.take(bytes)?;
            if awaited == Awaited::Head && next == Awaited::Body {
                let body = deadline::after(Instant::now(), BODY_TIMEOUT);
                self.deadline = self.deadline.min(body);
            }
            awaited = next;
        }
        Ok(reader)
    }

    /// Reads what is there; 0 at the end of the stream.
    fn read(&self, buffer: &mut [u8]) -> Result<usize, ConnectError> {
        self.stream
            .set_read_timeout(Some(self.left()?))
            .map_err(broken)?;
        self.stream.read(buffer).map_err(broken)
    }

    /// How long the handshake may still take.
    fn left(&self) -> Result<Duration, ConnectError> {
        match self.deadline.checked_duration_since(Instant::now()) {
            Some(left) if !left.is_zero() => Ok(left),
            _ => Err(ConnectError::TimedOut(Step::Handshake)),
        }
    }
}

fn broken(error: io::Error) -> ConnectError {
    if is_timeout(&error) {
        ConnectError::TimedOut(Step::Handshake)
    } else {
        ConnectError::broken(error)
    }
}
