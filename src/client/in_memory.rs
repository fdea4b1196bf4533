//! A server in memory, as tests use it in place of a socket.

use std::io;
use std::time::Duration;

use super::transport::Transport;
use crate::ws::frame::{Opcode, parse_header};
use crate::ws::mask::unmask;

/// The client's end of a connection in memory. It waits for nothing, so that it needs no timeouts.
pub(super) trait InMemory: Send + Sync + std::fmt::Debug {
    /// As [`Transport::read`].
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;
    /// As [`Transport::write_all`].
    fn write_all(&self, bytes: &[u8]) -> io::Result<()>;
    /// As [`Transport::write_now`].
    fn write_now(&self, bytes: &[u8]) -> io::Result<usize>;
    /// As [`Transport::abort`].
    fn abort(&self);
}

impl<M: InMemory> Transport for M {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        InMemory::read(self, buffer)
    }

    fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        InMemory::write_all(self, bytes)
    }

    fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        InMemory::write_now(self, bytes)
    }

    fn set_read_timeout(&self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn set_write_timeout(&self, _: Option<Duration>) -> io::Result<()> {
        Ok(())
    }

    fn end_writing(&self) -> io::Result<()> {
        Ok(())
    }

    fn abort(&self) {
        InMemory::abort(self);
    }
}

/// Takes the whole frames from the front of what a client wrote: opcode and payload.
pub(super) fn take_frames(wire: &mut Vec<u8>) -> Vec<(Opcode, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some((header, len)) = parse_header(wire).expect("a good frame") {
        let end = len + header.len as usize;
        if wire.len() < end {
            break;
        }
        let mut payload = wire[len..end].to_vec();
        unmask(&mut payload, header.mask.expect("a client masks"), 0);
        frames.push((header.opcode, payload));
        wire.drain(..end);
    }
    frames
}
