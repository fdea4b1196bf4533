//! The PROXY header, versions 1 and 2, which a proxy sends before all else on a connection to say where that comes from
//! (<https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt>).

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The most bytes of a header.
pub const MAX_BYTES: usize = V2_HEAD + V2_REST_MAX;

/// The most bytes of a header of version 1, with the end of its line (§2.1).
const V1_MAX: usize = 107;
const V1_START: &[u8] = b"PROXY ";
const V2_START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The bytes of a header of version 2 up to its addresses.
const V2_HEAD: usize = 16;
/// The most bytes of addresses and extensions in it. Addresses take up to 216, and a client's certificate is the largest extension.
const V2_REST_MAX: usize = 4096;
/// The extension about encryption (§2.2.5).
const TLV_SSL: u8 = 0x20;
/// In its first byte: the client came encrypted.
const CLIENT_SSL: u8 = 1;

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// From the proxy itself, which asks whether the daemon lives, or from where it does not say.
    Proxy,
    /// From this address.
    Address(SocketAddr),
    /// From a unix socket.
    Unix,
}

/// What the bytes so far amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Not yet a whole header: come back with the same bytes and more after them. Never after [`MAX_BYTES`].
    Incomplete,
    /// A whole one.
    Header {
        /// Where the connection comes from.
        source: Source,
        /// Whether it came encrypted to the proxy. Version 1 does not say so.
        is_https: bool,
        /// How many of the bytes belong to it: what comes after it is the client's.
        consumed: usize,
    },
    /// None: close the connection. It says why, for the log.
    Refused(&'static str),
}

/// Reads a header out of the first bytes of a connection that has to begin with one.
pub fn read(bytes: &[u8]) -> Progress {
    if begins(bytes, V2_START) {
        read_v2(bytes)
    } else if begins(bytes, V1_START) {
        read_v1(bytes)
    } else {
        Progress::Refused("the connection does not begin with a PROXY header")
    }
}

/// Whether the bytes begin with `start`, as far as they go.
fn begins(bytes: &[u8], start: &[u8]) -> bool {
    let len = bytes.len().min(start.len());
    bytes[..len] == start[..len]
}

fn read_v1(bytes: &[u8]) -> Progress {
    let start = &bytes[..bytes.len().min(V1_MAX)];
    let Some(end) = start.windows(2).position(|pair| pair == b"\r\n") else {
        return match bytes.len() < V1_MAX {
            true => Progress::Incomplete,
            false => Progress::Refused("the line of the PROXY header is too long"),
        };
    };
    let line = str::from_utf8(&start[V1_START.len()..end]).ok();
    match line.and_then(v1_source) {
        Some(source) => Progress::Header {
            source,
            is_https: false,
            consumed: end + 2,
        },
        None => Progress::Refused("the line of the PROXY header makes no sense"),
    }
}

/// The source in a line, without its `PROXY `: `TCP4 192.0.2.1 192.0.2.2 56324 443`.
fn v1_source(line: &str) -> Option<Source> {
    let mut words = line.split(' ');
    let family = words.next()?;
    if family == "UNKNOWN" {
        return Some(Source::Proxy);
    }
    let mut address = || -> Option<IpAddr> {
        let word = words.next()?;
        match family {
            "TCP4" => word.parse().ok().map(IpAddr::V4),
            "TCP6" => word.parse().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let (source, _) = (address()?, address()?);
    let mut port = || -> Option<u16> {
        let word = words.next()?;
        let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
        word.parse().ok().filter(|_| is_number)
    };
    let (port, _) = (port()?, port()?);
    let source = SocketAddr::new(source.to_canonical(), port);
    words.next().is_none().then_some(Source::Address(source))
}

fn read_v2(bytes: &[u8]) -> Progress {
    // The version stands in the first byte after the start, and the length in the last two.
    if bytes.get(12).is_some_and(|byte| byte >> 4 != 2) {
        return Progress::Refused("the PROXY header has an unknown version");
    }
    let Some((head, after)) = bytes.split_first_chunk::<V2_HEAD>() else {
        return Progress::Incomplete;
    };
    let rest_len = usize::from(u16::from_be_bytes([head[14], head[15]]));
    if rest_len > V2_REST_MAX {
        return Progress::Refused("the PROXY header is too long");
    }
    let Some(rest) = after.get(..rest_len) else {
        return Progress::Incomplete;
    };
    let consumed = V2_HEAD + rest_len;
    let read = match head[12] & 0x0f {
        // LOCAL: what follows is of no importance.
        0 => Ok((Source::Proxy, false)),
        1 => v2_source(head[13], rest),
        _ => Err("the PROXY header has an unknown command"),
    };
    match read {
        Ok((source, is_https)) => Progress::Header {
            source,
            is_https,
            consumed,
        },
        Err(why) => Progress::Refused(why),
    }
}

/// The source of these addresses, and whether an extension says that it came encrypted.
fn v2_source(family: u8, rest: &[u8]) -> Result<(Source, bool), &'static str> {
    const SHORT: &str = "the PROXY header has no room for its addresses";
    let (source, extensions) = match family {
        // UNSPEC: the proxy does not say.
        0x00 => return Ok((Source::Proxy, false)),
        0x11 => {
            let (from, after) = rest.split_first_chunk::<12>().ok_or(SHORT)?;
            let [a, b, c, d, _, _, _, _, port @ .., _, _] = *from;
            let address = Ipv4Addr::new(a, b, c, d).into();
            (inet(address, port), after)
        }
        0x21 => {
            let (from, after) = rest.split_first_chunk::<36>().ok_or(SHORT)?;
            let (address, _) = from.split_first_chunk::<16>().ok_or(SHORT)?;
            let address = IpAddr::V6(Ipv6Addr::from(*address)).to_canonical();
            (inet(address, [from[32], from[33]]), after)
        }
        0x31 => (Source::Unix, rest.get(216..).ok_or(SHORT)?),
        _ => return Err("the PROXY header is not for a stream of TCP or of a unix socket"),
    };
    Ok((source, is_encrypted(extensions)?))
}

fn inet(address: IpAddr, port: [u8; 2]) -> Source {
    Source::Address(SocketAddr::new(address, u16::from_be_bytes(port)))
}

/// Whether an extension says that the client came encrypted.
fn is_encrypted(mut extensions: &[u8]) -> Result<bool, &'static str> {
    const CUT: &str = "an extension of the PROXY header is cut short";
    let mut is_encrypted = false;
    while !extensions.is_empty() {
        let (&[kind, high, low], after) = extensions.split_first_chunk().ok_or(CUT)?;
        let len = usize::from(u16::from_be_bytes([high, low]));
        let (value, after) = after.split_at_checked(len).ok_or(CUT)?;
        is_encrypted |= kind == TLV_SSL && value.first().is_some_and(|bits| bits & CLIENT_SSL != 0);
        extensions = after;
    }
    Ok(is_encrypted)
}
