//! Words for people: errors as `main` prints them, and what a peer sent as a terminal may show it.

use std::fmt::{self, Display, Write as _};

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

/// Text from anywhere, as it may be shown to people: what a terminal would obey is escaped, and the end is cut off where it
/// is too long.
///
/// ```
/// use fanfare::words::Shown;
///
/// assert_eq!(Shown::new("it's \x1b[31mred", 100).to_string(), r"it's \u{1b}[31mred");
/// assert_eq!(Shown::new("too long", 3).to_string(), "too…");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Shown<T> {
    text: T,
    max_bytes: usize,
}

impl<T: Display> Shown<T> {
    /// `text`, of which at most `max_bytes` are shown, counted after escaping.
    pub const fn new(text: T, max_bytes: usize) -> Self {
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
pub fn is_obeyed(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Text that a peer sent with any white space in it as single spaces, and none around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OneLine<'t>(&'t str);

impl Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, word) in self.0.split_whitespace().enumerate() {
            if i > 0 {
                f.write_char(' ')?;
            }
            f.write_str(word)?;
        }
        Ok(())
    }
}

/// `text` on one line, of which at most `max_bytes` are shown.
pub(crate) const fn on_one_line(text: &str, max_bytes: usize) -> Shown<OneLine<'_>> {
    Shown::new(OneLine(text), max_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        Shown::new(text, 200).to_string()
    }

    fn line(text: &str) -> String {
        on_one_line(text, 20).to_string()
    }

    #[test]
    fn what_a_peer_sent_stays_on_one_line_and_moves_no_cursor() {
        assert_eq!(line(" It's \"so\"\r\n\tor "), "It's \"so\" or");
        assert_eq!(line("\u{1b}[2J\u{7}"), "\\u{1b}[2J\\u{7}");
        assert_eq!(line("\u{9b}2J"), "\\u{9b}2J", "an escape of one byte");
        assert_eq!(
            line("a\u{202e}b"),
            "a\\u{202e}b",
            "it turns the line around"
        );
        assert_eq!(line("a\u{2028}b\u{85}c"), "a b c");
        assert_eq!(line(" \n"), "");
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
        assert_eq!(line(&"é".repeat(10)), "é".repeat(10));
        assert_eq!(line(&"é".repeat(11)), format!("{}…", "é".repeat(10)));
        assert_eq!(line(&"\u{1b}".repeat(9)), "\\u{1b}\\u{1b}\\u{1b}…");
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
