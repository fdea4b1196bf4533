//! A dialect for tests, with a slot of its own: text messages of a few words.
//!
//! `sub CHANNEL`, `sub CHANNEL last N`, `prefix TEXT`, `pub CHANNEL DATA` are its requests, `ok`, `no` and `gap CHANNEL FROM TO` its
//! answers. A channel's message is `CHANNEL EPOCH SEQ DATA`, in the slot `LINES` of `encoders`, and that of a prefix
//! `TEXT EPOCH SEQ CHANNEL SEQ DATA`.

use crate::channel::matcher::Matcher;
use crate::channel::topic::Topic;
use crate::dialect::json::Data;
use crate::hub::{Gap, Start};
use crate::server::connection::session::Session;
use crate::server::service::{Answer, Finished, Publication};
use crate::server::tickets::RequestKey;
use crate::ws::encode::write_message;
use crate::ws::violation::Violation;

/// Its name in a handshake.
pub(in crate::server) const SUB_PROTOCOL: &str = "lines.test";

/// Appends a gap.
pub(super) fn write_gap(out: &mut Vec<u8>, gap: &Gap<'_>) {
    let text = format!("gap {} {} {}", gap.topic.text(), gap.from, gap.to);
    write_message(out, true, text.as_bytes(), None);
}

/// One connection's side of the dialect.
#[derive(Debug, Default)]
pub(in crate::server) struct Lines {
    next_key: u32,
    pending: usize,
}

impl Lines {
    pub(super) fn message(
        &mut self,
        session: &mut Session<'_>,
        data: &mut [u8],
    ) -> Result<(), Violation> {
        let text = String::from_utf8_lossy(data).into_owned();
        let words: Vec<_> = text.splitn(4, ' ').collect();
        let done = match words[..] {
            ["sub", channel] => subscribe(session, channel.into(), Start::Live),
            ["prefix", text] => {
                subscribe(session, Topic::Pattern(Matcher::Prefix, text), Start::Live)
            }
            ["sub", channel, "last", count] => {
                let count = count
                    .parse()
                    .map_err(|_| Violation::invalid_data("a count"))?;
                subscribe(session, channel.into(), Start::Last(count))
            }
            ["pub", channel, data] => {
                let ticket = session.ticket(RequestKey(self.next_key));
                let what = Publication {
                    channel,
                    data: Data::json(data.as_bytes()),
                    key: None,
                };
                match session.service.publish(ticket, session.access, &what) {
                    Answer::Done(outcome) => {
                        let congested = outcome.as_ref().is_ok_and(|made| made.congested);
                        session.outcome.congested |= congested;
                        outcome.is_ok()
                    }
                    Answer::Pending => {
                        self.next_key += 1;
                        self.pending += 1;
                        return Ok(());
                    }
                }
            }
            _ => return Err(Violation::invalid_data("not a line of this dialect")),
        };
        session.send(true, if done { b"ok" } else { b"no" });
        Ok(())
    }

    pub(super) fn answer(&mut self, session: &mut Session<'_>, finished: Finished) {
        self.pending -= 1;
        let is_done = finished.outcome.is_ok();
        session.send(true, if is_done { b"ok" } else { b"no" });
    }

    pub(super) fn pending(&self) -> usize {
        self.pending
    }
}

fn subscribe(session: &mut Session<'_>, topic: Topic<'_>, start: Start<'_>) -> bool {
    let answer = (session.service).subscribe(session.subscriber, session.access, topic, start);
    matches!(answer, Answer::Done(Ok(_)))
}
