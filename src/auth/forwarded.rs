//! The clients behind a proxy.
//!
//! The address of a connection is that of whoever made it, which may be a proxy. A **trusted proxy** is one whose word is taken for
//! the address that it was called from. It says so in fields of each request, or in a PROXY header before all requests of a
//! connection. Anybody can write such a field, so only what trusted proxies wrote counts: of the addresses in the order in which
//! they were noted, the last that is no trusted proxy's.

#[cfg(test)]
mod tests;

pub mod proxy_header;

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use crate::http::Header;

/// How trusted proxies say who they were called from. One way only: another one would be the client's to fill in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustedHeader {
    /// By `Forwarded` (RFC 7239).
    Forwarded,
    /// By `X-Forwarded-For` and `X-Forwarded-Proto`.
    XForwardedFor,
    /// By a PROXY header, version 1 or 2, before all else on a connection.
    Proxy,
}

/// Where a connection may come from so that its word is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// These addresses.
    Ip(IpNet),
    /// Everything that comes by a unix socket.
    Unix,
}

impl Network {
    /// Reads what stands after `--trusted-proxy`.
    ///
    /// # Errors
    /// What is wrong with it, and what is allowed.
    pub fn parse(text: &str) -> Result<Network, String> {
        if text == "unix" {
            return Ok(Network::Unix);
        }
        let alone = text.parse().ok().map(|address: IpAddr| address.into());
        let network: Option<IpNet> = alone.or_else(|| text.parse().ok());
        match network.map(|network| network.trunc()) {
            Some(network) => Ok(Network::Ip(network)),
            None => Err(format!(
                "{text:?} is not a network: give an address, alone or with the length of its prefix, such as 10.0.0.0/8, \
                 127.0.0.1 or fd00::/8; or unix"
            )),
        }
    }
}

/// The trusted proxies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    /// Where they are. None: there are no trusted proxies.
    pub networks: Vec<Network>,
    /// How they say who they were called from; `None` where there are none.
    pub header: Option<TrustedHeader>,
}

/// The client that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its address; `None`: it came by a unix socket.
    pub address: Option<IpAddr>,
    /// Whether a trusted proxy named the address.
    pub is_named_by_proxy: bool,
    /// Whether it came encrypted to a trusted proxy.
    pub is_https: bool,
}

impl TrustedProxies {
    /// Whether the word of a peer that connected from this address is taken. `None`: it came by a unix socket.
    pub fn trust(&self, peer: Option<IpAddr>) -> bool {
        let peer = peer.map(|address| address.to_canonical());
        self.networks.iter().any(|network| match (network, &peer) {
            (Network::Ip(network), Some(address)) => network.contains(address),
            (Network::Unix, None) => true,
            _ => false,
        })
    }

    /// Whether the head of a request over a connection from this address may name its client.
    pub fn read_heads(&self, peer: Option<IpAddr>) -> bool {
        let header = self.header;
        header.is_some_and(|header| header != TrustedHeader::Proxy) && self.trust(peer)
    }

    /// Whether a connection from this address begins with a [PROXY header](proxy_header). No other connection may, and this one
    /// must: nobody guesses from what comes.
    pub fn want_header(&self, peer: Option<IpAddr>) -> bool {
        self.header == Some(TrustedHeader::Proxy) && self.trust(peer)
    }

    /// The client that sent a request with these fields over a connection from this address.
    ///
    /// Without a field that says so it is the proxy itself. What is no address (`unknown`, a made-up name, rubbish) ends the
    /// search: the client is the trusted proxy that was called from there.
    pub fn client(&self, peer: Option<IpAddr>, headers: &[Header<'_>]) -> Client {
        let peer = peer.map(|address| address.to_canonical());
        let itself = Client {
            address: peer,
            is_named_by_proxy: false,
            is_https: false,
        };
        match self.header {
            Some(TrustedHeader::XForwardedFor) if self.trust(peer) => {
                let nodes = last_first(headers, "X-Forwarded-For").map(|element| Hop {
                    node: address(element),
                    is_https: false,
                });
                let client = self.search(itself, nodes);
                let mut schemes = last_first(headers, "X-Forwarded-Proto");
                Client {
                    is_https: schemes.next().is_some_and(is_encrypted),
                    ..client
                }
            }
            Some(TrustedHeader::Forwarded) if self.trust(peer) => {
                let hops = last_first(headers, "Forwarded").map(Hop::parse);
                self.search(itself, hops)
            }
            _ => itself,
        }
    }

    /// The first of these hops, from the last to the first, that is no trusted proxy.
    fn search(&self, itself: Client, hops: impl Iterator<Item = Hop>) -> Client {
        let mut client = itself;
        for hop in hops {
            let Some(address) = hop.node else {
                break;
            };
            client = Client {
                address: Some(address),
                is_named_by_proxy: true,
                is_https: hop.is_https,
            };
            if !self.trust(client.address) {
                break;
            }
        }
        client
    }
}

/// Whether a request has fields that a proxy adds to say for whom it asks. `Via` is none of them: it names proxies alone.
pub fn has_forwarding_fields(headers: &[Header<'_>]) -> bool {
    headers.iter().any(|header| {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        let prefix = header.name.as_bytes().get(..FAMILY.len());
        let is_known = is("Forwarded") || is("Via") || is("X-Real-IP");
        is_known || prefix.is_some_and(|p| p.eq_ignore_ascii_case(FAMILY))
    })
}

/// What `X-Forwarded-For`, `-Proto`, `-Host` and the others begin with.
const FAMILY: &[u8] = b"x-forwarded-";

/// What a proxy noted about the request that came to it.
#[derive(Clone, Copy, Debug)]
struct Hop {
    /// Where it came from; `None`: that is no address.
    node: Option<IpAddr>,
    /// Whether it came encrypted.
    is_https: bool,
}

impl Hop {
    /// Reads a `forwarded-element` (RFC 7239 §4). One with a mistake has no address.
    fn parse(element: &[u8]) -> Hop {
        let mut hop = Hop {
            node: None,
            is_https: false,
        };
        let mut has_node = false;
        for pair in Pieces::new(element, b';') {
            let pair = pair.trim_ascii();
            let Some(equals) = pair.iter().position(|&byte| byte == b'=') else {
                if pair.is_empty() {
                    continue;
                }
                return Hop { node: None, ..hop };
            };
            let (name, value) = (&pair[..equals], unquoted(&pair[equals + 1..]));
            if name.eq_ignore_ascii_case(b"for") {
                // Each parameter stands once at most.
                hop.node = value.and_then(address).filter(|_| !has_node);
                has_node = true;
            } else if name.eq_ignore_ascii_case(b"proto") {
                hop.is_https = value.is_some_and(is_encrypted);
            }
        }
        hop
    }
}

/// What a `quoted-string` or a token stands for. `None`: it has an escape, which no address and no scheme needs, or an odd quote.
fn unquoted(value: &[u8]) -> Option<&[u8]> {
    let inner = match value {
        [b'"', inner @ .., b'"'] => inner,
        value => value,
    };
    (!inner.iter().any(|byte| matches!(byte, b'"' | b'\\'))).then_some(inner)
}

/// Whether a scheme is an encrypted one. Some proxies write that of a WebSocket.
fn is_encrypted(scheme: &[u8]) -> bool {
    scheme.eq_ignore_ascii_case(b"https") || scheme.eq_ignore_ascii_case(b"wss")
}

/// An address, with a port or without: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn address(node: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(node).ok()?;
    let address = if let Some(inner) = text.strip_prefix('[') {
        let (address, port) = inner.split_once(']')?;
        let is_fine = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        address.parse::<Ipv6Addr>().ok().filter(|_| is_fine)?.into()
    } else {
        match text.split_once(':') {
            Some((address, port)) if !port.contains(':') => {
                let v4 = address.parse().ok().map(IpAddr::V4);
                v4.filter(|_| is_port(port))?
            }
            _ => text.parse::<IpAddr>().ok()?,
        }
    };
    Some(address.to_canonical())
}

/// Whether it is a port, or a made-up name for one (RFC 7239 §6).
fn is_port(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let is_number = text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    !text.is_empty() && (is_number || text.starts_with('_') && text.bytes().all(is_plain))
}

/// The elements of the list that all fields called `name` make together, from the last to the first. Empty ones do not count (RFC
/// 9110 §5.6.1).
fn last_first<'h>(headers: &'h [Header<'h>], name: &str) -> impl Iterator<Item = &'h [u8]> {
    headers
        .iter()
        .rev()
        .filter(move |header| header.name.eq_ignore_ascii_case(name))
        .flat_map(|header| Pieces::new(header.value, b','))
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty())
}

/// What separators outside of quotes separate, from the last piece to the first. A client writes the beginning of such a list, and
/// the proxies its end: read from there, a quote that the client leaves open is in its own part.
struct Pieces<'a> {
    rest: Option<&'a [u8]>,
    separator: u8,
}

impl<'a> Pieces<'a> {
    fn new(bytes: &'a [u8], separator: u8) -> Pieces<'a> {
        Pieces {
            rest: Some(bytes),
            separator,
        }
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.rest.take()?;
        let mut is_quoted = false;
        for (at, &byte) in rest.iter().enumerate().rev() {
            if byte == b'"' && (!is_quoted || !is_escaped(&rest[..at])) {
                is_quoted = !is_quoted;
            } else if byte == self.separator && !is_quoted {
                self.rest = Some(&rest[..at]);
                return Some(&rest[at + 1..]);
            }
        }
        Some(rest)
    }
}

/// Whether the character after these is escaped: an odd number of backslashes stands before it.
fn is_escaped(before: &[u8]) -> bool {
    let backslashes = before.iter().rev().take_while(|&&byte| byte == b'\\');
    backslashes.count() % 2 == 1
}
