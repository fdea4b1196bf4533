//! `fanfare sub`: what is published, a line each.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use clap::Args;
use fanfare::client::{ClientError, Closer, Event, Events, Requests, Start};
use fanfare::dialect::json::{MAX_WHOLE_NUMBER, MessageFrame, channel_name};
use rustix::event::{PollFd, PollFlags, poll};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::target::{self, Target};
use super::{EXIT_CODES, Exit};

/// Subscribe to channels and print a line of JSON for each message: its data, or with several channels the whole event.
///
/// Ends after --count messages, on SIGINT, or when nobody reads its output any more. A lost connection comes back by itself
/// and goes on where it was; what is missing nevertheless is announced on stderr, as all notices are.
#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct SubArgs {
    #[command(flatten)]
    target: Target,

    /// Begin after message SEQ of EPOCH; with one channel only
    // An epoch is random, and one in 64 begins with a hyphen.
    #[arg(
        long,
        value_name = "EPOCH:SEQ",
        value_parser = since,
        allow_hyphen_values = true,
        conflicts_with = "last"
    )]
    since: Option<(String, u64)>,

    /// Begin with the newest N messages that are held
    #[arg(long, value_name = "N")]
    last: Option<u64>,

    /// End after N messages
    #[arg(long, value_name = "N")]
    count: Option<u64>,

    /// Print the whole event, not only its data
    #[arg(long)]
    full: bool,

    /// What to subscribe to
    #[arg(required = true, value_name = "CHANNEL", value_parser = channel)]
    channels: Vec<String>,
}

/// How long after a signal the server may take to say goodbye.
const GRACE: Duration = Duration::from_secs(1);

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
        let several = self.channels.len() > 1;
        let twice =
            (1..self.channels.len()).find(|&i| self.channels[..i].contains(&self.channels[i]));
        let problem = match twice {
            _ if several && self.since.is_some() => {
                "--since goes with one channel: each has an epoch of its own".to_owned()
            }
            Some(i) => format!("{} is in the list twice", self.channels[i]),
            None => return Ok(()),
        };
        eprintln!("fanfare: {problem}");
        Err(Exit::Usage)
    }

    fn follow(&self) -> Result<Exit, Exit> {
        if self.count == Some(0) {
            return Ok(Exit::Done);
        }
        let output = File::from(io::stdout().as_fd().try_clone_to_owned().map_err(failed)?);
        let client = self.target.connect(None)?;
        end_on_signal(client.closer()).map_err(failed)?;
        end_without_reader(&output, client.closer()).map_err(failed)?;
        let (mut requests, events) = client.split();
        // If this fails, the events say why.
        let _ = self.subscribe(&mut requests);
        let following = Following {
            output: BufWriter::with_capacity(OUTPUT_BYTES, output),
            line: Vec::new(),
            whole_events: self.full || self.channels.len() > 1,
            left: self.count.unwrap_or(u64::MAX),
            channels: self.channels.len(),
            refused: 0,
        };
        Ok(following.run(events))
    }

    fn subscribe(&self, requests: &mut Requests) -> Result<(), ClientError> {
        let start = match (&self.since, self.last) {
            (Some((epoch, seq)), _) => Start::Since { epoch, seq: *seq },
            (None, Some(last)) => Start::Last(last),
            (None, None) => Start::Live,
        };
        self.channels
            .iter()
            .try_for_each(|channel| requests.subscribe(channel, start))
    }
}

/// The subscriptions under way.
struct Following {
    output: BufWriter<File>,
    /// The line being made.
    line: Vec<u8>,
    whole_events: bool,
    /// Messages to print still.
    left: u64,
    channels: usize,
    refused: usize,
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
        let flushed = self.output.flush();
        let exit = match (end, flushed) {
            (End::Exit(exit), Ok(())) => exit,
            (End::Output(error), _) | (_, Err(error)) if error.kind() == ErrorKind::BrokenPipe => {
                // Who read the output has what it wanted.
                Exit::Done
            }
            (End::Output(error), _) | (_, Err(error)) => failed(error),
        };
        if exit == Exit::Done && self.refused > 0 {
            return Exit::Refused;
        }
        exit
    }

    /// Takes one event; what was printed goes out before it waits for one.
    fn step(&mut self, events: &mut Events) -> Result<(), End> {
        let event = match events.next_at_hand() {
            Some(event) => Some(event),
            None => {
                self.output.flush()?;
                events.next()
            }
        };
        match event {
            Some(Ok(Event::Message { channel, seq, data })) => self.print(&channel, seq, &data),
            Some(Ok(event)) => self.notice(&event),
            Some(Err(error)) => {
                say(&error);
                Err(End::Exit(target::exit_code(&error)))
            }
            None => Err(End::Exit(Exit::Done)),
        }
    }

    fn print(&mut self, channel: &str, seq: u64, data: &str) -> Result<(), End> {
        self.line.clear();
        if self.whole_events {
            MessageFrame::new(channel, data.as_bytes()).write_text(seq, &mut self.line);
        } else {
            self.line.extend_from_slice(data.as_bytes());
        }
        // In JSON a line break stands only where any white space may: in a string it is escaped.
        for byte in &mut self.line {
            if matches!(byte, b'\n' | b'\r') {
                *byte = b' ';
            }
        }
        self.line.push(b'\n');
        self.output.write_all(&self.line)?;
        self.left -= 1;
        if self.left == 0 {
            return Err(End::Exit(Exit::Done));
        }
        Ok(())
    }

    fn notice(&mut self, event: &Event) -> Result<(), End> {
        match event {
            Event::Subscribed {
                channel,
                epoch,
                seq,
                ..
            } => {
                say(&format_args!(
                    "subscribed to {channel}, now at {epoch}:{seq}"
                ));
            }
            Event::Gap {
                channel,
                epoch,
                from,
                to,
                reason,
            } => say(&format_args!(
                "gap in {channel}: {from} to {to} of {epoch} will not come ({reason})"
            )),
            Event::Reconnecting { wait, cause, .. } => say(&target::reconnecting(*wait, cause)),
            Event::Reconnected => say(&"connected again"),
            Event::SubscribeRefused { channel, refusal } => {
                say(&format_args!("{channel}: {refusal}"));
                self.refused += 1;
                if self.refused == self.channels {
                    return Err(End::Exit(Exit::Refused));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// A notice: on stderr, since stdout is for messages.
fn say(notice: &dyn Display) {
    eprintln!("fanfare: {notice}");
}

fn failed(error: io::Error) -> Exit {
    say(&error);
    Exit::Refused
}

/// Ends the client on SIGINT and SIGTERM: politely, and after a while without asking.
fn end_on_signal(closer: Closer) -> io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let wait = move || {
        if signals.forever().next().is_some() {
            closer.close();
            thread::sleep(GRACE);
            std::process::exit(0);
        }
    };
    thread::Builder::new().name("signals".into()).spawn(wait)?;
    Ok(())
}

/// Ends the client when nobody reads `output` any more, where it is a pipe. Without this, that would show only when the
/// next message comes.
fn end_without_reader(output: &File, closer: Closer) -> io::Result<()> {
    let output = output.try_clone()?;
    let wait = move || {
        // Asked for nothing, poll still says when the other end has gone. A file's never goes.
        let mut watched = [PollFd::new(&output, PollFlags::empty())];
        while poll(&mut watched, None) == Err(rustix::io::Errno::INTR) {}
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

/// A channel's name.
pub(super) fn channel(text: &str) -> Result<String, channel_name::Why> {
    channel_name::check(text).map(|()| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

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
