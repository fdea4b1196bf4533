//! What one client has said of who it is, what the server made of it, and when it must say so anew. Pure, but for the program's
//! callback: the time is an argument.

use std::time::{Duration, Instant, SystemTime};

use zeroize::Zeroizing;

use super::credentials::{Credentials, CredentialsError, Token, TokenReason, bearer};
use super::error::ConnectError;

/// What the server said of who this client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is known, until then, in seconds since 1970.
    Known(Option<u64>),
    /// The token that was sent to renew the one before it was not accepted.
    Refused,
}

/// How long before its end a token is renewed, at least, where that leaves half of its life.
const BEFORE_ITS_END: Duration = Duration::from_secs(30);

/// How long until a token is asked for again that could not be renewed, at least.
const AGAIN: Duration = Duration::from_secs(1);

/// The same where the token has ended already by this machine's clock, which then goes wrong: the server still takes it.
const BY_A_WRONG_CLOCK: Duration = Duration::from_secs(30);

/// How many tokens may be refused in a row. Another one is asked for after the first of them.
const REFUSALS: u32 = 2;

/// What one client has said of who it is.
#[derive(Debug)]
pub(super) struct Identity {
    credentials: Credentials,
    /// The token that was presented last.
    last: Option<Token>,
    /// That one is of no use any more.
    is_refused: bool,
    /// How many were refused since a connection last lasted.
    refusals: u32,
    /// When the token in use ends.
    ends: Option<Instant>,
    /// When it is to be renewed.
    due: Option<Instant>,
}

impl Identity {
    pub(super) const fn new(credentials: Credentials) -> Self {
        Self {
            credentials,
            last: None,
            is_refused: false,
            refusals: 0,
            ends: None,
            due: None,
        }
    }

    /// Opens a connection with `open`, which is given the value of `Authorization`. If the server refuses a token, another one is asked
    /// for and it is tried once more.
    ///
    /// # Errors
    /// What `open` said, or [`ConnectError::Credentials`].
    pub(super) fn present<T>(
        &mut self,
        mut open: impl FnMut(Option<&str>) -> Result<T, ConnectError>,
    ) -> Result<T, ConnectError> {
        // What the connection before it said holds no more.
        (self.ends, self.due) = (None, None);
        let mut refused = None;
        loop {
            let value = match (self.authorization(), refused) {
                // The server says more of it than this side can.
                (Err(CredentialsError::Same), Some(refused)) => return Err(refused),
                (value, _) => value.map_err(ConnectError::Credentials)?,
            };
            match open(value.as_ref().map(|value| value.as_str())) {
                Err(error) if error.refuses_identity() && self.refused() => refused = Some(error),
                done => return done,
            }
        }
    }

    fn authorization(&mut self) -> Result<Option<Zeroizing<String>>, CredentialsError> {
        let reason = match self.is_refused {
            true => TokenReason::Refused,
            false => TokenReason::Connect,
        };
        match self.credentials.ask(reason)? {
            None => self.credentials.user(),
            Some(token) if self.is_refused && self.last.as_ref() == Some(&token) => {
                Err(CredentialsError::Same)
            }
            Some(token) => {
                let value = bearer(&token);
                self.last = Some(token);
                self.is_refused = false;
                Ok(Some(value))
            }
        }
    }

    /// The server refused who this client says it is, or does not believe it any more. Whether another token may help.
    pub(super) fn refused(&mut self) -> bool {
        self.is_refused = true;
        self.refusals += 1;
        self.credentials.have_tokens() && self.refusals < REFUSALS
    }

    /// Whether another token can be had at all.
    pub(super) const fn has_tokens(&self) -> bool {
        self.credentials.have_tokens()
    }

    /// A connection lasted: the next refusal is a first one.
    pub(super) const fn settled(&mut self) {
        self.refusals = 0;
    }

    /// When the token in use is to be renewed.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Notes what the server said at the time `now`. A token to send, if it refused one that was to renew another.
    ///
    /// # Errors
    /// What keeps the program from giving one.
    pub(super) fn note(
        &mut self,
        verdict: Verdict,
        now: Instant,
        clock: SystemTime,
    ) -> Result<Option<Token>, CredentialsError> {
        match verdict {
            Verdict::Known(expires) => {
                let since_1970 = clock.duration_since(SystemTime::UNIX_EPOCH);
                let life = expires.map(|expires| {
                    let ends = Duration::from_secs(expires);
                    ends.saturating_sub(since_1970.unwrap_or_default())
                });
                self.ends = life.and_then(|life| now.checked_add(life));
                self.due = life.and_then(|life| now.checked_add(renewed_after(life)));
                self.is_refused = false;
                Ok(None)
            }
            // Asked for once more at once, and then not before a while.
            Verdict::Refused if !std::mem::replace(&mut self.is_refused, true) => {
                self.renew(TokenReason::Refused, now)
            }
            Verdict::Refused => {
                self.put_off(now);
                Ok(None)
            }
        }
    }

    /// A token to send, if it is time to renew the one in use.
    ///
    /// # Errors
    /// What keeps the program from giving one.
    pub(super) fn renewal(&mut self, now: Instant) -> Result<Option<Token>, CredentialsError> {
        match self.due {
            Some(due) if due <= now => {
                self.is_refused = false;
                self.renew(TokenReason::Renew, now)
            }
            _ => Ok(None),
        }
    }

    fn renew(
        &mut self,
        reason: TokenReason,
        now: Instant,
    ) -> Result<Option<Token>, CredentialsError> {
        self.put_off(now);
        let token = self.credentials.ask(reason)?;
        let other = token.filter(|token| self.last.as_ref() != Some(token));
        if other.is_some() {
            self.last.clone_from(&other);
        }
        Ok(other)
    }

    /// It is asked for again when half of the rest has passed.
    fn put_off(&mut self, now: Instant) {
        let Some(ends) = self.ends else {
            self.due = None;
            return;
        };
        let rest = ends.saturating_duration_since(now);
        self.due = now.checked_add(match rest.is_zero() {
            true => BY_A_WRONG_CLOCK,
            false => (rest / 2).max(AGAIN),
        });
    }

    /// Nothing is to be renewed here: there are no tokens, or the server takes none on an open connection.
    pub(super) const fn keep(&mut self) {
        self.due = None;
    }
}

/// After how much of its life a token is renewed: nine tenths, or half a minute before its end if that is sooner, but not before half
/// of it.
fn renewed_after(life: Duration) -> Duration {
    if life.is_zero() {
        return BY_A_WRONG_CLOCK;
    }
    (life - (life / 10).max(BEFORE_ITS_END).min(life / 2)).max(AGAIN)
}

#[cfg(test)]
mod tests;
