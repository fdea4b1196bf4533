//! Which pages may use the daemon, and by which names it may be asked for.
//!
//! A browser says with `Origin` (RFC 6454 §7) which page a request is from: its scheme, host and port. Nobody else says so, so a
//! request without it is not from a page. A page whose own name was made to stand for the daemon's address (DNS rebinding) is of
//! the daemon's origin as the browser sees it; it is known by `Host`, which still has the page's name.
//!
//! Names are ASCII, as they are in requests: an international name is written in its `xn--` form.

#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, Ipv6Addr};

/// A host: a name, which is compared without case, or an address.
#[derive(Clone, Copy, Debug)]
enum Host<'a> {
    Name(&'a str),
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

impl PartialEq for Host<'_> {
    fn eq(&self, other: &Host<'_>) -> bool {
        match (self, other) {
            (Host::Name(one), Host::Name(other)) => one.eq_ignore_ascii_case(other),
            (Host::V4(one), Host::V4(other)) => one == other,
            (Host::V6(one), Host::V6(other)) => one == other,
            _ => false,
        }
    }
}

impl<'a> Host<'a> {
    /// Reads a host as it stands in a URL: an IPv6 address is in brackets.
    fn parse(text: &'a str) -> Option<Host<'a>> {
        if let Some(inner) = text.strip_prefix('[') {
            return inner.strip_suffix(']')?.parse().ok().map(Host::V6);
        }
        // Each request has a host, and most are names.
        let may_be_address = text
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_digit());
        if may_be_address && let Ok(address) = text.parse() {
            return Some(Host::V4(address));
        }
        is_name(text).then_some(Host::Name(text))
    }

    fn is_address(self) -> bool {
        !matches!(self, Host::Name(_))
    }

    /// Whether it stands for this machine, whatever a name server says (RFC 6761 §6.3).
    fn is_this_machine(self) -> bool {
        match self {
            Host::Name(name) => {
                name.eq_ignore_ascii_case("localhost") || is_below(name, "localhost")
            }
            Host::V4(address) => address.is_loopback(),
            Host::V6(address) => address.is_loopback(),
        }
    }
}

/// Whether it is labels of letters, digits, `-` and `_`, separated by dots.
fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    text.as_bytes()
        .split(|byte| *byte == b'.')
        .all(|label| !label.is_empty() && label.iter().copied().all(is_plain))
}

/// Whether a name has one label or more before `parent`.
fn is_below(name: &str, parent: &str) -> bool {
    let Some(at) = name.len().checked_sub(parent.len() + 1) else {
        return false;
    };
    let (labels, rest) = name.as_bytes().split_at(at);
    !labels.is_empty() && rest[0] == b'.' && rest[1..].eq_ignore_ascii_case(parent.as_bytes())
}

/// A host, and the port if there is one. An empty port (`example.com:`) counts as none (RFC 3986 §3.2.3).
fn authority(text: &str) -> Option<(Host<'_>, Option<u16>)> {
    let (host, port) = split_port(text);
    let port = match port {
        None | Some("") => None,
        Some(port) => Some(number(port)?),
    };
    Some((Host::parse(host)?, port))
}

/// What stands before and after the colon of the port, if there is one outside of brackets.
fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    }
}

/// A port: digits alone.
fn number(text: &str) -> Option<u16> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// The port that is meant where none is given.
fn default_port(scheme: &str) -> Option<u16> {
    if scheme.eq_ignore_ascii_case("http") {
        Some(80)
    } else if scheme.eq_ignore_ascii_case("https") {
        Some(443)
    } else {
        None
    }
}

/// Whether it can be a scheme (RFC 3986 §3.1).
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

/// Where a page is from.
#[derive(Clone, Copy, Debug)]
enum Origin<'a> {
    /// The browser does not say, as for a page from a file or in a sandbox.
    Null,
    Of {
        scheme: &'a str,
        host: Host<'a>,
        /// With the scheme's default filled in.
        port: Option<u16>,
    },
}

impl<'a> Origin<'a> {
    /// Reads the value of an `Origin` field: one origin (RFC 6454 §7.1). `None`: it is none.
    fn parse(value: &'a [u8]) -> Option<Origin<'a>> {
        let text = str::from_utf8(value).ok()?;
        if text == "null" {
            return Some(Origin::Null);
        }
        let (scheme, rest) = text.split_once("://")?;
        let (host, port) = authority(rest)?;
        is_scheme(scheme).then(|| Origin::Of {
            scheme,
            host,
            port: port.or(default_port(scheme)),
        })
    }

    fn is_of(self, wanted: &str, wanted_host: &HostPattern, wanted_port: PortPattern) -> bool {
        let Origin::Of { scheme, host, port } = self else {
            return false;
        };
        scheme.eq_ignore_ascii_case(wanted)
            && wanted_host.matches(host)
            && (wanted_port == PortPattern::Any || wanted_port == PortPattern::Is(port))
    }
}

/// A name in a pattern, or what `*.` stands before.
#[derive(Clone, Debug, PartialEq, Eq)]
struct HostPattern {
    /// One label or more stand before it.
    is_below: bool,
    /// As it was written, without the `*.`.
    host: Box<str>,
}

impl HostPattern {
    fn parse(text: &str) -> Option<HostPattern> {
        let (is_below, host) = match text.strip_prefix("*.") {
            Some(parent) => (true, parent),
            None => (false, text),
        };
        let read = Host::parse(host)?;
        // No name is below an address.
        (!is_below || !read.is_address()).then(|| HostPattern {
            is_below,
            host: host.into(),
        })
    }

    fn matches(&self, host: Host<'_>) -> bool {
        match host {
            Host::Name(name) if self.is_below => is_below(name, &self.host),
            host => !self.is_below && Host::parse(&self.host) == Some(host),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PortPattern {
    /// `:*`.
    Any,
    /// This one, or none, as in the origins of schemes without a default.
    Is(Option<u16>),
}

/// The pages that may use the daemon, by their origin: `https://example.com`, `https://*.example.com:8443`, `http://localhost:*`, `null` or `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginPattern(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// `*`: every origin but `null`, which has to be named.
    Every,
    Null,
    Of {
        scheme: Box<str>,
        host: HostPattern,
        port: PortPattern,
    },
}

impl OriginPattern {
    /// Reads what stands after `--origin`.
    ///
    /// # Errors
    /// What is wrong with it, and what is allowed.
    pub fn parse(text: &str) -> Result<OriginPattern, String> {
        let wrong = |why: &str| {
            Err(format!(
                "{text:?} is not a pattern of origins: {why}. Give SCHEME://HOST or SCHEME://HOST:PORT, such as \
                 https://example.com, https://*.example.com or http://localhost:*; null; or * for all"
            ))
        };
        match text {
            "*" => return Ok(OriginPattern(Kind::Every)),
            "null" => return Ok(OriginPattern(Kind::Null)),
            _ => {}
        }
        let Some((scheme, rest)) = text.split_once("://").filter(|(s, _)| is_scheme(s)) else {
            return wrong("it has no scheme");
        };
        if ["ws", "wss"].iter().any(|s| scheme.eq_ignore_ascii_case(s)) {
            return wrong("it is the origin of a page, and a page comes by http or https");
        }
        if rest.contains(['/', '?', '#', '@']) {
            return wrong("it has more than a scheme, a host and a port");
        }
        let (host, port) = split_port(rest);
        let port = match port {
            None => PortPattern::Is(default_port(scheme)),
            Some("*") => PortPattern::Any,
            Some(port) => match number(port) {
                Some(port) => PortPattern::Is(Some(port)),
                None => return wrong("its port is neither a number up to 65535 nor *"),
            },
        };
        let Some(host) = HostPattern::parse(host) else {
            return wrong(NO_HOST);
        };
        Ok(OriginPattern(Kind::Of {
            scheme: scheme.into(),
            host,
            port,
        }))
    }

    fn matches(&self, origin: Origin<'_>) -> bool {
        match (&self.0, origin) {
            (Kind::Null, Origin::Null) | (Kind::Every, Origin::Of { .. }) => true,
            (Kind::Of { scheme, host, port }, origin) => origin.is_of(scheme, host, *port),
            _ => false,
        }
    }
}

/// What is wrong with a host.
const NO_HOST: &str = "its host is not labels of letters, digits and hyphens, with *. before them for one label or more, \
                       and not an address";

/// How the daemon was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Own<'a> {
    /// `https` where the request came encrypted, to the daemon or to a trusted proxy; else `http`.
    pub scheme: &'a str,
    /// The `Host` of the request, or the authority of its target.
    pub host_header: Option<&'a str>,
    /// Whether it came by a listener on loopback, and not from a trusted proxy there.
    pub is_loopback: bool,
}

/// The origins whose pages may use the daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// What was configured. None: as [`Origins::allows`] says.
    patterns: Vec<OriginPattern>,
}

impl Origins {
    /// Those of these patterns, and no others.
    pub fn of(patterns: Vec<OriginPattern>) -> Origins {
        Origins { patterns }
    }

    /// Whether a page of this origin, as it stands in the request, may use the daemon. What does not parse may not.
    ///
    /// Where no patterns are configured, pages of this machine may on loopback: by http or https, from any port of `localhost`,
    /// of a name below it, or of a loopback address. Elsewhere pages of the daemon's own origin may.
    pub fn allows(&self, origin: &[u8], own: Own<'_>) -> bool {
        let Some(origin) = Origin::parse(origin) else {
            return false;
        };
        if !self.patterns.is_empty() {
            return self.patterns.iter().any(|pattern| pattern.matches(origin));
        }
        let Origin::Of { scheme, host, port } = origin else {
            return false;
        };
        if own.is_loopback {
            return default_port(scheme).is_some() && host.is_this_machine();
        }
        let asked = own.host_header.and_then(authority);
        scheme.eq_ignore_ascii_case(own.scheme)
            && asked.is_some_and(|(asked, asked_port)| {
                asked == host && asked_port.or(default_port(own.scheme)) == port
            })
    }

    /// The same of all `Origin` fields of a request: without one it is not from a page, and with several it is refused.
    pub fn allow_request<'a>(
        &self,
        mut origins: impl Iterator<Item = &'a [u8]>,
        own: Own<'_>,
    ) -> bool {
        match (origins.next(), origins.next()) {
            (None, _) => true,
            (Some(origin), None) => self.allows(origin, own),
            (Some(_), Some(_)) => false,
        }
    }
}

/// A name by which the daemon may be asked for: `example.com` or `*.example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostName(HostPattern);

impl HostName {
    /// Reads what stands after `--host`.
    ///
    /// # Errors
    /// What is wrong with it, and what is allowed.
    pub fn parse(text: &str) -> Result<HostName, String> {
        let pattern = HostPattern::parse(without_root(text)).map(HostName);
        pattern.ok_or_else(|| {
            format!(
                "{text:?} is not the name of a host: give one without scheme and port, such as example.com, or \
                 *.example.com for all names below it"
            )
        })
    }
}

/// The names by which the daemon may be asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    /// What was configured. None: as [`Hosts::allow`] says.
    names: Vec<HostName>,
}

impl Hosts {
    /// These names.
    pub fn of(names: Vec<HostName>) -> Hosts {
        Hosts { names }
    }

    /// Whether the daemon may be asked for by this `Host`, whose port is of no importance. Not to be asked where the request came
    /// by a unix socket, which no browser reaches.
    ///
    /// An address always may: no name server can turn it into another. So may `localhost`, and names below it, on loopback. Names
    /// may if they are configured; where none are, any name may elsewhere than on loopback. Without a `Host` it is no browser
    /// that asks.
    pub fn allow(&self, host: Option<&str>, is_loopback: bool) -> bool {
        let Some(text) = host else {
            return true;
        };
        if self.names.is_empty() && !is_loopback {
            return true;
        }
        let (name, port) = split_port(text);
        if port.is_some_and(|port| !port.is_empty() && number(port).is_none()) {
            return false;
        }
        let Some(host) = Host::parse(without_root(name)) else {
            return false;
        };
        host.is_address()
            || is_loopback && host.is_this_machine()
            || self.names.iter().any(|name| name.0.matches(host))
    }
}

/// A name without the dot of the root after it: both are the same host.
fn without_root(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}
