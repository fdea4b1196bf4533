//! A transport that begins with a [PROXY header](proxy_header), from a trusted proxy.
//!
//! The header comes before all else, so this lies under TLS. It is read off inside [`Proxied::read`], which hands out what comes
//! behind it. What is written goes straight to the transport below, whose contract therefore holds here too.

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::IpAddr;

use super::{Read, Transport};
use crate::auth::forwarded::Client;
use crate::auth::forwarded::proxy_header::{self, MAX_BYTES, Progress, Source};

/// A connection from a trusted proxy.
#[derive(Debug)]
pub(crate) struct Proxied {
    pub(super) under: Transport,
    /// What has come and was not handed out, [`MAX_BYTES`] at most: a header that is not whole yet, or what came behind it.
    pub(super) kept: Vec<u8>,
    /// What the header says; `None` until it is whole.
    pub(super) header: Option<Header>,
}

/// What a header says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    pub(super) source: Source,
    /// Whether the connection came encrypted to the proxy.
    pub(super) is_https: bool,
}

impl Proxied {
    /// A proxy's connection over `under`, of which nothing was read yet.
    pub(super) fn new(under: Transport) -> Self {
        Proxied {
            under,
            kept: Vec::new(),
            header: None,
        }
    }

    /// What goes on below.
    pub(super) fn under(&self) -> &Transport {
        &self.under
    }

    /// The same.
    #[inline]
    pub(super) fn under_mut(&mut self) -> &mut Transport {
        &mut self.under
    }

    /// Reads what comes behind the header, as far as `buffer` has room.
    ///
    /// # Errors
    /// `WouldBlock` if the header is not whole, or nothing has come behind it; `InvalidData` where there is no header that makes sense; or what
    /// the transport below says.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Read> {
        if self.header.is_none() && !self.read_header()? {
            return Ok(Read {
                len: 0,
                more: false,
            });
        }
        if self.kept.is_empty() {
            return self.under.read(buffer);
        }
        let len = self.kept.len().min(buffer.len());
        buffer[..len].copy_from_slice(&self.kept[..len]);
        self.kept.drain(..len);
        if self.kept.is_empty() {
            self.kept = Vec::new();
        }
        // The socket was not asked whether it has more.
        Ok(Read { len, more: true })
    }

    /// Reads until the header is whole. False: the stream ends before that.
    ///
    /// # Errors
    /// As those of [`Proxied::read`].
    fn read_header(&mut self) -> io::Result<bool> {
        let mut chunk = [0; MAX_BYTES];
        loop {
            let room = MAX_BYTES.saturating_sub(self.kept.len());
            // The socket itself says that there is nothing: so it is known to announce what comes, an end too.
            let len = self.under.read(&mut chunk[..room])?.len;
            if len == 0 {
                return Ok(false);
            }
            self.kept.extend_from_slice(&chunk[..len]);
            match proxy_header::read(&self.kept) {
                Progress::Incomplete => {}
                Progress::Header {
                    source,
                    is_https,
                    consumed,
                } => {
                    self.kept.drain(..consumed);
                    self.header = Some(Header { source, is_https });
                    return Ok(true);
                }
                Progress::Refused(why) => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, why));
                }
            }
        }
    }

    /// The address that the header names; the proxy's own where it names none, or is not whole yet.
    pub(super) fn peer_address(&self) -> Option<IpAddr> {
        match self.source() {
            Source::Address(address) => Some(address.ip()),
            Source::Unix => None,
            Source::Proxy => self.under.peer_address(),
        }
    }

    /// The client at the other end, by the header; the proxy itself until that is whole.
    pub(super) fn client(&self) -> Client {
        Client {
            address: self.peer_address(),
            is_named_by_proxy: self.source() != Source::Proxy,
            is_https: self.header.is_some_and(|header| header.is_https),
        }
    }

    fn source(&self) -> Source {
        self.header.map_or(Source::Proxy, |header| header.source)
    }
}

/// The client by its proxy, or the proxy where it speaks for itself.
impl fmt::Display for Proxied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.source() {
            Source::Address(address) => write!(f, "{address} by {}", self.under),
            Source::Unix => write!(f, "a unix socket by {}", self.under),
            Source::Proxy => self.under.fmt(f),
        }
    }
}
