//! Where a server is: `ws://host:port/path?query`, the same with `wss://`, or `unix:/path/to.sock`, small and strict.

use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;
use std::{error, fmt, str::FromStr};

use crate::words::in_words;

/// Where a server is: `ws://host[:port][/path][?query]` (RFC 6455 §3), the same with `wss://` for an encrypted connection, or
/// `unix:socket[:/path[?query]]`. `https://` is taken for `wss://`. Both want the cargo feature `tls`.
///
/// An IPv6 address stands in brackets and may have a zone: `ws://[fe80::1%eth0]:8040`. The zone names an interface of this
/// machine; it is not sent. `%25` for the `%`, as RFC 6874 §2 has it, is understood too.
///
/// What follows `unix:` is the path of a socket, as it is. A `:/` in it ends it and begins what is asked for there:
/// `unix:/run/fanfare.sock:/ws?room=7`.
///
/// ```
/// use std::path::Path;
/// use fanfare::client::Url;
///
/// let url: Url = "ws://[::1]:8040/ws?room=7".parse().expect("a good URL");
/// assert_eq!((url.host(), url.port()), ("::1", 8040));
/// assert_eq!(url.target(), "/ws?room=7");
/// assert_eq!(url.to_string(), "ws://[::1]:8040/ws?room=7");
///
/// let url: Url = "unix:/run/fanfare.sock".parse().expect("a good URL");
/// assert_eq!(url.socket(), Some(Path::new("/run/fanfare.sock")));
/// assert_eq!((url.authority(), url.target()), ("localhost", "/"));
///
/// # #[cfg(feature = "tls")] {
/// let url: Url = "wss://example.org".parse().expect("a good URL");
/// assert_eq!((url.port(), url.is_encrypted()), (443, true));
/// # }
///
/// let error = "ws://me:secret@example.org/".parse::<Url>().unwrap_err();
/// assert!(error.to_string().contains("Authorization"));
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Url {
    /// The whole, as it is shown.
    text: String,
    encrypted: bool,
    place: Place,
    /// What the `Host` header says.
    authority: String,
    target: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Place {
    /// The host without the brackets of an IPv6 address, but with its zone.
    Tcp { host: String, port: u16 },
    /// The path of a socket.
    Unix(String),
}

/// The port of `ws://` where the URL names none (RFC 6455 §3).
const WS_PORT: u16 = 80;

/// The same for `wss://`.
const WSS_PORT: u16 = 443;

/// The host's name in the `Host` header on a unix socket, which has none.
const UNIX_HOST: &str = "localhost";

impl Url {
    /// The host: a name, or an address without brackets, with its zone if it has one. `localhost` on a unix socket.
    pub fn host(&self) -> &str {
        match &self.place {
            Place::Tcp { host, .. } => host,
            Place::Unix(_) => UNIX_HOST,
        }
    }

    /// Whether the connection is encrypted: the URL began with `wss://` or `https://`.
    pub const fn is_encrypted(&self) -> bool {
        self.encrypted
    }

    /// Whether nothing that is sent leaves this machine: the host is a loopback address or `localhost`, or there is a unix socket. What
    /// any other name stands for is not looked up.
    pub fn is_local(&self) -> bool {
        match &self.place {
            Place::Unix(_) => true,
            Place::Tcp { host, .. } => match host.parse::<IpAddr>() {
                Ok(address) => address.to_canonical().is_loopback(),
                Err(_) => is_localhost(host),
            },
        }
    }

    /// The URL as people may see it: without what a `token` in its query says.
    pub fn without_token(&self) -> String {
        let Some((before, query)) = self.text.rsplit_once('?') else {
            return self.text.clone();
        };
        let members = query.split('&').map(|member| match member.split_once('=') {
            Some((name, _)) if name.eq_ignore_ascii_case("token") => "token=…",
            _ => member,
        });
        let members: Vec<&str> = members.collect();
        format!("{before}?{}", members.join("&"))
    }

    /// The port, 80 or 443 where the URL names none. A unix socket has none, and this is 80.
    pub const fn port(&self) -> u16 {
        match self.place {
            Place::Tcp { port, .. } => port,
            Place::Unix(_) => WS_PORT,
        }
    }

    /// The path of the unix socket, if it is one.
    pub fn socket(&self) -> Option<&Path> {
        match &self.place {
            Place::Tcp { .. } => None,
            Place::Unix(path) => Some(Path::new(path)),
        }
    }

    /// Path and query: what is asked for. At least `/`.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// What the `Host` header says: host and port as they were written, without a zone. `localhost` on a unix socket.
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

/// Why a text is no address that can be connected to.
#[derive(Clone, PartialEq, Eq)]
pub enum UrlError {
    /// It does not begin with `ws://`, `wss://` or `unix:`, but with this or nothing like it.
    Scheme(String),
    /// It begins with `wss://` or `https://`, and this program was built without the cargo feature `tls`.
    NoTls,
    /// It has a user's name or password, which would be sent in the clear and is better off in a header.
    UserInfo,
    /// The host is missing or is none.
    Host(String),
    /// The port is missing after its colon, or is not 1 to 65535.
    Port(String),
    /// This is no path of a unix socket: it is empty, or longer than the system allows, which is about 100 bytes.
    Socket(String),
    /// It has a fragment, which RFC 6455 §3 forbids.
    Fragment,
    /// It has this character, which must be percent-encoded, or in a host written in punycode.
    Character(char),
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scheme(scheme) if scheme.is_empty() => {
                f.write_str("a URL begins with ws://, such as ws://127.0.0.1:8040")
            }
            Self::Scheme(scheme) => write!(
                f,
                "{scheme:?} is no scheme for a WebSocket: give ws://, wss:// or unix:"
            ),
            Self::NoTls => f.write_str(
                "wss:// needs TLS, without which this program was built: build it with the feature `tls` of fanfare",
            ),
            Self::UserInfo => f.write_str(
                "a user's name or password does not belong in the URL, which others can see: send it in the Authorization header (fanfare sub --user NAME)",
            ),
            Self::Host(host) if host.is_empty() => f.write_str("the host is missing"),
            Self::Host(host) => write!(f, "{host:?} is no host"),
            Self::Port(port) => write!(f, "{port:?} is no port: give 1 to 65535"),
            Self::Socket(path) if path.is_empty() => {
                f.write_str("the path of the unix socket is missing")
            }
            Self::Socket(path) => write!(f, "{path:?} is too long for the path of a unix socket"),
            Self::Fragment => f.write_str("a WebSocket's URL has no fragment (#)"),
            Self::Character(character) => {
                write!(f, "{character:?} cannot stand in a URL as it is")
            }
        }
    }
}

impl error::Error for UrlError {}

in_words!(UrlError);

/// Shows no token: see [`Url::without_token`].
impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Url").field(&self.without_token()).finish()
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        match scheme(text)? {
            Scheme::Ws(rest) => tcp(rest, false),
            Scheme::Wss(_) if !cfg!(feature = "tls") => Err(UrlError::NoTls),
            Scheme::Wss(rest) => tcp(rest, true),
            Scheme::Unix(rest) => unix(rest),
        }
    }
}

/// The scheme, and what follows it.
enum Scheme<'t> {
    /// `ws://`
    Ws(&'t str),
    /// `wss://` or `https://`
    Wss(&'t str),
    /// `unix:`
    Unix(&'t str),
}

/// Reads the scheme, which may be written in any case.
fn scheme(text: &str) -> Result<Scheme<'_>, UrlError> {
    let (scheme, rest) = text.split_once(':').unwrap_or(("", text));
    let is = |name| scheme.eq_ignore_ascii_case(name);
    if is("unix") {
        return Ok(Scheme::Unix(rest));
    }
    match rest.strip_prefix("//") {
        Some(rest) if is("ws") => Ok(Scheme::Ws(rest)),
        Some(rest) if is("wss") || is("https") => Ok(Scheme::Wss(rest)),
        // `localhost:8040` has no scheme, whatever stands before its colon.
        Some(_) if !scheme.is_empty() => Err(UrlError::Scheme(scheme.to_owned())),
        _ => Err(UrlError::Scheme(String::new())),
    }
}

/// Reads what follows `ws://` or `wss://`.
fn tcp(rest: &str, encrypted: bool) -> Result<Url, UrlError> {
    visible(rest)?;
    if rest.contains('#') {
        return Err(UrlError::Fragment);
    }
    let (authority, target) = match rest.find(['/', '?']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    if authority.contains('@') {
        return Err(UrlError::UserInfo);
    }
    let Authority { host, zone, port } = Authority::read(authority)?;
    let (scheme, usual_port) = match encrypted {
        true => ("wss", WSS_PORT),
        false => ("ws", WS_PORT),
    };
    let port = port.unwrap_or(usual_port);
    let slash = if target.starts_with('/') { "" } else { "/" };
    let target = format!("{slash}{target}");
    let (host, text, sent) = match zone {
        None => (
            host.to_owned(),
            format!("{scheme}://{authority}{target}"),
            authority.to_owned(),
        ),
        Some(zone) => {
            let after = authority.find(']').map_or("", |at| &authority[at..]);
            (
                format!("{host}%{zone}"),
                format!("{scheme}://[{host}%{zone}{after}{target}"),
                format!("[{host}{after}"),
            )
        }
    };
    Ok(Url {
        text,
        encrypted,
        place: Place::Tcp { host, port },
        authority: sent,
        target,
    })
}

/// Reads what follows `unix:`.
fn unix(rest: &str) -> Result<Url, UrlError> {
    let (path, target) = match rest.find(":/") {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => (rest, "/"),
    };
    if let Some(character) = path.chars().find(|c| c.is_control()) {
        return Err(UrlError::Character(character));
    }
    visible(target)?;
    if target.contains('#') {
        return Err(UrlError::Fragment);
    }
    if path.is_empty() || std::os::unix::net::SocketAddr::from_pathname(path).is_err() {
        return Err(UrlError::Socket(path.to_owned()));
    }
    let text = match target {
        "/" => format!("unix:{path}"),
        _ => format!("unix:{path}:{target}"),
    };
    Ok(Url {
        text,
        encrypted: false,
        place: Place::Unix(path.to_owned()),
        authority: UNIX_HOST.to_owned(),
        target: target.to_owned(),
    })
}

/// What is sent as it is has no white space and nothing that must be escaped.
fn visible(text: &str) -> Result<(), UrlError> {
    match text.chars().find(|c| !c.is_ascii_graphic()) {
        Some(character) => Err(UrlError::Character(character)),
        None => Ok(()),
    }
}

/// Host and port, taken apart.
struct Authority<'t> {
    /// The host without brackets and zone.
    host: &'t str,
    zone: Option<&'t str>,
    /// The port, if one is named.
    port: Option<u16>,
}

impl<'t> Authority<'t> {
    fn read(authority: &'t str) -> Result<Self, UrlError> {
        let bad_host = || UrlError::Host(authority.to_owned());
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let (host, zone, rest) = if let Some(bracketed) = authority.strip_prefix('[') {
            let (inside, rest) = bracketed.split_once(']').ok_or_else(bad_host)?;
            let (address, zone) = split_zone(inside);
            let good_zone = |zone: &str| !zone.is_empty() && zone.bytes().all(plain);
            if address.parse::<Ipv6Addr>().is_err() || !zone.is_none_or(good_zone) {
                return Err(bad_host());
            }
            (address, zone, rest)
        } else {
            let end = authority.find(':').unwrap_or(authority.len());
            let (host, rest) = authority.split_at(end);
            if host.is_empty() || !host.bytes().all(plain) {
                return Err(UrlError::Host(host.to_owned()));
            }
            (host, None, rest)
        };
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(parse_port(port)?),
            None if rest.is_empty() => None,
            None => return Err(bad_host()),
        };
        Ok(Self { host, zone, port })
    }
}

/// Whether the name stands for this machine (RFC 6761 §6.3).
fn is_localhost(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = host.rsplit('.').next().unwrap_or(host);
    last.eq_ignore_ascii_case("localhost")
}

/// `address%zone` or, by RFC 6874 §2, `address%25zone`. A zone that is `25` is a number of an interface.
fn split_zone(inside: &str) -> (&str, Option<&str>) {
    match inside.split_once('%') {
        None => (inside, None),
        Some((address, zone)) => match zone.strip_prefix("25") {
            Some(escaped) if !escaped.is_empty() => (address, Some(escaped)),
            _ => (address, Some(zone)),
        },
    }
}

fn parse_port(port: &str) -> Result<u16, UrlError> {
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse() {
        Ok(number @ 1..) if digits => Ok(number),
        _ => Err(UrlError::Port(port.to_owned())),
    }
}

#[cfg(test)]
mod tests;
