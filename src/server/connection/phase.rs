//! The phases of a connection's life, and what it keeps in each.
//!
//! handshake ([`Phase::Http`]) → open ([`Phase::Open`], or [`Phase::Events`]) → closing ([`Phase::Closing`]: the daemon has sent
//! a close and waits for the peer's) → draining ([`Phase::Draining`]: the daemon has sent everything and
//! FIN. It reads and drops what still comes, so that the kernel does not answer it with a reset that
//! would destroy the last bytes sent).

use zeroize::Zeroizing;

use super::admission::Reader;
use super::body::Body;
use super::speaker::Speaker;
use crate::http::HttpParser;
use crate::server::checks::Verdict;
use crate::server::rates::Doings;
use crate::server::timers::{Millis, NEVER};
use crate::ws::deflate::WindowBits;
use crate::ws::endpoint::Endpoint;

/// What a connection keeps while it speaks HTTP.
#[derive(Debug)]
pub(in crate::server) struct HttpState {
    pub(super) parser: HttpParser,
    /// What came of a request that is not whole yet, or waits; empty where nothing did. It may have a credential, so it is wiped when it
    /// goes.
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// When the request has to be whole, or the next one to begin.
    pub(super) deadline: Millis,
    /// Since when bytes of a request have been kept that is not whole.
    pub(super) since: Millis,
    /// How often the connection was read from since that request became overdue.
    pub(super) late_visits: u32,
    /// Whether a request has begun that is not whole.
    pub(super) begun: bool,
    /// Whether the head of that request is whole.
    pub(super) body_begun: bool,
    /// Whether the connection stays open after the answer that it awaits; `None` if it awaits none.
    pub(super) keep_alive_after_answer: Option<bool>,
    /// Whether it counts as a connection of its address already.
    pub(super) is_counted: bool,
    /// How the check of a password ended that the request in `bytes` has waited for.
    pub(super) verdict: Option<Verdict>,
    /// Whether the request under way is an opening handshake.
    pub(super) asks_upgrade: bool,
    /// The body of a response that goes on.
    pub(super) body: Option<Box<Body>>,
    /// The page that may read the response to the request under way.
    pub(super) reader: Option<Box<Reader>>,
}

impl HttpState {
    pub(super) fn new(deadline: Millis) -> Self {
        HttpState {
            parser: HttpParser::new(),
            bytes: Zeroizing::default(),
            deadline,
            since: 0,
            late_visits: 0,
            begun: false,
            body_begun: false,
            keep_alive_after_answer: None,
            is_counted: false,
            verdict: None,
            asks_upgrade: false,
            body: None,
            reader: None,
        }
    }

    pub(super) fn held_bytes(&self) -> usize {
        let body = self.body.as_ref().map_or(0, |body| body.held_bytes());
        self.bytes.capacity() + self.parser.held_bytes() + body
    }

    /// A request is whole: the next has to begin by `deadline`.
    pub(super) fn expect_next(&mut self, deadline: Millis) {
        self.begun = false;
        self.body_begun = false;
        self.late_visits = 0;
        self.deadline = deadline;
    }
}

/// What was agreed on in the handshake, and the frames' state.
#[derive(Debug)]
pub(in crate::server) struct Open {
    pub(super) endpoint: Endpoint,
    pub(in crate::server) speaker: Speaker,
    /// The window of what is compressed for this peer; `None`: nothing is.
    pub(super) deflate: Option<WindowBits>,
    /// How often the connection was read from since a message became overdue.
    pub(super) late_visits: u32,
    /// When the ping was sent since which nothing was read, or [`NEVER`].
    pub(super) pinged_at: Millis,
    /// When the first byte came of the message that is not complete yet, or [`NEVER`]. The time during which the
    /// connection was paused is added to it, so that it does not count.
    pub(super) message_since: Millis,
    /// What few have who come to an open daemon.
    pub(super) guarded: Option<Box<Guarded>>,
}

/// What is watched of a peer.
#[derive(Debug)]
pub(super) struct Guarded {
    /// By when it has to show who it is, or to show it anew, or [`NEVER`].
    auth_until: Millis,
    /// What it has done, where that is counted.
    pub(super) doings: Option<Doings>,
}

impl Open {
    pub(super) fn new(endpoint: Endpoint, speaker: Speaker, deflate: Option<WindowBits>) -> Self {
        Open {
            endpoint,
            speaker,
            deflate,
            late_visits: 0,
            pinged_at: NEVER,
            message_since: NEVER,
            guarded: None,
        }
    }

    fn guarded(&mut self) -> &mut Guarded {
        self.guarded.get_or_insert_with(|| {
            Box::new(Guarded {
                auth_until: NEVER,
                doings: None,
            })
        })
    }

    /// By when the peer has to show who it is, or to show it anew, or [`NEVER`].
    pub(super) fn auth_until(&self) -> Millis {
        (self.guarded.as_ref()).map_or(NEVER, |guarded| guarded.auth_until)
    }

    pub(super) fn set_auth_until(&mut self, until: Millis) {
        if until != self.auth_until() {
            self.guarded().auth_until = until;
        }
    }

    /// Whether what the peer does is counted.
    pub(super) fn is_counted(&self) -> bool {
        (self.guarded.as_ref()).is_some_and(|guarded| guarded.doings.is_some())
    }

    /// Counts what the peer does from now on.
    pub(super) fn count(&mut self, doings: Doings) {
        self.guarded().doings = Some(doings);
    }
}

/// What is known of an event stream.
#[derive(Debug)]
pub(in crate::server) struct Events {
    /// When a comment is due, which says that both ends are there still, or [`NEVER`].
    pub(super) comment_at: Millis,
    /// When what its reader has shown ends, or [`NEVER`].
    pub(super) auth_until: Millis,
}

#[derive(Debug)]
pub(in crate::server) enum Phase {
    Http(Box<HttpState>),
    Open(Open),
    /// The response to a GET that goes on for as long as its reader stays.
    Events(Events),
    /// Our close is said or on its way; until the peer's comes, its other frames are dropped.
    Closing {
        endpoint: Endpoint,
        max_message: usize,
        until: Millis,
    },
    /// Everything is said or on its way, and nothing more is believed of what the peer sends
    /// (RFC 6455 §7.1.7).
    Draining {
        until: Millis,
        fin_sent: bool,
    },
}

impl Phase {
    /// By when the peer has to show who it is, or to show it anew, or [`NEVER`].
    pub(super) fn auth_until(&self) -> Millis {
        match self {
            Phase::Open(open) => open.auth_until(),
            Phase::Events(events) => events.auth_until,
            Phase::Http(_) | Phase::Closing { .. } | Phase::Draining { .. } => NEVER,
        }
    }
}
