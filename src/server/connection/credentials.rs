//! Names with passwords: who sent them is known once they were checked.
//!
//! The request that waits for a check stays where it is, whole, and the connection is not read from. Once the verdict is there, the
//! request is read again from its first byte, as if it had just come.

use super::admission::unauthorized;
use super::api::problem;
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

/// What is said of a password that is wrong, and of a name that is not there.
const WRONG: &str = "there is no such name with such a password";

/// After how long a client that is told that too many wait may try again, in seconds.
const RETRY_S: u32 = 1;

/// Why the sender of a request is not known.
pub(super) enum Unidentified {
    /// What was presented does not hold.
    Unwelcome(Unwelcome),
    /// The password has to be checked, and the connection is told the verdict.
    Waits,
    /// It would have to be, and too many wait.
    Crowded,
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
            Unidentified::Limited(ms) => Some(limited(*ms)),
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

fn refused(why: &str) -> Unidentified {
    Unidentified::Unwelcome(Unwelcome {
        is_expired: false,
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
                self.aside.set_awaited(Some(mark));
                Err(Unidentified::Waits)
            }
        }
    }

    /// The check of a password has ended for which its request waits: it goes on with the request.
    pub(in crate::server) fn be_told(&mut self, service: &Service, verdict: Verdict) {
        if !self.awaits_check() {
            return;
        }
        self.aside.set_awaited(None);
        if let Phase::Http(http) = &mut self.phase {
            http.verdict = Some(verdict);
            self.resume(service.now, Flow::AWAITS);
        }
    }

    /// Waits no longer for the check of a password.
    pub(super) fn give_up_check(&mut self, service: &mut Service) {
        if let Some(mark) = self.aside.awaited() {
            service.checks.give_up(self.token, mark);
            self.aside.set_awaited(None);
        }
    }

    /// Whether its request waits for the check of a password.
    pub(in crate::server) fn awaits_check(&self) -> bool {
        self.aside.awaited().is_some()
    }
}
