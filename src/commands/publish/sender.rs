//! Sends what is to be published, on a thread of its own.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use fanfare::client::{ClientError, Invalid, Publication, Requests};
use rustix::event::{PollFd, PollFlags};

use super::input::{Line, Lines};
use super::notices::Notices;
use super::tally::Counts;
use crate::streams;

/// Tells the sender to send no more lines, wherever it is.
pub(super) struct Stop {
    stopped: AtomicBool,
    /// The sender waits for its input and for the end of this.
    waker: UnixStream,
}

impl Stop {
    pub(super) fn stop(&self) {
        self.stopped.store(true, Relaxed);
        // It fails only where it was done before.
        let _ = self.waker.shutdown(Shutdown::Write);
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Relaxed)
    }
}

/// A stream of lines that can be told to stop.
pub(super) struct Input {
    stdin: File,
    stop: Arc<Stop>,
    woken: UnixStream,
}

impl Input {
    pub(super) fn new(stdin: File) -> io::Result<Self> {
        let (waker, woken) = UnixStream::pair()?;
        let stopped = AtomicBool::new(false);
        let stop = Arc::new(Stop { stopped, waker });
        Ok(Self { stdin, stop, woken })
    }

    pub(super) fn stop(&self) -> Arc<Stop> {
        self.stop.clone()
    }

    /// Waits until there is something to read, or until it is told to stop: then nothing more must be read, since it would be
    /// lost to whoever reads the same stream afterwards. Whether there is.
    fn wait(&self) -> bool {
        let stdin = PollFd::new(&self.stdin, PollFlags::IN);
        let woken = PollFd::new(&self.woken, PollFlags::IN);
        let [_, stopped] = streams::ready([stdin, woken], None);
        !stopped && !self.stop.is_stopped()
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stdin.read(buffer)
    }
}

/// What was sent.
pub(super) struct Sent {
    /// Lines that were refused here.
    pub(super) refused: u64,
    /// The last line that was dealt with; 0 if none was.
    pub(super) last_line: u64,
    pub(super) end: SentEnd,
}

/// Why nothing more is sent.
pub(super) enum SentEnd {
    /// All went out.
    Input,
    /// It was told to stop.
    Stopped,
    /// The input can't be read any further.
    Unreadable(io::Error),
    /// There is no connection any more.
    Over(ClientError),
}

/// As what the input is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Each line is JSON.
    Json,
    /// Each line is a text.
    Text,
    /// All of it is one message of bytes.
    Raw,
}

/// Sends messages to one channel.
pub(super) struct Sending {
    pub(super) channel: String,
    pub(super) form: Form,
    /// What the keys begin with, if there are some.
    pub(super) key_prefix: Option<String>,
    /// Each message gets an answer of its own.
    pub(super) ack: bool,
    pub(super) requests: Requests,
    pub(super) notices: Notices,
    pub(super) counts: Arc<Counts>,
    pub(super) refused: u64,
}

impl Sending {
    /// Sends one message, and closes.
    pub(super) fn one(mut self, data: &[u8]) -> Sent {
        self.ack = true;
        let end = match self.send(data, 1) {
            Ok(()) => SentEnd::Input,
            Err(error) => SentEnd::Over(error),
        };
        self.close(1, end)
    }

    /// Sends all of a stream as one message of bytes, and closes.
    pub(super) fn whole(mut self, mut input: Input) -> Sent {
        // In base64 three bytes are four.
        let max = self.requests.max_message() / 4 * 3;
        let mut bytes = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        let end = loop {
            if !input.wait() {
                break SentEnd::Stopped;
            }
            match input.read(&mut buffer) {
                Ok(0) => return self.one(&bytes),
                Ok(read) => bytes.extend_from_slice(&buffer[..read]),
                Err(error)
                    if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
                Err(error) => break SentEnd::Unreadable(error),
            }
            if bytes.len() > max {
                self.refused += 1;
                let why = format!(
                    "stdin has more than {max} bytes, and the server takes no more in one message"
                );
                self.notices.say(&why);
                break SentEnd::Input;
            }
        };
        self.close(0, end)
    }

    /// Sends all lines, as far as there is a connection to be had, and closes.
    pub(super) fn lines(mut self, input: Input) -> Sent {
        let max = self.requests.max_message();
        let stop = input.stop();
        let mut lines = Lines::new(input, max);
        let mut last_line = 0;
        let end = loop {
            if stop.is_stopped() {
                break SentEnd::Stopped;
            }
            match lines.next() {
                Some(Line::Whole(line)) => {
                    let line = lines.get(line);
                    // A line of white space is no JSON, and is none. As a text it is one.
                    let is_one = self.form == Form::Text || !line.trim_ascii().is_empty();
                    if is_one && let Err(error) = self.send(line, lines.number()) {
                        break SentEnd::Over(error);
                    }
                }
                Some(Line::TooLong) => {
                    self.refused += 1;
                    let why = format!("longer than {max} bytes, the most that the server takes");
                    self.notices.say_of(Some(lines.number()), &why);
                }
                None => {
                    // There may be no more for a while.
                    if let Err(error) = self.requests.flush() {
                        break SentEnd::Over(error);
                    }
                    self.notices.progress(lines.bytes_read());
                    if !lines.source().wait() {
                        break SentEnd::Stopped;
                    }
                    match lines.fill() {
                        Ok(true) => {}
                        Ok(false) => break SentEnd::Input,
                        Err(error) => break SentEnd::Unreadable(error),
                    }
                }
            }
            last_line = lines.number();
        };
        self.close(last_line, end)
    }

    /// Sends a message. One that can't be sent as it is is refused, and the next may go.
    fn send(&mut self, data: &[u8], number: u64) -> Result<(), ClientError> {
        let mut publication = match self.form {
            Form::Json => Publication::json(data),
            Form::Raw => Publication::bytes(data),
            Form::Text => match str::from_utf8(data) {
                Ok(text) => Publication::text(text),
                Err(error) => {
                    let at = error.valid_up_to();
                    let why = format!("it is no text: it is not UTF-8, at byte {at}");
                    self.refuse(number, &why);
                    return Ok(());
                }
            },
        };
        if let Some(prefix) = &self.key_prefix {
            publication = publication.with_key(format!("{prefix}-{number}"));
        }
        let sent = if self.ack {
            self.requests.publish(&self.channel, publication, number)
        } else {
            let requests = &mut self.requests;
            requests.publish_in_batch(&self.channel, publication, number)
        };
        match sent {
            Ok(()) => {
                self.counts.accepted.fetch_add(1, Relaxed);
                Ok(())
            }
            // The next line would get the same.
            Err(error @ ClientError::Invalid(Invalid::Unsupported(_))) => Err(error),
            Err(ClientError::Invalid(invalid)) => {
                self.refuse(number, &invalid);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn refuse(&mut self, number: u64, why: &dyn Display) {
        self.refused += 1;
        self.notices.say_of(Some(number), why);
    }

    /// Sends what was gathered, and the close. Answers go on to come until the server has answered that, too.
    fn close(mut self, last_line: u64, end: SentEnd) -> Sent {
        let end = match (self.requests.close(), end) {
            (Err(error), SentEnd::Input) => SentEnd::Over(error),
            (_, end) => end,
        };
        Sent {
            refused: self.refused,
            last_line,
            end,
        }
    }
}
