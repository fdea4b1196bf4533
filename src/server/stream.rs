//! A connection's socket: TCP or unix, one type for the loop.

use std::io::{self, Read, Write};
use std::net::Shutdown;

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};

use crate::hub::Slices;

/// Slices of no more than so many bytes on the average are copied together before they are written: the kernel takes
/// longer to walk over a list of them than the copy does.
const SMALL_SLICE: usize = 512;

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

/// A non-blocking stream socket.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Both directions are registered once, for good: the loop is edge-triggered and remembers
    /// what it left undone, so interest never has to be changed by a system call.
    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match self {
            Stream::Tcp(stream) => stream.register(registry, token, interest),
            Stream::Unix(stream) => stream.register(registry, token, interest),
        }
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }

    #[inline]
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        uninterrupted(|| match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
        })
    }

    /// Writes all slices with one system call; small ones are copied together in `joined` first.
    pub(super) fn write_slices(
        &mut self,
        slices: &Slices<'_>,
        joined: &mut Vec<u8>,
    ) -> io::Result<usize> {
        if slices.len() > 1 && slices.bytes() <= slices.len() * SMALL_SLICE {
            joined.clear();
            for slice in slices.as_slice() {
                joined.extend_from_slice(slice);
            }
            return self.write(joined);
        }
        uninterrupted(|| match self {
            Stream::Tcp(stream) => stream.write_vectored(slices.as_slice()),
            Stream::Unix(stream) => stream.write_vectored(slices.as_slice()),
        })
    }

    /// Says FIN: no more from us, but what the peer still sends can be read. An error means that
    /// the peer is gone already, which the next read will tell.
    pub(super) fn finish_writing(&self) {
        let _ = match self {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
        };
    }
}
