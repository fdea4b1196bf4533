//! The standard streams as they may be: closed, read by nobody, or non-blocking because another process that has the
//! same pipe or terminal open made them so.
//!
//! A stream that was closed when the program began is `/dev/null` by now: the standard library opens it, so that no
//! socket gets a number from 0 to 2.

use std::fmt::{self, Display, Write as _};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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

/// Text from anywhere, as it may be shown to people: what a terminal would obey is escaped, and the end is cut off where it
/// is too long.
pub(crate) struct Shown<T> {
    text: T,
    max_bytes: usize,
}

impl<T: Display> Shown<T> {
    /// `text`, of which at most `max_bytes` are shown, as they are shown.
    pub(crate) const fn new(text: T, max_bytes: usize) -> Self {
        Self { text, max_bytes }
    }
}

impl<T: Display> Display for Shown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut escaping = Escaping {
            to: f,
            left: self.max_bytes,
            is_full: false,
        };
        match write!(escaping, "{}", self.text) {
            Err(_) if escaping.is_full => f.write_str("…"),
            result => result,
        }
    }
}

/// Escapes what is written through it, up to so many bytes.
struct Escaping<'a, 'f> {
    to: &'a mut fmt::Formatter<'f>,
    left: usize,
    /// Something did not fit.
    is_full: bool,
}

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars() {
            let escaped = match char {
                '\n' | '\r' | '\t' => Some(char.escape_default().to_string()),
                _ if is_obeyed(char) => Some(char.escape_unicode().to_string()),
                _ => None,
            };
            let bytes = escaped.as_ref().map_or(char.len_utf8(), String::len);
            if bytes > self.left {
                // This error ends the formatting.
                self.is_full = true;
                return Err(fmt::Error);
            }
            self.left -= bytes;
            match escaped {
                Some(escaped) => self.to.write_str(&escaped)?,
                None => self.to.write_char(char)?,
            }
        }
        Ok(())
    }
}

/// Whether a terminal may obey this character rather than show it: control characters, what changes the direction of
/// writing, breaks of lines, and what is not seen at all.
pub(crate) fn is_obeyed(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        Shown::new(text, 200).to_string()
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(shown("\x1b[2Jx\x07"), "\\u{1b}[2Jx\\u{7}");
        assert_eq!(shown("a\r\nb\tc"), "a\\r\\nb\\tc");
        assert_eq!(shown("\u{9b}31m\u{7f}"), "\\u{9b}31m\\u{7f}");
        assert_eq!(shown("\u{202e}txt\u{2066}"), "\\u{202e}txt\\u{2066}");
    }

    #[test]
    fn what_can_be_read_is_shown_as_it_is() {
        let text = "\"quoted\" 'too' \\ äöü 値段 हिन्दी e\u{301} 🎺";
        assert_eq!(shown(text), text);
    }

    #[test]
    fn text_that_is_too_long_ends_in_an_ellipsis() {
        assert_eq!(Shown::new("12345", 5).to_string(), "12345");
        assert_eq!(Shown::new("123456", 5).to_string(), "12345…");
        assert_eq!(Shown::new("ääää", 5).to_string(), "ää…");
        assert_eq!(
            Shown::new("\x1b\x1b\x1b", 13).to_string(),
            "\\u{1b}\\u{1b}…"
        );
    }
}
