//! The list of connections, in the order of their places: a connection stays in its place, so a list goes on after one that is gone.

use mio::Token;

use super::super::connections::{Connections, Entry};
use super::super::tokens::{id_of, index_of};
use super::state_of;
use crate::dialect::json::encode::{number_member, string, text_member};
use crate::server::connection::phase::Phase;

/// So many bytes of rows are made in one slice, unless one row is longer.
const SLICE: usize = 16 * 1024;

/// What a connection's row costs, in looks, beside its subscriptions.
const ROW_LOOKS: usize = 64;

/// How far a list of connections has come.
#[derive(Debug)]
pub(in crate::server) struct Page {
    /// The place that is looked at next.
    next: usize,
    /// How many connections may follow.
    left: usize,
    /// The last that was listed.
    last: Option<Token>,
    /// The connection whose subscriptions are being looked at.
    under_way: Option<UnderWay>,
    is_over: bool,
}

/// How far a connection is behind, as far as its subscriptions were looked at.
#[derive(Clone, Copy, Debug)]
struct UnderWay {
    token: Token,
    /// The subscription to look at next, as the hub says it.
    from: u32,
    lag: u64,
}

impl Page {
    /// So many connections at most, from the first after this one.
    pub(in crate::server) fn new(after: Option<Token>, limit: usize) -> Self {
        Page {
            next: after.map_or(0, |token| index_of(token) + 1),
            left: limit,
            last: None,
            under_way: None,
            is_over: false,
        }
    }

    /// Whether that was all. Then the name of the connection that the next page begins after, if there is one.
    pub(in crate::server) fn end(&self) -> Option<Option<String>> {
        self.is_over.then(|| self.last.map(id_of))
    }
}

impl Connections {
    /// Writes the next rows of a list, until there is a slice of them, or `most` bytes, or so many `looks` are spent, which are taken off.
    pub(super) fn write_rows(
        &self,
        page: &mut Page,
        looks: &mut usize,
        most: usize,
        out: &mut Vec<u8>,
    ) {
        let slice = SLICE.min(most);
        // Those that are empty count as looks, too: there may be very many after a crowd has gone.
        while page.next < self.slab.capacity() {
            if *looks == 0 || out.len() >= slice {
                return;
            }
            *looks -= 1;
            let Some(entry) = self.slab.get(page.next) else {
                page.next += 1;
                continue;
            };
            if page.left == 0 {
                page.is_over = true;
                return;
            }
            let Some(lag) = self.lag_of(entry, page, looks) else {
                return;
            };
            if page.last.is_some() {
                out.push(b',');
            }
            self.write_row(entry, lag, out);
            page.last = Some(entry.connection.token);
            page.left -= 1;
            page.next += 1;
        }
        page.is_over = true;
        // Nothing comes after it.
        page.last = None;
    }

    /// How many messages a connection has still to get where it is farthest behind; `None`: it takes more looks to say.
    fn lag_of(&self, entry: &Entry, page: &mut Page, looks: &mut usize) -> Option<u64> {
        let connection = &entry.connection;
        let token = connection.token;
        let began = page.under_way.take().filter(|began| began.token == token);
        if began.is_none() {
            *looks = looks.saturating_sub(ROW_LOOKS);
        }
        let UnderWay { from, mut lag, .. } = began.unwrap_or(UnderWay {
            token,
            from: 0,
            lag: 0,
        });
        if !connection.is_subscriber() {
            return Some(0);
        }
        let hub = &self.service.hub;
        match hub.look_for_lag(connection.subscriber(), from, looks, &mut lag) {
            None => Some(lag),
            Some(from) => {
                page.under_way = Some(UnderWay { token, from, lag });
                None
            }
        }
    }

    fn write_row(&self, entry: &Entry, lag: u64, out: &mut Vec<u8>) {
        let Entry {
            transport,
            connection,
        } = entry;
        let service = &self.service;
        let token = connection.token;
        out.extend_from_slice(b"{\"id\":");
        string(out, &id_of(token));
        text_member(out, "session", &service.journal.session(token));
        text_member(out, "peer", &transport.to_string());
        text_member(out, "transport", transport.kind());
        text_member(out, "state", state_of(&connection.phase));
        if let Phase::Open(open) = &connection.phase {
            text_member(out, "dialect", &open.speaker.name().to_ascii_lowercase());
        }
        if let Some(identity) = connection.identity() {
            text_member(out, "subject", &identity.subject);
            text_member(out, "means", identity.means.name());
        }
        let age_ms = service.now.saturating_sub(connection.since);
        number_member(out, "age_ms", age_ms);
        let subscriptions = match connection.is_subscriber() {
            true => service.hub.subscription_count(connection.subscriber()),
            false => 0,
        };
        number_member(out, "subscriptions", subscriptions as u64);
        number_member(out, "lag", lag);
        let waiting = connection.outbox.private_bytes();
        number_member(out, "outbox", waiting as u64);
        out.push(b'}');
    }
}
