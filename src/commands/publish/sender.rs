//! Sends what is to be published, on a thread of its own.

use std::fs::File;
use std::io::{self, Read};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use fanfare::client::{ClientError, Requests};
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

/// Sends messages to one channel.
pub(super) struct Sending {
    pub(super) channel: String,
    /// Each message gets an answer of its own.
    pub(super) ack: bool,
    pub(super) requests: Requests,
    pub(super) notices: Notices,
    pub(super) counts: Arc<Counts>,
    pub(super) refused: u64,
}

impl Sending {
    /// Sends one message, and closes.
    pub(super) fn one(mut self, data: &str) -> Sent {
        self.ack = true;
        let end = match self.send(data.as_bytes(), 1) {
            Ok(()) => SentEnd::Input,
            Err(error) => SentEnd::Over(error),
        };
        self.close(1, end)
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
                    // A line of white space is none.
                    if !line.trim_ascii().is_empty()
                        && let Err(error) = self.send(line, lines.number())
                    {
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
        let sent = if self.ack {
            self.requests.publish(&self.channel, data, number)
        } else {
            self.requests.publish_in_batch(&self.channel, data, number)
        };
        match sent {
            Ok(()) => {
                self.counts.accepted.fetch_add(1, Relaxed);
                Ok(())
            }
            Err(ClientError::Invalid(invalid)) => {
                self.refused += 1;
                self.notices.say_of(Some(number), &invalid);
                Ok(())
            }
            Err(error) => Err(error),
        }
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
