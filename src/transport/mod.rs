//! A connection's byte stream: TCP, unix, a proxy's or TLS over one of them, one type for the loop.
//!
//! # The contract
//!
//! What is read and written are the bytes that the two ends say to each other. A transport may keep some of what it took: TLS
//! takes plaintext and holds ciphertext. So two things that are one for a bare socket are told apart here:
//!
//! - **More** is what a read left behind and the socket will not announce. The loop is edge-triggered: a reader that stops
//!   while there is more remembers it. A read that handed out kept bytes did not ask the socket, which may have announced
//!   something meanwhile. So it says that there is more. Only a read that emptied the socket says that there is none.
//! - **Full** is a transport that takes nothing more for now. It is not the same as a short write: a transport that took
//!   everything and holds some of it back is full as well. A short write always means full, and full always means that the
//!   socket took less than it was given: so it announces when it can be written to again. Then [`Transport::flush`] says
//!   whether the transport is free, and until it is, nothing is written. A transport with a limit of its own goes on
//!   behind it until the socket is full.
//!
//! Deliberately absent: what the bytes mean, timeouts, and the poll's tokens.

mod handed;
#[cfg(any(test, fuzzing))]
pub(crate) mod memory;
mod proxied;
#[cfg(all(feature = "tls", not(fuzzing)))]
pub(crate) mod tls;
#[cfg(all(feature = "tls", fuzzing))]
pub mod tls;
#[cfg(not(feature = "tls"))]
#[path = "without_tls.rs"]
pub(crate) mod tls;
#[cfg(test)]
pub(crate) mod withholding;

use std::fmt;
use std::io::{self, IoSlice, Read as _, Write as _};
use std::net::{IpAddr, Shutdown};

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use rustix::net::sockopt::socket_peercred;

#[cfg(any(test, fuzzing))]
use self::memory::Memory;
use self::proxied::Proxied;
#[cfg(feature = "tls")]
use self::tls::Tls;
use self::tls::terms::Terms;
#[cfg(test)]
use self::withholding::Withholding;
use crate::auth::forwarded::Client;

/// Slices of no more than so many bytes on the average are copied together before they are written: the kernel takes
/// longer to walk over a list of them than the copy does.
const SMALL_SLICE: usize = 512;

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    /// How many bytes there are in the buffer; 0 is the end of the stream.
    pub(crate) len: usize,
    /// There may be more that the socket will not announce.
    pub(crate) more: bool,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// How many bytes were taken: they need not be offered again.
    pub(crate) taken: usize,
    /// Nothing more is taken until [`Transport::flush`] says so.
    pub(crate) full: bool,
}

/// A non-blocking byte stream.
#[derive(Debug)]
pub(crate) enum Transport {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// A trusted proxy's connection, which begins with a PROXY header.
    Proxied(Box<Proxied>),
    #[cfg(feature = "tls")]
    Tls(Box<Tls>),
    /// For tests: a pipe in memory.
    #[cfg(any(test, fuzzing))]
    Memory(Memory),
    /// For tests: it keeps bytes in both directions, as TLS does.
    #[cfg(test)]
    Withholding(Box<Withholding>),
}

impl Transport {
    /// The server's side of TLS over this transport, on which nothing was said yet.
    ///
    /// # Errors
    /// Those of rustls, where the terms make no sense to it.
    #[cfg(not(feature = "tls"))]
    pub(crate) fn encrypted(self, terms: &Terms) -> io::Result<Self> {
        match *terms {}
    }

    /// The server's side of TLS over this transport, on which nothing was said yet.
    ///
    /// # Errors
    /// Those of rustls, where the terms make no sense to it.
    #[cfg(feature = "tls")]
    pub(crate) fn encrypted(self, terms: &Terms) -> io::Result<Self> {
        Ok(Transport::Tls(Box::new(Tls::new(self, terms)?)))
    }

    /// A trusted proxy's connection over this transport, on which nothing was said yet: it has to begin with a PROXY header, which
    /// is read off.
    pub(crate) fn proxied(self) -> Self {
        Transport::Proxied(Box::new(Proxied::new(self)))
    }

    /// The same, but it keeps bytes as TLS does.
    #[cfg(test)]
    pub(crate) fn withholding(self) -> Self {
        Transport::Withholding(Box::new(Withholding::new(self)))
    }

    /// Both directions are registered once, for good: the loop is edge-triggered and remembers
    /// what it left undone, so interest never has to be changed by a system call.
    ///
    /// # Errors
    /// The system's, for want of memory.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match self {
            Transport::Tcp(socket) => socket.register(registry, token, interest),
            Transport::Unix(socket) => socket.register(registry, token, interest),
            Transport::Proxied(proxied) => proxied.under_mut().register(registry, token),
            #[cfg(feature = "tls")]
            Transport::Tls(tls) => tls.register(registry, token),
            #[cfg(any(test, fuzzing))]
            // Its readiness is told by whoever has the other end.
            Transport::Memory(_) => Ok(()),
            #[cfg(test)]
            Transport::Withholding(inner) => inner.register(registry, token),
        }
    }

    /// Reads what is there, as far as `buffer` has room.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there; `Interrupted` if it has to be asked again, since no event will say so; or what ended
    /// the connection.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Read> {
        let len = match self {
            Transport::Tcp(socket) => socket.read(buffer),
            Transport::Unix(socket) => socket.read(buffer),
            Transport::Proxied(proxied) => return proxied.read(buffer),
            #[cfg(feature = "tls")]
            Transport::Tls(tls) => return tls.read(buffer),
            #[cfg(any(test, fuzzing))]
            Transport::Memory(pipe) => pipe.read(buffer),
            #[cfg(test)]
            Transport::Withholding(inner) => return inner.read(buffer),
        }?;
        // Less than was asked for means that there is no more: the kernel says so once more when there is.
        let more = len == buffer.len();
        Ok(Read { len, more })
    }

    /// Writes as much of `bytes` as is taken without waiting.
    ///
    /// # Errors
    /// What ended the connection. A full socket is no error.
    #[inline]
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<Written> {
        match self {
            // Nearly all of them, and the shortest way: a bare socket holds nothing.
            Transport::Tcp(socket) => {
                let result = uninterrupted(|| socket.write(bytes));
                written(result, bytes.len(), || false)
            }
            _ => self.write_otherwise(bytes),
        }
    }

    /// The same, over whatever it is.
    #[inline(never)]
    fn write_otherwise(&mut self, bytes: &[u8]) -> io::Result<Written> {
        let result = self.send(&[IoSlice::new(bytes)]);
        written(result, bytes.len(), || self.holds())
    }

    /// Writes as much of `slices`, `len` bytes in all, as is taken without waiting. Small ones are copied together in
    /// `joined` first.
    ///
    /// # Errors
    /// What ended the connection. A full socket is no error.
    pub(crate) fn write_slices(
        &mut self,
        slices: &[IoSlice<'_>],
        len: usize,
        joined: &mut Vec<u8>,
    ) -> io::Result<Written> {
        if slices.len() > 1 && len <= slices.len() * SMALL_SLICE {
            joined.clear();
            for slice in slices {
                joined.extend_from_slice(slice);
            }
            return self.write(joined);
        }
        let result = self.send(slices);
        written(result, len, || self.holds())
    }

    /// Writes as much of `slices` as is taken.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is, or what ended the connection.
    fn send(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        uninterrupted(|| match self {
            Transport::Tcp(socket) => socket.write_vectored(slices),
            Transport::Unix(socket) => socket.write_vectored(slices),
            Transport::Proxied(proxied) => proxied.under_mut().send(slices),
            #[cfg(feature = "tls")]
            Transport::Tls(tls) => tls.write_vectored(slices),
            #[cfg(any(test, fuzzing))]
            Transport::Memory(pipe) => pipe.write_vectored(slices),
            #[cfg(test)]
            Transport::Withholding(inner) => inner.write_vectored(slices),
        })
    }

    /// The socket can be written to again: sends what the transport holds. True if it is free, false if it is full still.
    ///
    /// # Errors
    /// What ended the connection.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        match self {
            // A bare socket holds nothing of its own.
            Transport::Tcp(_) | Transport::Unix(_) => Ok(true),
            Transport::Proxied(proxied) => proxied.under_mut().flush(),
            #[cfg(feature = "tls")]
            Transport::Tls(tls) => tls.flush(),
            #[cfg(any(test, fuzzing))]
            Transport::Memory(_) => Ok(true),
            #[cfg(test)]
            Transport::Withholding(inner) => inner.flush(),
        }
    }

    /// Says that no more is written; what the peer still sends can be read. To be called while the transport is not full. A
    /// peer that is gone already is told by the next read.
    pub(crate) fn finish_writing(&mut self) {
        // The error says that the peer was faster.
        let _ = match self {
            Transport::Tcp(socket) => socket.shutdown(Shutdown::Write),
            Transport::Unix(socket) => socket.shutdown(Shutdown::Write),
            Transport::Proxied(proxied) => {
                proxied.under_mut().finish_writing();
                Ok(())
            }
            #[cfg(feature = "tls")]
            Transport::Tls(tls) => tls.finish_writing(),
            #[cfg(any(test, fuzzing))]
            Transport::Memory(pipe) => pipe.finish_writing(),
            #[cfg(test)]
            Transport::Withholding(inner) => inner.finish_writing(),
        };
    }

    /// Whether it is a bare unix socket.
    pub(crate) fn is_unix(&self) -> bool {
        matches!(self, Transport::Unix(_))
    }

    /// Whether what goes over it can be read by its two ends alone.
    pub(crate) fn is_encrypted(&self) -> bool {
        match self {
            #[cfg(feature = "tls")]
            Transport::Tls(_) => true,
            _ => false,
        }
    }

    /// What it is, in a word.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Transport::Tcp(_) => "tcp",
            Transport::Unix(_) => "unix",
            Transport::Proxied(proxied) => proxied.under().kind(),
            #[cfg(feature = "tls")]
            Transport::Tls(_) => "tls",
            #[cfg(any(test, fuzzing))]
            Transport::Memory(_) => "memory",
            #[cfg(test)]
            Transport::Withholding(_) => "withholding",
        }
    }

    /// Whether its two ends have still to agree on how to speak. A read may then take as long as some hundred others.
    pub(crate) fn is_handshaking(&self) -> bool {
        match self {
            #[cfg(feature = "tls")]
            Transport::Tls(tls) => tls.is_handshaking(),
            _ => false,
        }
    }

    /// Whether its peer has said nothing yet of the handshake that has to come first.
    pub(crate) fn awaits_hello(&self) -> bool {
        match self {
            #[cfg(feature = "tls")]
            Transport::Tls(tls) => tls.is_handshaking() && tls.is_untouched(),
            _ => false,
        }
    }

    /// The peer's address, which is the client's where a PROXY header names it; `None` if it came by a unix socket, or is gone. The
    /// kernel is asked for it.
    pub(crate) fn peer_address(&self) -> Option<IpAddr> {
        match self {
            Transport::Tcp(socket) => Some(socket.peer_addr().ok()?.ip()),
            Transport::Unix(_) => None,
            Transport::Proxied(proxied) => proxied.peer_address(),
            #[cfg(feature = "tls")]
            Transport::Tls(tls) => tls.under().peer_address(),
            #[cfg(any(test, fuzzing))]
            Transport::Memory(_) => None,
            #[cfg(test)]
            Transport::Withholding(_) => None,
        }
    }

    /// The client by the PROXY header that its connection begins with; `None`: it begins with none. Where TLS is spoken behind
    /// the header, the client's connection counts as encrypted, whatever the header says.
    pub(crate) fn client_by_proxy(&self) -> Option<Client> {
        match self {
            Transport::Proxied(proxied) => Some(proxied.client()),
            #[cfg(feature = "tls")]
            Transport::Tls(tls) => tls.under().client_by_proxy().map(|client| Client {
                is_https: client.is_named_by_proxy,
                ..client
            }),
            _ => None,
        }
    }

    /// The peer's name by the certificate that it presented, once the handshake is over: its first name of the kind that comes
    /// first among URI, DNS name and e-mail address, else its common name. `None` where there is no certificate, or where
    /// that name is empty or has control characters. Each call takes the certificate apart anew.
    pub(crate) fn peer_identity(&self) -> Option<Box<str>> {
        match self {
            #[cfg(feature = "tls")]
            Transport::Tls(tls) => tls.peer_identity(),
            _ => None,
        }
    }

    /// Whether the certificate that the peer presented is good under these terms too, which came later. One that presented none is
    /// not asked for one.
    pub(crate) fn is_certified_by(&self, terms: &Terms) -> bool {
        #[cfg(not(feature = "tls"))]
        let _ = terms;
        match self {
            #[cfg(feature = "tls")]
            Transport::Tls(tls) => tls.is_certified_by(terms),
            _ => true,
        }
    }

    /// Whether some of what was taken, or of what the transport has to say itself, waits for the socket: it is full.
    #[inline]
    pub(crate) fn holds(&self) -> bool {
        match self {
            Transport::Tcp(_) | Transport::Unix(_) => false,
            Transport::Proxied(proxied) => proxied.under().holds(),
            #[cfg(feature = "tls")]
            Transport::Tls(tls) => tls.holds(),
            #[cfg(any(test, fuzzing))]
            Transport::Memory(_) => false,
            #[cfg(test)]
            Transport::Withholding(inner) => inner.holds(),
        }
    }
}

/// The peer: its address, or for a unix socket the process that connected. The kernel is asked for it. Whom a PROXY header names
/// stands before the proxy.
impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Transport::Tcp(socket) => match socket.peer_addr() {
                Ok(address) => write!(f, "{address}"),
                Err(_) => f.write_str("(gone)"),
            },
            Transport::Unix(socket) => match socket_peercred(socket) {
                Ok(peer) => write!(f, "pid {} uid {}", peer.pid, peer.uid),
                Err(_) => f.write_str("(gone)"),
            },
            Transport::Proxied(proxied) => proxied.fmt(f),
            #[cfg(feature = "tls")]
            Transport::Tls(tls) => tls.fmt(f),
            #[cfg(any(test, fuzzing))]
            Transport::Memory(_) => f.write_str("(in memory)"),
            #[cfg(test)]
            Transport::Withholding(inner) => inner.fmt(f),
        }
    }
}

/// What became of a write of so many bytes. `holds` says whether some of what was taken waits for the socket.
#[inline]
fn written(
    result: io::Result<usize>,
    offered: usize,
    holds: impl FnOnce() -> bool,
) -> io::Result<Written> {
    match result {
        Ok(taken) => Ok(Written {
            taken,
            // A short write says what `WouldBlock` says, one system call earlier.
            full: taken < offered || holds(),
        }),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Written {
            taken: 0,
            full: true,
        }),
        Err(error) => Err(error),
    }
}

/// Writes again if a signal came between, which it hardly does where nothing blocks: a visit is
/// made or the socket is full, there is no third.
#[inline]
fn uninterrupted(mut write: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match write() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests;
