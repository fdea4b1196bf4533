//! Addresses of servers: `ws://host:port/path?query`, small and strict.

use std::{error, fmt, str::FromStr};

/// Where a server is, as `ws://host[:port][/path][?query]` says it (RFC 6455 §3).
///
/// ```
/// use fanfare::client::Url;
///
/// let url: Url = "ws://[::1]:8040/ws?room=7".parse().expect("a good URL");
/// assert_eq!((url.host(), url.port()), ("::1", 8040));
/// assert_eq!(url.target(), "/ws?room=7");
/// assert_eq!(url.to_string(), "ws://[::1]:8040/ws?room=7");
///
/// let error = "ws://me:secret@example.org/".parse::<Url>().unwrap_err();
/// assert!(error.to_string().contains("Authorization"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Url {
    /// Host and port as they were written: what the `Host` header repeats.
    authority: String,
    /// The host without the brackets of an IPv6 address.
    host: String,
    port: u16,
    target: String,
}

/// The port of `ws://` where the URL names none (RFC 6455 §3).
const WS_PORT: u16 = 80;

impl Url {
    /// The host: a name, or an address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, 80 where the URL names none.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Path and query: what is asked for. At least `/`.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Host and port as they were written.
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

/// Why a text is no address that can be connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UrlError {
    /// It does not begin with `ws://`, but with this or nothing like it.
    Scheme(String),
    /// It begins with `wss:` or `unix:`, which this client does not speak yet.
    NotYet(&'static str),
    /// It has a user's name or password, which would be sent in the clear and is better off in a header.
    UserInfo,
    /// The host is missing or is none.
    Host(String),
    /// The port is missing after its colon, or is not 1 to 65535.
    Port(String),
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
            Self::Scheme(scheme) => write!(f, "{scheme:?} is no scheme for a WebSocket: give ws://"),
            Self::NotYet(scheme) => write!(f, "{scheme} is not there yet: only ws:// is"),
            Self::UserInfo => f.write_str(
                "a user's name or password does not belong in the URL: give an Authorization header",
            ),
            Self::Host(host) if host.is_empty() => f.write_str("the host is missing"),
            Self::Host(host) => write!(f, "{host:?} is no host"),
            Self::Port(port) => write!(f, "{port:?} is no port: give 1 to 65535"),
            Self::Fragment => f.write_str("a WebSocket's URL has no fragment (#)"),
            Self::Character(character) => {
                write!(f, "{character:?} cannot stand in a URL as it is")
            }
        }
    }
}

impl error::Error for UrlError {}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ws://{}{}", self.authority, self.target)
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let rest = after_scheme(text)?;
        if let Some(character) = text.chars().find(|c| !c.is_ascii_graphic()) {
            return Err(UrlError::Character(character));
        }
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
        let (host, port) = split_authority(authority)?;
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Self {
            authority: authority.to_owned(),
            host: host.to_owned(),
            port,
            target: format!("{slash}{target}"),
        })
    }
}

/// What follows `ws://`, which may be written in any case.
fn after_scheme(text: &str) -> Result<&str, UrlError> {
    let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
    for known in ["wss:", "unix:"] {
        if scheme.eq_ignore_ascii_case(known.trim_end_matches(':')) {
            return Err(UrlError::NotYet(known));
        }
    }
    let rest = text.get(scheme.len()..).unwrap_or_default();
    match rest.strip_prefix("://") {
        Some(rest) if scheme.eq_ignore_ascii_case("ws") => Ok(rest),
        // `localhost:8040` has no scheme, whatever stands before its colon.
        Some(_) => Err(UrlError::Scheme(scheme.to_owned())),
        None => Err(UrlError::Scheme(String::new())),
    }
}

/// The host without brackets, and the port.
fn split_authority(authority: &str) -> Result<(&str, u16), UrlError> {
    let bad_host = || UrlError::Host(authority.to_owned());
    let (host, rest) = if let Some(bracketed) = authority.strip_prefix('[') {
        let (address, rest) = bracketed.split_once(']').ok_or_else(bad_host)?;
        let address: &str = address;
        if address.parse::<std::net::Ipv6Addr>().is_err() {
            return Err(bad_host());
        }
        (address, rest)
    } else {
        let end = authority.find(':').unwrap_or(authority.len());
        let (host, rest) = authority.split_at(end);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if host.is_empty() || !host.bytes().all(plain) {
            return Err(UrlError::Host(host.to_owned()));
        }
        (host, rest)
    };
    match rest.strip_prefix(':') {
        Some(port) => Ok((host, parse_port(port)?)),
        None if rest.is_empty() => Ok((host, WS_PORT)),
        None => Err(bad_host()),
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
        (url.host, url.port, url.target, url.authority)
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
        for text in ["ws://h", "ws://h:1?q", "ws://[::1]:9/a"] {
            let url: Url = text.parse().unwrap();
            assert_eq!(url.to_string().parse(), Ok(url));
        }
    }

    #[test]
    fn another_scheme_is_refused_and_one_to_come_is_called_so() {
        assert_eq!(refused("wss://h"), UrlError::NotYet("wss:"));
        assert_eq!(refused("unix:/run/fanfare.sock"), UrlError::NotYet("unix:"));
        assert_eq!(refused("http://h"), UrlError::Scheme("http".into()));
        for bare in ["", "localhost:8040", "h", "ws:h", "ws:/h"] {
            assert_eq!(refused(bare), UrlError::Scheme(String::new()), "{bare}");
        }
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
            "ws://[fe80::1%eth0]",
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
