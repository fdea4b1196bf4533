//! What takes a while to know who sent a request: a password that has to be checked, a token whose key has still to come.
//!
//! The request that waits stays where it is, whole, and the connection is not read from. Once the verdict is there, or
//! keys are, the request is read again from its first byte, as if it had just come.

use super::admission::unauthorized;
use super::api::problem;
use super::aside::Awaited;
use super::flow::Flow;
use super::phase::Phase;
use super::{Connection, Peer};
use crate::auth::identity::Identity;
use crate::auth::passwords::Credentials;
use crate::auth::presented::Place;
use crate::auth::rates::Key;
use crate::http::{Request, Response, Status};
use crate::server::checks::{Asked, Outcome, Verdict};
use crate::server::gate::Unwelcome;
use crate::server::service::{Service, Why};
use crate::server::timers::{Millis, NEVER};

/// What is said of a password that is wrong, and of a name that is not there.
const WRONG: &str = "there is no such name with such a password";

/// After how long a client that is told that too many wait may try again, in seconds.
const RETRY_S: u32 = 1;

/// What is said of a token where the first keys have not come yet from their URL.
pub(super) const KEYLESS: &str =
    "the keys that tokens are checked with have not come yet: try again";

/// How many connections may wait for the first keys: each keeps its request.
const AWAITING_KEYS_MAX: usize = 1_024;

/// Why the sender of a request is not known.
pub(super) enum Unidentified {
    /// What was presented does not hold.
    Unwelcome(Unwelcome),
    /// The password has to be checked, or keys have to come, and the connection is told then.
    Waits,
    /// It would have to be, and too many wait.
    Crowded,
    /// No keys have come yet that tokens could be checked with, and too many wait for them.
    Keyless,
    /// It is known, or shows nothing, and is no administrator where one has to be.
    NoAdministrator {
        /// Whether it has shown who it is.
        is_known: bool,
    },
    /// Its address has presented too much that did not hold. It may come again after so many milliseconds.
    Limited(u64),
}

impl From<Unwelcome> for Unidentified {
    fn from(unwelcome: Unwelcome) -> Self {
        Unidentified::Unwelcome(unwelcome)
    }
}

impl Unidentified {
    /// The answer to the request; `None`: it comes later.
    pub(super) fn response(&self, service: &Service) -> Option<Response> {
        match self {
            Unidentified::Unwelcome(unwelcome) => Some(unauthorized(service, &unwelcome.why)),
            Unidentified::Crowded => Some(crowded()),
            Unidentified::Keyless => Some(keyless()),
            Unidentified::Limited(ms) => Some(limited(*ms)),
            Unidentified::NoAdministrator { is_known } => {
                let why = "each request here needs the right admin";
                Some(match is_known {
                    true => problem(Why::Forbidden, why),
                    false => unauthorized(service, why),
                })
            }
            Unidentified::Waits => None,
        }
    }
}

/// The answer to a request that comes too soon (RFC 6585 §4).
pub(super) fn limited(retry_after_ms: u64) -> Response {
    let seconds = u32::try_from(retry_after_ms.div_ceil(1_000)).unwrap_or(u32::MAX);
    let why = format!("too many requests: the next may come in {seconds} s");
    let response = Response::problem(Status::TOO_MANY_REQUESTS, "rate_limited", &why);
    response.with_retry_after(seconds)
}

/// The answer to a password that came when too many waited to be checked.
fn crowded() -> Response {
    let why = "too many passwords wait to be checked at the moment";
    problem(Why::Limit, why).with_retry_after(RETRY_S)
}

/// The answer to a token where no keys have come yet from their URL.
fn keyless() -> Response {
    problem(Why::Unavailable, KEYLESS).with_retry_after(RETRY_S)
}

fn refused(why: &str) -> Unidentified {
    Unidentified::Unwelcome(Unwelcome {
        is_expired: false,
        is_early: false,
        why: format!("The name and the password are refused: {why}."),
        place: Place::Header,
    })
}

impl Connection {
    /// The user that has this name and this password.
    ///
    /// # Errors
    /// Nobody has, or it is not known yet.
    pub(super) fn identify_by_password(
        &mut self,
        service: &mut Service,
        peer: Peer<'_>,
        request: &Request<'_>,
        pair: &[u8],
    ) -> Result<Identity, Unidentified> {
        let told = match &mut self.phase {
            Phase::Http(http) => http.verdict.take(),
            _ => None,
        };
        let credentials = Credentials::read(pair).map_err(refused)?;
        let name = credentials.name.clone();
        let client = service.gate.client(peer, &request.head);
        let source = client.address.or_else(|| peer.address()).map(Key::from);
        let now = service.now;
        match service
            .checks
            .ask(self.token, source, credentials, told, now)
        {
            Asked::Known(Outcome::Right) => {
                let identity = service.gate.known_by_password(name);
                identity.ok_or_else(|| refused(WRONG))
            }
            Asked::Known(Outcome::Wrong) => Err(refused(WRONG)),
            Asked::Known(Outcome::Crowded) => Err(Unidentified::Crowded),
            Asked::Waits(mark) => {
                self.aside.set_awaited(Some(Awaited::Check(mark)));
                Err(Unidentified::Waits)
            }
        }
    }

    /// The check of a password has ended for which its request waits: it goes on with the request.
    pub(in crate::server) fn be_told(&mut self, service: &Service, verdict: Verdict) {
        if !matches!(self.aside.awaited(), Some(Awaited::Check(_))) {
            return;
        }
        self.aside.set_awaited(None);
        if let Phase::Http(http) = &mut self.phase {
            http.verdict = Some(verdict);
            self.resume(service.now, Flow::AWAITS);
        }
    }

    /// The request has a token whose key may be among those that have still to come from their URL: waits for them, if not too
    /// many do.
    pub(super) fn await_keys(&mut self, service: &mut Service) -> Unidentified {
        if service.awaiting_keys.len() >= AWAITING_KEYS_MAX {
            return Unidentified::Keyless;
        }
        service.awaiting_keys.push(self.token);
        let until = service.config.handshake_timeout_ms.after(service.now);
        self.aside.set_awaited(Some(Awaited::Keys(until)));
        Unidentified::Waits
    }

    /// There may be keys: it goes on with the request that waits for them.
    pub(in crate::server) fn look_for_keys(&mut self, service: &mut Service) {
        if let Some(Awaited::Keys(_)) = self.aside.awaited() {
            self.give_up_waiting(service);
            self.resume(service.now, Flow::AWAITS);
        }
    }

    /// Until when it waits for keys, or [`NEVER`].
    pub(super) fn keys_until(&self) -> Millis {
        match self.aside.awaited() {
            Some(Awaited::Keys(until)) => until,
            _ => NEVER,
        }
    }

    /// No keys have come in time.
    pub(super) fn miss_keys(&mut self, service: &mut Service, peer: Peer<'_>) {
        self.give_up_waiting(service);
        self.answer_unfinished(service, peer, keyless().closing());
    }

    /// Waits no longer for what would say who it is.
    pub(super) fn give_up_waiting(&mut self, service: &mut Service) {
        match self.aside.awaited() {
            Some(Awaited::Check(mark)) => service.checks.give_up(self.token, mark),
            Some(Awaited::Keys(_)) => service.awaiting_keys.retain(|token| *token != self.token),
            None => return,
        }
        self.aside.set_awaited(None);
    }

    /// Whether its request waits for what says who it is.
    pub(in crate::server) fn awaits_identity(&self) -> bool {
        self.aside.awaited().is_some()
    }
}
