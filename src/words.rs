//! Words for people: errors as `main` prints them, and what a peer sent as a terminal may show it.

use std::fmt::{self, Write as _};

/// Lets `Debug` of these errors be what `Display` is. A program whose `main` returns an error shows it with `Debug`, and a person
/// who reads that is better served by a sentence than by names of variants.
macro_rules! in_words {
    ($($error:ty),+) => {$(
        impl std::fmt::Debug for $error {
            /// The sentence that `Display` gives: this is what `main` prints.
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }
    )+};
}

pub(crate) use in_words;

/// As many whole characters of `text` as fit `max` bytes.
pub(crate) fn beginning(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Text that a peer sent, as it may be shown: on one line, without anything that a terminal would obey, and cut where it is
/// long.
pub(crate) struct Shown<'t> {
    text: &'t str,
    max: usize,
}

impl<'t> Shown<'t> {
    /// At most `max` characters are shown, after escaping.
    pub(crate) const fn new(text: &'t str, max: usize) -> Self {
        Self { text, max }
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.max;
        let mut put = |f: &mut fmt::Formatter<'_>, character: char| {
            let escaped = character.escape_debug();
            // It escapes quotes too, for which there is no need outside of quotes.
            let plain = matches!(character, '\'' | '"');
            let len = if plain { 1 } else { escaped.len() };
            if len > left {
                f.write_char('…')?;
                return Ok(false);
            }
            left -= len;
            if plain {
                f.write_char(character)?;
            } else {
                write!(f, "{escaped}")?;
            }
            Ok(true)
        };
        for (i, word) in self.text.split_whitespace().enumerate() {
            let space = (i > 0).then_some(' ');
            for character in space.into_iter().chain(word.chars()) {
                if !put(f, character)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        Shown::new(text, 20).to_string()
    }

    #[test]
    fn what_a_peer_sent_stays_on_one_line_and_moves_no_cursor() {
        assert_eq!(shown(" It's \"so\"\r\n\tor "), "It's \"so\" or");
        assert_eq!(shown("\u{1b}[2J\u{7}"), "\\u{1b}[2J\\u{7}");
        assert_eq!(shown("\u{9b}2J"), "\\u{9b}2J", "an escape of one byte");
        assert_eq!(
            shown("a\u{202e}b"),
            "a\\u{202e}b",
            "it turns the line around"
        );
        assert_eq!(shown("a\u{2028}b\u{85}c"), "a b c");
        assert_eq!(shown(" \n"), "");
    }

    #[test]
    fn a_text_is_cut_between_two_characters() {
        for (max, cut) in [
            (0, ""),
            (1, "a"),
            (2, "a"),
            (3, "aé"),
            (5, "aé"),
            (9, "aé€"),
        ] {
            assert_eq!(beginning("aé€", max), cut);
        }
    }

    #[test]
    fn what_is_long_is_cut_after_escaping() {
        assert_eq!(shown(&"é".repeat(20)), "é".repeat(20));
        assert_eq!(shown(&"é".repeat(21)), format!("{}…", "é".repeat(20)));
        assert_eq!(shown(&"\u{1b}".repeat(9)), "\\u{1b}\\u{1b}\\u{1b}…");
    }
}
