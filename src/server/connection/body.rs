//! Bodies of responses that go on: they are made bit by bit, as fast as the client takes them, and never hold up anybody else.

mod snapshot;

use std::rc::Rc;

use mio::Token;

use super::Connection;
use super::api::{code_of, explain, only_ticket};
use super::flow::Flow;
use super::http::Next;
use super::lists::{Channels, Rows};
use super::phase::Phase;
use crate::auth::identity::Identity;
use crate::auth::rates::{Key, RetryAfterMs};
use crate::dialect::json::ErrorCode;
use crate::dialect::json::batch::{Batch, Item};
use crate::dialect::json::encode::{
    data_members, data_of_frame, gap_members, number, number_member, string, text_member,
};
use crate::http::{LAST_CHUNK, write_chunk, write_published};
use crate::hub::{ChannelId, History};
use crate::server::allowance;
use crate::server::api::Page;
use crate::server::gate::Access;
use crate::server::service::{Answer, Finished, Service};
use crate::server::timers::{Millis, NEVER};

/// So much of a body is made at a time, in bytes, unless one message is longer.
const PART: usize = 16 * 1024;

/// So much of it waits to be written at most, in bytes, and one more part.
const WAITING: usize = 64 * 1024;

/// A body under way.
#[derive(Debug)]
pub(super) struct Body {
    /// What its reader may do, decided anew after a reload.
    access: Rc<Access>,
    /// When that ends, or [`NEVER`].
    until: Millis,
    what: What,
    is_chunked: bool,
    /// Whether the connection stays open after it.
    keep_alive: bool,
}

#[derive(Debug)]
enum What {
    Messages(Messages),
    Publications(Publications),
    Channels(Channels),
    Rows(Rows),
}

/// How far the making of a body has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// There is more.
    Part,
    /// There is more, once a publication has its outcome or rows have come.
    Waits,
    /// There is more, and its reader may not have it any more.
    Broken,
    /// That was all.
    All,
}

/// What a channel holds.
#[derive(Debug)]
struct Messages {
    channel: ChannelId,
    /// What stands before the messages, until it is written.
    head: Vec<u8>,
    /// The position of the next message.
    position: u64,
    /// The last number that is asked for.
    until: u64,
    /// How many messages may follow.
    left: u64,
    /// Whether one has been written.
    is_begun: bool,
}

/// The publications of a batch, each of which is answered by a line.
#[derive(Debug)]
struct Publications {
    text: Vec<u8>,
    batch: Batch,
    /// Whose requests each publication is counted among, and whether the first is still to come, which is counted already.
    key: Option<Key>,
    is_first: bool,
    /// Whether one waits for its outcome.
    waits: bool,
}

impl Body {
    /// What becomes of the publications in `text`, which whoever has this access wants to make.
    pub(super) fn publications(
        access: Rc<Access>,
        key: Option<Key>,
        text: Vec<u8>,
        is_chunked: bool,
    ) -> Self {
        let publications = Publications {
            text,
            batch: Batch::default(),
            key,
            is_first: true,
            waits: false,
        };
        Body::new(access, What::Publications(publications), is_chunked)
    }

    fn new(access: Rc<Access>, what: What, is_chunked: bool) -> Self {
        Body {
            access,
            until: NEVER,
            what,
            is_chunked,
            keep_alive: false,
        }
    }

    /// Bytes of memory that it keeps of the request.
    pub(super) fn held_bytes(&self) -> usize {
        match &self.what {
            What::Publications(publications) => publications.text.capacity(),
            What::Messages(_) | What::Channels(_) | What::Rows(_) => 0,
        }
    }

    /// A page of the list of channels.
    pub(super) fn channels(access: Rc<Access>, page: Channels, is_chunked: bool) -> Self {
        Body::new(access, What::Channels(page), is_chunked)
    }

    /// A page of the list of connections.
    pub(super) fn connections(access: Rc<Access>, page: Page, is_chunked: bool) -> Self {
        Body::new(access, What::Rows(Rows::new(page)), is_chunked)
    }

    /// The page of the list of connections that it is, if it is one.
    pub(super) fn rows(&mut self) -> Option<&mut Rows> {
        match &mut self.what {
            What::Rows(rows) => Some(rows),
            _ => None,
        }
    }

    pub(super) fn is_chunked(&self) -> bool {
        self.is_chunked
    }

    /// The identity that it is for, if that is known.
    pub(super) fn identity(&self) -> Option<&Identity> {
        self.access.identity.as_ref()
    }

    /// What a channel holds now from `history` on, up to the number `until`, and no more than `limit` messages.
    pub(super) fn messages(
        access: Rc<Access>,
        name: &str,
        history: &History<'_>,
        until: u64,
        limit: u64,
        is_chunked: bool,
    ) -> Self {
        let mut head = Vec::with_capacity(128);
        head.extend_from_slice(b"{\"channel\":");
        string(&mut head, name);
        text_member(&mut head, "epoch", history.epoch);
        number_member(&mut head, "seq", history.newest);
        if let Some((from, to, reason)) = history.gap {
            head.extend_from_slice(b",\"gap\":{");
            gap_members(&mut head, from, to, reason.as_str());
            head.push(b'}');
        }
        head.extend_from_slice(b",\"messages\":[");
        let messages = Messages {
            channel: history.channel,
            head,
            position: history.position,
            // What is published meanwhile is no part of what the channel holds now: else there might be no end.
            until: until.min(history.newest),
            left: limit,
            is_begun: false,
        };
        Body::new(access, What::Messages(messages), is_chunked)
    }
}

impl Messages {
    /// Whether somebody may read the channel, which may be gone.
    fn may_be_read(&self, service: &Service, access: &Access) -> bool {
        let topic = service.hub.topic(self.channel);
        topic.is_none_or(|topic| access.may_subscribe(topic))
    }

    /// Appends the next part, of so many bytes unless one message is longer.
    fn write(&mut self, service: &mut Service, part: usize, out: &mut Vec<u8>) -> Made {
        out.append(&mut self.head);
        let begin = out.len();
        let (mut has_more, mut is_full) = (false, false);
        let next = service.hub.read(self.channel, self.position, |seq, frame| {
            if seq > self.until || self.left == 0 {
                has_more = self.left == 0 && seq <= self.until;
                return false;
            }
            if out.len() - begin >= part {
                is_full = true;
                return false;
            }
            if std::mem::replace(&mut self.is_begun, true) {
                out.push(b',');
            }
            self.left -= 1;
            write_message(out, seq, frame);
            true
        });
        service
            .allowance
            .charge(allowance::COPY + (out.len() - begin));
        // A message that went meanwhile is told of by the next request, which names the last one that came.
        has_more |= next.is_none();
        self.position = next.unwrap_or(self.position);
        if is_full {
            return Made::Part;
        }
        out.extend_from_slice(b"]");
        if has_more {
            out.extend_from_slice(b",\"more\":true");
        }
        out.extend_from_slice(b"}\n");
        Made::All
    }
}

impl Publications {
    /// Makes the next publications, and appends a line for each, up to `part` bytes of them. Says whether its publisher has to
    /// wait for a channel's sweep.
    fn write(
        &mut self,
        service: &mut Service,
        (access, connection): (&Access, Token),
        part: usize,
        out: &mut Vec<u8>,
    ) -> (Made, bool) {
        let begin = out.len();
        while out.len() - begin < part && !service.allowance.is_spent() {
            let range = match self.batch.next(&self.text) {
                Item::Value(range) => range,
                Item::White(len) => {
                    service.allowance.charge(len);
                    continue;
                }
                Item::End => return (Made::All, false),
                Item::Broken(why, at) => {
                    let why = format!("{why}, at byte {at}");
                    write_failure(out, ErrorCode::BadJson.as_str(), &why);
                    return (Made::All, false);
                }
            };
            (service.allowance).charge(allowance::MESSAGE + range.len());
            if let Err(RetryAfterMs(ms)) = self.count(service, access) {
                let why = format!("too many publications: the next may come in {ms} ms");
                write_failure(out, ErrorCode::RateLimited.as_str(), &why);
                continue;
            }
            let text = self.text.get_mut(range).unwrap_or_default();
            match publish(service, access, connection, text, out) {
                Outcome::Done => {}
                Outcome::Congested => return (Made::Part, true),
                Outcome::Waits => {
                    self.waits = true;
                    return (Made::Waits, false);
                }
            }
        }
        (Made::Part, false)
    }

    /// Counts a publication as the request that it would be by itself. Its bytes are counted already.
    fn count(&mut self, service: &mut Service, access: &Access) -> Result<(), RetryAfterMs> {
        let is_counted = std::mem::take(&mut self.is_first);
        if is_counted || !service.rates.count_requests() {
            return Ok(());
        }
        (service.rates).request_by(self.key, &access.name(), 0, service.now)
    }
}

/// What became of a publication.
enum Outcome {
    /// It has its line.
    Done,
    /// It has, and its channel may take no more until its subscribers were swept.
    Congested,
    /// It has not.
    Waits,
}

/// Makes one publication of a batch, and appends its line if it has its outcome.
fn publish(
    service: &mut Service,
    access: &Access,
    connection: Token,
    text: &mut [u8],
    out: &mut Vec<u8>,
) -> Outcome {
    let max_message = service.config.max_message;
    if text.len() > max_message {
        let why = format!("a publication has {max_message} bytes at most, as --max-message says");
        write_failure(out, ErrorCode::Limit.as_str(), &why);
        return Outcome::Done;
    }
    let mut decoder = service.decoder;
    let what = match decoder.decode_publication(text) {
        Ok(what) => what,
        Err(error) => {
            let (code, why) = explain(error);
            write_failure(out, code, &why);
            return Outcome::Done;
        }
    };
    match service.publish(only_ticket(connection), access, &what) {
        Answer::Done(Ok(published)) => {
            let (epoch, _) = published.epoch(&service.hub);
            write_published(out, epoch, published.seq);
            match published.congested {
                true => Outcome::Congested,
                false => Outcome::Done,
            }
        }
        Answer::Done(Err(refusal)) => {
            write_failure(out, code_of(refusal.why).1, &refusal.text);
            Outcome::Done
        }
        Answer::Pending => Outcome::Waits,
    }
}

/// Appends the line of a publication that was not made.
fn write_failure(out: &mut Vec<u8>, code: &str, message: &str) {
    out.extend_from_slice(b"{\"code\":");
    string(out, code);
    text_member(out, "message", message);
    out.extend_from_slice(b"}\n");
}

/// Appends a message: its number and what was published.
fn write_message(out: &mut Vec<u8>, seq: u64, frame: &[u8]) {
    out.extend_from_slice(b"{\"seq\":");
    number(out, seq);
    if let Some(data) = data_of_frame(frame) {
        data_members(out, data);
    }
    out.push(b'}');
}

impl Connection {
    /// The body of the response that was just begun goes on from now on. The next request waits for its end.
    pub(super) fn begin_body(&mut self, service: &Service, mut body: Body, keep_alive: bool) {
        let until = service.gate.end_of(&body.access, service.now);
        body.keep_alive = keep_alive;
        body.until = until;
        if let Phase::Http(http) = &mut self.phase {
            http.body = Some(Box::new(body));
        }
    }

    /// Goes on with the body under way. `None`: there is none, or it is whole, and the next request may follow.
    pub(super) fn go_on_with_body(&mut self, service: &mut Service) -> Option<Next> {
        let Phase::Http(http) = &mut self.phase else {
            return Some(Next::Stay);
        };
        let mut body = http.body.take()?;
        body.readmit(service);
        match self.make_body(service, &mut body) {
            Made::All => {}
            // The last chunk is missing, so the client sees that it has not got all.
            Made::Broken => return Some(Next::Finish),
            Made::Part | Made::Waits => {
                if let Phase::Http(http) = &mut self.phase {
                    http.body = Some(body);
                }
                return Some(Next::Stay);
            }
        }
        if let Phase::Http(http) = &mut self.phase {
            http.expect_next(service.config.http_idle_timeout_ms.after(service.now));
        }
        (!body.keep_alive).then_some(Next::Finish)
    }

    /// Makes as much of a body as may be now. If that is not all of it, the connection is queued or waits for something.
    fn make_body(&mut self, service: &mut Service, body: &mut Body) -> Made {
        loop {
            if self.outbox.private_bytes() > WAITING.min(service.outbox_limit()) {
                self.pause(service.now, Flow::OUTBOX_FULL);
            }
            if self.has_to_stop(service) {
                return Made::Part;
            }
            let (made, congested) = body.write(service, self.token, self.outbox.private());
            if congested {
                self.pause(service.now, Flow::CONGESTED);
            }
            match made {
                Made::Part => {}
                Made::Waits => self.pause(service.now, Flow::AWAITS),
                Made::All | Made::Broken => return made,
            }
        }
    }

    /// A publication of the batch under way has its outcome. Says whether there is such a batch.
    pub(super) fn answer_in_body(&mut self, service: &Service, finished: &Finished) -> bool {
        let Phase::Http(http) = &mut self.phase else {
            return false;
        };
        let Some(body) = &mut http.body else {
            return false;
        };
        let What::Publications(publications) = &mut body.what else {
            return false;
        };
        if !std::mem::take(&mut publications.waits) {
            return false;
        }
        let line = |out: &mut Vec<u8>| match &finished.outcome {
            Ok((epoch, seq)) => write_published(out, epoch.as_str(), *seq),
            Err(refusal) => write_failure(out, code_of(refusal.why).1, &refusal.text),
        };
        match body.is_chunked {
            true => write_chunk(self.outbox.private(), line),
            false => line(self.outbox.private()),
        }
        self.resume(service.now, Flow::AWAITS);
        true
    }
}

impl Body {
    /// Decides anew what its reader may do, if there was a reload since that was decided or if what it has shown has ended: the
    /// rest is for a stranger then.
    fn readmit(&mut self, service: &Service) {
        let gate = &service.gate;
        let (door, identity) = (self.access.door, &self.access.identity);
        let is_over = self.until <= service.now;
        if gate.is_current(&self.access) && !is_over {
            return;
        }
        let holds = |identity: &&Identity| !is_over && gate.still_vouches_for(identity);
        let identity = identity.as_ref().filter(holds).cloned();
        if identity.is_none() {
            self.until = NEVER;
        }
        self.access = gate.admit(door, identity);
    }

    /// Appends the next part. Says whether its reader, who publishes, has to wait for a channel's sweep.
    fn write(
        &mut self,
        service: &mut Service,
        connection: Token,
        out: &mut Vec<u8>,
    ) -> (Made, bool) {
        let mut outcome = (Made::Part, false);
        let part = PART.min(service.outbox_limit());
        let access = &*self.access;
        let mut write = |out: &mut Vec<u8>| {
            outcome = match &mut self.what {
                What::Messages(messages) if !messages.may_be_read(service, access) => {
                    (Made::Broken, false)
                }
                What::Channels(_) | What::Rows(_) if !access.may_administer() => {
                    (Made::Broken, false)
                }
                What::Messages(messages) => (messages.write(service, part, out), false),
                What::Channels(page) => (page.write(service, part, out), false),
                What::Rows(rows) => (rows.write(service, connection, out), false),
                What::Publications(publications) => {
                    publications.write(service, (access, connection), part, out)
                }
            }
        };
        if !self.is_chunked {
            write(out);
            return outcome;
        }
        write_chunk(out, write);
        if outcome.0 == Made::All {
            out.extend_from_slice(LAST_CHUNK);
        }
        outcome
    }
}
