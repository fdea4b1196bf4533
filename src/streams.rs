//! The standard streams as they may be: closed, read by nobody, or non-blocking because another process that has the
//! same pipe or terminal open made them so.
//!
//! A stream that was closed when the program began is `/dev/null` by now: the standard library opens it, so that no
//! socket gets a number from 0 to 2.

use std::fmt::{Display, Write as _};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fanfare::words::Shown;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// Bytes that a pipe takes without blocking once poll says that it takes any: `PIPE_BUF` of Linux.
pub(crate) const PIECE: usize = 4096;

/// How long a notice waits for room on stderr. What is still not read then is not waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Bytes of a notice that are shown.
const NOTICE_BYTES: usize = 8000;

/// Notices that were dropped since the last one that was shown.
static LOST: AtomicU64 = AtomicU64::new(0);

/// Waits until one of `streams` is ready, and no longer than `patience`. Which are; a stream that failed or ended counts as
/// ready, since the next call on it says so.
pub(crate) fn ready<const N: usize>(
    mut streams: [PollFd<'_>; N],
    patience: Option<Duration>,
) -> [bool; N] {
    let timeout = patience.and_then(|time| Timespec::try_from(time).ok());
    while poll(&mut streams, timeout.as_ref()) == Err(Errno::INTR) {}
    streams.map(|stream| !stream.revents().is_empty())
}

/// Whether `stream` takes bytes, or fails, within `patience`.
pub(crate) fn takes_more(stream: &impl AsFd, patience: Option<Duration>) -> bool {
    ready([PollFd::new(stream, PollFlags::OUT)], patience)[0]
}

/// A stream that blocks, whether or not its file description does.
pub(crate) struct Blocking<F>(pub(crate) F);

impl<F: Read + AsFd> Read for Blocking<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready([PollFd::new(&self.0, PollFlags::IN)], None);
                }
                result => return result,
            }
        }
    }
}

impl<F: Write + AsFd> Write for Blocking<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    takes_more(&self.0, None);
                }
                result => return result,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        loop {
            match self.0.flush() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    takes_more(&self.0, None);
                }
                result => return result,
            }
        }
    }
}

/// Says something to people, on stderr. Whatever becomes of stderr, the program goes on: what nobody reads is dropped, and
/// counted.
pub(crate) fn say(notice: &dyn Display) {
    let mut stderr = io::stderr().lock();
    let lost = LOST.swap(0, Ordering::Relaxed);
    // Once nobody read for so long, the next notice does not wait again.
    let patience = if lost == 0 { PATIENCE } else { Duration::ZERO };
    let mut text = String::new();
    if lost > 0 {
        text = format!("fanfare: {lost} notices were dropped, since nobody read them\n");
    }
    let shown = Shown::new(notice, NOTICE_BYTES);
    // A String takes everything.
    let _ = writeln!(text, "fanfare: {shown}");
    for piece in text.as_bytes().chunks(PIECE) {
        if !put(&mut stderr, piece, patience) {
            LOST.store(lost + 1, Ordering::Relaxed);
            return;
        }
    }
}

/// Writes a piece of at most [`PIECE`] bytes. False: there was no room in time.
fn put(stream: &mut (impl Write + AsFd), mut piece: &[u8], patience: Duration) -> bool {
    while !piece.is_empty() {
        if !takes_more(stream, Some(patience)) {
            return false;
        }
        match stream.write(piece) {
            Ok(written) => piece = &piece[written..],
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            // Nobody will ever read it: nobody misses it.
            Err(_) => return true,
        }
    }
    true
}
