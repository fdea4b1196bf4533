//! Request targets (RFC 9112 §3.2) and the authority they are asked of.

use std::borrow::Cow;

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// `OPTIONS *`: the server as a whole.
    Server,
    /// A resource, asked for by its path alone or by an absolute URL.
    Resource {
        /// The path as it was sent, beginning with `/`, percent-encoding and all.
        path: &'a str,
        /// What stands after the `?`, if there is one.
        query: Option<&'a str>,
    },
}

/// A request target cut in its parts: what it is about, and the authority of an absolute URL, which outranks `Host`.
pub(super) type Parsed<'a> = (Target<'a>, Option<&'a str>);

/// Reads a request target, or says what is wrong with it.
///
/// Raw UTF-8 is let through, although RFC 3986 would have it encoded: it is what `curl` sends for a typed `é`.
pub(super) fn parse<'a>(method: &str, target: &'a str) -> Result<Parsed<'a>, &'static str> {
    if memchr::memchr(b'#', target.as_bytes()).is_some() {
        return Err("A request target has no fragment (#…).");
    }
    if target.starts_with('/') {
        return Ok((resource(target), None));
    }
    if target == "*" {
        return match method {
            "OPTIONS" => Ok((Target::Server, None)),
            _ => Err("Only OPTIONS may ask about * instead of a path."),
        };
    }
    let Some((scheme, rest)) = target.split_once("://") else {
        return Err("The request target is neither a path, an absolute URL nor *.");
    };
    if !["http", "https", "ws", "wss"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
    {
        return Err("The scheme of the request target is not http, https, ws or wss.");
    }
    let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(authority_end);
    if authority.is_empty() || !is_authority(authority.as_bytes()) {
        return Err("The request target names no valid host.");
    }
    Ok((resource(path), Some(authority)))
}

fn resource(path_and_query: &str) -> Target<'_> {
    let (path, query) = match memchr::memchr(b'?', path_and_query.as_bytes()) {
        Some(at) => (&path_and_query[..at], Some(&path_and_query[at + 1..])),
        None => (path_and_query, None),
    };
    // An absolute URL may leave the path out: RFC 9110 §4.2.3 reads it as `/`.
    let path = if path.is_empty() { "/" } else { path };
    Target::Resource { path, query }
}

/// Whether `value` is a host name or address with or without a port (RFC 9110 §7.2).
///
/// Stricter than the grammar: the characters that RFC 3986 allows in a name but no host on earth has (`'`, `$`, `;` …)
/// are refused, because the page repeats the host inside commands for people to paste.
pub(super) fn is_authority(value: &[u8]) -> bool {
    let (host, port) = match value {
        [b'[', rest @ ..] => {
            let Some(end) = rest.iter().position(|&byte| byte == b']') else {
                return false;
            };
            let (address, after) = rest.split_at(end);
            let is_address = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
            if address.is_empty() || !address.iter().all(is_address) {
                return false;
            }
            match after {
                b"]" => return true,
                [b']', b':', port @ ..] => (address, port),
                _ => return false,
            }
        }
        _ => match value.iter().position(|&byte| byte == b':') {
            Some(colon) => (&value[..colon], &value[colon + 1..]),
            None => (value, &b""[..]),
        },
    };
    let is_host = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'%' | b':')
    };
    !host.is_empty()
        && host.iter().all(is_host)
        && port.len() <= 5
        && port.iter().all(u8::is_ascii_digit)
}

/// Takes percent-encoding off (RFC 3986 §2.1), or says what is wrong. `+` stays a plus: it is a space in forms only.
pub(crate) fn percent_decode(encoded: &str) -> Result<Cow<'_, str>, &'static str> {
    if memchr::memchr(b'%', encoded.as_bytes()).is_none() {
        return Ok(Cow::Borrowed(encoded));
    }
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    loop {
        rest = match rest {
            [] => break,
            [b'%', high, low, rest @ ..] => {
                let (Some(high), Some(low)) = (hex_digit(*high), hex_digit(*low)) else {
                    return Err("% is followed by something else than two hex digits.");
                };
                decoded.push(high << 4 | low);
                rest
            }
            [b'%', ..] => return Err("% is followed by something else than two hex digits."),
            [byte, rest @ ..] => {
                decoded.push(*byte);
                rest
            }
        };
    }
    String::from_utf8(decoded)
        .map(Cow::Owned)
        .map_err(|_| "The percent-encoded text is not UTF-8.")
}

/// The value of one hex digit in either case.
pub(super) fn hex_digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}
