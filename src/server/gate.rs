//! The gate says which clients may come in, and as whom.
//!
//! The gate knows the rules, the keys of tokens and the doors: what is presented goes in, and an [`Access`] comes out, which says
//! who somebody is and what it may do. It is made once for a connection, shared by all who are nobody in particular, and made
//! anew after a reload. What it allows is asked in the service alone.

mod access;

use std::cell::Cell;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

pub(super) use self::access::Access;
use super::connection::Peer;
use super::timers::{Millis, NEVER};
use crate::auth::blocked::{Blocked, Full};
use crate::auth::forwarded::{Client, TrustedProxies, has_forwarding_fields};
use crate::auth::identity::{Identity, Means};
use crate::auth::origin::{Hosts, Origins, Own};
use crate::auth::passwords::Passwords;
use crate::auth::presented::{Place, Presented};
use crate::auth::rates::Key;
use crate::auth::rules::{Rules, TokenClaims};
use crate::auth::token::{KeySet, TokenError, Verifier};
use crate::config::{Config, Listen};
use crate::http::{Head, Header};
use crate::transport::tls::terms::Terms;
use crate::ws::handshake::fields::values;

/// Why what was presented is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unwelcome {
    /// A token whose time is over: a new one would do.
    pub(super) is_expired: bool,
    /// A token whose key may be one that has still to come from its URL: nobody knows yet whether it holds.
    pub(super) is_early: bool,
    /// A sentence for people, without what was presented.
    pub(super) why: String,
    /// Where it stood.
    pub(super) place: Place,
}

/// The time of day.
#[derive(Clone, Copy, Debug)]
enum Wall {
    System,
    /// For simulations: the seconds since 1970 when the loop's time was 0.
    #[cfg(test)]
    Since(u64),
}

/// Whether a listener is reached from this machine only.
fn is_loopback(address: &SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// Refuses what would be open to everybody by accident.
///
/// # Errors
/// A listener is reached from other machines and everybody may do everything, and nobody has said that this is meant. Or that of
/// administration is, and nobody can show who it is.
pub(super) fn refuse_accidents(config: &Config) -> Result<(), String> {
    let is_open = config.rules.rules.is_empty() && !config.knows_people();
    let exposed = config.listeners().find(|door| match door {
        Listen::Tcp(address) => !is_loopback(address),
        Listen::Unix(_) => false,
    });
    if let Some(Listen::Tcp(address)) = &config.admin
        && !is_loopback(address)
        && !config.knows_people()
    {
        return Err(format!(
            "{address}, for administration, is reached from other machines, and nobody could show there to be an administrator: \
             take tokens (--jwt-secret-file, --jwt-key, --jwks, --jwks-url) or passwords (--htpasswd), or give \
             --admin 127.0.0.1:8041, unix:PATH or off"
        ));
    }
    match exposed {
        Some(address) if is_open && !config.is_open_to_everyone => Err(format!(
            "{address} is reached from other machines, and everybody there could read and publish everything. Say who may do what by \
             [[allow]] blocks and by tokens (--jwt-secret-file, --jwt-key, --jwks, --jwks-url), passwords (--htpasswd) or certificates (--tls-client-ca), listen on 127.0.0.1 or on a unix socket, or give \
             --open-to-everyone if that is what you want"
        )),
        _ => Ok(()),
    }
}

/// It says which clients may come in.
pub(super) struct Gate {
    rules: Rules,
    /// All listeners, as the configuration has them.
    doors: Vec<Listen>,
    /// The place of that of administration.
    admin: Option<usize>,
    origins: Origins,
    hosts: Hosts,
    proxies: TrustedProxies,
    token_cookie: Option<Box<str>>,
    verifier: Verifier,
    passwords: Option<Arc<Passwords>>,
    /// Subjects of whom older tokens are refused.
    blocked: Blocked,
    takes_certificates: bool,
    /// What is agreed to where TLS is spoken.
    terms: Option<Terms>,
    /// A token named a key that is not there.
    misses_key: Cell<bool>,
    wall: Wall,
    reloads: u32,
    /// The access of whoever came by a listener and has not shown who it is.
    strangers: Vec<Rc<Access>>,
}

impl Gate {
    /// As the configuration has it. `verifier` has its keys.
    pub(super) fn new(config: &Config, verifier: Verifier) -> Gate {
        let mut gate = Gate {
            rules: Rules::default(),
            doors: Vec::new(),
            admin: None,
            origins: Origins::default(),
            hosts: Hosts::default(),
            proxies: TrustedProxies::default(),
            token_cookie: None,
            verifier: Verifier::default(),
            passwords: None,
            blocked: Blocked::default(),
            takes_certificates: false,
            terms: None,
            misses_key: Cell::new(false),
            wall: Wall::System,
            reloads: 0,
            strangers: Vec::new(),
        };
        gate.reload(config, verifier);
        gate
    }

    /// Other rules and keys hold from now on.
    pub(super) fn reload(&mut self, config: &Config, mut verifier: Verifier) {
        verifier.keep_fetched(&self.verifier);
        self.verifier = verifier;
        self.rules = config.rules.clone();
        self.takes_certificates = config.tls.client_ca.is_some();
        self.origins = config.origins.clone();
        self.hosts = config.hosts.clone();
        self.proxies = config.trusted_proxies.clone();
        self.token_cookie = config.token_cookie.clone();
        self.doors = config.doors().cloned().collect();
        self.admin = config.admin.as_ref().map(|_| self.doors.len() - 1);
        if self.doors.is_empty() {
            // Simulations have none.
            self.doors.push(Listen::Unix(Default::default()));
        }
        self.begin_anew();
    }

    /// These names with passwords hold from now on.
    pub(super) fn take_passwords(&mut self, passwords: Option<Arc<Passwords>>) {
        self.passwords = passwords;
        self.begin_anew();
    }

    /// These terms hold from now on where TLS is spoken.
    pub(super) fn take_terms(&mut self, terms: Option<Terms>) {
        self.terms = terms;
        self.begin_anew();
    }

    /// Whether the certificate that a peer presented, if it did, is one with which it could come in now.
    pub(super) fn still_certifies(&self, peer: Peer<'_>) -> bool {
        let mut terms = self.terms.iter().filter(|_| self.takes_certificates);
        terms.all(|terms| peer.is_certified_by(terms))
    }

    /// Something has changed that access depends on: what was decided before does not count any more.
    fn begin_anew(&mut self) {
        self.rules.knows_people =
            self.takes_tokens() || self.takes_passwords() || self.takes_certificates;
        self.reloads = self.reloads.wrapping_add(1);
        let doors = 0..self.doors.len();
        self.strangers = doors.map(|door| Rc::new(self.decide(door, None))).collect();
    }

    /// The access of whoever came by this listener and has not shown who it is.
    pub(super) fn stranger(&self, door: usize) -> Rc<Access> {
        Rc::clone(&self.strangers[door.min(self.strangers.len() - 1)])
    }

    /// The access of somebody who came by this listener.
    pub(super) fn admit(&self, door: usize, identity: Option<Identity>) -> Rc<Access> {
        match identity {
            None => self.stranger(door),
            Some(_) => Rc::new(self.decide(door, identity)),
        }
    }

    /// The access of somebody whom another process let in by this listener: as good as decided before a reload.
    pub(super) fn as_before(&self, door: usize, identity: Option<Identity>) -> Rc<Access> {
        let mut access = self.decide(door, identity);
        access.reloads = self.reloads.wrapping_sub(1);
        Rc::new(access)
    }

    /// The listener with this place.
    pub(super) fn door(&self, door: usize) -> &Listen {
        &self.doors[door.min(self.doors.len() - 1)]
    }

    /// Whether a listener is that of administration.
    pub(super) fn is_admin(&self, door: usize) -> bool {
        self.admin == Some(door)
    }

    /// Whether everybody is an administrator who comes by this listener: it is that of administration, and reached from this machine
    /// only.
    fn makes_admins(&self, door: usize) -> bool {
        let is_here = match self.door(door) {
            Listen::Tcp(address) => is_loopback(address),
            Listen::Unix(_) => true,
        };
        self.is_admin(door) && is_here
    }

    /// The proxies whose word is taken for who they were called from.
    pub(super) fn proxies(&self) -> &TrustedProxies {
        &self.proxies
    }

    /// The client that sent a request with these fields, over a connection from this peer.
    pub(super) fn client(&self, peer: Peer<'_>, head: &Head<'_>) -> Client {
        // What proxies said before a reload they said under what held then.
        if let Some(client) = peer.client_by_proxy() {
            return client;
        }
        match self.proxies.networks.is_empty() {
            // Nobody asks for its address.
            true => Client {
                address: None,
                is_named_by_proxy: false,
                is_https: false,
            },
            false => self.proxies.client(peer.address(), head.headers),
        }
    }

    /// The address that a request with these fields came from, for rates; `None`: it is exempt.
    pub(super) fn rate_key(&self, peer: Peer<'_>, headers: &[Header<'_>]) -> Option<Key> {
        let by_proxy = peer.client_by_proxy();
        let client = by_proxy.unwrap_or_else(|| self.proxies.client(peer.address(), headers));
        Key::of(&client)
    }

    /// Whether a proxy has made public what is open because it can be reached from this machine only. For administration no proxy is
    /// believed.
    pub(super) fn is_exposed(&self, door: usize, head: &Head<'_>) -> bool {
        if self.makes_admins(door) {
            return has_forwarding_fields(head.headers);
        }
        let is_loopback = matches!(self.door(door), Listen::Tcp(address) if is_loopback(address));
        is_loopback
            && self.rules.are_open()
            && self.proxies.networks.is_empty()
            && has_forwarding_fields(head.headers)
    }

    /// Whether the daemon may be asked for by this `Host` at a listener, by this client.
    pub(super) fn takes_host(&self, door: usize, client: &Client, host: Option<&str>) -> bool {
        match self.door(door) {
            Listen::Unix(_) => true,
            Listen::Tcp(address) => {
                let is_loopback = is_loopback(address) && !client.is_named_by_proxy;
                self.hosts.allow(host, is_loopback)
            }
        }
    }

    /// Whether the page that a request came from, if it came from one, may have the daemon do something.
    pub(super) fn takes_origin(
        &self,
        door: usize,
        client: &Client,
        is_encrypted: bool,
        host: Option<&str>,
        head: &Head<'_>,
    ) -> bool {
        let (schemes, is_loopback): (&[&str], bool) = match self.door(door) {
            _ if client.is_named_by_proxy && client.is_https => (&["https"], false),
            _ if client.is_named_by_proxy => (&["http"], false),
            // Only a proxy passes on what a browser sends, and it has spoken to that on its own terms.
            Listen::Unix(_) => (&["https", "http"], false),
            Listen::Tcp(address) if is_encrypted => (&["https"], is_loopback(address)),
            Listen::Tcp(address) => (&["http"], is_loopback(address)),
        };
        // No page that may use the daemon is an administrator by that. Administration takes pages of its own address alone.
        let own_alone = Origins::default();
        let (origins, is_loopback) = match self.is_admin(door) {
            true => (&own_alone, false),
            false => (&self.origins, is_loopback),
        };
        schemes.iter().any(|scheme| {
            let own = Own {
                scheme,
                host_header: host,
                is_loopback,
            };
            origins.allow_request(values(head.headers, "Origin"), own)
        })
    }

    /// The name of the cookie that has a token.
    pub(super) fn token_cookie(&self) -> Option<&str> {
        self.token_cookie.as_deref()
    }

    fn decide(&self, door: usize, identity: Option<Identity>) -> Access {
        let mut rights = self.rules.rights(identity.as_ref(), self.door(door));
        if self.makes_admins(door) {
            rights.administer();
        }
        Access::new(door, identity, rights, self.reloads)
    }

    /// Whether there is a way to show who one is.
    pub(super) fn knows_people(&self) -> bool {
        self.rules.knows_people
    }

    /// Whether tokens are taken.
    pub(super) fn takes_tokens(&self) -> bool {
        !self.verifier.is_empty()
    }

    /// Whether names with passwords are taken.
    pub(super) fn takes_passwords(&self) -> bool {
        self.passwords.is_some()
    }

    /// The user of this name, whose password is right. `None`: the name is not there any more.
    pub(super) fn known_by_password(&self, name: Box<str>) -> Option<Identity> {
        let voucher = self.passwords.as_ref()?.voucher(&name)?;
        Some(Identity::new(Means::Basic, name, voucher))
    }

    /// The identity of a client that presents this. Names with passwords are not for this: it takes long to check them.
    ///
    /// # Errors
    /// It does not hold.
    pub(super) fn identify(
        &self,
        presented: &Presented<'_>,
        now: Millis,
    ) -> Result<Option<Identity>, Unwelcome> {
        match presented {
            Presented::Nothing => Ok(None),
            Presented::Bad(why, place) => Err(Unwelcome {
                is_expired: false,
                is_early: false,
                why: format!("The credentials make no sense: {why}."),
                place: *place,
            }),
            Presented::Basic { .. } => Err(Unwelcome {
                is_expired: false,
                is_early: false,
                why: "Names with passwords are not taken here.".to_owned(),
                place: Place::Header,
            }),
            Presented::Token(token, place) => match self.identify_token(token, now) {
                Ok(identity) => Ok(Some(identity)),
                Err(error) => Err(Unwelcome {
                    is_expired: error.is_expired(),
                    is_early: self.verifier.may_hold_later(&error),
                    why: format!("The token is refused: {error}."),
                    place: *place,
                }),
            },
        }
    }

    /// The bearer of this token.
    ///
    /// # Errors
    /// It does not hold, or tokens are not taken.
    pub(super) fn identify_token(&self, token: &str, now: Millis) -> Result<Identity, TokenError> {
        let verified = (self.verifier).verify_with_key(token.as_bytes(), self.unix_time(now));
        if let Err(TokenError::UnknownKey) = verified {
            self.misses_key.set(true);
        }
        let (claims, key) = verified?;
        let identity = Identity::of_token(claims, key);
        match self.is_withdrawn(&identity) {
            true => Err(TokenError::Withdrawn),
            false => Ok(identity),
        }
    }

    /// Refuses the tokens of a subject that were issued up to now, however long they last.
    ///
    /// # Errors
    /// There are too many such subjects.
    pub(super) fn block(&mut self, subject: &str, now: Millis) -> Result<(), Full> {
        let now_s = self.unix_time(now);
        self.blocked.block(subject, now_s)
    }

    /// The subjects whose older tokens are refused.
    pub(super) fn blocked(&self) -> &Blocked {
        &self.blocked
    }

    /// The same, to be added to.
    pub(super) fn blocked_mut(&mut self) -> &mut Blocked {
        &mut self.blocked
    }

    /// Whether an identity was shown by a token that is refused since.
    pub(super) fn is_withdrawn(&self, identity: &Identity) -> bool {
        let Identity {
            means,
            subject,
            issued,
            ..
        } = identity;
        *means == Means::Token && self.blocked.refuses(subject, *issued)
    }

    /// Whether a token that was refused for this reason may hold once keys have come from their URL.
    pub(super) fn may_hold_later(&self, error: &TokenError) -> bool {
        self.verifier.may_hold_later(error)
    }

    /// The seconds since 1970. `now` is the loop's time.
    #[cfg_attr(not(test), expect(unused_variables, reason = "the system knows"))]
    pub(super) fn unix_time(&self, now: Millis) -> u64 {
        match self.wall {
            Wall::System => SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
            #[cfg(test)]
            Wall::Since(start) => start + now / 1_000,
        }
    }

    /// When an access ends, in the loop's time.
    pub(super) fn end_of(&self, access: &Access, now: Millis) -> Millis {
        let expires = access
            .identity
            .as_ref()
            .and_then(|identity| identity.expires);
        expires.map_or(NEVER, |expires| {
            let end = expires.saturating_add(self.verifier.leeway_s());
            let left = end.saturating_sub(self.unix_time(now));
            now.saturating_add(left.saturating_mul(1_000))
        })
    }

    /// Keys came from their URL, and take the place of those that came from there before.
    pub(super) fn take_keys(&mut self, keys: KeySet) {
        self.verifier.set_fetched(keys);
        self.begin_anew();
    }

    /// Whether a token has named a key that was not there, since this was asked last.
    pub(super) fn misses_key(&self) -> bool {
        self.misses_key.take()
    }

    /// Whether the key that vouched for somebody is still there.
    pub(super) fn still_vouches_for(&self, identity: &Identity) -> bool {
        match identity.means {
            Means::Token => self.verifier.vouches(identity.voucher),
            Means::Basic => {
                let passwords = self.passwords.as_ref();
                let voucher = passwords.and_then(|passwords| passwords.voucher(&identity.subject));
                voucher == Some(identity.voucher)
            }
            Means::Certificate => self.takes_certificates,
        }
    }

    /// Whether an access was decided under what holds now.
    #[inline]
    pub(super) fn is_current(&self, access: &Access) -> bool {
        access.reloads == self.reloads
    }

    /// For simulations: it is so many seconds after 1970 when the loop's time is 0.
    #[cfg(test)]
    pub(super) fn set_wall(&mut self, unix_s: u64) {
        self.wall = Wall::Since(unix_s);
    }
}

/// What clients may do, in one line for the log.
impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rules.are_open() {
            return f.write_str(
                "access: everybody who can connect may subscribe and publish everywhere",
            );
        }
        let mut means = Vec::new();
        if self.takes_tokens() {
            means.push("tokens".to_owned());
        }
        if let Some(passwords) = &self.passwords {
            means.push(format!("passwords of {} names", passwords.len()));
        }
        if self.takes_certificates {
            means.push("certificates".to_owned());
        }
        let stranger = &self.strangers[0];
        let strangers = match stranger.is_barred() {
            true => "nothing",
            false => "what the rules grant to anonymous",
        };
        let claims = match self.rules.token_claims {
            TokenClaims::Instead => "instead of the rules",
            TokenClaims::Add => "besides the rules",
            TokenClaims::Narrow => "within the rules",
        };
        write!(
            f,
            "access: {} rules; clients that have not shown who they are may do {strangers}; means: {}; tokens' claims hold {claims}",
            self.rules.rules.len(),
            if means.is_empty() {
                "none".to_owned()
            } else {
                means.join(", ")
            },
        )
    }
}
