//! TLS, the server's side (RFC 8446, RFC 5246), over another transport.
//!
//! All that is known of rustls here is in this folder:
//! - this file: bytes in and out, by rustls' buffered interface;
//! - [`terms`]: what is agreed to in a handshake, made of certificates, keys, authorities and revocation lists;
//! - `pem`: what is in such a file;
//! - `names`: whom a certificate is for.
//!
//! The handshake goes on inside [`Tls::read`] and [`Tls::flush`]: whoever reads and flushes as the contract of
//! [`transport`](super) says need not know of it. What it costs, and how many there are, is up to the caller, who can ask
//! [`Tls::is_handshaking`].

#[cfg(fuzzing)]
pub mod fuzzed;
mod names;
mod pem;
pub(crate) mod terms;
#[cfg(test)]
pub(super) mod tests;

use std::cell::Cell;
use std::fmt;
use std::io::{self, IoSlice, Read as _, Write as _};

use mio::{Registry, Token};
use rustls::ServerConnection;

use self::terms::Terms;
use super::{Read, Transport};

/// How many bytes of ciphertext may wait for the socket: three whole records. It is what a peer that reads nothing costs. With less,
/// what a sweep has for one subscriber of a busy channel would take two system calls.
const CIPHERTEXT_MOST: usize = 3 * (16 * 1024 + 256);

/// How often one read may ask the socket without getting a byte for the caller: handshakes and key updates come in between.
const FILLS_A_READ: usize = 8;

/// How many bytes that a peer sent behind its mistake are read, so that the kernel does not answer them with a reset, which
/// would destroy the alert.
const READ_OFF_MOST: usize = 64 * 1024;

/// What a peer is told that speaks HTTP where TLS is spoken, as problem details (RFC 9457).
const PLAIN_HTTP: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\n\
    Content-Length: 124\r\nConnection: close\r\n\r\n\
    {\"title\":\"Bad Request\",\"status\":400,\"code\":\"bad_request\",\
    \"detail\":\"This port speaks TLS: connect with https:// or wss://.\"}\n";

/// A TLS connection.
pub(crate) struct Tls {
    under: Transport,
    session: ServerConnection,
    /// The first byte that came, which tells TLS from other protocols.
    first: Option<u8>,
    /// The peer has broken TLS: nothing more is read or written.
    has_failed: bool,
    /// The number of the terms under which the peer's certificate was found good last.
    judged_by: Cell<u32>,
}

impl Tls {
    /// What the ciphertext goes over.
    pub(super) fn under(&self) -> &Transport {
        &self.under
    }

    /// The server's side of TLS over `under`, which is new.
    ///
    /// # Errors
    /// rustls' own, where the terms make no sense to it.
    pub(super) fn new(under: Transport, terms: &Terms) -> io::Result<Self> {
        let session = ServerConnection::new(terms.config()).map_err(io::Error::other)?;
        let mut tls = Tls {
            under,
            session,
            first: None,
            has_failed: false,
            judged_by: Cell::new(terms.number()),
        };
        tls.session.set_buffer_limit(Some(CIPHERTEXT_MOST));
        Ok(tls)
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.under.register(registry, token)
    }

    /// Whether the handshake is still under way. A read may then cost some 100 µs, and more with RSA.
    pub(super) fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    /// Whether nothing has come of the handshake yet.
    pub(super) fn is_untouched(&self) -> bool {
        self.first.is_none()
    }

    /// The peer's name by the certificate that it presented; `None` where it presented none, where the certificate has no name
    /// that can be one, or before the handshake is over.
    pub(super) fn peer_identity(&self) -> Option<Box<str>> {
        if self.session.is_handshaking() {
            return None;
        }
        names::identity(self.session.peer_certificates()?.first()?)
    }

    /// Whether the certificate that the peer presented, if it did, is good under these terms too. Where others held when it was
    /// presented, its signatures are checked anew, which takes some 100 µs, and more with RSA.
    pub(super) fn is_certified_by(&self, terms: &Terms) -> bool {
        if self.judged_by.get() == terms.number() {
            return true;
        }
        let is_good = (self.session.peer_certificates())
            .is_none_or(|certificates| terms.accept_client(certificates));
        if is_good && !self.session.is_handshaking() {
            self.judged_by.set(terms.number());
        }
        is_good
    }

    /// Reads plaintext. What was decrypted before is handed out first; then the socket is asked, a part of a record or some
    /// small records at a time.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there; `Interrupted` if nothing came yet but may, without an event; `InvalidData` where the
    /// peer broke TLS or is refused; or what ended the connection.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Read> {
        if let Some(len) = self.take_plaintext(buffer)? {
            // What the socket has announced since it was last asked is not announced again.
            let more = len > 0;
            return Ok(Read { len, more });
        }
        for _ in 0..FILLS_A_READ {
            let socket_has_more = self.fill()?;
            if let Some(len) = self.take_plaintext(buffer)? {
                let more = len > 0 && (socket_has_more || len == buffer.len());
                return Ok(Read { len, more });
            }
            if !socket_has_more {
                return Err(io::ErrorKind::WouldBlock.into());
            }
        }
        Err(io::ErrorKind::Interrupted.into())
    }

    /// Takes what is decrypted, 0 at the end of the stream. `None`: the socket has to be asked.
    fn take_plaintext(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self.session.reader().read(buffer) {
            Ok(len) => Ok(Some(len)),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => Ok(None),
                // The peer went without close_notify. What it says has ends of its own: frames, lengths (RFC 8446 §6.1).
                io::ErrorKind::UnexpectedEof => Ok(Some(0)),
                _ => Err(error),
            },
        }
    }

    /// Reads ciphertext once and deals with it; what is to be answered goes out as far as it can. Says whether the socket may
    /// have more that it will not announce.
    fn fill(&mut self) -> io::Result<bool> {
        if self.has_failed {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut source = Source {
            under: &mut self.under,
            first: &mut self.first,
            more: false,
        };
        self.session.read_tls(&mut source)?;
        let more = source.more;
        if let Err(error) = self.session.process_new_packets() {
            self.fail();
            let why = format!("TLS: {error}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        if self.holds() {
            self.flush()?;
        }
        Ok(more)
    }

    /// The peer broke TLS. It is told why, as far as its socket takes it.
    fn fail(&mut self) {
        let speaks_http = self.session.is_handshaking()
            && self.first.is_some_and(|first| first.is_ascii_uppercase());
        self.has_failed = true;
        // The connection ends in any case.
        let _ = match speaks_http {
            true => self.under.write(PLAIN_HTTP).map(|_| true),
            false => self.flush(),
        };
        self.under.finish_writing();
        let mut read_off = 0;
        let mut buffer = [0; 4096];
        while let Ok(Read { len, more }) = self.under.read(&mut buffer)
            && more
            && len > 0
            && read_off < READ_OFF_MOST
        {
            read_off += len;
        }
    }

    /// Takes as much plaintext as the socket takes ciphertext, and up to [`CIPHERTEXT_MOST`] beyond. Nothing is taken while
    /// ciphertext waits.
    ///
    /// # Errors
    /// `WouldBlock` while ciphertext waits, or what ended the connection.
    pub(super) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.has_failed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if self.holds() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let wanted: usize = slices.iter().map(|slice| slice.len()).sum();
        let mut taken = self.session.writer().write_vectored(slices)?;
        if taken == wanted {
            self.flush()?;
            return Ok(taken);
        }
        let mut slices = slices.to_vec();
        let mut rest = &mut slices[..];
        IoSlice::advance_slices(&mut rest, taken);
        // A short write has to mean that the socket is full: else nobody would say when to go on.
        while self.flush()? && taken < wanted {
            let len = self.session.writer().write_vectored(rest)?;
            if len == 0 {
                // Nobody writes so much before the handshake is over, when there is nothing to flush.
                return Err(io::ErrorKind::NotConnected.into());
            }
            taken += len;
            IoSlice::advance_slices(&mut rest, len);
        }
        Ok(taken)
    }

    /// Sends the ciphertext that waits. True if none does any more.
    ///
    /// # Errors
    /// What ended the connection.
    pub(super) fn flush(&mut self) -> io::Result<bool> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut Sink(&mut self.under)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Whether ciphertext waits for the socket.
    #[inline]
    pub(super) fn holds(&self) -> bool {
        self.session.wants_write()
    }

    /// Says close_notify, and that no more is written.
    pub(super) fn finish_writing(&mut self) -> io::Result<()> {
        self.session.send_close_notify();
        let result = self.flush();
        self.under.finish_writing();
        result.map(|_| ())
    }
}

/// The peer as the transport below knows it.
impl fmt::Display for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.under.fmt(f)
    }
}

/// Without the session's secrets and state.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("under", &self.under)
            .field("is_handshaking", &self.session.is_handshaking())
            .finish_non_exhaustive()
    }
}

/// Where ciphertext comes from.
struct Source<'t> {
    under: &'t mut Transport,
    first: &'t mut Option<u8>,
    /// What the last read said of more.
    more: bool,
}

impl io::Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Read { len, more } = self.under.read(buffer)?;
        self.more = more;
        if let Some(first) = buffer[..len].first() {
            self.first.get_or_insert(*first);
        }
        Ok(len)
    }
}

/// Where ciphertext goes to.
struct Sink<'t>(&'t mut Transport);

impl io::Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.send(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
