//! `fanfare pub`: one message, or one from each line of stdin.

mod input;
mod tally;

use std::fmt::Display;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use fanfare::client::{Client, ClientError, Requests};
use indicatif::{ProgressBar, ProgressStyle};

use super::sub::channel;
use super::target::{self, Target};
use super::{EXIT_CODES, Exit};
use input::{Line, Lines};
use tally::{Notices, Tally};

/// Publish DATA, or each line of stdin, to a channel; DATA and each line are one JSON value.
///
/// Lines are sent without waiting for answers, as many as the daemon takes, and it ends when all are answered. A line that is
/// refused is named on stderr by its number, and the rest still go. After a lost connection the rest go to the next one; what had
/// no answer yet may be published or not, is named, and is not sent again. Without a connection for a minute it gives up.
#[derive(Args, Debug)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct PubArgs {
    #[command(flatten)]
    target: Target,

    /// Of lines, have each acknowledged by itself, rather than each write: then a refused one is always named by its number
    #[arg(long)]
    ack: bool,

    /// Where to publish
    #[arg(value_parser = channel)]
    channel: String,

    /// What to publish
    data: Option<String>,
}

/// How long to go on without a connection.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);

impl PubArgs {
    /// Does it.
    pub(crate) fn run(self) -> Exit {
        let client = match self.target.connect(Some(GIVE_UP_AFTER)) {
            Ok(client) => client,
            Err(exit) => return exit,
        };
        match &self.data {
            Some(data) => self.publish_one(client, data),
            None => self.publish_lines(client),
        }
    }

    fn publish_one(&self, mut client: Client, data: &str) -> Exit {
        match client.publish(&self.channel, data) {
            Ok(published) => {
                eprintln!(
                    "fanfare: published as {}:{}",
                    published.epoch, published.seq
                );
                // It is published, whatever the server says to the goodbye.
                let _ = client.close();
                Exit::Done
            }
            Err(error) => {
                eprintln!("fanfare: {error}");
                target::exit_code(&error)
            }
        }
    }

    fn publish_lines(&self, client: Client) -> Exit {
        let began = Instant::now();
        let stdin = match io::stdin().as_fd().try_clone_to_owned() {
            Ok(stdin) => File::from(stdin),
            Err(error) => {
                eprintln!("fanfare: {error}");
                return Exit::Refused;
            }
        };
        let notices = Notices::new(progress_bar(&stdin));
        let (mut requests, events) = client.split();
        let mut tally = Tally::new(notices.clone());
        let answers = thread::spawn(move || {
            tally.follow(events);
            tally
        });
        let mut lines = Lines::new(stdin, requests.max_message());
        let (refused, sent) = self.send(&mut lines, &mut requests, &notices);
        // Answers go on to come until the server has answered this, too.
        let ended = sent.and(requests.close());
        let tally = answers
            .join()
            .expect("the thread that counts does not panic");
        notices.finish();
        tally.report(refused, began.elapsed());
        match (ended, tally.exit()) {
            (_, Some(exit)) => exit,
            (Err(error), None) => target::exit_code(&error),
            (Ok(()), None) if refused > 0 => Exit::Refused,
            (Ok(()), None) => Exit::Done,
        }
    }

    /// Sends all lines, as far as there is a connection to be had; how many were refused here.
    fn send(
        &self,
        lines: &mut Lines<File>,
        requests: &mut Requests,
        notices: &Notices,
    ) -> (u64, Result<(), ClientError>) {
        let mut refused = 0;
        let mut refuse = |number: u64, why: &dyn Display| {
            refused += 1;
            notices.say(&format_args!("line {number}: {why}"));
        };
        let sent = loop {
            let step = match lines.next() {
                Some(Line::Whole(line)) => {
                    let (number, line) = (lines.number(), lines.get(line));
                    match self.send_line(requests, line, number) {
                        Err(ClientError::Invalid(invalid)) => {
                            refuse(number, &invalid);
                            Ok(())
                        }
                        sent => sent,
                    }
                }
                Some(Line::TooLong) => {
                    refuse(lines.number(), &"longer than the server takes");
                    Ok(())
                }
                None => {
                    // There may be no more for a while.
                    let flushed = requests.flush();
                    notices.progress(lines.bytes_read());
                    match lines.fill() {
                        Ok(true) => flushed,
                        Ok(false) => break flushed,
                        Err(error) => {
                            refuse(lines.number() + 1, &error);
                            break flushed;
                        }
                    }
                }
            };
            if step.is_err() {
                break step;
            }
        };
        (refused, sent)
    }

    fn send_line(
        &self,
        requests: &mut Requests,
        line: &[u8],
        number: u64,
    ) -> Result<(), ClientError> {
        if self.ack {
            requests.publish(&self.channel, line, number)
        } else {
            requests.publish_in_batch(&self.channel, line, number)
        }
    }
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
