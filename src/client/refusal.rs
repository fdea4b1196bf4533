//! What a server says when it refuses a request.

use std::time::Duration;
use std::{error, fmt};

use crate::words::Shown;

/// What a server says when it refuses a request.
#[derive(Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Why, for programs: `forbidden`, `bad_json` and others, as `docs/protocol.md` lists them. At most 64 bytes of it are kept.
    pub code: String,
    /// Why, for people. At most 1 KiB of it is kept.
    pub message: String,
    /// When to try again, where the server says so.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// What is told of a request that is not sent, since the server would not take it.
    pub(super) fn unsupported(message: String) -> Self {
        Self {
            code: "unsupported".to_owned(),
            message,
            retry_after: None,
        }
    }

    /// What its texts take.
    pub(super) fn weight(&self) -> usize {
        self.code.capacity() + self.message.capacity()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}",
            Shown::new(&self.code, usize::MAX),
            Shown::new(&self.message, usize::MAX)
        )
    }
}

impl error::Error for Refusal {}

crate::words::in_words!(Refusal);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_displayed_without_what_steers_a_terminal() {
        let evil = "\u{1b}[2J\u{7}\r\n\u{9b}";
        let refusal = |code: &str, message: &str| Refusal {
            code: code.to_owned(),
            message: message.to_owned(),
            retry_after: None,
        };
        let shown = refusal(evil, evil).to_string();
        assert!(!shown.contains(char::is_control), "{shown:?}");
        let refusal = refusal("limit", r#"it can't be "so" long"#);
        assert_eq!(refusal.to_string(), r#"limit: it can't be "so" long"#);
    }
}
