//! The identity of a connection: at the handshake, by its requests, and when that ends.

use std::rc::Rc;

use super::api::problem;
use super::credentials::{Unidentified, limited};
use super::phase::Phase;
use super::session::Session;
use super::{Connection, Peer};
use crate::auth::forwarded::Client;
use crate::auth::identity::{Identity, Means};
use crate::auth::presented::{Place, Presented, presented};
use crate::auth::rates::RetryAfterMs;
use crate::http::{Request, Response, Status, Target, is_health_check};
use crate::server::allowance;
use crate::server::gate::Access;
use crate::server::rates::Doings;
use crate::server::service::{Service, Why};
use crate::server::timers::NEVER;
use crate::ws::close::CloseCode;
use crate::ws::handshake::fields::values;

/// What the peer of a connection that may not be is told in its close.
pub(super) type Barred = (CloseCode, &'static str);

impl Connection {
    /// The peer has shown a certificate of this name in the TLS handshake.
    pub(in crate::server) fn be_certified(&mut self, service: &Service, subject: Box<str>) {
        let identity = Identity::new(Means::Certificate, subject, 0);
        self.access = service.gate.admit(self.access.door, Some(identity));
    }

    /// Whether the cookies of a request count, which a browser sends whatever page asks: its page is one that may use the daemon, or the
    /// browser says that the page is the daemon's own.
    fn may_use_cookies(&self, service: &Service, peer: Peer<'_>, request: &Request<'_>) -> bool {
        let headers = request.head.headers;
        match is_from_page(request) {
            true => {
                let client = service.gate.client(peer, &request.head);
                self.takes_origin(service, &client, request)
            }
            false => {
                let mut sites = values(headers, "Sec-Fetch-Site");
                request.head.method == "GET"
                    && sites.next().is_some_and(|site| site == b"same-origin")
                    && sites.next().is_none()
            }
        }
    }

    /// Whether the page that a request is from may use the daemon, if it is from one.
    pub(super) fn takes_origin(
        &self,
        service: &Service,
        client: &Client,
        request: &Request<'_>,
    ) -> bool {
        let (door, head) = (self.access.door, &request.head);
        let is_encrypted = self.carrier.is_encrypted();
        // Most requests are from no page.
        !is_from_page(request)
            || (service.gate).takes_origin(door, client, is_encrypted, request.host, head)
    }

    /// Whether a request may be asked of this daemon, and by the page that it is from, which `takes_page` says.
    ///
    /// # Errors
    /// The response that says why not.
    pub(super) fn check_site(
        &self,
        service: &Service,
        client: &Client,
        request: &Request<'_>,
        takes_page: bool,
    ) -> Result<(), Response> {
        if is_health_check(request) {
            return Ok(());
        }
        let (door, head, gate) = (self.access.door, &request.head, &service.gate);
        if gate.is_exposed(door, head) {
            let why = if gate.is_admin(door) {
                "a proxy passes requests on to the administrator's address, where no proxy is believed: call it from this machine"
            } else {
                "a proxy passes requests on to a daemon that is open to everybody on its machine. Say who may do what by \
                 [[allow]] blocks, or which proxy is trusted by --trusted-proxy and --trusted-proxy-header"
            };
            return Err(problem(Why::Forbidden, why));
        }
        if !gate.takes_host(door, client, request.host) {
            let why =
                "The daemon does not answer to this Host. --host lists the names to which it does.";
            return Err(Response::refusal(Status::MISDIRECTED_REQUEST, why));
        }
        if !takes_page {
            let why = "pages of this origin may not use the daemon: --origin lists those that may";
            return Err(problem(Why::Forbidden, why));
        }
        Ok(())
    }

    /// Notes which page may read the response to a request: the one that it is from, if that may use the daemon (Fetch standard, §3.2).
    pub(super) fn note_reader(&mut self, request: &Request<'_>, takes_page: bool) {
        let origin = values(request.head.headers, "Origin").next();
        let reader = origin.filter(|_| takes_page).map(|origin| Reader {
            origin: String::from_utf8_lossy(origin).into(),
            asks: request.head.method == "OPTIONS",
        });
        if let Phase::Http(http) = &mut self.phase {
            http.reader = reader.map(Box::new);
        }
    }

    /// The sender of a request.
    ///
    /// # Errors
    /// What it presents does not hold, or it is not known yet whether it does. Or it came by the listener of administration and is no
    /// administrator.
    pub(super) fn identify(
        &mut self,
        service: &mut Service,
        peer: Peer<'_>,
        request: &Request<'_>,
    ) -> Result<Rc<Access>, Unidentified> {
        if self.access.is_open() {
            // Nobody is asked, so what a proxy may have asked for itself is of no interest.
            return Ok(Rc::clone(&self.access));
        }
        let query = match request.target {
            Target::Resource { query, .. } => query,
            Target::Server => None,
        };
        let cookie = service.gate.token_cookie();
        let cookie = cookie.filter(|_| self.may_use_cookies(service, peer, request));
        let presented = presented(&request.head, query, cookie);
        service.has_secret |= !matches!(presented, Presented::Nothing);
        let key = match presented {
            Presented::Nothing => None,
            _ => service.gate.rate_key(peer, request.head.headers),
        };
        if let Presented::Token(..) = presented {
            service.allowance.charge(allowance::TOKEN);
        }
        let (now, rates) = (service.now, &service.rates);
        if let Err(RetryAfterMs(ms)) = rates.may_present(key, now) {
            return Err(Unidentified::Limited(ms));
        }
        let identity = match &presented {
            Presented::Basic { pair } if service.gate.takes_passwords() => self
                .identify_by_password(service, peer, request, pair)
                .map(Some),
            presented => (service.gate.identify(presented, now)).map_err(Unidentified::from),
        };
        match &identity {
            Err(Unidentified::Unwelcome(unwelcome)) if unwelcome.is_early => {
                return Err(self.await_keys(service));
            }
            Err(Unidentified::Unwelcome(_)) => service.rates.note_failure(key, now),
            _ => {}
        }
        let identity = identity?;
        let access = match identity {
            // It may have shown a certificate.
            None => Rc::clone(&self.access),
            identity => service.gate.admit(self.access.door, identity),
        };
        if service.gate.is_admin(access.door) && !access.may_administer() {
            let is_known = access.identity.is_some();
            return Err(Unidentified::NoAdministrator { is_known });
        }
        Ok(access)
    }

    /// Lets the peer of an opening handshake in, if it may be here. It may be told only after the handshake that it may not: a page cannot see
    /// the status of a refused one.
    ///
    /// # Errors
    /// The response that says why not; `None`: it waits for what says who sent it.
    pub(super) fn admit(
        &mut self,
        service: &mut Service,
        peer: Peer<'_>,
        request: &Request<'_>,
    ) -> Result<Option<Barred>, Option<Response>> {
        let access = match self.identify(service, peer, request) {
            Ok(access) => access,
            Err(Unidentified::Unwelcome(unwelcome))
                if unwelcome.place != Place::Header && is_from_page(request) =>
            {
                return Ok(Some(match unwelcome.is_expired {
                    true => (CloseCode::TOKEN_EXPIRED, "the token has ended"),
                    false => (CloseCode::UNAUTHENTICATED, "the credentials are refused"),
                }));
            }
            Err(unidentified) => return Err(unidentified.response(service)),
        };
        if access.is_barred() {
            match &access.identity {
                Some(identity) => {
                    let why = format!("nothing is granted to {identity}");
                    return Err(Some(problem(Why::Forbidden, &why)));
                }
                // It may say who it is in its first message.
                None if service.gate.takes_tokens() => {}
                None => {
                    let why = "nothing is granted to those who have not shown who they are";
                    return Err(Some(unauthorized(service, why)));
                }
            }
        }
        self.access = access;
        Ok(None)
    }

    /// What the peer of a WebSocket does is counted from now on, if it is to be. Whom a trusted proxy names in a request's head is known
    /// only now, so that is kept, too, where nothing is counted before a reload says so.
    pub(super) fn doings(
        &self,
        service: &Service,
        peer: Peer<'_>,
        request: &Request<'_>,
    ) -> Option<Doings> {
        let gate = &service.gate;
        let is_kept = counts(service) || gate.proxies().read_heads(peer.address());
        is_kept.then(|| Doings::new(gate.rate_key(peer, request.head.headers)))
    }

    /// The same, from a reload on, of a WebSocket that was there before.
    fn begin_to_count(&mut self, service: &Service, peer: Peer<'_>) {
        if let Phase::Open(open) = &mut self.phase
            && counts(service)
            && !open.is_counted()
        {
            // No proxy was believed when it came.
            open.count(Doings::new(service.gate.rate_key(peer, &[])));
        }
    }

    /// A request has come. The first of a connection says whose that is, so the connection counts then.
    ///
    /// # Errors
    /// The response that says that its address has made too many.
    pub(super) fn count_connection(
        &mut self,
        service: &mut Service,
        peer: Peer<'_>,
        request: &Request<'_>,
    ) -> Result<(), Response> {
        let Phase::Http(http) = &mut self.phase else {
            return Ok(());
        };
        let is_first = !std::mem::replace(&mut http.is_counted, true);
        if !is_first || !service.rates.count_connections() {
            return Ok(());
        }
        let key = service.gate.rate_key(peer, request.head.headers);
        let counted = service.rates.connect(key, service.now);
        counted.map_err(|RetryAfterMs(ms)| limited(ms).closing())
    }

    /// Somebody asks by HTTP for what is counted.
    ///
    /// # Errors
    /// The response that says that it was too much.
    pub(super) fn count_request(
        &self,
        service: &mut Service,
        peer: Peer<'_>,
        request: &Request<'_>,
        access: &Access,
    ) -> Result<(), Response> {
        if !service.rates.count_requests() {
            return Ok(());
        }
        // By address, not by connection: a proxy sends what many ask for over one.
        let key = service.gate.rate_key(peer, request.head.headers);
        let bytes = request.body.len() as u64;
        match (service.rates).request_by(key, &access.name(), bytes, service.now) {
            Ok(()) => Ok(()),
            Err(RetryAfterMs(ms)) => Err(limited(ms)),
        }
    }

    /// Notes by when the peer has to show who it is, or to show it anew.
    pub(super) fn time_access(&mut self, service: &Service) {
        let until = match &self.access.identity {
            None if self.access.is_barred() => service.config.auth_timeout_ms.after(service.now),
            None => NEVER,
            Some(_) => service.gate.end_of(&self.access, service.now),
        };
        match &mut self.phase {
            Phase::Open(open) => open.set_auth_until(until),
            Phase::Events(events) => events.auth_until = until,
            _ => {}
        }
    }

    /// Closes a connection whose peer has not shown in time who it is, or who it is still.
    pub(super) fn end_access(&mut self, service: &mut Service, peer: Peer<'_>) {
        let (code, reason) = match &self.access.identity {
            None => {
                let reason = "the client has not shown in time who it is";
                (CloseCode::UNAUTHENTICATED, reason)
            }
            Some(_) => (CloseCode::TOKEN_EXPIRED, "the token has ended"),
        };
        self.begin_close(service, peer, code, reason);
    }

    /// Decides anew what the peer may do, if there was a reload since it was decided. What is not allowed any more ends.
    #[inline]
    pub(in crate::server) fn readmit(&mut self, service: &mut Service, peer: Peer<'_>) {
        if !service.gate.is_current(&self.access) {
            self.decide_anew(service, peer);
        }
    }

    #[cold]
    fn decide_anew(&mut self, service: &mut Service, peer: Peer<'_>) {
        let identity = self.access.identity.clone();
        let door = self.access.door;
        if let Some(reason) = refuted(service, peer, identity.as_ref()) {
            self.access = service.gate.stranger(door);
            match &self.phase {
                Phase::Http(_) => self.finish(service),
                _ => self.begin_close(service, peer, CloseCode::UNAUTHENTICATED, reason),
            }
            return;
        }
        self.access = service.gate.admit(door, identity);
        self.begin_to_count(service, peer);
        if let Phase::Events(_) = self.phase {
            return self.follow_on(service, peer);
        }
        let who = self.who(peer);
        if let Phase::Http(http) = &mut self.phase
            && !http.begun
        {
            // It has waited for its next request for as long as was allowed before.
            let idle_until = service.config.http_idle_timeout_ms.after(service.now);
            http.deadline = http.deadline.min(idle_until);
        }
        let Phase::Open(open) = &mut self.phase else {
            return;
        };
        let is_barred = self.access.is_barred();
        let speaker = &open.speaker;
        let access = &mut self.access;
        let mut session = Session::new(service, who, &mut self.outbox, open.deflate, access);
        session.end_forbidden(|session, topic| speaker.end_subscription(session, topic));
        if let Some((code, reason)) = session.outcome.barred {
            self.begin_close(service, peer, code, reason);
            return;
        }
        if service.gate.is_admin(door) && !self.access.may_administer() {
            let reason = "the right admin is not granted any more";
            self.begin_close(service, peer, CloseCode::FORBIDDEN, reason);
        } else if is_barred && self.access.identity.is_some() {
            let reason = "nothing is granted to this subject any more";
            self.begin_close(service, peer, CloseCode::FORBIDDEN, reason);
        }
        self.time_access(service);
    }
}

/// Why a peer could not come in any more as what it is, if that is so.
fn refuted(service: &Service, peer: Peer<'_>, identity: Option<&Identity>) -> Option<&'static str> {
    let gate = &service.gate;
    if !gate.still_certifies(peer) {
        // Whatever it has shown since.
        return Some("the certificate is not accepted any more");
    }
    let identity = identity.filter(|identity| !gate.still_vouches_for(identity))?;
    Some(match identity.means {
        Means::Basic => "the password does not hold any more",
        Means::Token => "the key of the token does not hold any more",
        Means::Certificate => "certificates are not accepted any more",
    })
}

/// Whether what the peers of WebSockets do is counted: what they ask for, or how often a token of theirs does not hold.
fn counts(service: &Service) -> bool {
    service.rates.count_requests() || service.gate.takes_tokens()
}

/// The page that may read the response to a request, though it is of another origin.
#[derive(Debug)]
pub(super) struct Reader {
    origin: Box<str>,
    /// Whether it asks only whether it may.
    asks: bool,
}

impl Reader {
    /// That of a page of this origin, which asks only whether it may.
    pub(super) fn new(origin: &str, asks: bool) -> Self {
        let origin = origin.into();
        Reader { origin, asks }
    }

    /// The origin of the page, and whether it asks only whether it may.
    pub(super) fn parts(&self) -> (&str, bool) {
        (&self.origin, self.asks)
    }
}

/// The response with what lets that page read it (Fetch standard, §3.3). With `has_cookie` a cookie may say who sends a request: a
/// browser sends none where it is not told that it may.
pub(super) fn readable(response: Response, reader: &Reader, has_cookie: bool) -> Response {
    let mut response = response
        .with_header("Access-Control-Allow-Origin", reader.origin.to_string())
        .with_header("Vary", "Origin");
    if has_cookie {
        response = response.with_header("Access-Control-Allow-Credentials", "true");
    }
    if !reader.asks {
        return response.with_header("Access-Control-Expose-Headers", "ETag, Retry-After");
    }
    response
        .with_header("Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE")
        .with_header(
            "Access-Control-Allow-Headers",
            "Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID",
        )
        .with_header("Access-Control-Max-Age", "600")
}

/// Whether a page has a browser send this.
fn is_from_page(request: &Request<'_>) -> bool {
    values(request.head.headers, "Origin").next().is_some()
}

/// The answer to a client that has to show who it is, with the means that are taken (RFC 9110 §11.6.1). Where a request can present
/// nothing, since certificates alone are taken, it is 403: 401 has to come with a challenge (§15.5.2), and there is none for a
/// certificate.
pub(super) fn unauthorized(service: &Service, why: &str) -> Response {
    if !service.gate.takes_tokens() && !service.gate.takes_passwords() {
        return problem(Why::Forbidden, why);
    }
    let mut response = problem(Why::Unauthenticated, why);
    if service.gate.takes_tokens() {
        response = response.with_header("WWW-Authenticate", "Bearer realm=\"fanfare\"");
    }
    if service.gate.takes_passwords() {
        let challenge = "Basic realm=\"fanfare\", charset=\"UTF-8\"";
        response = response.with_header("WWW-Authenticate", challenge);
    }
    response
}
