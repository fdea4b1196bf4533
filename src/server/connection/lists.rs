//! Lists for administrators, page by page: bodies that are made bit by bit, and hold no more than a part in memory.

use mio::Token;

use super::Connection;
use super::body::Made;
use super::flow::Flow;
use super::phase::Phase;
use crate::dialect::json::encode::{number, number_member, string, text_member};
use crate::http::write_chunk;
use crate::hub::{Listed, ListedTo, Listing};
use crate::server::allowance;
use crate::server::api::{Errand, Page, What};
use crate::server::service::Service;

/// How many channels or connections a page has at most.
pub(super) const PAGE_MAX: u64 = 1_000;

/// How many it has where a request does not say.
pub(super) const PAGE: u64 = 100;

/// How many looks at channels and cursors make a part of a list, unless it is full before that.
const LOOKS: usize = 4 * 1024;

/// What a look costs.
const LOOK_COST: usize = 4;

/// A page of the list of channels.
#[derive(Debug)]
pub(super) struct Channels {
    listing: Listing,
    /// How many channels may follow.
    left: u64,
    /// Whether the beginning is written, and whether a channel is.
    is_begun: bool,
    has_some: bool,
}

impl Channels {
    pub(super) fn new(prefix: &str, after: Option<&str>, limit: u64) -> Self {
        Channels {
            listing: Listing::new(prefix, after),
            left: limit,
            is_begun: false,
            has_some: false,
        }
    }

    /// Appends the next part, of so many bytes and one channel more at most.
    pub(super) fn write(&mut self, service: &mut Service, part: usize, out: &mut Vec<u8>) -> Made {
        if !std::mem::replace(&mut self.is_begun, true) {
            out.extend_from_slice(b"{\"channels\":[");
        }
        let begin = out.len();
        let mut looks = LOOKS;
        let to = service.hub.list(&mut self.listing, &mut looks, |listed| {
            if self.left == 0 || out.len() - begin >= part {
                return false;
            }
            if std::mem::replace(&mut self.has_some, true) {
                out.push(b',');
            }
            self.left -= 1;
            write_channel(out, &listed);
            true
        });
        let cost = (LOOKS - looks) * LOOK_COST + (out.len() - begin);
        service.allowance.charge(allowance::COPY + cost);
        if to == ListedTo::Here && self.left > 0 {
            return Made::Part;
        }
        out.push(b']');
        if service.hub.lists_on(&self.listing)
            && let Some(after) = self.listing.after()
        {
            text_member(out, "next", after);
        }
        out.extend_from_slice(b"}\n");
        Made::All
    }
}

fn write_channel(out: &mut Vec<u8>, listed: &Listed<'_>) {
    out.extend_from_slice(b"{\"channel\":");
    string(out, listed.name);
    number_member(out, "subscribers", listed.subscribers as u64);
    number_member(out, "messages", listed.messages);
    number_member(out, "bytes", listed.bytes);
    number_member(out, "rate", listed.rate / 100);
    // Two digits behind the point.
    out.push(b'.');
    let hundredths = listed.rate % 100;
    number(out, hundredths / 10);
    number(out, hundredths % 10);
    number_member(out, "lag", listed.lag);
    out.push(b'}');
}

/// A page of the list of connections, whose rows others make.
#[derive(Debug)]
pub(super) struct Rows {
    /// `None` while the next rows are being made.
    page: Option<Page>,
    is_begun: bool,
}

impl Rows {
    pub(super) fn new(page: Page) -> Self {
        Rows {
            page: Some(page),
            is_begun: false,
        }
    }

    /// Appends what stands before the rows and behind them, and sees to it that the next rows come for the connection `asker`.
    pub(super) fn write(&mut self, service: &mut Service, asker: Token, out: &mut Vec<u8>) -> Made {
        if !std::mem::replace(&mut self.is_begun, true) {
            out.extend_from_slice(b"{\"connections\":[");
        }
        let Some(page) = self.page.take() else {
            return Made::Waits;
        };
        let Some(next) = page.end() else {
            let what = What::List(page);
            service.errands.push_back(Errand { asker, what });
            return Made::Waits;
        };
        out.push(b']');
        if let Some(next) = next {
            text_member(out, "next", &next);
        }
        out.extend_from_slice(b"}\n");
        Made::All
    }
}

impl Connection {
    /// The next rows of the list under way have come.
    pub(in crate::server) fn take_rows(&mut self, service: &mut Service, page: Page, text: &[u8]) {
        let Phase::Http(http) = &mut self.phase else {
            return;
        };
        let Some(body) = &mut http.body else {
            return;
        };
        let is_chunked = body.is_chunked();
        let Some(rows) = body.rows() else {
            return;
        };
        rows.page = Some(page);
        let out = self.outbox.private();
        match is_chunked {
            true => write_chunk(out, |out| out.extend_from_slice(text)),
            false => out.extend_from_slice(text),
        }
        self.resume(service.now, Flow::AWAITS);
    }
}
