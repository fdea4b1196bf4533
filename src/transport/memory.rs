//! A pipe in memory in the place of a socket: for a server that turns without one.
//!
//! Nothing announces its events. The owner of the [`Far`] end tells the server what a poll would tell it of a socket: that
//! there is something to read, and that there is room again in a pipe that was full.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::rc::Rc;

/// What both ends share.
#[derive(Debug)]
struct Pipe {
    /// On its way to the server.
    input: Vec<u8>,
    /// On its way to the peer.
    output: Vec<u8>,
    /// How many bytes may be on their way to the peer.
    room: usize,
    /// A write took less than it was given since the peer last made room.
    is_full: bool,
    /// The peer says no more.
    peer_finished: bool,
    /// The peer is gone without a word.
    is_reset: bool,
    /// The server says no more.
    server_finished: bool,
    /// The server has dropped its end.
    server_gone: bool,
}

/// The server's end. To drop it closes the pipe.
#[derive(Debug)]
pub(crate) struct Memory(Rc<RefCell<Pipe>>);

/// The peer's end.
#[derive(Debug)]
pub(crate) struct Far(Rc<RefCell<Pipe>>);

/// A pipe in which so many bytes may be on their way to the peer.
pub(crate) fn pipe(room: usize) -> (Memory, Far) {
    let pipe = Rc::new(RefCell::new(Pipe {
        input: Vec::new(),
        output: Vec::new(),
        room,
        is_full: false,
        peer_finished: false,
        is_reset: false,
        server_finished: false,
        server_gone: false,
    }));
    (Memory(Rc::clone(&pipe)), Far(pipe))
}

impl Memory {
    /// Reads as a socket does: less than was asked for is all there is.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let pipe = &mut *self.0.borrow_mut();
        if pipe.is_reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if pipe.input.is_empty() {
            return match pipe.peer_finished {
                true => Ok(0),
                false => Err(io::ErrorKind::WouldBlock.into()),
            };
        }
        let len = pipe.input.len().min(buffer.len());
        buffer[..len].copy_from_slice(&pipe.input[..len]);
        pipe.input.drain(..len);
        Ok(len)
    }

    /// Takes as much as there is room for.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let pipe = &mut *self.0.borrow_mut();
        if pipe.is_reset || pipe.server_finished {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let len = bytes.len().min(pipe.room - pipe.output.len());
        pipe.output.extend_from_slice(&bytes[..len]);
        pipe.is_full |= len < bytes.len();
        match len {
            0 if !bytes.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(len),
        }
    }

    /// Takes as much of all of them as there is room for.
    pub(super) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut taken = 0;
        for slice in slices {
            match self.write(slice) {
                Ok(len) => taken += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && taken > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(taken)
    }

    /// Says that no more is written.
    pub(super) fn finish_writing(&mut self) -> io::Result<()> {
        self.0.borrow_mut().server_finished = true;
        Ok(())
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.0.borrow_mut().server_gone = true;
    }
}

impl Far {
    /// Sends bytes. What the peer sends after it finished, or to a server that is gone, is lost.
    pub(crate) fn send(&self, bytes: &[u8]) {
        let pipe = &mut *self.0.borrow_mut();
        if !(pipe.peer_finished || pipe.server_gone || pipe.is_reset) {
            pipe.input.extend_from_slice(bytes);
        }
    }

    /// Says that no more is sent.
    pub(crate) fn finish(&self) {
        self.0.borrow_mut().peer_finished = true;
    }

    /// Goes without a word: what is on its way in either direction is lost.
    pub(crate) fn reset(&self) {
        let pipe = &mut *self.0.borrow_mut();
        pipe.is_reset = true;
        pipe.input.clear();
        pipe.output.clear();
    }

    /// Takes up to `most` bytes. Says whether the server may be told that there is room again.
    pub(crate) fn receive(&self, most: usize) -> (Vec<u8>, bool) {
        let pipe = &mut *self.0.borrow_mut();
        let len = pipe.output.len().min(most);
        let rest = pipe.output.split_off(len);
        let bytes = std::mem::replace(&mut pipe.output, rest);
        let has_room_again = len > 0 && std::mem::take(&mut pipe.is_full);
        (bytes, has_room_again)
    }

    /// How many of the bytes that were sent the server has not read.
    pub(crate) fn unread(&self) -> usize {
        self.0.borrow().input.len()
    }

    /// How many bytes are on their way to the peer.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.0.borrow().output.len()
    }

    /// Whether the peer has received all that it will ever get.
    pub(crate) fn is_at_end(&self) -> bool {
        let pipe = self.0.borrow();
        let is_over = pipe.server_finished || pipe.server_gone || pipe.is_reset;
        is_over && pipe.output.is_empty()
    }
}
