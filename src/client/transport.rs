//! The byte stream under a WebSocket: the one place that knows what it is made of.

use std::fmt::Debug;
use std::io::{self, Read};
use std::net::Shutdown;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::SendFlags;
use socket2::Socket;

/// A connected byte stream, of which two threads use one side each.
///
/// It is a socket, of TCP or at a path, or TLS over one, and nothing above this line notices.
pub(super) trait Transport: Debug + Send + Sync {
    /// Takes what is there into `buffer`, waiting for the first byte. 0 is the end of the stream.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes all of `bytes`, waiting for room as long as the write timeout allows.
    fn write_all(&self, bytes: &[u8]) -> io::Result<()>;

    /// Writes as much of `bytes` as there is room for, without waiting: perhaps nothing.
    fn write_now(&self, bytes: &[u8]) -> io::Result<usize>;

    /// How long `read` waits; `None` is for ever. A timeout of zero waits the shortest time there is.
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;

    /// How long `write_all` waits for room.
    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;

    /// Says that nothing more will be written.
    fn end_writing(&self) -> io::Result<()>;

    /// Ends both directions. A thread that waits in `read` or `write_all` is woken.
    fn abort(&self);
}

impl Transport for Socket {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut socket = self;
        loop {
            match Read::read(&mut socket, buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match rustix::net::send(self, bytes, SendFlags::NOSIGNAL) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => bytes = &bytes[written..],
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        match rustix::net::send(self, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(written) => Ok(written),
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        Self::set_read_timeout(self, timeout.map(not_zero))
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        Self::set_write_timeout(self, timeout.map(not_zero))
    }

    fn end_writing(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn abort(&self) {
        // It fails where the peer was faster, which is as good.
        let _ = self.shutdown(Shutdown::Both);
    }
}

/// A timeout that passes: for the system, zero is for ever.
pub(super) fn not_zero(timeout: Duration) -> Duration {
    timeout.max(Duration::from_micros(1))
}

/// Whether `error` says that a timeout has passed: Linux calls that `WouldBlock`, others `TimedOut`.
pub(super) fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}
