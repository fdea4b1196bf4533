//! `fanfare pub`: one message, or one from each line of stdin, or one of all of it.
//!
//! One thread sends, one counts the answers, one waits for signals. The main thread waits for what they report, and decides when
//! it is over: whatever blocks one of them, the command ends in time.

mod input;
mod notices;
mod sender;
mod tally;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use fanfare::client::{Client, ClientError, Feature, Invalid, Requests, Timeouts};
use indicatif::{ProgressBar, ProgressStyle};

use super::sub::channel;
use super::target::{self, Patience, Target};
use super::{EXIT_CODES, Exit, GRACE, signals};
use crate::streams::say;
use notices::Notices;
use sender::{Form, Input, Sending, Sent, SentEnd, Stop};
use tally::{Counts, Tally};

/// Publish one message, or each line of stdin, to a channel: JSON, or with --text a text, or with --raw all of stdin as bytes.
///
/// The command sends lines without waiting for answers, and ends when every line is answered. It names a refused line on
/// stderr by its number, and goes on with the next lines. It skips blank lines, but not with --text. After a lost connection it connects
/// again and goes on. A line whose answer was lost may be published or not: the command names it, and does not send it again.
///
/// With --key-prefix the command sends such a line again, and the server publishes it once: a lost
/// connection that comes back within four minutes leaves nothing unknown.
#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct PubArgs {
    #[command(flatten)]
    target: Target,

    /// Ask for an answer to each line, not to each write, so that a notice names every refused line by its number
    #[arg(long)]
    ack: bool,

    /// Give up after this many seconds without a connection, or without an answer that is due
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = clap::value_parser!(u32).range(1..))]
    timeout: u32,

    /// Publish each line, or DATA, as a text: the line as it is, without its line break
    #[arg(long, conflicts_with = "raw")]
    text: bool,

    /// Publish all of stdin, or DATA, as one message of bytes
    #[arg(long)]
    raw: bool,

    /// Give line N the key P-N, and DATA or the one message of --raw the key P-1. While the server remembers a key it publishes nothing under it
    /// again: neither after a lost connection nor if the command is run again. It remembers a key for five minutes, and the newest
    /// 100000 unless its --max-keys says otherwise. Another input needs another P: 1 to 47 bytes
    #[arg(long, value_name = "P", value_parser = key_prefix)]
    key_prefix: Option<String>,

    /// The channel to publish to
    #[arg(value_parser = channel)]
    channel: String,

    /// The message; without it, each line of stdin is a message, or with --raw all of stdin is one
    // No option, but a negative number; more of them than clap knows begin with a hyphen, -1e-5 for one.
    #[arg(allow_hyphen_values = true)]
    data: Option<OsString>,
}

/// The longest prefix of keys, in bytes: a key has 64, and a hyphen and the number of a line take 17.
const MAX_PREFIX: usize = 47;

/// How often it is looked whether answers are overdue.
const LOOK: Duration = Duration::from_secs(1);

/// What the other threads report.
enum News {
    /// Nothing more is sent.
    Sent(Sent),
    /// No more answers come. What ended the connection for good, if it was not closed here.
    Ended(Option<ClientError>),
    Signal(i32),
}

impl PubArgs {
    /// Does it.
    pub(crate) fn run(mut self) -> Exit {
        self.start().unwrap_or_else(|exit| exit)
    }

    fn start(&mut self) -> Result<Exit, Exit> {
        let began = Instant::now();
        let timeout = Duration::from_secs(self.timeout.into());
        let (data, form) = (self.data.take(), self.form());
        if let Some(data) = &data {
            check(data, form).map_err(|problem| {
                say(&problem);
                Exit::Usage
            })?;
        }
        let lines = data.is_none() && form != Form::Raw;
        let stdin = File::from(io::stdin().as_fd().try_clone_to_owned().map_err(failed)?);
        let notices = Notices {
            lines,
            bar: if lines { progress_bar(&stdin) } else { None },
        };
        let input = Input::new(stdin).map_err(failed)?;
        let stop = input.stop();
        let (requests, events) = self.connect(timeout)?.split();
        let counts = Arc::new(Counts::default());
        let (report, news) = mpsc::channel();
        // Where nobody listens any more, nothing is to be reported.
        let signalled = report.clone();
        signals::watch(move |signal| drop(signalled.send(News::Signal(signal)))).map_err(failed)?;
        let mut tally = Tally::new(notices.clone(), counts.clone());
        let answered = report.clone();
        spawn("answers", move || {
            drop(answered.send(News::Ended(tally.follow(events))))
        })?;
        let sending = self.sending(requests, &notices, &counts);
        spawn("lines", move || {
            let sent = match data {
                Some(data) => sending.one(data.as_bytes()),
                None if form == Form::Raw => sending.whole(input),
                None => sending.lines(input),
            };
            drop(report.send(News::Sent(sent)));
        })?;
        let publishing = Publishing {
            notices,
            counts,
            stop,
            news,
            timeout,
            keys: self.key_prefix.is_some(),
            sent: None,
            signal: None,
        };
        Ok(publishing.finish(began))
    }

    /// Connects to a server that has what the options need.
    fn connect(&self, timeout: Duration) -> Result<Client, Exit> {
        let patience = Patience {
            without_connection: Some(timeout),
            // The command itself judges answers that do not come: a connection that is given up for them comes after that.
            without_answer: Timeouts::default().answer + timeout,
        };
        let client = self.target.connect(patience)?;
        self.check_server(&client)?;
        Ok(client)
    }

    /// What sends, as the options say.
    fn sending(&self, requests: Requests, notices: &Notices, counts: &Arc<Counts>) -> Sending {
        Sending {
            channel: self.channel.clone(),
            form: self.form(),
            key_prefix: self.key_prefix.clone(),
            ack: self.ack,
            requests,
            notices: notices.clone(),
            counts: counts.clone(),
            refused: 0,
        }
    }

    const fn form(&self) -> Form {
        match (self.text, self.raw) {
            (true, _) => Form::Text,
            (_, true) => Form::Raw,
            _ => Form::Json,
        }
    }

    /// Looks whether the server has what the options need.
    fn check_server(&self, client: &Client) -> Result<(), Exit> {
        let encoding = if self.raw { "--raw" } else { "--text" };
        let needs = [
            (self.text || self.raw, Feature::Encoding, encoding),
            (self.key_prefix.is_some(), Feature::Key, "--key-prefix"),
        ];
        for (needed, feature, option) in needs {
            if needed && !client.has(feature) {
                let why = Invalid::Unsupported(feature);
                say(&format_args!("{why}; publish without {option}"));
                return Err(Exit::Refused);
            }
        }
        Ok(())
    }
}

/// The work of the other threads, as the main one sees it.
struct Publishing {
    notices: Notices,
    counts: Arc<Counts>,
    stop: Arc<Stop>,
    news: Receiver<News>,
    /// How long answers may be due.
    timeout: Duration,
    /// Everything has a key.
    keys: bool,
    sent: Option<Sent>,
    signal: Option<i32>,
}

/// How the wait for answers ended.
enum End {
    /// There are no more, or they were not waited for.
    Done,
    /// The connection ended for good.
    Lost(ClientError),
    /// None came for so long.
    Overdue,
}

impl Publishing {
    /// Waits for the end and says what came of it.
    fn finish(mut self, began: Instant) -> Exit {
        let end = self.wait();
        self.stop.stop();
        // The sender may still be where it can't be stopped.
        let until = Instant::now() + GRACE;
        while self.sent.is_none() && Instant::now() < until {
            self.take(GRACE);
        }
        self.notices.finish();
        let exit = self.explain(end);
        let unanswered = self.counts.give_up();
        let refused = self.sent.as_ref().map_or(0, |sent| sent.refused);
        if self.notices.lines {
            let report = self.counts.report(refused, began.elapsed());
            self.notices.say(&report);
        } else if unanswered > 0 {
            self.notices
                .say(&"the message has no answer: it may be published or not");
        }
        if self.keys && self.counts.has_unknown() {
            self.notices.say(&self.counts.advice(began.elapsed()));
        }
        match (self.signal, exit) {
            (Some(signal), _) => Exit::Signal(signal),
            (None, Exit::Done) if refused > 0 || !self.counts.is_clean() => Exit::Refused,
            (None, exit) => exit,
        }
    }

    /// Waits until all is answered, or there is a reason to wait no longer.
    fn wait(&mut self) -> End {
        let mut overdue = Overdue::new(Instant::now());
        let mut deadline: Option<Instant> = None;
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            match self.take(left.unwrap_or(LOOK).min(LOOK)) {
                Some(News::Ended(error)) => return error.map_or(End::Done, End::Lost),
                Some(News::Signal(signal)) => {
                    self.signal = Some(signal);
                    self.stop.stop();
                }
                Some(News::Sent(_)) | None => {}
            }
            let (now, unanswered) = (Instant::now(), self.counts.unanswered());
            if self.signal.is_some() || (self.sent.is_some() && unanswered == 0) {
                deadline.get_or_insert(now + GRACE);
            }
            if deadline.is_some_and(|deadline| now >= deadline) {
                return End::Done;
            }
            let is_due = unanswered > 0 && self.counts.is_connected();
            if overdue.look(now, is_due, self.counts.answers()) >= self.timeout {
                return End::Overdue;
            }
        }
    }

    /// Takes the next report, if one comes in time. What was sent is noted here.
    fn take(&mut self, patience: Duration) -> Option<News> {
        match self.news.recv_timeout(patience).ok()? {
            News::Sent(sent) => {
                self.sent = Some(sent);
                None
            }
            news => Some(news),
        }
    }

    /// Says why it ended, and what was not sent.
    fn explain(&self, end: End) -> Exit {
        let mut exit = match end {
            End::Done => Exit::Done,
            End::Lost(error) => {
                self.notices.say(&error);
                target::exit_code(&error)
            }
            End::Overdue => {
                self.notices.say(&target::overdue(self.timeout));
                Exit::Refused
            }
        };
        let last_line = match &self.sent {
            Some(sent) => {
                match &sent.end {
                    SentEnd::Input => return exit,
                    SentEnd::Over(error) if exit == Exit::Done => {
                        self.notices.say(error);
                        exit = target::exit_code(error);
                    }
                    SentEnd::Unreadable(error) => {
                        self.notices.say(&format_args!("stdin: {error}"));
                        exit = Exit::Refused;
                    }
                    SentEnd::Stopped | SentEnd::Over(_) => {}
                }
                Some(sent.last_line)
            }
            None => None,
        };
        match last_line {
            _ if !self.notices.lines => {}
            Some(0) => self.notices.say(&"no line was sent"),
            Some(line) => self
                .notices
                .say(&format_args!("nothing after line {line} was sent")),
            None => self.notices.say(&"the rest of the input was not sent"),
        }
        exit
    }
}

/// For how long answers have been due.
struct Overdue {
    /// Since the last answer; without the time for which there was no connection, or nothing to be answered.
    time: Duration,
    looked: Instant,
    was_due: bool,
    answers: u64,
}

impl Overdue {
    const fn new(now: Instant) -> Self {
        Self {
            time: Duration::ZERO,
            looked: now,
            was_due: false,
            answers: 0,
        }
    }

    /// Looks again: whether an answer is due now, and how many have come. For how long there was none though one was due.
    fn look(&mut self, now: Instant, is_due: bool, answers: u64) -> Duration {
        if std::mem::replace(&mut self.answers, answers) != answers {
            self.time = Duration::ZERO;
        } else if self.was_due && is_due {
            self.time += now - self.looked;
        }
        self.was_due = is_due;
        self.looked = now;
        self.time
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Exit> {
    let thread = thread::Builder::new().name(name.into());
    thread.spawn(work).map_err(failed)?;
    Ok(())
}

fn failed(error: io::Error) -> Exit {
    say(&error);
    Exit::Refused
}

/// Checks what to publish: an option that is not there is no JSON either. What else begins like one may come from stdin.
fn check(data: &OsStr, form: Form) -> Result<(), &'static str> {
    match data.as_bytes().strip_prefix(b"-") {
        Some(rest) if !rest.first().is_some_and(u8::is_ascii_digit) => Err(match form {
            Form::Json => "the data is neither an option of this command nor JSON",
            Form::Text | Form::Raw => {
                "the data begins with a hyphen, and is neither an option of this command nor a number: give it on stdin"
            }
        }),
        _ => Ok(()),
    }
}

/// What keys begin with.
fn key_prefix(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > MAX_PREFIX {
        let len = text.len();
        return Err(format!(
            "it has {len} bytes, and may have 1 to {MAX_PREFIX}: a key has at most 64, with a hyphen and the number of the line"
        ));
    }
    Ok(text.to_owned())
}

/// A bar, where somebody sees it and the end is known.
fn progress_bar(stdin: &File) -> Option<ProgressBar> {
    let metadata = stdin.metadata().ok()?;
    if !metadata.is_file() || !io::stderr().is_terminal() {
        return None;
    }
    let bar = ProgressBar::new(metadata.len());
    let style = "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    // The template is a constant: it is good or it never was.
    bar.set_style(ProgressStyle::with_template(style).ok()?);
    Some(bar)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_a_prefix_is_short_enough() {
        let longest = "p".repeat(MAX_PREFIX);
        let last_line = 9_999_999_999_999_999_u64;
        assert_eq!(format!("{longest}-{last_line}").len(), 64);
        assert!(key_prefix(&longest).is_ok());
        assert!(key_prefix("").is_err());
        assert!(key_prefix(&(longest + "p")).is_err_and(|why| why.contains("48 bytes")));
    }

    #[test]
    fn answers_are_overdue_only_for_the_time_in_which_they_were_due() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut overdue = Overdue::new(began);
        let mut look = |second, is_due, answers| {
            let time = overdue.look(at(second), is_due, answers);
            time.as_secs()
        };
        assert_eq!(look(10, false, 0), 0, "nothing was sent");
        assert_eq!(look(11, true, 0), 0, "it may have been sent just now");
        assert_eq!(look(13, true, 0), 2);
        assert_eq!(look(14, true, 1), 0, "an answer came");
        assert_eq!(look(17, true, 1), 3);
        // The connection was lost; what was unanswered stays so.
        assert_eq!(look(50, false, 1), 3);
        assert_eq!(look(60, true, 1), 3);
        assert_eq!(look(65, true, 1), 8);
    }
}
