//! Where a server is: `ws://host:port/path?query` or `unix:/path/to.sock`, small and strict.

use std::net::Ipv6Addr;
use std::path::Path;
use std::{error, fmt, str::FromStr};

use crate::words::in_words;

/// Where a server is: `ws://host[:port][/path][?query]` (RFC 6455 §3), or `unix:socket[:/path[?query]]`.
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
/// let error = "ws://me:secret@example.org/".parse::<Url>().unwrap_err();
/// assert!(error.to_string().contains("Authorization"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Url {
    /// The whole, as it is shown.
    text: String,
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

    /// The port, 80 where the URL names none. A unix socket has none, and this is 80.
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
    /// It does not begin with `ws://` or `unix:`, but with this or nothing like it.
    Scheme(String),
    /// It begins with `wss:`, which this client does not speak yet.
    NotYet(&'static str),
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
                "{scheme:?} is no scheme for a WebSocket: give ws:// or unix:"
            ),
            Self::NotYet(scheme) => {
                write!(f, "{scheme} is not there yet: only ws:// and unix: are")
            }
            Self::UserInfo => f.write_str(
                "a user's name or password does not belong in the URL: give an Authorization header",
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

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        match scheme(text)? {
            Scheme::Ws(rest) => tcp(rest),
            Scheme::Unix(rest) => unix(rest),
        }
    }
}

/// The scheme, and what follows it.
enum Scheme<'t> {
    /// `ws://`
    Ws(&'t str),
    /// `unix:`
    Unix(&'t str),
}

/// Reads the scheme, which may be written in any case.
fn scheme(text: &str) -> Result<Scheme<'_>, UrlError> {
    let (scheme, rest) = text.split_once(':').unwrap_or(("", text));
    if scheme.eq_ignore_ascii_case("wss") {
        return Err(UrlError::NotYet("wss:"));
    }
    if scheme.eq_ignore_ascii_case("unix") {
        return Ok(Scheme::Unix(rest));
    }
    match rest.strip_prefix("//") {
        Some(rest) if scheme.eq_ignore_ascii_case("ws") => Ok(Scheme::Ws(rest)),
        // `localhost:8040` has no scheme, whatever stands before its colon.
        Some(_) if !scheme.is_empty() => Err(UrlError::Scheme(scheme.to_owned())),
        _ => Err(UrlError::Scheme(String::new())),
    }
}

/// Reads what follows `ws://`.
fn tcp(rest: &str) -> Result<Url, UrlError> {
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
    let slash = if target.starts_with('/') { "" } else { "/" };
    let target = format!("{slash}{target}");
    let (host, text, sent) = match zone {
        None => (
            host.to_owned(),
            format!("ws://{authority}{target}"),
            authority.to_owned(),
        ),
        Some(zone) => {
            let after = authority.find(']').map_or("", |at| &authority[at..]);
            (
                format!("{host}%{zone}"),
                format!("ws://[{host}%{zone}{after}{target}"),
                format!("[{host}{after}"),
            )
        }
    };
    Ok(Url {
        text,
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
    port: u16,
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
            Some(port) => parse_port(port)?,
            None if rest.is_empty() => WS_PORT,
            None => return Err(bad_host()),
        };
        Ok(Self { host, zone, port })
    }
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
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, u16, String, String) {
        let url: Url = text.parse().expect(text);
        (url.host().to_owned(), url.port(), url.target, url.authority)
    }

    fn refused(text: &str) -> UrlError {
        text.parse::<Url>().expect_err(text)
    }

    #[test]
    fn host_port_and_target_are_told_apart() {
        for (text, host, port, target, authority) in [
            ("ws://h", "h", 80, "/", "h"),
            ("WS://Example.org/", "Example.org", 80, "/", "Example.org"),
            ("ws://h:8040?x=1", "h", 8040, "/?x=1", "h:8040"),
            (
                "ws://10.0.0.1:1/a/b?c=%20&d",
                "10.0.0.1",
                1,
                "/a/b?c=%20&d",
                "10.0.0.1:1",
            ),
            ("ws://[::1]", "::1", 80, "/", "[::1]"),
            (
                "ws://[2001:db8::7]:65535/x",
                "2001:db8::7",
                65535,
                "/x",
                "[2001:db8::7]:65535",
            ),
            (
                "ws://[fe80::1%eth0]:8040/x",
                "fe80::1%eth0",
                8040,
                "/x",
                "[fe80::1]:8040",
            ),
            (
                "ws://[fe80::1%25eth0]",
                "fe80::1%eth0",
                80,
                "/",
                "[fe80::1]",
            ),
            ("ws://[fe80::1%25]", "fe80::1%25", 80, "/", "[fe80::1]"),
            ("ws://[fe80::1%3]?q", "fe80::1%3", 80, "/?q", "[fe80::1]"),
            (
                "ws://h/path@with:odd,things",
                "h",
                80,
                "/path@with:odd,things",
                "h",
            ),
        ] {
            let expected = (host.into(), port, target.into(), authority.into());
            assert_eq!(parts(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_shown_is_read_back_as_the_same() {
        for text in [
            "ws://h",
            "ws://h:1?q",
            "ws://[::1]:9/a",
            "ws://[fe80::1%25eth0]:9/a",
            "unix:/run/a b.sock",
            "unix:relative:/ws?x",
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!(url.to_string().parse(), Ok(url));
        }
    }

    #[test]
    fn another_scheme_is_refused_and_one_to_come_is_called_so() {
        assert_eq!(refused("wss://h"), UrlError::NotYet("wss:"));
        assert_eq!(refused("http://h"), UrlError::Scheme("http".into()));
        for bare in ["", "localhost:8040", "h", "ws:h", "ws:/h"] {
            assert_eq!(refused(bare), UrlError::Scheme(String::new()), "{bare}");
        }
    }

    #[test]
    fn a_unix_socket_has_a_path_and_perhaps_something_that_is_asked_for_there() {
        for (text, path, target, shown) in [
            ("unix:/run/f.sock", "/run/f.sock", "/", "unix:/run/f.sock"),
            ("UNIX:f.sock", "f.sock", "/", "unix:f.sock"),
            (
                "unix:///run/f.sock",
                "///run/f.sock",
                "/",
                "unix:///run/f.sock",
            ),
            ("unix:/run/f:1", "/run/f:1", "/", "unix:/run/f:1"),
            ("unix:/f.sock:/", "/f.sock", "/", "unix:/f.sock"),
            (
                "unix:/f.sock:/ws?a=:/b",
                "/f.sock",
                "/ws?a=:/b",
                "unix:/f.sock:/ws?a=:/b",
            ),
            (
                "unix:/ä b#c?.sock",
                "/ä b#c?.sock",
                "/",
                "unix:/ä b#c?.sock",
            ),
        ] {
            let url: Url = text.parse().expect(text);
            assert_eq!(url.socket(), Some(Path::new(path)), "{text}");
            assert_eq!((url.target(), url.authority()), (target, "localhost"));
            assert_eq!(url.to_string(), shown);
        }
        assert_eq!("ws://h".parse::<Url>().unwrap().socket(), None);
    }

    #[test]
    fn a_unix_socket_without_a_path_or_with_one_that_no_system_takes_is_refused() {
        for empty in ["unix:", "unix::/ws"] {
            assert_eq!(refused(empty), UrlError::Socket(String::new()), "{empty}");
        }
        let long = format!("/{}", "x".repeat(200));
        assert_eq!(refused(&format!("unix:{long}")), UrlError::Socket(long));
        for character in ['\0', '\n', '\u{1b}'] {
            let error = refused(&format!("unix:/a{character}b"));
            assert_eq!(error, UrlError::Character(character));
        }
        assert_eq!(refused("unix:/a:/b c"), UrlError::Character(' '));
        assert_eq!(refused("unix:/a:/b#c"), UrlError::Fragment);
    }

    #[test]
    fn users_passwords_and_fragments_are_refused() {
        assert_eq!(refused("ws://me@h/"), UrlError::UserInfo);
        assert_eq!(refused("ws://me:pw@[::1]:1/"), UrlError::UserInfo);
        assert_eq!(refused("ws://h/#top"), UrlError::Fragment);
        assert_eq!(refused("ws://h#top"), UrlError::Fragment);
    }

    #[test]
    fn a_bad_host_is_refused() {
        for text in [
            "ws://",
            "ws:///x",
            "ws://:80",
            "ws://a%41",
            "ws://a,b",
            "ws://[::1",
            "ws://[::1]x",
            "ws://[h]",
            "ws://[fe80::1%]",
            "ws://[fe80::1%a/b]",
            "ws://[fe80::1%a%b]",
            "ws://[%eth0]",
            "ws://10.0.0.1%eth0",
            "ws://::1",
            "ws://a[b]",
        ] {
            let error = refused(text);
            let host_or_port = matches!(error, UrlError::Host(_) | UrlError::Port(_));
            assert!(host_or_port, "{text}: {error:?}");
        }
    }

    #[test]
    fn a_bad_port_is_refused() {
        for port in ["", "0", "65536", "+1", "-1", "8040x", "8 0"] {
            let error = refused(&format!("ws://h:{port}/"));
            let named = matches!(error, UrlError::Port(_) | UrlError::Character(' '));
            assert!(named, "{port:?}: {error:?}");
        }
    }

    #[test]
    fn characters_that_could_end_a_line_or_need_escapes_are_refused() {
        for character in [' ', '\r', '\n', '\0', '\u{7f}', 'ä', '\u{2028}'] {
            let error = refused(&format!("ws://h/{character}"));
            assert_eq!(error, UrlError::Character(character));
        }
    }
}
