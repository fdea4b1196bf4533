//! `fanfare sub`: what is published, a line each.

mod line;

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use clap::Args;
use fanfare::channel::name;
use fanfare::channel::pattern::Pattern;
use fanfare::client::{
    Cause, ClientError, Closer, Event, Events, GapReason, Payload, Position, Requests, Start,
    Timeouts, TopicName,
};
use fanfare::dialect::json::MAX_WHOLE_NUMBER;
use fanfare::hub::Place;
use fanfare::words::Shown;
use rustix::event::{PollFd, PollFlags};

use super::target::{self, Patience, Target};
use super::{EXIT_CODES, Exit, GRACE, signals};
use crate::streams::{self, Blocking, say};
use line::{Form, Line};

/// Print each message of some channels as a line of JSON: its data, or with a pattern or several channels the whole event.
///
/// A pattern stands for channels: `*` is any one part of a name, and `>` at the end is one part or more. Quote it, since a shell
/// reads these characters too: fanfare sub 'prices.*'. The events of a pattern have numbers of their own, and the channel's as `channel_seq`.
///
/// A text is printed as a JSON string, and bytes as one with their base64. --full tells them from JSON, and --raw prints the payload itself.
///
/// The command ends after --count messages, on a signal, or when no process reads its output any more. After a lost connection
/// it connects again and goes on where it was, for as long as --timeout allows. Notices go to stderr. They say which messages are missing, and at the end how
/// many messages were printed.
#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct SubArgs {
    #[command(flatten)]
    target: Target,

    /// Begin after message SEQ of EPOCH, which notices show; only with one channel or pattern
    // An epoch is random, and one in 64 begins with a hyphen.
    #[arg(
        long,
        value_name = "EPOCH:SEQ",
        value_parser = since,
        allow_hyphen_values = true,
        conflicts_with = "last"
    )]
    since: Option<(String, u64)>,

    /// Begin with the newest N messages that each channel or pattern holds
    #[arg(long, value_name = "N")]
    last: Option<u64>,

    /// Give up after this many seconds without a connection, or without an answer that is due [default: never]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    timeout: Option<u32>,

    /// End after N messages
    #[arg(long, value_name = "N")]
    count: Option<u64>,

    /// Print the whole event instead of only its data
    #[arg(long)]
    full: bool,

    /// Print nothing but each payload, unchanged even on a terminal: a line break follows JSON and texts, and nothing follows bytes
    #[arg(long, conflicts_with = "full")]
    raw: bool,

    /// The channels to subscribe to, and the patterns, such as 'prices.*' in quotes
    #[arg(required = true, value_name = "CHANNEL|PATTERN", value_parser = topic)]
    topics: Vec<TopicName>,
}

/// Bytes of lines that are written at once, at most.
const OUTPUT_BYTES: usize = 64 << 10;

impl SubArgs {
    /// Does it.
    pub(crate) fn run(self) -> Exit {
        match self.check().and_then(|()| self.follow()) {
            Ok(exit) | Err(exit) => exit,
        }
    }

    /// What clap cannot check.
    fn check(&self) -> Result<(), Exit> {
        let several = self.topics.len() > 1;
        let twice = (1..self.topics.len()).find(|&i| self.topics[..i].contains(&self.topics[i]));
        let problem = match twice {
            _ if several && self.since.is_some() => {
                "--since goes with one channel or pattern: each has an epoch of its own".to_owned()
            }
            Some(i) => format!("{} is in the list twice", self.topics[i]),
            None => return Ok(()),
        };
        say(&problem);
        Err(Exit::Usage)
    }

    fn follow(&self) -> Result<Exit, Exit> {
        if self.count == Some(0) {
            return Ok(Exit::Done);
        }
        let output = File::from(io::stdout().as_fd().try_clone_to_owned().map_err(failed)?);
        let timeout = self
            .timeout
            .map(|seconds| Duration::from_secs(seconds.into()));
        let client = self.target.connect(Patience {
            without_connection: timeout,
            without_answer: timeout.unwrap_or(Timeouts::default().answer),
        })?;
        let state = Arc::new(State::default());
        end_on_signal(&state, client.closer()).map_err(failed)?;
        end_without_reader(&output, client.closer()).map_err(failed)?;
        let (mut requests, events) = client.split();
        self.subscribe(&mut requests)?;
        let following = Following {
            line: Line::new(self.form(), output.is_terminal()),
            output: BufWriter::with_capacity(OUTPUT_BYTES, Blocking(output)),
            left: self.count.unwrap_or(u64::MAX),
            timeout,
            topics: self.topics.len(),
            refused: 0,
            epoch: self.since.as_ref().map(|(epoch, _)| epoch.as_str().into()),
            printed: Printed::default(),
            state,
        };
        Ok(following.run(events))
    }

    fn form(&self) -> Form {
        let many = |topic: &TopicName| matches!(topic, TopicName::Pattern(_));
        if self.raw {
            Form::Raw
        } else if self.full || self.topics.len() > 1 || self.topics.iter().any(many) {
            Form::Event
        } else {
            Form::Data
        }
    }

    fn subscribe(&self, requests: &mut Requests) -> Result<(), Exit> {
        let start = match (&self.since, self.last) {
            (Some((epoch, seq)), _) => Start::Since { epoch, seq: *seq },
            (None, Some(last)) => Start::Last(last),
            (None, None) => Start::Live,
        };
        for topic in &self.topics {
            match requests.subscribe(topic, start) {
                Err(ClientError::Invalid(invalid)) => {
                    say(&format_args!("{topic}: {invalid}"));
                    return Err(Exit::Refused);
                }
                // The events say why.
                Err(_) => break,
                Ok(()) => {}
            }
        }
        Ok(())
    }
}

/// What the thread that follows shares with the one that waits for signals.
#[derive(Default)]
struct State(Mutex<Shared>);

#[derive(Default)]
struct Shared {
    /// What stdout has taken.
    printed: Printed,
    /// The signal that ended it.
    signal: Option<i32>,
}

impl State {
    fn with<T>(&self, use_it: impl FnOnce(&mut Shared) -> T) -> T {
        use_it(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How much was printed.
#[derive(Clone, Default)]
struct Printed {
    messages: u64,
    /// Where the last message was, if there is one channel or pattern: each has an epoch of its own.
    last: Option<Position>,
}

impl Printed {
    fn say(&self) {
        match (self.messages, &self.last) {
            (1, Some(last)) => say(&format_args!("1 message, at {last}")),
            (1, None) => say(&"1 message"),
            (count, Some(last)) => say(&format_args!("{count} messages, the last at {last}")),
            (count, None) => say(&format_args!("{count} messages")),
        }
    }
}

/// The subscriptions under way.
struct Following {
    output: BufWriter<Blocking<File>>,
    line: Line,
    /// Messages to print still.
    left: u64,
    /// How long an answer may be due; `None` for ever.
    timeout: Option<Duration>,
    /// How many channels and patterns there are.
    topics: usize,
    /// Those of which nothing comes, or nothing more.
    refused: usize,
    /// What the numbers count in, with one channel or pattern.
    epoch: Option<Arc<str>>,
    /// What went to `output`, which may not have written it yet.
    printed: Printed,
    state: Arc<State>,
}

/// Why there is nothing more to do.
enum End {
    Exit(Exit),
    Output(io::Error),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl Following {
    fn run(mut self, mut events: Events) -> Exit {
        let end = loop {
            if let Err(end) = self.step(&mut events) {
                break end;
            }
        };
        let flushed = self.flush();
        let exit = match (end, flushed) {
            (End::Exit(exit), Ok(())) => exit,
            (End::Output(error), _) | (_, Err(error)) if error.kind() == ErrorKind::BrokenPipe => {
                // The reader of the output has what it wanted.
                Exit::Done
            }
            (End::Output(error), _) | (_, Err(error)) => failed(error),
        };
        let (printed, signal) = self
            .state
            .with(|shared| (shared.printed.clone(), shared.signal));
        if printed.messages > 0 || signal.is_some() || exit == Exit::Done {
            printed.say();
        }
        match (signal, exit) {
            (Some(signal), _) => Exit::Signal(signal),
            (None, Exit::Done) if self.refused > 0 => Exit::Refused,
            (None, exit) => exit,
        }
    }

    /// Takes one event; what was printed goes out before it waits for one.
    fn step(&mut self, events: &mut Events) -> Result<(), End> {
        let event = match events.next_at_hand() {
            Some(event) => Some(event),
            None => {
                self.flush()?;
                events.next()
            }
        };
        match event {
            Some(Ok(Event::Message {
                channel,
                seq,
                data,
                pattern,
                channel_seq,
            })) => {
                let place = match &pattern {
                    None => Place::Channel { seq },
                    Some(pattern) => Place::Pattern {
                        pattern,
                        seq,
                        channel_seq,
                    },
                };
                self.print(&channel, (place, seq), &data)
            }
            Some(Ok(event)) => self.notice(&event),
            Some(Err(error)) => {
                say(&error);
                Err(End::Exit(target::exit_code(&error)))
            }
            None => Err(End::Exit(Exit::Done)),
        }
    }

    /// Writes what is printed so far.
    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()?;
        self.state
            .with(|shared| shared.printed.clone_from(&self.printed));
        Ok(())
    }

    fn print(
        &mut self,
        channel: &str,
        (place, seq): (Place<'_>, u64),
        payload: &Payload,
    ) -> Result<(), End> {
        let line = self.line.of(channel, place, payload);
        // Only whole lines are written, so that what the summary names is what was read.
        if self.output.buffer().len() + line.len() > OUTPUT_BYTES {
            self.output.flush()?;
            self.state
                .with(|shared| shared.printed.clone_from(&self.printed));
        }
        self.output.write_all(line)?;
        self.printed.messages += 1;
        if self.topics == 1
            && let Some(epoch) = &self.epoch
        {
            match &mut self.printed.last {
                Some(last) if Arc::ptr_eq(&last.epoch, epoch) => last.seq = seq,
                last => {
                    let epoch = epoch.clone();
                    *last = Some(Position { epoch, seq });
                }
            }
        }
        self.left -= 1;
        if self.left == 0 {
            return Err(End::Exit(Exit::Done));
        }
        Ok(())
    }

    /// Nothing more comes of a subscription. If it was the last one, there is nothing to wait for.
    fn without(&mut self, topic: &TopicName, why: &dyn Display) -> Result<(), End> {
        say(&format_args!("{topic}: {why}"));
        self.refused += 1;
        if self.refused == self.topics {
            return Err(End::Exit(Exit::Refused));
        }
        Ok(())
    }

    fn notice(&mut self, event: &Event) -> Result<(), End> {
        match event {
            Event::Subscribed {
                topic,
                epoch,
                seq,
                recovered,
            } => {
                // Where it is another than was asked for, a gap follows, which says so.
                if *recovered != Some(false) {
                    self.epoch = Some(epoch.clone());
                }
                say(&format_args!("subscribed to {topic}, now at {epoch}:{seq}"));
            }
            Event::Gap {
                topic,
                epoch,
                from,
                to,
                reason,
            } => {
                let before = self.epoch.replace(epoch.clone());
                let what = match reason {
                    GapReason::Epoch => began_anew(epoch, before.as_deref(), *to),
                    _ => format!("{from} to {to} of {epoch} will not come ({reason})"),
                };
                say(&format_args!("gap in {topic}: {what}"));
            }
            Event::Reconnecting { cause, .. }
                if matches!(**cause, Cause::Unanswered)
                    && let Some(timeout) = self.timeout =>
            {
                say(&target::overdue(timeout));
                return Err(End::Exit(Exit::Refused));
            }
            Event::Reconnecting { wait, cause, .. } => say(&target::reconnecting(*wait, cause)),
            Event::Reconnected => say(&"connected again"),
            Event::NotRenewed { why } => say(&target::not_renewed(why)),
            Event::SubscribeRefused { topic, refusal } => {
                return self.without(topic, refusal);
            }
            Event::SubscriptionEnded { topic, reason } => {
                let why = "the server has ended the subscription";
                return match reason {
                    Some(reason) => self.without(
                        topic,
                        &format_args!("{why}: {}", Shown::new(reason, usize::MAX)),
                    ),
                    None => self.without(topic, &why),
                };
            }
            _ => {}
        }
        Ok(())
    }
}

/// What a gap means that says that the position asked for, in epoch `before`, is none of `epoch`, of which the messages up to
/// `to` are not held.
fn began_anew(epoch: &str, before: Option<&str>, to: u64) -> String {
    let mut text = if before == Some(epoch) {
        format!("the position asked for lies beyond the newest message of {epoch}")
    } else {
        format!("the numbering began anew, with epoch {epoch}; earlier messages may be missing")
    };
    match to {
        0 => {}
        1 => text += "; message 1 will not come",
        to => text += &format!("; 1 to {to} will not come"),
    }
    text
}

fn failed(error: io::Error) -> Exit {
    say(&error);
    Exit::Refused
}

/// Ends the client on a signal: politely, and after a while without asking.
fn end_on_signal(state: &Arc<State>, closer: Closer) -> io::Result<()> {
    let state = state.clone();
    signals::watch(move |signal| {
        state.with(|shared| shared.signal = Some(signal));
        closer.close();
        let give_up = move || {
            thread::sleep(GRACE);
            state.with(|shared| shared.printed.clone()).say();
            signals::end_by(signal)
        };
        if thread::Builder::new().spawn(give_up).is_err() {
            signals::end_by(signal);
        }
    })
}

/// Ends the client when nobody reads `output` any more, where it is a pipe. Without this, that would show only when the
/// next message comes.
fn end_without_reader(output: &File, closer: Closer) -> io::Result<()> {
    let output = output.try_clone()?;
    let wait = move || {
        // Asked for nothing, poll still says when the other end has gone. A file's never goes.
        streams::ready([PollFd::new(&output, PollFlags::empty())], None);
        closer.close();
    };
    thread::Builder::new().name("output".into()).spawn(wait)?;
    Ok(())
}

/// `EPOCH:SEQ` as its parts.
fn since(text: &str) -> Result<(String, u64), String> {
    // An epoch is opaque and may have colons; a number has none.
    let parts = text.rsplit_once(':').and_then(|(epoch, seq)| {
        let digits = seq.bytes().all(|byte| byte.is_ascii_digit());
        let seq = seq
            .parse()
            .ok()
            .filter(|&seq| digits && seq <= MAX_WHOLE_NUMBER)?;
        (!epoch.is_empty()).then(|| (epoch.to_owned(), seq))
    });
    parts.ok_or_else(|| "give an epoch, a colon and a number, as notices show them".into())
}

/// A channel's name, or a pattern: no name has the characters that make one.
fn topic(text: &str) -> Result<TopicName, String> {
    if text.contains(['*', '>']) {
        let pattern = Pattern::parse(text)?;
        Ok(TopicName::Pattern(pattern.as_str().into()))
    } else {
        let name = channel(text).map_err(|why| why.to_string())?;
        Ok(TopicName::Channel(name.into()))
    }
}

/// A channel's name.
pub(super) fn channel(text: &str) -> Result<String, name::Why> {
    name::check(text).map(|()| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_the_characters_of_a_pattern_is_one() {
        let name = |text: &str| TopicName::Channel(text.into());
        let pattern = |text: &str| TopicName::Pattern(text.into());
        assert_eq!(topic("prices.oak"), Ok(name("prices.oak")));
        assert_eq!(topic("prices.*"), Ok(pattern("prices.*")));
        assert_eq!(topic(">"), Ok(pattern(">")));
        assert!(topic("prices.o*").is_err_and(|why| why.contains("whole part")));
        assert!(topic("a b").is_err());
    }

    #[test]
    fn a_place_in_a_channel_is_an_epoch_and_a_number() {
        assert_eq!(since("9f3a:17"), Ok(("9f3a".to_owned(), 17)));
        assert_eq!(since("a:b:0"), Ok(("a:b".to_owned(), 0)));
        for bad in [
            "",
            "17",
            ":17",
            "9f3a:",
            "9f3a:-1",
            "9f3a:+1",
            "9f3a:9007199254740992",
        ] {
            assert!(since(bad).is_err(), "{bad}");
        }
    }
}
