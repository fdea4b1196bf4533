//! A transport for tests that keeps bytes as TLS does: it takes more than the socket does, and has more to read than the socket
//! tells of. What goes over the socket is veiled, so that a byte that went past it is noticed.

use std::fmt;
use std::io::{self, IoSlice, Read as _};

use mio::{Registry, Token};

use super::{Read, Transport};

/// The most that it holds: what rustls has for its limit, too.
const HELD_MOST: usize = 64 * 1024;
/// The most that it hands out at a time, however much it has.
const READ_MOST: usize = 1000;
/// The most that it takes from the socket at a time: a TLS record.
const RECORD: usize = 16 * 1024;

/// Veils bytes, or unveils them: both ends do it.
pub(crate) fn veil(bytes: &mut [u8]) {
    for byte in bytes {
        *byte ^= 0xA5;
    }
}

#[derive(Debug)]
pub(crate) struct Withholding {
    under: Transport,
    /// What was read from the socket and not yet by anybody else.
    unread: Vec<u8>,
    /// The socket may have more behind `unread`.
    more: bool,
    /// What was taken and is not out.
    held: Vec<u8>,
}

impl Withholding {
    pub(crate) fn new(under: Transport) -> Self {
        Withholding {
            under,
            unread: Vec::new(),
            more: false,
            held: Vec::new(),
        }
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.under.register(registry, token)
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Read> {
        // What the socket announced since the last record was read is not announced again.
        let asks_socket = self.unread.is_empty();
        if asks_socket {
            let mut record = vec![0; RECORD];
            let read = self.under.read(&mut record)?;
            veil(&mut record[..read.len]);
            self.unread.extend_from_slice(&record[..read.len]);
            self.more = read.more;
        }
        let most = buffer.len().min(READ_MOST);
        let len = self.unread.as_slice().read(&mut buffer[..most])?;
        self.unread.drain(..len);
        let more = len > 0 && (!asks_socket || !self.unread.is_empty() || self.more);
        Ok(Read { len, more })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.holds() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut taken = 0;
        // A short write has to mean that the socket is full: else nobody would say when to go on.
        while taken < bytes.len() && !self.holds() {
            let share = bytes[taken..].len().min(HELD_MOST);
            self.held.extend_from_slice(&bytes[taken..taken + share]);
            veil(&mut self.held);
            taken += share;
            self.flush()?;
        }
        Ok(taken)
    }

    pub(super) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write(
            &slices
                .iter()
                .flat_map(|slice| slice.to_vec())
                .collect::<Vec<_>>(),
        )
    }

    pub(super) fn flush(&mut self) -> io::Result<bool> {
        while self.holds() {
            let written = self.under.write(&self.held)?;
            self.held.drain(..written.taken);
            if written.full {
                return Ok(!self.holds());
            }
        }
        Ok(true)
    }

    pub(super) fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    pub(super) fn finish_writing(&mut self) -> io::Result<()> {
        assert!(!self.holds(), "the end was said before all that was taken");
        self.under.finish_writing();
        Ok(())
    }
}

impl fmt::Display for Withholding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.under.fmt(f)
    }
}
