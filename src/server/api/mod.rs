//! What an administrator asks by HTTP that reaches beyond the asker's own connection: lists of connections, their end, and what takes longer
//! than one visit.
//!
//! A connection knows no other. So it leaves an [`Errand`], and waits. Errands are run once a turn, each for so many looks, and together
//! for no more than [`LOOKS_A_TURN`]: neither 100,000 connections nor their subscriptions hold up anybody. What ends others is done to the end
//! even if whoever asked for it is gone.

mod rows;

use mio::Token;

pub(super) use self::rows::Page;
use super::connection::Connection;
use super::connection::phase::Phase;
use super::connections::Connections;
use super::service::Service;
use super::tokens::index_of;
use crate::http::{ContentType, Response, Status, write_published};
use crate::hub::Clearing;

/// How many looks all errands of one turn take together. One is at a place for a connection, a cursor or a held message: it
/// takes some ten to a hundred nanoseconds.
const LOOKS_A_TURN: usize = 16 * 1024;

/// How many of them one errand takes before others have their turn.
const LOOKS_A_SLICE: usize = 4 * 1024;

/// What it costs to end a connection, in looks, beside its subscriptions.
const END_LOOKS: usize = 64;

/// How many errands may wait, lists aside, of which each connection has one at most.
pub(super) const ERRANDS_MAX: usize = 1_024;

/// Something that a connection asked for, and that is done between the reads and the sweep.
#[derive(Debug)]
pub(super) struct Errand {
    /// The connection that waits for the outcome.
    pub(super) asker: Token,
    pub(super) what: What,
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum What {
    /// The next connections of a list.
    List(Page),
    /// This connection is to end.
    End(Token),
    /// All connections of a subject are to end.
    EndSubject(EndSubject),
    /// What patterns' logs hold of a channel is to go, up to what the channel had.
    Clear(Clear),
}

/// How far the end of a subject's connections has come.
#[derive(Debug)]
pub(super) struct EndSubject {
    pub(super) subject: Box<str>,
    /// The place that is looked at next.
    next: usize,
    ended: u64,
}

impl EndSubject {
    pub(super) fn new(subject: &str) -> Self {
        EndSubject {
            subject: subject.into(),
            next: 0,
            ended: 0,
        }
    }
}

/// A clearing, and what the channel's newest message was.
#[derive(Debug)]
pub(super) struct Clear {
    pub(super) clearing: Clearing,
    pub(super) epoch: Box<str>,
    pub(super) seq: u64,
}

/// What became of an errand after a slice of it.
enum Outcome {
    /// It goes on in the next slice.
    Unfinished(What),
    /// This is the answer.
    Answer(Response),
    /// The asker has what it asked for.
    Told,
}

/// What it costs to end a connection, in looks.
fn cost_of_end(connection: &Connection, service: &Service) -> usize {
    END_LOOKS + service.hub.subscription_count(connection.subscriber())
}

impl Connections {
    /// Goes on with what was asked for, as far as one turn has time for.
    pub(super) fn run_errands(&mut self) {
        let mut left = LOOKS_A_TURN;
        for _ in 0..self.service.errands.len() {
            if left == 0 {
                return;
            }
            let Some(Errand { asker, what }) = self.service.errands.pop_front() else {
                return;
            };
            let slice = left.min(LOOKS_A_SLICE);
            let mut looks = slice;
            let outcome = match what {
                What::List(page) => self.list(asker, page, &mut looks),
                What::End(token) => self.end(asker, token, &mut looks),
                What::EndSubject(errand) => self.end_subject(asker, errand, &mut looks),
                What::Clear(errand) => self.clear(errand, &mut looks),
            };
            left = left.saturating_sub((slice - looks).max(1));
            match outcome {
                Outcome::Unfinished(what) => {
                    (self.service.errands).push_back(Errand { asker, what });
                }
                Outcome::Answer(response) => self.tell(asker, &response),
                Outcome::Told => {}
            }
        }
    }

    /// Answers the request that has waited for an errand, if its connection is still there.
    fn tell(&mut self, asker: Token, response: &Response) {
        if self.find(asker).is_some() {
            self.act(index_of(asker), |connection, service, peer| {
                connection.answer_late(service, peer, response);
            });
        }
    }

    fn list(&mut self, asker: Token, mut page: Page, looks: &mut usize) -> Outcome {
        if self.find(asker).is_some() {
            let mut rows = Vec::new();
            let most = self.service.outbox_limit();
            self.write_rows(&mut page, looks, most, &mut rows);
            self.act(index_of(asker), |connection, service, _| {
                connection.take_rows(service, page, &rows);
            });
        }
        Outcome::Told
    }

    fn end(&mut self, asker: Token, token: Token, looks: &mut usize) -> Outcome {
        let response = match self.find(token).is_some_and(|found| found.may_be_ended()) {
            true => disconnected(1),
            false => {
                let why = "there is no such connection, or it is ending already";
                Response::problem(Status::NOT_FOUND, "not_found", why)
            }
        };
        if token == asker {
            // Its answer is the last that it gets.
            return Outcome::Answer(response.closing());
        }
        if response.status() == Status::OK {
            self.act(index_of(token), |connection, service, peer| {
                *looks = looks.saturating_sub(cost_of_end(connection, service));
                connection.be_ended(service, peer);
            });
        }
        Outcome::Answer(response)
    }

    fn end_subject(&mut self, asker: Token, mut errand: EndSubject, looks: &mut usize) -> Outcome {
        while errand.next < self.slab.capacity() {
            if *looks == 0 {
                return Outcome::Unfinished(What::EndSubject(errand));
            }
            *looks -= 1;
            let index = errand.next;
            errand.next += 1;
            let Some(connection) = self.get(index) else {
                continue;
            };
            // The asker's answer is still to come.
            if connection.token == asker || !connection.is_to_end(&self.service, &errand.subject) {
                continue;
            }
            *looks = looks.saturating_sub(cost_of_end(connection, &self.service));
            errand.ended += 1;
            self.act(index, |connection, service, peer| {
                connection.be_ended(service, peer);
            });
        }
        let is_askers = self.find(asker).is_some_and(|connection| {
            let identity = connection.access.identity.as_ref();
            identity.is_some_and(|identity| identity.subject == errand.subject)
        });
        let response = disconnected(errand.ended + u64::from(is_askers));
        Outcome::Answer(match is_askers {
            true => response.closing(),
            false => response,
        })
    }

    fn clear(&mut self, mut errand: Clear, looks: &mut usize) -> Outcome {
        let hub = &mut self.service.hub;
        if !hub.go_on_clearing(&mut errand.clearing, looks) {
            return Outcome::Unfinished(What::Clear(errand));
        }
        let mut body = Vec::with_capacity(64);
        write_published(&mut body, &errand.epoch, errand.seq);
        Outcome::Answer(Response::new(Status::OK, ContentType::Json, body))
    }
}

/// The answer that says how many connections were ended.
fn disconnected(count: u64) -> Response {
    let body = format!("{{\"disconnected\":{count}}}\n").into_bytes();
    Response::new(Status::OK, ContentType::Json, body)
}

/// What a connection is doing, in a word for administrators.
fn state_of(phase: &Phase) -> &'static str {
    match phase {
        Phase::Http(_) => "http",
        Phase::Open(_) => "open",
        Phase::Events(_) => "events",
        Phase::Closing { .. } => "closing",
        Phase::Draining { .. } => "draining",
    }
}
