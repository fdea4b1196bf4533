//! What single connections do, as log lines of the level `debug`: which connected, what they subscribed to, what was refused and why.
//!
//! A line begins with the connection's session, which is the one that `welcome` tells the client, and its address. The connection
//! keeps neither: the session is made from its token, and the kernel knows the address.
//!
//! Strangers decide how many lines there would be, so their number is bounded: [`BURST`] at once and [`PER_SECOND`] from then
//! on. The next line that is written says how many were left out. At other levels a line costs one comparison.

use std::fmt;
use std::hash::Hasher as _;

use log::debug;
use mio::Token;
use siphasher::sip::SipHasher13;

use super::timers::Millis;
use crate::http::Head;
use crate::random::Random;
use crate::snapshot::{Damaged, Reader};

/// Lines that may be written at once after a silence.
const BURST: u32 = 200;

/// Lines a second that may be written for longer: at some 200 bytes each that is 350 MB a day.
const PER_SECOND: u32 = 20;

/// The most of what a client sent that is shown in a line, in characters.
const SHOWN_CHARS: usize = 160;

/// The connection that a line is about.
#[derive(Clone, Copy)]
pub(super) struct Who<'s> {
    pub(super) token: Token,
    /// Its address.
    pub(super) peer: &'s dyn fmt::Display,
}

impl fmt::Display for Who<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.peer.fmt(f)
    }
}

/// What a client sent, escaped and cut.
pub(super) struct Shown<'t>(pub(super) &'t [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(self.0);
        let text = text.trim_end();
        match text.char_indices().nth(SHOWN_CHARS) {
            Some((end, _)) => write!(f, "{:?}…", &text[..end]),
            None => write!(f, "{text:?}"),
        }
    }
}

/// A field of a request's head with its name, or nothing where it is not there.
struct Field<'h>(&'h Head<'h>, &'static str);

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Field(head, name) = self;
        let mut fields = head.headers.iter();
        match fields.find(|field| field.name.eq_ignore_ascii_case(name)) {
            Some(field) => write!(f, ", {name} {}", Shown(field.value)),
            None => Ok(()),
        }
    }
}

/// Names connections, and bounds the lines about them.
#[derive(Debug)]
pub(super) struct Journal {
    /// Makes sessions from tokens that nobody outside can tell.
    secret: [u8; 16],
    allowance: Allowance,
}

impl Default for Journal {
    fn default() -> Self {
        Journal {
            secret: Random::new().bytes(),
            allowance: Allowance::default(),
        }
    }
}

impl Journal {
    /// The session of the connection that has this token: 16 hexadecimal digits, always the same.
    pub(super) fn session(&self, token: Token) -> String {
        let mut hasher = SipHasher13::new_with_key(&self.secret);
        hasher.write_u64(token.0 as u64);
        format!("{:016x}", hasher.finish())
    }

    /// Appends what makes the sessions, so that they stay the same in the process that goes on.
    pub(super) fn save(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.secret);
    }

    /// Makes the sessions that the process made which saved this.
    ///
    /// # Errors
    /// The bytes are too few.
    pub(super) fn restore(&mut self, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        self.secret = reader.array()?;
        Ok(())
    }

    /// Says how many lines were left out since the last that was written.
    pub(super) fn finish(&mut self) {
        say_left_out(std::mem::take(&mut self.allowance.left_out));
    }

    /// Writes a line about `who`, or about a peer that has no connection.
    #[cold]
    pub(super) fn write(&mut self, now: Millis, who: Option<Who<'_>>, what: fmt::Arguments<'_>) {
        let Some(left_out) = self.allowance.take(now) else {
            return;
        };
        say_left_out(left_out);
        match who {
            Some(who) => debug!("{} {who}: {what}", self.session(who.token)),
            None => debug!("{what}"),
        }
    }
}

fn say_left_out(lines: u64) {
    if lines > 0 {
        debug!("{lines} lines like these were left out, to keep the log short");
    }
}

/// What a handshake that became a WebSocket says of where it comes from. A proxy adds `X-Forwarded-For`; without one it is
/// whatever the client likes to say.
pub(super) struct Origins<'h>(pub(super) &'h Head<'h>);

impl fmt::Display for Origins<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (origin, forwarded) = (Field(self.0, "Origin"), Field(self.0, "X-Forwarded-For"));
        write!(f, "{origin}{forwarded}")
    }
}

/// How many lines may be written: a bucket that fills with time.
#[derive(Debug)]
struct Allowance {
    left: u32,
    /// The time up to which the bucket has been filled.
    filled_until: Millis,
    /// Lines that were not written since the last that was.
    left_out: u64,
}

impl Default for Allowance {
    fn default() -> Self {
        Allowance {
            left: BURST,
            filled_until: 0,
            left_out: 0,
        }
    }
}

impl Allowance {
    /// Takes one line, and says how many were left out before it; `None`: there is none to take.
    fn take(&mut self, now: Millis) -> Option<u64> {
        let per_line = 1000 / u64::from(PER_SECOND);
        let gained = now.saturating_sub(self.filled_until) / per_line;
        self.filled_until += gained * per_line;
        let left = u64::from(self.left).saturating_add(gained);
        self.left = u32::try_from(left).map_or(BURST, |left| left.min(BURST));
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Some(std::mem::take(&mut self.left_out))
            }
            None => {
                self.left_out += 1;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `lines` at one moment are written, and how many the first of them says were left out.
    fn written(allowance: &mut Allowance, now: Millis, lines: u32) -> (usize, Option<u64>) {
        let taken: Vec<u64> = (0..lines).filter_map(|_| allowance.take(now)).collect();
        (taken.len(), taken.first().copied())
    }

    #[test]
    fn a_flood_is_cut_to_so_many_lines_a_second_and_the_others_are_counted() {
        let mut allowance = Allowance::default();
        assert_eq!(written(&mut allowance, 0, 1_000), (200, Some(0)));
        assert_eq!(written(&mut allowance, 49, 100), (0, None));
        assert_eq!(written(&mut allowance, 50, 100), (1, Some(900)));
        assert_eq!(written(&mut allowance, 1_050, 100), (20, Some(99)));
        assert_eq!(written(&mut allowance, 1_000_000, 1_000), (200, Some(80)));
        assert_eq!(written(&mut allowance, u64::MAX, 1_000), (200, Some(800)));
    }

    #[test]
    fn a_token_has_one_session_and_no_other_token_has_it() {
        let journal = Journal::default();
        let sessions: std::collections::HashSet<String> =
            (0..1_000).map(|n| journal.session(Token(n))).collect();
        assert_eq!(sessions.len(), 1_000);
        assert!(sessions.iter().all(|s| s.len() == 16));
        assert!(
            sessions
                .iter()
                .flat_map(|s| s.bytes())
                .all(|b| b.is_ascii_hexdigit())
        );
        assert!(sessions.contains(&journal.session(Token(7))));
    }

    #[test]
    fn what_a_client_sent_is_escaped_and_cut() {
        assert_eq!(Shown(b"a\x1b[2J\n").to_string(), "\"a\\u{1b}[2J\"");
        let long = Shown(&[b'x'; 5_000]).to_string();
        assert_eq!(long.chars().count(), SHOWN_CHARS + 3);
    }
}
