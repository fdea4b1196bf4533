//! Subjects whose older tokens are refused: an administrator has disconnected them.
//!
//! A token is not taken back by whoever made it, so the daemon has to remember of whom it takes new ones only. It remembers that until
//! it ends, since nobody knows when the last of the older tokens does.

use std::collections::HashMap;

#[cfg(feature = "server")]
use crate::snapshot::{Damaged, Reader, put, put_bytes, put_len};

/// How many subjects are remembered at most. To forget one would let its tokens in again, so one more is refused.
pub const MAX_BLOCKED: usize = 10_000;

/// There are [`MAX_BLOCKED`] subjects already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// The subjects whose older tokens are refused.
#[derive(Clone, Debug, Default)]
pub struct Blocked {
    /// Up to when what was issued for a subject is refused, in seconds since 1970.
    until: HashMap<Box<str>, u64>,
}

impl Blocked {
    /// Refuses what was issued for a subject up to `now_s`, in seconds since 1970.
    ///
    /// # Errors
    /// There are too many.
    pub fn block(&mut self, subject: &str, now_s: u64) -> Result<(), Full> {
        if let Some(until) = self.until.get_mut(subject) {
            *until = now_s.max(*until);
            return Ok(());
        }
        if self.until.len() >= MAX_BLOCKED {
            return Err(Full);
        }
        self.until.insert(subject.into(), now_s);
        Ok(())
    }

    /// Whether a token is refused that was issued for a subject at this time, in seconds since 1970. One that does not say when is as old
    /// as can be.
    pub fn refuses(&self, subject: &str, issued: Option<u64>) -> bool {
        let until = self.until.get(subject);
        until.is_some_and(|until| issued.is_none_or(|issued| issued <= *until))
    }

    /// Appends all of them, for the process that goes on.
    #[cfg(feature = "server")]
    pub(crate) fn save(&self, out: &mut Vec<u8>) {
        put_len(out, self.until.len());
        for (subject, until) in &self.until {
            put_bytes(out, subject.as_bytes());
            put(out, *until);
        }
    }

    /// Refuses what was refused where these were [saved](Blocked::save), too.
    ///
    /// # Errors
    /// The bytes make no sense.
    #[cfg(feature = "server")]
    pub(crate) fn restore(&mut self, reader: &mut Reader<'_>) -> Result<(), Damaged> {
        for _ in 0..reader.number()? {
            let (subject, until) = (reader.text()?, reader.number()?);
            let blocked = self.block(subject, until);
            blocked.map_err(|Full| Damaged("too many subjects' tokens are refused"))?;
        }
        Ok(())
    }

    /// All of them, each with the second up to which its tokens are refused, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.until
            .iter()
            .map(|(subject, &until)| (&**subject, until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_subjects_tokens_are_refused_up_to_that_second_and_nobody_elses() {
        let mut blocked = Blocked::default();
        assert!(!blocked.refuses("ada", None));
        blocked.block("ada", 100).expect("there is room");
        blocked.block("ada", 90).expect("it is there already");
        assert!(blocked.refuses("ada", None));
        assert!(blocked.refuses("ada", Some(100)));
        assert!(!blocked.refuses("ada", Some(101)));
        assert!(!blocked.refuses("bob", None));
        assert_eq!(blocked.iter().collect::<Vec<_>>(), [("ada", 100)]);
    }

    #[test]
    fn one_too_many_is_refused_and_forgets_nobody() {
        let mut blocked = Blocked::default();
        for i in 0..MAX_BLOCKED {
            blocked.block(&i.to_string(), 1).expect("there is room");
        }
        assert_eq!(blocked.block("ada", 1), Err(Full));
        assert_eq!(blocked.block("7", 2), Ok(()));
        assert!(blocked.refuses("0", Some(1)) && !blocked.refuses("ada", None));
    }
}
